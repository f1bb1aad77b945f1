#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Who may come in to P: open, closed, and lists, by the host and by the grant, scanned from outside; answers to what P itself sends
# always come in. pubaddr expose adds for a while, never beyond the grant.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat curl setpriv

LAB_LOG=/run/pubaddr-lab/$PUBADDR_LAB/log
lab_up
P=$CLIENT_PUBLIC_IP
TCP_PORTS="22 80 1500 5060 8080"
UDP_PORTS="53 5060 7003"
OTHER=192.0.2.1 # of the router, another host on the Internet

# ---- the servers, and a scan from the peer

for port in $TCP_PORTS; do
	in_background client1 "tcp$port" socat "TCP4-LISTEN:$port,fork,reuseaddr" PIPE
done
for port in $UDP_PORTS; do
	in_background client1 "udp$port" socat "UDP4-RECVFROM:$port,fork" PIPE
done
# Behind every table at prerouting: what the host takes in.
on client1 nft -f - <<-END
	table ip seen {
		counter n_gre { }
		counter new { }
		chain in {
			type filter hook input priority 300;
			iifname "pub0" ip protocol 47 counter name "n_gre"
			iifname "pub0" tcp dport 9 counter name "new"
		}
	}
END
for port in $TCP_PORTS; do
	within 5 listening client1 tcp "$port"
done
for port in $UDP_PORTS; do
	within 5 listening client1 udp "$port"
done

gre_seen() { on client1 nft list counter ip seen n_gre | awk '$1 == "packets" {print $2}'; }

# scan HOST: the names of all that answers to that one, in order.
scan() {
	local port before dir=$TMP/scan pids=() from=$PEER_IP
	[ "$1" = peer ] || from=$OTHER
	rm -rf "$dir"
	mkdir "$dir"
	for port in $TCP_PORTS; do
		echo hello | on "$1" timeout 4 socat -t2 - "TCP4:$P:$port,bind=$from,connect-timeout=2" >"$dir/$port-tcp" 2>/dev/null &
		pids+=($!)
	done
	for port in $UDP_PORTS; do
		echo hello | on "$1" timeout 4 socat -T2 - "UDP4:$P:$port,bind=$from" >"$dir/$port-udp" 2>/dev/null &
		pids+=($!)
	done
	on "$1" ping -c2 -i0.3 -W2 -I "$from" "$P" 2>/dev/null | grep 'bytes from' >"$dir/icmp" &
	pids+=($!)
	before=$(gre_seen)
	echo hello | on "$1" socat -u - "IP4-SENDTO:$P:47,bind=$from"
	wait "${pids[@]}"
	[ "$(gre_seen)" = "$before" ] || echo yes >"$dir/gre"
	find "$dir" -size +0 -printf '%f\n' | sed 's|-|/|' | grep -v '^scan$' | sort | paste -sd' '
}
scan_is() { is "$1" "$(scan "${3:-peer}")" "$2"; }

ALL="1500/tcp 22/tcp 5060/tcp 5060/udp 53/udp 7003/udp 80/tcp 8080/tcp gre icmp"

# What P asks for comes in whatever the policy: TCP, UDP, ping, and the error of a closed port.
in_background peer echo_tcp socat TCP4-LISTEN:7001,fork,reuseaddr PIPE
in_background peer echo_udp socat UDP4-RECVFROM:7001,fork PIPE
within 5 listening peer tcp 7001
within 5 listening peer udp 7001
answers() { # answers WHAT
	is "$1: TCP from P is answered" "$(echo tcp | on client1 socat -t3 - "TCP4:$PEER_IP:7001,bind=$P")" tcp
	is "$1: UDP from P is answered" "$(echo udp | on client1 socat -T3 - "UDP4:$PEER_IP:7001,bind=$P")" udp
	check "$1: ping from P is answered" on client1 ping -c1 -W3 -I "$P" "$PEER_IP"
	is "$1: FTP from P" "$(on client1 curl -sS --max-time 20 -o /dev/null -w '%{local_ip}' "ftp://$PEER_IP/hello.txt")" "$P"
	(echo a; sleep 1; echo b) | on client1 socat -T3 - "UDP4:$PEER_IP:7009,bind=$P" >"$TMP/closed" 2>&1
	check "$1: the ICMP error of a closed port comes in" grep -q 'Connection refused' "$TMP/closed"
}

