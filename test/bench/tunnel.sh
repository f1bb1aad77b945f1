#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What tunnels cost, ours and those of Debian's packages, on one path: client, NAT, gateway, peer, in the lab.
#   none                the client's private address, through the NAT, without a tunnel
#   vxlan               the kernel's
#   wireguard-go, fastd (method null), openvpn (no cipher)
#   pubaddr-kernel, pubaddr-userspace   ours, by its two data paths
# In two kinds of network, for which the links of the lab are set up: "veth mode", where packets of 64 KB cross every link, as within
# one host, which asks most of a tunnel; and "-wire", where frames of 1500 bytes with finished checksums do. Real networks lie between.
# Variants take turns in each round. tcp1, tcp4: connections; udp64: datagrams of 64 bytes that arrive at the host, whether or not the
# program has time to read them; ping: the median of all round trips, the next question after each answer, hence with warm caches; ping_idle: with
# 20 ms of idleness before each; cpu_s_per_gb: processor time of the whole machine for each GB (10^9 bytes) of one connection's payload.
# Then what a gateway needs for a packet, with 1, 100,000 and 1,000,000 sessions: ns_per_packet, see per_packet.c.
#   BENCH_TUNNEL_SECONDS    length of a transfer (5)
#   BENCH_TUNNEL_VARIANTS   some of them; BENCH_TUNNEL_MODES: veth, wire, or both ("veth wire")
#   BENCH_TUNNEL_METRICS    some of: tcp1 tcp4 udp64 ping ns
#   BENCH_TUNNEL_SESSIONS   of ns ("1 100000 1000000")
# shellcheck source=test/bench/bench.sh
. "$(dirname "$0")/bench.sh"
LAB=$BENCH_TOP/../lab
# shellcheck source=test/bench/tunnels.sh
. "$BENCH_TOP/tunnels.sh"
seconds=${BENCH_TUNNEL_SECONDS:-5}
variants=${BENCH_TUNNEL_VARIANTS:-none vxlan wireguard-go fastd openvpn pubaddr-kernel pubaddr-userspace}
modes=${BENCH_TUNNEL_MODES:-veth wire}
metrics=${BENCH_TUNNEL_METRICS:-tcp1 tcp4 udp64 ping ns}
sessions=${BENCH_TUNNEL_SESSIONS:-1 100000 1000000}
stages="forward pubaddr-xdp-encap pubaddr-xdp-decap pubaddr-tc-encap pubaddr-tc-decap"
NAT_IP=198.51.100.2
GATEWAY_IP=198.51.100.10
export PUBADDR_LAB=${PUBADDR_LAB:-bench$$}
bench_begin tunnel 5 ip nft ethtool dhclient kea-dhcp4 iperf3 ping socat wireguard-go wg fastd openvpn

cleanup() {
	end_daemons
	[ -z "${SERVER:-}" ] || kill "$SERVER" 2>/dev/null
	[ -z "${vars:-}" ] || "$LAB" down >/dev/null 2>&1
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

listening() { "$LAB" exec peer -- ss -Hltn 'sport = :5201' | grep -q .; }

# of_sum SECTION KEY: a number of iperf3's report.
of_sum() { awk -v s="\"$1\":" -v k="\"$2\":" '$1 == s {found = 1} found && $1 == k {printf "%.0f\n", $2; exit}' "$TMP/iperf"; }

# transfer NAME DIRECTION OPTIONS...: by iperf3, from or to ADDRESS. Once more if it does not begin.
transfer() {
	local name=$1 way=()
	[ "$2" = up ] || way=(-R)
	shift 2
	"$LAB" exec client1 -- iperf3 -J -c "$PEER_IP" -B "$ADDRESS" -t "$seconds" "${way[@]}" "$@" >"$TMP/iperf" 2>&1 ||
		{ sleep 1 && "$LAB" exec client1 -- iperf3 -J -c "$PEER_IP" -B "$ADDRESS" -t "$seconds" "${way[@]}" "$@" >"$TMP/iperf" 2>&1; } ||
		{ cat "$TMP/iperf" >&2; die "iperf3 failed ($name)"; }
}

tcp() { # tcp NAME METRIC CONNECTIONS DIRECTION
	local machine
	machine=$(machine_cpu_ms)
	transfer "$1" "$4" -P "$3"
	calc "$(of_sum sum_received bits_per_second) / 1e9" >>"$TMP/$1.$2_$4"
	[ "$3" != 1 ] || calc "($(machine_cpu_ms) - $machine) * 1e6 / $(of_sum sum_received bytes)" >>"$TMP/$1.cpu"
}
# count_datagrams: from now on each end counts those of iperf3, for the host's own counters have a tunnel's outer datagrams in them too.
count_datagrams() {
	local host
	for host in client1 peer; do
		"$LAB" exec $host -- nft 'table ip bench { chain input { type filter hook input priority 0; meta l4proto udp th sport 5201 counter;
			meta l4proto udp th dport 5201 counter; }; }' || return
	done
}
# datagrams HOST: how many have come. One GSO packet has many behind one header of 28 bytes.
datagrams() {
	"$LAB" exec "$1" -- nft list chain ip bench input |
		awk '/counter/ {for (i = 1; i < NF; i++) {if ($i == "packets") p += $(i + 1); if ($i == "bytes") b += $(i + 1)}}
			END {printf "%.0f\n", (b - 28 * p) / 64}'
}
udp64() { # udp64 NAME DIRECTION: thousands a second
	local host=peer before
	[ "$2" = up ] || host=client1
	before=$(datagrams $host)
	transfer "$1" "$2" -u -l 64 -b 0
	calc "($(datagrams $host) - $before) / $(of_sum sum seconds) / 1000" >>"$TMP/$1.udp64_$2"
}
# round_trip NAME METRIC OPTIONS...: of ping, each of its lines, in us.
round_trip() {
	"$LAB" exec client1 -- ping -I "$ADDRESS" "${@:3}" "$PEER_IP" | sed -n 's/.* time=\([0-9.]*\) ms.*/\1/p' |
		awk '{print $1 * 1000}' >>"$TMP/$1.$2"
}
wanted() { [[ " $metrics " == *" $1 "* ]]; }

