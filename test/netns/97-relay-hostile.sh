#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Who means harm to the session relay, as TAP: strangers that fill its door, clients that break the protocol over real TLS, or want too
# much of what they may have. Others are served meanwhile, by the same process.
# shellcheck disable=SC2154 # relay() sets NAME_pid
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
command -v openssl >/dev/null || { echo '1..0 # SKIP openssl is missing'; exit 0; }
net_up
plan 31
block_udp
start_gateway
add_relay
start_relay
client_identity
first=$relay_pid
peer echo 7201
PUB2=203.0.113.8
hex2=$("$tool" grant "$dir/gateway.key" "$key" $PUB2 100 600 $GW:6080)
hostile() { ip netns exec "${net}c" "$tools/relay_hostile" $GW:443 "$dir/client.key" "$hex2" "$@"; }
stranger() { # stranger NAMESPACE ARGUMENT...
	from=$1
	shift
	ip netns exec "${net}$from" "$tools/relay_hostile" $GW:443 - - "$@" 3>&- 4>&-
}
works() { # an honest client is served, now
	relay honest call $PEER:7201
	exec 3<>"$dir/honest.in"
	echo "$1" >&3
	has honest.out "$1"
	works_rc=$?
	exec 3>&-
	wait "$honest_pid"
	return $works_rc
}

# ---- frames
before=$(rss)
for seed in 1 7919 20260823; do
	hostile frames $seed 60 $PEER:7201 >"$dir/frames"
	ok $? "60 times random and mutated frames after a good beginning, seed $seed"
	sed 's/^/# /' "$dir/frames"
	test "$(sed -n 's/.* \([0-9]*\) ended.*/\1/p' "$dir/frames")" -gt 20
	ok $? 'the server has ended those that broke the rules'
done
counter_above broken 60
ok $? 'and counted them'
grown=$(($(rss) - before))
echo "# memory grew by $grown KiB"
test $grown -lt 32768
ok $? 'its memory is what it was'
works frames
ok $? 'others are served'

# ---- TLS itself
hostile updates >"$dir/updates"
sed 's/^/# /' "$dir/updates"
grep -q '^ended' "$dir/updates"
ok $? 'a client that does nothing but change its key is ended'
stranger c updates >"$dir/updates"
grep -q '^ended' "$dir/updates"
ok $? 'so is a stranger'
echo | c timeout 10 openssl s_client -connect $GW:443 -tls1_2 >"$dir/tls12" 2>&1
grep -qi 'alert protocol version\|wrong version\|unsupported protocol' "$dir/tls12"
ok $? 'TLS 1.2 is refused'
grep -q 'BEGIN CERTIFICATE' "$dir/tls12"
test $? -ne 0
ok $? 'before the server has said who it is'
echo | c timeout 10 openssl s_client -connect $GW:443 -tls1_3 2>/dev/null | grep -q 'BEGIN CERTIFICATE'
ok $? 'which TLS 1.3 does'

# ---- resuming costs the server a transfer
hostile again 30 >"$dir/again"
sed 's/^/# /' "$dir/again"
test "$(sed -n 's/^resumed \([0-9]*\),.*/\1/p' "$dir/again")" -ge 10 && test "$(sed -n 's/.*refused \([0-9]*\)$/\1/p' "$dir/again")" -ge 5
ok $? 'a client that resumes 30 times in a row is told to wait'
counter_above throttled 4
ok $? 'which is counted'

# ---- the door
before=$(counter limited)
mkfifo "$dir/idle.in"
stranger c idle 40 192.168.77.10 40 <"$dir/idle.in" >"$dir/idle" & idle_pid=$!
watch $idle_pid
exec 4<>"$dir/idle.in"
has idle 'open 40'
ok $? '40 connections of one address that say nothing'
strangers_below() { test "$(counter strangers)" -le "$1"; }
strangers_below 16 && counter_above limited "$before"
ok $? 'the server keeps 16 of them'
works door
ok $? 'another client of that address is served'
exec 4>&-
wait $idle_pid
for i in $(seq 140 165); do
	ip -n "${net}p" addr add 192.0.2.$i/25 dev eth0
