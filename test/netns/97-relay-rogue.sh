#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A server of the session relay that holds the gateway's keys and means harm to its clients, as TAP: what no session can have, random frames, TLS
# session tickets without end. The client daemon ends what is wrong, and goes on.
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
net_up
plan 12
block_udp
start_gateway
start_client
first=$client_pid
prog() { # prog NAME ARGUMENT...: in the background, with standard input from NAME.in, events in NAME.err
	name=$1
	shift
	rm -f "$dir/$name.in" "$dir/$name.out" "$dir/$name.err" # what one of that name said before is not this one's
	mkfifo "$dir/$name.in"
	c "$tools/relay_local_tool" "$dir/relay-eth0.sock" "$@" <"$dir/$name.in" >"$dir/$name.out" 2>"$dir/$name.err" &
	eval "${name}_pid=$!"
	watch $!
}
rogue() {
	ip netns exec "${net}g" "$tools/relay_rogue" $GW:443 "$dir/gateway.key" "$@" >"$dir/rogue" 2>&1 3>&- 4>&- & rogue_pid=$!
	watch $rogue_pid
	has rogue listening
}
dismiss() {
	kill $rogue_pid
	wait $rogue_pid 2>/dev/null
}
alive() { test "$client_pid" = "$first" && timeout 5 "$tool" call "$dir/tunneld-eth0.sock" version-get >/dev/null; }
logged() { retry grep -q "$1" "$dir/tunneld.log" >/dev/null; }

# ---- what no session of its kind can have
rogue bytes
GRANT_RELAY=$GW:443
put_grant "$PUB" 100 600
prog datagrams udp 0 $PEER:7000
exec 3<>"$dir/datagrams.in"
has rogue 'proved yes'
ok $? 'the server has the keys, and the client believes it'
has rogue 'open 3' && has datagrams.err 'listening '
ok $? 'a program has a flow of datagrams'
logged 'relay.end session=[0-9]* reason=protocol'
ok $? "a stream's bytes come to it: the session is over"
has datagrams.err 'end'
ok $? 'the program is told so'
exec 3>&-
prog calls listen 7001 1
exec 3<>"$dir/calls.in"
has rogue 'open 2' && has calls.err 'listening '
ok $? 'a program listens'
has calls.err 'end'
ok $? "it gets neither a datagram nor a stream's bytes, but the end"
exec 3>&-
grep -c 'reason=protocol' "$dir/tunneld.log" | sed 's/^/# protocol errors: /'
alive
ok $? 'the daemon goes on'
dismiss

# ---- random frames
for seed in 1 7919 20260823; do
	rogue noise $seed
	for i in 1 2 3 4; do
		prog "noise$i" many 20 $PEER:7002
	done
	: >"$dir/noise1.in"
	has rogue "open 1" && has rogue gone
	alive
	ok $? "random frames of the server's, seed $seed: the daemon goes on"
	dismiss
done

# ---- TLS itself
rogue tickets
prog late call $PEER:7003
exec 3<>"$dir/late.in"
# That it was in the midst of a proof is all that can be said of it.
logged 'relay.unreachable reason="\(too many key updates or session tickets\|the server does not take the proof\)'
ok $? 'a server that does nothing but give session tickets is let go'
sed 's/^/# /' "$dir/rogue"
alive
ok $? 'the daemon goes on'
exec 3>&-
finish
