#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# In native and auto the client remembers which UDP flows came by the tunnel, and anybody can send it more of them than it has places for.
# Answers find their way all the same, calls go on, and what the host opens itself works. And what TCP leaves behind in these tables.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat python3 curl

NAT_IP=198.51.100.2
PLACES=65536

elements() { on client1 nft -j list set ip pubaddr-pub0 "$1" | python3 -c 'import json, sys
print(sum(len(x["set"].get("elem", [])) for x in json.load(sys.stdin)["nftables"] if "set" in x))'; }
has_at_least() { [ "$(elements "$1")" -ge "$2" ]; }

# flood PORT...: one packet from each port of the peer to each of these ports of P, as a crowd of senders would.
flood() {
	on peer python3 - "$PEER_IP" "$CLIENT_PUBLIC_IP" "$@" <<-'END'
		import socket, struct, sys, time
		src, dst = (socket.inet_aton(a) for a in sys.argv[1:3])
		s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
		n = 0
		for port in map(int, sys.argv[3:]):
		    for sport in range(1024, 65536):
		        if sport in (7003, 7006, 7010):
		            continue
		        udp = struct.pack("!HHHH1s", sport, port, 9, 0, b"x") # no checksum: 0 says so
		        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, 0, 0, 64, 17, 0, src, dst)
		        s.sendto(ip + udp, (sys.argv[2], 0))
		        n += 1
		        if n % 50 == 0:
		            time.sleep(0.004)
	END
}
# crowd: until no place is left.
crowd() {
	local i
	for i in 1 2 3 4 5; do
		flood 7003 5060
		has_at_least udp_tunnel "$PLACES" && return 0
	done
	return 1
}
seen_by_udp() { # seen_by_udp [OPTIONS]: whose address the peer sees of a datagram
	local i
	for i in 1 2 3 4 5; do
		echo x | on client1 timeout 15 socat "-t$i" - "UDP4:$PEER_IP:7006$1" >"$TMP/udp"
		[ ! -s "$TMP/udp" ] || break
	done
	cat "$TMP/udp"
}
# answered PORT: a host of which P has not heard asks a server on it, and takes an answer from P only (a connected socket).
answered() { [ "$(echo "hello $1" | on inet socat -t3 - "UDP4:$CLIENT_PUBLIC_IP:$1,bind=192.0.2.1")" = "hello $1" ]; }
ask() { within 20 answered "$1"; }

lab_up --outbound native
# A call of before, that goes beside the tunnel; and servers on P.
# shellcheck disable=SC2016 # for socat's shell
in_background peer whoami socat UDP4-RECVFROM:7006,fork 'SYSTEM:read -r line; echo $SOCAT_PEERADDR'
in_background peer call socat -u UDP4-LISTEN:7010 -
# The servers' sockets take nothing of the flood: only ours is looked at, by its length.
on client1 nft -f - <<-END
	table ip quiet {
		chain in { type filter hook input priority 310; udp length 9 counter drop; }
	}
END
in_background client1 server socat UDP4-RECVFROM:7003,fork PIPE
within 5 listening peer udp 7006 && within 5 listening peer udp 7010 && within 5 listening client1 udp 7003
result $? "servers"
mkfifo "$TMP/talk"
on client1 socat -u "FILE:$TMP/talk" "UDP4:$PEER_IP:7010,sourceport=5060" &
caller=$!
exec {talk}>"$TMP/talk"
echo "before the crowd" >&"$talk"
eventually 5 "a flow that the host opened, beside the tunnel" grep -q 'before the crowd' "$TMP/call"
check "a server on P answers" ask 7003
is "the host's datagrams leave by the NAT" "$(seen_by_udp "")" "$NAT_IP"

check "a crowd of senders takes every place" crowd
check "the table has no more than that" not has_at_least udp_tunnel $((PLACES + 1))
check "who asks now is answered, from the address that he asked" ask 7003
echo "after the crowd" >&"$talk"
eventually 5 "the flow of before goes on" grep -q 'after the crowd' "$TMP/call"
is "new flows from other ports still leave by the NAT" "$(seen_by_udp "")" "$NAT_IP"
exec {talk}>&-
wait "$caller"
is "one from a port of the crowd works, by the tunnel" "$(seen_by_udp ,sourceport=5060)" "$CLIENT_PUBLIC_IP"
check "the mode can be changed" on client1 pubaddr mode auto
check "who asks then is answered too" ask 7003
check "and back" on client1 pubaddr mode native
check "ping from the peer is answered" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
is "TCP leaves by the NAT" "$(on client1 timeout 9 curl -sS -o /dev/null -w '%{http_code}%{local_ip}' "ftp://$PEER_IP/hello.txt")" "226$CLIENT_PUBLIC_IP"

# ---- what remembers TCP forgets it soon: the data connections of one session

on client1 pubaddr mode auto >/dev/null
for i in $(seq 20); do echo "url = \"ftp://$PEER_IP/hello.txt\"" && echo "output = /dev/null"; done >"$TMP/urls"
on client1 curl -sS --config - <"$TMP/urls" >"$TMP/curl" 2>&1
result $? "20 files by passive FTP, in the mode auto" "$TMP/curl"
check "their data connections went by the tunnel" has_at_least tcp_tunnel 20
# expires: seconds until the last of a set's elements is forgotten
expires() { on client1 nft -j list set ip pubaddr-pub0 tcp_tunnel | python3 -c 'import json, sys
print(max([e["elem"]["expires"] for x in json.load(sys.stdin)["nftables"] if "set" in x for e in x["set"].get("elem", [])] + [0]))'; }
soon() { [ "$(expires)" -le 120 ]; }
eventually 5 "and are forgotten within two minutes of their end" soon
check "no private or foreign source on the Internet" no_leaks
done_testing
