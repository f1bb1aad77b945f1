#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A pool that is not routed to the gateway, but on the link that it shares with its router: the gateway answers ARP for the bound
# addresses and no other ones, and announces them. The kernel's data path carries them, with XDP too.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat ethtool

ROUTER=203.0.113.254
proxies() { ip -n "$PUBADDR_LAB-gateway" neigh show proxy | awk '{print $1, $3}' | sort | paste -sd' '; }
answers_for() { [ "$(proxies)" = "$1" ]; }
host_route() { ip -n "$PUBADDR_LAB-gateway" route show exact "$P/32" | grep -q "dev pubgw0 proto 224"; }
mac_of_gateway() { ip -n "$PUBADDR_LAB-gateway" -o link show eth0 | sed 's/.*ether \([0-9a-f:]*\).*/\1/'; }
neighbour() { ip -n "$PUBADDR_LAB-inet" neigh show "$1" dev gateway | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'; }
knows() { [ "$(neighbour "$1")" = "$(mac_of_gateway)" ]; }
reached() { on peer ping -c1 -W1 "$P"; }
status() { ask_gateway '{"command": "status-get"}'; }
restart_with() { # restart_with SED
	on gateway sed -i "$1" /etc/pubaddr/gatewayd.conf
	"$LAB" stop gatewayd
	"$LAB" start gatewayd
}
release() { "$LAB" release client1; }
renew() { "$LAB" renew client1 && P=$(sed -n 's/^CLIENT_PUBLIC_IP=//p' "$LAB_DIR/vars"); }

# The router is in the pool's network, and so is the gateway; nothing is routed.
on_link() {
	ip -n "$PUBADDR_LAB-inet" route del 203.0.113.0/24
	ip -n "$PUBADDR_LAB-inet" addr add "$ROUTER/24" dev gateway
	ip -n "$PUBADDR_LAB-gateway" route del unreachable 203.0.113.0/24 metric 9999
	ip -n "$PUBADDR_LAB-gateway" addr add 203.0.113.253/24 dev eth0
	restart_with 's/"prefix": "203.0.113.0\/24"/&, "on-link": "eth0"/'
}

lab_up
P=$CLIENT_PUBLIC_IP
ip -n "$PUBADDR_LAB-gateway" link add dummy7 type dummy
on_link
eventually 10 "the gateway answers ARP for P, on the link" answers_for "$P eth0"
check "and has a route to it" host_route
eventually 10 "P is reached by the router" reached
check "which knows the gateway's station for it" knows "$P"
check "the client reaches the peer" on client1 ping -c1 -W2 "$PEER_IP"
check "and the router on the link" on client1 ping -c1 -W2 "$ROUTER"
[ "${PUBADDR_DATAPATH:-auto}" = user ] || check "the data path is the kernel's" sh -c "grep -q '\"data-path\": *\"kernel\"' <<'END'
$(status)
END"
check "an address that is not bound is not answered for" not on inet ping -c1 -W2 203.0.113.99
is "nobody has a station for it" "$(neighbour 203.0.113.99)" ""

# More than a pipe takes at once (PIPE_BUF) socat could wait for ever to write, for it is the one who reads it.
in_background client1 echo socat -b4096 "TCP4-LISTEN:7001,reuseaddr,fork,bind=$P" PIPE
within 5 listening client1 tcp 7001
head -c 2000000 /dev/urandom >"$TMP/sent"
on peer socat -t10 - "TCP4:$P:7001" <"$TMP/sent" >"$TMP/back"
check "2 MB by TCP to P and back" cmp "$TMP/sent" "$TMP/back"

check "the client gives its lease back" release
eventually 5 "then the gateway answers no more" answers_for ""
check "nor has a route" not host_route
# The router believes that P is at another station, as after a move; only an announcement can correct that in time.
ip -n "$PUBADDR_LAB-inet" neigh replace "$P" lladdr 02:00:00:00:00:01 dev gateway nud reachable
check "the client asks again" renew
eventually 5 "the gateway announces P: the router knows the right station" knows "$P"
eventually 5 "P is reached" reached

"$LAB" stop gatewayd
ip -n "$PUBADDR_LAB-gateway" neigh add proxy 203.0.113.77 dev eth0 proto 224
ip -n "$PUBADDR_LAB-gateway" neigh add proxy 203.0.113.78 dev dummy7 proto 224
ip -n "$PUBADDR_LAB-gateway" neigh add proxy 192.0.2.99 dev eth0
ip -n "$PUBADDR_LAB-gateway" route add 203.0.113.77 dev pubgw0 proto 224
"$LAB" start gatewayd
eventually 10 "killed and started again: it makes right what is ours, and only that" answers_for "192.0.2.99 eth0 $P eth0"
is "routes too" "$(ip -n "$PUBADDR_LAB-gateway" route show dev pubgw0 proto 224 | awk '{print $1}')" "$P"
check "P is reached" reached

"$LAB" stop gatewayd
check "--cleanup of a dead one" on gateway pubaddr-gatewayd --cleanup -c /etc/pubaddr/gatewayd.conf
is "leaves what was not ours" "$(proxies)" "192.0.2.99 eth0"
on gateway sed -i 's/"on-link": "eth0"/"on-link": "eth7"/' /etc/pubaddr/gatewayd.conf
on gateway timeout 10 pubaddr-gatewayd -c /etc/pubaddr/gatewayd.conf >"$TMP/said" 2>&1
is "an interface that is not there is an error" $? 1
check "which names place and remedy" grep -q 'gatewayd.conf:.*pools\[0\].on-link: there is no interface eth7; name' "$TMP/said"
check "no private or foreign source on the Internet" no_leaks
"$LAB" down

[ "${PUBADDR_DATAPATH:-auto}" = user ] && done_testing
export PUBADDR_ACCELERATE=true
lab_up
P=$CLIENT_PUBLIC_IP
on_link
# A virtual Ethernet device takes frames from XDP only if the other end polls, as real ones do.
on inet ethtool -K gateway gro on >/dev/null
eventually 10 "with XDP: P is reached" reached
check "XDP helps" sh -c "grep -q '\"accelerated\": *true' <<'END'
$(status)
END"
in_background client1 echo socat -b4096 "TCP4-LISTEN:7001,reuseaddr,fork,bind=$P" PIPE
within 5 listening client1 tcp 7001
on peer socat -t10 - "TCP4:$P:7001" <"$TMP/sent" >"$TMP/back"
check "2 MB by TCP to P and back" cmp "$TMP/sent" "$TMP/back"
done_testing
