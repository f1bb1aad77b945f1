#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# How long a client is out of reach when the NAT has moved its mappings: until its next keepalive if it is idle, for less
# than 1 s if it is sending. Measured by the kernel's time stamps of the packets that arrive on its public interface.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat tcpdump

KEEPALIVE=15 # seconds
arrivals_PID='' pings_PID='' sender_PID='' # set by in_background

# What arrived on pub0: when, by the kernel, and when it was sent, which stands in the packet; Unix seconds.
arrivals() { awk '$2 == "IP" {at = $1} match($0, /sent=[0-9.]+;/) {print at, substr($0, RSTART + 5, RLENGTH - 6)}' "$TMP/arrivals"; }
arrives() { [ "$(arrivals | wc -l)" -gt "${1:-0}" ]; }
# Seconds from the move's begin to the first arrival of something that was sent after its end.
outage() {
	arrivals | awk -v from="$(sed -n 1p "$LAB_DIR/rebound")" -v to="$(sed -n 2p "$LAB_DIR/rebound")" \
		'$2 > to {printf "%.3f\n", $1 - from; exit}'
}
healed() { [ -n "$(outage)" ]; }
mapped() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | sed -n 's/.*"mapped": *"\([^"]*\)".*/\1/p'; }
under() { awk -v v="$1" -v max="$2" 'BEGIN {exit !(v != "" && v + 0 <= max)}'; }

# The peer sends something every 20 ms, and nobody answers it.
start_watching() {
	in_background client1 arrivals tcpdump -U -l -tt -n -A -i pub0 "udp and src host $PEER_IP and dst port 7009"
	within 5 grep -q listening "$TMP/arrivals"
	on client1 nft 'table ip silent { chain out { type filter hook output priority 0; icmp type destination-unreachable drop; }; }'
	# shellcheck disable=SC2016 # for the other shell
	in_background peer pings bash -c 'exec 3>/dev/udp/'"$P"'/7009; while sleep 0.02; do echo "sent=$EPOCHREALTIME;" >&3; done' 2>/dev/null
	within 5 arrives 10
}

move() { # move WHAT SECONDS: the outage must not be longer
	local before took
	before=$(mapped)
	check "$1: the mappings move" "$LAB" rebind idle
	eventually $(($2 + 20)) "$1: packets arrive again" healed
	took=$(outage)
	check "$1: within $2 s: after $took s" under "$took" "$2"
	check "$1: the gateway saw another mapped address than $before" test "$(mapped)" != "$before"
}

for nat in port-restricted symmetric double; do
	lab_up --nat "$nat" --keepalive "$KEEPALIVE"
	P=$CLIENT_PUBLIC_IP
	start_watching
	# The one kind idle suffices: what differs between the kinds is how mappings are made, not when.
	[ "$nat" = double ] || move "$nat, idle" "$KEEPALIVE"
	# shellcheck disable=SC2016 # for the other shell
	in_background client1 sender bash -c 'exec 3>/dev/udp/'"$PEER_IP"'/7010; while sleep 0.05; do echo x >&3; done' 2>/dev/null
	within 5 test -n "$sender_PID"
	for round in 1 2 3; do
		within 10 arrives $(($(arrivals | wc -l) + 100)) # a while after the last move: proofs are limited to one a second
		move "$nat, sending, $round" 1
	done
	check "$nat: no private or foreign source on the Internet" no_leaks
	kill "$arrivals_PID" "$pings_PID" "$sender_PID" 2>/dev/null
	"$LAB" down
done
done_testing
