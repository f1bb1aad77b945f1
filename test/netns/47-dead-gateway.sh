#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A gateway dies while programs send: it is asked at once, left within 3 s, and the connections go on by the other one; by both
# data paths. (47-gateways has the same for a client that is idle.)
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/outage.sh
. "$(dirname "$0")/outage.sh"
need socat tcpdump

LEAVE=3 # seconds
gateway() { on client1 pubaddr --json status | sed -n 's/.*"gateway": *"\([0-9.]*\):.*/\1/p'; }
counter_of() { on client1 pubaddr --json status | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"; }

asked_since() { [ "$(counter_of urgent)" -gt "$1" ]; }

# A connection from the client to an echo at the peer: what is written to $TMP/in comes out in $TMP/got at the client.
open_connection() {
	rm -f "$TMP/in" && mkfifo "$TMP/in"
	in_background peer echo socat TCP4-LISTEN:7001,reuseaddr PIPE
	within 5 listening peer tcp 7001
	"$LAB" exec client1 -- socat -t60 - "TCP4:$PEER_IP:7001" <"$TMP/in" >"$TMP/got" 2>/dev/null &
	exec 8>"$TMP/in"
	echo before >&8
	within 5 grep -q before "$TMP/got"
}

# dies WHICH OTHER: the host of a gateway; the pool is led to the other one at once, as a routing protocol would.
dies() {
	fault_begins
	ip -n "$PUBADDR_LAB-inet" link set "$1" down
	"$LAB" pool-route "$2"
	fault_done
}

for path in kernel user; do
	export PUBADDR_DATAPATH=$path
	lab_up --gateways 2
	P=$CLIENT_PUBLIC_IP
	check "$path: a connection is open" open_connection
	watch_arrivals
	send_traffic
	within 10 arrives $(($(arrivals | wc -l) + 100))
	dies gateway gateway2
	heals "$path: the first gateway dies" "$LEAVE"
	is "$path: the second one serves" "$(gateway)" 198.51.100.26
	echo after >&8
	eventually 15 "$path: the connection goes on" grep -q after "$TMP/got"

	ip -n "$PUBADDR_LAB-inet" link set gateway up
	within 10 arrives $(($(arrivals | wc -l) + 100))
	eventually 10 "$path: the first one is there again" on peer ping -c1 -W1 198.51.100.10
	dies gateway2 gateway
	heals "$path: the second one dies" "$LEAVE"
	is "$path: the first one serves" "$(gateway)" 198.51.100.10
	echo again >&8
	eventually 15 "$path: the connection goes on" grep -q again "$TMP/got"

	# Nothing but the tunnel fails now: one way only, a question each second at most, and nobody is left.
	ip -n "$PUBADDR_LAB-inet" link set gateway2 up
	kill "$pings_PID"
	moves=$(counter_of moves)
	was=$(counter_of urgent)
	eventually 10 "$path: who only sends asks now and then" asked_since "$was"
	is "$path: and stays" "$(counter_of moves) $(gateway)" "$moves 198.51.100.10"
	exec 8>&-
	stop_watching
	check "$path: no private or foreign source on the Internet" no_leaks
	"$LAB" down
done
done_testing
