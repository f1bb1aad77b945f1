#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Where no UDP passes the tunnel goes by the relay's connection, as TAP: UDP is blocked at the NAT in the middle of transfers in both
# directions, and passes again; the relay is killed meanwhile, and so is the client's daemon; UDP is blocked from the start. The
# address stays, and no byte is lost or doubled. By both data paths.
# shellcheck disable=SC2154,SC2034,SC2020 # tunnel-net.sh sets client_pid, and reads DATAPATH; tr replaces characters
set -u
. "${top_srcdir:?}/test/netns/tunnel-net.sh"
PUB=203.0.113.7
CHUNK=1048576
relay_tool=$(cd "$top_builddir/test/netns" && pwd)/relay_tool
relayd=$(cd "$top_builddir/relay" && pwd)/pubaddr-relayd

# Nothing that is started holds our end of a FIFO, or nobody would see its end.
p() { ip netns exec "${net}p" "$@" 3>&- 4>&-; }
c() { ip netns exec "${net}c" "$@" 3>&- 4>&-; }

need_root
net_up
plan 56

ip netns exec "${net}n" nft 'add table ip blocked; add chain ip blocked transit { type filter hook forward priority 0; }' || exit 99
block() { ip netns exec "${net}n" nft 'add rule ip blocked transit meta l4proto udp counter drop'; }
unblock() { ip netns exec "${net}n" nft 'flush chain ip blocked transit'; }
start_relay() {
	ip netns exec "${net}g" "$relayd" -c "$dir/gatewayd.conf" 2>>"$dir/relayd.log" & relay_pid=$!
	watch $relay_pid
	retry "$tool" call "$dir/relay.sock" version-get >/dev/null
}
counter() { "$tool" call "$dir/$1" status-get | tr -d ' ' | tr ',{}' '\n\n\n' | sed -n "s/^\"$2\":\([0-9]*\)$/\1/p"; }
status_of() { "$bin/pubaddr" --json --run-dir "$dir" status 2>/dev/null | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }
path_is() { test "$(status_of path)" = "$1" && test "$(status_of state)" = bound; }
data_path_is() { test "$(status_of data-path)" = "$1"; }
has() { retry grep -q "$2" "$dir/$1" >/dev/null; }
until_60() { # within 60 s
	from=$(date +%s)
	until "$@"; do
		[ $(($(date +%s) - from)) -lt 60 ] || return 1
		sleep 0.05
	done
}
mapped() { "$tool" call "$dir/gateway.sock" binding-get "{\"address\": \"$PUB\"}" | sed -n 's/.*"mapped": *"\([0-9.]*\):.*/\1/p'; }

ended() { ! kill -0 "$1" 2>/dev/null; }

# Two connections inside of the tunnel; what is fed to descriptors 3 and 4 goes up and down.
open_transfers() {
	rm -f "$dir/up" "$dir/down" "$dir/up.got" "$dir/down.got" "$dir/fed"
	mkfifo "$dir/up" "$dir/down"
	: >"$dir/fed"
	p socat -u TCP-LISTEN:7001,reuseaddr "OPEN:$dir/up.got,creat" & watch $!
	p socat -u - TCP-LISTEN:7002,reuseaddr <"$dir/down" & down_pid=$!
	watch $down_pid
	retry p sh -c 'ss -Hltn sport = 7001 | grep -q .' >/dev/null
	c socat -u - TCP:$PEER:7001 <"$dir/up" & up_pid=$!
	watch $up_pid
	exec 3>"$dir/up" 4>"$dir/down"
	retry p sh -c 'ss -Hltn sport = 7002 | grep -q .' >/dev/null
	c socat -u TCP:$PEER:7002 "OPEN:$dir/down.got,creat" 3>&- 4>&- & got_pid=$!
	watch $got_pid
}
arrived() { test "$(stat -c %s "$dir/up.got" 2>/dev/null)" = "$1" && test "$(stat -c %s "$dir/down.got" 2>/dev/null)" = "$1"; }
# feed WHAT: another megabyte each way, which has to arrive; says how long that took.
feed() {
	head -c $CHUNK /dev/urandom >"$dir/chunk"
	cat "$dir/chunk" >>"$dir/fed"
	before=$(date +%s%N)
	cat "$dir/chunk" >&3 & watch $!
	cat "$dir/chunk" >&4 & watch $!
	until_60 arrived "$(stat -c %s "$dir/fed")"
	ok $? "$DATAPATH: $1: a megabyte arrives each way"
	took=$((($(date +%s%N) - before) / 1000000))
	echo "# $DATAPATH: $1: $took ms"
}

