#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Data that nobody may send: from foreign outer addresses, with foreign inner sources, to what the gateway must not reach; and
# into the client from others than its gateway.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat nft
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up

# A second network of the gateway's host, inside what "allow" lets clients reach: for its management.
on gateway ip addr add 192.0.2.200/28 dev eth0
watch gateway <<-END
	from_tunnel in iifname "pubgw0" ip daddr { 198.51.100.10, 198.51.100.15, 192.0.2.200, 192.0.2.207 }
	private in iifname "pubgw0" ip daddr { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 224.0.0.0/3 }
END
watch peer <<-END
	from_holder in ip saddr 203.0.113.0/24 udp dport 1000
END
HOLDER=203.0.113.60
read -r secret public < <(make_message key)
attacker peer bind "$(make_grant "$GATEWAY_KEY" "$public" $HOLDER 1000 600)" "$secret" "$GW" 5100 >"$TMP/bind"
remember
packet() { make_message data "$1:1000" "$2:1000"; }
send() { attacker peer ask "$GW" "$1" "${@:2}"; }

rises 0 gw_refused destination "the holder may reach the Internet" send 5100 "$(packet $HOLDER "$PEER_IP")"
check "it arrives" within 2 counter_above peer from_holder 0
arrived=$(counter peer from_holder)
rises 1 gw_refused outer "its data from another port" send 5101 "$(packet $HOLDER "$PEER_IP")"
check "is answered by 20 bytes at most" not grep -qE '^.{41,}$' "$TMP/said"
rises 1 gw_refused outer "data of another holder" send 5100 "$(packet "$CLIENT_PUBLIC_IP" "$PEER_IP")"
rises 1 gw_refused outer "the same with the gateway's own port as source" attacker inet raw 198.51.100.1:6080 "$GW" "$(packet "$CLIENT_PUBLIC_IP" "$PEER_IP")"
rises 4 gw_refused unbound "sources that nobody holds" send 5100 "$(packet 203.0.113.61 "$PEER_IP")" \
	"$(packet 10.77.0.100 "$PEER_IP")" "$(packet 198.51.100.10 "$PEER_IP")" "$(packet 127.0.0.1 "$PEER_IP")"
good=$(packet $HOLDER "$PEER_IP")
rises 4 gw_refused malformed "no whole IP packet: shorter, longer, another version, a wrong header length" \
	send 5100 "${good:0:66}" "${good}00" "7${good:1}" "4f${good:2}"
is "nothing of all that arrived" "$(counter peer from_holder)" "$arrived"

own="198.51.100.10 198.51.100.15 192.0.2.200 192.0.2.207"
special="0.0.0.0 10.77.0.2 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.168.1.1 224.0.0.1 240.0.0.1 255.255.255.255 198.18.0.1"
packets=()
for to in $own; do
	packets+=("$(packet $HOLDER "$to")")
done
# The kernel tells of a change of addresses; until then the broadcast address of a network just added is unknown.
eventually 5 "the gateway knows its new addresses" sh -c "'$LAB' exec gateway -- ip route show table local | grep -q 192.0.2.207"
rises 4 gw_refused destination "the gateway's host, its management and its broadcast addresses" send 5100 "${packets[@]}"
is "none came out of the tunnel" "$(counter gateway from_tunnel)" 0
packets=()
for to in $special; do
	packets+=("$(packet $HOLDER "$to")")
done
rises 11 gw_refused destination "private, link-local, loopback, multicast and reserved networks" send 5100 "${packets[@]}"
is "none came out of the tunnel" "$(counter gateway private)" 0
rises 1 gw_refused port "mail" on client1 timeout 0.5 socat -u /dev/null "TCP4:$PEER_IP:25"
unchanged

# Into the client. Its NAT lets only the gateway's packets through, so the neighbour is on the LAN.
mapped=$(binding_field "$CLIENT_PUBLIC_IP" mapped)
port=${mapped#*:}
cl_refused() { client_status | sed 's/.*"from-tunnel"//' | grep -o "\"$1\":[0-9]*" | cut -d: -f2 | grep . || echo 0; }
inject() { attacker dhcp raw "$1" "$CLIENT_PRIVATE_IP:$port" "${@:2}"; }
watch client1 <<-END
	injected in iifname "pub0" udp dport 1000
END
rises 1 cl_refused outer "from another outer address than the gateway's" inject 192.0.2.66:6080 "$(packet "$PEER_IP" "$CLIENT_PUBLIC_IP")"
rises 1 cl_refused outer "from another port of the gateway" inject 198.51.100.10:6081 "$(packet "$PEER_IP" "$CLIENT_PUBLIC_IP")"
rises 3 cl_refused destination "to another address than P" inject "$GW" "$(packet "$PEER_IP" 203.0.113.99)" \
	"$(packet "$PEER_IP" "$CLIENT_PRIVATE_IP")" "$(packet "$PEER_IP" 127.0.0.1)"
rises 6 cl_refused source "from itself, its LAN, private, loopback, multicast" inject "$GW" \
	"$(packet "$CLIENT_PUBLIC_IP" "$CLIENT_PUBLIC_IP")" "$(packet "$CLIENT_PRIVATE_IP" "$CLIENT_PUBLIC_IP")" \
	"$(packet 10.77.0.2 "$CLIENT_PUBLIC_IP")" "$(packet 192.168.1.1 "$CLIENT_PUBLIC_IP")" \
	"$(packet 127.0.0.1 "$CLIENT_PUBLIC_IP")" "$(packet 224.0.0.1 "$CLIENT_PUBLIC_IP")"
is "nothing came in" "$(counter client1 injected)" 0
unchanged
no_amplification
done_testing
