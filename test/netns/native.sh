# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# The mode native behind any NAT: programs see and embed P, the flows that they open leave through the NAT with the private source
# address, and what is sent to P comes and is answered by the tunnel. Sourced by the NN-native-KIND.sh files: native_checks KIND.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/phones.sh
. "$(dirname "$0")/phones.sh"
need socat tcpdump curl python3
phones_ready

MEGABYTES=20
TCP_PORT=21
NAT_IP=198.51.100.2
CAPTURES=()

# What of ours may be in the client's network: everything but counters, lifetimes and handles.
network() {
	on client1 ip addr show | grep -E 'inet|^[0-9]' | sed 's/^[0-9]*: //; s/valid_lft.*//'
	on client1 ip route show table all
	on client1 ip rule show
	on client1 sysctl -a 2>/dev/null | grep -E '^net\.ipv4\.(fwmark_reflect|tcp_fwmark_accept|conf\.(all|default|eth0|lo)\.)'
	on client1 nft list ruleset
}

# capture NAME HOST DEVICE: packets of the call and of the connection, from now on
capture() {
	"$LAB" exec "$2" -- tcpdump -U --immediate-mode -nn -s0 -i "$3" -w - "udp port $CALLED_PORT or tcp port $TCP_PORT" >"$TMP/$1.pcap" 2>"$TMP/$1.said" &
	CAPTURES+=("$!")
	within 10 grep -q 'listening on' "$TMP/$1.said"
}
end_captures() {
	local pid
	for pid in "${CAPTURES[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid"
	done
	CAPTURES=()
}
# seen NAME FILTER: how many packets of a capture; sources NAME FILTER: their addresses; said NAME FILTER: their payload
seen() { tcpdump -nn -r "$TMP/$1.pcap" "$2" 2>/dev/null | wc -l; }
sources() { tcpdump -nn -r "$TMP/$1.pcap" "$2" 2>/dev/null | sed -n 's/.* IP \([0-9.]*\)\.[0-9]* > .*/\1/p' | sort -u | paste -sd' '; }
source_ports() { tcpdump -nn -r "$TMP/$1.pcap" "$2" 2>/dev/null | sed -n 's/.* IP [0-9.]*\.\([0-9]*\) > .*/\1/p' | sort -u | paste -sd' '; }
said() { tcpdump -nn -A -r "$TMP/$1.pcap" "$2" 2>/dev/null; }
sdp_in() { said "$1" "dst host $PEER_IP and udp" | grep -aA4 '^o=caller ' | sed -n 's/^c=IN IP4 \([0-9.]*\).*/\1/p' | head -n 1; }
told_in() { said "$1" "dst host $PEER_IP and tcp" | sed -n 's/.*EPRT |1|\([0-9.]*\)|.*/\1/p' | head -n 1; }
arrived() {
	local place
	for place in lan outside peer; do
		[ -n "$(told_in $place)" ] && [ "$(seen $place "src host $PEER_IP and udp")" -ge 2 ] || return 1
	done
}

what_a_program_sees() {
	local kind
	is "the first address that hostname -I lists is P" "$(on client1 hostname -I | awk '{print $1}')" "$CLIENT_PUBLIC_IP"
	for kind in TCP4 UDP4; do
		is "getsockname of a connected $kind socket is P" "$(on client1 socat -d -d -u /dev/null "$kind:$PEER_IP:$TCP_PORT" 2>&1 |
			sed -n 's/.*connected from local address AF=2 \([0-9.]*\):.*/\1/p')" "$CLIENT_PUBLIC_IP"
	done
	is "towards the LAN it is the private address" "$(on client1 socat -d -d -u /dev/null UDP4:10.77.0.2:9 2>&1 |
		sed -n 's/.*connected from local address AF=2 \([0-9.]*\):.*/\1/p')" "$CLIENT_PRIVATE_IP"
	is "a program that binds to the private address works too" \
		"$(on client1 socat -u "TCP4:$PEER_IP:7005,bind=$CLIENT_PRIVATE_IP" -)" "$NAT_IP"
}

