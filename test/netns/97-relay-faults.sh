#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Faults of the session relay, as TAP: the TLS connection is lost in the middle of transfers both ways, the server is killed, the network is gone
# for longer than sessions are kept, a renewed grant forbids to listen, somebody stands in between with a certificate of his own, names.
# shellcheck disable=SC2154 # relay() sets NAME_pid
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
for cmd in dnsmasq openssl tc; do
	command -v $cmd >/dev/null || { echo "1..0 # SKIP $cmd is missing"; exit 0; }
done
net_up
# What `ip netns exec` shows the server for its resolver.
trap 'rm -rf "/etc/netns/${net}g"; cleanup' EXIT
plan 43
block_udp
start_gateway
add_relay
start_relay
client_identity

# ---- the connection is lost in the middle of transfers both ways
head -c 16777216 /dev/urandom >"$dir/up"
head -c 16777216 /dev/urandom >"$dir/down"
ip netns exec "${net}n" tc qdisc add dev wan root tbf rate 40mbit burst 128k latency 100ms
ip netns exec "${net}n" tc qdisc add dev lan root tbf rate 40mbit burst 128k latency 100ms
p socat -t 60 TCP-LISTEN:7101,reuseaddr "SYSTEM:cat $dir/down & sha256sum >$dir/sum; wait" & watch $!
listens 7101
relay both call $PEER:7101
cat "$dir/up" >"$dir/both.in" & watch $!
has_size() { test "$(stat -c %s "$dir/both.out")" -gt "$1"; }
resumed() { test "$(grep -c 'up resumed' "$dir/both.err")" -ge "$1"; }
reset_connection() { # both ends are told, as by a NAT or a firewall that has lost its table
	port=$(relay_port)
	blocked "add rule ip blocked transit tcp sport $port tcp dport 443 reject with tcp reset;
		add rule ip blocked transit tcp sport 443 tcp dport $port reject with tcp reset"
}
slowest=0
for n_break in 1 2 3; do
	retry has_size $((n_break * 2000000)) >/dev/null
	ok $? "bytes come from the peer before loss $n_break"
	before=$(date +%s%N)
	reset_connection
	retry resumed $n_break >/dev/null
	ok $? "the connection is resumed after loss $n_break"
	took=$((($(date +%s%N) - before) / 1000000))
	[ $took -le $slowest ] || slowest=$took
done
echo "# resumed within $slowest ms"
test $slowest -lt 5000
ok $? 'each time within 5 s'
! has_size 16777215
ok $? 'which was in the middle of it'
wait "$both_pid"
ok $? 'the transfers end well'
is "$(sha256sum <"$dir/both.out")" "$(sha256sum <"$dir/down")" 'no byte from the peer is lost or doubled'
retry test -s "$dir/sum" >/dev/null
is "$(cat "$dir/sum")" "$(sha256sum <"$dir/up")" 'nor one to the peer'
ip netns exec "${net}n" tc qdisc del dev wan root
ip netns exec "${net}n" tc qdisc del dev lan root

# ---- a path on which no connection lasts: the server takes the grant, and the connection is cut as soon as it is used
ip netns exec "${net}n" sysctl -qw net.netfilter.nf_conntrack_acct=1 || exit 99
blocked 'add rule ip blocked transit tcp dport 443 ct original packets > 20 reject with tcp reset'
p socat -u TCP-LISTEN:7104,reuseaddr "SYSTEM:sha256sum >$dir/sum" & watch $!
listens 7104
: >"$dir/sum"
relay cut call $PEER:7104
cat "$dir/up" >"$dir/cut.in" & watch $!
has cut.err 'up resumed'
ok $? 'no connection lasts: each is resumed'
sleep 10 # what is tried in a given time is the question
tries=$(grep -c '^down' "$dir/cut.err")
echo "# $tries attempts in 10 s"
test "$tries" -ge 4
ok $? 'again and again'
test "$tries" -le 14
ok $? 'but not without pauses'
blocked flush chain ip blocked transit
block_udp
before=$(date +%s%N)
wait "$cut_pid"
ok $? 'connections last again: the transfer ends well'
took=$((($(date +%s%N) - before) / 1000000))
echo "# after $took ms"
test $took -lt 10000
ok $? 'soon, for the pauses are bounded'
retry test -s "$dir/sum" >/dev/null
is "$(cat "$dir/sum")" "$(sha256sum <"$dir/up")" 'no byte is lost or doubled'

# ---- the server dies
peer echo 7102
relay orphan call $PEER:7102
exec 3<>"$dir/orphan.in"
echo one >&3
has orphan.out one
ok $? 'a session with a peer'
kill -9 "$relay_pid"
wait "$relay_pid" 2>/dev/null
start_relay
before=$(date +%s%N)
has orphan.err 'over lost'
ok $? 'the server was killed: its client is told that the session is over'
took=$((($(date +%s%N) - before) / 1000000))
test $took -lt 10000
ok $? "within 10 s of the next one's start"
wait "$orphan_pid"
is $? 1 'and ends'
exec 3>&-
relay second call $PEER:7102
exec 3<>"$dir/second.in"
echo two >&3
has second.out two
ok $? 'a new session works'
exec 3>&-
wait "$second_pid"

# ---- a renewed grant forbids to listen
RELAY_NEXT=$("$tool" grant "$dir/gateway.key" "$key" "$PUB" 100 900 $GW:6080 none closed)
export RELAY_NEXT
relay strict listen 7103
unset RELAY_NEXT
exec 3<>"$dir/strict.in"
has strict.err "listening $PUB:7103"
ok $? 'a client listens'
reset_connection
has strict.err 'failed denied'
ok $? 'its renewed grant has the policy closed: it listens no more'
p socat -u OPEN:/dev/null "TCP:$PUB:7103,connect-timeout=2" 2>/dev/null
test $? -ne 0
ok $? 'and nobody reaches it'
exec 3>&-
wait "$strict_pid"

