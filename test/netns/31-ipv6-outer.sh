#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The tunnel over IPv6, as TAP: the same client and gateway, but the gateway's address in the grant is an IPv6 one, reached through a
# router and then through a NAT66. What is inside stays IPv4. Once with programs in the kernel, which leave such a peer to the daemons, once
# without.
set -u
. "${top_srcdir:?}/test/netns/tunnel-net.sh"
PUB=203.0.113.7
GW6=2001:db8:100::10
NAT6=2001:db8:2::2

need_root
net_up
plan 22

v6() { # v6 NS IFACE ADDRESS
	ip netns exec "$net$1" sysctl -q -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 \
		"net.ipv6.conf.$2.disable_ipv6=0" net.ipv6.conf.all.forwarding=1
	ip -n "$net$1" -6 addr add "$3" dev "$2" nodad
}
v6 c eth0 2001:db8:77::10/64
v6 n lan 2001:db8:77::1/64
v6 n wan $NAT6/64
v6 i nat 2001:db8:2::1/64
v6 i gw 2001:db8:100::1/64
v6 g eth0 $GW6/64
ip -n "${net}c" -6 route add default via 2001:db8:77::1
ip -n "${net}n" -6 route add default via 2001:db8:2::1
ip -n "${net}i" -6 route add 2001:db8:77::/64 via $NAT6
ip -n "${net}g" -6 route add default via 2001:db8:100::1
retry c ping -6 -c 1 -W 1 $GW6 >/dev/null || { echo 'Bail out! no IPv6 between client and gateway'; exit 1; }

head -c 4194304 /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data")
copy() { # copy FROM TO ADDRESS PORT: prints the data's checksum at the far end
	$2 socat -u "TCP-LISTEN:$4,reuseaddr" "CREATE:$dir/copy-$4" & recv=$!
	watch $recv
	retry "$1" socat -u "OPEN:$dir/data" "TCP:$3:$4" && wait $recv
	sha256sum <"$dir/copy-$4"
	rm -f "$dir/copy-$4"
}
outer() { # outer NS IFACE: whether the traffic class of a ping with 0xb8 inside shows on outer packets
	rm -f "$dir/outer"
	ip netns exec "$net$1" timeout 20 tcpdump -ni "$2" -c 1 -w - "ip6 and udp port 6080 and ip6[0:2] & 0x0ff0 == 0x0b80" >"$dir/outer" \
		2>"$dir/tcpdump" & cap=$!
	watch $cap
	retry grep -q listening "$dir/tcpdump"
	c ping -c 3 -i 0.2 -Q 0xb8 -W 2 $PEER >/dev/null
	wait $cap
}

round() { # round DATAPATH EPOCH MAPPED
	put_grant "$PUB" "$2" 600 && wait_for bound
	ok $? "$1: bound"
	"$tool" call "$dir/gateway.sock" binding-get-all '{}' >"$dir/bindings"
	grep -q "\"mapped\": \"\[$3\]:" "$dir/bindings"
	ok $? "$1: the gateway sees $3"
	c ping -c 2 -i 0.2 -W 2 $PEER >/dev/null
	ok $? "$1: ping to the peer"
	p ping -c 2 -i 0.2 -W 2 $PUB >/dev/null
	ok $? "$1: ping from the peer"
	is "$(copy c p $PEER "7$2")" "$sum" "$1: 4 MB to the peer arrive intact"
	is "$(copy p c $PUB "8$2")" "$sum" "$1: 4 MB from the peer arrive intact"
	full_packet() { p ping -c 1 -s 1424 -M "do" -W 2 $PUB; } # 1500 less the headers of IPv6 and UDP: once the path has been probed
	retry full_packet >/dev/null
	ok $? "$1: a full packet passes in one piece inside"
	outer g eth0
	ok $? "$1: the traffic class shows outside"
}

LISTEN="\"$GW:6080\", \"[$GW6]:6080\""
GRANT_GATEWAY="[$GW6]:6080"
DATAPATH=kernel
start_gateway
start_client
round kernel 101 2001:db8:77::10

ip netns exec "${net}n" nft 'add table ip6 nat; add chain ip6 nat post { type nat hook postrouting priority srcnat; };
	add rule ip6 nat post oif wan masquerade'
ok $? 'the router becomes a NAT66'
is "$(leaked)" 0 'no packet left with a foreign address'

DATAPATH=user
kill "$client_pid" "$gateway_pid"
wait "$client_pid" "$gateway_pid" 2>/dev/null
rm -f "$dir/gateway.state" "$dir"/*.pid
start_gateway
start_client
round user 102 $NAT6

GRANT_GATEWAY="$GW:6080"
put_grant "$PUB" 103 600
on_ipv4() { "$bin/pubaddr" --json --run-dir "$dir" status 2>/dev/null | grep -q "\"gateway\": \"$GW:6080\""; }
retry on_ipv4
ok $? 'a renewed grant with an IPv4 gateway moves the tunnel there'
retry c ping -c 1 -W 1 $PEER >/dev/null
ok $? 'and it works'
p_retry ping -c 1 -W 1 $PUB >/dev/null
ok $? 'both ways'
kill "$client_pid" && wait "$client_pid"
ok $? 'the client ends well'
finish
