#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# dhclient -r gives the address back; it rests, and the same client gets it again, with a higher epoch.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

lease() { ask_broker "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$P\"}}"; }
lease_state() { lease | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p'; }
lease_epoch() { lease | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }
released() { [ "$(lease_state)" = released ]; }
has_pub0() { on client1 ip link show dev pub0; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
rules_of_ours() { on client1 ip rule | grep -cE '^52[0-9][0-9]:'; }

lab_up
P=$CLIENT_PUBLIC_IP
epoch=$(lease_epoch)
is "the broker says that the lease is active" "$(lease_state)" active
check "the gateway has a binding" bound
check "the client has rules for it" test "$(rules_of_ours)" -gt 0

check "dhclient -r" "$LAB" release client1
eventually 5 "the broker says that it is released" released
eventually 5 "the interface is gone" not has_pub0
eventually 5 "the gateway was told: it has no binding any more" not bound
is "and every rule" "$(rules_of_ours)" 0
check "P does not answer" not on peer ping -c2 -i0.2 -W1 "$P"
other='{"command": "lease-allocate", "arguments": {"realm": "lab", "subnet-id": 1, "dhcp-address": "10.77.0.199",
	"client-id": "ff0102030405", "valid-lifetime": 60, "transaction": "00000001"}}'
next=$(ask_broker "${other//$'\n'/ }" | sed -n 's/.*"address": *"\(203[0-9.]*\)".*/\1/p')
check "while it rests another client gets another one: $next" test -n "$next" -a "$next" != "$P"

check "the client asks again" "$LAB" renew client1
check "and is bound" on client1 pubaddr status
is "with the same P" "$(on client1 ip -4 -o addr show dev pub0 | awk '{print $4}')" "$P/32"
check "and a higher epoch" test "$(lease_epoch)" -gt "$epoch"
check "P answers again" on peer ping -c1 -W2 "$P"
check "no private or foreign source on the Internet" no_leaks
done_testing
