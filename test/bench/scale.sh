#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What many clients cost a gateway: bench/clients plays them, with real handshakes, see HACKING.md. Beside bench.sh's variables:
#   BENCH_SCALE_CLIENTS   how many, instead of 1,000,000
# shellcheck source=test/bench/bench.sh
. "$(dirname "$0")/bench.sh"
# shellcheck source=test/netns/clients.sh
. "$(dirname "$0")/../netns/clients.sh"
N=${BENCH_SCALE_CLIENTS:-1000000}
[[ $N =~ ^[1-9][0-9]*$ ]] && [ "$N" -le 1048576 ] || die "BENCH_SCALE_CLIENTS: expected a number from 1 to 1048576, got '$N'"
CLIENTS_APART=yes
CLIENTS_CONF='"limits": {"handshakes-per-source": 0}, "log-level": "warning",'

clean_up() {
	clients_down
	rm -rf "$TMP"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# Memory of its own, in KiB: what it has allocated, and not the maps that it shares with the kernel.
own_memory() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$CLIENTS_GATEWAYD_PID/status"; }
play() { clients_do "$@" >&2 || die "the clients failed: $(tail -n 2 "$TMP/clients")"; }

status() { clients_ask status-get | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

# storm VARIANT: every client sends a KEEPALIVE at once. Nobody loses his session by that, and the gateway nobody.
storm() {
	local before
	before=$(cpu_ms "$CLIENTS_GATEWAYD_PID")
	play storm 300
	record "$1" lost "$(($(clients_value lost) + $(clients_value late)))" clients "\"clients\": $N"
	record "$1" given_up "$(clients_value given-up)" clients "\"clients\": $N"
	record "$1" asked_ms "$(clients_value asked-in-ms)" ms "\"clients\": $N"
	record "$1" worst_ms "$(clients_value worst-ms)" ms "\"clients\": $N"
	record "$1" all_ms "$(clients_value all-ms)" ms "\"clients\": $N"
	record "$1" cpu_us "$(calc "($(cpu_ms "$CLIENTS_GATEWAYD_PID") - $before) * 1000 / $N")" us "\"clients\": $N"
	record "$1" bindings "$(status bindings)" bindings "\"clients\": $N"
	[ "$(status bindings) $(status timed-out)" = "$N 0" ] || say "BINDINGS WERE DROPPED: $(status bindings) of $N are left"
}

bench_begin scale 1 socat
clients_up "$N" >&2 || die "cannot set up the network: $(tail -n 2 "$TMP/clients" 2>/dev/null)"
clients_start_gateway || die "the gateway does not start: $(tail -n 2 "$TMP/gatewayd.log")"

play speed 60
floor=$(clients_value x25519)
record floor x25519_per_s "$floor" "1/s"
memory=$(own_memory)
cpu=$(cpu_ms "$CLIENTS_GATEWAYD_PID")
play "bind 512" 600
[ "$(clients_value "done")" = "$N" ] || die "not every client is bound: $(cat "$TMP/clients")"
each=$(calc "($(cpu_ms "$CLIENTS_GATEWAYD_PID") - $cpu) * 1000 / $N")
record bind bytes_per_binding "$(calc "($(own_memory) - $memory) * 1024 / $N" 1)" bytes "\"clients\": $N"
record bind cpu_us_per_handshake "$each" us "\"clients\": $N"
record bind handshakes_per_core_s "$(calc "1000000 / $each" 0)" "1/s" "\"clients\": $N"
record bind part_of_x25519 "$(calc "1000000 / $each / $floor")" ratio "\"clients\": $N"
record bind handshakes_per_s "$(calc "$N * 1000 / $(clients_value all-ms)" 0)" "1/s" "\"clients\": $N"
storm keepalives

record restart state_bytes "$(stat -c %s "$TMP/gateway.state")" bytes "\"clients\": $N"
kill -9 "$CLIENTS_GATEWAYD_PID"
wait "$CLIENTS_GATEWAYD_PID" 2>/dev/null
start=$(date +%s%N)
clients_start_gateway || die "the gateway does not start again: $(tail -n 2 "$TMP/gatewayd.log")"
record restart serves_again_ms "$(calc "($(date +%s%N) - $start) / 1000000" 0)" ms "\"clients\": $N"
storm restart
bench_end
