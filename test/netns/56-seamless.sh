#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# With programs in the kernel no packet notices that a daemon dies: numbered datagrams go each way at 50,000 a second, or at the
# rate that this machine carries without loss just before, while gateway and client daemon are killed with SIGKILL ten
# times each, and started again. Every one arrives, and once.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
BUILD=${PUBADDR_BUILD:-$HERE/../../build}
[ -e "$BUILD/config.status" ] || BUILD=$HERE/../..
make -s -C "$BUILD/test" netns/numbered >"$TMP/make" 2>&1 || {
	note <"$TMP/make"
	skip_all "netns/numbered cannot be built in $BUILD"
}
NUMBERED=$BUILD/test/netns/numbered
KILLS=10
up_PID='' down_PID='' at_peer_PID='' at_client_PID='' # set by in_background

client_bound() { on client1 pubaddr status; }
gateway_answers() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$CLIENT_PUBLIC_IP\"}}" | grep -q '"result": *0'; }
ended() { ! kill -0 "$1" 2>/dev/null; }
log_count() { grep -c "$2" "/run/pubaddr-lab/$PUBADDR_LAB/log/$1"; }
data_path() { "$@" | grep -o '"data-path": *"[a-z]*"' | sed 's/.*"\(.*\)"/\1/'; }

start_numbers() { # start_numbers RATE
	in_background peer at_peer "$NUMBERED" receive "$PEER_IP:7010" 3000
	in_background client1 at_client "$NUMBERED" receive "$CLIENT_PUBLIC_IP:7011" 3000
	within 5 listening peer udp 7010
	within 5 listening client1 udp 7011
	in_background client1 up "$NUMBERED" send "$CLIENT_PUBLIC_IP:7020" "$PEER_IP:7010" "$1"
	in_background peer down "$NUMBERED" send "$PEER_IP:7021" "$CLIENT_PUBLIC_IP:7011" "$1"
}

# Ends the senders and waits for the receivers, whose sockets may have a second's worth to read yet.
stop_numbers() {
	kill "$up_PID" "$down_PID"
	wait "$up_PID" "$down_PID"
	within 30 ended "$at_peer_PID"
	within 30 ended "$at_client_PID"
	note <<<"up: sent $(<"$TMP/up"), arrived $(<"$TMP/at_peer") (once, again); down: sent $(<"$TMP/down"), arrived $(<"$TMP/at_client")"
}
no_loss() { [ "$(<"$TMP/at_peer")" = "$(<"$TMP/up") 0" ] && [ "$(<"$TMP/at_client")" = "$(<"$TMP/down") 0" ]; }

find_rate() {
	for RATE in 50000 35000 25000 15000 10000 5000; do
		start_numbers "$RATE"
		sleep 3 # how long the measurement takes
		stop_numbers
		no_loss && return
	done
	return 1
}

kill_and_start() { # kill_and_start PROGRAM CONDITION
	"$LAB" stop "$1"
	"$LAB" start "$1"
	within 20 "$2" >"$TMP/answer" 2>&1
}

lab_up
[ "$(data_path ask_gateway '{"command": "status-get"}')" = kernel ] || {
	note <<<"$(ask_gateway '{"command": "status-get"}')"
	[ "${PUBADDR_DATAPATH:-auto}" != user ] && result 1 "the gateway's data path is the kernel's"
	done_testing
}
is "the client's data path is the kernel's" "$(data_path on client1 pubaddr --json status)" kernel
check "a rate is carried without loss" find_rate
note <<<"rate: $RATE datagrams a second each way"

start_numbers "$RATE"
within 5 test -e "$TMP/up"
for ((i = 1; i <= KILLS; i++)); do
	kill_and_start gatewayd gateway_answers || result 1 "the gateway answers after kill $i" "$TMP/answer"
	kill_and_start client1.tunneld client_bound || result 1 "the client is bound after kill $i" "$TMP/answer"
done
check "both senders still run" kill -0 "$up_PID" "$down_PID"
stop_numbers
is "each datagram to the peer arrived, and once" "$(<"$TMP/at_peer")" "$(<"$TMP/up") 0"
is "each datagram to the client arrived, and once" "$(<"$TMP/at_client")" "$(<"$TMP/down") 0"
is "the gateway took over each time" "$(log_count gatewayd 'state.adopted.* bindings=1 ')" "$KILLS"
is "and says so in one line" "$(log_count gatewayd binding.adopted)" 0
is "so did the client daemon" "$(log_count client1.tunneld gateway.adopted)" "$KILLS"
is "no mapping moved: the client's port is the same" "$(log_count gatewayd binding.moved)" 0

"$LAB" stop client1.tunneld
"$LAB" stop gatewayd
check "what a dead daemon left goes: the client's" on client1 pubaddr-tunneld --cleanup -i eth0 -c /etc/pubaddr/tunneld.conf
check "the gateway's" on gateway pubaddr-gatewayd --cleanup -c /etc/pubaddr/gatewayd.conf
for host in client1 gateway; do
	is "$host: no pin, filter or discipline is left" \
		"$(on "$host" sh -c 'find /sys/fs/bpf -path "*pubaddr*"; tc qdisc show | grep clsact; tc filter show dev eth0 ingress 2>/dev/null')" ""
done
done_testing
