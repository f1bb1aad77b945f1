#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A host with two LANs and a grant by each: two daemons, two public addresses. Both are reached, each answers by its own
# LAN, and when one goes, by a release or by a daemon that dies for good, the other does not notice.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

address() { on client1 ip -4 -o addr show dev "$1" 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}' | grep .; }
reached() { on peer ping -c2 -i0.2 -W1 "${1:-none}"; }
reaches() { on client1 ping -c2 -i0.2 -W1 -I "${1:-none}" "$PEER_IP"; }
usable() { on client1 pubaddr --json status | awk -v i="\"$1\"," '$1 == "\"interface\":" {me = $2 == i} me && /"usable": true/ {found = 1} END {exit !found}'; }
default_by() { on client1 ip route get "$PEER_IP" | grep -q "dev $1"; }
binding() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$1\"}}"; }
bound() { binding "$1" | grep -q '"result": *0'; }
bind_number() { binding "$1" | sed -n 's/.*"bind": *\([0-9]*\).*/\1/p'; }
# rose COUNTER...: packets that were counted since the last call, as "yes" or "no" for each.
rose() {
	local c now
	for c in "$@"; do
		now=$(counter nat "$c")
		[ "$now" -gt "${seen[$c]:-0}" ] && echo yes || echo no
		seen[$c]=$now
	done | paste -sd' '
}
declare -A seen
tunneld1_PID='' # set by in_background
mark() { local c; for c in lan0 lan1; do seen[$c]=$(counter nat "$c"); done; }
trip() { # trip WHAT ADDRESS WANTED: pings both ways; by which LAN its tunnel went
	mark
	check "$1: reached" reached "$2"
	check "$1: reaches" reaches "$2"
	is "$1: by its own LAN and no other" "$(rose lan0 lan1)" "$3"
}
# What belongs to one of the two on the client.
part() { # part DEVICE TABLES RULES
	on client1 ip -4 addr show dev "$1" | grep inet
	on client1 ip -4 route show table all | grep -E "table ($2)\b|dev $1\b"
	on client1 ip -4 rule show | grep -E "^($3):"
}

# Each LAN needs a default route of its own in the main table, of another metric, for the tunnel's packets to leave by it.
start_second() {
	on client1 tee /etc/pubaddr/tunneld-eth1.conf >"$TMP/conf" <<<'{ "allow-documentation": true, "device": "pub1", "table": 6090, "rule-priority": 5210, "mark": 6090 }'
	in_background client1 tunneld1 pubaddr-tunneld -i eth1
	within 5 on client1 test -S /run/pubaddr/tunneld-eth1.sock
	in_background client1 dhclient1 dhclient -4 -d -v -e IF_METRIC=200 -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/eth1.leases \
		-pf /run/dhclient-eth1.pid eth1
	within 20 usable eth1
}
release_second() {
	on client1 dhclient -4 -r -v -e IF_METRIC=200 -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/eth1.leases -pf /run/dhclient-eth1.pid eth1
}

lab_up --lans 2
# As pubaddr-tunneld(8) tells: strict reverse-path checks, but where the best default route is not.
on client1 sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.eth1.rp_filter=2
watch nat <<END
lan0 in iifname "lan0" udp dport 6080 udp length > 90
lan1 in iifname "lan1" udp dport 6080 udp length > 90
END
P0=$CLIENT_PUBLIC_IP
part pub0 "6080|6081" "520[0-3]" >"$TMP/first"
first_bind=$(bind_number "$P0")
check "a second LAN brings a second grant" start_second
P1=$(address pub1)
check "another address: $P0 and $P1" test -n "$P1" -a "$P1" != "$P0"
part pub0 "6080|6081" "520[0-3]" >"$TMP/first.now"
check "what the first had is as it was" diff "$TMP/first" "$TMP/first.now"
check "both are bound" bound "$P1"
check "the default route is the first one's" default_by pub0
is "status tells of both" "$(on client1 pubaddr status | grep -c 'public address 203')" 2
trip "the first" "$P0" "yes no"
trip "the second" "$P1" "no yes"

in_background client1 stream socat -u TCP4-LISTEN:7002,bind="$P0",reuseaddr -
within 5 listening client1 tcp 7002
mkfifo "$TMP/in"
on peer socat -u - "TCP4:$P0:7002" <"$TMP/in" &
exec 8>"$TMP/in"
echo before >&8
eventually 5 "a connection to the first is open" grep -q before "$TMP/stream"

part pub1 "6090|6091" "521[0-3]" >"$TMP/second"
check "the second lease is released" release_second
eventually 5 "its interface is gone" not address pub1
eventually 5 "its binding too" not bound "$P1"
is "nothing of it is left" "$(part pub1 '6090|6091' '521[0-3]' 2>/dev/null)" ""
part pub0 "6080|6081" "520[0-3]" >"$TMP/first.now"
check "what the first has is as it was" diff "$TMP/first" "$TMP/first.now"
is "with the same binding" "$(bind_number "$P0")" "$first_bind"
echo after >&8
eventually 5 "its connection goes on" grep -q after "$TMP/stream"
exec 8>&-
trip "the first" "$P0" "yes no"

kill "$tunneld1_PID" && wait "$tunneld1_PID"
check "the second LAN comes again" start_second
P1=$(address pub1)
part pub1 "6090|6091" "521[0-3]" >"$TMP/second.now"
trip "the second" "$P1" "no yes"

check "the first daemon dies for good" "$LAB" stop client1.tunneld
check "and is cleaned up after" on client1 pubaddr-tunneld --cleanup -i eth0 -c /etc/pubaddr/tunneld.conf
check "its interface is gone" not address pub0
part pub1 "6090|6091" "521[0-3]" >"$TMP/second.after"
check "what the second has is as it was" diff "$TMP/second.now" "$TMP/second.after"
trip "the second" "$P1" "no yes"

check "the first is started again" "$LAB" start client1.tunneld
eventually 10 "and has its address" reached "$P0"
check "the first LAN's lease is released" "$LAB" release client1
eventually 5 "its interface is gone" not address pub0
eventually 5 "the second takes the default route" default_by pub1
trip "the second" "$P1" "no yes"
check "no private or foreign source on the Internet" no_leaks
done_testing
