#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The tunnel without Kea and broker, as TAP: client - NAT - Internet - gateway, peer, in namespaces of its own. Grants are
# made by tunnel_tool. Reverse-path checks are strict everywhere.
set -u
. "${top_srcdir:?}/test/netns/tunnel-net.sh"
PUB=203.0.113.7
PUB2=203.0.113.8

need_root
net_up
plan 51

snapshot() { # what must be the same before and after; without counters and lifetimes
	c ip -d link show | sed 's/^[0-9]*: //'
	c ip addr show | grep -E 'inet|^[0-9]' | sed 's/^[0-9]*: //'
	c ip route show table all
	c ip -6 route show table all
	c ip rule show
}
start_gateway
start_client
snapshot >"$dir/before"

c "$bin/pubaddr" --run-dir "$dir" status >"$dir/idle" 2>&1
is $? 1 'status without a grant exits with 1'
grep -q 'no grant has come by DHCP' "$dir/idle"
ok $? 'and says that no grant has come'

put_grant "$PUB" 100 600 && wait_for bound
ok $? 'a grant is bound at the gateway'
c "$bin/pubaddr" --run-dir "$dir" status | tee "$dir/status" | sed 's/^/# /'
grep -q "public address $PUB" "$dir/status" && grep -q "gateway         $GW:6080" "$dir/status" &&
	grep -q "mapped address  $NATIP:" "$dir/status" && ! grep -q 'what is wrong\|note:' "$dir/status"
ok $? 'status tells address, gateway and mapped address'
c ip -4 -o addr show dev pub0 | grep -q "inet $PUB/32"
ok $? 'the interface carries the address'
test "$(c ip -6 -o addr show dev pub0 | wc -l)" -eq 0
ok $? 'and no IPv6'
is "$(c ip route get $PEER | sed -n 's/.* dev \([^ ]*\) .*src \([^ ]*\) .*/\1 \2/p')" "pub0 $PUB" 'the route to the peer has it as source'
c ip route get 192.168.77.1 | grep -q 'dev eth0 src 192.168.77.10' && c ip route get 10.99.0.1 | grep -q 'dev eth0'
ok $? 'LAN and private networks stay on the LAN'
c ip route get $DNS | grep -q 'dev eth0' && c ip route get $GW | grep -q 'dev eth0'
ok $? 'so do resolver and gateway'
c ip route get $PEER from 192.168.77.10 | grep -q 'dev eth0'
ok $? 'and what is bound to the LAN address'

c ping -c 2 -i 0.2 -W 2 $PEER >"$dir/ping" 2>&1
ok $? 'ping to the peer'
p ping -c 2 -i 0.2 -W 2 $PUB >"$dir/ping" 2>&1
ok $? 'ping from the peer'
c socat TCP-LISTEN:7000,reuseaddr "SYSTEM:echo \$SOCAT_SOCKADDR \$SOCAT_PEERADDR" & watch $!
p_retry socat -u TCP:$PUB:7000 STDOUT >"$dir/in"
is "$(cat "$dir/in")" "$PUB $PEER" 'TCP from the peer: both ends see the public address'
p socat -u TCP-LISTEN:7001,reuseaddr STDOUT >/dev/null & watch $!
is "$(c_retry "$tool" name tcp $PEER 7001)" "$PUB" 'getsockname gives it for TCP to the peer'
is "$(c "$tool" name udp $PEER 7001)" "$PUB" 'and for UDP'
c socat UDP-RECVFROM:7002 SYSTEM:cat & watch $!
i=0
until test "$(echo hello | p socat -t 1 - UDP:$PUB:7002,sourceport=7002)" = hello || test $i -ge 5; do i=$((i + 1)); done
test $i -lt 5
ok $? 'UDP from the peer is answered from the address it was sent to'

