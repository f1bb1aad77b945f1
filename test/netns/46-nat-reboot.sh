#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The NAT is started anew and gets another outer address; or it drops what belongs to just the one mapping of the tunnel. P is
# reached again within its bound, idle or sending, by both data paths; a TCP connection inside goes on.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/outage.sh
. "$(dirname "$0")/outage.sh"
need socat tcpdump conntrack

KEEPALIVE=15 # seconds
SOON=16      # the next keepalive, and a round trip
GIVE_UP=26   # until a silent mapping is given up: repeats after 1, 2, 4 s, two seconds of patience, a handshake
TRAFFIC=3

# A connection from the client that stays open: what is written to $TMP/in comes out in $TMP/got at the peer.
open_connection() {
	rm -f "$TMP/in" && mkfifo "$TMP/in"
	in_background peer got socat -u TCP4-LISTEN:7001,reuseaddr -
	within 5 listening peer tcp 7001
	"$LAB" exec client1 -- socat -u - "TCP4:$PEER_IP:7001" <"$TMP/in" &
	exec 8>"$TMP/in"
	echo before >&8
	within 5 grep -q before "$TMP/got"
}
goes_on() { # goes_on WHAT
	echo "after $1" >&8
	eventually 15 "$1: the connection goes on" grep -q "after $1" "$TMP/got"
}

# reboot OLD NEW: nothing is left of what the NAT knew, and outside it is somebody else.
reboot() {
	on inet nft insert rule ip internet ingress iifname nat ip saddr "$2" accept
	fault_begins
	ip -n "$PUBADDR_LAB-nat" addr del "$1/29" dev wan0
	ip -n "$PUBADDR_LAB-nat" addr add "$2/29" dev wan0
	ip -n "$PUBADDR_LAB-nat" route replace default via 198.51.100.1
	on nat conntrack -F >"$TMP/flush" 2>&1
	fault_done
}

# The client's own port behind its present mapping: the NAT keeps it, mostly.
own_port() {
	local port
	port=$(mapped)
	on nat conntrack -L -p udp --reply-port-dst "${port##*:}" 2>/dev/null | sed -n "s/.*src=$CLIENT_PRIVATE_IP .* sport=\([0-9]*\) dport=6080 .*/\1/p" |
		sed -n 1p | grep .
}

# What the client sends from the port of its present mapping, and what comes for it, is dropped.
kill_mapping() {
	local port
	port=$(own_port) || result 1 "the NAT has the mapping $(mapped)"
	fault_begins
	on nat nft "table ip dead; delete table ip dead; table ip dead { chain f { type filter hook forward priority -10;
		ip saddr $CLIENT_PRIVATE_IP udp sport $port drop; ip daddr $CLIENT_PRIVATE_IP udp dport $port drop; }; }"
	fault_done
}
revive() { on nat nft 'delete table ip dead'; }

for path in kernel user; do
	export PUBADDR_DATAPATH=$path
	lab_up --keepalive "$KEEPALIVE"
	P=$CLIENT_PUBLIC_IP
	check "$path: a connection is open" open_connection
	watch_arrivals
	reboot 198.51.100.2 198.51.100.3
	heals "$path, idle, the NAT is another one" "$SOON"
	is "$path: which the gateway sees" "$(mapped | cut -d: -f1)" 198.51.100.3
	goes_on "$path, reboot"

	was=$(mapped)
	kill_mapping
	heals "$path, idle, the mapping is dead" "$GIVE_UP"
	check "$path: by another one than $was" test "$(mapped)" != "$was"
	goes_on "$path, dead mapping"
	revive

	send_traffic
	within 10 arrives $(($(arrivals | wc -l) + 100))
	reboot 198.51.100.3 198.51.100.4
	heals "$path, sending, the NAT is another one" 1
	within 10 arrives $(($(arrivals | wc -l) + 100))
	was=$(mapped)
	kill_mapping
	heals "$path, sending, the mapping is dead" "$TRAFFIC"
	check "$path: by another one than $was" test "$(mapped)" != "$was"
	goes_on "$path, sending"
	exec 8>&-
	stop_watching
	check "$path: no private or foreign source on the Internet" no_leaks
	"$LAB" down
done
done_testing
