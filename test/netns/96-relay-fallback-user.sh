#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The tunnel's fallback with the data path in the process, see fallback.sh. The grant names the relay. And who sends by it what is not his,
# or too much, harms nobody.
# shellcheck disable=SC2154,SC2034 # fallback.sh reads them, and relay-net.sh sets others
set -u
DATAPATH=user
GRANT_RELAY=198.51.100.10:443
. "${top_srcdir:?}/test/netns/fallback.sh"
need_root
net_up
plan 47
fallback

# ---- who is not content with his own, beside the client that goes by the relay
other() { # other N: one who is no daemon and has 203.0.113.8, with standard input from $dir/own
	ip netns exec "${net}c" "$relay_tool" $GW:443 "$hex" "$dir/other.key" tunnel "$1" <"$dir/own" >"$dir/own.out" 2>"$dir/own.err" & own_pid=$!
	watch $own_pid
	exec 5>"$dir/own"
	has own.err '^up'
}
other_ends() {
	exec 5>&-
	kill $own_pid
	wait $own_pid 2>/dev/null
}
packet() { echo "4500001d0000000040110000$1c00002820007000700090000ff"; } # UDP to the peer, from that address
gw_counter() { "$tool" call "$dir/gateway.sock" status-get | tr -d ' ' | tr ',{}' '\n\n\n' | sed -n "s/^\"$1\":\([0-9]*\)$/\1/p"; }
ports() { g ss -Hun 'dport = 6080' | wc -l; }
ports_are() { test "$(ports)" -eq "$1"; }
clients_are() { "$tool" call "$dir/relay.sock" status-get | grep -q "\"clients\": *$1"; }
other_key=$("$bin/pubaddr" --key-file "$dir/other.key" key)
hex=$("$tool" grant "$dir/gateway.key" "$other_key" 203.0.113.8 100 600 $GW:6080)
mkfifo "$dir/own"
kill_relay # and with it the ports that rest
until_60 ports_are 1 && until_60 path_is relay
ok $? 'the other client has one socket towards the gateway'
dropped=$(counter tunnel-dropped) limited=$(counter tunnel-limited) malformed=$(gw_counter malformed)
other 100
packet cb007107 >&5
retry counter_above tunnel-dropped $((dropped + 99))
ok $? 'packets from the address of another client: dropped, and counted'
echo 2001000000000000 >&5 # control, of no kind that there is
retry counter_above tunnel-limited $((limited + 49))
ok $? 'more control messages than a client has to say: dropped, and counted'
test $(($(gw_counter malformed) - malformed)) -le 50
ok $? 'the gateway sees as many as one client may send'
is "$(ports)" 2 'each client has a socket towards the gateway'

passed=$(counter tunnel-in)
while packet cb007108; do :; done >&5 2>/dev/null & flood_pid=$!
watch $flood_pid
retry counter_above tunnel-in $((passed + 1000))
ok $? 'one sends as much as he can'
open_transfers
feed 'beside him'
close_transfers
test "$(counter tunnel-in)" -gt $((passed + 5000)) && kill -0 $flood_pid
ok $? 'who has not become tired'
kill $flood_pid
other_ends
until_60 clients_are 1
ok $? 'he ends'
ports_are 2
ok $? 'his port is nobody else'"'"'s until the gateway has forgotten it'
path_is relay
ok $? 'and the other goes on by the relay'
finish_fallback
