# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # tunnel-net.sh sets client_pid and others, and reads DATAPATH
# Where no UDP passes the tunnel goes by the relay's connection, as TAP: UDP is blocked at the NAT in the middle of transfers in both
# directions, and passes again; the relay is killed meanwhile and at the worst moment, and so is the client's daemon; everything is blocked;
# UDP is blocked from the start. The address stays, and no byte is lost or doubled. Sourced by 96-relay-fallback-*.sh, which choose the data
# path by DATAPATH and where the relay is named by RELAY or GRANT_RELAY, and say the plan.
. "${top_srcdir:?}/test/netns/relay-net.sh"
CHUNK=1048576

block() { # block EXPRESSION: what that matches passes the NAT in neither direction
	blocked "add table ip blocked; add chain ip blocked transit { type filter hook forward priority 0; }; add rule ip blocked transit $1 drop"
}
unblock() { blocked 'delete table ip blocked'; }
status_of() { "$bin/pubaddr" --json --run-dir "$dir" status 2>/dev/null | sed -n "s/.*\"$1\": *\"*\([^\",]*\)\"*.*/\1/p" | head -n 1; }
path_is() { test "$(status_of path)" = "$1" && test "$(status_of state)" = bound; }
data_path_is() { test "$(status_of data-path)" = "$1"; }
logged() { grep -c "$1" "$dir/tunneld.log"; } # how often
until_60() { # within 60 s
	from=$(date +%s)
	until "$@"; do
		[ $(($(date +%s) - from)) -lt 60 ] || return 1
		sleep 0.05
	done
}
more_logged() { test "$(logged "$1")" -gt "$2"; }
binding() { "$tool" call "$dir/gateway.sock" binding-get "{\"address\": \"$PUB\"}" | tr -d ' \n' | sed -n "s/.*\"$1\":\"*\([0-9.]*\).*/\1/p"; }
ended() { ! kill -0 "$1" 2>/dev/null; }
seen_as() { c socat -t 5 - TCP:$PEER:7004,connect-timeout=3 </dev/null 2>/dev/null; } # our address, as the peer sees it
is_seen_as() { test "$(seen_as)" = "$1"; }

