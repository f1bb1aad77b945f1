#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The session relay by the client daemon's local socket, as TAP: a NAT that passes no UDP, the real daemons, real peers, and a program that
# speaks the socket (relay_local_tool). The tunnel is never bound; the grant alone is enough.
# shellcheck disable=SC2154 # prog() sets NAME_pid
set -u
. "${top_srcdir:?}/test/netns/tunnel-net.sh"
PUB=203.0.113.7
relayd=$(cd "$top_builddir/relay" && pwd)/pubaddr-relayd
prog_tool=$(cd "$top_builddir/test/netns" && pwd)/relay_local_tool

# Nothing that is started holds our end of a FIFO, or nobody would see its end.
p() { ip netns exec "${net}p" "$@" 3>&-; }
c() { ip netns exec "${net}c" "$@" 3>&-; }

need_root
net_up
# What `ip netns exec` shows the server for its resolver.
trap 'cleanup; rm -rf "/etc/netns/${net}g"' EXIT
mkdir -p "/etc/netns/${net}g"
printf '127.0.0.1 localhost\n%s peer.example\n' $PEER >"/etc/netns/${net}g/hosts"
echo 'hosts: files' >"/etc/netns/${net}g/nsswitch.conf"
plan 57

ip netns exec "${net}n" nft 'add table ip blocked; add chain ip blocked transit { type filter hook forward priority 0; };
	add rule ip blocked transit iif lan meta l4proto udp counter drop' || exit 99

start_relay() {
	ip netns exec "${net}g" "$relayd" -c "$dir/gatewayd.conf" 2>>"$dir/relayd.log" & relay_pid=$!
	watch $relay_pid
	retry "$tool" call "$dir/relay.sock" version-get >/dev/null
}
prog() { # prog NAME ARGUMENT...: in the background, with standard input from NAME.in (a FIFO), output in NAME.out, events in NAME.err
	name=$1
	shift
	rm -f "$dir/$name.in" "$dir/$name.out" "$dir/$name.err" # what one of that name said before is not this one's
	mkfifo "$dir/$name.in"
	ip netns exec "${net}c" ${AS:-} "$prog_tool" "$dir/relay-eth0.sock" "$@" <"$dir/$name.in" >"$dir/$name.out" 2>"$dir/$name.err" &
	eval "${name}_pid=$!"
	watch $!
}
run() { # run NAME ARGUMENT...: without input, to the end
	prog "$@"
	: >"$dir/$1.in"
	eval "wait \$${1}_pid"
}
has() { retry grep -q "$2" "$dir/$1" >/dev/null; }
logged() { retry grep -q "$1" "$dir/tunneld.log" >/dev/null; }
relay_status() { "$bin/pubaddr" --json --run-dir "$dir" status 2>/dev/null | tr -d ' ' | sed -n '/"relay":/,$p'; }
counter() { relay_status | sed -n "s/^\"$1\":\([0-9]*\),*$/\1/p"; }
counter_is() { test "$(counter "$1")" = "$2"; }
listens() { p sh -c "ss -Hltn sport = $1 | grep -q ."; }

start_gateway
sed -i "s,\"listen\",\"relay\": {\"listen\": [\"$GW:443\"]\, \"control-socket\": \"$dir/relay.sock\"}\, \"listen\"," "$dir/gatewayd.conf"
start_relay
start_client
GRANT_RELAY=$GW:443
head -c 8388608 /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data")

# ---- before there is a grant
run early call $PEER:7000
has early.err 'failed network-unreachable'
ok $? 'without a grant a call fails at once: network-unreachable'
run early2 address
has early2.err 'failed network-unreachable'
ok $? 'and there is no address'

put_grant "$PUB" 100 600
ok $? 'a grant that names the relay comes'
prog addr address
exec 3<>"$dir/addr.in"
has addr.out "^$PUB\$"
ok $? 'a program is told the public address'
is "$(relay_status | sed -n 's/^"relay":{"state":"\(.*\)",*$/\1/p; s/^"state":"\(.*\)",*$/\1/p' | head -n 1)" off \
	'there is no connection to the server yet, for nobody wants one'
