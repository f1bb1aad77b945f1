#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# ALONE: it measures, so nothing else runs meanwhile.
#
# Well-formed forged HELLO and CONFIRM, 100,000 a second, aimed at the gateway while a TCP connection passes the tunnel. All of
# it runs on this machine: client, NAT, gateway, peer, and the generator too. So each round measures the connection three
# times: without a flood; with the flood at the gateway; and with the same flood at a port of the gateway's host where
# nftables drops it, which shows what the generator alone takes. By the medians of the rounds the connection must keep 0.8 of
# the same run unflooded; where the generator alone takes more than a tenth of it, 0.85 of what that leaves.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat ss
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
RATE=100000
ROUNDS=${FLOOD_ROUNDS:-5}
LONG=2 # seconds for each measurement
attack_up
kill "$WIRE_PID"
wait "$WIRE_PID" 2>/dev/null
pid=$(<"/run/pubaddr-lab/$PUBADDR_LAB/pids/gatewayd")
is "the process is the gateway daemon" "$(cut -c1-15 "/proc/$pid/comm")" pubaddr-gateway
rss() { awk '$1 == "VmRSS:" {print $2}' "/proc/$pid/status"; }
ticks() { awk '{print $14 + $15}' "$1"; }
ELSEWHERE=${GW%:*}:6081
on gateway nft 'add table ip discard; add chain ip discard in { type filter hook prerouting priority raw; };
	add rule ip discard in udp dport 6081 drop'

read -r _ public < <(make_message key)
"$BUILD/test/netns/tunnel_tool" keys "$TMP/other.key"
grant=$(make_grant "$TMP/other.key" "$public" 203.0.113.80 1000 600)
median() { sort -g | awk '{x[NR] = $1} END {print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2}'; }

# flood TO RATE: prints what the generator made, messages a second.
flood() { on inet "$BUILD/test/bench/flood" "$1" "$LONG" "$grant" "$2"; }
judged() { echo $(($(gw bad-mac) + $(gw limited))); }

# burden TO RATE: the flood without anything else; sets made, seen (messages a second), load (percent of a core), memory (KiB).
burden() {
	local kib cpu before
	kib=$(rss) cpu=$(ticks "/proc/$pid/stat") before=$(judged)
	made=$(flood "$1" "$2")
	load=$((($(ticks "/proc/$pid/stat") - cpu) * 100 / $(getconf CLK_TCK) / LONG)) memory=$(($(rss) - kib))
	seen=$((($(judged) - before) / LONG))
	echo "# $made messages a second, $seen judged; gatewayd: $load % of a core, $memory KiB more"
}
burden "$GW" 1000 # its memory has been used once
is "a moderate flood is judged to the last message" "$((seen * 100 / made))" 100
burden "$GW" $RATE
check "$RATE a second: gatewayd takes half a core at most" test "$load" -le 50
check "its memory grows by 1 MiB at most" test "$memory" -le 1024
check "the flood comes to the gateway's arithmetic" test "$seen" -gt 10000
burden "$GW" 0
check "as many as can be made: half a core at most" test "$load" -le 50
check "memory grows by 1 MiB at most" test "$memory" -le 1024

in_background peer sink socat -u TCP-LISTEN:7000,reuseaddr OPEN:/dev/null
within 5 listening peer tcp 7000
in_background client1 source sh -c "exec dd if=/dev/zero bs=64k 2>/dev/null | socat -u - TCP:$PEER_IP:7000"
# acked: octets of the connection that have arrived so far.
acked() { on client1 ss -Htin "dport = :7000" | grep -o 'bytes_acked:[0-9]*' | cut -d: -f2; }
flows() { [ "$(acked || echo 0)" -gt 1000000 ]; }
within 10 flows || note <"$TMP/source"

# transfer NAME COMMAND...: kB/s of the connection while the command runs, to the file NAME.
transfer() {
	local name=$1 start at=${EPOCHREALTIME/./}
	shift
	start=$(acked)
	"$@" >>"$TMP/rate.$name"
	echo $((($(acked) - start) * 1000 / (${EPOCHREALTIME/./} - at))) >>"$TMP/$name"
}
cpu=0
for ((i = 0; i < ROUNDS; i++)); do
	transfer none sleep "$LONG"
	before=$(ticks "/proc/$pid/task/$pid/stat")
	transfer gateway flood "$GW" $RATE
	cpu=$((cpu + $(ticks "/proc/$pid/task/$pid/stat") - before))
	transfer dropped flood "$ELSEWHERE" $RATE
done
# ratio A B [PERCENT]: of the medians, in percent
ratio() { echo $(($(median <"$TMP/$1" | cut -d. -f1) * 100 / $(median <"$TMP/$2" | cut -d. -f1))); }
echo "# $(median <"$TMP/rate.gateway") messages a second at the gateway, $(median <"$TMP/rate.dropped") dropped beside it;" \
	"the connection: $(median <"$TMP/none") kB/s, under the flood $(median <"$TMP/gateway") ($(ratio gateway none) %)," \
	"under the dropped one $(median <"$TMP/dropped") ($(ratio dropped none) %)"
echo "# the gateway's thread for control messages took $((cpu * 100 / $(getconf CLK_TCK) / LONG / ROUNDS)) % of a core"
kept() {
	[ "$(ratio gateway none)" -ge 80 ] || { [ "$(ratio dropped none)" -lt 90 ] && [ "$(ratio gateway dropped)" -ge 85 ]; }
}
check "the connection keeps 0.8, or almost all that the generator leaves it" kept
is "no forgery bound" "$(gw confirm)" 1
answers() { ask_gateway '{"command":"version-get"}' | grep -q version; }
check "the gateway answers its operator" within 2 answers
check "the holder's address works" on peer ping -c2 -W2 "$CLIENT_PUBLIC_IP"
done_testing
