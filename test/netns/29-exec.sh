#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# pubaddr exec: one program uses P while the host keeps its ordinary routes, by control group and in a network namespace: stock
# programs, a statically linked one, children and daemons; for the users that the configuration names, and with no right more.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat curl setpriv python3 script strace

LOG=/run/pubaddr-lab/$PUBADDR_LAB/log/client1.tunneld
STATIC=$(readlink -f "${PUBADDR_BUILD:-$HERE/../..}/test/netns/static_tool")
[ -x "$STATIC" ] || skip_all "needs the test programs: make check"
lab_up
P=$CLIENT_PUBLIC_IP
stays_PID='' server_PID='' marked_PID='' # set by in_background
NATTED=198.51.100.2 # the NAT's address: what the peer sees of the host's own traffic

on client1 sh -c 'echo "alice:x:4001:4001::/run:/bin/sh" >>/etc/passwd; echo "voip:x:4002:" >>/etc/group; mkdir /run/alice; chown 4001 /run/alice'
as() { # as UID GROUPS COMMAND...
	local uid=$1 groups=$2
	shift 2
	on client1 setpriv --reuid="$uid" --regid="$uid" --groups="$groups" env HOME=/run "$@"
}
alice() { as 4001 4001 "$@"; }
px() { alice pubaddr exec -- "$@"; }          # by control group
pn() { alice pubaddr exec --netns -- "$@"; }  # in a namespace
configure() { # configure SETTINGS
	on client1 tee /etc/pubaddr/tunneld.conf >/dev/null <<<"{ \"allow-documentation\": true, $1 }"
	"$LAB" stop client1.tunneld
	"$LAB" start client1.tunneld
	within 20 on client1 pubaddr status >/dev/null 2>&1
}
routes() { on client1 ip -4 route show table main; }
host_uses() { on client1 socat -u "TCP4:$PEER_IP:7001" -; }

in_background peer echo socat TCP4-LISTEN:7001,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
in_background peer udp socat UDP4-RECVFROM:7001,fork 'SYSTEM:echo $SOCAT_PEERADDR'
within 5 listening peer tcp 7001
within 5 listening peer udp 7001
routes >"$TMP/routes"

# ---- who may

check "by default another user may not" not px true
check "and is told why" sh -c "'$LAB' exec client1 -- setpriv --reuid=4001 --clear-groups pubaddr exec true 2>&1 | grep -q '\"exec\" in tunneld.conf'"
configure '"outbound": "policy", "exec": {"users": ["alice"], "groups": ["voip"]}'
check "whom the configuration names may" px true
check "so may a member of a named group" as 4003 4002 pubaddr exec -- true
check "others may not" not as 4003 4003 pubaddr exec -- true
check "nor in a namespace" not as 4003 4003 pubaddr exec --netns -- true
check "the refusal is logged with who it was" grep -q 'exec.refused uid=4003 ' "$LOG"

# ---- the host itself keeps its ordinary way

is "mode policy: the host's traffic is the NAT's" "$(host_uses)" "$NATTED"
is "what is bound to P is P's" "$(on client1 socat -u "TCP4:$PEER_IP:7001,bind=$P" -)" "$P"

# ---- by control group

is "curl: its own address is P" "$(px curl -sS -o /dev/null -w '%{local_ip}' "ftp://$PEER_IP/hello.txt")" "$P"
is "the peer sees P" "$(px socat -u "TCP4:$PEER_IP:7001" -)" "$P"
udp_seen() { [ "$(echo | px socat -t3 - "UDP4:$PEER_IP:7001")" = "$1" ]; } # a busy machine may answer late
eventually 20 "over UDP too" udp_seen "$P"
is "a static program: getsockname, and the peer" "$(px "$STATIC" "$PEER_IP" 7001 | paste -sd' ')" "$P $P"
is "Python" "$(px python3 -c "import socket; s = socket.create_connection(('$PEER_IP', 7001)); print(s.getsockname()[0])")" "$P"
is "active FTP from it" "$(px curl -sS --ftp-port - "ftp://$PEER_IP/hello.txt" | grep -c 'Hello from the peer')" 1
is "a child of a child" "$(px sh -c "sh -c 'socat -u TCP4:$PEER_IP:7001 -' & wait")" "$P"
is "at the same time the host's is the NAT's" "$(host_uses)" "$NATTED"
is "the LAN stays on the LAN: the source there is the private address" \
	"$(px python3 -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('10.77.0.2', 53)); print(s.getsockname()[0])")" \
	"$CLIENT_PRIVATE_IP"