exec 3>&-
wait "$addr_pid"

# ---- a call
p socat -u TCP-LISTEN:7001,reuseaddr "SYSTEM:echo \$SOCAT_PEERADDR >$dir/peer; sha256sum >$dir/sum" & watch $!
retry listens 7001 >/dev/null
prog up call $PEER:7001
cat "$dir/data" >"$dir/up.in"
wait "$up_pid"
ok $? 'a call that ends well'
retry test -s "$dir/sum" >/dev/null
is "$(cat "$dir/peer")" "$PUB" 'the peer is called from the public address'
is "$(cat "$dir/sum")" "$sum" '8 MB to the peer are unchanged'
grep -q "connected $PUB:[0-9]* $PEER:7001" "$dir/up.err"
ok $? 'the program is told between which endpoints'
status_has bound
test $? -ne 0
ok $? 'the tunnel is not bound meanwhile, for no UDP passes'
session=$(sed -n "s/.*relay.call session=\([0-9]*\) kind=tcp peer=$PEER:7001 port=0 via=socket uid=0 .*/\1/p" "$dir/tunneld.log")
test -n "$session" && logged "relay.result session=$session result=ok local=$PUB" && logged "relay.end session=$session reason=ok" &&
	awk '/relay.connect /{c=NR} /relay.ready /{r=NR} /relay.call /&&!l{l=NR} /relay.result /&&!e{e=NR} /relay.end /&&!n{n=NR}
		END {exit !(c && c<r && r<l && l<e && e<n)}' "$dir/tunneld.log"
ok $? 'every step is in the log, in order'
grep -q "relay.call .*session=$session .*peer=$PEER:7001" "$dir/relayd.log"
ok $? "under the number that the server's log has"
relay_status >"$dir/status"
grep -q "\"peer\":\"$PEER:7001\"" "$dir/status" && grep -q '"state":"up"' "$dir/status"
ok $? 'pubaddr status --json shows the call'
"$bin/pubaddr" --run-dir "$dir" status | tee "$dir/text" | grep -q "relay *connected to $GW:443"
ok $? 'pubaddr status shows the relay'
id=$(sed -n 's/^called //p' "$dir/up.err")
run asked info "$id"
has asked.err "info over ok $PUB:[0-9]* $PEER:7001"
ok $? 'the session can be asked about when it is over'
p socat -u "OPEN:$dir/data" TCP-LISTEN:7002,reuseaddr & watch $!
retry listens 7002 >/dev/null
run down call $PEER:7002
is "$(sha256sum <"$dir/down.out")" "$sum" '8 MB from the peer are unchanged, after our half of the connection was closed'

# ---- results are exact
run refused call $PEER:7999
has refused.err 'failed refused'
ok $? 'nobody listens there: refused'
ip -n "${net}i" route add unreachable 192.0.2.140
run unreachable call 192.0.2.140:80
has unreachable.err 'failed host-unreachable'
ok $? 'the network says that there is no such host: host-unreachable'
run denied call 10.0.0.1:80
has denied.err 'failed denied'
ok $? 'a private network behind the server: denied'
run silly call $GW:443
has silly.err 'failed denied'
ok $? 'the server itself: denied'
is "$(counter failed)" 4 'the failures are counted'

# ---- calls that nobody waits for
ip netns exec "${net}i" nft 'add table ip silent; add chain ip silent transit { type filter hook forward priority 0; };
	add rule ip silent transit tcp dport 7999 drop; add rule ip silent transit tcp dport 7004 ct state new limit rate over 1/hour burst 1 packets drop'
prog open later $PEER:7999
exec 3<>"$dir/open.in"
has open.err 'neither readable nor writable'
ok $? 'a call under way is neither readable nor writable'
ip netns exec "${net}i" nft 'delete table ip silent'
has open.err 'ready in out err hup error=104'
ok $? 'it fails: everything is ready, with an error'
has open.err 'info failed refused'
ok $? 'and INFO knows which'
exec 3>&-
p socat TCP-LISTEN:7003,reuseaddr,fork SYSTEM:cat & watch $!
retry listens 7003 >/dev/null
prog fine later $PEER:7003
exec 3<>"$dir/fine.in"
has fine.err 'ready out error=0'
ok $? 'a call that is answered becomes writable, and no more'
has fine.err "info connected ok $PUB:[0-9]* $PEER:7003"
ok $? 'INFO says between which endpoints'
echo hello >&3
has fine.out hello
ok $? 'and bytes come and go'
exec 3>&-
wait "$fine_pid"

