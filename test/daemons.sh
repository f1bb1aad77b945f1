#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Every daemon started with something wrong, as TAP: it exits with 1 or 2, says in one line what is wrong, where (file, line,
# key) and what helps, and leaves nothing behind: no file, no process, no interface, no route. Needs root.
set -u
. "${top_srcdir:?}/test/daemons-net.sh"

state() {
	find "$d" -printf '%p %M %U %s %l\n' | sort
	in_ns ip -o link show
	in_ns ip -o addr show
	in_ns ip route show table all
	in_ns ip rule show
}

# bad NAME CODE PATTERN WHAT [AS...]: starts the daemon by AS and looks at what it does.
bad() {
	name=$1 code=$2 pattern=$3 what=$4
	shift 4
	state >"$dir/before"
	# shellcheck disable=SC2046 # words are wanted
	in_ns timeout -k 5 10 "$@" $(daemon "$name") >"$dir/out" 2>&1
	rc=$?
	state >"$dir/after"
	[ $rc -eq "$code" ] && [ "$(wc -l <"$dir/out")" -eq 1 ] && grep -qE "$pattern" "$dir/out" &&
		cmp -s "$dir/before" "$dir/after"
	good=$?
	ok $good "$name: $what"
	[ $good -eq 0 ] || { echo "# exit code $rc, wanted $code and: $pattern" && sed 's/^/# /' "$dir/out" &&
		diff "$dir/before" "$dir/after" | sed 's/^/# /'; }
}
nobody() { bad "$1" "$2" "$3" "$4" setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all; }

# ---- configuration ----
for name in brokerd gatewayd relayd tunneld; do
	fresh && rm "$d/$name.conf"
	bad $name 2 "$d/$name.conf: cannot open: No such file" 'no configuration'
	fresh && edit $name '2s/,$//'
	bad $name 2 "$d/$name.conf:3: " 'a syntax error: file and line'
	fresh && edit $name '2s/^/"no-such-key": 1,/'
	bad $name 2 "$d/$name.conf:2: no-such-key: " 'an unknown member: file, line, key'
	fresh && edit $name '2s/^/"log-level": "loud",/'
	bad $name 2 "$d/$name.conf:2: log-level: expected .*got .*loud" 'an impossible value: what is expected'
	fresh && : >"$d/$name.conf"
	bad $name 2 "$d/$name.conf:1: " 'an empty file'
done
fresh && edit brokerd 's|203.0.113.128/25|203.0.113.64/26|'
bad brokerd 2 'brokerd.conf:9: pools\[1\].prefix: overlaps 203.0.113.0/25 of pool .{1,2}one.{1,2}; an address may be in one pool only' 'overlapping pools'
fresh && edit gatewayd 's|203.0.113.128/25|203.0.113.64/26|'
bad gatewayd 2 'gatewayd.conf:8: pools\[1\].prefix: overlaps' 'overlapping pools'
fresh && sed -i '/"relay"/,/^  }/d; s/\("state-file".*\),$/\1/' "$d/relayd.conf"
bad relayd 2 'relayd.conf:1: relay: is missing' 'no section of its own'
fresh && edit relayd '/"relay"/,$s|\["198.51.100.10:443"\]|[]|'
bad relayd 2 'relayd.conf:13: relay.listen: is empty; name at least one address' 'nowhere to listen'
fresh && edit relayd 's|"max-clients": 100|"key": "/k"|'
bad relayd 2 'relayd.conf:1[0-9]: relay: has only one of certificate and key; give both, or neither' 'a key without a certificate'
fresh && edit relayd '/"relay"/,$s|198.51.100.10:443|not-an-address|'
bad relayd 2 'relayd.conf:13: relay.listen.*: expected an address with a port' 'an address that is none'
fresh && edit brokerd '2s|^|"socket-group": "nosuchgroup",|'
bad brokerd 2 'brokerd.conf:2: socket-group: no group .{1,2}nosuchgroup.{1,2} on this machine; make it' 'a group that is not there'
fresh && edit brokerd '2s|^|"socket-users": ["root", "nosuchuser"],|'
bad brokerd 2 'brokerd.conf:2: socket-users\[1\]: no user .{1,2}nosuchuser.{1,2} on this machine; leave it out' 'a user that is not there'

