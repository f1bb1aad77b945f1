# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# The session relay in the lab: a server on the gateway's host, and client1's daemon that knows it. Sourced after tap.sh.

# relay_up: both start; the daemon begins with the grant that it has.
relay_up() {
	on gateway sed -i "s|\"listen\"|\"relay\": {\"listen\": [\"198.51.100.10:443\"], \"control-socket\": \"/run/pubaddr/relay.sock\"}, &|" \
		/etc/pubaddr/gatewayd.conf
	in_background gateway relayd pubaddr-relayd -c /etc/pubaddr/gatewayd.conf
	within 10 listening gateway tcp 443 || return
	on client1 sed -i 's|{|{ "relay": {"address": "198.51.100.10:443"},|' /etc/pubaddr/tunneld.conf
	"$LAB" stop client1.tunneld && "$LAB" start client1.tunneld
	within 10 relay_socket
}

# The daemon has its socket for programs; the name alone may be of the one before.
relay_socket() { on client1 sh -c 'ss -Hlx src /run/pubaddr/relay-eth0.sock | grep -q .'; }

# relayed COMMAND...: an unmodified program on client1, by the relay.
relayed() { on client1 pubaddr exec --relay -- "$@"; }
relayed_in_background() { # relayed_in_background NAME COMMAND...
	in_background client1 "$1" pubaddr exec --relay -- "${@:2}"
}

# logged EVENT...: the daemon's log has them in this order.
logged() {
	local log=/run/pubaddr-lab/$PUBADDR_LAB/log/client1.tunneld event at=0 line
	for event in "$@"; do
		line=$(awk -v at="$at" -v event="$event" 'NR > at && index($0, event) {print NR; exit}' "$log")
		[ -n "$line" ] || { echo "no $event after line $at" && tail -n 30 "$log" && return 1; }
		at=$line
	done
}