check "the resolver on the LAN answers it" px getent ahostsv4 dhcp.lab.test
px "$STATIC" daemon 7102 /run/alice/daemon.pid
check "a daemon that detached from it" within 5 listening client1 tcp 7102
is "is reached at P" "$(on peer socat -u "TCP4:$P:7102" -)" "$P"
daemon=$(on client1 cat /run/alice/daemon.pid)

# ---- what the program has, and has not

px sh -c 'cat /proc/self/status; ls /proc/self/fd | sort -n | paste -sd" "' >"$TMP/has" 2>&1
is "no capability, to have or to pass on" "$(grep -cE '^Cap(Inh|Prm|Eff|Amb):.0*$' "$TMP/has")" 4
check "and no way to one" grep -q '^NoNewPrivs:.1$' "$TMP/has"
is "descriptors 0, 1, 2, and the one of ls" "$(tail -n 1 "$TMP/has")" "0 1 2 3"
is "its uid and groups are the caller's" "$(as 4003 4002,4009 pubaddr exec -- id -u -G 2>/dev/null || as 4003 4002,4009 pubaddr exec -- sh -c 'echo $(id -u) $(id -G)')" "4003 4003 4002 4009"
on client1 sh -c 'exec 7</etc/passwd; exec pubaddr exec -- sh -c "ls /proc/self/fd; grep Cap /proc/self/status"' >"$TMP/root" 2>&1
check "root's programs have none either" sh -c "[ \$(grep -cE '^Cap(Inh|Prm|Eff|Amb):.0*\$' '$TMP/root') = 4 ] && ! grep -qx 7 '$TMP/root'"
is "the environment is the caller's" "$(alice env -i A=1 PATH="$PATH" pubaddr exec -- env | grep -v '^PATH\|^_\|^PWD\|^SHLVL\|^OLDPWD' | paste -sd' ')" "A=1"
px sh -c 'exit 7'
is "the exit status is the program's" $? 7
px sh -c 'kill -TERM $$'
is "a signal's too" $? 143
px /nonexistent/program 2>/dev/null
is "127 for a program that is not there" $? 127
px /etc/passwd 2>/dev/null
is "126 for one that cannot be run" $? 126
is "standard input and output pass" "$(echo hello | px tr a-z A-Z)" HELLO
is "it has the caller's terminal" "$(on client1 script -qec "pubaddr exec -- sh -c 'test -t 0 && ps -o stat= -p \$\$ | grep -c +'" /dev/null </dev/null | tr -d '\r')" 1
check "no file of the daemon is open in it, no socket of ours" not sh -c "'$LAB' exec client1 -- ls -l /proc/$daemon/fd | grep -E 'pubaddr|tun$'"

# ---- a process id that another process has got meanwhile

on client1 "$STATIC" reuse /run/pubaddr/tunneld-eth0.sock >"$TMP/reuse" 2>&1
case $? in
77) note <<<"this kernel lets nobody choose a process id" ;;
*)
	check "who connected has ended, and another process has its number: refused" grep -q '"result": *1' "$TMP/reuse"
	check "and that one stays where it is" not grep -q '^0::.*pubaddr-pub0' "$TMP/reuse"
	;;
esac

# ---- a control group that was delegated to the user, as a desktop's are: he makes the child himself

group=/sys/fs/cgroup/alice-$$
# shellcheck disable=SC2016 # for the other shell
on client1 sh -c 'mkdir "$1" && chown -R 4001 "$1" && echo $$ >"$1/cgroup.procs" && exec setpriv --reuid=4001 --regid=4001 \
	--clear-groups pubaddr exec -- sh -c "cat /proc/self/cgroup; $2 $3 7001"' sh "$group" "$STATIC" "$PEER_IP" >"$TMP/delegated" 2>&1
check "in a delegated group it is in a child of that" grep -q "^0::.*/alice-$$/pubaddr-pub0-[0-9]*\$" "$TMP/delegated"
is "and uses P" "$(tail -n 2 "$TMP/delegated" | paste -sd' ')" "$P $P"
on client1 sh -c "rmdir $group/pubaddr-* $group"

# ---- the daemon dies, comes back, is stopped