# Two connections inside of the tunnel; what is fed to descriptors 3 and 4 goes up and down.
open_transfers() {
	rm -f "$dir/up" "$dir/down" "$dir/up.got" "$dir/down.got"
	mkfifo "$dir/up" "$dir/down"
	: >"$dir/fed"
	p socat -u TCP-LISTEN:7001,reuseaddr "OPEN:$dir/up.got,creat" & watch $!
	p socat -u - TCP-LISTEN:7002,reuseaddr <"$dir/down" & down_pid=$!
	watch $down_pid
	listens 7001
	c socat -u - TCP:$PEER:7001 <"$dir/up" & up_pid=$!
	watch $up_pid
	exec 3>"$dir/up" 4>"$dir/down"
	listens 7002
	c socat -u TCP:$PEER:7002 "OPEN:$dir/down.got,creat" & got_pid=$!
	watch $got_pid
}
close_transfers() {
	exec 3>&- 4>&-
	for pid in $up_pid $down_pid $got_pid; do
		until_60 ended "$pid" || break
	done
	is "$(sha256sum <"$dir/up.got") $(sha256sum <"$dir/down.got")" "$(sha256sum <"$dir/fed") $(sha256sum <"$dir/fed")" \
		"$DATAPATH: no byte is lost or doubled"
}
arrived() { test "$(stat -c %s "$dir/up.got" 2>/dev/null)" = "$1" && test "$(stat -c %s "$dir/down.got" 2>/dev/null)" = "$1"; }
# feed WHAT [COMMAND]: another megabyte each way, which has to arrive although the command is run meanwhile; says how long that took.
feed() {
	head -c $CHUNK /dev/urandom >"$dir/chunk"
	cat "$dir/chunk" >>"$dir/fed"
	before=$(date +%s%N)
	cat "$dir/chunk" >&3 & watch $!
	cat "$dir/chunk" >&4 & watch $!
	[ $# -lt 2 ] || "$2"
	until_60 arrived "$(stat -c %s "$dir/fed")"
	ok $? "$DATAPATH: $1: a megabyte arrives each way"
	took=$((($(date +%s%N) - before) / 1000000))
	echo "# $DATAPATH: $1: $took ms"
}

kill_relay() {
	kill -9 "$relay_pid"
	wait "$relay_pid" 2>/dev/null
	start_relay 3>&- 4>&-
}
kill_client() {
	kill -9 "$client_pid"
	wait "$client_pid" 2>/dev/null
	start_client 3>&- 4>&-
}
fall_and_kill_relay() {
	wanted=$(logged fallback.wanted)
	block 'meta l4proto udp'
	until_60 more_logged fallback.wanted "$wanted"
	kill_relay
}

same_binding() {
	is "$(status_of address) $(status_of epoch) $(binding epoch)" "$PUB $epoch $epoch" "$DATAPATH: $1: address and epoch are the same"
}

by_relay() {
	path_is relay
	ok $? "$DATAPATH: the status says that it is the relay"
	"$bin/pubaddr" --run-dir "$dir" status | grep -q "by the relay $GW:443"
	ok $? "$DATAPATH: to people, too"
	same_binding 'by the relay'
	has tunneld.log 'fallback.wanted' && has tunneld.log 'fallback.up gateway=relay'
	ok $? "$DATAPATH: each step is in the log"
	is "$(binding mapped)" "$GW" "$DATAPATH: the gateway has the relay for its client"
	data_path_is user
	ok $? "$DATAPATH: the process carries the packets"
	p_retry ping -c 1 -W 2 $PUB >/dev/null
	ok $? "$DATAPATH: a stranger reaches the address"
	is "$(p socat -t 5 - TCP:$PUB:7003,connect-timeout=10 </dev/null)" "$PEER" "$DATAPATH: and a server there, by TCP"
	is_seen_as $PUB
	ok $? "$DATAPATH: and sees it, when the host calls him"
}

in_the_middle() {
	open_transfers
	feed 'by UDP'
	block 'meta l4proto udp'
	feed 'UDP is blocked'
	test $took -lt 20000
	ok $? "$DATAPATH: within a time that TCP hardly notices"
	by_relay
	feed 'the relay is killed and started' kill_relay
	path_is relay
	ok $? "$DATAPATH: it goes on by the relay"
	feed 'the daemon is killed and started' kill_client
	same_binding 'a killed daemon'
	unblock
	until_60 path_is udp
	ok $? "$DATAPATH: back to UDP by itself"
	feed 'UDP passes again'
	has tunneld.log 'fallback.end'
	ok $? "$DATAPATH: that is in the log"
	data_path_is "$DATAPATH"
	ok $? "$DATAPATH: the data path is the former one"
	is "$(binding mapped)" "$NATIP" "$DATAPATH: the gateway has the NAT for its client"
	same_binding 'by UDP again'
	feed 'the relay is killed at the worst moment' fall_and_kill_relay
	until_60 path_is relay
	ok $? "$DATAPATH: it goes by the relay all the same"
	unblock
	until_60 path_is udp
	ok $? "$DATAPATH: and back"
	close_transfers
}

all_is_blocked() {
	block 'meta l4proto udp'
	block 'tcp dport 443'
	until_60 is_seen_as $NATIP
	ok $? "$DATAPATH: neither UDP nor the relay: plain NAT"
	is "$(status_of state)" binding "$DATAPATH: the status does not say that it is bound"
	unblock
	until_60 path_is udp
	ok $? "$DATAPATH: UDP passes: bound"
	same_binding 'once more'
}

from_the_start() {
	kill "$client_pid" && wait "$client_pid"
	block 'meta l4proto udp'
	start_client
	until_60 path_is relay
	ok $? "$DATAPATH: blocked from the start: bound by the relay"
	test "$(counter tunnel-in)" -gt 0 && test "$(counter tunnel-out)" -gt 0
	ok $? "$DATAPATH: the relay counts the datagrams"
}


# All of it; in the end UDP is blocked, and the tunnel goes by the relay.
fallback() {
	c socat TCP-LISTEN:7003,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR' & watch $!
	p socat TCP-LISTEN:7004,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR' & watch $!
	listens 7004
	start_gateway
	add_relay
	start_relay
	start_client
	epoch=$(($(date +%s%N) / 1000000))
	put_grant $PUB $epoch 900
	until_60 path_is udp
	ok $? "$DATAPATH: bound by UDP"
	data_path_is "$DATAPATH"
	ok $? "$DATAPATH: that is the data path"
	in_the_middle
	all_is_blocked
	from_the_start
}
finish_fallback() {
	kill "$client_pid" && wait "$client_pid"
	ok $? "$DATAPATH: the daemon ends well"
	[ $failed -eq 0 ] || sed 's/^/# /' "$dir/relayd.log"
	finish
}