configure() { # configure SETTINGS: a new configuration, for a daemon that died
	on client1 tee /etc/pubaddr/tunneld.conf >/dev/null <<<"{ \"allow-documentation\": true, $1 }"
	"$LAB" stop client1.tunneld
	"$LAB" start client1.tunneld
	within 20 on client1 pubaddr status >/dev/null 2>&1
}
table() { on client1 nft list table ip pubaddr-pub0; }
policy_is() { is "$1" "$(on client1 pubaddr expose --list | sed -n 's/^comes in: *//p')" "$2"; }

# ---- by host

scan_is "open: everything answers" "$ALL"
check "and there is no table of ours" not table
configure '"inbound": "closed"'
scan_is "closed: nothing answers" ""
answers closed
configure '"inbound": ["5060/udp", "tcp/1024-2048 from 192.0.2.1", "22/tcp", "gre from 192.0.2.8/29"]'
scan_is "a list: what it names answers" "22/tcp 5060/udp gre"
scan_is "and what is for another source, to that one" "1500/tcp 22/tcp 5060/udp" inet
answers list
configure '"inbound": ["icmp", "any from 192.0.2.1"]'
scan_is "ICMP alone" "icmp"
scan_is "everything from one source" "$ALL" inet

# A connection that was let in goes on when the policy changes; the table comes back when somebody flushes it.
mkfifo "$TMP/talk"
on inet socat -t20 - "TCP4:$P:8080,bind=$OTHER" <"$TMP/talk" >"$TMP/heard" 2>&1 &
exec 9>"$TMP/talk"
echo one >&9
eventually 5 "a connection is let in" grep -q one "$TMP/heard"
configure '"inbound": "closed"'
echo two >&9
eventually 10 "and goes on when the host is closed" grep -q two "$TMP/heard"
exec 9>&-
check "somebody flushes all rules" on client1 nft flush ruleset
eventually 10 "our table is back" table
on client1 nft -f - <<<'table ip seen { counter n_gre { }; chain in { type filter hook input priority 300; iifname "pub0" ip protocol 47 counter name "n_gre"; }; }'
scan_is "and closed" ""

# ---- expose

check "expose 5060/udp" on client1 pubaddr expose 5060/udp
scan_is "answers now" "5060/udp"
check "expose with a source, a range and a time" on client1 pubaddr expose --for 1h "1400-1600/tcp from $OTHER" icmp
scan_is "the source counts" "5060/udp icmp"
scan_is "and has its port" "1500/tcp 5060/udp icmp" inet
on client1 pubaddr expose --list >"$TMP/list"
check "the list tells what is exposed, by whom and for how long" grep -q '1400-1600/tcp from 192.0.2.1 (by uid 0, 3[56][0-9][0-9] s left)' "$TMP/list"
check "remove" on client1 pubaddr expose --remove 5060/udp
scan_is "closed again" "icmp"
check "what was not exposed cannot be removed" not on client1 pubaddr expose --remove 5060/udp
check "nonsense is refused" not on client1 pubaddr expose 5060
check "for 3 seconds" on client1 pubaddr expose --for 3s 80/tcp
policy_is "it is there" "1400-1600/tcp from 192.0.2.1, icmp, 80/tcp"
eventually 10 "and ends by itself" sh -c "! '$LAB' exec client1 -- pubaddr expose --list | grep -q 80/tcp"
"$LAB" stop client1.tunneld
got=$(scan peer) # whether packets are carried on without the daemon is up to the data path
is "with the daemon dead, the rules stand" "${got:-icmp}" "icmp"
"$LAB" start client1.tunneld
within 20 on client1 pubaddr status >/dev/null 2>&1
policy_is "a new daemon has what was exposed" "1400-1600/tcp from 192.0.2.1, icmp"
scan_is "and it answers" "icmp"

