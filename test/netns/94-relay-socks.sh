#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# SOCKS5 on the session relay, as TAP: a NAT that passes no UDP, the real client daemon and server, stock programs. Calls have the public
# address; replies are exact; only the users who may are served, and asked for a password where there is one.
# shellcheck disable=SC2154 # start_gateway and others set NAME_pid
set -u
. "${top_srcdir:?}/test/netns/tunnel-net.sh"
PUB=203.0.113.7
relayd=$(cd "$top_builddir/relay" && pwd)/pubaddr-relayd
python=/usr/bin/python3 # Debian's: other users can run it, too

p() { ip netns exec "${net}p" "$@" 3>&-; }
c() { ip netns exec "${net}c" "$@" 3>&-; }
socks() { c $python "$dir/socks_client.py" 1080 "$@"; }
# fetch ARGUMENT...: the reply's number of the server, or 0; what is fetched is in $dir/got.
fetch() {
	c curl -sS -o "$dir/got" --max-time 60 "$@" 2>"$dir/curl.err" && { echo 0; return; }
	sed -n 's/.*complete SOCKS5 connection to .* (\([0-9]*\))$/\1/p; s/.*User was rejected.*/rejected/p; s/.*No authentication.*/no-method/p' \
		"$dir/curl.err" | tail -n 1
}
status() { "$bin/pubaddr" --json --run-dir "$dir" status; }
counter() { status | tr -d ' ' | tr ',{}' '\n\n\n' | sed -n "s/^\"socks-$1\":\([0-9]*\)$/\1/p"; }
counter_above() { [ "$(counter "$1")" -gt "$2" ]; }
rss() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$client_pid/status"; }
listens() { retry p sh -c "ss -Hl$1n sport = $2 | grep -q ." >/dev/null; }

need_root
for cmd in curl nc $python tftp in.tftpd vsftpd lftp setpriv; do
	command -v $cmd >/dev/null 2>&1 || { echo "1..0 # SKIP $cmd is missing; the packages are listed in test/packages"; exit 0; }
done
net_up
trap 'cleanup; rm -rf "/etc/netns/${net}g"' EXIT
mkdir -p "/etc/netns/${net}g"
printf '127.0.0.1 localhost\n%s peer.example\n' $PEER >"/etc/netns/${net}g/hosts"
echo 'hosts: files' >"/etc/netns/${net}g/nsswitch.conf"
chmod 755 "$dir"
cp "$top_srcdir/test/netns/socks_client.py" "$dir"
plan 65

ip netns exec "${net}n" nft 'add table ip blocked; add chain ip blocked transit { type filter hook forward priority 0; };
	add rule ip blocked transit meta l4proto udp counter drop' || exit 99
start_gateway
sed -i "s,\"listen\",\"relay\": {\"listen\": [\"$GW:443\"]\, \"control-socket\": \"$dir/relay.sock\"}\, \"listen\"," "$dir/gatewayd.conf"
ip netns exec "${net}g" "$relayd" -c "$dir/gatewayd.conf" 2>>"$dir/relayd.log" & relay_pid=$!
watch $relay_pid
retry "$tool" call "$dir/relay.sock" version-get >/dev/null
ip -n "${net}i" route add unreachable 192.0.2.140

# ---- what the configuration may say
configure() { # configure SOCKS
	cat >"$dir/tunneld.conf" <<-END
		{ "allow-documentation": true, "key-file": "$dir/client.key", "state-dir": "$dir", "run-dir": "$dir",
		  "relay": {"address": "$GW:443"}$1 }
	END
}
refuses() { # refuses TEXT WHAT
	"$bin/pubaddr-tunneld" -t -i eth0 -c "$dir/tunneld.conf" >"$dir/test" 2>&1
	test $? -eq 2 && grep -q "$1" "$dir/test"
	ok $? "$2"
}
configure ', "socks": {"listen": "0.0.0.0:1080"}'
refuses 'socks.listen: expected an address of this host alone' 'to listen at every address is refused'
configure ', "socks": {"listen": "192.168.77.10:1080"}'
refuses 'socks.listen: expected an address of this host alone' 'and at the LAN address'
configure ', "socks": {"users": ["nobody-of-this-name"]}'
refuses 'no user "nobody-of-this-name" on this machine' 'a user whom nobody knows is refused'
printf 'anna:secret\n' >"$dir/socks.users"
chmod 644 "$dir/socks.users"
configure ", \"socks\": {\"credentials\": \"$dir/socks.users\"}"
refuses 'chmod 600' 'passwords that others can read are refused'
chmod 600 "$dir/socks.users"
printf 'anna\n' >"$dir/socks.users"
refuses 'socks.users:1: expected USER:PASSWORD' 'a mistake among them is told with its place'