# ---- keys ----
fresh && rm "$d/master.key"
bad brokerd 2 "brokerd.conf:4: master-key-file: $d/master.key: cannot open: .*'pubaddrctl key new' makes one" 'no key'
fresh && chmod 644 "$d/master.key"
bad brokerd 2 "brokerd.conf:4: master-key-file: $d/master.key: .*others can access it .*run: chmod 600 $d/master.key" 'a key that others can read'
fresh && chown 65534 "$d/master.key"
bad brokerd 2 "brokerd.conf:4: master-key-file: $d/master.key: .*belongs to uid 65534" "somebody else's key"
fresh && echo 'master 2 12' >>"$d/master.key"
bad brokerd 2 "$d/master.key:2: the key must be 64 hexadecimal digits" 'a broken key: file and line'
fresh && cp "$d/gateway.key" "$d/master.key"
bad brokerd 2 "master.key: holds no master key; 'pubaddrctl key new' makes one" 'a file with other keys'
fresh && rm "$d/gateway.key"
bad gatewayd 2 "gatewayd.conf:5: key-file: $d/gateway.key: cannot open: .*'pubaddrctl key new-gateway' makes one" 'no key'
fresh && chmod 604 "$d/gateway.key"
bad gatewayd 2 "gatewayd.conf:5: key-file: $d/gateway.key: .*run: chmod 600 $d/gateway.key" 'a key that others can read'
fresh && sed -i 1d "$d/gateway.key"
bad gatewayd 2 "gatewayd.conf:5: key-file: $d/gateway.key: has no gateway key; make one" 'no key of its own'
fresh && sed -i '/^pool/d' "$d/gateway.key"
"$bin_t/pubaddr-gatewayd" -t -c "$d/gatewayd.conf" >"$dir/out" 2>&1 &&
	grep -q ' config.keyless pool=[0-9]* .*pubaddrctl key pool' "$dir/out" && grep -q 'a pool has no key yet$' "$dir/out"
ok $? 'gatewayd -t: tells a pool without a key'
fresh && rm "$d/gateway.key"
bad relayd 2 "relayd.conf:5: key-file: $d/gateway.key: cannot open: .*'pubaddrctl key new-gateway' makes one" 'no key'
fresh && edit relayd "s|\"max-clients\": 100|\"certificate\": \"$d/none.crt\", \"key\": \"$d/none.key\"|"
bad relayd 2 "relayd.conf:12: relay: $d/none.crt: cannot use this certificate: No such file or directory" 'no certificate'
"$bin_r/pubaddr-relayd" -t -c "$d/relayd.conf" >"$dir/out" 2>&1
test $? -eq 2 && grep -q "relay: $d/none.crt: cannot use this certificate" "$dir/out"
ok $? 'relayd -t: tells it, too'
fresh && chmod 640 "$d/client.key"
bad tunneld 2 "tunneld.conf:3: key-file: $d/client.key: .*run: chmod 600 $d/client.key" 'a key that others can read'
fresh && cp "$d/gateway.key" "$d/client.key"
bad tunneld 2 "tunneld.conf:3: key-file: $d/client.key: holds no client key; move it away" 'a file with other keys'
fresh && edit tunneld "s|\"table\": 6080|\"relay\": {\"name\": \"r.example\", \"ca\": \"$d/none.crt\"}|"
bad tunneld 2 "tunneld.conf:6: relay.ca: $d/none.crt: cannot use these certificates of an authority: No such file or directory" 'no authority'
"$bin_t/pubaddr-tunneld" -t -i eth0 -c "$d/tunneld.conf" >"$dir/out" 2>&1
test $? -eq 2 && grep -q "relay.ca: $d/none.crt: cannot use these certificates" "$dir/out"
ok $? 'tunneld -t: tells it, too'

# ---- what is taken ----
fresh && start brokerd "$d/run/broker.sock"
edit brokerd 's|broker.db|other.db|'
bad brokerd 1 "brokerd.conf:2: socket: $d/run/broker.sock: another process already serves this socket; stop it first" 'its socket is taken'
edit brokerd 's|other.db|broker.db|; s|broker.sock|other.sock|'
bad brokerd 1 "brokerd.conf:3: database: $d/state/broker.db: .*another process has it open: stop the other broker" 'its database is taken'
stop_all
fresh && start gatewayd "$d/run/gateway.sock"
bad gatewayd 1 "gatewayd.conf:10: control-socket: $d/run/gateway.sock: another process already serves this socket" 'its command socket is taken'
edit gatewayd 's|gateway.sock|other.sock|'
bad gatewayd 1 'gatewayd.conf:3: device: pubgw0: another process .* holds this interface; stop it or choose' 'its device is taken'
edit gatewayd 's|pubgw0|pubgw1|; /device-address/s|198.51.100.10|198.51.100.11|; s|203.0.113|203.0.112|'
bad gatewayd 1 'gatewayd.conf:2: listen\[0\]: UDP 198.51.100.10:6080: cannot bind: .*stop the process that has it' 'its port is taken'
stop_all
fresh && start relayd "$d/run/relay.sock"
bad relayd 1 "relayd.conf:12: relay: $d/run/relay.sock: another process already serves this socket" 'its command socket is taken'
stop_all
fresh
ip netns exec "$ns" socat TCP-LISTEN:443,bind=198.51.100.10 - >/dev/null 2>&1 </dev/null & squatter=$!
pids="$pids $squatter"
tries=0
until in_ns ss -Hltn 'sport = 443' | grep -q . || [ $tries -gt 100 ]; do tries=$((tries + 1)) && sleep 0.1; done
bad relayd 1 'relayd.conf:13: relay.listen\[0\]: cannot listen: .*stop the process that has the port' 'its port is taken'
kill $squatter
wait $squatter
pids=
fresh && edit relayd '/"relay"/,$s|198.51.100.10|198.51.100.99|'
bad relayd 1 'relayd.conf:13: relay.listen\[0\]: .*it must be an address of this host' "an address of another host"
fresh && edit relayd 's|"max-sessions": 1000|"max-sessions": 9000|'
bad relayd 1 'relayd.conf:12: relay: max-clients 100 and max-sessions 9000 need 9684 file descriptors, the limit is 4000; raise it .*or lower them' \
	'not enough file descriptors' prlimit --nofile=4000:4000 setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource
