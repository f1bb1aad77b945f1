# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# For tests on real parts: TAP, a lab of the test's own, conditions with a time limit. Sourced by NN-name.sh; each test
# brings its lab up with lab_up, makes its checks, and ends with done_testing. Whatever happens, the lab goes down.
set -uo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB=$HERE/../lab
TAP_N=0
TAP_BAD=0
TMP=$(mktemp -d)
export PUBADDR_LAB="n$$"

skip_all() {
	echo "1..0 # SKIP $*"
	trap - EXIT
	rm -rf "$TMP"
	exit 0
}

[ "$(id -u)" = 0 ] || skip_all "needs root for network namespaces"
need() { # need PROGRAM...
	local p
	for p in "$@"; do
		command -v "$p" >/dev/null || skip_all "needs $p; the packages are listed in test/packages"
	done
}

note() { sed 's/^/# /'; }

# result CODE WHAT [FILE]: one line of TAP; what was said is shown when it failed.
result() {
	TAP_N=$((TAP_N + 1))
	if [ "$1" = 0 ]; then
		echo "ok $TAP_N - $2"
	else
		TAP_BAD=$((TAP_BAD + 1))
		echo "not ok $TAP_N - $2"
		[ -z "${3:-}" ] || note <"$3"
	fi
}

# check WHAT COMMAND...: passes if COMMAND succeeds.
check() {
	local what=$1
	shift
	"$@" >"$TMP/check" 2>&1
	result $? "$what" "$TMP/check"
}

# is WHAT GOT WANTED
is() {
	echo "got '$2', wanted '$3'" >"$TMP/is"
	[ "$2" = "$3" ]
	result $? "$1" "$TMP/is"
}

# within SECONDS COMMAND...: polls COMMAND until it succeeds; fails with its last words when the time is over.
within() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# eventually SECONDS WHAT COMMAND...: check, with patience.
eventually() {
	local limit=$1 what=$2
	shift 2
	within "$limit" "$@" >"$TMP/eventually" 2>&1
	local rc=$?
	tail -n 20 "$TMP/eventually" >"$TMP/last"
	result $rc "$what" "$TMP/last"
}

not() { ! "$@"; }

lab_up() {
	local out
	out=$("$LAB" up "$@" 2>"$TMP/up") || {
		note <"$TMP/up"
		result 1 "lab up $*"
		done_testing
	}
	eval "$out"
	result 0 "lab up $*"
}

# on HOST COMMAND...: runs it there.
on() {
	local host=$1
	shift
	"$LAB" exec "$host" -- "$@"
}

# in_background HOST NAME COMMAND...: its output goes to $TMP/NAME, its process id to the variable NAME_PID. It ends with the lab.
in_background() {
	local host=$1 name=$2
	shift 2
	"$LAB" exec "$host" -- "$@" >"$TMP/$name" 2>&1 </dev/null &
	printf -v "${name}_PID" %s $!
}

listening() { # listening HOST tcp|udp PORT
	on "$1" ss -Hln "--$2" "sport = :$3" | grep -q .
}

# ask_gateway JSON: a command to the gateway daemon, its answer on one line. ask_broker: to the broker.
ask_gateway() { echo "$1" | on gateway socat -t5 - UNIX:/run/pubaddr/gateway.sock; }
ask_broker() { echo "$1" | on broker socat -t5 - UNIX:/run/pubaddr/broker.sock; }

# network HOST [FILTER]: its network as text, without what changes by itself: counters, lifetimes, numbers of interfaces.
# FILTER: an expression for lines that shall not count. network_filter: the same for such a text.
network() {
	# shellcheck disable=SC2016 # for the other shell
	on "$1" sh -c 'ip -d link show; ip addr show; ip -4 route show table all; ip -6 route show table all; ip -4 rule; ip -6 rule
		nft list ruleset; tc qdisc show
		for i in $(ls /sys/class/net); do tc filter show dev "$i" ingress; tc filter show dev "$i" egress; done
		find /sys/fs/cgroup -name "pubaddr*-$(stat -Lc %i /proc/self/ns/net)"
		sysctl -a 2>/dev/null | grep "^net\."' 2>&1 |
		sed -E 's/^[0-9]+: //; /valid_lft /d; s/packets [0-9]+ bytes [0-9]+//; /nf_conntrack_count/d' | network_filter "${2:-}"
}
network_filter() { if [ -n "$1" ]; then grep -vE "$1"; else cat; fi; }

# counter HOST NAME: packets of a named counter in table "ip watch" of that host; see watch.
counter() { on "$1" nft list counter ip watch "n_$2" | awk '$1 == "packets" {print $2}'; }
counter_above() { [ "$(counter "$1" "$2")" -gt "$3" ]; }

# watch HOST: reads "NAME in|out MATCH..." lines; counts what comes in to that host (also to be forwarded) before any
# other table sees it, and what its own programs send, as it leaves.
watch() {
	local name way match
	{
		echo "add table ip watch"
		echo "add chain ip watch in { type filter hook prerouting priority -400; }"
		echo "add chain ip watch out { type filter hook output priority 400; }"
		while read -r name way match; do
			echo "add counter ip watch n_$name"
			echo "add rule ip watch $way $match counter name n_$name"
		done
	} >"$TMP/watch"
	on "$1" nft -f - <"$TMP/watch" || result 1 "counters in $1" "$TMP/watch"
}

# whole_packets: the links of the lab pass packets of 64 KB on, as the stack makes them; they carry frames of 1500 octets with finished
# checksums, if not told so.
whole_packets() {
	local ns dev
	for ns in $(ip netns list | awk -v p="$PUBADDR_LAB-" 'index($1, p) == 1 {print $1}'); do
		for dev in $(ip -n "$ns" -o link show type veth | sed 's/^[0-9]*: \([^@:]*\).*/\1/'); do
			ip netns exec "$ns" ethtool -K "$dev" tx on tso on gso on gro on >/dev/null 2>&1 || return 1
		done
	done
}

# charged ADDRESS: packets and bytes to its holder, and packets and bytes from it.
charged() {
	ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$1\"}}" |
		grep -oE '"(packets|bytes)-(to|from)-client": *[0-9]+' | grep -o '[0-9]*$' | paste -sd ' '
}

# no_leaks: the Internet counted no private and no foreign source.
no_leaks() {
	on inet nft list counters table ip internet |
		awk '$1 == "counter" {n = $2} $1 == "packets" {print n, $2; if ($2 > 0) bad = 1; seen++} END {exit bad || seen != 8}'
}

cleanup() {
	local logs=/run/pubaddr-lab/$PUBADDR_LAB/log f
	if [ "$TAP_BAD" -gt 0 ] && [ -d "$logs" ]; then
		for f in "$logs"/*; do
			[ ! -s "$f" ] || tail -n 15 "$f" | sed "s|^|# ${f##*/}: |"
		done
	fi
	"$LAB" down >"$TMP/down" 2>&1 || note <"$TMP/down"
	rm -rf "$TMP"
}

done_testing() {
	echo "1..$TAP_N"
	exit $((TAP_BAD > 0))
}

trap cleanup EXIT
trap 'exit 130' INT TERM HUP