start() {
	ip netns exec "${net}c" "$bin/pubaddr-tunneld" -i eth0 -c "$dir/tunneld.conf" 2>>"$dir/tunneld.log" & client_pid=$!
	watch $client_pid
	retry "$tool" call "$dir/tunneld-eth0.sock" version-get >/dev/null
	key=$("$bin/pubaddr" --key-file "$dir/client.key" key)
}
stop() {
	kill "$client_pid"
	wait "$client_pid"
}
configure ''
start
c ss -Hltn | grep -q 1080
test $? -ne 0
ok $? 'by default nobody listens'
stop
configure ', "socks": {"users": ["daemon"]}'
start
c ss -Hltn sport = 1080 | grep -q '127.0.0.1:1080'
ok $? 'where it is configured, at 127.0.0.1 alone'
put_grant $PUB 100 900
ok $? 'a grant'

# ---- CONNECT
mkdir "$dir/www"
head -c 16777216 /dev/urandom >"$dir/www/data"
sum=$(sha256sum <"$dir/www/data")
ip netns exec "${net}p" $python -u -m http.server --directory "$dir/www" 7001 >"$dir/http.log" 2>&1 & watch $!
listens t 7001
is "$(fetch --socks5 127.0.0.1:1080 http://$PEER:7001/data)" 0 'curl fetches by --socks5'
is "$(sha256sum <"$dir/got")" "$sum" '16 MB are unchanged'
grep -q "^$PUB " "$dir/http.log"
ok $? 'the peer was called from the public address'
is "$(fetch --socks5-hostname 127.0.0.1:1080 http://peer.example:7001/data)" 0 'by --socks5-hostname: the name is resolved at the server'
is "$(sha256sum <"$dir/got")" "$sum" 'unchanged, too'
c setpriv --reuid=daemon --regid=daemon --clear-groups curl -sS --max-time 30 --socks5 127.0.0.1:1080 http://$PEER:7001/data >"$dir/got" 2>"$dir/curl.err"
ok $? 'a user who is listed may'
is "$(sha256sum <"$dir/got")" "$sum" 'and gets all of it'
c setpriv --reuid=nobody --regid=nogroup --clear-groups curl -sS --max-time 30 --socks5 127.0.0.1:1080 http://$PEER:7001/data >"$dir/got" 2>"$dir/curl.err"
test $? -ne 0 && grep -q '(2)' "$dir/curl.err"
ok $? 'another one is told: not allowed'
grep -q 'socks.refused uid=65534' "$dir/tunneld.log"
ok $? 'and the log says who it was'

# ---- replies are exact
is "$(fetch --socks5 127.0.0.1:1080 http://$PEER:7999/)" 5 'nobody listens there: refused'
is "$(fetch --socks5 127.0.0.1:1080 http://192.0.2.140/)" 4 'no such host: host unreachable'
is "$(fetch --socks5 127.0.0.1:1080 http://10.0.0.1/)" 2 'a private network behind the server: not allowed'
is "$(fetch --socks5 127.0.0.1:1080 http://$GW:443/)" 2 'the server itself: not allowed'
is "$(fetch --socks5-hostname 127.0.0.1:1080 http://nobody.invalid/)" 4 'a name that nobody has: host unreachable'
is "$(fetch --socks5 127.0.0.1:1080 'http://[2001:db8::1]/')" 8 'an IPv6 address: not supported'
is "$(socks raw 050100050900010102030405)" 050005070001000000000000 'another command: not supported'
is "$(socks raw 0501020101)" 05ff 'no method in common'
is "$(socks raw 0401005001020304)" '' 'SOCKS4 gets no answer'
is "$(socks raw 050100050100010000000000000000)" 050005010001000000000000 'port 0: failed'

# ---- half-close, and a lot of bytes
p socat TCP-LISTEN:7002,reuseaddr,fork SYSTEM:sha256sum & watch $!
listens t 7002
is "$(c nc -N -X 5 -x 127.0.0.1:1080 $PEER 7002 <"$dir/www/data")" "$sum" \
	'16 MB to the peer, then our half is closed, and the answer comes (nc)'

