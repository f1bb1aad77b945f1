#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A route for each binding, which BIRD announces: it comes and goes with the binding, and is made right when the gateway starts again.
# A gateway dies, killed and cut off; the client binds at the other one, and a TCP connection to P goes on.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat bird

TABLE=6081
talker_PID='' heard_PID='' # set by in_background
routes() { ip -n "$PUBADDR_LAB-$1" -4 route show table "$TABLE" 2>/dev/null | awk '{print $1}' | sort | paste -sd' '; }
has() { [ "$(routes "$1")" = "$2" ]; }
led_to() { on inet ip route get "$P" 2>/dev/null | grep -q "via $1 "; }
led_nowhere() { ! on inet ip route get "$P" 2>/dev/null | grep -q "via 198.51.100"; }
gateway() { on client1 pubaddr --json status | sed -n 's/.*"gateway": *"\([0-9.]*\):.*/\1/p'; }
uses() { [ "$(gateway)" = "$1" ]; }
lines() { wc -l <"$TMP/$1"; }
more_lines() { [ "$(lines "$1")" -gt "$2" ]; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }

lab_up --gateways 2 --bird
P=$CLIENT_PUBLIC_IP
eventually 5 "the gateway has a route to P in its table" has gateway "$P"
is "its protocol number is ours" "$(ip -n "$PUBADDR_LAB-gateway" -4 route show table "$TABLE" proto 224 | awk '{print $1, $3}')" "$P pubgw0"
eventually 20 "BIRD leads P to it" led_to 198.51.100.10
is "the other gateway has none" "$(routes gateway2)" ""

check "the client gives its lease back" "$LAB" release client1
eventually 5 "the route goes" has gateway ""
eventually 10 "and P is led nowhere" led_nowhere
check "the client asks again" "$LAB" renew client1
P=$(sed -n 's/^CLIENT_PUBLIC_IP=//p' "$LAB_DIR/vars")
eventually 5 "the route is there again" has gateway "$P"
eventually 20 "and BIRD leads P to it" led_to 198.51.100.10

# What a dead daemon left is wrong by the time the next one starts: too much, too little, and in another table.
"$LAB" stop gatewayd
is "the gateway dies: the route stays" "$(routes gateway)" "$P"
ip -n "$PUBADDR_LAB-gateway" route add 203.0.113.77 dev pubgw0 proto 224 table "$TABLE"
ip -n "$PUBADDR_LAB-gateway" route add 203.0.113.78 dev pubgw0 proto 224 table 6099
"$LAB" start gatewayd
eventually 10 "it starts again: what is too much goes" has gateway "$P"
is "from another table too" "$(ip -n "$PUBADDR_LAB-gateway" route show table 6099 2>/dev/null)" ""
"$LAB" stop gatewayd
ip -n "$PUBADDR_LAB-gateway" route del "$P" table "$TABLE"
"$LAB" start gatewayd
eventually 10 "what is missing comes" has gateway "$P"
eventually 10 "the binding was adopted" bound
eventually 20 "BIRD leads P to it" led_to 198.51.100.10

# A connection to P, by which the client sends a line every tenth of a second.
in_background client1 talker socat "TCP4-LISTEN:7001,reuseaddr,bind=$P" SYSTEM:'while echo line; do sleep 0.1; done'
within 5 listening client1 tcp 7001
in_background peer heard socat -u "TCP4:$P:7001" -
eventually 10 "a connection to P carries lines" more_lines heard 5
"$LAB" stop gatewayd
ip -n "$PUBADDR_LAB-inet" link set gateway down
n=$(lines heard)
eventually 50 "the gateway dies and is cut off: the client uses the other one" uses 198.51.100.26
eventually 10 "which has the route" has gateway2 "$P"
eventually 20 "BIRD leads P there" led_to 198.51.100.26
eventually 60 "the same connection goes on" more_lines heard $((n + 20))
check "both ends of it still run" kill -0 "$talker_PID" "$heard_PID"

check "--cleanup of the dead one" on gateway pubaddr-gatewayd --cleanup -c /etc/pubaddr/gatewayd.conf
is "leaves no route" "$(routes gateway)" ""
check "no private or foreign source on the Internet" no_leaks
done_testing
