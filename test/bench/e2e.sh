#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# From the arrival of the DHCP ACK at the client until its public address is usable, in the lab: real Kea, broker, dhclient,
# client daemon, NAT and gateway. Each round gives the lease back and asks anew, and ends with a datagram from the peer
# that arrives at the public address. ack_to_usable.c says what exactly is measured.
# shellcheck source=test/bench/bench.sh
. "$(dirname "$0")/bench.sh"
LAB=$BENCH_TOP/../lab
WATCH=${PUBADDR_BUILD:-$BENCH_SRC/build}/test/bench/ack_to_usable
PORT=7007
export PUBADDR_LAB=${PUBADDR_LAB:-bench$$}
bench_begin e2e 50 ip nft dhclient kea-dhcp4 socat
[ -x "$WATCH" ] || die "$WATCH is missing; make -C $PUBADDR_BUILD/test bench/ack_to_usable"

cleanup() {
	[ -z "${vars:-}" ] || "$LAB" down >/dev/null 2>&1
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Not by `lab renew`, which polls for the lease and would compete with what is measured.
run_dhclient() {
	exec "$LAB" exec client1 -- dhclient -4 -v "$1" -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/dhclient.leases \
		-pf /run/dhclient.pid eth0 >>"$LAB_DIR/log/client1.dhclient" 2>&1 </dev/null
}

no_tunnel() { ! "$LAB" exec client1 -- ip link show dev pub0; }

# Adds a line "LAN HELLO ACCEPT USABLE" to $TMP/rounds, microseconds after the ACK.
one_round() {
	local word p figures dhclient
	within 5 no_tunnel || return 1
	exec {from_watch}< <(exec "$LAB" exec client1 -- "$WATCH" eth0 pub0 "$PEER_IP" "$PORT" 30)
	read -r word <&"$from_watch" && [ "$word" = ready ] || return 1
	run_dhclient -d &
	dhclient=$!
	read -r word p figures <&"$from_watch" && [ "$word" = usable ] || return 1
	echo x | "$LAB" exec peer -- socat -u - "UDP4-SENDTO:$p:$PORT" || return 1
	read -r word <&"$from_watch" && [ "$word" = reached ] || return 1
	exec {from_watch}<&-
	(run_dhclient -r) || return 1
	wait "$dhclient" # ended by it
	echo "$figures" >>"$TMP/rounds"
}

column_ms() { awk -v c="$1" '{print $c / 1000}' "$TMP/rounds"; }

vars=$("$LAB" up) || die "the lab does not come up"
eval "$vars"
"$LAB" release client1 || die "dhclient -r failed"
for ((i = 1; i <= ROUNDS; i++)); do
	one_round || { tail -n 20 "$LAB_DIR"/log/{client1.dhclient,client1.tunneld,kea,brokerd,gatewayd} >&2; die "round $i failed"; }
done
record pubaddr ack_to_usable_median_ms "$(column_ms 4 | median)" ms
record pubaddr ack_to_usable_worst_ms "$(column_ms 4 | worst)" ms
# Where the time goes: DHCP client and its script until the LAN's address is set, then until the grant is with the tunnel
# daemon and its first packet leaves, the handshake, and device, routes and rules.
record pubaddr ack_to_lan_address_median_ms "$(column_ms 1 | median)" ms
record pubaddr ack_to_hello_median_ms "$(column_ms 2 | median)" ms
record pubaddr hello_to_accept_median_ms "$(awk '{print ($3 - $2) / 1000}' "$TMP/rounds" | median)" ms
record pubaddr accept_to_usable_median_ms "$(awk '{print ($4 - $3) / 1000}' "$TMP/rounds" | median)" ms
bench_end
