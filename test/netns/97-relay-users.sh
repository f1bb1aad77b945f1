#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Users of one host who share the session relay, as TAP: one that holds connections to the client daemon's socket without a word, one that
# may not use it and does so, too, one whose calls never end, one who asks for names without end. The others are served meanwhile, and
# the log does not fill the disk.
set -u
. "${top_srcdir:?}/test/netns/relay-net.sh"
need_root
command -v setpriv >/dev/null || { echo '1..0 # SKIP setpriv is missing'; exit 0; }
net_up
# What `ip netns exec` shows the server for its resolver: one name that it knows, and a name server that is silent.
trap 'cleanup; rm -rf "/etc/netns/${net}g"' EXIT
mkdir -p "/etc/netns/${net}g"
printf '127.0.0.1 localhost\n%s peer.example\n' $PEER >"/etc/netns/${net}g/hosts"
printf 'nameserver %s\noptions timeout:2 attempts:1\n' $PEER >"/etc/netns/${net}g/resolv.conf"
echo 'hosts: files dns' >"/etc/netns/${net}g/nsswitch.conf"
ip netns exec "${net}i" nft 'add table ip mute; add chain ip mute transit { type filter hook forward priority 0; };
	add rule ip mute transit udp dport 53 drop'
plan 19
block_udp
start_gateway
add_relay
start_relay
start_users
prlimit --nofile=16384: --pid $$
is_served() { # is_served WORDS: daemon calls, and has its line back
	prog daemon served call $PEER:7401
	exec 4<>"$dir/served.in"
	echo "$1" >&4
	has served.out "$1"
	served_rc=$?
	exec 4>&-
	# shellcheck disable=SC2154 # set by prog
	wait "$served_pid"
	return $served_rc
}
GRANT_RELAY=$GW:443
put_grant "$PUB" 100 600
peer echo 7401
is_served first
ok $? 'a user who may use the relay is served'

prog nobody stranger squat 4000
exec 3<>"$dir/stranger.in"
has stranger.err squatting
sed 's/^/# /' "$dir/stranger.err"
is_served strangers
ok $? 'and while one who may not holds 4000 connections without a word'
exec 3>&-
# shellcheck disable=SC2154
wait "$stranger_pid"

prog bin squatter squat 4000
exec 3<>"$dir/squatter.in"
has squatter.err squatting
sed 's/^/# /' "$dir/squatter.err"
is_served squatters
ok $? 'and while another one who may does'
exec 3>&-
# shellcheck disable=SC2154
wait "$squatter_pid"

# ---- one user's sessions are not another one's
ends() { # ends USER REASON: daemon's program is killed, after USER wanted that to be a reset; the session ends by REASON
	prog daemon "kept_$1" call $PEER:7401
	exec 4<>"$dir/kept_$1.in"
	kept_pid=$!
	has "kept_$1.err" connected
	prog "$1" "setter_$1" abrupt "$(sed -n 's/^called //p' "$dir/kept_$1.err")"
	: >"$dir/setter_$1.in"
	wait $!
	session=$(sed -n 's/.* relay.call session=\([0-9]*\) .*/\1/p' "$dir/tunneld.log" | tail -n 1)
	kill -9 "$kept_pid"
	exec 4>&-
	wait "$kept_pid"
	retry grep -q " relay.end session=$session reason=$2\$" "$dir/tunneld.log" >/dev/null
}
ends daemon reset
ok $? 'a user says of his session that its end is to be a reset'
ends bin ok
ok $? 'another one says so, and it is not'
grep -q 'info connected ok' "$dir/setter_bin.err"
ok $? 'but he is told that there is one, as /proc/net/tcp would'

# ---- the log
# told EVENT: there are few lines of it, with the number of those that are not there.
told() { test "$(grep -c " $1 " "$dir/tunneld.log")" -lt 1000 && grep -q " $1 .* held-back=[1-9]" "$dir/tunneld.log"; }
prog bin wanter addresses
exec 3<>"$dir/wanter.in"
has wanter.err 'asked a lot' || has wanter.err 'asked a lot'
ok $? 'another one wants the address 3000 times, for a moment each'
echo enough >&3
exec 3>&-
# shellcheck disable=SC2154
wait "$wanter_pid"
wants_are_told() { is_served wants && told 'demand\.\(un\)*want'; }
retry wants_are_told
ok $? 'which is no line each'

ip netns exec "${net}i" nft 'add table ip silent; add chain ip silent transit { type filter hook forward priority 0; };
	add rule ip silent transit tcp dport 7402 drop'
prog bin caller stuck 4200 $PEER:7402
exec 3<>"$dir/caller.in"
has caller.err stuck || has caller.err stuck
ok $? 'another one makes 4200 calls that nobody answers'
sed 's/^/# /' "$dir/caller.err"
test "$(sed -n 's/^stuck //p' "$dir/caller.err")" -le 1024
ok $? 'he is given some of them'
is_served callers
ok $? 'a call of the first one is made'
exec 3>&-

has_names() { # daemon is told an address, five times in a row
	for _ in 1 2 3 4 5; do
		c setpriv --reuid=daemon "--regid=$(id -g daemon)" --clear-groups "$dir/tool" "$dir/relay-eth0.sock" resolve peer.example \
			>"$dir/names.out" 2>"$dir/names.err"
		grep -qx "$PEER" "$dir/names.out" || { sed 's/^/# /' "$dir/names.err" && return 1; }
	done
}
has_names
ok $? 'names are resolved at the server'
for asked in slow peer; do
	prog bin "asker_$asked" names $asked.example
	exec 3<>"$dir/asker_$asked.in"
	has "asker_$asked.err" asking
	has_names
	ok $? "and while another one asks for $asked.example without end, and waits for no answer"
	echo enough >&3
	exec 3>&-
	eval "wait \$asker_${asked}_pid"
	ok $? 'who could ask all the time'
done

ask_nonsense() { # ask_nonsense N: of the command socket, as nobody
	yes '{"command": "grant-put"}' | head -n "$1" |
		c setpriv --reuid=nobody --regid=nogroup --clear-groups socat -t 20 - "UNIX-CONNECT:$dir/tunneld-eth0.sock" >"$dir/refused"
	test "$(grep -c 'permission denied' "$dir/refused")" = "$1"
}
ask_nonsense 2000
ok $? 'one who may not asks the command socket 2000 times, and is refused each time'
refusals_are_told() { ask_nonsense 1 && told command.denied; }
retry refusals_are_told
ok $? 'which is no line each, either'
kill -0 $client_pid
ok $? 'it has been one daemon all the time'
finish