# Another user.
alice() { on client1 setpriv --reuid=4001 --regid=4001 --clear-groups "$@"; }
check "another user may not expose" not alice pubaddr expose 22/tcp
check "he is told why" sh -c "'$LAB' exec client1 -- setpriv --reuid=4001 --clear-groups pubaddr expose 22/tcp 2>&1 | grep -q 'expose.*tunneld.conf'"
check "but may see the list" alice pubaddr expose --list
on client1 sh -c 'echo "alice:x:4001:4001::/:/bin/sh" >>/etc/passwd; echo "voip:x:4002:bob" >>/etc/group'
configure '"inbound": "closed", "expose": {"users": ["alice"], "groups": ["voip"]}'
check "one whom the configuration names may" alice pubaddr expose 22/tcp
check "so may a member of a named group" on client1 setpriv --reuid=4003 --regid=4003 --groups=4002 pubaddr expose 80/tcp
check "but not remove what is another's" not alice pubaddr expose --remove 80/tcp
scan_is "both are exposed" "22/tcp 80/tcp icmp"
check "a name that is not there is refused at the start" not on client1 sh -c 'echo "{\"expose\": {\"users\": [\"nobody-here\"]}}" >/run/t.conf && pubaddr-tunneld -t -i eth0 -c /run/t.conf 2>&1'

# ---- by the grant: the stricter of the two

grant() { # grant POLICY
	on broker sed -i '/"grant":/d' /etc/pubaddr/brokerd.conf
	on broker sed -i "s|\"realms\": \\[\"lab\"\\],\$|&\n\"grant\": {\"inbound\": $1},|" /etc/pubaddr/brokerd.conf
	check "the broker grants $1" on broker pubaddrctl reload
	"$LAB" renew client1 >/dev/null 2>&1
}
granted_is() { on client1 pubaddr expose --list | grep -q "^grant: *$1\$"; }

for r in 22/tcp 80/tcp icmp "1400-1600/tcp from $OTHER"; do
	on client1 pubaddr expose --remove "$r" >/dev/null
done
configure '"inbound": "open"'
grant '["5060/udp", "tcp/1024-2048 from 192.0.2.1", "icmp"]'
eventually 20 "the client has it" granted_is '5060/udp, 1024-2048/tcp from 192.0.2.1, icmp'
scan_is "an open host with a grant's list: the list" "5060/udp icmp"
scan_is "with its sources" "1500/tcp 5060/udp icmp" inet
answers "grant's list"
configure '"inbound": ["5060-5061/udp", "1500/tcp", "22/tcp"]'
policy_is "a list of the host's and the grant's: what both let in" "5060/udp, 1500/tcp from 192.0.2.1"
scan_is "as the scan sees" "5060/udp"
scan_is "from both sources" "1500/tcp 5060/udp" inet
check "what the grant does not let in cannot be exposed" sh -c "! '$LAB' exec client1 -- pubaddr expose 8080/tcp >'$TMP/refused' 2>&1"
check "the answer says that it is the grant" grep -q 'the grant lets nothing of 8080/tcp in' "$TMP/refused"
check "part of it can" sh -c "'$LAB' exec client1 -- pubaddr expose 1490-1510/tcp >'$TMP/part'"
check "and the answer says so" grep -q 'only a part' "$TMP/part"
scan_is "no more than the grant lets in" "5060/udp"
grant '"closed"'
eventually 20 "the client has it" granted_is closed
scan_is "the grant closes" ""
answers "grant closed"
grant '"open"'
eventually 20 "the client has it" granted_is open
scan_is "the grant opens; the host's list holds" "1500/tcp 22/tcp 5060/udp"

# ---- the end

check "no private or foreign source on the Internet" no_leaks
check "no error in the daemon's log" not grep -E ' ERROR |tunnel.failed' "$LAB_LOG/client1.tunneld"
check "the lease ends" "$LAB" release client1
eventually 10 "and the table goes" not table
done_testing
