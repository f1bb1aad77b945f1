#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# e2e.sh [ROUNDS]: from the DHCPACK on the client's wire to a usable address (gateway's ACCEPT, interface and routes up,
# as pubaddr-tunneld logs it). Each round is a lease of its own, in a laboratory with one NAT. Prints a table and appends
# to bench-results/e2e.jsonl.
set -Eeuo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
lab=$top/test/lab
rounds=${1:-50}
export PUBADDR_LAB=bench$$
tmp=$(mktemp -d)
trap '"$lab" down >/dev/null 2>&1; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
log=/run/pubaddr-lab/$PUBADDR_LAB/log/client1.tunneld

"$lab" up >"$tmp/vars"
"$lab" exec client1 -- tcpdump -tt -v -nn -l -i eth0 udp src port 67 >"$tmp/dhcp" 2>"$tmp/tcpdump" &
until grep -q 'listening on' "$tmp/tcpdump"; do sleep 0.05; done

# The times of all ACKs to the client, and of all moments when the tunnel was up; seconds since 1970.
acks() { awk '/^[0-9]+\.[0-9]+ IP/ {t = $1} /DHCP-Message.*: ACK/ {print t}' "$tmp/dhcp"; }
ups() { sed -n 's/^\([^ ]*\) .* tunnel\.up .*/\1/p' "$log" | tail -n +2 | date -f - +%s.%3N; }
as_many() { [ "$(acks | wc -l)" = "$1" ] && [ "$(ups | wc -l)" = "$1" ]; }

for ((i = 1; i <= rounds; i++)); do
	"$lab" release client1
	"$lab" renew client1
	end=$((SECONDS + 10))
	until as_many "$i"; do
		[ "$SECONDS" -lt "$end" ] || { echo "round $i: no ACK or no tunnel seen" >&2 && exit 1; }
		sleep 0.02
	done
done

acks >"$tmp/acks"
ups >"$tmp/ups"
paste "$tmp/acks" "$tmp/ups" | awk '{printf "%.1f\n", ($2 - $1) * 1000}' | sort -n >"$tmp/ms"
median=$(awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}' "$tmp/ms")
worst=$(tail -n 1 "$tmp/ms")

printf 'from the ACK to a usable address, %d rounds\n%-10s %8.1f ms\n%-10s %8.1f ms\n%-10s %8.1f ms\n' \
	"$rounds" best "$(head -n 1 "$tmp/ms")" median "$median" worst "$worst"
mkdir -p "$top/bench-results"
for metric in median worst; do
	printf '{"bench": "e2e", "variant": "pubaddr", "metric": "ack_to_usable_%s_ms", "value": %.1f, "unit": "ms", "rounds": %d}\n' \
		"$metric" "${!metric}" "$rounds"
done >>"$top/bench-results/e2e.jsonl"
