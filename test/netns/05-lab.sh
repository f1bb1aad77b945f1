#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The laboratory itself: what the other tests rely on. Its counters count, its NATs are of the kind they are said to be,
# its hosts keep their hands off this machine, and it leaves nothing behind.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat tcpdump

# mapped PORT: the outer port of a datagram from the client's port 4000 to the peer's PORT.
mapped() {
	on peer socat -u -T5 "UDP4-RECVFROM:$1" SYSTEM:'read -r x; echo $SOCAT_PEERPORT' >"$TMP/mapped" 2>/dev/null &
	local server=$!
	within 5 listening peer udp "$1" || return
	on client1 sh -c "echo x | socat -u - UDP4-SENDTO:$PEER_IP:$1,sourceport=4000"
	wait "$server"
	cat "$TMP/mapped"
}

md5sum /etc/resolv.conf /etc/hosts >"$TMP/machine" 2>/dev/null
"$LAB" exec client1 -- true 2>"$TMP/err"
check "exec without a lab says how to start one" grep -q 'is not up; start it with' "$TMP/err"

lab_up --no-hook --clients 2
check "a second lab of the same name is refused" not "$LAB" up --no-hook
check "and the first one still runs" on client1 ping -c1 -W2 "$PEER_IP"
check "exec takes a namespace's name too" "$LAB" exec "$CLIENT_NS" -- true
is "a host has a name of its own" "$(on client1 hostname)" client1
is "exec hands on the exit code" "$(on client1 sh -c 'exit 7'; echo $?)" 7
check "the client's resolver is the LAN's" on client1 grep -qx 'nameserver 10.77.0.2' /etc/resolv.conf
check "names are resolved there" on client1 getent ahostsv4 peer.lab.test
check "this machine's files are as before" md5sum -c "$TMP/machine"
is "port-restricted: the port stays" "$(mapped 7001)" 4000
is "port-restricted: towards another port too" "$(mapped 7002)" 4000
check "the Internet counts nothing yet" no_leaks
on nat ip addr add 203.0.113.77/32 dev lo
on nat ping -c1 -W1 -I 203.0.113.77 "$PEER_IP" >/dev/null 2>&1
check "it counts a foreign source" not no_leaks
check "rebind without a tunnel moves masquerade" "$LAB" rebind
moved=$(mapped 7001)
check "and the mapped port, to $moved" test "$moved" -ge 20000
check "UDP can be blocked" "$LAB" block-udp on
on client1 sh -c "echo x | socat -u - UDP4-SENDTO:$PEER_IP:7003"
check "TCP passes then" on client1 socat -u /dev/null "TCP4:$PEER_IP:21"
check "the NAT dropped the datagram" sh -c "'$LAB' exec nat -- nft list table ip block_udp | grep -q 'packets [1-9]'"
check "and be let through again" "$LAB" block-udp off
check "two hosts of the LAN reach each other" on client1 ping -c1 -W2 "$(on client2 hostname -I | cut -d' ' -f1)"
dir=/run/pubaddr-lab/$PUBADDR_LAB
check "down works" "$LAB" down
check "its folder is gone" not test -e "$dir"
is "its namespaces too" "$(ip netns list | grep -c "^$PUBADDR_LAB-")" 0

lab_up --no-hook --nat symmetric
first=$(mapped 7001)
second=$(mapped 7002)
check "symmetric: another port for another destination ($first, $second)" test "$first" != "$second"
"$LAB" down
lab_up --no-hook --nat double
on client1 ping -c1 -W2 "$PEER_IP" >"$TMP/ping"
is "double: two more routers than the client's own hop limit allows for one NAT" "$(sed -n 's/.*ttl=\([0-9]*\).*/\1/p' "$TMP/ping")" 61
done_testing
