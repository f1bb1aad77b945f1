#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The session relay's server, as TAP: a NAT that passes no UDP, a client of its own (relay_tool), real peers. Calls in both directions have
# the client's public address; results are exact; connections that break cost nothing; who has no grant gets nothing.
# shellcheck disable=SC2154,SC2020 # relay() sets NAME_pid; tr replaces characters
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
net_up
plan 45

block_udp

start_gateway
add_relay
"$relayd" -t -c "$dir/gatewayd.conf" >/dev/null
ok $? 'the configuration is right'
g ip rule show >"$dir/rules"
g nft list ruleset >"$dir/ruleset"
g ip route show table all >"$dir/routes"
start_relay
key=$("$bin/pubaddr" --key-file "$dir/client.key" key)
hex=$("$tool" grant "$dir/gateway.key" "$key" "$PUB" 100 600 $GW:6080)
grep -q 'relay.ready' "$dir/relayd.log"
ok $? 'the relay is ready'

# ---- a call: three sessions, the bytes unchanged, P at the peer
head -c 8388608 /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data")
p socat -u TCP-LISTEN:7001,reuseaddr "SYSTEM:echo \$SOCAT_PEERADDR >$dir/peer; sha256sum >$dir/sum" & watch $!
retry p sh -c 'ss -Hltn sport = 7001 | grep -q .' >/dev/null
relay up call $PEER:7001
cat "$dir/data" >"$dir/up.in"
wait "$up_pid"
ok $? 'a call that ends well'
retry test -s "$dir/sum" >/dev/null
is "$(cat "$dir/peer")" "$PUB" 'the peer is called from the public address'
is "$(cat "$dir/sum")" "$sum" '8 MB to the peer are unchanged'
grep -q "connected $PUB:[0-9]* $PEER:7001" "$dir/up.err"
ok $? 'the client is told between which endpoints'
grep -q "relay.call .*peer=$PEER:7001" "$dir/relayd.log" && grep -q "relay.connected .*peer=$PEER:7001" "$dir/relayd.log"
ok $? 'each step is in the log'

p socat -u "OPEN:$dir/data" TCP-LISTEN:7002,reuseaddr & watch $!
retry p sh -c 'ss -Hltn sport = 7002 | grep -q .' >/dev/null
relay down call $PEER:7002
: >"$dir/down.in"
wait "$down_pid"
is "$(sha256sum <"$dir/down.out")" "$sum" '8 MB from the peer are unchanged, after our half of the connection was closed'

# ---- results are exact
relay refused call $PEER:7999
: >"$dir/refused.in"
wait "$refused_pid"
grep -q 'failed refused' "$dir/refused.err"
ok $? 'nobody listens there: refused'
ip -n "${net}i" route add unreachable 192.0.2.140
relay unreachable call 192.0.2.140:80
: >"$dir/unreachable.in"
wait "$unreachable_pid"
grep -q 'failed host-unreachable' "$dir/unreachable.err"
ok $? 'the network says that there is no such host: host-unreachable'
relay denied call 10.0.0.1:80
: >"$dir/denied.in"
wait "$denied_pid"
grep -q 'failed denied' "$dir/denied.err"
ok $? 'a private network behind the server: denied'
relay own call $GW:443
: >"$dir/own.in"
wait "$own_pid"
grep -q 'failed denied' "$dir/own.err"
ok $? 'the server itself: denied'
is "$(counter denied)" 2 'both are counted'

# ---- being called
relay called listen 8080
exec 3<>"$dir/called.in"
has called.err "listening $PUB:8080"
ok $? 'the client listens at its public address'
p sh -c "echo question | socat -t 5 - TCP:$PUB:8080" >"$dir/answer" & caller=$!
watch $caller
has called.err "incoming $PUB:8080 $PEER"
ok $? 'a peer calls, and the client is told who'
has called.out question
ok $? 'what the peer says arrives'
echo answer >&3
exec 3>&-
wait "$called_pid"
wait $caller
is "$(cat "$dir/answer")" answer 'and it gets its answer'
p ping -c 1 -W 1 $PUB >/dev/null 2>&1
test $? -ne 0
ok $? 'what is for no socket of the relay goes to the tunnel, where nobody is bound'

