# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# What a client with a public address must see, whatever the NAT. Sourced by the 1N-KIND.sh files: path_checks OPTIONS.
# Stock programs only: hostname -I asks getifaddrs; socat and curl report getsockname of their connected socket.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat curl

LAST_CHECKS=true # a function of the test's own
MEGABYTES=100
LEASE_TIME=20 # renewed after 10 s, so that the test sees renewals

local_address() { # local_address TCP4|UDP4 PORT: what a socket connected to the peer says is its own address
	on client1 socat -d -d -u /dev/null "$1:$PEER_IP:$2" 2>&1 |
		sed -n 's/.*connected from local address AF=2 \([0-9.]*\):.*/\1/p'
}

counters() {
	watch client1 <<-END
		ping in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP icmp type echo-request
		tcp in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP tcp dport 7002
		udp in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP udp dport 7003
		gre in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP ip protocol 47
		lan_by_tunnel out oifname "pub0" ip daddr 10.77.0.0/24
		direct out oifname "eth0" ip daddr $PEER_IP
		public_on_lan out oifname "eth0" ip saddr $CLIENT_PUBLIC_IP
	END
	watch inet <<-END
		outer in iifname "nat" ip saddr 198.51.100.2 ip daddr 198.51.100.10 udp dport 6080
		beside in iifname "nat" ip saddr . ip daddr != { 198.51.100.2 . 198.51.100.10 }
	END
	watch dhcp <<-END
		renewals in ip saddr $CLIENT_PRIVATE_IP udp sport 68 udp dport 67
		pings in ip saddr $CLIENT_PRIVATE_IP icmp type echo-request
		public in ip saddr $CLIENT_PUBLIC_IP
	END
}

what_a_program_sees() {
	check "getifaddrs: hostname -I lists P" sh -c "'$LAB' exec client1 -- hostname -I | grep -qw '$CLIENT_PUBLIC_IP'"
	is "getsockname of a connected TCP socket is P" "$(local_address TCP4 21)" "$CLIENT_PUBLIC_IP"
	is "getsockname of a connected UDP socket is P" "$(local_address UDP4 9)" "$CLIENT_PUBLIC_IP"
	is "curl says so too" "$(on client1 curl -sS -o /dev/null -w '%{local_ip}' "ftp://$PEER_IP/hello.txt")" "$CLIENT_PUBLIC_IP"
	in_background peer echo socat TCP4-LISTEN:7001,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
	within 5 listening peer tcp 7001
	is "the peer of a connection sees P" "$(on client1 socat -u "TCP4:$PEER_IP:7001" -)" "$CLIENT_PUBLIC_IP"
}

# Packets that the gateway's daemon has sent to the client through the tunnel.
tunnelled() {
	ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$CLIENT_PUBLIC_IP\"}}" |
		sed -n 's/.*"packets-to-client": *\([0-9]*\).*/\1/p'
}

from_the_peer() {
	local before
	before=$(tunnelled)
	check "ping from the peer is answered" on peer ping -c3 -i0.2 -W2 "$CLIENT_PUBLIC_IP"
	is "by the client: all three requests came by pub0" "$(counter client1 ping)" 3
	check "the tunnel's counter at the gateway rose" test "$(tunnelled)" -ge $((before + 3))
	check "full-size packets with DF pass to the client" on peer ping -c2 -i0.2 -W2 -M 'do' -s 1444 "$CLIENT_PUBLIC_IP"
	check "and from it" on client1 ping -c2 -i0.2 -W2 -M 'do' -s 1444 "$PEER_IP"

	in_background client1 tcp socat TCP4-LISTEN:7002,fork,reuseaddr PIPE
	in_background client1 udp socat UDP4-RECVFROM:7003,fork PIPE
	within 5 listening client1 tcp 7002
	within 5 listening client1 udp 7003
	is "TCP from the peer reaches a server on P" "$(echo over tcp | on peer socat -t3 - "TCP4:$CLIENT_PUBLIC_IP:7002")" "over tcp"
	check "by pub0" counter_above client1 tcp 3
	is "UDP from the peer reaches a server on P" "$(echo over udp | on peer socat -t3 - "UDP4:$CLIENT_PUBLIC_IP:7003")" "over udp"
	is "by pub0, one packet" "$(counter client1 udp)" 1

	in_background client1 gre socat -u IP4-RECV:47 -
	within 5 raw_socket client1
	echo over protocol 47 | on peer socat -u - "IP4-SENDTO:$CLIENT_PUBLIC_IP:47"
	eventually 5 "IP protocol 47 from the peer reaches a program of the client" grep -q 'over protocol 47' "$TMP/gre"
	is "by pub0, as protocol 47" "$(counter client1 gre)" 1
}

raw_socket() { on "$1" ss -Hlnw | grep -q ':47\|:gre'; }

same_sum() { [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]; }

# bulk FROM TO ADDRESS: FROM connects to ADDRESS and sends the file.
bulk() {
	local bulk_PID
	in_background "$2" bulk socat -u TCP4-LISTEN:7004,reuseaddr "CREATE:$TMP/got"
	within 5 listening "$2" tcp 7004
	on "$1" timeout 120 socat -u "FILE:$TMP/sent" "TCP4:$3:7004"
	wait "$bulk_PID"
	same_sum "$TMP/sent" "$TMP/got"
	local rc=$?
	rm -f "$TMP/got"
	return $rc
}

both_ways() {
	head -c "${MEGABYTES}M" /dev/urandom >"$TMP/sent"
	check "$MEGABYTES MB to the peer arrive intact" bulk client1 peer "$PEER_IP"
	check "$MEGABYTES MB from the peer to P arrive intact" bulk peer client1 "$CLIENT_PUBLIC_IP"
	rm -f "$TMP/sent"
}

asked_from() { sed -n "s/.*query\[A\] $1 from //p" "/run/pubaddr-lab/$PUBADDR_LAB/log/resolver" | sort -u; }

what_stays_on_the_lan() {
	on client1 getent ahostsv4 dhcp.lab.test >/dev/null
	is "the resolver is asked from the private address" "$(asked_from dhcp.lab.test)" "$CLIENT_PRIVATE_IP"
	check "a host of the LAN answers" on client1 ping -c1 -W2 10.77.0.2
	is "it was asked from the private address" "$(counter dhcp pings)" 1
	eventually $((LEASE_TIME + 10)) "the DHCP server gets renewals from the private address" counter_above dhcp renewals 0
	is "nothing for the LAN went into the tunnel" "$(counter client1 lan_by_tunnel)" 0
	is "the LAN's server never saw P" "$(counter dhcp public)" 0
	is "P is still the client's after the renewal" \
		"$(on client1 ip -4 -o addr show dev pub0 | awk '{print $4}')" "$CLIENT_PUBLIC_IP/32"
	check "and still reached" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
	check "outside the NAT the tunnel has the NAT's address" counter_above inet outer 100
	is "and nothing but the tunnel to the gateway comes out of it" "$(counter inet beside)" 0
	is "no packet with source P on the LAN" "$(counter client1 public_on_lan)" 0
	is "nothing went to the peer beside the tunnel" "$(counter client1 direct)" 0
	check "no private or foreign source on the Internet" no_leaks
}

path_checks() {
	lab_up --lease-time "$LEASE_TIME" "$@"
	check "P is of the pool: $CLIENT_PUBLIC_IP" expr "$CLIENT_PUBLIC_IP" : '203\.0\.113\.'
	counters
	what_a_program_sees
	from_the_peer
	both_ways
	what_stays_on_the_lan
	"$LAST_CHECKS"
	done_testing
}