# ---- resets
# shellcheck disable=SC2016 # perl's variables
p perl -MSocket -e 'socket(L, AF_INET, SOCK_STREAM, 0); setsockopt(L, SOL_SOCKET, SO_REUSEADDR, 1); bind(L, sockaddr_in(7005, INADDR_ANY));
	listen(L, 1); accept(C, L); sysread(C, $x, 1); setsockopt(C, SOL_SOCKET, SO_LINGER, pack("ii", 1, 0)); close(C)' & watch $!
retry listens 7005 >/dev/null
prog torn call $PEER:7005
exec 3<>"$dir/torn.in"
has torn.err connected
echo xx >&3
has torn.err 'failed Connection reset by peer'
ok $? 'a peer that tears the connection down: ECONNRESET'
exec 3>&-

# ---- being called
prog called listen 8080 3
exec 3<>"$dir/called.in"
has called.err "listening $PUB:8080"
ok $? 'a program listens at the public address'
for i in 1 2 3; do
	p sh -c "echo question $i | socat -t 5 - TCP:$PUB:8080" >"$dir/answer$i" & eval "caller$i=$!"
done
wait "$caller1" "$caller2" "$caller3"
for i in 1 2 3; do
	grep -q "^$PUB:8080 of $PEER:[0-9]*: question $i\$" "$dir/answer$i"
	ok $? "caller $i of three at once is answered by a process that has nothing but the descriptor"
done
exec 3>&-
wait "$called_pid"
ok $? 'the program ends well'
no_listener() { ! g ss -Hltn "src $PUB" | grep -q .; }
retry no_listener >/dev/null
ok $? 'and its port with it'
prog first listen 8081 1
exec 3<>"$dir/first.in"
has first.err listening
run second listen 8081 1
has second.err 'failed in-use'
ok $? 'a port that is taken: in-use'
kill -9 "$first_pid"
exec 3>&-
retry no_listener >/dev/null
ok $? 'a program that is killed leaves nothing at the server'

# ---- datagrams and names
# shellcheck disable=SC2016 # perl's variables
p perl -MSocket -e 'socket(S, AF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(7006, INADDR_ANY));
	while ($a = recv(S, $b, 65535, 0)) { ($port, $ip) = sockaddr_in($a); send(S, "$b from " . inet_ntoa($ip), 0, $a) }' & watch $!
retry p sh -c 'ss -Hlun sport = 7006 | grep -q .' >/dev/null
prog dgram udp 7007 $PEER:7006
exec 3<>"$dir/dgram.in"
has dgram.err "listening $PUB:7007"
ok $? 'a UDP flow begins'
printf 'one\nlonger\n\n' >&3
has dgram.out "^$PEER:7006 [0-9]* one from $PUB" && has dgram.out "^$PEER:7006 [0-9]* longer from $PUB" && has dgram.out "^$PEER:7006 [0-9]*  from $PUB"
ok $? 'each datagram keeps its boundaries, an empty one too'
head -c 1400 /dev/zero | tr '\0' 'a' >"$dir/big"
echo >>"$dir/big"
cat "$dir/big" >&3
has dgram.out "^$PEER:7006 14[0-9]* aaaa"
ok $? 'a datagram of 1400 octets comes back whole'
exec 3>&-
wait "$dgram_pid"
run names resolve peer.example
grep -qx "$PEER" "$dir/names.out"
ok $? 'a name is resolved at the server'
run noname resolve no-such-name.invalid
has noname.err '^failed'
ok $? 'one that does not exist is not'

