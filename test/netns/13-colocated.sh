#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The whole path with broker and gateway on one public host: the server that allocates is the end of the tunnel.
# The outer packets of the tunnel go to its address and to no other.
# shellcheck source=test/netns/path.sh
. "$(dirname "$0")/path.sh"
watch_outer() {
	watch inet <<-END
		to_broker in iifname "nat" ip daddr 198.51.100.10 udp dport 6080
		elsewhere in iifname "nat" ip daddr != 198.51.100.10
	END
	on client1 ping -c1 -W2 "$PEER_IP" >/dev/null
	check "outer packets go to the broker's host" counter_above inet to_broker 0
	is "and nowhere else" "$(counter inet elsewhere)" 0
	is "where both daemons run" "$(ip netns pids "$BROKER_NS" | xargs -n1 ps -o comm= -p | grep -c "^pubaddr-")" 2
}
# shellcheck disable=SC2034 # used in path.sh
LAST_CHECKS=watch_outer
path_checks --colocated
