#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The outbound mode changes while connections are open: a transfer each way and a UDP flow go on, by the way that they have, and
# what begins afterwards takes the new one. Who says which mode, and what is left of it.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat curl

NAT_IP=198.51.100.2
trap '' PIPE # a flow that has ended is told by a check
STEP=0 FLOWS=()

mode() { on client1 pubaddr mode "$@"; }
mode_is() { [ "$(mode)" = "$1" ]; }
# way HOST...: the address that the peer sees of a new connection; P by the tunnel, the NAT's otherwise
seen_from() { on client1 timeout 5 socat -u "TCP4:$PEER_IP:$1" -; }
seen_by_udp() { # an answer may come late on a busy machine, and UDP has no end to wait for
	local i
	for i in 1 2 3 4 5; do
		echo x | on client1 timeout 15 socat "-t$i" - "UDP4:$PEER_IP:7006" >"$TMP/udp"
		[ ! -s "$TMP/udp" ] || break
	done
	cat "$TMP/udp"
}

# open_flows NAME: a line each 0.1 s to the peer, one from the peer to P, and one by UDP; they last until close_flows.
open_flows() {
	local f=$1 port=$((7100 + 10 * STEP))
	STEP=$((STEP + 1))
	mkfifo "$TMP/$f.up" "$TMP/$f.down" "$TMP/$f.udp"
	in_background peer "at_up_$f" socat -u "TCP4-LISTEN:$port" -
	in_background client1 "at_down_$f" socat -u "TCP4-LISTEN:$((port + 1))" -
	in_background peer "at_udp_$f" socat -u "UDP4-LISTEN:$((port + 2))" -
	within 5 listening peer tcp "$port" && within 5 listening client1 tcp $((port + 1)) && within 5 listening peer udp $((port + 2)) || return 1
	on client1 socat -u "FILE:$TMP/$f.up" "TCP4:$PEER_IP:$port" &
	on peer socat -u "FILE:$TMP/$f.down" "TCP4:$CLIENT_PUBLIC_IP:$((port + 1))" &
	on client1 socat -u "FILE:$TMP/$f.udp" "UDP4:$PEER_IP:$((port + 2)),sourceport=$((port + 3))" &
	FLOWS+=("$f")
	# The descriptors stay open, so that the programs see no end.
	exec {up}>"$TMP/$f.up" {down}>"$TMP/$f.down" {udp}>"$TMP/$f.udp"
	printf -v "up_$f" %s "$up" && printf -v "down_$f" %s "$down" && printf -v "udp_$f" %s "$udp"
	say_all "begin"
	within 5 heard "$f" begin
}

say_all() {
	local f fd
	for f in "${FLOWS[@]}"; do
		for fd in "up_$f" "down_$f" "udp_$f"; do
			echo "$1" >&"${!fd}"
		done
	done
}
heard() { grep -q "$2" "$TMP/at_up_$1" && grep -q "$2" "$TMP/at_down_$1" && grep -q "$2" "$TMP/at_udp_$1"; }

# all_alive WORD: every flow that was opened carries WORD both ways.
all_alive() {
	local f
	say_all "$1"
	for f in "${FLOWS[@]}"; do
		within 10 heard "$f" "$1" || { echo "flow $f: no $1" && return 1; }
	done
}

# change MODE HOW: to that mode, and what follows from it
change() {
	local from=$NAT_IP
	check "to $1" mode "$1"
	[ "$1" = native ] || [ "$1" = auto ] || from=$CLIENT_PUBLIC_IP
	[ "$1" != policy ] || from=$NAT_IP
	check "all connections go on, both ways" all_alive "in-$1-$STEP"
	is "a new TCP connection is seen from" "$(seen_from 7005)" "$from"
	is "a new UDP flow too" "$(seen_by_udp)" "$from"
	[ "$1" != auto ] || from=$CLIENT_PUBLIC_IP
	is "one to a port of auto too" "$(seen_from 6881)" "$from"
	check "P is reached" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
	check "connections that begin now" open_flows "n$STEP"
}

lab_up
on client1 sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1
# shellcheck disable=SC2016 # for socat's shell
for port in 7005 6881; do
	in_background peer "whoami_$port" socat "TCP4-LISTEN:$port,fork,reuseaddr" 'SYSTEM:echo $SOCAT_PEERADDR'
	within 5 listening peer tcp "$port"
done
# shellcheck disable=SC2016
in_background peer whoami_udp socat UDP4-RECVFROM:7006,fork 'SYSTEM:read -r line; echo $SOCAT_PEERADDR'
within 5 listening peer udp 7006

is "the grant proposes" "$(mode)" "tunnel (by grant)"
is "and there is no table of ours" "$(on client1 nft list tables | grep -c pubaddr)" 0
check "connections" open_flows n0
# From each mode to each other one.
change native
is "who said so" "$(mode)" "native (by command)"
is "as JSON, whatever the order of the words" "$(mode --json) $(on client1 pubaddr --json mode)" \
	'{"mode": "native", "mode-source": "command"} {"mode": "native", "mode-source": "command"}'
change tunnel
change auto
change tunnel
change policy
is "what is bound to P uses the tunnel" "$(on client1 timeout 5 socat -u "TCP4:$PEER_IP:7005,bind=$CLIENT_PUBLIC_IP" -)" "$CLIENT_PUBLIC_IP"
check "curl too" on client1 curl -sS -m 10 --interface "$CLIENT_PUBLIC_IP" "ftp://$PEER_IP/hello.txt"
change native
change auto
change native
change policy
change auto
change policy
change tunnel
check "active FTP in the mode tunnel" on client1 curl -sS --ftp-port - "ftp://$PEER_IP/hello.txt"
mode auto >/dev/null
check "and in the mode auto" on client1 curl -sS --ftp-port - "ftp://$PEER_IP/hello.txt"
mode native >/dev/null
check "but not in native" not on client1 curl -sS -m 10 --ftp-port - "ftp://$PEER_IP/hello.txt"

"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
eventually 10 "a daemon that was killed is back" on client1 pubaddr status
is "with the mode that was commanded" "$(mode)" "native (by command)"
check "all connections go on, both ways" all_alive after-kill

check "nobody but root" not on client1 setpriv --reuid 65534 --clear-groups pubaddr mode tunnel
check "what is no mode is refused" not mode direct
is "and changes nothing" "$(mode)" "native (by command)"
check "without a command" mode default
is "the grant counts" "$(mode)" "tunnel (by grant)"
echo '{ "allow-documentation": true, "outbound": "auto", "auto-ports": {"add": ["7005/tcp"], "remove": ["6881-6889/tcp"]} }' |
	on client1 tee /etc/pubaddr/tunneld.conf >/dev/null
kill -HUP "$(<"$LAB_DIR/pids/client1.tunneld")"
eventually 5 "SIGHUP: the configuration counts" mode_is "auto (by configuration)"
is "its ports too: added" "$(seen_from 7005)" "$CLIENT_PUBLIC_IP"
is "and removed" "$(seen_from 6881)" "$NAT_IP"
check "all connections go on, both ways" all_alive after-reload
echo '{ "outbound": "sideways" }' | on client1 tee /etc/pubaddr/tunneld.conf >/dev/null
kill -HUP "$(<"$LAB_DIR/pids/client1.tunneld")"
eventually 5 "a wrong configuration is refused, with its place" grep -q 'config.refused.*tunneld.conf:1: outbound' "$LAB_DIR/log/client1.tunneld"
is "and changes nothing" "$(mode)" "auto (by configuration)"
check "no private or foreign source on the Internet" no_leaks
done_testing