for DATAPATH in kernel user; do
	# The relay is named by the configuration, and then by the grant.
	RELAY=$GW:443 GRANT_RELAY=
	[ "$DATAPATH" = kernel ] || { RELAY='' && GRANT_RELAY=$GW:443; }
	start_gateway
	sed -i "s,\"listen\",\"relay\": {\"listen\": [\"$GW:443\"]\, \"control-socket\": \"$dir/relay.sock\"}\, \"listen\"," "$dir/gatewayd.conf"
	start_relay
	start_client
	epoch=$(($(date +%s%N) / 1000000))
	put_grant $PUB $epoch 900
	until_60 path_is udp
	ok $? "$DATAPATH: bound by UDP"
	data_path_is "$DATAPATH"
	ok $? "$DATAPATH: that is the data path"

	# ---- UDP stops in the middle of transfers
	open_transfers
	feed 'by UDP'
	block
	feed 'UDP is blocked'
	test $took -lt 20000
	ok $? "$DATAPATH: within a time that TCP hardly notices"
	path_is relay
	ok $? "$DATAPATH: the status says that it is the relay"
	"$bin/pubaddr" --run-dir "$dir" status | grep -q 'by the relay'
	ok $? "$DATAPATH: to people, too"
	is "$(status_of address)" "$PUB" "$DATAPATH: the address is the same"
	has tunneld.log 'fallback.wanted' && has tunneld.log 'fallback.up gateway=relay'
	ok $? "$DATAPATH: each step is in the log"
	is "$(mapped)" "$GW" "$DATAPATH: the gateway has the relay for its client"
	data_path_is user
	ok $? "$DATAPATH: the process carries the packets"
	p_retry ping -c 1 -W 2 $PUB >/dev/null
	ok $? "$DATAPATH: a stranger reaches the address"

	# ---- the relay dies
	kill -9 "$relay_pid"
	wait "$relay_pid" 2>/dev/null
	start_relay 3>&- 4>&-
	feed 'the relay is killed and started'
	path_is relay
	ok $? "$DATAPATH: it goes on by the relay"

	# ---- the client's daemon dies
	kill -9 "$client_pid"
	wait "$client_pid" 2>/dev/null
	start_client 3>&- 4>&-
	feed 'the daemon is killed and started'
	is "$(status_of address)" "$PUB" "$DATAPATH: the address is the same"

	# ---- UDP passes again
	unblock
	until_60 path_is udp
	ok $? "$DATAPATH: back to UDP by itself"
	feed 'UDP passes again'
	has tunneld.log 'fallback.end'
	ok $? "$DATAPATH: that is in the log"
	data_path_is "$DATAPATH"
	ok $? "$DATAPATH: the data path is the former one"
	is "$(mapped)" "$NATIP" "$DATAPATH: the gateway has the NAT for its client"
	exec 3>&- 4>&-
	for pid in $up_pid $down_pid $got_pid; do
		until_60 ended "$pid" || break
	done
	is "$(sha256sum <"$dir/up.got") $(sha256sum <"$dir/down.got")" "$(sha256sum <"$dir/fed") $(sha256sum <"$dir/fed")" \
		"$DATAPATH: no byte is lost or doubled"

	# ---- UDP is blocked from the start
	kill "$client_pid" && wait "$client_pid"
	block
	start_client
	until_60 path_is relay
	ok $? "$DATAPATH: blocked from the start: bound by the relay"
	test "$(counter relay.sock tunnel-in)" -gt 0 && test "$(counter relay.sock tunnel-out)" -gt 0
	ok $? "$DATAPATH: the relay counts the datagrams"
	unblock
	until_60 path_is udp
	kill "$client_pid" && wait "$client_pid"
	ok $? "$DATAPATH: the daemon ends well"
	[ "$DATAPATH" = kernel ] || break
	kill "$relay_pid" && wait "$relay_pid"
	kill $gateway_pid && wait $gateway_pid
	rm -f "$dir/gateway.state"
done
# ---- who is not content with his own
tunnel() { # tunnel N: a client that is no daemon, with standard input from $dir/own
	ip netns exec "${net}c" "$relay_tool" $GW:443 "$hex" "$dir/client.key" tunnel "$1" <>"$dir/own" >"$dir/own.out" 2>"$dir/own.err" & own_pid=$!
	watch $own_pid
	has own.err '^up'
}
ports() { g ss -Hun "dport = 6080" | wc -l; }
more() { test "$(counter relay.sock "$1")" -ge "$2"; }
hex=$("$tool" grant "$dir/gateway.key" "$key" $PUB $((epoch + 1)) 600 $GW:6080)
kill "$relay_pid" && wait "$relay_pid"
start_relay
mkfifo "$dir/own"
exec 3<>"$dir/own"
dropped=$(counter relay.sock tunnel-dropped) limited=$(counter relay.sock tunnel-limited) before=$(counter gateway.sock malformed)
tunnel 100
# From 203.0.113.8, which is somebody else's, to the peer: 100 packets of UDP.
echo 4500001d000000004011000dcb710008c00002820007000700090000ff >&3
retry more tunnel-dropped $((dropped + 100))
ok $? 'packets from an address that is not the client'"'"'s: dropped, and counted'
echo 2001000000000000 >&3 # control, of no kind that there is
retry more tunnel-limited $((limited + 50))
ok $? 'more control messages than a client has to say: dropped, and counted'
test $(($(counter gateway.sock malformed) - before)) -le 50
ok $? 'the gateway sees as many as one client may send'
is "$(ports)" 1 'the client has a socket towards the gateway'
kill $own_pid
wait $own_pid 2>/dev/null
clients_are() { "$tool" call "$dir/relay.sock" status-get | grep -q "\"clients\": *$1"; }
until_60 clients_are 0
ok $? 'it ends'
is "$(ports)" 1 'its port is nobody else'"'"'s until the gateway has forgotten it'
exec 3>&-
[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log"
finish
