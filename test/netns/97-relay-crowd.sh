#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Many sessions of the session relay, as TAP: 10,000 at once over one connection and over 200; readers that do not read, on either side. What
# a session costs the server is bounded, and others go on.
# shellcheck disable=SC2154 # relay() sets NAME_pid
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
net_up
plan 18
block_udp
start_gateway
add_relay '"max-sessions": 10100'
start_relay
client_identity
peer echo 7301
peer mute 7302
peer source 7303
crowd() { # crowd NAME GRANTS N PEER-PORT WAY: in the background, until its input ends
	crowd_name=$1
	rm -f "$dir/$1.in" "$dir/$1.out" "$dir/$1.err" # what one of that name said before is not this one's
	mkfifo "$dir/$1.in"
	ip netns exec "${net}c" "$tools/relay_crowd" $GW:443 "$dir/client.key" "$dir/$2" "$3" "$PEER:$4" "$5" \
		<"$dir/$1.in" >"$dir/$1.out" 2>"$dir/$1.err" 3>&- 4>&- &
	eval "${crowd_name}_pid=$!"
	watch $!
}
says() { # says NAME WORDS: has, with the patience that 10,000 calls may need
	for _ in 1 2 3 4 5 6; do
		has "$1.out" "$2" && return
	done
	sed 's/^/# /' "$dir/$1.err"
	return 1
}
echo "$hex" >"$dir/one"
: >"$dir/many"
for i in $(seq 10 209); do
	"$tool" grant "$dir/gateway.key" "$key" "203.0.113.$i" 100 600 $GW:6080 >>"$dir/many"
done
sed -n 1p "$dir/many" >"$dir/slow"
no_sockets() { counter_is sockets 0; }
fresh() { # a server whose memory has not grown yet
	stop_relay
	start_relay
	before=$(rss)
}

# ---- 10,000 at once
thousands() { # thousands NAME GRANTS N WORDS
	fresh
	crowd "$1" "$2" "$3" 7301 echo
	exec 3<>"$dir/$1.in"
	says "$1" 'open 10000'
	ok $? "10,000 sessions at once over $4"
	says "$1" 'answered 10000'
	ok $? 'each is answered'
	sed 's/^/# /' "$dir/$1.out"
	is "$(counter sockets)" 10000 'the server has as many sockets'
	each=$(((($(rss) - before) * 1024) / 10000))
	echo "# $each octets of the server's memory for each session over $4"
}
thousands single one 10000 'one connection'
test $each -lt 4096
ok $? 'a session costs the server less than 4 KiB'
hex=$(sed -n '$p' "$dir/many")
relay other call $PEER:7301
echo line >"$dir/other.in"
wait "$other_pid"
is "$(cat "$dir/other.out")" line 'another client is served beside them'
exec 3>&-
wait "$single_pid"
retry no_sockets
ok $? 'all are gone when their client is'
thousands each many 50 '200 connections'
test $each -lt 16384
ok $? 'a session costs the server less than 16 KiB, with its share of the connection'
exec 3>&-
wait "$each_pid"
retry no_sockets
ok $? 'all are gone when their clients are'

# ---- readers that do not read
slow() { # slow NAME PORT WAY WORDS
	fresh
	crowd "$1" slow 32 "$2" "$3"
	exec 3<>"$dir/$1.in"
	says "$1" 'full 32'
	ok $? "$4"
	head -c 8388608 /dev/urandom >"$dir/data"
	p socat -u TCP-LISTEN:7304,reuseaddr "SYSTEM:sha256sum >$dir/sum" & watch $!
	listens 7304
	relay fast call $PEER:7304
	cat "$dir/data" >"$dir/fast.in"
	wait "$fast_pid"
	retry test -s "$dir/sum" >/dev/null
	is "$(cat "$dir/sum")" "$(sha256sum <"$dir/data")" 'another client sends 8 MB meanwhile'
	rm -f "$dir/sum"
	grown=$(($(rss) - before))
	echo "# 32 such sessions: $grown KiB more, $((grown / 32)) KiB each"
	test $grown -lt $((32 * 640 + 16384))
	ok $? 'they cost the server a window each, at most'
	exec 3>&-
}
slow pushing 7302 push '32 peers do not read, and their client sends all it may'
wait "$pushing_pid"
slow stalling 7303 stall 'a client does not take what 32 peers never stop to send'
wait "$stalling_pid"
retry no_sockets
ok $? 'nothing is left of them'
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log"
finish