# ---- many
p sh -c 'ulimit -n 65536; socat TCP-LISTEN:7008,reuseaddr,fork,backlog=4096 SYSTEM:"cat",nofork' >/dev/null 2>&1 & watch $!
retry listens 7008 >/dev/null
run crowd many 200 $PEER:7008
is "$(cat "$dir/crowd.out")" '200 sessions at once' '200 sessions of one program at once'
retry counter_is sessions 0 >/dev/null
is "$(counter sessions) $(counter programs)" '0 0' 'and none is left when it has ended'

# ---- a connection that breaks
p socat -u TCP-LISTEN:7009,reuseaddr "SYSTEM:sha256sum >$dir/sum2" & watch $!
retry listens 7009 >/dev/null
prog broken call $PEER:7009
exec 3<>"$dir/broken.in"
has broken.err connected
head -c 4194304 "$dir/data" >&3
# The NAT forgets this connection: not a packet of it passes any more, and nobody says so.
port=$(c ss -Htn "dport = 443" | sed -n 's/.*:\([0-9]*\) *198.*/\1/p' | head -n 1)
ip netns exec "${net}n" nft "add rule ip blocked transit tcp sport $port tcp dport 443 drop"
(tail -c +4194305 "$dir/data" >&3) & feeder=$!
watch $feeder
logged relay.lost && logged 'relay.ready .*resumed=yes'
ok $? 'the connection is lost, and resumed'
wait $feeder
exec 3>&-
wait "$broken_pid"
ok $? 'the program has not noticed'
retry test -s "$dir/sum2" >/dev/null
is "$(cat "$dir/sum2")" "$sum" 'no byte is lost or doubled'

# ---- a renewed grant
prog long call $PEER:7003
exec 3<>"$dir/long.in"
has long.err connected
put_grant "$PUB" 100 900
echo again >&3
has long.out again
ok $? 'a session goes on when the grant is renewed'
exec 3>&-
wait "$long_pid"

# ---- who may not
AS='setpriv --reuid=65534 --regid=65534 --clear-groups --'
chmod 755 "$dir"
run nobody call $PEER:7003
has nobody.err 'failed denied'
ok $? 'who is not permitted is denied'
run nobody2 address
has nobody2.err 'failed denied'
ok $? 'the address, too'
logged 'relay.denied uid=65534'
ok $? 'and that is in the log'
printf '{ "allow-documentation": true, "key-file": "%s/client.key", "state-dir": "%s", "run-dir": "%s", "relay-users": {"users": ["nobody"]} }\n' \
	"$dir" "$dir" "$dir" >"$dir/users.conf"
kill "$client_pid"
wait "$client_pid"
ip netns exec "${net}c" "$bin/pubaddr-tunneld" -i eth0 -c "$dir/users.conf" 2>>"$dir/tunneld.log" & client_pid=$!
watch $client_pid
retry "$tool" call "$dir/tunneld-eth0.sock" version-get >/dev/null
prog somebody call $PEER:7003
exec 3<>"$dir/somebody.in"
has somebody.err connected
ok $? 'whom relay-users names is not'
AS=

# ---- the daemon dies
prog listener listen 8082 1
exec 4<>"$dir/listener.in"
has listener.err listening
kill -9 "$client_pid"
wait "$client_pid" 2>/dev/null
has somebody.err 'failed Connection reset by peer'
ok $? 'the daemon is killed with -9: a session is reset'
has listener.err 'failed end'
ok $? 'and who listens is told'
exec 3>&- 4>&-
retry no_listener >/dev/null
start_client
put_grant "$PUB" 100 900
prog reborn call $PEER:7003
exec 3<>"$dir/reborn.in"
has reborn.err connected
ok $? 'the next one serves again'

# ---- the grant ends
"$tool" call "$dir/tunneld-eth0.sock" grant-end '{"reason": "RELEASE"}' >/dev/null
has reborn.err 'failed Connection reset by peer'
ok $? 'the lease ends, and the sessions with it'
exec 3>&-
kill "$client_pid"
wait "$client_pid"
ok $? 'the daemon ends well'
test ! -e "$dir/relay-eth0.sock"
ok $? 'and takes its socket with it'
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log"
finish