head -c 104857600 /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data")
copy() { # copy FROM TO ADDRESS PORT: the data, by TCP; prints its checksum at the far end
	$2 socat -u "TCP-LISTEN:$4,reuseaddr" "CREATE:$dir/copy-$4" & recv=$!
	watch $recv
	start=$(date +%s%N)
	retry "$1" socat -u "OPEN:$dir/data" "TCP:$3:$4" && wait $recv
	echo "# $1 to $2: $((838860800000 / ($(date +%s%N) - start))) Mbit/s" >&2
	sha256sum <"$dir/copy-$4"
	rm -f "$dir/copy-$4"
}
is "$(copy c p $PEER 7003)" "$sum" '100 MB to the peer arrive intact'
is "$(copy p c $PUB 7004)" "$sum" '100 MB from the peer arrive intact'

# The NAT's host holds an address too.
mkdir "$dir/n"
sed "s,$dir\",$dir/n\",g; s,$dir/client.key,$dir/n/client.key," "$dir/tunneld.conf" >"$dir/n/tunneld.conf"
ip netns exec "${net}n" "$bin/pubaddr-tunneld" -i wan -c "$dir/n/tunneld.conf" 2>"$dir/n/log" & second=$!
watch $second
retry "$tool" call "$dir/n/tunneld-wan.sock" version-get >/dev/null
hex=$("$tool" grant "$dir/gateway.key" "$("$bin/pubaddr" --key-file "$dir/n/client.key" key)" 203.0.113.9 1 600 $GW:6080)
"$tool" call "$dir/n/tunneld-wan.sock" grant-put "{\"grant\": \"$hex\"}" >/dev/null 2>&1
retry c ping -c 1 -W 1 203.0.113.9 >"$dir/ping"
ok $? 'two holders reach each other'
c ping -c 3 -i 0.2 -W 1 203.0.113.9 >"$dir/ping" 2>&1 && ! grep -i redirect "$dir/ping"
ok $? 'and are not redirected'
kill $second
wait $second
is $? 0 'the second holder stopped cleanly'

put_grant $PUB2 100 600 && wait_for "$PUB2" && c ip -4 -o addr show dev pub0 | grep -q $PUB2 &&
	! c ip -4 -o addr show dev pub0 | grep -q "$PUB/" && p ping -c 1 -W 2 $PUB2 >/dev/null 2>&1
ok $? 'a grant of another address replaces the first one'
! put_grant 192.168.77.99 100 600 2>"$dir/refused" && grep -q 'grant refused' "$dir/refused" && c "$bin/pubaddr" --run-dir "$dir" status >/dev/null
ok $? 'a bad grant is refused and changes nothing'
cp "$tool" "$dir/tool" && chmod 755 "$dir" "$dir/tool"
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/tool" call "$dir/tunneld-eth0.sock" "$@"; }
nobody status-get >"$dir/asked" 2>&1 && grep -q '"bound"' "$dir/asked" && ! grep -qi 'secret\|key' "$dir/asked"
ok $? 'everybody may ask for the status'
nobody grant-end '{"reason": "RELEASE"}' >"$dir/asked" 2>&1
grep -q 'only root may do this' "$dir/asked" && status_has bound
ok $? 'but only root may end a grant'
c ip link add vpn0 type veth peer name vpn1 && c ip link set vpn0 up && c ip link set vpn1 up
c ip route add default via 192.168.77.1 dev eth0 metric 100
c ip route replace default dev vpn0
retry c sh -c "ip route get $PEER | grep -q 'dev vpn0'"
ok $? "another VPN's default route goes first"
c ip link del vpn0
retry c sh -c "ip route get $PEER | grep -q 'dev pub0'"
ok $? 'and when it has gone ours is back'
c ip route add default via 192.168.77.1 dev eth0
c ip route del default metric 100

kill $gateway_pid
wait_for binding && c ping -c 1 -W 2 $PEER >/dev/null && c ip route get $PEER | grep -q 'src 192.168.77.10'
ok $? 'without a gateway plain NAT is used'
c ip route get $PEER from $PUB2 | grep -q 'dev pub0'
ok $? 'and connections of the public address wait'
wait $gateway_pid
is $? 0 'the gateway stopped cleanly'
test "$(g ip route show | grep -c 203.0.113)" -eq 0 && ! g ip link show pubgw0 >/dev/null 2>&1
ok $? 'and left no trace'
start_gateway
wait_for bound && p ping -c 1 -W 2 $PUB2 >/dev/null
ok $? 'when the gateway is back so is the address'