measure() { # measure NAME
	local way
	for way in up down; do
		! wanted tcp1 || tcp "$1" tcp1 1 "$way"
		! wanted tcp4 || tcp "$1" tcp4 4 "$way"
		! wanted udp64 || udp64 "$1" "$way"
	done
	! wanted ping || { round_trip "$1" ping -A -c 2000 && round_trip "$1" ping_idle -c 100 -i 0.02; }
}

per_packet() {
	local v n
	for n in $sessions; do
		for v in $stages; do
			"$PUBADDR_BUILD/test/bench/per_packet" "$v" "$n" >>"$TMP/$v.ns.$n" || die "$v does not run with $n sessions"
		done
	done
}

one_variant() { # one_variant VARIANT MODE
	local name=$1 f=${1//-/_}
	[ "$2" = veth ] || name=$1-wire
	"up_$f" >"$TMP/up" 2>&1 || {
		cat "$TMP/up" "$TMP"/wg-* "$TMP"/fastd-client "$TMP"/fastd-gateway "$TMP"/ovpn-* >&2 2>/dev/null
		die "$1 does not come up"
	}
	measure "$name"
	"down_$f" >/dev/null 2>&1
}

vars=$("$LAB" up) || die "the lab does not come up"
eval "$vars"
"$LAB" exec peer -- iperf3 -s >"$TMP/server" 2>&1 </dev/null &
SERVER=$!
within 5 listening || die "iperf3's server does not start"
{ same_path && stop_ours && count_datagrams; } || die "the lab cannot be set up for this"
for ((i = 1; i <= ROUNDS; i++)); do
	for mode in $modes; do
		links "$PUBADDR_LAB-" "$mode"
		for v in $variants; do
			one_variant "$v" "$mode"
		done
	done
	! wanted ns || per_packet
done
for mode in $modes; do
	for v in $variants; do
		[ "$mode" = veth ] || v=$v-wire
		for m in tcp1 tcp4 udp64; do
			for way in up down; do
				[ ! -s "$TMP/$v.${m}_$way" ] || record "$v" "${m}_$way" "$(median <"$TMP/$v.${m}_$way")" \
					"$([ $m = udp64 ] && echo kpps || echo Gbit/s)"
			done
		done
		for m in ping ping_idle; do
			[ ! -s "$TMP/$v.$m" ] || record "$v" $m "$(median <"$TMP/$v.$m")" us
		done
		[ ! -s "$TMP/$v.cpu" ] || record "$v" cpu_s_per_gb "$(median <"$TMP/$v.cpu")" s/GB
	done
done
for n in $sessions; do
	for v in $stages; do
		LABEL="ns_per_packet/$n"
		[ ! -s "$TMP/$v.ns.$n" ] || record "$v" ns_per_packet "$(median <"$TMP/$v.ns.$n")" ns "\"sessions\": $n"
	done
done
"$BENCH_TOP/plot.awk" -v machine="$(nproc) x $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r), \
medians of $ROUNDS rounds of $seconds s, $(date -u +%Y-%m-%d)" "$TMP/table" >"$BENCH_RESULTS/tunnel.svg"
say "plot: $BENCH_RESULTS/tunnel.svg"
bench_end
