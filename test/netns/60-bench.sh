#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The benchmarks work: one short round each, with a table and the results that they promise. What they say is not judged.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need iperf3 perfdhcp ethtool perl wireguard-go fastd openvpn stunnel4

export BENCH_ROUNDS=1 BENCH_RESULTS=$TMP/results BENCH_KEA_RATE=200 BENCH_KEA_SECONDS=1 BENCH_TUNNEL_SECONDS=1 BENCH_TUNNEL_METRICS="tcp1 ping ns" BENCH_TUNNEL_SESSIONS=1000 \
	BENCH_RELAY_SECONDS=1

# bench NAME VARIANT METRIC...: it runs, and results are there for each VARIANT/METRIC.
bench() {
	local name=$1 pair
	shift
	"$HERE/../bench/$name.sh" >"$TMP/table" 2>"$TMP/err"
	result $? "bench-$name runs" "$TMP/err"
	for pair in "$@"; do
		check "and tells $pair" grep -qE "^\{\"bench\": \"$name\", \"variant\": \"${pair%/*}\", \"metric\": \"${pair#*/}\",\
 \"value\": [0-9.-]+, \"unit\": \"[^\"]+\", \"rounds\": 1,.*\"cpu\": .*\}$" "$BENCH_RESULTS/$name.jsonl"
		check "in its table too" grep -q "^${pair#*/}[ /]" "$TMP/table"
	done
}

bench e2e pubaddr/ack_to_usable_median_ms pubaddr/ack_to_usable_worst_ms
check "the time to a usable address is not zero" grep -qE '_median_ms", "value": 0*[1-9]' "$BENCH_RESULTS/e2e.jsonl"
bench kea plain/dora_per_s pubaddr/dora_per_s pubaddr-not-asking/dora_per_s plain/cpu_us_per_ack pubaddr/added_p99_ms
check "the broker granted addresses" grep -qE 'granted_percent", "value": 0*[1-9]' "$BENCH_RESULTS/kea.jsonl"
bench tunnel none/tcp1_up vxlan/tcp1_down wireguard-go/tcp1_up fastd/tcp1_up openvpn/tcp1_up pubaddr-kernel/tcp1_up \
	pubaddr-userspace/tcp1_down pubaddr-userspace/cpu_s_per_gb pubaddr-userspace/ping none-wire/tcp1_up pubaddr-kernel-wire/tcp1_down \
	pubaddr-kernel/ping_idle forward/ns_per_packet pubaddr-xdp-encap/ns_per_packet pubaddr-tc-decap/ns_per_packet
check "and draws them" grep -q '<rect.*>pubaddr-userspace-wire<\|pubaddr-userspace-wire</text>.*<rect' "$BENCH_RESULTS/tunnel.svg"
BENCH_TUNNEL_VARIANTS=none BENCH_TUNNEL_MODES=veth BENCH_TUNNEL_METRICS="tcp4 udp64" bench tunnel none/tcp4_up none/udp64_down
BENCH_SCALE_CLIENTS=2000 bench scale floor/x25519_per_s bind/bytes_per_binding bind/handshakes_per_core_s keepalives/lost restart/lost \
	restart/given_up restart/worst_ms restart/bindings
check "each client has its binding" grep -qE '"restart", "metric": "bindings", "value": 2000' "$BENCH_RESULTS/scale.jsonl"
dante=''
if command -v danted >/dev/null; then # Debian 13 has none
	dante="dante/tcp1_up dante/calls_per_s"
fi
# shellcheck disable=SC2086 # a list
bench relay pubaddr/tcp1_up pubaddr/tcp1_down pubaddr/calls_per_s $dante stunnel/tcp1_down stunnel/calls_per_s \
	openvpn-tcp/tcp1_up openvpn-tcp/calls_per_s
BENCH_ROUNDS=none check "a wrong number of rounds is refused" not "$HERE/../bench/e2e.sh"
done_testing