# The same call and the same connection, seen on the LAN, outside the NAT, at the peer, and at the gateway.
three_captures() {
	local place filter
	capture lan nat lan0 && capture outside inet nat && capture peer peer eth0 && capture inner gateway pubgw0 && capture wire gateway eth0
	result $? "four places are watched"
	check "the client calls the peer, and the call ends as it should" call client1 peer "$PEER_IP" "$CLIENT_PUBLIC_IP"
	check "active FTP: the server compares the address with the connection's and refuses, as it must in this mode" \
		not on client1 timeout 20 curl -sS --ftp-port - "ftp://$PEER_IP/hello.txt"
	eventually 5 "both were seen at the three places" arrived
	end_captures
	for filter in udp tcp; do
		is "$filter, on the LAN: the source is private" "$(sources lan "dst host $PEER_IP and $filter")" "$CLIENT_PRIVATE_IP"
		is "$filter, outside the NAT: the source is the NAT's" "$(sources outside "dst host $PEER_IP and $filter")" "$NAT_IP"
		is "$filter, at the peer: the source is the NAT's" "$(sources peer "dst host $PEER_IP and $filter")" "$NAT_IP"
		is "$filter: not one packet at the gateway" "$(seen inner "$filter") $(seen wire "$filter")" "0 0"
	done
	[ "$KIND" != symmetric ] || for place in outside peer; do
		check "$place: the source port is translated too" test "$(source_ports "$place" "dst host $PEER_IP and udp")" != "$CALLED_PORT"
	done
	for place in lan outside peer; do
		is "$place: the call's payload carries P" "$(sdp_in $place)" "$CLIENT_PUBLIC_IP"
		is "$place: so does the connection's" "$(told_in $place)" "$CLIENT_PUBLIC_IP"
	done
	check "no private address in the call" not grep -aq '10\.77\.0\.' "$TMP/wire.txt"
}

# On the same ports as before, at once: the NAT still has the mapping of the first call, but nobody knows that one.
called_back() {
	check "the peer calls P at once, on the same ports, and the call ends as it should" \
		call peer client1 "$CLIENT_PUBLIC_IP" "$PEER_IP"
	is "the called phone's SDP carries P" "$(sdp_of called)" "$CLIENT_PUBLIC_IP"
	check "and once more the other way" call client1 peer "$PEER_IP" "$CLIENT_PUBLIC_IP"
}

what_is_sent_to_p() {
	watch client1 <<-END
		in_ping in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP icmp type echo-request
		in_tcp in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP tcp dport 7002
		out_tcp out oifname "pub0" ip saddr $CLIENT_PUBLIC_IP tcp sport 7002
		out_errors out oifname "pub0" ip saddr $CLIENT_PUBLIC_IP icmp type destination-unreachable
		out_rst out oifname "pub0" ip saddr $CLIENT_PUBLIC_IP tcp sport 7009 tcp flags rst
	END
	watch nat <<-END
		direct in iifname "lan0" ip daddr $PEER_IP
	END
	check "ping from the peer is answered" on peer ping -c3 -i0.2 -W2 "$CLIENT_PUBLIC_IP"
	is "by the client: all three requests came by pub0" "$(counter client1 in_ping)" 3
	in_background client1 tcp socat TCP4-LISTEN:7002,fork,reuseaddr PIPE
	in_background client1 udp socat UDP4-RECVFROM:7003,fork PIPE
	in_background client1 gre socat -u IP4-RECV:47 -
	within 5 listening client1 tcp 7002
	within 5 listening client1 udp 7003
	is "TCP from the peer reaches a server on P" "$(echo over tcp | on peer socat -t3 - "TCP4:$CLIENT_PUBLIC_IP:7002")" "over tcp"
	check "by pub0" counter_above client1 in_tcp 3
	check "and is answered by it" counter_above client1 out_tcp 2
	is "UDP from the peer reaches a server on P" "$(echo over udp | on peer socat -t3 - "UDP4:$CLIENT_PUBLIC_IP:7003")" "over udp"
	is "in fragments too" "$(head -c 8000 /dev/zero | tr '\0' x | on peer socat -b 9000 -t3 - "UDP4:$CLIENT_PUBLIC_IP:7003" | wc -c)" 8000
	echo over protocol 47 | on peer socat -u - "IP4-SENDTO:$CLIENT_PUBLIC_IP:47"
	eventually 5 "IP protocol 47 from the peer reaches a program of the client" grep -q 'over protocol 47' "$TMP/gre"
	check "a closed UDP port says so to the peer" refused peer "UDP4:$CLIENT_PUBLIC_IP:7009"
	check "by the tunnel" counter_above client1 out_errors 0
	check "a closed TCP port too" refused peer "TCP4:$CLIENT_PUBLIC_IP:7009"
	check "by the tunnel" counter_above client1 out_rst 0
	is "traceroute from the peer" "$(trace peer "$CLIENT_PUBLIC_IP" 1 3)" "192.0.2.1 198.51.100.10 $CLIENT_PUBLIC_IP"
	is "none of it left directly" "$(counter nat direct)" 0
}

