#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Users of one host who share the session relay, as TAP: one that holds connections to the client daemon's socket without a word, one that
# may not use it and does so, too, one whose calls never end. The others are served meanwhile.
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
command -v setpriv >/dev/null || { echo '1..0 # SKIP setpriv is missing'; exit 0; }
net_up
plan 7
block_udp
start_gateway
add_relay
start_relay
start_users
prlimit --nofile=16384: --pid $$
is_served() { # is_served WORDS: daemon calls, and has its line back
	prog daemon served call $PEER:7401
	exec 4<>"$dir/served.in"
	echo "$1" >&4
	has served.out "$1"
	served_rc=$?
	exec 4>&-
	# shellcheck disable=SC2154 # set by prog
	wait "$served_pid"
	return $served_rc
}
GRANT_RELAY=$GW:443
put_grant "$PUB" 100 600
peer echo 7401
is_served first
ok $? 'a user who may use the relay is served'

prog nobody stranger squat 4000
exec 3<>"$dir/stranger.in"
has stranger.err squatting
sed 's/^/# /' "$dir/stranger.err"
is_served strangers
ok $? 'and while one who may not holds 4000 connections without a word'
exec 3>&-
# shellcheck disable=SC2154
wait "$stranger_pid"

prog bin squatter squat 4000
exec 3<>"$dir/squatter.in"
has squatter.err squatting
sed 's/^/# /' "$dir/squatter.err"
is_served squatters
ok $? 'and while another one who may does'
exec 3>&-
# shellcheck disable=SC2154
wait "$squatter_pid"

ip netns exec "${net}i" nft 'add table ip silent; add chain ip silent transit { type filter hook forward priority 0; };
	add rule ip silent transit tcp dport 7402 drop'
prog bin caller stuck 4200 $PEER:7402
exec 3<>"$dir/caller.in"
has caller.err stuck || has caller.err stuck
ok $? 'another one makes 4200 calls that nobody answers'
sed 's/^/# /' "$dir/caller.err"
test "$(sed -n 's/^stuck //p' "$dir/caller.err")" -le 1024
ok $? 'he is given some of them'
is_served callers
ok $? 'a call of the first one is made'
exec 3>&-
kill -0 $client_pid
ok $? 'it has been one daemon all the time'
finish
