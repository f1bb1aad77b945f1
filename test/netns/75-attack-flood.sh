#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Well-formed forged HELLO and CONFIRM as fast as they can be made. The bounds are loose: this machine does other things too,
# and the generator, the gateway and the transfer share its processors.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up
SECONDS_LONG=5
kill "$WIRE_PID"
wait "$WIRE_PID" 2>/dev/null
pid=$(<"/run/pubaddr-lab/$PUBADDR_LAB/pids/gatewayd")
rss() { awk '$1 == "VmRSS:" {print $2}' "/proc/$pid/status"; }
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }

read -r _ public < <(make_message key)
"$BUILD/test/netns/tunnel_tool" keys "$TMP/other.key"
grant=$(make_grant "$TMP/other.key" "$public" 203.0.113.80 1000 600)

# received: bytes of the transfer so far. The client sends by the tunnel without end.
in_background peer sink socat -u TCP-LISTEN:7000,reuseaddr "CREATE:/run/sink"
within 5 listening peer tcp 7000
on client1 sh -c "exec dd if=/dev/zero bs=64k 2>/dev/null | socat -u - TCP:$PEER_IP:7000" &
received() { on peer stat -c %s /run/sink; }
transfer() { # bytes in SECONDS_LONG seconds; the command given runs meanwhile
	local start
	start=$(received)
	"$@" >&2
	echo $(($(received) - start))
}
within 5 sh -c "[ \"\$('$LAB' exec peer -- stat -c %s /run/sink 2>/dev/null || echo 0)\" -gt 1000000 ]"
quiet=$(transfer sleep $SECONDS_LONG)
is "the process is the gateway daemon" "$(cut -c1-15 "/proc/$pid/comm")" pubaddr-gateway

# flood RATE: sets rate, judged, load, memory, flooded.
flood() {
	local bad cpu kib
	kib=$(rss) cpu=$(ticks) bad=$(($(gw bad-mac) + $(gw limited)))
	flooded=$(transfer on inet "$BUILD/test/bench/flood" "$GW" $SECONDS_LONG "$grant" "$1" 2>"$TMP/rate")
	load=$((($(ticks) - cpu) * 100 / $(getconf CLK_TCK) / SECONDS_LONG)) memory=$(($(rss) - kib))
	judged=$((($(gw bad-mac) + $(gw limited) - bad) / SECONDS_LONG)) rate=$(cat "$TMP/rate")
	echo "# $rate messages a second, $judged judged; gatewayd with the transfer: $load % of a core, $memory KiB more;" \
		"transfer $((flooded / SECONDS_LONG / 1000)) kB/s, $((quiet / SECONDS_LONG / 1000)) kB/s without a flood"
}
flood 100000
check "the flood comes to the gateway's arithmetic" test "$judged" -gt 10000
check "memory grows by 1 MiB at most" test "$memory" -le 1024
check "the established transfer goes on" test "$flooded" -gt $((quiet / 5))
flood 0
check "as many as can be made: memory grows by 1 MiB at most" test "$memory" -le 1024
check "the established transfer lives" test "$flooded" -gt 0
is "no forgery bound" "$(gw confirm)" 1
answers() { ask_gateway '{"command":"version-get"}' | grep -q version; }
check "the gateway answers its operator" within 2 answers
check "the holder's address works" on peer ping -c2 -W2 "$CLIENT_PUBLIC_IP"
done_testing