# ---- datagrams and names
p socat UDP-RECVFROM:7003,fork SYSTEM:"cat; echo \$SOCAT_PEERADDR" & watch $!
retry p sh -c 'ss -Hlun sport = 7003 | grep -q .' >/dev/null
relay dgram udp 7004 $PEER:7003
exec 3<>"$dir/dgram.in"
has dgram.err "listening $PUB:7004"
ok $? 'a UDP flow begins'
echo one >&3
has dgram.out "^$PEER:7003 one"
ok $? 'a datagram is answered'
has dgram.out "$PUB"
ok $? 'it came from the public address'
head -c 3000 /dev/zero | tr '\0' b >"$dir/long"
p socat -u -b 65536 "OPEN:$dir/long" "UDP4-SENDTO:$PUB:7004,bind=$PEER:7103"
has dgram.out "^$PEER:7103 b\{3000\}\$"
ok $? 'a datagram that comes in fragments arrives whole'
exec 3>&-
kill "$dgram_pid"
g nft list table ip pubaddr-relay | grep -q 'chain whole'
ok $? 'for which the kernel puts packets together'
relay lost udp 7014 $PEER:7998
exec 3<>"$dir/lost.in"
has lost.err listening
echo hello >&3
has lost.err "^undelivered $PEER:7998 refused"
ok $? 'nobody listens there, as the peer says: the client is told'
exec 3>&-
kill "$lost_pid"
relay names resolve localhost
: >"$dir/names.in"
wait "$names_pid"
grep -q '^failed' "$dir/names.err" && test ! -s "$dir/names.out"
ok $? "a name of the server's host itself is not told"

# ---- a connection that breaks
p socat -u TCP-LISTEN:7005,reuseaddr "SYSTEM:sha256sum >$dir/sum2" & watch $!
retry p sh -c 'ss -Hltn sport = 7005 | grep -q .' >/dev/null
relay broken call $PEER:7005
exec 3<>"$dir/broken.in"
has broken.err connected
ok $? 'a call before the connection breaks'
head -c 4194304 "$dir/data" >&3
# The NAT forgets this connection: not a packet of it passes any more, and nobody says so.
port=$(c ss -Htn "dport = 443" | sed -n 's/.*:\([0-9]*\) *198.*/\1/p' | head -n 1)
ip netns exec "${net}n" nft "add rule ip blocked transit tcp sport $port tcp dport 443 drop"
before=$(date +%s%N)
(tail -c +4194305 "$dir/data" >&3) & feeder=$!
watch $feeder
has broken.err '^down'
ok $? 'the client finds that its connection is dead'
has broken.err 'up resumed'
ok $? 'and it is resumed by itself'
took=$((($(date +%s%N) - before) / 1000000))
echo "# found dead and resumed in $took ms"
test $took -lt 8000
ok $? 'within 5 s and the time that silence may take on a busy machine'
wait $feeder
exec 3>&-
wait "$broken_pid"
retry test -s "$dir/sum2" >/dev/null
is "$(cat "$dir/sum2")" "$sum" 'no byte is lost or doubled'
is "$(counter resumed)" 1 'the server counts it'

# ---- many at once
p sh -c 'ulimit -n 65536; socat TCP-LISTEN:7006,reuseaddr,fork,backlog=4096 SYSTEM:"cat",nofork' >/dev/null 2>&1 &
watch $!
retry p sh -c 'ss -Hltn sport = 7006 | grep -q .' >/dev/null
relay crowd many 200 $PEER:7006
exec 3<>"$dir/crowd.in"
wait "$crowd_pid"
ok $? '200 sessions at once'
sed 's/^/# /' "$dir/crowd.out"
exec 3>&-

