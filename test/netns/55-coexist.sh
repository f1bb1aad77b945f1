#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What else is on a host: routes of DHCP option 121 stay on the LAN; a bridge with containers, forwarded and masqueraded as Docker
# does it, with a firewall that drops what it does not know, works as it would without us, and so does the tunnel beside it;
# strict reverse-path checks hold all the time.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat curl

BEHIND=198.51.100.200 # a public address that option 121 leads to a host of the LAN
reached() { on peer ping -c1 -W1 "$P"; }
seen_by_peer() { on "$1" timeout 5 socat -u "TCP4:$PEER_IP:7001,connect-timeout=3" -; }
container() { on client1 ip netns exec box "$@"; }
seen_from_box() { container timeout 5 socat -u "TCP4:$PEER_IP:7001,connect-timeout=3" -; }
counted() { [ "$(counter "$1" "$2")" -gt 0 ]; }
rpf() { on client1 nstat -asz TcpExtIPReversePathFilter | awk '$1 ~ /ReversePath/ {print $2}'; }

lab_up
on client1 sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1
in_background peer echo socat TCP4-LISTEN:7001,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
within 5 listening peer tcp 7001
filtered=$(rpf)

# ---- option 121: 198.51.100.192/26 by 10.77.0.2, all else by 10.77.0.1
on dhcp ip addr add "$BEHIND/32" dev lo
on dhcp sed -i 's/"option-data": \[{"name": "routers"/"option-data": [{"code": 121, "csv-format": false, "data": "1AC63364C00A4D0002000A4D0001"}, {"name": "routers"/' \
	/etc/kea/kea-dhcp4.conf
check "Kea reads its configuration with option 121" on dhcp kea-dhcp4 -t /etc/kea/kea-dhcp4.conf
"$LAB" stop kea
"$LAB" start kea
within 10 listening dhcp udp 67
"$LAB" release client1 >/dev/null 2>&1
check "the client gets a lease with its routes" "$LAB" renew client1
eventually 10 "and a public address" on client1 ip -4 addr show dev pub0
P=$(on client1 ip -4 -o addr show dev pub0 | awk '{sub("/.*", "", $4); print $4; exit}')
check "the route is there" sh -c "'$LAB' exec client1 -- ip route show | grep -q '^198.51.100.192/26 via 10.77.0.2 dev eth0'"
watch dhcp <<END
private in ip daddr $BEHIND ip saddr 10.77.0.0/24
public in ip daddr $BEHIND ip saddr $P
END
check "what it leads to answers" on client1 ping -c1 -W2 "$BEHIND"
check "and was asked from the private address" counted dhcp private
is "never from P" "$(counter dhcp public)" 0
is "the peer sees P" "$(seen_by_peer client1)" "$P"
check "P is reached" reached

# ---- a bridge with a container, as Docker makes it
check "a bridge with a container" on client1 sh -ec '
	sysctl -qw net.ipv4.ip_forward=1
	ip link add docker0 type bridge
	ip addr add 172.17.0.1/16 dev docker0
	ip link set docker0 up
	ip netns add box
	ip link add veth0 type veth peer name eth0 netns box
	ip link set veth0 master docker0 up
	ip -n box addr add 172.17.0.2/16 dev eth0
	ip -n box link set eth0 up
	ip -n box link set lo up
	ip -n box route add default via 172.17.0.1
	nft -f - <<-END
		table ip nat {
			chain POSTROUTING {
				type nat hook postrouting priority srcnat
				oifname != "docker0" ip saddr 172.17.0.0/16 masquerade
			}
		}
		table ip filter {
			chain FORWARD {
				type filter hook forward priority filter; policy drop
				oifname "docker0" ct state related,established accept
				iifname "docker0" oifname != "docker0" accept
			}
		}
	END'
is "the container's connections leave by plain NAT" "$(seen_from_box)" 198.51.100.2
check "it reaches the LAN" container ping -c1 -W2 10.77.0.2
check "and its host" container ping -c1 -W2 172.17.0.1
is "the host's leave by the tunnel" "$(seen_by_peer client1)" "$P"
check "P is reached" reached
check "the host reaches the container" on client1 ping -c1 -W2 172.17.0.2
check "a daemon is started again beside it" sh -c "'$LAB' stop client1.tunneld && '$LAB' start client1.tunneld"
eventually 10 "P is reached" reached
is "the container's connections leave by plain NAT" "$(seen_from_box)" 198.51.100.2
on client1 nft list ruleset >"$TMP/rules"
check "the lease is released" "$LAB" release client1
eventually 5 "the public address is gone" not on client1 ip link show dev pub0
on client1 nft list ruleset >"$TMP/rules.after"
check "the other rules are untouched" diff "$TMP/rules" "$TMP/rules.after"
check "and so is the bridge" on client1 ping -c1 -W2 172.17.0.2
is "no packet was refused by the reverse-path check" "$(rpf)" "$filtered"
check "no private or foreign source on the Internet" no_leaks
done_testing
