#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Soak: the real Kea with our library and the real broker under 500 DORA/s of clients that ask, that do not, and that renew
# and release, while Kea is told to reload its configuration or its libraries every two seconds, each second time with
# many packets parked at a broker that does not run. Real DHCP clients with leases of seconds must keep them throughout, Kea
# must answer every command, and nothing may grow. SOAK_TIME seconds (25); 'make soak' takes ten minutes. Needs root.
set -u
srcdir=$(realpath "${top_srcdir:-$(dirname "$0")/../..}/test")
builddir=$(realpath "${PUBADDR_BUILD:-${top_builddir:-$(dirname "$0")/../..}}")
PATH=$PATH:/usr/sbin:/sbin
seconds=${SOAK_TIME:-25}
server=pasoak-s$$
hosts="load1 load2 load3 plain1 plain2 asks1 asks2" # a namespace and an address each
dir=$(mktemp -d) || exit 99
kea_pid='' broker_pid=''
kea_kb=4096 broker_kb=1024 # what memory may grow by
# shellcheck source=test/hook/kea.sh
. "$srcdir/hook/kea.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
for c in kea-dhcp4 kea-lfc perfdhcp dhclient perl ip; do
	command -v "$c" >/dev/null || skip_all "no $c; Debian packages: kea-dhcp4-server kea-admin isc-dhcp-client perl iproute2"
done
why=$(obstacle)
[ -z "$why" ] || skip_all "$why"
lease_cmds=$(compgen -G '/usr/lib/*/kea/hooks/libdhcp_lease_cmds.so') || skip_all "no libdhcp_lease_cmds.so in Kea's folder"
! sanitized || skip_all "figures of memory say nothing with sanitizers"

ns() { echo "pasoak-$1-$$"; }

end_pid() { # end_pid PID
	[ -n "$1" ] || return 0
	kill "$1" 2>/dev/null
	kill -CONT "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

cleanup() {
	local h
	[ -z "$broker_pid" ] || kill -CONT "$broker_pid" 2>/dev/null
	for h in $hosts; do
		ip netns pids "$(ns "$h")" 2>/dev/null | xargs -r kill 2>/dev/null
	done
	kea_end
	end_pid "$broker_pid"
	for h in $hosts; do
		ip netns del "$(ns "$h")" 2>/dev/null
	done
	ip netns del "$server" 2>/dev/null
	rm -rf "$dir"
}

# ---------------------------------------------------------------- network, servers, clients

network() {
	local h i=1
	ip netns add "$server" || return
	ip -n "$server" link add dhcp0 type bridge
	ip -n "$server" addr add 10.77.0.1/16 dev dhcp0
	ip -n "$server" link set lo up
	ip -n "$server" link set dhcp0 up
	for h in $hosts; do
		i=$((i + 1))
		ip netns add "$(ns "$h")" || return
		ip -n "$server" link add "p$i" type veth peer name lan0 netns "$(ns "$h")" || return
		ip -n "$server" link set "p$i" master dhcp0 up
		ip -n "$(ns "$h")" link set lo up
		ip -n "$(ns "$h")" link set lan0 up
		# perfdhcp is a relay to Kea; the others have no address yet.
		[[ $h != load* ]] || ip -n "$(ns "$h")" addr add "10.77.0.$i/16" dev lan0
	done
}

broker() {
	local ctl=$builddir/broker/pubaddrctl key
	"$ctl" key new "$dir/master.key" >/dev/null && "$ctl" key new-gateway "$dir/gateway.key" >/dev/null 2>&1 || return
	key=$("$ctl" key public "$dir/gateway.key")
	cat >"$dir/broker.conf" <<-END
	{
	  "socket": "$dir/broker.sock", "database": "$dir/broker.db", "master-key-file": "$dir/master.key",
	  "socket-users": [], "realms": ["soak"], "log-level": "warning", "quarantine": 5,
	  "gateway-groups": [{"name": "main", "public-key": "$key", "gateways": ["192.0.2.1:6080"]}],
	  "pools": [{"id": 1, "name": "soak", "prefix": "198.18.0.0/15", "gateway-group": "main", "realms": ["soak"]}]
	}
	END
	"$builddir/broker/pubaddr-brokerd" -c "$dir/broker.conf" >"$dir/broker.log" 2>&1 &
	broker_pid=$!
	wait_for 10 test -S "$dir/broker.sock"
}

kea_conf() { # kea_conf [LFC-INTERVAL]
	cat >"$dir/kea.conf" <<-END
	{"Dhcp4": {
	  "interfaces-config": {"interfaces": ["dhcp0"]},
	  "lease-database": {"type": "memfile", "name": "$dir/leases", "lfc-interval": ${1:-0}},
	  "control-socket": {"socket-type": "unix", "socket-name": "$dir/kea.sock"},
	  "multi-threading": {"enable-multi-threading": true, "thread-pool-size": 4, "packet-queue-size": 64},
	  "min-valid-lifetime": 10, "valid-lifetime": 1800, "max-valid-lifetime": 1800,
	  "hooks-libraries": [{"library": "$(kea_library "$dir" "$lease_cmds")"},
	                      {"library": "$(kea_library "$dir" "$hook_so")", "parameters": {"realm": "soak", "broker-socket": "$dir/broker.sock"}}],
	  "subnet4": [{"id": 1, "subnet": "10.77.0.0/16", "pools": [{"pool": "10.77.1.0 - 10.77.250.255"}]}],
	  "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "$dir/kea.log", "maxsize": 0}]},
	              {"name": "kea-dhcp4.pubaddr-hooks", "severity": "INFO",
	               "output_options": [{"output": "$dir/kea.log", "maxsize": 0}]}]
	}}
	END
}
kea() {
	kea_conf
	kea_run ip netns exec "$server" >"$dir/kea.out" 2>&1 &
	kea_pid=$!
	wait_for 20 serves
}
serves() { ip netns exec "$server" ss -Hlun 'sport = 67' | grep -q . && status_is broker-up true; }

