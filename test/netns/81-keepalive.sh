#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# How long the NAT holds a mapping is learned beside the tunnel: the keepalive interval becomes as long as the NAT allows, and at
# no time was the tunnel's own flow silent for longer than that. By time stamps of what the NAT sees of it.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump

BOUND=30 # seconds, of grant and gateway
flow_PID='' # set by in_background
status() { on client1 pubaddr --json status | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"; }
interval() { status keepalive-interval; }
interval_is() { [ "$(interval)" -ge "$1" ] && [ "$(interval)" -le "$2" ]; }
settled() { grep -q "keepalive.learned interval=$1 bound=$BOUND held=$1 lost=$2" "/run/pubaddr-lab/$PUBADDR_LAB/log/client1.tunneld"; }
nat_holds() { on nat sysctl -qw net.netfilter.nf_conntrack_udp_timeout="$1" net.netfilter.nf_conntrack_udp_timeout_stream="$1"; }

# The port of the tunnel's own socket: the NAT keeps ports here.
own_port() {
	ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$CLIENT_PUBLIC_IP\"}}" |
		sed -n 's/.*"mapped": *"[^"]*:\([0-9]*\)".*/\1/p'
}
# What leaves by the tunnel's own flow, seen by the NAT.
watch_flow() {
	in_background nat flow tcpdump -U -l -tt -n -i lan0 "udp src port $1 and dst port 6080"
	within 5 grep -q listening "$TMP/flow"
}
flows() { [ "$(grep -c ' IP ' "$TMP/flow")" -ge "$1" ]; }
# The longest and the last pause of the flow, in seconds.
pauses() { awk '$2 == "IP" {if (t) {d = $1 - t; if (d > m) m = d}; t = $1} END {printf "%.1f %.1f\n", m, d}' "$TMP/flow"; }
between() { awk -v v="$1" -v a="$2" -v b="$3" 'BEGIN {exit !(v >= a && v <= b)}'; }

lab_up --keepalive "$BOUND"
eventually 5 "it begins with the shortest" interval_is 15 15
watch_flow "$(own_port)"
eventually 90 "a NAT that holds mappings for long: the interval is the longest that was agreed" interval_is "$BOUND" "$BOUND"
n=$(grep -c ' IP ' "$TMP/flow")
eventually 90 "keepalives go on" flows $((n + 3))
read -r longest last < <(pauses)
check "the last pause was about that: $last s" between "$last" 26 31
check "none was longer: $longest s" between "$longest" 15 33
kill "$flow_PID"
"$LAB" down

# A shorter time than the interval agreed on: without learning P would be out of reach in between.
lab_up --keepalive "$BOUND"
nat_holds 28
watch_flow "$(own_port)"
eventually 280 "a NAT that holds mappings for 28 s: learned" settled 22 30
check "the interval leaves room for a repeat" interval_is 20 25
n=$(grep -c ' IP ' "$TMP/flow")
eventually 90 "keepalives go on" flows $((n + 2))
read -r longest last < <(pauses)
check "no pause was longer than the NAT waits: $longest s" between "$longest" 15 26
check "the last one is what was learned: $last s" between "$last" 18 24
check "P is reached" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
kill "$flow_PID"
check "no private or foreign source on the Internet" no_leaks
done_testing
