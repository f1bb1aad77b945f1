#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What the tunnel costs: one TCP connection up and down between client and peer of the lab, and the round trip.
#   none                from the client's private address, through the NAT without the tunnel
#   pubaddr-userspace   from its public address
# In "veth mode": offloads are on, so that packets of 64 KB cross every link, as within one host; that asks most of a
# tunnel, compared with none. Variants take turns in each round. cpu_s_per_gb is the processor time of both daemons for
# each GB (10^9 bytes) of payload, cpu_s_per_gb_machine that of everything, kernel, iperf3 and other work included.
#   BENCH_TUNNEL_SECONDS    length of a transfer (5)
# shellcheck source=test/bench/bench.sh
. "$(dirname "$0")/bench.sh"
LAB=$BENCH_TOP/../lab
seconds=${BENCH_TUNNEL_SECONDS:-5}
export PUBADDR_LAB=${PUBADDR_LAB:-bench$$}
bench_begin tunnel 5 ip nft ethtool dhclient kea-dhcp4 iperf3 ping

cleanup() {
	[ -z "${vars:-}" ] || "$LAB" down >/dev/null 2>&1
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The lab's links are made like wires; here they are not to be the bottleneck.
offloads_on() {
	local ns dev
	for ns in $(ip netns list | awk -v p="$PUBADDR_LAB-" 'index($1, p) == 1 {print $1}'); do
		for dev in $(ip -n "$ns" -o link show type veth | sed 's/^[0-9]*: \([^@:]*\).*/\1/'); do
			ip netns exec "$ns" ethtool -K "$dev" tx on tso on gso on >/dev/null 2>&1
		done
	done
}

daemons_ms() { cpu_ms "$(<"$LAB_DIR/pids/gatewayd")" "$(<"$LAB_DIR/pids/client1.tunneld")"; }
listening() { "$LAB" exec peer -- ss -Hltn 'sport = :5201' | grep -q .; }

# of_sum KEY: a number of what was received in all, from iperf3's report.
of_sum() { awk -v k="\"$1\":" '/"sum_received"/ {sum = 1} sum && $1 == k {printf "%.0f\n", $2; exit}' "$TMP/iperf"; }

# transfer VARIANT ADDRESS up|down
transfer() {
	local daemons machine bytes way=()
	[ "$3" = up ] || way=(-R)
	daemons=$(daemons_ms)
	machine=$(machine_cpu_ms)
	"$LAB" exec client1 -- iperf3 -J -c "$PEER_IP" -B "$2" -t "$seconds" "${way[@]}" >"$TMP/iperf" 2>&1 ||
		{ cat "$TMP/iperf" >&2; die "iperf3 failed ($1, $3)"; }
	bytes=$(of_sum bytes)
	calc "$(of_sum bits_per_second) / 1e9" >>"$TMP/$1.$3"
	calc "($(daemons_ms) - $daemons) * 1e6 / $bytes" >>"$TMP/$1.daemons"
	calc "($(machine_cpu_ms) - $machine) * 1e6 / $bytes" >>"$TMP/$1.machine"
}

round_trip() { # round_trip VARIANT ADDRESS
	"$LAB" exec client1 -- ping -q -c 40 -i 0.02 -I "$2" "$PEER_IP" | sed -n 's|^rtt .* = [^/]*/\([^/]*\)/.*|\1|p' >>"$TMP/$1.rtt"
}

vars=$("$LAB" up) || die "the lab does not come up"
eval "$vars"
offloads_on
"$LAB" exec peer -- iperf3 -s >"$TMP/server" 2>&1 </dev/null &
within 5 listening || die "iperf3's server does not start"
for ((i = 1; i <= ROUNDS; i++)); do
	for v in "none $CLIENT_PRIVATE_IP" "pubaddr-userspace $CLIENT_PUBLIC_IP"; do
		# shellcheck disable=SC2086 # two words
		{ transfer $v up && transfer $v down && round_trip $v; }
	done
done
for v in none pubaddr-userspace; do
	record "$v" tcp1_up "$(median <"$TMP/$v.up")" Gbit/s
	record "$v" tcp1_down "$(median <"$TMP/$v.down")" Gbit/s
	record "$v" cpu_s_per_gb "$(median <"$TMP/$v.daemons")" s/GB
	record "$v" cpu_s_per_gb_machine "$(median <"$TMP/$v.machine")" s/GB
	record "$v" ping_us "$(awk '{print $1 * 1000}' "$TMP/$v.rtt" | median)" us
done
bench_end
