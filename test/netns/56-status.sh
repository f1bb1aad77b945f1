#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What those say who are asked why it does not work: a grant that waits for a daemon, and a gateway that does not forward.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

reached() { on peer ping -c1 -W1 "$CLIENT_PUBLIC_IP"; }
status() { on client1 pubaddr status; }
says() { status >"$TMP/status" 2>&1; grep -q "$1" "$TMP/status"; }
bound() { status >/dev/null 2>&1; }
waits() { on client1 test -e /run/pubaddr/pending-eth0.json; }
gateway_says() { ask_gateway '{"command": "status-get"}' | grep -q "$1"; }

lab_up
check "the tunnel is up: status says so" says 'public address 203'
check "and nothing of a grant that waits" not says 'nobody has taken it'
kill "$(cat "$LAB_DIR/pids/client1.tunneld")"
eventually 5 "the daemon is stopped" not bound
"$LAB" stop client1.dhclient
"$LAB" start client1.dhclient
eventually 10 "dhclient gets a lease, and its grant waits in a file" waits
check "status tells of it" says '^eth0: a public address is granted, but nobody has taken it'
check "and what to do" says 'start it with: pubaddr-tunneld -i eth0'
on client1 pubaddr --json status >"$TMP/json" 2>"$TMP/stderr"
is "with exit code 1" $? 1
check "programs are told too" grep -q '"state": *"pending"' "$TMP/json"
check "not what is in the file" not grep -qi 'grant"' "$TMP/json"
"$LAB" start client1.tunneld
eventually 10 "the daemon is started: P is reached" reached
check "the grant waits no longer" not says 'nobody has taken it'

check "the gateway forwards, and says so" gateway_says '"forwarding": *true'
on gateway sysctl -qw net.ipv4.ip_forward=0
check "it does not any more, and says so" gateway_says '"forwarding": *false'
check "with the remedy" gateway_says '"problem": *"[^"]*sysctl -w net.ipv4.ip_forward=1'
check "P is not reached" not reached
on gateway sysctl -qw net.ipv4.ip_forward=1
check "it forwards again" gateway_says '"forwarding": *true'
check "and has no problem" not gateway_says '"problem"'
eventually 5 "P is reached" reached
done_testing
