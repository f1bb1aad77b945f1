#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Unmodified programs through the session relay, both ways, behind a NAT that passes no UDP: what they see of sockets is what they would
# see on a host that has the address itself, and what they exchange is unchanged.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/relayed.sh
. "$(dirname "$0")/relayed.sh"
need curl lftp ssh sshd scp nc sipp java javac python3 setpriv
PROBE=${PUBADDR_BUILD:-$HERE/../..}/test/netns

lab_up
P=$CLIENT_PUBLIC_IP

# ---- who cannot have it is told why
refused_with() { # refused_with TEXT COMMAND...
	local text=$1
	shift
	"$@" >"$TMP/refused" 2>&1
	[ $? = 125 ] && grep -q "$text" "$TMP/refused" || { cat "$TMP/refused" && return 1; }
}
check "no relay is known: told so, and nothing is started" refused_with 'no session relay is known' relayed echo started
check "the words of one mode only" not on client1 pubaddr exec --relay --netns -- true
"$LAB" block-udp on
relay_up
result $? "relay server and daemon, and no UDP" "$TMP/relayd"
check "a program is started" relayed true
# A shell's variables of the program, not ours.
# shellcheck disable=SC2016
is "its exit status is the command's" "$(relayed sh -c 'exit 7' || echo $?)" 7
check "who is not permitted is told so" refused_with 'permission denied' \
	on client1 setpriv --reuid=65534 --regid=65534 --clear-groups pubaddr exec --relay -- true

# ---- what sockets do: the same here as on the gateway's host, which has its address itself
on inet ip route add unreachable 192.0.2.140
on inet nft 'table ip silent { chain pre { type filter hook prerouting priority raw; ip daddr 192.0.2.142 drop; }; }'
on gateway sysctl -qw net.ipv4.tcp_syn_retries=1
in_background peer relay_peer "$PROBE/relay_peer" 7100
within 10 listening peer tcp 7100
probe() { "${@:2}" timeout 120 "$PROBE/relay_probe" "$PEER_IP" 7100 "$1" 7999 192.0.2.140 192.0.2.142; }
probe 198.51.100.10 on gateway >"$TMP/native" 2>&1
result $? "what sockets do on a host that has a public address" "$TMP/native"
probe "$P" relayed >"$TMP/ours" 2>&1
result $? "and by the relay" "$TMP/ours"
check "is the same" diff "$TMP/native" "$TMP/ours"
is "a good many lines" "$(($(wc -l <"$TMP/ours") > 220))" 1
check "each step is in the log, in order" logged ' relay.connect ' ' relay.ready ' ' relay.call ' ' relay.result ' ' relay.end '

