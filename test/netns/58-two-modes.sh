#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Two grants on one host, a daemon each, which share the kernel's settings and its packet filter: the mode of one changes, it ends, it dies,
# and the other one has its rules, its settings and its connections. With the last one all is as before.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

NAT_IP=198.51.100.2
trap '' PIPE # a flow that has ended is told by a check
address() { on client1 ip -4 -o addr show dev "$1" 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}' | grep .; }
mode() { on client1 pubaddr mode --interface "$@"; }
in_force() { on client1 nft list chain ip "pubaddr-$1" translate 2>/dev/null | grep -q 'snat to'; } # native, of that device
usable() { on client1 pubaddr --json status | awk -v i="\"$1\"," '$1 == "\"interface\":" {me = $2 == i} me && /"usable": true/ {found = 1} END {exit !found}'; }
seen_from() { on client1 timeout 5 socat -u "TCP4:$PEER_IP:7005" -; }
from_nat() { [ "$(seen_from)" = "$NAT_IP" ]; }
bound_to() { on client1 timeout 5 socat -u "TCP4:$PEER_IP:7005,bind=$1" -; }
answers() { [ "$(on peer timeout 5 socat -u "TCP4:$1:7002" -)" = "$1" ]; }
settings() { on client1 sysctl -a 2>/dev/null | grep -E '^net\.ipv4\.(fwmark_reflect|tcp_fwmark_accept|conf\.(all|default|lo|eth0|eth1)\.)'; }
setting() { on client1 sysctl -n "net.ipv4.$1"; }
users() { on client1 cat /run/pubaddr/sysctl.json 2>/dev/null | grep -o '"users": *\[[^]]*' | grep -o 'eth[01]' | sort -u | paste -sd' '; }
# What belongs to one of the two on the client; what its sets remember is no part of it.
part() { # part DEVICE TABLES RULES
	on client1 ip -4 addr show dev "$1" | grep inet
	on client1 ip -4 route show table all | grep -E "table ($2)\b|dev $1\b"
	on client1 ip -4 rule show | grep -E "^($3):"
	on client1 nft -s list table ip "pubaddr-$1" | awk '/elements = /{skip = 1} !skip {print} /}/ {skip = 0}'
}
first() { part pub0 "608[0-2]" "520[0-3]"; }
second() { part pub1 "609[0-2]" "521[0-3]" | grep -v 'table local'; }
second_is_as_before() {
	second >"$TMP/second.now"
	diff "$TMP/second" "$TMP/second.now"
}

# Each LAN needs a default route of its own in the main table, of another metric, for the tunnel's packets to leave by it.
DHCLIENT1=(dhclient -4 -v -e IF_METRIC=200 -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/eth1.leases -pf /run/dhclient-eth1.pid)
tunneld1_PID='' # set by in_background
start_daemon() {
	in_background client1 tunneld1 pubaddr-tunneld -i eth1
	within 5 on client1 test -S /run/pubaddr/tunneld-eth1.sock
}
start_second() {
	in_background client1 dhclient1 "${DHCLIENT1[@]}" -d eth1
	within 20 usable eth1
}

# talk NAME WORD: the connection of that name carries WORD.
talk() {
	local fd="fd_$1"
	echo "$2" >&"${!fd}"
	within 10 grep -q "$2" "$TMP/hears_$1"
}
# open_to NAME ADDRESS PORT: the peer connects to the client, and keeps talking.
open_to() {
	mkfifo "$TMP/$1"
	in_background client1 "hears_$1" socat -u "TCP4-LISTEN:$3,reuseaddr" -
	within 5 listening client1 tcp "$3"
	on peer socat -u - "TCP4:$2:$3" <"$TMP/$1" &
	exec {fd}>"$TMP/$1"
	printf -v "fd_$1" %s "$fd"
	talk "$1" begin
}

lab_up --lans 2 --outbound native
# shellcheck disable=SC2016 # for socat's shell
in_background peer whoami socat TCP4-LISTEN:7005,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
# shellcheck disable=SC2016
in_background client1 servers socat TCP4-LISTEN:7002,fork,reuseaddr 'SYSTEM:echo $SOCAT_SOCKADDR'
within 5 listening peer tcp 7005 && within 5 listening client1 tcp 7002
on client1 sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.eth1.rp_filter=2
on client1 tee /etc/pubaddr/tunneld-eth1.conf >"$TMP/conf" <<<'{ "allow-documentation": true, "device": "pub1", "table": 6090, "rule-priority": 5210, "mark": 6090,
	"inbound": ["7002/tcp", "7012/tcp", "icmp"] }'