# ---- resets
# shellcheck disable=SC2016 # python's
p $python -u -c 'import socket, struct
s = socket.create_server(("", 7005))
for how in "watch", "reset":
    c, _ = s.accept()
    try:
        while c.recv(1024) and how == "watch": pass
        print("end")
    except ConnectionResetError: print("reset")
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()' >"$dir/resets" & watch $!
listens t 7005
is "$(socks abort $PEER 7005)" 'aborted' 'a program closes with SO_LINGER of 0 s'
retry test -s "$dir/resets" >/dev/null
is "$(cat "$dir/resets")" reset 'the peer sees a reset'
is "$(socks torn $PEER 7005)" reset 'and a reset of the peer is one to the program'

# ---- who does not read
p socat -u OPEN:/dev/zero TCP-LISTEN:7003,reuseaddr,fork & watch $!
listens t 7003
mkfifo "$dir/stall.in"
c $python "$dir/socks_client.py" 1080 stall $PEER 7003 <"$dir/stall.in" >"$dir/stall.out" & stall_pid=$!
watch $stall_pid
exec 3<>"$dir/stall.in"
before=$(rss)
retry grep -q connected "$dir/stall.out" >/dev/null
# The peer cannot send any more, and something waits in its socket.
is_stuck() { p ss -Htn "sport = 7003" | awk '$1 == "ESTAB" && $3 > 0 { n = $3 } END { exit !n }'; }
retry is_stuck
ok $? 'a program that reads nothing stops its peer'
is "$(fetch --socks5 127.0.0.1:1080 http://$PEER:7001/data)" 0 'others are not hindered'
is "$(sha256sum <"$dir/got")" "$sum" 'and get all'
after=$(rss)
echo "# memory: $before kB, then $after kB"
test $((after - before)) -lt 8192
ok $? 'memory is bounded'
exec 3>&-
wait $stall_pid

# ---- BIND and UDP ASSOCIATE
socks bind $PEER >"$dir/bind.out" & bind_pid=$!
watch $bind_pid
retry grep -q "^listening $PUB:" "$dir/bind.out" >/dev/null
ok $? 'BIND: a port of the public address'
port=$(sed -n 's/^listening .*://p' "$dir/bind.out")
ip -n "${net}p" addr add 192.0.2.133/25 dev eth0
p sh -c "echo wrong | socat -t 2 - TCP:$PUB:$port,bind=192.0.2.133" >/dev/null 2>&1
retry grep -q "socks.uninvited .*from=192.0.2.133" "$dir/tunneld.log" >/dev/null
ok $? 'a call of another host than the one that was named is not taken'
is "$(p sh -c "echo question | socat -t 20 - TCP:$PUB:$port")" answer 'a call of the right one is answered'
wait $bind_pid
ok $? 'with half-close'
grep -q "^called $PEER:" "$dir/bind.out" && grep -qx question "$dir/bind.out"
ok $? 'the program was told who called, and heard the question'

p socat UDP-RECVFROM:7004,fork "SYSTEM:tee -a $dir/heard" & watch $!
listens u 7004
socks udp $PEER 7004 hello >"$dir/udp.out" 2>&1
sed 's/^/# /' "$dir/udp.out"
grep -qx "from $PEER:7004 hello" "$dir/udp.out"
ok $? 'UDP ASSOCIATE: a datagram is answered'
grep -qx 'intruder not heard' "$dir/udp.out"
ok $? 'another user of this host cannot use it'
grep -q hello "$dir/heard" && ! grep -q intruder "$dir/heard"
ok $? 'nothing of his has reached the peer'
! grep -q second "$dir/heard"
ok $? "nor of the same user's other socket"
grep -qx 'fragment dropped' "$dir/udp.out" && grep -qx 'long 1400' "$dir/udp.out"
ok $? 'fragments are dropped, long datagrams pass'
grep -qx 'flow ended' "$dir/udp.out"
ok $? 'it ends with the connection that asked for it'
socks udp peer.example 7004 named >"$dir/udp2.out" 2>&1
grep -qx "from $PEER:7004 named" "$dir/udp2.out"
ok $? 'by a name'