kill -9 $client_pid
wait $client_pid 2>/dev/null
retry c sh -c "ping -c 1 -W 1 $PEER && ip route get $PEER | grep -q 'src 192.168.77.10'" >/dev/null
ok $? 'a daemon that was killed leaves plain NAT working'
c ip -4 -o addr show dev pub0 | grep -q $PUB2 && ! c ip route get $PEER from $PUB2 2>/dev/null
ok $? 'and the public address in place, unused'
start_client
wait_for bound && p ping -c 1 -W 2 $PUB2 >/dev/null && grep -q 'gateway.adopted' "$dir/tunneld.log"
ok $? 'the next one goes on with the session'
retry c sh -c "ip route get $PEER | grep -q 'dev pub0'"
ok $? 'and with the default route'
! grep -q 'net.leftover' "$dir/tunneld.log" && test "$(g stat -c %a "$dir/gateway.state" "$dir/tunneld-eth0.state" | sort -u)" = 600
ok $? 'nothing had to be cleaned; the state files are for root only'

c ip link del pub0
retry sh -c "ip netns exec ${net}p ping -c 1 -W 1 $PUB2" >/dev/null
ok $? 'an interface that somebody removes is made again'
rules=$(c ip rule show | grep -c '^520[0-3]:')
c ip route flush table 6080
c ip route flush table 6081
for p in 5200 5200 5201 5202 5203; do c ip rule del priority $p; done
retry c sh -c "ip route get $PEER | grep -q 'dev pub0' && test \$(ip rule show | grep -c '^520[0-3]:') -eq $rules &&
	ip route get 10.99.0.1 | grep -q 'dev eth0' && ip route get $PEER from $PUB2 | grep -q 'dev pub0'" >/dev/null
ok $? 'so are routes and rules'

kill $client_pid
wait $client_pid
snapshot | diff "$dir/before" - | tee "$dir/diff" | sed 's/^/# /'
test ! -s "$dir/diff" && ! grep -q session "$dir/tunneld-eth0.state"
ok $? 'a daemon that is stopped keeps the grant and nothing else'
start_client
wait_for bound && p ping -c 1 -W 2 $PUB2 >/dev/null
ok $? 'and binds it again when it is started'

g "$tool" call "$dir/gateway.sock" binding-get-all | grep -o '"bind": [0-9]*' >"$dir/binds"
kill -9 $gateway_pid
wait $gateway_pid 2>/dev/null
g ip route show | grep -q '203.0.113.0/24 dev pubgw0'
ok $? 'a gateway that was killed leaves its device and routes'
start_gateway
p_retry ping -c 1 -W 1 $PUB2 >/dev/null
ok $? 'the next one delivers at once'
g "$tool" call "$dir/gateway.sock" binding-get-all | grep -o '"bind": [0-9]*' | cmp "$dir/binds" -
ok $? 'by the same binding'

"$tool" call "$dir/tunneld-eth0.sock" grant-end '{"reason": "RELEASE"}' >/dev/null 2>&1
c "$bin/pubaddr" --run-dir "$dir" status >/dev/null 2>&1
is $? 1 'a released grant is gone'
snapshot >"$dir/after"
diff "$dir/before" "$dir/after" | sed 's/^/# /' >"$dir/diff"
test ! -s "$dir/diff" || cat "$dir/diff"
test ! -s "$dir/diff"
ok $? 'and has left no trace'
is "$("$tool" call "$dir/gateway.sock" status-get | sed -n 's/.*"bindings": \([0-9]*\).*/\1/p')" 0 'nor a binding at the gateway'
c ping -c 1 -W 2 $PEER >/dev/null 2>&1
ok $? 'plain NAT works'
put_grant "$PUB2" 300 600 && wait_for bound && kill $client_pid && wait $client_pid
is $? 0 'a daemon that is told to stop stops cleanly'
snapshot | diff "$dir/before" - | tee "$dir/diff" | sed 's/^/# /'
test ! -s "$dir/diff"
ok $? 'and leaves no trace'
is "$(leaked)" 0 'no private or foreign source reached the Internet'
finish