# dhclient_start HOST LINES: leases of 20 seconds, so that it renews every few, and a second between tries; what it learns
# goes to HOST.events.
dhclient_start() {
	cat >"$dir/$1.script" <<-END
	#!/bin/sh
	case \$reason in BOUND|RENEW|REBIND|REBOOT) ip addr replace "\$new_ip_address/16" dev lan0 ;; esac
	echo "\$reason \${new_ip_address:-none} \${new_pubaddr:+option}" >>"$dir/$1.events"
	END
	chmod +x "$dir/$1.script"
	printf '%s\n' 'option pubaddr code 224 = string;' 'send dhcp-lease-time 20;' 'timeout 20;' \
		'initial-interval 1;' 'backoff-cutoff 1;' "$2" >"$dir/$1.conf"
	ip netns exec "$(ns "$1")" dhclient -4 -d -cf "$dir/$1.conf" -lf "$dir/$1.leases" -pf "$dir/$1.pid" \
		-sf "$dir/$1.script" lan0 >"$dir/$1.out" 2>&1 &
}
has() { grep -qE "$2" "$dir/$1.events"; }

# load HOST SECONDS OPTION...: perfdhcp from there
load() {
	local h=$1 time=$2
	shift 2
	ip netns exec "$(ns "$h")" perfdhcp -4 -l lan0 -p "$time" -W 3000000 "$@" >"$dir/$h.perf" 2>&1
}
load_all() { # load_all SECONDS: 500 DORA/s
	load_pids=()
	load load1 "$1" -b mac=02:01:00:00:00:00 -R 2000 -r 200 -o 224,0100 &
	load_pids+=($!)
	load load2 "$1" -b mac=02:02:00:00:00:00 -R 2000 -r 200 &
	load_pids+=($!)
	load load3 "$1" -b mac=02:03:00:00:00:00 -R 1000 -r 100 -f 20 -F 20 -o 224,0100 &
	load_pids+=($!)
}
wait_loads() { wait "${load_pids[@]}"; }
# perf HOST EXCHANGE: sets sent, received, drops of DISCOVER-OFFER or REQUEST-ACK
perf() {
	read -r sent received drops <<<"$(awk -v e="$2" '/Statistics for:/ {on = index($0, e "*")} on && /^sent packets:/ {s = $3}
		on && /^received packets:/ {r = $3} on && /^drops:/ {d = $2} END {print s + 0, r + 0, d + 0}' "$dir/$1.perf")"
}

# ---------------------------------------------------------------- what is watched

