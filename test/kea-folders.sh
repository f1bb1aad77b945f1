# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# From 2.6.3 on Kea takes libraries, and makes files and sockets, only in the folders that it was built for, or in those that
# the environment names; and its socket's folder must be of mode 0750. Earlier ones ignore all of that. Sourced.

# kea_folders DIR: assignments for env(1), with which Kea keeps everything in DIR, and takes the libraries that kea_library placed there.
kea_folders() {
	chmod 750 "$1"
	echo "KEA_PIDFILE_DIR=$1" "KEA_LOCKFILE_DIR=$1" "KEA_DHCP_DATA_DIR=$1" "KEA_LOG_FILE_DIR=$1" "KEA_CONTROL_SOCKET_DIR=$1" \
		"KEA_HOOKS_PATH=$1/hooks"
}

# kea_library DIR LIBRARY: the path by which Kea knows it.
kea_library() {
	mkdir -p "$1/hooks" && ln -sf "$2" "$1/hooks/" && echo "$1/hooks/${2##*/}"
}
