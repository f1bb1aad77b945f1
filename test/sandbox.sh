#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What each daemon has left once it runs, as the kernel sees it, and what other users of the host can do, as TAP. Needs root.
set -u
. "${top_srcdir:?}/test/daemons-net.sh"
tool=$(cd "$top/test/netns" && pwd)/tunnel_tool
NET_ADMIN=0000000000001000
RELAY=0000000000001400 # and CAP_NET_BIND_SERVICE
NOTHING=0000000000000000

status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
is() {
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', wanted '$2'"
}
as() { # as UID COMMAND...
	uid=$1
	shift
	setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all "$@"
}
denied() { # denied WHAT UID COMMAND...: that user must not succeed
	what=$1
	shift
	! as "$@" >"$dir/out" 2>&1
	ok $? "another user cannot $what"
}

# left NAME PID CAPS UID: what /proc and the log say
left() {
	is "$(status "$2" CapEff) $(status "$2" CapPrm) $(status "$2" CapBnd) $(status "$2" CapInh)" "$3 $3 $3 $NOTHING" "$1: capabilities"
	is "$(status "$2" NoNewPrivs)" 1 "$1: no new privileges"
	is "$(status "$2" Uid | cut -f1-4 | tr '\t' ' ')" "$4 $4 $4 $4" "$1: user"
	if grep -q 'daemon.privileges .*seccomp=no,sanitizer' "$dir/$1.log"; then
		echo "# $1: a build with AddressSanitizer, without the filter of system calls"
		is "$(status "$2" Seccomp_filters)" 1 "$1: no seccomp filter in this build, but for the one against io_uring"
	else
		is "$(status "$2" Seccomp_filters)" 2 "$1: seccomp filter, and the one against io_uring"
		denied "read the memory of $1" "$5" cat "/proc/$2/environ"
		denied "see the files of $1" "$5" ls "/proc/$2/fd"
	fi
	caps=none
	[ "$3" = $NOTHING ] || caps=net_admin
	[ "$3" != $RELAY ] || caps=net_bind_service,net_admin
	grep -q "daemon.privileges uid=$4 gid=$4 capabilities=$caps no-new-privs=yes dumpable=[a-z]* seccomp=" "$dir/$1.log"
	ok $? "$1: the log says so"
}
ask() { "$tool" call "$@" >"$dir/out" 2>&1; }

fresh
cp "$tool" "$dir/tool" && chmod 755 "$dir/tool"
# The broker as root, and as a user of its own.
start brokerd "$d/run/broker.sock" && left brokerd "$pid" $NOTHING 0 65534
ask "$d/run/broker.sock" lease-allocate '{"realm": "campus", "subnet-id": 1, "dhcp-address": "10.0.0.1", "hw-address": "02", "valid-lifetime": 60}'
ok $? 'brokerd: and it gives a lease'
stop_all
fresh && edit brokerd '2s/^/"user": "nobody",/' && edit brokerd "s|state/broker.db|db/broker.db|"
start brokerd "$d/run/broker.sock" && left brokerd "$pid" $NOTHING 65534 65534
grep -q "broker.key-unreadable .*chown nobody $d/master.key" "$dir/brokerd.log"
ok $? 'brokerd: says that its user cannot read the key again'
stop_all
rm -rf "$d/db" && chown 65534 "$d/master.key"
start brokerd "$d/run/broker.sock" && ! grep -q broker.key-unreadable "$dir/brokerd.log"
ok $? 'brokerd: a key of its own user is as good'
ask "$d/run/broker.sock" lease-allocate '{"realm": "campus", "subnet-id": 1, "dhcp-address": "10.0.0.1", "hw-address": "02", "valid-lifetime": 60}'
ok $? 'brokerd: and it gives a lease'
is "$(stat -c '%u %a' "$d/db/broker.db")" '65534 600' 'brokerd: the database is its own'
kill -HUP "$pid"
tries=0
until grep -qE 'broker.reload(-failed)? ' "$dir/brokerd.log" || [ $tries -gt 100 ]; do tries=$((tries + 1)) && sleep 0.1; done
grep -q 'broker.reload ' "$dir/brokerd.log"
ok $? 'brokerd: SIGHUP works after the change of the user'
stop_all

# All of them, and an ordinary user.
fresh && start brokerd "$d/run/broker.sock"
denied 'reach the broker' 65533 "$dir/tool" call "$d/run/broker.sock" version-get
denied 'read the master key' 65533 cat "$d/master.key"
denied 'read the leases' 65533 cat "$d/state/broker.db"
start gatewayd "$d/run/gateway.sock" && left gatewayd "$pid" $NET_ADMIN 0 65534
denied 'reach the gateway' 65533 "$dir/tool" call "$d/run/gateway.sock" status-get
denied 'read the gateway key' 65533 cat "$d/gateway.key"
start relayd "$d/run/relay.sock" && left relayd "$pid" $RELAY 0 65534
denied 'reach the relay' 65533 "$dir/tool" call "$d/run/relay.sock" status-get
start tunneld "$d/run/tunneld-eth0.sock" && left tunneld "$pid" $NET_ADMIN 0 65534
hex=$("$tool" grant "$d/gateway.key" "$("$bin_t/pubaddr" --key-file "$d/client.key" key)" 203.0.113.7 1 60 198.51.100.10:6080)
denied 'hand over a grant' 65533 "$dir/tool" call "$d/run/tunneld-eth0.sock" grant-put "{\"grant\": \"$hex\"}"
grep -q 'only root may do this' "$dir/out"
ok $? 'and is told so'
denied 'end a grant' 65533 "$dir/tool" call "$d/run/tunneld-eth0.sock" grant-end '{"reason": "EXPIRE"}'
denied 'leave a grant for the next start' 65533 sh -c "echo '{}' >'$d/run/pending-eth0.json'"
denied 'read the client key' 65533 cat "$d/client.key"
as 65533 "$dir/tool" call "$d/run/tunneld-eth0.sock" status-get >"$dir/out" 2>&1 && ! grep -qiE "secret|$key|\"grant\":" "$dir/out"
ok $? 'everybody may ask for the status, which has no secret'
stop_all
grep -l "$key\|$hex" "$dir"/*.log
[ $? -eq 1 ]
ok $? 'no key and no grant is in the logs'
finish