# ---- the address, however a program asks
ask_addresses() {
	relayed python3 - <<-'END'
		import array, fcntl, socket, struct
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		print("SIOCGIFADDR", socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", b"eth0"))[20:24]))
		buf = array.array("B", bytes(4096))
		n = struct.unpack("iP", fcntl.ioctl(s, 0x8912, struct.pack("iP", 4096, buf.buffer_info()[0])))[0]
		print("SIOCGIFCONF", *[socket.inet_ntoa(buf[i + 20 : i + 24]) for i in range(0, n, 40) if bytes(buf[i : i + 5]) == b"eth0\0"])
		print("gethostbyname", socket.gethostbyname(socket.gethostname()))
		print("getaddrinfo", *{a[4][0] for a in socket.getaddrinfo(socket.gethostname(), 80)})
		s.connect(("192.0.2.10", 7100))
		print("getsockname", s.getsockname()[0])
		six = socket.socket(socket.AF_INET6)
		six.connect(("::ffff:192.0.2.10", 7100))
		print("mapped", six.getsockname()[0], six.getpeername()[0])
		print("elsewhere", *sorted({a[4][0] for a in socket.getaddrinfo("only.at-the-server", 80)}))
	END
	relayed hostname -I | sed 's/^/getifaddrs /; s/ $//'
}
on gateway sh -c 'echo "192.0.2.77 only.at-the-server" >>/etc/hosts'
ask_addresses >"$TMP/asked" 2>&1
asked() { sed -n "s/^$1 //p" "$TMP/asked"; }
for how in SIOCGIFADDR SIOCGIFCONF gethostbyname getaddrinfo getsockname; do
	is "$how tells P" "$(asked $how)" "$P"
done
is "an IPv6 socket has it mapped" "$(asked mapped)" "::ffff:$P ::ffff:$PEER_IP"
check "getifaddrs tells P, and not the LAN's" grep -qE "^getifaddrs ($P *)+\$" "$TMP/asked"
is "a name that the LAN does not know is resolved at the server" "$(asked elsewhere)" 192.0.2.77

# ---- curl: three sessions, the payload unchanged
head -c 8M /dev/urandom >"$TMP/payload"
mkdir "$TMP/www" && cp "$TMP/payload" "$TMP/www/"
in_background peer web python3 -m http.server --directory "$TMP/www" 8000
within 10 listening peer tcp 8000
watch client1 <<-END
	server out ip daddr 198.51.100.10 tcp dport 443
	direct out ip daddr $PEER_IP tcp dport 8000
END
watch peer <<-END
	from_p in ip saddr $P tcp dport 8000
	other in ip saddr != $P tcp dport 8000
END
check "curl" relayed curl -sS --max-time 30 -o "$TMP/got" "http://$PEER_IP:8000/payload"
check "brings what is there" cmp "$TMP/payload" "$TMP/got"
check "by a connection of the daemon's to the server" counter_above client1 server 10
is "and none to the peer" "$(counter client1 direct)" 0
check "which is called from P" counter_above peer from_p 10
is "and from nowhere else" "$(counter peer other)" 0
check "curl says who refuses" sh -c "! '$LAB' exec client1 -- pubaddr exec --relay -- curl -sS http://$PEER_IP:7999/ 2>&1 | grep -v 'onnect'"

# ---- FTP with PORT: the server calls P back
check "lftp in active mode" relayed timeout 60 lftp -c "set ftp:passive-mode off; set net:max-retries 1; set net:timeout 15; \
	get -O $TMP ftp://$PEER_IP/hello.txt"
check "brings the server's file" grep -q 'Hello from the peer' "$TMP/hello.txt"
numbers=${P//./,}
check "the server read P" grep -qE "FTP command: Client \"$P\", \"(PORT $numbers,|EPRT \|1\|$P\|)" "/run/pubaddr-lab/$PUBADDR_LAB/hosts/peer/run/vsftpd.log"

# ---- ssh, scp
ssh-keygen -q -t ed25519 -N '' -f "$TMP/host" && ssh-keygen -q -t ed25519 -N '' -f "$TMP/key"
cat >"$TMP/sshd_config" <<-END
	ListenAddress $PEER_IP
	HostKey $TMP/host
	AuthorizedKeysFile $TMP/key.pub
	StrictModes no
	UsePAM no
	PermitRootLogin prohibit-password
	PidFile none
	Subsystem sftp internal-sftp
END
cat >"$TMP/ssh_config" <<-END
	IdentityFile $TMP/key
	BatchMode yes
	StrictHostKeyChecking no
	UserKnownHostsFile /dev/null
	LogLevel ERROR
END
on peer sh -c 'mkdir -p /run/sshd; sed -i "s/^root:[^:]*:/root:*:/" /etc/shadow'
in_background peer sshd /usr/sbin/sshd -D -e -f "$TMP/sshd_config"
within 10 listening peer tcp 22
# shellcheck disable=SC2016 # the other side's variable
relayed timeout 60 ssh -F "$TMP/ssh_config" "root@$PEER_IP" 'echo $SSH_CONNECTION' >"$TMP/ssh" 2>&1
result $? "ssh" "$TMP/ssh"
check "the server sees P" grep -q "^$P [0-9]* $PEER_IP 22\$" "$TMP/ssh"
check "scp there" relayed timeout 60 scp -F "$TMP/ssh_config" "$TMP/payload" "root@$PEER_IP:$TMP/there"
check "and back" relayed timeout 60 scp -F "$TMP/ssh_config" "root@$PEER_IP:$TMP/there" "$TMP/back"
check "unchanged" cmp "$TMP/payload" "$TMP/back"

# ---- servers behind the NAT
relayed_in_background server python3 -u -m http.server --directory "$TMP/www" 8080
reached() { on peer curl -sS --max-time 30 -o "$TMP/got2" "http://$P:8080/payload"; }
eventually 20 "python3 -m http.server is reached at P" reached
check "and gives what it has" cmp "$TMP/payload" "$TMP/got2"
check "to the peer, as it sees" grep -q "^$PEER_IP " "$TMP/server"

# ---- netcat: calling and being called, TCP and UDP
in_background peer nc_tcp timeout 30 nc -4 -l 7110
within 10 listening peer tcp 7110
check "nc calls by TCP" relayed sh -c "echo from the client | timeout 20 nc -4 -N -w 10 $PEER_IP 7110"
eventually 10 "and is heard" grep -q 'from the client' "$TMP/nc_tcp"
relayed_in_background nc_called timeout 60 nc -4 -l 7111
call_nc() { echo from the peer | on peer timeout 5 nc -4 -N -w 3 "$P" 7111; }
within 20 call_nc
eventually 10 "nc is called by TCP" grep -q 'from the peer' "$TMP/nc_called"
in_background peer nc_udp timeout 60 nc -4 -u -l 7112
within 10 listening peer udp 7112
relayed sh -c "echo a datagram | timeout 10 nc -4 -u -w 2 $PEER_IP 7112" >"$TMP/nc_out" 2>&1
eventually 10 "nc sends by UDP" grep -q 'a datagram' "$TMP/nc_udp"
relayed_in_background nc_udp_called timeout 60 nc -4 -u -l 7113
send_nc() { echo unasked | on peer timeout 3 nc -4 -u -w 1 "$P" 7113 && grep -q unasked "$TMP/nc_udp_called"; }
eventually 20 "nc gets datagrams unasked" send_nc

# ---- SIP: its media is for another test, for it is not the relay's
cp "$HERE"/sip/*.xml "$TMP/"
sed -i '/play_pcap_audio/d' "$TMP/caller.xml" "$TMP/called.xml"
phone() { # phone t1|u1 SCENARIO REMOTE RUNNER...
	(cd "$TMP" && "${@:4}" timeout 40 sipp -sf "$2.xml" -m 1 -t "$1" -p 5060 -mp 16000 -nostdin -trace_msg -message_file "$TMP/$2.$1" "$3")
}
sip() { # sip t1|u1 out|in
	local called rc=0 how=udp
	[ "$1" = u1 ] || how=tcp
	rm -f "$TMP"/call*."$1"
	if [ "$2" = out ]; then
		phone "$1" called "$P" on peer >"$TMP/called.out" 2>&1 &
		called=$!
		within 10 listening peer "$how" 5060 || rc=1
		phone "$1" caller "$PEER_IP" relayed >"$TMP/caller.out" 2>&1 || rc=1
	else
		phone "$1" called "$PEER_IP" relayed >"$TMP/called.out" 2>&1 &
		called=$!
		within 20 relay_has "$how" 5060 || rc=1
		phone "$1" caller "$P" on peer >"$TMP/caller.out" 2>&1 || rc=1
	fi
	wait "$called" || rc=1
	[ "$rc" = 0 ] || tail -n 15 "$TMP/caller.out" "$TMP/called.out"
	return "$rc"
}
relay_has() { on gateway ss -Hln "--$1" "src = $P:$2" | grep -q .; }
for t in t1 u1; do
	check "sipp ($t) calls the peer" sip $t out
	check "with P in its SDP" grep -q "^c=IN IP4 $P" "$TMP/called.$t"
	check "sipp ($t) is called at P" sip $t in
	check "and answers with P" grep -q "^c=IN IP4 $P" "$TMP/caller.$t"
done

# ---- Java: RMI calls back what it is told
echo "$PEER_IP peer" | on peer tee -a /etc/hosts >/dev/null
javac -d "$TMP/classes" "$HERE/../apps/Peer.java"
in_background peer rmi timeout 900 java -Xmx64m -cp "$TMP/classes" Peer server
within 60 listening peer tcp 1099
relayed timeout 90 java -Xmx64m -cp "$TMP/classes" Peer client "$PEER_IP" >"$TMP/rmi_client" 2>&1
check "Java RMI: the server calls back by the address that Java told" grep -q '^called back by server$' "$TMP/rmi_client"

# ---- programs with another's rights are left alone
name=$PROBE/tunnel_tool
cp "$name" "$TMP/setuid" && chmod 4755 "$TMP/setuid" && chmod 711 "$TMP"
on client1 sed -i 's|{|{ "exec": {"users": ["nobody"]},|' /etc/pubaddr/tunneld.conf
"$LAB" stop client1.tunneld && "$LAB" start client1.tunneld
as_nobody() { on client1 setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
nobody_has_p() { [ "$(as_nobody pubaddr exec --relay -- "$TMP/plain" name tcp "$PEER_IP" 8000)" = "$P" ]; }
cp "$name" "$TMP/plain" && chmod 755 "$TMP/plain"
eventually 20 "a user who is permitted has P" nobody_has_p
# Where no UDP passes the tunnel goes by the relay too, and P is the host's own: whose calls the server makes is what tells them apart.
calls() { grep -c ' relay\.call ' "$TMP/relayd"; }
calls_by() { # calls_by COMMAND...: made by the server while it runs; "failed" if it does
	local before
	before=$(calls)
	as_nobody "$@" name tcp "$PEER_IP" 8000 >/dev/null || { echo failed && return; }
	echo $(($(calls) - before))
}
is "his program calls by the relay" "$(calls_by pubaddr exec --relay -- "$TMP/plain")" 1
is "a set-user-ID program of his does not" "$(calls_by pubaddr exec --relay -- "$TMP/setuid")" 0
on client1 find /usr -name libpubaddr_preload.so | head -n 1 | on client1 tee /etc/ld.so.preload >/dev/null
is "even where the library is loaded into everything" "$(calls_by env PUBADDR_RELAY=/run/pubaddr/relay-eth0.sock "$TMP/setuid")" 0
is "as it is then into his own" "$(calls_by env PUBADDR_RELAY=/run/pubaddr/relay-eth0.sock "$TMP/plain")" 1
on client1 rm /etc/ld.so.preload
check "no private or foreign source on the Internet" no_leaks
[ "$TAP_BAD" = 0 ] || tail -n 20 "$TMP/relayd" | note
done_testing