fresh && edit gatewayd '2s|198.51.100.10|198.51.100.99|'
bad gatewayd 1 'gatewayd.conf:2: listen\[0\]: .*it must be an address of this host' "an address of another host"
fresh && in_ns ip route add 203.0.113.0/25 dev far0
bad gatewayd 1 'gatewayd.conf:7: pools\[0\]: cannot route 203.0.113.0/25 .*remove the other route' 'its pool is routed elsewhere'
in_ns ip route del 203.0.113.0/25
fresh && start tunneld "$d/run/tunneld-eth0.sock"
bad tunneld 1 "tunneld.conf:5: run-dir: $d/run/tunneld-eth0.sock: another process already serves this socket" 'its interface has a daemon'
stop_all
fresh && iface=eth9 bad tunneld 1 'eth9: no such interface; -i names the one towards the NAT' 'no such interface'
fresh && echo x >"$d/state/broker.db" && chmod 600 "$d/state/broker.db"
bad brokerd 1 "brokerd.conf:3: database: $d/state/broker.db: .*not a database; stop the broker, move the file away and restore a backup" 'a damaged database'
fresh && edit brokerd "s|state/broker.db|master.key/broker.db|"
bad brokerd 1 "brokerd.conf:3: database: $d/master.key: exists and is not a folder; remove it" 'a folder that is none'
fresh && echo x >"$d/run/broker.sock"
bad brokerd 1 "brokerd.conf:2: socket: $d/run/broker.sock: exists and is not a socket; remove it" 'a file in its place'

# ---- no privilege ----
fresh
nobody brokerd 2 "brokerd.conf:4: master-key-file: $d/master.key: cannot open: Permission denied; start as root" 'may not read the key'
fresh && chown 65534 "$d/master.key"
nobody brokerd 1 "brokerd.conf:2: socket: $d/run/broker.sock: cannot bind: Permission denied; start as root" 'may not make the socket'
fresh && chown 65534 "$d/master.key" "$d/run"
nobody brokerd 1 "brokerd.conf:3: database: $d/state/broker.db: .*the broker's user must be able to write" 'may not make the database'
fresh && chown 65534 "$d/gateway.key" "$d/run"
nobody gatewayd 1 'gatewayd.conf:3: device: .*it needs CAP_NET_ADMIN, run as root' 'may not make a device'
nobody relayd 1 'relayd.conf:12: relay: .*it needs CAP_NET_ADMIN' 'may not change the network'
fresh && chown 65534 "$d/client.key" "$d/run"
nobody tunneld 1 'it needs CAP_NET_ADMIN, run as root' 'may not change the network'
nobody tunneld 1 'it needs CAP_NET_ADMIN, run as root' 'and again, with what the first one left'

# ---- the service manager, and what is left when it gives up ----
fresh
for name in brokerd gatewayd relayd tunneld; do
	rm -f "$d/notify"
	timeout 20 socat -u "UNIX-RECV:$d/notify" "OPEN:$dir/notified,creat,trunc" &
	pids="$pids $!"
	tries=0
	until [ -S "$d/notify" ] || [ $tries -gt 100 ]; do tries=$((tries + 1)) && sleep 0.1; done
	case $name in
	tunneld) sock=tunneld-eth0 ;;
	gatewayd) sock=gateway ;;
	relayd) sock=relay ;;
	*) sock=broker ;;
	esac
	export NOTIFY_SOCKET="$d/notify"
	start $name "$d/run/$sock.sock"
	unset NOTIFY_SOCKET
	tries=0
	until grep -q READY=1 "$dir/notified" || [ $tries -gt 100 ]; do tries=$((tries + 1)) && sleep 0.1; done
	kill "$pid"
	wait "$pid"
	pids=${pids% "$pid"}
	until grep -q STOPPING=1 "$dir/notified" || [ $tries -gt 100 ]; do tries=$((tries + 1)) && sleep 0.1; done
	[ "$(cat "$dir/notified")" = READY=1STOPPING=1 ]
	ok $? "$name: tells the service manager when it serves and when it stops"