sample() { # one line for each: name, RSS in KB, descriptors, threads
	local who pid
	for who in kea broker; do
		pid=${who}_pid
		pid=${!pid}
		echo "$who $(awk '/^VmRSS/ {r = $2} /^Threads/ {t = $2} END {print r, "'"$(find "/proc/$pid/fd" -mindepth 1 | wc -l)"'", t}' \
			"/proc/$pid/status")" >>"$dir/samples"
	done
}
# figures WHO COLUMN PART: smallest and median value in the first or the last fifth of the samples
figures() {
	awk -v w="$1" -v c="$2" '$1 == w {print $c}' "$dir/samples" | awk -v part="$3" '{v[NR] = $1}
		END {k = int(NR / 5) + 1; from = part == "first" ? 1 : NR - k + 1; for (i = from; i < from + k; i++) print v[i]}' |
		sort -n | awk '{v[NR] = $1} END {print v[1], v[int((NR + 1) / 2)]}'
}
# steady WHO COLUMN ALLOWED: what does not grow by more, from the first fifth to the last; memory by its median, numbers by
# their smallest (a reload opens things for a moment)
steady() {
	local a b i=1
	[ "$2" != 2 ] || i=2
	a=$(figures "$1" "$2" first | cut -d' ' -f$i)
	b=$(figures "$1" "$2" last | cut -d' ' -f$i)
	grown="$a -> $b"
	[ "$b" -le $((a + $3)) ]
}

reload() { # reload COMMAND [parked]
	local rc=0
	if [ "${2:-}" = parked ]; then
		kill -STOP "$broker_pid"
		wait_for 3 status_at_least parked 5
	fi
	kea_command "{\"command\": \"$1\"}" >"$dir/answer"
	grep -q '"result": 0' "$dir/answer" || rc=1
	kill -CONT "$broker_pid"
	[ $rc = 0 ] || { echo "$1: $(<"$dir/answer")" >>"$dir/bad-answers"; }
	reloads=$((reloads + 1))
}
# Kea reads its lease file with each configuration, so that must not grow without end; what makes it short again (a program of
# Kea's) begins some time after a reload, and no reload may come while it runs.
compact() {
	touch "$dir/marker"
	kea_conf 1
	reload config-reload
	wait_for 20 compacted || echo "the lease file stays long" >>"$dir/bad-answers"
	kea_conf
	reload config-reload
}
compacted() { [ "$dir/leases.2" -nt "$dir/marker" ] && [ ! -e "$dir/leases.1" ] && [ ! -e "$dir/leases.pid" ]; }
# Packets that waited when the library was taken out, of all reloads, and the reloads that had some.
discarded() { sed -n 's/.*PUBADDR_UNLOAD.* off; \([0-9]*\) waiting.*/\1/p' "$dir/kea.log" | awk '{s += $1; n += $1 > 0} END {print s + 0, n + 0}'; }
# "MAC ADDRESS" of every client that neither renews nor releases: load1 and load2
leases() {
	kea_command '{"command": "lease4-get-all"}' |
		perl -0777 -ne 'while (/\{[^{}]*\}/g) { my $l = $&; my ($m) = $l =~ /"hw-address": "(02:0[12]:[0-9a-f:]+)"/ or next;
			print "$m $1\n" if $l =~ /"ip-address": "([0-9.]+)"/ }' | sort
}

soak() {
	local end=$((SECONDS + seconds)) commands=(config-reload config-reload) i=0
	! kea_command '{"command": "list-commands"}' | grep -q '"libreload"' || commands[1]=libreload # Kea 2.6 has none
	while [ $SECONDS -lt $end ]; do
		reload "${commands[i % 2]}" "$([ $((i / 2 % 2)) = 0 ] && echo parked)"
		i=$((i + 1))
		[ $((i % 15)) -ne 0 ] || compact
		sample
		sleep 1 # the pause between reloads, not a wait
		sample
	done
}

# A client of ours that lost its lease, got another address, or was not served; says which and fails then.
kept() { # kept HOST RENEWALS
	local events=$dir/$1.events
	! grep -vE '^(PREINIT|BOUND|RENEW|REBIND) ' "$events" && [ "$(grep -c '^BOUND' "$events")" = 1 ] &&
		[ "$(grep -E '^(BOUND|RENEW|REBIND)' "$events" | awk '{print $2}' | sort -u | wc -l)" = 1 ] &&
		[ "$(grep -cE '^(RENEW|REBIND)' "$events")" -ge "$2" ]
}
bound() { has plain1 BOUND && has plain2 BOUND && has asks1 'BOUND.*option' && has asks2 'BOUND.*option'; }