"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
within 20 on client1 pubaddr status >/dev/null 2>&1
is "after a crash of the daemon, its programs are reached" "$(on peer socat -T5 -u "TCP4:$P:7102" -)" "$P"
is "and new ones served" "$(px socat -u "TCP4:$PEER_IP:7001" -)" "$P"
in_background client1 stays pubaddr exec -- sh -c "while sleep 0.3; do socat -T2 -u TCP4:$PEER_IP:7001,connect-timeout=2 -; done"
eventually 5 "a program runs on" grep -qx "$P" "$TMP/stays"
kill -TERM "$(cat "/run/pubaddr-lab/$PUBADDR_LAB/pids/client1.tunneld")"
eventually 10 "the daemon is stopped: the program goes on, by plain NAT" sh -c "tail -n 1 '$TMP/stays' | grep -qx '$NATTED'"
routes >"$TMP/routes.stopped"
check "the host's routes are as before" cmp "$TMP/routes" "$TMP/routes.stopped"
check "pubaddr exec says that there is no daemon" not px true
rm -f "/run/pubaddr-lab/$PUBADDR_LAB/pids/client1.tunneld"
"$LAB" start client1.tunneld
eventually 20 "it is started again: the program has P again" sh -c "tail -n 1 '$TMP/stays' | grep -qx '$P'"

# ---- in a network namespace

[ "$(on client1 sysctl -n user.max_user_namespaces)" -gt 0 ] || note <<<"no user namespaces here"
# Programs in control groups must not use another address while a namespace has P, nor when it has just ended.
in_background client1 marked pubaddr exec -- sh -c "while sleep 0.05; do socat -T2 -u TCP4:$PEER_IP:7001,connect-timeout=2 - 2>&1; done"
eventually 5 "a program by control group uses P" grep -qx "$P" "$TMP/marked"
for _ in 1 2 3; do
	pn sh -c 'sleep 0.4'
	px socat -u "TCP4:$PEER_IP:7001" - >>"$TMP/at_once" 2>&1 # before the daemon has heard of the end by itself
done
is "programs that are started as soon as a namespace has ended use P" "$(sort -u "$TMP/at_once")" "$P"
check "those of before had no way meanwhile" grep -qi 'no route to host\|unreachable' "$TMP/marked"
check "and never used another address" not grep -qx "$NATTED" "$TMP/marked"
: >"$TMP/marked"
eventually 10 "now they use P again" grep -qx "$P" "$TMP/marked"
kill "$marked_PID" 2>/dev/null

is "getifaddrs lists P and loopback, nothing else" "$(pn "$STATIC" addresses | sort | paste -sd' ')" "127.0.0.1 $P"
eventually 5 "afterwards the host has P again" sh -c "'$LAB' exec client1 -- ip route get $P | grep -q '^local'"
is "curl: its own address is P" "$(pn curl -sS -o /dev/null -w '%{local_ip}' "ftp://$PEER_IP/hello.txt")" "$P"
again() { within 5 sh -c "! '$LAB' exec client1 -- ip link show dev pub0-ns >/dev/null 2>&1" && within 5 sh -c "'$LAB' exec client1 -- ip route get $P | grep -q '^local'"; }
again
is "a static program: getsockname, and the peer" "$(pn "$STATIC" "$PEER_IP" 7001 | paste -sd' ')" "$P $P"
again
pn sh -c 'cat /proc/self/status; ls /proc/self/fd | sort -n | paste -sd" "; id -u; ip -4 route show' >"$TMP/has" 2>&1
is "no capability, to have or to pass on" "$(grep -cE '^Cap(Inh|Prm|Eff|Amb):.0*$' "$TMP/has")" 4
check "and no way to one" grep -q '^NoNewPrivs:.1$' "$TMP/has"
check "descriptors 0, 1, 2, and the one of ls" grep -qx "0 1 2 3" "$TMP/has"
check "he is himself" grep -qx 4001 "$TMP/has"
check "his only route is by P" grep -q "^default dev pub0 .*src $P" "$TMP/has"
again
pn ping -c1 -W3 "$PEER_IP" >"$TMP/ping" 2>&1
is "ping works in it without a capability" $? 0
again
# The path narrows: what is too large for it the host tells the namespace, and programs cut up what they send.
mtu=$(on client1 cat /sys/class/net/pub0/mtu)
mkfifo "$TMP/go"
: >"$TMP/narrowed"
pn sh -c "ip -o link show pub0; read -r go; ping -c2 -i0.2 -W3 -M do -s 1372 $PEER_IP; ping -c1 -W3 -M want -s 1372 $PEER_IP" \
	<"$TMP/go" >"$TMP/narrowed" 2>&1 &