done
stop_all
fresh && state >"$dir/before"
in_ns ip tuntap add pubgw0 mode tun && in_ns ip addr add 198.51.100.77/32 dev pubgw0
in_ns "$bin_t/pubaddr-gatewayd" --cleanup -c "$d/gatewayd.conf" >"$dir/out" 2>&1
ok $? 'gatewayd --cleanup'
state >"$dir/after" && diff "$dir/before" "$dir/after"
ok $? 'removes the device'
in_ns ip rule add fwmark 6081 lookup 6081 priority 5190 protocol 224 && in_ns ip route add local default dev lo table 6081
in_ns "$bin_r/pubaddr-relayd" --cleanup -c "$d/relayd.conf" >"$dir/out" 2>&1
ok $? 'relayd --cleanup'
state >"$dir/after" && diff "$dir/before" "$dir/after"
ok $? 'removes rule and route'
in_ns ip route add 203.0.113.9/32 dev eth0 table 6080
in_ns "$bin_t/pubaddr-tunneld" --cleanup -i eth0 -c "$d/tunneld.conf" >"$dir/out" 2>&1
ok $? 'tunneld --cleanup'
state >"$dir/after" && diff "$dir/before" "$dir/after"
ok $? 'removes routes'
start tunneld "$d/run/tunneld-eth0.sock"
in_ns "$bin_t/pubaddr-tunneld" --cleanup -i eth0 -c "$d/tunneld.conf" >"$dir/out" 2>&1
[ $? -eq 1 ] && grep -q 'another process already serves this socket' "$dir/out"
ok $? 'but not while a daemon runs'
stop_all

# ---- who answers pubaddrctl ----
fresh
ctl() { "$bin_b/pubaddrctl" --socket "$d/run/$1.sock" "$2" ${3:+"$3"} >"$dir/out" 2>&1; }
for name in brokerd gatewayd relayd tunneld; do
	case $name in
	brokerd) sock=broker ;;
	tunneld) sock=tunneld-eth0 ;;
	*) sock=${name%d} ;;
	esac
	start $name "$d/run/$sock.sock"
	ctl $sock status && head -n 1 "$dir/out" | grep -q "^pubaddr-$name [0-9]" &&
		! grep -v "pubaddr-$name" "$dir/out" | grep -e pubaddr-brokerd -e '^database *$'
	ok $? "pubaddrctl status: $name says its name"
	if [ $name != brokerd ]; then
		ctl $sock pool stats
		[ $? -eq 1 ] && grep -q "pubaddrctl: pubaddr-$name has no command \"pool-stats\"" "$dir/out"
		ok $? "pubaddrctl pool stats: $name has no such command, and says who it is"
	fi
	stop_all
done
start tunneld "$d/run/tunneld-eth0.sock"
ctl relay-eth0 status
[ $? -eq 1 ] && grep -q "relay-eth0.sock: .*it is no daemon's command socket" "$dir/out"
ok $? 'pubaddrctl: a socket of programs is none of commands'
stop_all
ctl relay status
[ $? -eq 1 ] && grep -q 'is the daemon running to which this socket belongs?' "$dir/out"
ok $? 'pubaddrctl: nobody is there'

# ---- the command line ----
for cmd in "$bin_b/pubaddr-brokerd" "$bin_t/pubaddr-gatewayd" "$bin_r/pubaddr-relayd" "$bin_t/pubaddr-tunneld"; do
	"$cmd" -x >"$dir/out" 2>&1
	[ $? -eq 2 ] && grep -q '^usage: ' "$dir/out"
	ok $? "${cmd##*/}: an unknown option"
	"$cmd" extra >"$dir/out" 2>&1
	[ $? -eq 2 ] && grep -q 'unexpected argument' "$dir/out"
	ok $? "${cmd##*/}: an argument too many"
	"$cmd" -h >"$dir/out" 2>&1 && grep -q "default: /etc/pubaddr/$(echo "${cmd##*/}" | sed 's/.*-//; s/relayd/gatewayd/')\.conf" "$dir/out"
	ok $? "${cmd##*/}: -h tells the default configuration"
done
"$bin_t/pubaddr-tunneld" -h | grep -q 'tunneld-IFACE\.conf'
ok $? 'and pubaddr-tunneld the one of its interface'
"$bin_t/pubaddr-tunneld" -c "$d/tunneld.conf" >"$dir/out" 2>&1
[ $? -eq 2 ] && grep -q 'name the interface towards the NAT' "$dir/out"
ok $? 'pubaddr-tunneld: no interface named'
finish
