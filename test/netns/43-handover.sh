#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# One holder at a time: an address goes to another client after its rest as soon as the gateway has acknowledged that
# the lease ended, hours before the old grant expires; while a gateway cannot acknowledge, it does not.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

# allocate CLIENT-ID: the address that this client gets, if any.
allocate() {
	ask_broker '{"command": "lease-allocate", "arguments": {"realm": "lab", "subnet-id": 1, "dhcp-address": "10.77.0.199", "client-id": "'"$1"'", "valid-lifetime": 3600}}' |
		sed -n 's/.*"address": *"\(203[0-9.]*\)".*/\1/p'
}
gets() { [ "$(allocate "$1")" = "$P" ]; }
now_ms() { date +%s%3N; }
rested() { [ $(($(now_ms) - ended)) -gt 5000 ]; }
released() { ask_broker "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"state": *"released"'; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
gateway_says() { ask_gateway '{"command": "status-get"}' | grep -q "$1"; }
broker_says() { ask_broker '{"command": "status-get"}' | grep -q "$1"; }

lab_up --quarantine 4 --broker-pool 203.0.113.8/32
P=$CLIENT_PUBLIC_IP
is "the client has the only address" "$P" 203.0.113.8
check "the gateway is synced with the broker" gateway_says '"synced": *true'
check "the broker knows its gateway" broker_says '"connected": *true'
check "their clocks agree" gateway_says '"clock-alarm": *false'
check "another client gets nothing" not gets 0a01

# A question that may wait is answered when its time is up, whatever else goes on: by the time in the answer clocks are compared.
# Asked in the gateway's name, from where it stands, so nothing changes.
stands() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$TMP/waited"; }
sync() { echo "{\"command\": \"gateway-sync\", \"arguments\": {\"name\": \"gw1\", \"from\": ${1:-0}, \"reports\": ${2:-0}, \"wait\": 2}}"; }
wait_idle() { # what is new comes at once, and is asked beyond
	asked=$(now_ms)
	{ sync "$(stands number)" "$(stands reports)" && sleep 5; } | on broker socat -t1 - UNIX:/run/pubaddr/broker.sock |
		{ read -r answer && now_ms >"$TMP/when" && echo "$answer" >"$TMP/waited"; }
	grep -q '"idle": *true' "$TMP/waited"
}
: >"$TMP/waited"
check "a question with a wait of 2 s is answered that there is nothing new" within 30 wait_idle
took=$(($(cat "$TMP/when") - asked))
check "when its time is up: $took ms" test "$took" -ge 1900 -a "$took" -lt 4500

# The client is ended without a word, so that nothing but the broker can end its binding.
"$LAB" stop client1.dhclient
"$LAB" stop client1.tunneld
check "the binding is there" bound
lease=$(ask_broker "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$P\"}}")
field() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" <<<"$lease"; }
id=$(field client-id)
name="client-id" && [ -n "$id" ] || { name=hw-address && id=$(field hw-address); }
ask_broker "{\"command\": \"lease-release\", \"arguments\": {\"realm\": \"lab\", \"subnet-id\": 1, \"dhcp-address\": \"$CLIENT_PRIVATE_IP\", \"$name\": \"$id\"}}" >/dev/null
ended=$(now_ms)
check "the broker ends the lease" released
eventually 3 "the gateway hears of it and ends the binding" not bound
check "it rests for now" not gets 0a01
eventually 10 "then another client gets it" gets 0a01
took=$(($(now_ms) - ended))
check "after its rest of 4 s: $took ms" test "$took" -ge 3000 -a "$took" -lt 12000
eventually 3 "the gateway has all of it on its disk" broker_says '"up-to-date": *true'

check "the gateway dies" "$LAB" stop gatewayd
ended=$(now_ms)
ask_broker '{"command": "lease-release", "arguments": {"realm": "lab", "subnet-id": 1, "dhcp-address": "10.77.0.199", "client-id": "0a01"}}' >/dev/null
check "the next lease is released" released
eventually 8 "its rest is over" rested
check "but nobody else gets it, for the gateway cannot acknowledge" not gets 0a02
check "the same client does" gets 0a01
done_testing
