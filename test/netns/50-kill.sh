#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Gateway, client daemon, broker and Kea are killed with SIGKILL while 100 MB go each way, and started again at once, as a
# service manager does; nobody else lends a hand. The connections go on, and everybody has what he had.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

MEGABYTES=100
to_peer_PID='' to_client_PID='' # set by in_background
PAUSE=0.12 # after each megabyte
LAST=10 # so many of them are only sent when all kills are done

leases() { ask_broker '{"command": "lease-get-page", "arguments": {"from": "start", "limit": 100}}'; }
epoch() { on client1 pubaddr --json status | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }
binding() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}"; }
bind_number() { binding | sed -n 's/.*"bind": *\([0-9]*\).*/\1/p'; }
broker_answers() { leases | grep -q '"result": *0'; }
gateway_answers() { binding | grep -q '"result": *0'; }
client_bound() { on client1 pubaddr status; }
log_has() { [ "$(grep -c "$2" "/run/pubaddr-lab/$PUBADDR_LAB/log/$1")" -ge "$3" ]; }

# send HOST FILE ADDRESS PORT: the file, at a pace
send() {
	# shellcheck disable=SC2016 # for the other shell
	on "$1" sh -c 'i=0
		while [ $i -lt '"$MEGABYTES"' ]; do
			while [ $i -ge '"$((MEGABYTES - LAST))"' ] && [ ! -e "$4" ]; do
				sleep 0.1
			done
			dd if="$1" bs=1M skip=$i count=1 status=none && sleep '"$PAUSE"' || exit 1
			i=$((i + 1))
		done | socat -u - "TCP4:$2:$3"' send "$2" "$3" "$4" "$TMP/kills_done"
}

running() { kill -0 "$up_PID" 2>/dev/null && kill -0 "$down_PID" 2>/dev/null; }

# kill_and_start WHAT PROGRAM...: the programs die together, and come back at once.
kill_and_start() {
	local p what=$1
	shift
	for p in "$@"; do
		"$LAB" stop "$p"
	done
	for p in "$@"; do
		"$LAB" start "$p"
	done
	check "$what: killed and started while both transfers run" running
}

start_transfers() {
	head -c "${MEGABYTES}M" /dev/urandom >"$TMP/sent"
	in_background peer to_peer socat -u TCP4-LISTEN:7004,reuseaddr "CREATE:$TMP/at_peer"
	in_background client1 to_client socat -u TCP4-LISTEN:7005,reuseaddr "CREATE:$TMP/at_client"
	within 5 listening peer tcp 7004
	within 5 listening client1 tcp 7005
	send client1 "$TMP/sent" "$PEER_IP" 7004 >"$TMP/up" 2>&1 &
	up_PID=$!
	send peer "$TMP/sent" "$P" 7005 >"$TMP/down" 2>&1 &
	down_PID=$!
	within 5 test -s "$TMP/at_peer" -a -s "$TMP/at_client"
}

ended() { ! kill -0 "$1" 2>/dev/null; }

lab_up
"$LAB" release client1
within 5 not on client1 ip link show dev pub0 >"$TMP/gone" 2>&1
network client1 >"$TMP/before"
"$LAB" renew client1
check "the client is bound" client_bound
P=$(on client1 ip -4 -o addr show dev pub0 | awk '{sub("/.*", "", $4); print $4}')
was_epoch=$(epoch)
was_bind=$(bind_number)
leases >"$TMP/leases"
start_transfers

kill_and_start "gateway" gatewayd
eventually 10 "the gateway has the binding" gateway_answers
kill_and_start "client daemon" client1.tunneld
eventually 10 "the client daemon is bound" client_bound
kill_and_start "broker" brokerd
eventually 10 "the broker answers" broker_answers
kill_and_start "Kea" kea
kill_and_start "gateway and client daemon" gatewayd client1.tunneld
eventually 10 "both are bound" client_bound
kill_and_start "all of them" gatewayd client1.tunneld brokerd kea
: >"$TMP/kills_done"
eventually 180 "the transfer to the peer ends" ended "$up_PID"
eventually 180 "the transfer to the client ends" ended "$down_PID"
wait "$up_PID"
is "its sender is content" "$?" 0
wait "$down_PID"
is "and the other one" "$?" 0
wait "$to_peer_PID" "$to_client_PID"
check "what came to the peer is what was sent" cmp "$TMP/sent" "$TMP/at_peer"
check "and what came to the client" cmp "$TMP/sent" "$TMP/at_client"

is "P is the same" "$(on client1 ip -4 -o addr show dev pub0 | awk '{print $4}')" "$P/32"
is "the epoch is the same" "$(epoch)" "$was_epoch"
is "the binding is the same: no handshake was needed" "$(bind_number)" "$was_bind"
check "the gateway adopted it each time" log_has gatewayd "state.adopted bindings=1 " 3
check "so did the client daemon" log_has client1.tunneld gateway.adopted 3
within 10 broker_answers
leases >"$TMP/leases.after"
check "the broker's leases are the same" cmp "$TMP/leases" "$TMP/leases.after"
check "Kea serves: the client renews" "$LAB" renew client1
is "with the same P and epoch" "$(on client1 ip -4 -o addr show dev pub0 | awk '{print $4}') $(epoch)" "$P/32 $was_epoch"
check "no private or foreign source on the Internet" no_leaks

"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
eventually 10 "once more" client_bound
check "dhclient -r" "$LAB" release client1
eventually 5 "the interface is gone" not on client1 ip link show dev pub0
network client1 >"$TMP/after"
check "the client's network is as before" diff "$TMP/before" "$TMP/after"
check "no state is left" not on client1 test -e /run/pubaddr/tunneld-eth0.state
done_testing
