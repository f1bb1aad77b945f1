#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What the session relay costs, ours and those of Debian's packages, on one path: client, NAT, the gateway's host, peer.
#   pubaddr         program, interposer, pubaddr-tunneld, TLS through the NAT, pubaddr-relayd, peer
#   pubaddr-socks   the same by the SOCKS5 of pubaddr-tunneld instead of the interposer
#   dante           program, SOCKS5 through the NAT, danted, peer; without encryption
#   stunnel         program, stunnel, TLS through the NAT, stunnel, peer; a TLS connection for each call
#   openvpn-tcp     the kernel's TCP, through OpenVPN's tunnel over TLS over TCP
# Variants take turns in each round, and only one has daemons at a time. The same program calls, by calls.c, and the same one answers.
# tcp1_up, tcp1_down: one connection, bytes as they arrive. calls_per_s: connections that were established, carried a byte both ways
# and were closed, so many at a time.
#   BENCH_RELAY_SECONDS    length of a transfer (4)
#   BENCH_RELAY_AT_ONCE    calls at a time (64)
#   BENCH_RELAY_VARIANTS   some of them; BENCH_RELAY_METRICS: some of tcp1_up, tcp1_down, calls_per_s
#   BENCH_RELAY_PLACE      hosts, where the client has one half of the processors, and what is behind the NAT from it the other half, or
#                          free, where the kernel places processes as it likes (hosts)
#   BENCH_RELAY_MODES      veth, where packets of 64 KB cross every link, wire, where frames of 1500 bytes do, or both (veth)
# shellcheck source=test/bench/bench.sh
. "$(dirname "$0")/bench.sh"
seconds=${BENCH_RELAY_SECONDS:-4}
at_once=${BENCH_RELAY_AT_ONCE:-64}
variants=${BENCH_RELAY_VARIANTS:-pubaddr pubaddr-socks dante stunnel openvpn-tcp}
if [ -z "${BENCH_RELAY_VARIANTS:-}" ] && ! command -v danted >/dev/null; then
	echo "no danted: without the variant dante (Debian 13 has no such package)" >&2
	variants=${variants/dante /}
fi
modes=${BENCH_RELAY_MODES:-veth}
metrics=${BENCH_RELAY_METRICS:-tcp1_up tcp1_down calls_per_s}
place=${BENCH_RELAY_PLACE:-hosts}
bench_begin relay 5 ip nft ethtool ss openssl socat stunnel4 openvpn
# shellcheck disable=SC2034 # for tunnel-net.sh
top_srcdir=$BENCH_SRC
top_builddir=$PUBADDR_BUILD
# shellcheck source=test/netns/tunnel-net.sh
. "$BENCH_SRC/test/netns/tunnel-net.sh"
# shellcheck source=test/bench/relays.sh
. "$BENCH_TOP/relays.sh"
# shellcheck disable=SC2034 # for relays.sh
declare -A CPUS=()
cpus=$(nproc)
if [ "$place" = hosts ] && [ "$cpus" -gt 1 ]; then
	CPUS=([c]=0-$((cpus / 2 - 1)) [g]=$((cpus / 2))-$((cpus - 1)) [p]=$((cpus / 2))-$((cpus - 1)))
fi
PORT=5301
calls=$PUBADDR_BUILD/test/bench/calls

end() {
	end_daemons
	cleanup
	rm -rf "$TMP"
}

measure() { # measure VARIANT NAME METRIC
	local what=("${3#tcp1_}" "$TO" "$seconds")
	[ "$3" != calls_per_s ] || what=(calls "$TO" "$seconds" "$at_once")
	placed c
	"${ON[@]}" ip netns exec "${net}c" "${HOW[@]}" "$calls" "${OPTIONS[@]}" "${what[@]}" >>"$TMP/$2.$3" 2>"$TMP/err" || {
		cat "$TMP/err" >&2
		daemons_said
		die "$1 does not do $3"
	}
}
daemons_said() { tail -n 20 "$TMP"/danted "$TMP"/stunnel-* "$TMP"/ovpn-*.log "$TMP"/relayd "$TMP"/tunneld "$dir"/*.log >&2 2>/dev/null; }

one_variant() { # one_variant VARIANT MODE
	local name=$1 f=${1//-/_} m
	[ "$2" = veth ] || name=$1-wire
	"up_$f" >"$TMP/up" 2>&1 || {
		cat "$TMP/up" >&2
		daemons_said
		die "$1 does not come up"
	}
	for m in $metrics; do
		measure "$1" "$name" "$m"
	done
	"down_$f" >/dev/null 2>&1
}

net_up
trap end EXIT
# None shall run out of ports before another one does.
for ns in c n g; do
	ip netns exec "$net$ns" sysctl -qw net.ipv4.ip_local_port_range='10240 65000'
done
placed p
"${ON[@]}" ip netns exec "${net}p" "$calls" serve $PORT >"$TMP/serve" 2>&1 </dev/null &
watch $!
within 5 listens p $PORT || die "the peer does not start"
for ((i = 1; i <= ROUNDS; i++)); do
	for mode in $modes; do
		links "$net" "$mode"
		for v in $variants; do
			one_variant "$v" "$mode"
		done
	done
done
for mode in $modes; do
	for v in $variants; do
		[ "$mode" = veth ] || v=$v-wire
		for m in $metrics; do
			record "$v" "$m" "$(median <"$TMP/$v.$m")" "$([ "$m" = calls_per_s ] && echo calls/s || echo Gbit/s)" "\"at_once\": $at_once"
		done
	done
done
bench_end