# ---- the network is gone for longer than sessions are kept
relay patient call $PEER:7102
exec 3<>"$dir/patient.in"
echo three >&3
has patient.out three
ok $? 'a session before the network goes'
blocked 'add rule ip blocked transit tcp dport 443 drop; add rule ip blocked transit tcp sport 443 drop'
cut=$(date +%s)
has patient.err '^down'
retry grep -q 'relay.lost' "$dir/relayd.log"
sleep 15
grep -q 'reason=lost' "$dir/relayd.log"
test $? -ne 0 && p ss -Htn "sport = 7102" | grep -q "$PUB"
ok $? 'after 15 s the session is kept'
is_over() { grep -q 'relay.end .*reason=lost' "$dir/relayd.log" && ! p ss -Htn "sport = 7102" | grep -q "$PUB"; }
retry is_over || retry is_over || retry is_over || retry is_over
ok $? 'then the server ends it, and the peer sees that'
retry grep -q 'over lost' "$dir/patient.err" >/dev/null || has patient.err 'over lost'
ok $? 'and its client says so by itself'
gone=$(($(date +%s) - cut))
echo "# ended after $gone s"
test $gone -ge 30
ok $? 'not before 30 s'
exec 3>&-
wait "$patient_pid"
blocked flush chain ip blocked transit
block_udp

# ---- names: nobody's short ones, nobody's private ones
mkdir -p "/etc/netns/${net}g"
printf '127.0.0.1 localhost\n%s written.test short\n' $PEER >"/etc/netns/${net}g/hosts"
printf 'nameserver %s\nsearch example\n' $GW >"/etc/netns/${net}g/resolv.conf"
ip netns exec "${net}g" dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file \
	--bind-interfaces --listen-address=$GW --local=/peer/ --local=/short/ --address=/peer.example/$PEER --address=/inside.example/10.0.0.1 \
	--address=/self.example/$GW 2>"$dir/dnsmasq.log" & watch $!
retry g sh -c "ss -Hlun src $GW:53 | grep -q ." >/dev/null
stop_relay
start_relay
names() { # names NAME
	relay names resolve "$1"
	: >"$dir/names.in"
	wait "$names_pid"
}
names peer.example
is "$(cat "$dir/names.out")" $PEER 'a name is resolved at the server'
names written.test
is "$(cat "$dir/names.out")" $PEER 'as one that stands in the hosts file of the server'
for short in peer short a.peer inside.example self.example; do
	names $short
	is "$(cat "$dir/names.err" "$dir/names.out" | grep -v '^up')" 'failed not-found' "but not $short"
done
stop_relay

# ---- somebody in between
ca() { openssl "$@" 2>>"$dir/openssl.log"; }
certificate() { # certificate NAME: of the same authority
	ca req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" -subj "/CN=$1" -out "$dir/$1.csr" &&
		printf 'subjectAltName=DNS:%s\n' "$1" >"$dir/$1.ext" &&
		ca x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -days 1 -extfile "$dir/$1.ext" -out "$dir/$1.crt" &&
		cat "$dir/$1.key" "$dir/$1.crt" >"$dir/$1.pem"
}
ca req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -subj /CN=authority -days 1 -out "$dir/ca.crt"
certificate relay.example && certificate other.example || exit 99
chmod 600 "$dir"/*.key
sed -i "s|\"relay\": {|\"relay\": {\"certificate\": \"$dir/relay.example.crt\", \"key\": \"$dir/relay.example.key\", |" "$dir/gatewayd.conf"
start_relay
RELAY_CA=$dir/ca.crt RELAY_NAME=relay.example
export RELAY_CA RELAY_NAME
relay named call $PEER:7102
exec 3<>"$dir/named.in"
has named.err connected
ok $? 'a certificate of the name that the client asks for: connected'
exec 3>&-
wait "$named_pid"
between() { # between NAME: a man in the middle at the NAT, with a valid certificate of that name
	ip netns exec "${net}n" socat "OPENSSL-LISTEN:8443,reuseaddr,fork,verify=0,cert=$dir/$1.pem" "OPENSSL:$GW:443,verify=0" 2>>"$dir/between.log" &
	between_pid=$!
	watch $between_pid
	retry ip netns exec "${net}n" sh -c 'ss -Hltn sport = 8443 | grep -q .' >/dev/null
}
ip netns exec "${net}n" nft "add table ip between; add chain ip between pre { type nat hook prerouting priority dstnat; };
	add rule ip between pre iif lan tcp dport 443 redirect to :8443"
refused_by_client() { # the connection ends, and the proof never stands
	relay victim call $PEER:7102
	exec 3<>"$dir/victim.in"
	has victim.err "$1"
	ok $? "$2"
	! grep -qE '^(up|connected)' "$dir/victim.err"
	ok $? 'and nothing was proved'
	exec 3>&-
	kill "$victim_pid"
	wait "$victim_pid" 2>/dev/null
}
between other.example
refused_by_client 'down .*ostname mismatch' 'somebody in between has a valid certificate of another name: refused by the client'
kill $between_pid
wait $between_pid 2>/dev/null
between relay.example
before=$(counter bad-mac)
refused_by_client '^down' 'he even has one of the right name, and passes everything on: it does not help him'
retry counter_above bad-mac "$before"
ok $? 'for the server sees that the proof is of another connection'
unset RELAY_CA RELAY_NAME
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log" "$dir/victim.err" "$dir/between.log"
finish
