#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A lease that nobody binds is reclaimed, and its address goes to others by the usual rules; a lease that was bound stays; a
# client that comes too late is refused, and gets a new lease with its next request.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

# allocate CLIENT-ID: the address that this client gets, if any.
allocate() {
	ask_broker '{"command": "lease-allocate", "arguments": {"realm": "lab", "subnet-id": 1, "dhcp-address": "10.77.0.199", "client-id": "'"$1"'", "valid-lifetime": 3600}}' |
		sed -n 's/.*"address": *"\(203[0-9.]*\)".*/\1/p'
}
gets() { [ "$(allocate "$1")" = "$2" ]; }
lease() { ask_broker "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$1\"}}"; }
epoch() { lease "$1" | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }
is_now() { lease "$1" | grep -q "\"state\": *\"$2\""; }
newer() { [ "$(epoch "$1")" -gt "$2" ]; }
broker_says() { ask_broker '{"command": "status-get"}' | grep -q "$1"; }
refused() { ask_gateway '{"command": "status-get"}' | grep -q '"revoked": *[1-9]'; }
reached() { on peer ping -c1 -W1 "$P"; }

lab_up --quarantine 4 --broker-pool 203.0.113.8/31
P=$CLIENT_PUBLIC_IP
OTHER=203.0.113.9
on broker sed -i 's|"realms": \["lab"\],|&\n"reclaim-unbound": 10,|' /etc/pubaddr/brokerd.conf
check "the broker reclaims after 10 s" on broker pubaddrctl reload
check "the client has the first address" test "$P" = 203.0.113.8
first=$(epoch "$P")

check "somebody takes the other address and does not bind it" gets 0a01 "$OTHER"
check "nobody else gets it" not gets 0a02 "$OTHER"
eventually 60 "it is reclaimed" is_now "$OTHER" reclaimed
check "the broker counts it" broker_says '"reclaimed": *1'
eventually 30 "and goes to another client" gets 0a02 "$OTHER"
check "the bound lease stays" is_now "$P" active
check "with its epoch" test "$(epoch "$P")" = "$first"
check "and is reached" reached

# No UDP, no binding: the client has a new lease, and cannot use it.
check "the client gives its lease back" "$LAB" release client1
check "UDP is blocked" "$LAB" block-udp on
"$LAB" renew client1 >/dev/null 2>&1
eventually 20 "it gets another lease" newer "$P" "$first"
second=$(epoch "$P")
eventually 60 "which is reclaimed" is_now "$P" reclaimed
check "UDP is free again" "$LAB" block-udp off
eventually 60 "the client comes too late and is refused" refused
check "it is not reached" not reached
check "its next request" "$LAB" renew client1
check "brings a new lease" newer "$P" "$second"
eventually 60 "with which it is reached" reached
check "the lease is active" is_now "$P" active
check "no private or foreign source on the Internet" no_leaks
done_testing