# trace FROM TO FIRST LAST: who answers a datagram of each TTL, to a port that nobody listens on.
trace() {
	on "$1" python3 - "$2" "$3" "$4" <<-'END'
		import socket, sys
		IP_RECVERR = 11
		to, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		for ttl in range(first, last + 1):
		    seen = "nobody"
		    for attempt in range(8): # the kernel limits ICMP errors
		        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		        s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
		        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
		        s.connect((to, 7009))
		        s.send(b"x")
		        s.settimeout(1)
		        try:
		            s.recv(1)
		        except socket.timeout:
		            continue
		        except OSError:
		            pass
		        error = s.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1][0][2]
		        seen = socket.inet_ntoa(error[20:24]) # sock_extended_err is 16 bytes, then the offender's sockaddr_in
		        break
		    print(seen, end=" " if ttl < last else "\n")
	END
}
# The routers that lie before the peer.
routers() { [ "$KIND" = double ] && echo "10.77.0.1 100.64.0.1 198.51.100.1" || echo "10.77.0.1 198.51.100.1"; }
asked_from() { sed -n "s/.*query\[A\] $1 from //p" "/run/pubaddr-lab/$PUBADDR_LAB/log/resolver" | sort -u; }

# A link before the peer takes no packets of 1500 bytes: the router says so to the NAT's address, and the program hears it.
narrow_path() {
	on inet ip link set peer mtu 1400
	check "the error for a packet that is too large comes to the program" within 10 told_mtu 1400
	head -c 2M /dev/urandom >"$TMP/sent"
	check "2 MB to the peer arrive intact by that link" bulk client1 peer "$PEER_IP"
	on inet ip link set peer mtu 1500
	on client1 ip route flush cache
}
told_mtu() {
	on client1 ping -c1 -W2 -M 'do' -s 1472 "$PEER_IP" >"$TMP/told" 2>&1 || true
	grep -q "mtu *= *$1" "$TMP/told"
}

# The kernel limits ICMP errors: ask more than once.
refuses() {
	echo x | on "$1" socat -t1 - "$2" >"$TMP/refuses" 2>&1
	grep -q 'Connection refused' "$TMP/refuses"
}
refused() { within 10 refuses "$@"; }

what_the_client_sends() {
	watch gateway <<-END
		from_client in iifname "pubgw0" ip saddr $CLIENT_PUBLIC_IP
	END
	check "ping to the peer is answered" on client1 ping -c2 -i0.2 -W2 "$PEER_IP"
	check "packets of 1500 bytes with DF pass" on client1 ping -c1 -W2 -M 'do' -s 1472 "$PEER_IP"
	is "UDP in fragments is answered" "$(head -c 8000 /dev/zero | tr '\0' x | on client1 socat -b 9000 -t3 - "UDP4:$PEER_IP:7003" | wc -c)" 8000
	check "a closed UDP port of the peer says so to the program" refused client1 "UDP4:$PEER_IP:7009"
	check "a closed TCP port too" refused client1 "TCP4:$PEER_IP:7009"
	check "the first router on the way is the NAT" sh -c "'$LAB' exec client1 -- ping -c1 -W2 -t1 '$PEER_IP' | grep -q 'From 10.77.0.1'"
	is "traceroute to the peer" "$(trace client1 "$PEER_IP" 1 $(($(routers | wc -w) + 1)))" "$(routers) $PEER_IP"
	check "names of the LAN are resolved" on client1 getent ahostsv4 dhcp.lab.test
	is "the resolver is asked from the private address" "$(asked_from dhcp.lab.test)" "$CLIENT_PRIVATE_IP"
	narrow_path
	head -c "${MEGABYTES}M" /dev/urandom >"$TMP/sent"
	check "$MEGABYTES MB to the peer arrive intact" bulk client1 peer "$PEER_IP"
	is "nothing of all that went through the tunnel" "$(counter gateway from_client)" 0
	check "$MEGABYTES MB from the peer to P arrive intact" bulk peer client1 "$CLIENT_PUBLIC_IP"
	rm -f "$TMP/sent"
}

