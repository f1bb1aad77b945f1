#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The hook library in the real kea-dhcp4, single- and multi-threaded, with real DHCP clients and a broker that grants, is
# away, silent, or talks nonsense. Needs root; builds two namespaces of its own and prints TAP.
set -u
srcdir=$(realpath "${top_srcdir:-$(dirname "$0")/../..}/test")
builddir=$(realpath "${top_builddir:-$(dirname "$0")/../..}")
PATH=$PATH:/usr/sbin:/sbin
server_ns=pahook-s$$
client_ns=pahook-c$$
dir=$(mktemp -d) || exit 99
kea_pid=
broker_pid=
client_pid=
# shellcheck source=test/hook/kea.sh
. "$srcdir/hook/kea.sh"

end_pid() { # end_pid PID
	[ -n "$1" ] || return 0
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

cleanup() {
	end_dhclient
	kea_end
	end_pid "$broker_pid"
	broker_pid=
	ip netns del "$client_ns" 2>/dev/null
	ip netns del "$server_ns" 2>/dev/null
	rm -rf "$dir"
}

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
for c in kea-dhcp4 perfdhcp dhclient perl ip; do
	command -v "$c" >/dev/null || skip_all "no $c; Debian packages: kea-dhcp4-server kea-admin isc-dhcp-client perl iproute2"
done
why=$(obstacle)
[ -z "$why" ] || skip_all "$why"

# ---------------------------------------------------------------- network, server, broker, clients

network() {
	ip netns add "$server_ns" && ip netns add "$client_ns" || return
	ip -n "$server_ns" link add dhcp0 type veth peer name lan0 netns "$client_ns" || return
	ip -n "$server_ns" addr add 10.77.0.1/16 dev dhcp0
	ip -n "$client_ns" addr add 10.77.0.2/16 dev lan0
	ip -n "$server_ns" link set lo up
	ip -n "$server_ns" link set dhcp0 up
	ip -n "$client_ns" link set lo up
	ip -n "$client_ns" link set lan0 up
}

broker() { # broker MODE: replaces the one that runs
	end_pid "$broker_pid"
	broker_pid=
	rm -f "$dir/broker.sock"
	: >"$dir/broker.log"
	[ "$1" = away ] && return
	perl "$srcdir/hook/fake-broker.pl" "$dir/broker.sock" "$dir/broker.log" "$1" &
	broker_pid=$!
	wait_for 10 test -S "$dir/broker.sock"
}
# The hook is connected to the broker that runs now, not still to the one before.
connected() { grep -q '^connected$' "$dir/broker.log"; }

kea() { # kea MT PARAMETERS
	kea_end
	kea_config "$1" '"dhcp0"' "$2" >"$dir/kea.conf"
	kea_run ip netns exec "$server_ns" >"$dir/kea.out" 2>&1 &
	kea_pid=$!
	wait_for 20 dhcp_ready
}
dhcp_ready() { ip netns exec "$server_ns" ss -Hlun 'sport = 67' | grep -q . && [ -n "$(status broker-up)" ]; }

parameters() { # parameters DEADLINE MAX-PARKED
	echo "{\"realm\": \"test\", \"broker-socket\": \"$dir/broker.sock\", \"deadline\": $1, \"max-parked\": $2}"
}

dhclient_files() {
	cat >"$dir/script" <<-END
	#!/bin/sh
	# What dhclient hands to a hook.
	env | grep -E '^(reason|new_ip_address|new_pubaddr)=' >"$dir/env.new"
	mv "$dir/env.new" "$dir/env.\$reason"
	END
	chmod +x "$dir/script"
	echo 'timeout 30; option pubaddr code 224 = string;' >"$dir/plain.conf"
	cat "$dir/plain.conf" - >"$dir/asks.conf" <<<'also request pubaddr;'
	cat "$dir/asks.conf" - >"$dir/key.conf" <<<"send pubaddr $(printf '%s' 'ab:'{0..30} | sed 's/:[0-9]*/:/g')cd;"
}

start_dhclient() { # start_dhclient CONF: in the background; it stays in the foreground of its own process
	rm -f "$dir"/env.* "$dir/leases"
	timeout 60 ip netns exec "$client_ns" dhclient -4 -1 -d -cf "$dir/$1.conf" -lf "$dir/leases" -pf "$dir/dhclient.pid" \
		-sf "$dir/script" lan0 >"$dir/dhclient.out" 2>&1 &
	client_pid=$!
}
run_dhclient() { # run_dhclient CONF: until it has a lease
	start_dhclient "$1"
	wait_for 30 leased
}
end_dhclient() {
	end_pid "$client_pid"
	client_pid=
}
release_dhclient() {
	timeout 10 ip netns exec "$client_ns" dhclient -4 -r -q -cf "$dir/asks.conf" -lf "$dir/leases" \
		-pf "$dir/dhclient.pid" -sf "$dir/script" lan0 >>"$dir/dhclient.out" 2>&1
}
leased() { grep -q '^new_ip_address=10.77' "$dir/env.BOUND"; }
option() { sed -n 's/^new_pubaddr=//p' "$dir/env.BOUND"; }

# load CLIENTS RATE: full exchanges, every client names and sends the option; sets drops and slowest (ms, REQUEST to ACK)
load() {
	ip netns exec "$client_ns" perfdhcp -4 -l lan0 -n "$1" -n "$1" -R "$1" -r "$2" -W 4000000 -o 224,0100 >"$dir/perfdhcp.out" 2>&1
	drops=$(awk '/REQUEST-ACK/ {r = 1} r && /^drops:/ {print $2; exit}' "$dir/perfdhcp.out")
	local received
	received=$(awk '/REQUEST-ACK/ {r = 1} r && /^received packets:/ {print $3; exit}' "$dir/perfdhcp.out")
	slowest=$(awk '/REQUEST-ACK/ {r = 1} r && /^max delay:/ {print int($3); exit}' "$dir/perfdhcp.out")
	echo "# $1 exchanges: received=$received drops=$drops slowest=$slowest ms"
	[ "$drops" = 0 ] && [ "$received" -ge "$1" ] # it may have begun one more before it saw that these are enough
}

# ---------------------------------------------------------------- tests, each for one threading mode

test_grant() {
	local want
	want=$(printf '1'; printf ':0:ff:a:7f%.0s' {1..20})
	broker grant
	kea "$mt" "$(parameters 500 64)" && wait_for 15 connected
	ok $? "$mode: the hook finds the broker"
	run_dhclient asks && [ "$(option)" = "$want" ]
	ok $? "$mode: a client that asks gets the option, byte for byte"
	grep -q '"command":"lease-allocate"' "$dir/broker.log" && grep -q '"valid-lifetime":600' "$dir/broker.log" &&
		grep -q '"realm":"test"' "$dir/broker.log" && grep -q '"subnet-id":1' "$dir/broker.log"
	ok $? "$mode: the broker is told realm, subnet and lifetime"
	address=$(sed -n 's/^new_ip_address=//p' "$dir/env.BOUND")
	release_dhclient
	wait_for 10 grep -q "\"command\":\"lease-release\".*\"$address\"\|\"$address\".*\"command\":\"lease-release\"" "$dir/broker.log"
	ok $? "$mode: RELEASE reaches the broker"
	end_dhclient
	run_dhclient key && grep -q "\"client-key\":\"$(printf 'ab%.0s' {1..31})cd\"" "$dir/broker.log"
	ok $? "$mode: the client's public key reaches the broker"
	end_dhclient
	: >"$dir/broker.log"
	run_dhclient plain && [ -z "$(option)" ] && [ ! -s "$dir/broker.log" ]
	ok $? "$mode: a client that does not ask gets a plain lease, the broker hears nothing"
	end_dhclient
	load 200 100 && [ "$(status pubaddr-granted)" -ge 200 ]
	ok $? "$mode: 200 clients get leases and options"
}

test_broker_trouble() {
	broker refuse
	wait_for 15 connected && load 10 20 && [ "$(status pubaddr-refused)" -ge 10 ]
	ok $? "$mode: broker refuses: ordinary leases"
	broker away
	wait_for 10 status_is broker-up false && load 20 20 && [ "$slowest" -lt 250 ]
	ok $? "$mode: broker away: ordinary leases, at once (slowest ${slowest:-?} ms)"
	broker nonsense
	wait_for 15 connected && load 20 20 && [ "$slowest" -lt 250 ] &&
		[ "$(status pubaddr-nonsense-replies)" -ge 1 ]
	ok $? "$mode: broker talks nonsense: ordinary leases, at once (slowest ${slowest:-?} ms)"
	broker silent
	wait_for 15 connected && load 5 20 && [ "$slowest" -ge 400 ] && [ "$slowest" -lt 900 ] &&
		[ "$(status pubaddr-timeout)" -ge 5 ]
	ok $? "$mode: broker silent: ordinary leases after the deadline of 500 ms (slowest ${slowest:-?} ms)"
	wait_for 15 connected && load 60 200 && wait_for 5 status_is parked 0 && [ "$slowest" -lt 900 ] &&
		[ "$(status pubaddr-parked-limit)" = 0 ]
	ok $? "$mode: 60 clients at a silent broker: all wait, all get ordinary leases (slowest ${slowest:-?} ms)"
	broker grant
	wait_for 15 connected && run_dhclient asks && [ -n "$(option)" ]
	ok $? "$mode: broker back: the option is there again"
	end_dhclient
}

test_limit() {
	broker silent
	kea "$mt" "$(parameters 500 2)" && wait_for 15 connected
	load 20 200 && [ "$(status pubaddr-parked-limit)" -ge 1 ]
	ok $? "$mode: beyond max-parked ordinary leases at once, none lost"
}

# A client's REQUEST waits at a silent broker while Kea is told to do something.
wait_parked() {
	broker silent
	kea "$mt" "$(parameters 5000 64)" && wait_for 15 connected || return
	start_dhclient asks
	wait_for 10 status_at_least parked 1
}

test_reload() {
	wait_parked
	ok $? "$mode: a request waits"
	kea_command '{"command": "config-reload"}' | grep -q '"result": 0'
	ok $? "$mode: config-reload while it waits"
	! grep -q UNRECOVERABLE "$dir/kea.log" && wait_for 10 status_is broker-up true
	ok $? "$mode: the server is well"
	broker grant
	wait_for 20 leased
	ok $? "$mode: the client's next try gets a lease"
	end_dhclient
}

test_unload() {
	wait_parked
	ok $? "$mode: a request waits"
	kea_command "{\"command\": \"config-set\", \"arguments\": $(kea_config "$mt" '"dhcp0"' "")}" | grep -q '"result": 0'
	ok $? "$mode: the library is taken out while it waits"
	wait_for 20 leased && [ -z "$(option)" ]
	ok $? "$mode: the client's next try gets a plain lease"
	end_dhclient
	! grep -q UNRECOVERABLE "$dir/kea.log" && load 10 20
	ok $? "$mode: and so do others"
	wait_parked
	kea_end
	ok $? "$mode: Kea ends cleanly while a request waits"
	end_dhclient
}

trap cleanup EXIT
trap 'exit 130' INT TERM
network || { echo "Bail out! cannot build namespaces"; exit 99; }
dhclient_files
echo "1..48"
for mt in false true; do
	mode=$([ "$mt" = true ] && echo multi-threaded || echo single-threaded)
	test_grant
	test_broker_trouble
	test_limit
	test_reload
	test_unload
done
sanitizers_silent
ok $? "no sanitizer report"
! grep -q 'PUBADDR_CALLOUT_FAILED\|UNRECOVERABLE' "$dir/kea.log"
ok $? "no callout failed"
[ "$failed" -eq 0 ] || tail -n 60 "$dir/kea.log" | sed 's/^/# /'
exit "$failed"