# ---- stock programs under Debian's socksify (Dante's client): active FTP needs BIND, TFTP needs UDP ASSOCIATE
stock_programs() {
	cat >"$dir/socks.conf" <<-END
		resolveprotocol: fake
		route {
			from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = 1080
			proxyprotocol: socks_v5
			command: connect bind udpassociate
			method: none
		}
	END
	mkdir -p "$dir/ftp" "$dir/empty"
	cp "$dir/www/data" "$dir/ftp/data"
	chmod 644 "$dir/ftp/data"
	cat >"$dir/vsftpd.conf" <<-END
		listen=YES
		background=NO
		anonymous_enable=YES
		anon_root=$dir/ftp
		secure_chroot_dir=$dir/empty
		connect_from_port_20=YES
		seccomp_sandbox=NO
		xferlog_enable=YES
		log_ftp_protocol=YES
		vsftpd_log_file=$dir/vsftpd.log
	END
	p vsftpd "$dir/vsftpd.conf" & watch $!
	listens t 21
	dante lftp -c "set ftp:passive-mode off; set net:timeout 20; set net:max-retries 1; get -O $dir ftp://$PEER/data" >"$dir/lftp.out" 2>&1
	ok $? 'lftp in active mode'
	is "$(sha256sum <"$dir/data")" "$sum" 'its file is unchanged'
	grep -q "PORT ${PUB%%.*},0,113,7," "$dir/vsftpd.log"
	ok $? 'the server read the public address in PORT'
	p in.tftpd -L -s -a :69 "$dir/ftp" & watch $!
	listens u 69
	echo 'Hello by TFTP' >"$dir/ftp/hello.txt"
	chmod 644 "$dir/ftp/hello.txt"
	(cd "$dir" && dante tftp $PEER -c get hello.txt) >"$dir/tftp.out" 2>&1
	cmp -s "$dir/hello.txt" "$dir/ftp/hello.txt"
	ok $? 'tftp'
}
dante() { c env SOCKS_CONF="$dir/socks.conf" socksify "$@"; }
if command -v socksify >/dev/null; then
	stock_programs
else # Debian 13 has no Dante
	for what in 'lftp in active mode' 'its file is unchanged' 'the server read the public address in PORT' 'tftp'; do
		ok 0 "$what # SKIP no socksify in this release"
	done
fi

# ---- limits
before=$(counter timed-out)
c $python "$dir/socks_client.py" 1080 idle 30 >"$dir/idle.out"
is "$(cat "$dir/idle.out")" ended 'who asks for nothing is cut off'
counter_above timed-out "$before"
ok $? 'and counted'
mkfifo "$dir/hold.in"
ip netns exec "${net}c" setpriv --reuid=nobody --regid=nogroup --clear-groups $python "$dir/socks_client.py" 1080 hold 40 <"$dir/hold.in" >"$dir/hold.out" & hold_pid=$!
watch $hold_pid
exec 3<>"$dir/hold.in"
retry grep -q . "$dir/hold.out" >/dev/null
is "$(cat "$dir/hold.out")" 16 'a user who may not gets no more than 16 connections'
is "$(fetch --socks5 127.0.0.1:1080 http://$PEER:7001/data)" 0 'which keeps nobody else out'
exec 3>&-
wait $hold_pid

# ---- the log
lines() { grep -c ' socks\.\(request\|failed\) ' "$dir/tunneld.log"; }
held() { sed -n 's/.* relay.held-back lines=\([0-9]*\)$/\1/p' "$dir/tunneld.log" | awk '{n += $1} END {print n + 0}'; }
written=$(lines)
is "$(c $python "$dir/socks_client.py" 1080 nonsense 3000)" 3000 'a user asks 3000 times for what there is not'
all_told() { test "$(held)" -gt 0 && test $(($(lines) - written + $(held))) = 6000; }
retry all_told
ok $? 'which is no line each; those that are not there are counted'

# ---- passwords
stop
printf '# who may\nanna:secret\n' >"$dir/socks.users"
configure ", \"socks\": {\"users\": [\"daemon\"], \"credentials\": \"$dir/socks.users\"}"
start
wait_linked() { [ "$(fetch --socks5 127.0.0.1:1080 --proxy-user anna:secret http://$PEER:7001/data)" = 0 ]; }
retry wait_linked
ok $? 'with --proxy-user, after a restart'
is "$(sha256sum <"$dir/got")" "$sum" 'unchanged'
is "$(fetch --socks5 127.0.0.1:1080 --proxy-user anna:wrong http://$PEER:7001/data)" rejected 'a wrong password is refused'
is "$(fetch --socks5 127.0.0.1:1080 http://$PEER:7001/data)" no-method 'and none at all'
is "$(counter logins-failed)" 1 'counted'
grep -q 'secret\|wrong' "$dir/tunneld.log"
test $? -ne 0
ok $? 'no password is in the log'
"$bin/pubaddr" --run-dir "$dir" status | grep -q 'SOCKS5 *at 127.0.0.1:1080: [0-9]* connections now, [1-9][0-9]* requests, [0-9]* failed'
ok $? 'pubaddr status tells of it'
stop
ok $? 'the daemon ends well'
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log" "$dir/curl.err"
finish