narrowed_PID=$!
exec 7>"$TMP/go"
within 5 grep -q ' mtu ' "$TMP/narrowed"
on client1 ip link set pub0 mtu 1300
echo go >&7
wait $narrowed_PID
exec 7>&-
check "the largest that the path may have counts there" grep -q " mtu $mtu " "$TMP/narrowed"
check "what is larger than the path's is answered" grep -q 'mtu *= *1300' "$TMP/narrowed"
check "and gets through in pieces" sh -c "tail -n 4 '$TMP/narrowed' | grep -q '1 received'"
on client1 ip link set pub0 mtu "$mtu"
again
in_background client1 server setpriv --reuid=4001 --regid=4001 --groups=4001 pubaddr exec --netns -- socat TCP4-LISTEN:7103,fork,reuseaddr 'SYSTEM:echo $SOCAT_SOCKADDR; socat -u TCP4\:'"$PEER_IP"'\:7001 -'
eventually 5 "a server in it is reached at P, and its child asks by P" \
	sh -c "'$LAB' exec peer -- socat -T5 -u TCP4:$P:7103,connect-timeout=2 - | paste -sd' ' | grep -qx '$P $P'"
check "ping from outside is answered by it" on peer ping -c1 -W3 "$P"
is "at the same time the host's is the NAT's" "$(host_uses)" "$NATTED"
routes | grep -v "^$P dev pub0-ns" >"$TMP/routes.ns"
check "and its routes are as before" cmp "$TMP/routes" "$TMP/routes.ns"
check "a second namespace is refused" sh -c "! '$LAB' exec client1 -- pubaddr exec --netns -- true 2>'$TMP/second'"
check "with the reason" grep -q 'another network namespace has the public address' "$TMP/second"
check "so is one by control group" not px true
"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
within 20 on client1 pubaddr status >/dev/null 2>&1
is "after a crash of the daemon it is reached" "$(on peer socat -T5 -u "TCP4:$P:7103" - | paste -sd' ')" "$P $P"

# The user is master of that namespace: he can send what he likes into it. Nothing but P comes out, and nothing gets to the LAN.
inside=$(on client1 pgrep -u 4001 -f 'TCP4-LISTEN:7103' | head -n 1)
watch client1 <<-END
	spoofed out oifname "eth0" ip saddr 10.77.0.99
	tolan out oifname "eth0" ip daddr 10.77.0.2
	tunnelled out oifname "pub0" ip saddr 10.77.0.99
END
on client1 nsenter -t "$inside" -n sh -c "ip addr add 10.77.0.99/32 dev pub0; ping -c2 -i0.2 -W1 -I 10.77.0.99 10.77.0.2; ping -c2 -i0.2 -W1 -I 10.77.0.99 $PEER_IP; ip addr show dev pub0" >"$TMP/spoof" 2>&1
check "he has given himself another address there" grep -q '10.77.0.99/32' "$TMP/spoof"
is "which reaches neither the LAN" "$(counter client1 spoofed)" 0
is "nor the tunnel" "$(counter client1 tunnelled)" 0

configure '"outbound": "policy", "inbound": "closed", "exec": {"users": ["alice"]}'
check "a closed host is closed for the namespace too" not on peer socat -T3 -u "TCP4:$P:7103,connect-timeout=3" -
kill "$server_PID" 2>/dev/null
on client1 kill "$inside"
again
is "answers come in to a namespace on a closed host" "$(pn socat -u "TCP4:$PEER_IP:7001" -)" "$P"
again
# The mode changes before the daemon has heard that the namespace ended: P comes to the LAN's interface first, and to ours beside it.
pn true
check "the outbound mode changes as soon as a namespace has ended" \
	on client1 timeout 10 sh -c 'until pubaddr mode auto >/dev/null 2>&1; do :; done'
check "and once more, to the one that needs P on our interface" on client1 pubaddr mode tunnel
is "the host uses P" "$(host_uses)" "$P"
check "back to the configuration's" on client1 pubaddr mode default
again
configure '"outbound": "tunnel", "exec": {"users": ["alice"]}'
check "where the host itself uses P, there is no namespace for it" sh -c "! '$LAB' exec client1 -- pubaddr exec --netns -- true 2>'$TMP/mode'"
check "with the reason" grep -q 'outbound mode \\"policy\\"\|outbound mode "policy"' "$TMP/mode"

# ---- the end

kill "$stays_PID" 2>/dev/null
on client1 kill "$daemon" 2>/dev/null
check "no private or foreign source on the Internet" no_leaks
check "no error in the daemon's log" not grep -E ' ERROR |tunnel.failed|daemon.killed' "$LOG"
check "the lease ends" "$LAB" release client1
eventually 10 "and no interface of ours is left" not on client1 sh -c 'ip -o link | grep pub0'
done_testing