"$LAB" release client1
settings >"$TMP/settings"
"$LAB" renew client1
P0=$(address pub0)
check "the first is native" in_force pub0
is "and says which settings it needs" "$(setting fwmark_reflect) $(users)" "1 eth0"
check "a daemon for the second LAN" start_daemon
check "which brings a second grant" start_second
P1=$(address pub1)
is "it proposes native too" "$(mode eth1)" "native (by grant)"
check "but the default route is the first one's, and only what is bound to it uses it" not in_force pub1
is "new connections are seen from" "$(seen_from)" "$NAT_IP"
is "those bound to the second address from that" "$(bound_to "$P1")" "$P1"
second >"$TMP/second"
check "the second has a table of its own" grep -q 'dport 7012' "$TMP/second"
check "a connection to the second" open_to b "$P1" 7012
check "a connection to the first" open_to a "$P0" 7011

# ---- the mode of the first changes

for m in tunnel auto policy native tunnel native; do
	check "the first: to $m" mode eth0 "$m"
	check "what the second has is as it was" second_is_as_before
	check "both connections go on" eval "talk a in-$m && talk b in-$m"
	check "both addresses answer" eval "answers $P0 && answers $P1"
done
is "new connections are seen from" "$(seen_from)" "$NAT_IP"

# ---- the first ends: the second has the default route, and needs the settings itself

check "the first lease is released" "$LAB" release client1
eventually 5 "its interface is gone" not address pub0
eventually 5 "the second is native now" in_force pub1
eventually 5 "new connections leave beside it" from_nat
is "the settings are the second one's" "$(users)" eth1
is "and as it needs them" "$(setting fwmark_reflect)$(setting tcp_fwmark_accept)" 11
check "its connection goes on" talk b first-gone
check "it answers" answers "$P1"
is "nothing of the first is left" "$(first 2>/dev/null)" ""

# ---- the first comes again; the second one's mode changes, it dies, and it ends

check "the first is here again" "$LAB" renew client1
within 10 address pub0 >/dev/null
P0=$(address pub0)
check "native" in_force pub0
is "the settings are of both" "$(users)" "eth0 eth1"
first >"$TMP/first"
first_is_as_before() { first >"$TMP/first.now" && diff "$TMP/first" "$TMP/first.now"; }
check "another connection to the first" open_to c "$P0" 7013
for m in tunnel auto policy native; do
	check "the second: to $m" mode eth1 "$m"
	check "what the first has is as it was" first_is_as_before
	check "connections go on" eval "talk c second-$m && talk b second-$m"
	check "both addresses answer" eval "answers $P0 && answers $P1"
done
kill -KILL "$tunneld1_PID" && wait "$tunneld1_PID"
check "the second daemon dies for good, and is cleaned up after" on client1 pubaddr-tunneld --cleanup -i eth1
is "the settings are the first one's" "$(users)" eth0
is "and as it needs them" "$(setting fwmark_reflect)$(setting tcp_fwmark_accept)" 11
check "what the first has is as it was" first_is_as_before
check "its connection goes on" talk c second-dead
check "it answers" answers "$P0"
is "new connections leave beside it" "$(seen_from)" "$NAT_IP"
check "the second daemon comes again" start_daemon
eventually 20 "with its address" usable eth1
check "the second lease is released" on client1 "${DHCLIENT1[@]}" -r eth1
eventually 5 "its interface is gone" not address pub1
check "what the first has is as it was" first_is_as_before
check "its connection goes on" talk c second-gone
is "nothing of the second is left" "$(second 2>/dev/null)" ""

# ---- the last one

check "the first lease is released" "$LAB" release client1
eventually 5 "its interface is gone" not address pub0
settings >"$TMP/settings.after"
check "the kernel's settings are as before both" diff "$TMP/settings" "$TMP/settings.after"
is "nobody needs them" "$(users)" ""
check "no table of ours" not sh -c "'$LAB' exec client1 -- nft list tables | grep pubaddr"
check "no private or foreign source on the Internet" no_leaks
done_testing
