#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The whole path with broker and gateway on one public host: the server that allocates is the end of the tunnel.
# shellcheck source=test/netns/path.sh
. "$(dirname "$0")/path.sh"
same_host() {
	is "broker and gateway run on the host where the tunnel ends" \
		"$(ip netns pids "$BROKER_NS" | xargs -n1 ps -o comm= -p | grep -c "^pubaddr-")" 2
	is "that is the address of the tunnel's outer packets" "$(on broker hostname -I | grep -cw 198.51.100.10)" 1
}
# shellcheck disable=SC2034 # used in path.sh
LAST_CHECKS=same_host
path_checks --colocated
