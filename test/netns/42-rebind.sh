#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The NAT forgets its mappings and makes new ones on other ports: P stays, and an open connection goes on.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

# A connection from the client that stays open: what is written to $TMP/in comes out in $TMP/got at the peer.
open_connection() {
	mkfifo "$TMP/in"
	in_background peer got socat -u TCP4-LISTEN:7001,reuseaddr -
	within 5 listening peer tcp 7001
	"$LAB" exec client1 -- socat -u - "TCP4:$PEER_IP:7001" <"$TMP/in" &
	exec 8>"$TMP/in"
	echo before >&8
	within 5 grep -q before "$TMP/got"
}

for nat in port-restricted symmetric double; do
	lab_up --nat "$nat"
	check "$nat: a connection is open" open_connection
	before=$(on client1 ip -4 -o addr show dev pub0 | awk '{print $4}')
	check "$nat: the mapped address changes" "$LAB" rebind
	echo after >&8
	eventually 10 "$nat: the connection goes on" grep -q after "$TMP/got"
	is "$nat: P is the same" "$(on client1 ip -4 -o addr show dev pub0 | awk '{print $4}')" "$before"
	check "$nat: the peer reaches it" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
	check "$nat: no private or foreign source on the Internet" no_leaks
	exec 8>&-
	"$LAB" down
	rm -f "$TMP/in"
done
done_testing
