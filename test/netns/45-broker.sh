#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The real broker stopped, dead, or slow, and in its place a scripted socket that answers nonsense: clients that ask for the
# option get their ordinary lease within the hook's deadline, others at once; existing grants live on; and when the broker
# is well again the option is there again, without anybody's help.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat perfdhcp strace perl

strace_PID='' nonsense_PID='' # set by in_background
DEADLINE=500 # ms, the hook's default
BUSY=400     # ms that a busy machine may add
N=8          # clients in each round

broker_pid() { cat "$LAB_DIR/pids/brokerd"; }
reached() { on peer ping -c1 -W2 "$P"; }
kea() { echo "$1" | on dhcp socat -t5 - UNIX:/run/kea/dhcp4.sock; }
statistic() { kea '{"command": "statistic-get", "arguments": {"name": "pubaddr-'"$1"'"}}' | sed -n 's/.*\[ \[ \([0-9]*\),.*/\1/p'; }
renewed_since() { [ "$(renewals)" -gt "$1" ]; }
renewals() { grep -c 'DHCPACK' "$LAB_DIR/log/client1.dhclient"; }

channel_up() { ask_gateway '{"command": "status-get"}' | grep -q '"connected": *true'; }

# dora asking|others: sets received, and slowest: ms from REQUEST to ACK. perfdhcp's transactions have the same numbers each
# time, and what the broker repeats costs it nothing: another group means other clients.
GROUP=00
dora() {
	local ask=()
	[ "$1" = others ] || ask=(-o "224,0100")
	on client2 timeout 60 perfdhcp -4 -l eth0 -b "mac=00:0c:01:02:$GROUP:01" -n "$N" -n "$N" -R "$N" -r 20 -W 4000000 "${ask[@]}" >"$TMP/perfdhcp" 2>&1
	received=$(awk '/REQUEST-ACK/ {r = 1} r && /^received packets:/ {print $3; exit}' "$TMP/perfdhcp")
	slowest=$(awk '/REQUEST-ACK/ {r = 1} r && /^max delay:/ {print int($3); exit}' "$TMP/perfdhcp")
}

# gets_option: the clients that ask are granted addresses again.
gets_option() {
	local before after
	before=$(statistic granted)
	dora asking
	after=$(statistic granted)
	[ $((after - before)) -ge "$N" ]
}

# trouble WHAT wait|pass: what everybody sees while the broker is not well; wait: those who ask wait for the deadline.
trouble() {
	local before
	before=$(statistic granted)
	dora asking
	is "$1: clients that ask get ordinary leases" "$received" "$N"
	check "$1: within the deadline: slowest $slowest ms" test "$slowest" -le $((DEADLINE + BUSY))
	[ "$2" = pass ] || check "$1: they did wait for it" test "$slowest" -ge $((DEADLINE - 50))
	is "$1: without the option" "$(statistic granted)" "$before"
	dora others
	is "$1: other clients get theirs" "$received" "$N"
	check "$1: at once: slowest $slowest ms" test "$slowest" -lt $((DEADLINE - 50))
	check "$1: P is reached" reached
	before=$(renewals)
	check "$1: dhclient renews the lease of P's holder" "$LAB" renew client1
	eventually 10 "$1: with an ACK" renewed_since "$before"
	is "$1: who keeps P and the binding" "$(on client1 pubaddr --json status | grep -c "\"address\": \"$P\"")" 1
	check "$1: P is reached" reached
}

recovered() { # recovered WHAT
	eventually 20 "$1: asking clients get the option again" gets_option
	check "$1: P is reached" reached
}

lab_up --clients 2
P=$CLIENT_PUBLIC_IP
"$LAB" stop client2.dhclient
check "all is well: clients that ask are granted addresses" gets_option
check "at once: slowest $slowest ms" test "$slowest" -lt "$DEADLINE"

kill -STOP "$(broker_pid)"
trouble "stopped broker" wait
kill -CONT "$(broker_pid)"
recovered "continued broker"

check "the broker dies" "$LAB" stop brokerd
trouble "dead broker" pass
check "the broker is started again" "$LAB" start brokerd
recovered "restarted broker"

# Slow as with a disk that takes its time: each flush of the database takes 100 ms and then 800 ms.
slow() { # slow MS
	in_background broker strace strace -f -e trace=fdatasync,fsync -e "inject=fdatasync,fsync:delay_enter=${1}000" -p "$(broker_pid)"
	within 5 grep -q attached "$TMP/strace"
}
fast() { kill "$strace_PID" && wait "$strace_PID"; }

GROUP=01
check "a disk that is a little slow" slow 100
check "the option still comes" gets_option
check "a little later: slowest $slowest ms" test "$slowest" -ge 90
fast
GROUP=02
check "a disk that is too slow" slow 800
trouble "slow broker" wait
fast
recovered "fast broker"

check "the broker dies once more" "$LAB" stop brokerd
in_background broker nonsense perl "$HERE/../hook/fake-broker.pl" /run/pubaddr/broker.sock "$TMP/nonsense.log" nonsense
eventually 15 "a scripted socket that talks nonsense stands in its place" grep -q connected "$TMP/nonsense.log"
trouble "nonsense" pass
check "the hook counted it" test "$(statistic nonsense-replies)" -ge 1
kill "$nonsense_PID"
wait "$nonsense_PID"
on broker rm -f /run/pubaddr/broker.sock
check "the broker is started again" "$LAB" start brokerd
recovered "the real one"

eventually 15 "the gateway has its channel again" channel_up
check "no private or foreign source on the Internet" no_leaks
done_testing
