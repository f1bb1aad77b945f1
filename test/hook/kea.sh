# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Functions for tests that run the real kea-dhcp4 with the hook library. Sourced; needs $dir (scratch folder), $builddir,
# $srcdir. Kea keeps everything in $dir.

# shellcheck source=test/kea-folders.sh
. "$srcdir/kea-folders.sh"

hook_so=$builddir/kea-hook/.libs/libdhcp_pubaddr.so
n=0
failed=0

ok() { # ok STATUS TEXT
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
	fi
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# Kea under AppArmor sees only its own folders, so a scratch configuration is of no use there.
confined() { grep -q kea-dhcp4 /sys/kernel/security/apparmor/profiles 2>/dev/null; }

# A library with sanitizers wants gcc's run-times loaded first; Kea itself is not instrumented.
sanitized() { nm -D --undefined-only "$hook_so" | grep -q __asan_init; }
sanitizer_env() {
	sanitized || return 0
	echo "LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
	echo "ASAN_OPTIONS=detect_leaks=0:log_path=$dir/san" "UBSAN_OPTIONS=log_path=$dir/san"
}
sanitizers_silent() { ! compgen -G "$dir/san.*" >/dev/null || { sed 's/^/# /' "$dir"/san.*; false; }; }
# What keeps these tests from running here, or nothing.
obstacle() {
	if confined; then
		echo "AppArmor confines kea-dhcp4"
	elif sanitized && readelf -p .comment "$hook_so" | grep -q clang; then
		echo "a library with clang's sanitizers cannot be loaded into kea-dhcp4"
	fi
}

# kea_config MT INTERFACES PARAMETERS: a configuration on standard output; no hook library without PARAMETERS
kea_config() {
	local hooks=""
	[ -z "$3" ] || hooks="{\"library\": \"$(kea_library "$dir" "$hook_so")\", \"parameters\": $3}"
	cat <<-END
	{"Dhcp4": {
	  "interfaces-config": {"interfaces": [$2]},
	  "lease-database": {"type": "memfile", "persist": false},
	  "control-socket": {"socket-type": "unix", "socket-name": "$dir/kea.sock"},
	  "multi-threading": {"enable-multi-threading": $1, "thread-pool-size": 4, "packet-queue-size": 64},
	  "valid-lifetime": 600,
	  "hooks-libraries": [$hooks],
	  "subnet4": [{"id": 1, "subnet": "10.77.0.0/16", "pools": [{"pool": "10.77.1.0 - 10.77.250.255"}]}],
	  "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "$dir/kea.log"}]},
	              {"name": "kea-dhcp4.pubaddr-hooks", "severity": "DEBUG", "debuglevel": 99,
	               "output_options": [{"output": "$dir/kea.log"}]}]
	}}
	END
}

kea_run() { # kea_run PREFIX...: in the foreground with $dir/kea.conf
	# shellcheck disable=SC2046 # several assignments
	exec env $(kea_folders "$dir") KEA_LOGGER_DESTINATION="$dir/kea.log" $(sanitizer_env) "$@" kea-dhcp4 -c "$dir/kea.conf"
}

kea_ended() { ! kill -0 "$kea_pid"; }
kea_closed() { tail -n "+$log_lines" "$dir/kea.log" | grep -q HOOKS_LIBRARY_CLOSED; }
# Stops $kea_pid; fails if it does not end cleanly. With a sanitizer's run-time preloaded Kea hangs in a destructor of
# libp11-kit on its way out, with or without our library: there the end of the library counts.
kea_end() {
	local rc=0
	[ -n "$kea_pid" ] || return 0
	log_lines=$(($(wc -l <"$dir/kea.log") + 1))
	kill "$kea_pid" 2>/dev/null
	if sanitized; then
		wait_for 5 kea_closed || rc=1
		kill -KILL "$kea_pid" 2>/dev/null
		wait "$kea_pid" 2>/dev/null
	else
		wait_for 20 kea_ended || { rc=1; kill -KILL "$kea_pid"; }
		wait "$kea_pid" 2>/dev/null || rc=1
	fi
	kea_pid=
	return "$rc"
}

kea_command() { perl "$srcdir/hook/kea-command.pl" "$dir/kea.sock" "$1" 2>>"$dir/kea-command.log"; }
# status KEY: a number or word of pubaddr-status
status() { kea_command '{"command": "pubaddr-status"}' | grep -oE "\"$1\": [^,} ]+" | sed 's/.*: //'; }
status_is() { [ "$(status "$1")" = "$2" ]; }
status_at_least() { [ "$(status "$1")" -ge "$2" ]; }
