#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The client's daemons stand still for longer than the keepalive interval, and for longer than the lease, as in a host that
# sleeps; its wall clock jumps, forward and back (faketime); its interface goes down and comes up. Each time P is reached again within
# its bound, and the connection inside goes on. By both data paths in turn.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/outage.sh
. "$(dirname "$0")/outage.sh"
need socat tcpdump conntrack faketime

KEEPALIVE=15
SOON=16 # the next keepalive, and a round trip
LEASE=20 # seconds; a grant outlives it by 60
says() { grep -q "$1" "/run/pubaddr-lab/$PUBADDR_LAB/log/$2"; }
pid() { cat "$LAB_DIR/pids/$1"; }
epoch() { on client1 pubaddr --json status | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }
addressed() { on client1 ip -4 addr show dev eth0 | grep -q "inet $CLIENT_PRIVATE_IP"; }

open_connection() {
	rm -f "$TMP/in" && mkfifo "$TMP/in"
	in_background peer got socat -u TCP4-LISTEN:7001,reuseaddr -
	within 5 listening peer tcp 7001
	"$LAB" exec client1 -- socat -u - "TCP4:$PEER_IP:7001" <"$TMP/in" &
	exec 8>"$TMP/in"
	echo before >&8
	within 5 grep -q before "$TMP/got"
}
goes_on() {
	echo "after $1" >&8
	eventually 30 "$1: the connection goes on" grep -q "after $1" "$TMP/got"
}
close_connection() { exec 8>&-; }

# ---- asleep for longer than the gateway waits, while the NAT forgets everything
export PUBADDR_DATAPATH=kernel
lab_up --keepalive "$KEEPALIVE"
P=$CLIENT_PUBLIC_IP
check "a connection is open" open_connection
watch_arrivals
sleeper=$(pid client1.tunneld)
kill -STOP "$sleeper"
eventually 60 "asleep: the gateway holds back what is for the client" says "binding.silent" gatewayd
"$LAB" rebind idle 2>/dev/null
fault_begins
kill -CONT "$sleeper"
fault_done
heals "awake" 3
goes_on "awake"

# ---- the interface goes down and comes up, as an administrator does it
fault_begins
ip -n "$PUBADDR_LAB-client1" link set eth0 down
ip -n "$PUBADDR_LAB-client1" link set eth0 up
addressed || ip -n "$PUBADDR_LAB-client1" addr add "$CLIENT_PRIVATE_IP/24" dev eth0
ip -n "$PUBADDR_LAB-client1" route replace default via 10.77.0.1 dev eth0
fault_done
heals "interface down and up" 10
goes_on "interface"
close_connection
stop_watching
check "no private or foreign source on the Internet" no_leaks
"$LAB" down

# ---- asleep for longer than lease and grant last: daemon and DHCP client
export PUBADDR_DATAPATH=user
lab_up --keepalive "$KEEPALIVE" --lease-time "$LEASE"
P=$CLIENT_PUBLIC_IP
was=$(epoch)
check "a connection is open" open_connection
kill -STOP "$(pid client1.tunneld)" "$(pid client1.dhclient)"
eventually $((LEASE + 90)) "asleep for long: the grant is over, and the gateway has ended the binding" says "binding.end.*addr=$P" gatewayd
kill -CONT "$(pid client1.tunneld)" "$(pid client1.dhclient)"
eventually 30 "awake: P is reached again" on peer ping -c1 -W1 "$P"
check "by another lease: epoch $(epoch), not $was" test "$(epoch)" -gt "$was"
goes_on "a long sleep"
close_connection
"$LAB" down

# ---- a wall clock that jumps, as the daemon sees it; the clock of timers jumped above
lab_up --keepalive "$KEEPALIVE"
P=$CLIENT_PUBLIC_IP
"$LAB" stop client1.tunneld
early_PID='' # set by in_background; faketime itself would stand between us and the daemon
CLOCK=$LAB_DIR/hosts/client1/run/clock # the daemon reads it anew each time
jump() { echo "$1" >"$CLOCK.new" && mv "$CLOCK.new" "$CLOCK"; }
jump "+0"
in_background client1 early env LD_PRELOAD="$(faketime -m now printenv LD_PRELOAD)" FAKETIME_TIMESTAMP_FILE=/run/clock FAKETIME_NO_CACHE=1 \
	FAKETIME_DONT_FAKE_MONOTONIC=1 pubaddr-tunneld -i eth0 -c /etc/pubaddr/tunneld.conf
eventually 20 "with a clock that can be set: P is reached" on peer ping -c1 -W1 "$P"
check "a connection is open" open_connection
watch_arrivals
for by in +400d -400d +0; do
	jump "$by"
	"$LAB" rebind idle 2>/dev/null
	FAULT_FROM=$(sed -n 1p "$LAB_DIR/rebound") FAULT_TO=$(sed -n 2p "$LAB_DIR/rebound")
	heals "the wall clock jumps by $by, and the NAT moves the mapping" "$SOON"
	check "which is when the daemon saw it" grep -q "^$(date -u -d "now ${by%d} days" +%Y).*gateway.rechallenge" "$TMP/early"
	goes_on "wall clock $by"
done
jump "-400d"
check "a handshake with that clock: the client renews" "$LAB" renew client1
eventually 10 "P is reached" on peer ping -c1 -W1 "$P"
stop_watching
kill "$early_PID"
wait "$early_PID" 2>/dev/null
close_connection
check "no private or foreign source on the Internet" no_leaks
done_testing