# all_answered HOST...: of a run without reloads, every exchange
all_answered() {
	local h
	for h in "$@"; do
		perf "$h" DISCOVER-OFFER
		[ "$drops" = 0 ] && [ "$sent" -gt 0 ] || return 1
		perf "$h" REQUEST-ACK
		[ "$drops" = 0 ] && [ "$sent" -gt 0 ] || return 1
	done
}

all_leased() {
	load_all 11
	wait_loads
	leases >"$dir/before"
	[ "$(wc -l <"$dir/before")" -ge 3900 ]
}
undisturbed() { # a machine that is busy with other things may want a second try
	granted=$(status pubaddr-granted)
	load_all 2
	wait_loads
	all_answered load1 load2 load3
}

report() {
	local h e w c
	for h in load1 load2 load3; do
		for e in DISCOVER-OFFER REQUEST-ACK; do
			perf $h $e
			echo "# $h $e: $sent sent, $received answered, $drops lost"
		done
	done
	echo "# $reloads reloads; $n_with times packets were parked when the library went, $n_discarded in all"
	for w in kea broker; do
		echo "# $w, smallest and median in the first and the last fifth: RSS KB $(figures $w 2 first) -> $(figures $w 2 last)," \
			"descriptors $(figures $w 3 first) -> $(figures $w 3 last), threads $(figures $w 4 first) -> $(figures $w 4 last)"
	done
}

finish() {
	local f
	for f in "$dir"/{kea.out,kea.log,broker.log,bad-answers,lost} "$dir"/*.events; do
		[ "$failed" -eq 0 ] || [ ! -s "$f" ] || tail -n 20 "$f" | sed "s|^|# ${f##*/}: |"
	done
	echo "1..$n"
	exit "$failed"
}

# ---------------------------------------------------------------- the test

trap cleanup EXIT
trap 'exit 130' INT TERM HUP
reloads=0
: >"$dir/samples"
: >"$dir/bad-answers"
network || { echo "Bail out! cannot build namespaces"; exit 99; }
broker && kea
ok $? "broker and Kea serve"
[ "$failed" = 0 ] || finish
for h in plain1 plain2; do dhclient_start $h ''; done
for h in asks1 asks2; do dhclient_start $h 'also request pubaddr;'; done
wait_for 20 bound
ok $? "four DHCP clients have leases, two with the option"
[ "$failed" = 0 ] || finish
# Every client of perfdhcp has had a lease before anything is measured.
wait_for 60 all_leased
ok $? "$(wc -l <"$dir/before") others have leases"
load_all "$seconds"
soak
wait_loads
leases >"$dir/after"
read -r n_discarded n_with <<<"$(discarded)"
report

[ ! -s "$dir/bad-answers" ] && [ "$reloads" -ge $((seconds / 6)) ]
ok $? "Kea carried out each of $reloads reloads"
[ ! -s "$dir/bad-answers" ] || sed 's/^/# /' "$dir/bad-answers"
[ "$n_with" -ge $((reloads / 3)) ]
ok $? "at $n_with of them packets were parked"
comm -23 "$dir/before" "$dir/after" >"$dir/lost"
[ ! -s "$dir/lost" ]
ok $? "nobody lost a lease ($(wc -l <"$dir/before") clients)"
bad=0
for h in plain1 plain2 asks1 asks2; do kept $h $((seconds / 15)) || bad=1; done
ok $bad "DHCP clients renewed all the time and kept their addresses"
perf load2 REQUEST-ACK
[ "$sent" -gt 0 ] && [ $((received * 100)) -ge $((sent * 95)) ]
ok $? "clients that do not ask are not held up: $received of $sent requests answered"
steady kea 2 "$kea_kb"
ok $? "Kea's memory is steady: $grown KB"
steady kea 3 0
ok $? "Kea's descriptors are: $grown"
steady kea 4 0
ok $? "Kea's threads are: $grown"
steady broker 2 "$broker_kb"
ok $? "the broker's memory is steady: $grown KB"
steady broker 3 0
ok $? "the broker's descriptors are: $grown"

wait_for 60 undisturbed
ok $? "after the reloads every exchange of two seconds completes"
perf load1 REQUEST-ACK
[ $(($(status pubaddr-granted) - granted)) -ge "$received" ] && [ "$received" -gt 0 ]
ok $? "and who asks gets the option"
! grep -E 'UNRECOVERABLE|PUBADDR_CALLOUT_FAILED|PUBADDR_BROKER_NONSENSE|FATAL' "$dir/kea.log" && ! grep ' ERROR ' "$dir/broker.log"
ok $? "neither logged an error"
finish