bulk() { # bulk FROM TO ADDRESS: FROM connects to ADDRESS and sends the file
	local bulk_PID
	in_background "$2" bulk socat -u TCP4-LISTEN:7004,reuseaddr "CREATE:$TMP/got"
	within 5 listening "$2" tcp 7004
	on "$1" timeout 120 socat -u "FILE:$TMP/sent" "TCP4:$3:7004"
	wait "$bulk_PID"
	cmp "$TMP/sent" "$TMP/got"
	local rc=$?
	rm -f "$TMP/got"
	return $rc
}

servers_of_the_peer() {
	in_background peer whoami socat TCP4-LISTEN:7005,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
	in_background peer udp_echo socat -b 9000 UDP4-RECVFROM:7003,fork PIPE
	within 5 listening peer tcp 7005 && within 5 listening peer udp 7003
}

# An administrator's firewall that lets in what is asked for and what belongs to it, strict about the way back.
firewall() {
	on client1 sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1
	on client1 nft -f - <<-END
		table inet firewall {
			chain input {
				type filter hook input priority filter; policy drop
				iif lo accept
				ct state invalid counter drop
				ct state established,related accept
				meta l4proto { icmp, 47 } accept
				tcp dport { 7002, 7004, 7009 } accept
				udp dport { 68, $CALLED_PORT, 7003, 7009, 16000-16001 } accept
			}
		}
	END
}

gone() { not on client1 ip link show dev pub0 2>/dev/null; }
has_p() { on client1 ip -4 -o addr show dev eth0 | grep -q "inet $CLIENT_PUBLIC_IP/32"; }
table_is_there() { on client1 nft list chain ip pubaddr-pub0 translate | grep -q 'snat to'; }

# Everything is as it was: after the end of the grant, and after a daemon died for good.
teardown_restores() {
	on client1 nft flush ruleset
	eventually 5 "somebody flushes the ruleset: our table is there again" table_is_there
	check "and the peer is reached" on client1 ping -c1 -W2 "$PEER_IP"
	on client1 ip addr del "$CLIENT_PUBLIC_IP/32" dev eth0
	eventually 5 "somebody removes P from the interface: it is there again" has_p
	"$LAB" stop client1.tunneld
	"$LAB" start client1.tunneld
	eventually 10 "killed and started again: bound" on client1 pubaddr status
	is "in the mode native" "$(on client1 pubaddr --json status | sed -n 's/.*"mode": *"\([a-z]*\)".*/\1/p')" native
	"$LAB" release client1
	eventually 5 "the lease is given back: the interface has gone" gone
	network >"$TMP/after"
	check "the client's network is as before" diff "$TMP/before" "$TMP/after"
	"$LAB" renew client1
	eventually 10 "once more, in the mode native" has_p
	"$LAB" stop client1.tunneld
	check "killed, and cleaned up" on client1 pubaddr-tunneld --cleanup -i eth0 -c /etc/pubaddr/tunneld.conf
	network | grep -v 'default via\|10\.77\.0\.' >"$TMP/after"
	grep -v 'default via\|10\.77\.0\.' "$TMP/before" >"$TMP/before.own"
	check "the client's network is as before, but for the lease" diff "$TMP/before.own" "$TMP/after"
}

native_checks() {
	KIND=$1
	lab_up --nat "$KIND" --outbound native
	firewall
	"$LAB" release client1
	within 5 gone
	on client1 nft delete table inet firewall
	network >"$TMP/before"
	firewall
	"$LAB" renew client1
	eventually 10 "bound, with P on the LAN interface" has_p
	servers_of_the_peer
	result $? "servers of the peer"
	what_a_program_sees
	three_captures
	called_back
	what_is_sent_to_p
	what_the_client_sends
	check "no private or foreign source on the Internet" no_leaks
	teardown_restores
	done_testing
}