done
rm "$dir/idle.in" && mkfifo "$dir/idle.in"
stranger p idle 400 192.0.2.140 16 <"$dir/idle.in" >"$dir/idle" & idle_pid=$!
watch $idle_pid
exec 4<>"$dir/idle.in"
has idle 'open 400'
ok $? '400 connections of 25 addresses'
strangers_below 256
ok $? 'the server keeps 256 of them'
works crowd
ok $? 'a client is served'
no_strangers() { counter_is strangers 0; }
retry no_strangers
ok $? 'after 5 s none of them is left'
exec 4>&-
wait $idle_pid
is "$(counter flood)" 0 'so far none was too fast'
rm "$dir/idle.in" && mkfifo "$dir/idle.in"
prlimit --nofile=8192: --pid $$
stranger p idle 3000 192.0.2.140 120 <"$dir/idle.in" >"$dir/idle" & idle_pid=$!
watch $idle_pid
exec 4<>"$dir/idle.in"
has idle 'open 3000'
retry counter_above flood 100
ok $? '3000 connections of one network: many are closed before they cost anything'
exec 4>&-
wait $idle_pid
stranger c drip >"$dir/drip"
sed 's/^/# /' "$dir/drip"
test "$(sed -n 's/^ended after \([0-9]*\) ms/\1/p' "$dir/drip")" -lt 12000
ok $? 'who sends his first message an octet a second has 5 s for it, too'
is "$relay_pid $(cat "/proc/$first/comm")" "$first pubaddr-relayd" 'it has been one process all the time'

# ---- a limit of calls
stop_relay
sed -i 's|"relay": {|"relay": {"calls-per-second": 50, |' "$dir/gatewayd.conf"
start_relay
echo "$hex2" >"$dir/grants"
mkfifo "$dir/crowd.in"
exec 4<>"$dir/crowd.in"
ip netns exec "${net}c" timeout 20 "$tools/relay_crowd" $GW:443 "$dir/client.key" "$dir/grants" 200 $PEER:7201 echo <"$dir/crowd.in" >"$dir/crowd" 2>"$dir/crowd.err"
exec 4>&-
grep -q 'failed limit' "$dir/crowd.err" && counter_above throttled 0
ok $? 'more calls a second than the configuration lets a client make: told so, and counted'

# ---- the last descriptors
stop_relay
sed -i 's|"calls-per-second": 50, |"max-clients": 10, "max-sessions": 200, |' "$dir/gatewayd.conf"
ip netns exec "${net}g" prlimit --nofile=614:614 "$relayd" -c "$dir/gatewayd.conf" 2>>"$dir/relayd.log" & relay_pid=$!
watch $relay_pid
counts() { test -n "$(counter sockets)"; }
retry counts
is "$(counter sockets-max)" 200 'a server that has 200 sockets for sessions'
exec 4<>"$dir/crowd.in"
ip netns exec "${net}c" timeout 20 "$tools/relay_crowd" $GW:443 "$dir/client.key" "$dir/grants" 200 $PEER:7201 echo <"$dir/crowd.in" >"$dir/crowd" 2>"$dir/crowd.err"
grep -q 'failed limit' "$dir/crowd.err"
ok $? 'one client is not given all of them'
ip netns exec "${net}c" timeout 20 "$tools/relay_crowd" $GW:443 "$dir/client.key" "$dir/grants" 150 $PEER:7201 echo <"$dir/crowd.in" >"$dir/crowd" 2>"$dir/crowd.err" &
crowd_pid=$!
watch $crowd_pid
has crowd 'answered 150' && works last
ok $? 'while it has three quarters, another one is served'
exec 4>&-
wait $crowd_pid
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log"
finish
