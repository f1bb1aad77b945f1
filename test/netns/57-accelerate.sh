#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# XDP at the gateway: what is plain is forwarded before this host makes a packet of it, so its encapsulation device sees
# none of it; what is not takes the way through the kernel, and all arrives as without XDP.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat ethtool
export PUBADDR_ACCELERATE=true
sent_PID='' # set by in_background
LOG=/run/pubaddr-lab/$PUBADDR_LAB/log

status() { ask_gateway '{"command": "status-get"}'; }
traffic() { status | grep -o "\"$1\":{\"packets\":[0-9]*" | sed 's/.*://'; }
same_file() { cmp "$TMP/file" "$1"; }

# transfer FROM TO ADDRESS PORT
transfer() {
	in_background "$2" sent socat -u "TCP4-LISTEN:$4,reuseaddr" "CREATE:$TMP/$2.got"
	within 5 listening "$2" tcp "$4"
	on "$1" socat -u "OPEN:$TMP/file" "TCP4:$3:$4"
	wait "$sent_PID"
}

lab_up
status | grep -q '"data-path":"kernel"' || {
	[ "${PUBADDR_DATAPATH:-auto}" = user ] || result 1 "the gateway's data path is the kernel's"
	done_testing
}
check "XDP is at the outer interface" sh -c "'$LAB' exec gateway -- ip -d link show dev eth0 | grep -q pa_gateway_xdp"
check "status says so" sh -c "echo '$(status)' | grep -q '\"accelerated\":true'"
# A virtual Ethernet device takes frames from XDP only if the other end polls, as real ones do.
on inet ethtool -K gateway gro on >/dev/null
watch gateway <<-END
	from_tunnel in iifname "pubgw0" ip saddr $CLIENT_PUBLIC_IP
	to_tunnel in iifname "eth0" ip daddr $CLIENT_PUBLIC_IP
END
within 10 on peer ping -c1 -W1 "$CLIENT_PUBLIC_IP" >/dev/null # neighbours are found
from=$(counter gateway from_tunnel) to=$(counter gateway to_tunnel)
head -c 20M /dev/urandom >"$TMP/file"
before=$(traffic from-tunnel)
check "20 MB to the peer" transfer client1 peer "$PEER_IP" 7001
check "arrive intact" same_file "$TMP/peer.got"
check "20 MB from the peer" transfer peer client1 "$CLIENT_PUBLIC_IP" 7002
check "arrive intact" same_file "$TMP/client1.got"
check "ping" on peer ping -c3 -i0.2 -W2 "$CLIENT_PUBLIC_IP"
check "packets of 1472 bytes with DF" on peer ping -c1 -W2 -s 1444 -M 'do' "$CLIENT_PUBLIC_IP"
check "the gateway counted them" test "$(traffic from-tunnel)" -gt $((before + 5000))
# But for one packet of each connection: where the size of segments is agreed the kernel has a look.
is "hardly any came by the encapsulation device" "$(counter gateway from_tunnel)" $((from + 2))
is "or went there" "$(counter gateway to_tunnel)" $((to + 2))
check "packets in fragments pass" on peer ping -c2 -i0.2 -W2 -s 4000 "$CLIENT_PUBLIC_IP"
check "a packet that is too long is answered so" sh -c "'$LAB' exec peer -- ping -c1 -W2 -s 1460 -M do $CLIENT_PUBLIC_IP 2>&1 | grep -qi 'mtu *= *1472\|too long'"
check "traceroute's first packet is answered by the gateway" sh -c "'$LAB' exec client1 -- ping -c1 -W2 -t1 -I $CLIENT_PUBLIC_IP $PEER_IP | grep -q 'Time to live exceeded'"
check "no private or foreign source on the Internet" no_leaks
"$LAB" stop gatewayd
check "the gateway dies: ping" on peer ping -c3 -i0.2 -W2 "$CLIENT_PUBLIC_IP"
check "--cleanup" on gateway pubaddr-gatewayd --cleanup -c /etc/pubaddr/gatewayd.conf
check "takes XDP away" sh -c "! '$LAB' exec gateway -- ip -d link show dev eth0 | grep -q xdp"

# ---- a driver that does not do XDP
on gateway sh -e <<-'END'
	gateway=$(ip -o -4 route show default | sed 's/.* via \([^ ]*\).*/\1/')
	addresses=$(ip -o -4 address show dev eth0 | sed 's/.* inet \([^ ]*\) .*/\1/')
	ip link add br0 type bridge
	ip address flush dev eth0
	ip link set eth0 master br0
	ip link set br0 up
	for a in $addresses; do ip address add "$a" dev br0; done
	ip route add default via "$gateway"
END
check "a bridge at the outer side: the gateway starts" "$LAB" start gatewayd
eventually 10 "the log says why it goes without XDP" grep -q 'datapath.unaccelerated interface=br0 reason="its driver does not do XDP"' "$LOG/gatewayd"
check "and there is none, the kernel's neither" sh -c "! '$LAB' exec gateway -- ip -d link show dev br0 | grep -q xdp"
eventually 30 "the address is reached" on peer ping -c1 -W1 "$CLIENT_PUBLIC_IP"
is "by programs in the kernel" "$(status | grep -o '"data-path":"kernel"\|"accelerated":[a-z]*' | paste -sd' ')" '"data-path":"kernel" "accelerated":false'
done_testing
