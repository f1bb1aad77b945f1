#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Gateways that die: a dead one is left within 45 s; when all are dead the default route is plain NAT's within 45 s, and the
# tunnel's again when one is back; a gateway that comes back on another address of the grant's list is found. The client is idle.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

LEAVE=45 # seconds
reached() { on peer ping -c1 -W1 "$P"; }
seen_by_peer() { on client1 timeout 5 socat -u "TCP4:$PEER_IP:7001,connect-timeout=3" -; }
plain_nat() { on client1 ip route get "$PEER_IP" | grep -q "dev eth0"; }
tunnelled() { on client1 ip route get "$PEER_IP" | grep -q "dev pub0 .*src $P"; }
gateway() { on client1 pubaddr --json status | sed -n 's/.*"gateway": *"\([0-9.]*\):.*/\1/p'; }
uses() { [ "$(gateway)" = "$1" ]; }
epoch() { on client1 pubaddr --json status | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
host_up() { ip -n "$PUBADDR_LAB-inet" link set "$1" up; }
host_down() { ip -n "$PUBADDR_LAB-inet" link set "$1" down; }

# bounded MILLISECONDS SECONDS WHAT: it happened within that time since.
bounded() {
	local took=$(($(now_ms) - $1))
	check "$3: after $took ms" test "$took" -le $(($2 * 1000))
}

# ---- two hosts; the pool is led to the living one, as a routing protocol would
lab_up --gateways 2
P=$CLIENT_PUBLIC_IP
in_background peer echo socat TCP4-LISTEN:7001,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
within 5 listening peer tcp 7001
is "the first gateway of the list serves" "$(gateway)" 198.51.100.10
check "P is reached" reached
was=$(epoch)

host_down gateway
died=$(now_ms)
"$LAB" pool-route gateway2
eventually $((LEAVE + 15)) "the first gateway dies: P is reached by the second" reached
bounded "$died" "$LEAVE" "within $LEAVE s"
is "which the client names" "$(gateway)" 198.51.100.26
is "the epoch is the same" "$(epoch)" "$was"
check "the default route is the tunnel's" tunnelled

host_down gateway2
died=$(now_ms)
eventually $((LEAVE + 15)) "the second one dies too: plain NAT" plain_nat
bounded "$died" "$LEAVE" "within $LEAVE s"
is "the peer sees the NAT's address" "$(seen_by_peer)" 198.51.100.2
check "P stays on its interface, for what is bound to it" on client1 ip -4 addr show dev pub0
check "status says why" on client1 sh -c "pubaddr status | grep -q 'does not answer'"

host_up gateway
"$LAB" pool-route gateway
eventually 60 "the first one is back: the default route is the tunnel's" tunnelled
eventually 5 "P is reached" reached
is "the peer sees P" "$(seen_by_peer)" "$P"
is "the epoch is the same" "$(epoch)" "$was"
check "no private or foreign source on the Internet" no_leaks
"$LAB" down

# ---- one host with two addresses, and a gateway daemon that changes between them
lab_up --keepalive 15
P=$CLIENT_PUBLIC_IP
SECOND=198.51.100.11
ip -n "$PUBADDR_LAB-gateway" addr add "$SECOND/29" dev eth0
on inet nft insert rule ip internet ingress iifname gateway ip saddr "$SECOND" accept
on broker sed -i "s/\"198.51.100.10:6080\"/&, \"$SECOND:6080\"/; s/\[\"gw1\"\]/[\"gw1\", \"gw1\"]/" /etc/pubaddr/brokerd.conf
check "the broker reads another list of gateways" on broker pubaddrctl reload
# The option's octets stand in the state file as digits: the second gateway's address and port 6080.
listed() { on client1 grep -q "$(printf '%02x%02x%02x%02x%04x' 198 51 100 11 6080)" /run/pubaddr/tunneld-eth0.state; }
check "the client renews" "$LAB" renew client1
eventually 10 "and gets it" listed
check "P is reached" reached
was=$(epoch)
# The second address is free for that only while it serves no probes.
listen() {
	on gateway sed -i "s/\"listen\": \[\"[0-9.]*:/\"listen\": [\"$1:/; s/\"probe-listen\": \[[^]]*\]/\"probe-listen\": []/" \
		/etc/pubaddr/gatewayd.conf
}

listen "$SECOND"
kill "$(cat "$LAB_DIR/pids/gatewayd")"
died=$(now_ms)
within 10 not test -e "/proc/$(cat "$LAB_DIR/pids/gatewayd")"
check "the gateway is stopped, and started on its second address" "$LAB" start gatewayd
eventually $((LEAVE + 15)) "P is reached" reached
bounded "$died" 10 "soon, for it said goodbye"
is "the client uses the second address" "$(gateway)" "$SECOND"

listen 198.51.100.10
check "the gateway dies" "$LAB" stop gatewayd
died=$(now_ms)
check "and is started on its first address" "$LAB" start gatewayd
eventually $((LEAVE + 15)) "the client uses the first address" uses 198.51.100.10
bounded "$died" "$LEAVE" "within $LEAVE s"
eventually 5 "P is reached" reached
is "the epoch is the same" "$(epoch)" "$was"
check "no private or foreign source on the Internet" no_leaks
done_testing
