#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Readers of the session relay that take nothing, as TAP: more of them than there is memory for what waits for them, on the server's
# side and on the client's. They go, those first that have taken nothing for longest; who only reads late has all of it, and on the
# client's side the user who holds most gives way, whoever of the others was slow before.
# shellcheck disable=SC2154 # prog sets NAME_pid
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
command -v setpriv >/dev/null || { echo '1..0 # SKIP setpriv is missing'; exit 0; }
net_up
plan 21
block_udp
start_gateway
add_relay
start_relay
start_users
GRANT_RELAY=$GW:443
put_grant "$PUB" 100 600
peer mute 7401
peer echo 7402
peer source 7403
head -c 20971520 /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data")
patient() { # retry, with the time that hundreds of megabytes may need
	for _ in 1 2 3 4 5 6; do
		retry "$@" >/dev/null && return
	done
	return 1
}
# Sessions of a hoarder that have ended so far.
ended() { sed -n 's/^ended //p' "$dir/$1.err" | tail -n 1; }
has_ended() { test "$(ended "$1")" -ge "$2"; }
served() { # served USER WORDS: a new session works
	prog "$1" served call $PEER:7402
	exec 4<>"$dir/served.in"
	echo "$2" >&4
	has served.out "$2"
	served_rc=$?
	exec 4>&-
	wait "$served_pid"
	return $served_rc
}
gate() { rm -f "$dir/gate$1" && mkfifo "$dir/gate$1"; }
open_gate() { echo 1<>"$dir/gate$1"; }
ends_well() { # ends_well NUMBER WORDS: what was read has the right checksum
	patient test -s "$dir/sum$1"
	is "$(cat "$dir/sum$1" 2>/dev/null)" "$sum" "$2"
}

# ---- 48 MiB of a client at the server: 96 windows
prog bin pushing push 260 $PEER:7401
exec 3<>"$dir/pushing.in"
patient has_ended pushing 164
ok $? '260 sessions send to peers that read nothing: 164 end, for there is room for 96'
counter_above unread 163
ok $? 'they are counted'
for i in 1 2 3; do
	gate $i
	p socat -u TCP-LISTEN:741$i,reuseaddr,rcvbuf=65536 "SYSTEM:read -r go <$dir/gate$i; sha256sum >$dir/sum$i" & watch $!
	listens 741$i
	prog bin late$i call $PEER:741$i
	cat "$dir/data" >"$dir/late$i.in" & watch $!
done
patient has_ended pushing 166
ok $? 'what waits for three readers that begin late takes the place of others'
for i in 1 2 3; do
	open_gate $i
	ends_well $i "20 MB to reader $i"
done
grep -q 'relay.ended .*reason=limit' "$dir/relayd.log"
ok $? 'the log says why others have ended'
served bin pushing && served daemon pushing
ok $? 'new sessions work, of the same user and of another one'
test "$(ended pushing)" -lt 200
ok $? 'no more sessions ended than had to'
echo "# $(ended pushing) of 260; the server has $(rss) KiB"
exec 3>&-
wait "$pushing_pid"
# What a program has sent before it ended still waits for the peers.
p ss -Htlnp 'sport = 7401' | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | xargs -r kill
no_sockets() { counter_is sockets 0; }
patient no_sockets
ok $? 'nothing is left of them at the server'

# ---- 80 MiB of a host at the client: 160 windows
source_of() { # source_of NUMBER: a peer that sends the data once; what comes of it is read when the gate is open
	gate "$1"
	rm -f "$dir/sum$1"
	p socat -u "OPEN:$dir/data" TCP-LISTEN:742$1,reuseaddr & watch $!
	listens 742$1
	rm -f "$dir/slow$1.out"
	mkfifo "$dir/slow$1.out"
	sh -c 'read -r go <"$1"; sha256sum >"$2"' - "$dir/gate$1" "$dir/sum$1" <"$dir/slow$1.out" 3>&- 4>&- & watch $!
	prog daemon slow$1 call $PEER:742$1
	: >"$dir/slow$1.in"
}
waits() { p ss -Htn sport = 742$1 | awk '$3 > 0 {found = 1} END {exit !found}'; }
source_of 1
retry waits 1 >/dev/null
ok $? 'a program of one user does not read for a while'
prog bin holding hold 400 $PEER:7403
exec 3<>"$dir/holding.in"
patient has_ended holding 240
ok $? '400 of another user read nothing at all: 240 end, for there is room for 160'
grep -q 'relay.end .*reason=limit' "$dir/tunneld.log"
ok $? 'the log says why'
before=$(ended holding)
source_of 2
source_of 3
patient has_ended holding $((before + 1))
ok $? 'what waits for two more of the first one takes the place of others'
for i in 1 2 3; do
	open_gate $i
	ends_well $i "20 MB to program $i"
done
served daemon holding && served bin holding
ok $? 'new sessions work, of either user'
test "$(ended holding)" -lt 280
ok $? 'no more sessions ended than had to'
echo "# $(ended holding) of 400; the daemon has $(sed -n 's/^VmRSS:[^0-9]*//p' "/proc/$client_pid/status")"
kill -0 "$client_pid" && kill -0 "$relay_pid"
ok $? 'it has been one daemon all the time, and one server'
exec 3>&-
wait "$holding_pid"
patient no_sockets
ok $? 'nothing is left of them'
[ $failed -eq 0 ] || tail -n 100 "$dir/relayd.log" | sed 's/^/# /'
finish