# ---- who has no grant, a wrong one, or an old one
expired=$("$tool" grant "$dir/gateway.key" "$key" "$PUB" 100 1 $GW:6080)
"$tool" keys "$dir/other.key"
forged=$("$tool" grant "$dir/other.key" "$key" "$PUB" 100 600 $GW:6080)
is_expired() {
	echo | ip netns exec "${net}c" timeout 10 "$relay_tool" $GW:443 "$expired" "$dir/client.key" call $PEER:7006 >/dev/null 2>"$dir/expired.err"
	grep -q 'over expired for good' "$dir/expired.err"
}
retry is_expired
ok $? 'an expired grant: told so, and not tried again'
before=$(counter bad-mac)
echo | ip netns exec "${net}c" timeout 3 "$relay_tool" $GW:443 "$forged" "$dir/client.key" call $PEER:7006 >/dev/null 2>"$dir/forged.err"
grep -q connected "$dir/forged.err"
test $? -ne 0 && test "$(counter bad-mac)" -gt "$before"
ok $? 'a forged grant: silence, and counted'
"$bin/pubaddr" --key-file "$dir/thief.key" key >/dev/null
before=$(counter unpinned)
echo | ip netns exec "${net}c" timeout 3 "$relay_tool" $GW:443 "$hex" "$dir/thief.key" call $PEER:7006 >/dev/null 2>"$dir/thief.err"
grep -q connected "$dir/thief.err"
test $? -ne 0 && test "$(counter unpinned)" -gt "$before"
ok $? 'a grant that somebody else has read: refused'
before=$(counter timed-out)
c sh -c "sleep 8 | socat - OPENSSL:$GW:443,verify=0" >/dev/null 2>&1 & watch $!
more_timed_out() { test "$(counter timed-out)" -gt "$before"; }
retry more_timed_out
ok $? 'who says nothing has 5 s'
before=$(counter malformed)
echo 'GET / HTTP/1.1' | c socat -t 2 - OPENSSL:$GW:443,verify=0 >"$dir/http" 2>/dev/null
test ! -s "$dir/http" && test "$(counter malformed)" -gt "$before"
ok $? 'who speaks something else gets no answer'

# ---- the lease ends: the address is somebody else's
relay holder listen 80
exec 3<>"$dir/holder.in"
has holder.err listening
ok $? 'a client listens, below 1024'
hex2=$("$tool" grant "$dir/gateway.key" "$("$bin/pubaddr" --key-file "$dir/second.key" key)" "$PUB" 200 600 $GW:6080)
ip netns exec "${net}n" nft 'flush chain ip blocked transit'
mkdir "$dir/second"
cat >"$dir/second.conf" <<-END
	{ "allow-documentation": true, "key-file": "$dir/second.key", "state-dir": "$dir/second", "run-dir": "$dir/second" }
END
ip netns exec "${net}c" "$bin/pubaddr-tunneld" -i eth0 -c "$dir/second.conf" 2>>"$dir/tunneld.log" & watch $!
retry "$tool" call "$dir/second/tunneld-eth0.sock" version-get >/dev/null
"$tool" call "$dir/second/tunneld-eth0.sock" grant-put "{\"grant\": \"$hex2\", \"reason\": \"BOUND\", \"lease-time\": 600,
	\"dhcp-server\": \"192.168.77.1\", \"routers\": [\"192.168.77.1\"], \"resolvers\": [\"$DNS\"]}" >/dev/null
has holder.err 'over replaced for good'
ok $? 'a later lease of the same address is bound: the relay serves the former one no more'
exec 3>&-

# ---- the server dies
kill -9 "$relay_pid"
wait "$relay_pid" 2>/dev/null
start_relay
ok $? 'killed with -9, it starts again over what it left'
g nft list table ip pubaddr-relay | grep -c 'socket transparent' >"$dir/n"
is "$(cat "$dir/n")" 1 'its rules are there once'
is "$(g ip rule show | grep -c 'lookup 6081')" 1 'and its routing rule'
relay again call $PEER:7006
exec 3<>"$dir/again.in"
has again.err 'over replaced for good'
ok $? 'who was replaced stays so'
exec 3>&-
kill "$relay_pid"
wait "$relay_pid"
ok $? 'it ends well'
g ip rule show >"$dir/rules2"
g nft list ruleset >"$dir/ruleset2"
cmp -s "$dir/rules" "$dir/rules2" && cmp -s "$dir/ruleset" "$dir/ruleset2" && ! g ip route show table 6081 2>/dev/null | grep -q .
ok $? 'and leaves nothing behind'
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log"
finish
