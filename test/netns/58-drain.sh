#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A gateway is emptied while numbered datagrams go both ways: its client binds at the other one first, the route to P follows (BIRD),
# and not one of them is lost or comes twice. Nobody binds at a drained gateway, whatever restarts, until it is undrained.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat bird
BUILD=${PUBADDR_BUILD:-$HERE/../../build}
[ -e "$BUILD/config.status" ] || BUILD=$HERE/../..
make -s -C "$BUILD/test" netns/numbered >"$TMP/make" 2>&1 || {
	note <"$TMP/make"
	skip_all "netns/numbered cannot be built in $BUILD"
}
NUMBERED=$BUILD/test/netns/numbered
up_PID='' down_PID='' at_peer_PID='' at_client_PID='' # set by in_background

gateway() { on client1 pubaddr --json status | sed -n 's/.*"gateway": *"\([0-9.]*\):.*/\1/p'; }
uses() { [ "$(gateway)" = "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
log_count() { grep -c "$2" "/run/pubaddr-lab/$PUBADDR_LAB/log/$1"; }
led_to() { on inet ip route get "$P" | grep -q "via $1 "; }
ask() { echo "$2" | on "$1" socat -t5 - UNIX:/run/pubaddr/gateway.sock; }
drained() { ask "$1" '{"command": "status-get"}' | grep -q '"drained": *true'; }
bound_at() { ask "$1" "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
reached() { on peer ping -c1 -W1 "$P"; }

start_numbers() { # start_numbers RATE
	in_background peer at_peer "$NUMBERED" receive "$PEER_IP:7010" 3000
	in_background client1 at_client "$NUMBERED" receive "$P:7011" 3000
	within 5 listening peer udp 7010
	within 5 listening client1 udp 7011
	in_background client1 up "$NUMBERED" send "$P:7020" "$PEER_IP:7010" "$1"
	in_background peer down "$NUMBERED" send "$PEER_IP:7021" "$P:7011" "$1"
}
stop_numbers() {
	kill "$up_PID" "$down_PID"
	wait "$up_PID" "$down_PID"
	within 30 ended "$at_peer_PID"
	within 30 ended "$at_client_PID"
	note <<<"up: sent $(<"$TMP/up"), arrived $(<"$TMP/at_peer") (once, again); down: sent $(<"$TMP/down"), arrived $(<"$TMP/at_client")"
}
no_loss() { [ "$(<"$TMP/at_peer")" = "$(<"$TMP/up") 0" ] && [ "$(<"$TMP/at_client")" = "$(<"$TMP/down") 0" ]; }
find_rate() {
	for RATE in 20000 10000 5000 2000 1000; do
		start_numbers "$RATE"
		sleep 2 # how long the measurement takes
		stop_numbers
		no_loss && return
	done
	return 1
}

# moves DRAIN-COMMAND FROM TO ADDRESS: with traffic, until the old gateway has forgotten the client.
moves() {
	start_numbers "$RATE"
	check "$1" on broker sh -c "$1"
	eventually 15 "the client uses $3" uses "$4"
	check "P is bound at $3" bound_at "$3"
	check "and still carried at $2" bound_at "$2"
	eventually 20 "the route to P leads there" led_to "$4"
	eventually 20 "then $2 forgets it" not bound_at "$2"
	check "both senders still run" kill -0 "$up_PID" "$down_PID"
	stop_numbers
	is "each datagram to the peer arrived, and once" "$(<"$TMP/at_peer")" "$(<"$TMP/up") 0"
	is "each datagram to the client arrived, and once" "$(<"$TMP/at_client")" "$(<"$TMP/down") 0"
}

lab_up --gateways 2 --bird
P=$CLIENT_PUBLIC_IP
is "the first gateway of the list serves" "$(gateway)" 198.51.100.10
eventually 20 "BIRD leads P to it" led_to 198.51.100.10
eventually 5 "P is reached" reached
check "a rate is carried without loss" find_rate
note <<<"rate: $RATE datagrams a second each way"

moves "pubaddrctl gateway drain gw1" gateway gateway2 198.51.100.26
check "the gateway's status says so" drained gateway
check "and the broker's" on broker sh -c "pubaddrctl status | grep -q '^gw1 *yes *yes '"
is "it has said so to its client" "$(log_count client1.tunneld gateway.drained)" 1

"$LAB" stop gatewayd
"$LAB" start gatewayd
eventually 10 "killed and started again it is drained still" drained gateway
# The client's list begins with it, so a client that begins anew asks it first.
check "the client gives its lease back" "$LAB" release client1
check "and asks again" "$LAB" renew client1
is "it has asked the first gateway" "$(log_count client1.tunneld handshake.drained)" 1
is "which sent it to the second" "$(gateway)" 198.51.100.26
P=$(sed -n 's/^CLIENT_PUBLIC_IP=//p' "$LAB_DIR/vars")
check "nothing is bound at the first" not bound_at gateway
eventually 10 "P is reached" reached

check "undrained by its own socket" on gateway pubaddrctl --socket /run/pubaddr/gateway.sock gateway undrain gw1
check "it is so" not drained gateway
moves "pubaddrctl gateway drain 198.51.100.26" gateway2 gateway 198.51.100.10
check "a word that names no gateway is refused" on broker sh -c '! pubaddrctl gateway drain gw7 2>&1 | grep -v "no gateway"'
check "no private or foreign source on the Internet" no_leaks
done_testing
