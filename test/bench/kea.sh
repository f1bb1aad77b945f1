#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What the hook costs kea-dhcp4: perfdhcp in one namespace, Kea with two threads in another, the real broker beside it.
#   plain                 without the hook
#   pubaddr               with it, every client asks for a public address
#   pubaddr-not-asking    with it, nobody asks
# For each round and variant Kea and broker start afresh. First a fixed rate (3,000 DORA/s, or what the machine carries
# with the slowest variant): processor time for each ACK, and the time from REQUEST to ACK. Then more than it can carry, and
# from there less: the most exchanges that were completed in a second.
#   BENCH_KEA_RATE      the fixed rate to begin with (3000)
#   BENCH_KEA_SECONDS   length of a run (5)
# shellcheck source=test/bench/bench.sh
. "$(dirname "$0")/bench.sh"
# shellcheck source=test/kea-folders.sh
. "$BENCH_TOP/../kea-folders.sh"
rate=${BENCH_KEA_RATE:-3000}
seconds=${BENCH_KEA_SECONDS:-5}
bench_begin kea 5 ip kea-dhcp4 perfdhcp perl
hook=$PUBADDR_BUILD/kea-hook/.libs/libdhcp_pubaddr.so
brokerd=$PUBADDR_BUILD/broker/pubaddr-brokerd
ctl=$PUBADDR_BUILD/broker/pubaddrctl
[ -e "$hook" ] && [ -x "$brokerd" ] || die "hook and broker are not built in $PUBADDR_BUILD"
server=pabench-s$$
client=pabench-c$$
variants="plain pubaddr pubaddr-not-asking"
kea_pid='' broker_pid=''

# Debian's AppArmor profile of kea-dhcp4 knows this machine's files, not ours.
unconfined=()
if [ -d /sys/kernel/security/apparmor ] && command -v aa-exec >/dev/null; then
	unconfined=(aa-exec -p unconfined --)
fi

end_pid() {
	[ -n "$1" ] || return 0
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
stop_servers() {
	end_pid "$kea_pid"
	end_pid "$broker_pid"
	kea_pid='' broker_pid=''
}
cleanup() {
	stop_servers
	ip netns del "$client" 2>/dev/null
	ip netns del "$server" 2>/dev/null
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

network() {
	ip netns add "$server" && ip netns add "$client" || return
	ip -n "$server" link add dhcp0 type veth peer name lan0 netns "$client" || return
	ip -n "$server" addr add 10.96.0.1/11 dev dhcp0
	ip -n "$client" addr add 10.96.0.2/11 dev lan0
	ip -n "$server" link set dhcp0 up && ip -n "$client" link set lan0 up
}

# ---------------------------------------------------------------- servers

make_keys() {
	"$ctl" key new "$TMP/master.key" >/dev/null && "$ctl" key new-gateway "$TMP/gateway.key" >/dev/null 2>&1 &&
		gateway_key=$("$ctl" key public "$TMP/gateway.key")
}

start_broker() {
	rm -f "$TMP"/broker.*
	cat >"$TMP/broker.conf" <<-END
		{
		  "socket": "$TMP/broker.sock", "database": "$TMP/broker.db", "master-key-file": "$TMP/master.key",
		  "socket-users": [], "realms": ["bench"], "log-level": "warning",
		  "gateway-groups": [{"name": "main", "public-key": "$gateway_key", "gateways": ["192.0.2.1:6080"]}],
		  "pools": [{"id": 1, "name": "bench", "prefix": "198.18.0.0/15", "gateway-group": "main", "realms": ["bench"]}]
		}
	END
	"$brokerd" -c "$TMP/broker.conf" >"$TMP/broker.log" 2>&1 &
	broker_pid=$!
	within 5 test -S "$TMP/broker.sock" || { cat "$TMP/broker.log" >&2; die "the broker does not start"; }
}

start_kea() { # start_kea [LIBRARY]
	local hooks=""
	[ -z "${1:-}" ] || hooks="{\"library\": \"$(kea_library "$TMP" "$1")\", \"parameters\": {\"realm\": \"bench\", \"broker-socket\": \"$TMP/broker.sock\"}}"
	rm -f "$TMP"/leases* "$TMP/kea.log"
	cat >"$TMP/kea.conf" <<-END
		{"Dhcp4": {
		  "interfaces-config": {"interfaces": ["dhcp0"]},
		  "lease-database": {"type": "memfile", "name": "$TMP/leases", "lfc-interval": 0},
		  "control-socket": {"socket-type": "unix", "socket-name": "$TMP/kea.sock"},
		  "multi-threading": {"enable-multi-threading": true, "thread-pool-size": 2, "packet-queue-size": 64},
		  "valid-lifetime": 3600, "hooks-libraries": [$hooks],
		  "subnet4": [{"id": 1, "subnet": "10.96.0.0/11", "pools": [{"pool": "10.97.0.0 - 10.100.255.255"}]}],
		  "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "$TMP/kea.log"}]}]
		}}
	END
	# shellcheck disable=SC2046 # several assignments
	ip netns exec "$server" "${unconfined[@]}" env $(kea_folders "$TMP") \
		KEA_LOGGER_DESTINATION="$TMP/kea.log" kea-dhcp4 -c "$TMP/kea.conf" >"$TMP/kea.out" 2>&1 &
	kea_pid=$!
	within 20 kea_serves "${1:-}" || { cat "$TMP/kea.out" "$TMP/kea.log" >&2; die "Kea does not start"; }
}

kea_command() { perl "$BENCH_TOP/../hook/kea-command.pl" "$TMP/kea.sock" "{\"command\": \"$1\"}"; }
kea_serves() {
	ip netns exec "$server" ss -Hlun 'sport = 67' | grep -q . || return
	[ -z "$1" ] || kea_command pubaddr-status | grep -q '"broker-up": true'
}
granted() { kea_command pubaddr-status | grep -oE '"pubaddr-granted": [0-9]+' | sed 's/.*: //'; }

start_variant() {
	stop_servers
	if [ "$1" = plain ]; then
		start_kea
	else
		start_broker
		start_kea "$hook"
	fi
}

# ---------------------------------------------------------------- load

# load VARIANT OPTION...: sets acks, sent, per_s and p99 (ms, REQUEST to ACK) from perfdhcp's own time stamps.
load() {
	local asks=()
	[ "$1" != pubaddr ] || asks=(-o '224,0100')
	shift
	ip netns exec "$client" perfdhcp -4 -l lan0 -R 50000 -s 1 -x t "${asks[@]}" "$@" >"$TMP/perfdhcp" 2>&1
	sent=$(awk '/^sent packets:/ {print $3; exit}' "$TMP/perfdhcp")
	awk '/^\*\*\*/ {part = ""} /^\*\*\*Timestamps.*REQUEST-ACK/ {part = "ack"}
		part == "ack" && /^sent \/ received: [0-9]/ {print $4, $6}' "$TMP/perfdhcp" >"$TMP/acks"
	acks=$(wc -l <"$TMP/acks")
	[ "$acks" -gt 1 ] || { cat "$TMP/perfdhcp" "$TMP/kea.log" >&2; die "perfdhcp got no ACK"; }
	p99=$(awk '{print ($2 - $1) * 1000}' "$TMP/acks" | quantile 0.99)
	per_s=$(awk 'NR == 1 {from = $1; to = $2} $1 < from {from = $1} $2 > to {to = $2} END {printf "%d\n", NR / (to - from)}' "$TMP/acks")
}

# Given twice, -n makes perfdhcp wait for the last answers.
at_rate() { load "$1" -r "$2" -n $(($2 * seconds)) -n $(($2 * seconds)) -W 2000000; }
carried() { [ $((acks * 100)) -ge $((sent * 99)) ]; }

# The rate that the slowest variant carries with less than 1 % lost, at most $rate.
find_rate() {
	while :; do
		start_variant pubaddr
		at_rate pubaddr "$rate"
		! carried || return 0
		rate=$((rate * 8 / 10))
		[ "$rate" -ge 100 ] || die "this machine does not carry 100 DORA/s"
	done
}

fixed_rate() {
	local v=$1 kea broker=0 before=0
	kea=$(cpu_ms "$kea_pid")
	[ "$v" = plain ] || { broker=$(cpu_ms "$broker_pid"); before=$(granted); }
	at_rate "$v" "$rate"
	calc "($(cpu_ms "$kea_pid") - $kea) * 1000 / $acks" >>"$TMP/$v.cpu"
	echo "$p99" >>"$TMP/$v.p99"
	[ "$v" != pubaddr ] || {
		calc "($(cpu_ms "$broker_pid") - $broker) * 1000 / $acks" >>"$TMP/$v.broker"
		calc "($(granted) - $before) * 100 / $acks" >>"$TMP/$v.granted"
	}
}

# Too much load makes Kea work for clients whose next packet it will lose, so a little less may bring more.
most() {
	local offered=9000 best=0 percent=0 i before=0
	for i in 1 2 3; do
		[ "$1" != pubaddr ] || before=$(granted)
		load "$1" -r "$offered" -p "$seconds" -W 500000
		if [ "$per_s" -gt "$best" ]; then
			best=$per_s
			[ "$1" != pubaddr ] || percent=$(calc "($(granted) - $before) * 100 / $acks")
		fi
		! carried || [ "$i" = 3 ] || break
		offered=$((per_s * (i == 1 ? 110 : 95) / 100))
	done
	echo "$best" >>"$TMP/$1.most"
	echo "$percent" >>"$TMP/$1.most-granted"
}

network || die "cannot build namespaces"
make_keys || die "cannot make keys"
find_rate
for ((i = 1; i <= ROUNDS; i++)); do
	for v in $variants; do
		start_variant "$v"
		fixed_rate "$v"
		most "$v"
	done
done
stop_servers

at="\"rate\": $rate"
for v in $variants; do
	record "$v" dora_per_s "$(median <"$TMP/$v.most")" 1/s
	record "$v" cpu_us_per_ack "$(median <"$TMP/$v.cpu")" us "$at"
	record "$v" p99_ms "$(median <"$TMP/$v.p99")" ms "$at"
	[ "$v" = plain ] ||
		record "$v" added_p99_ms "$(paste "$TMP/$v.p99" "$TMP/plain.p99" | awk '{print $1 - $2}' | median)" ms "$at"
	[ "$v" != pubaddr ] || {
		record "$v" broker_cpu_us_per_ack "$(median <"$TMP/$v.broker")" us "$at"
		# An ACK that would come too late, or find too many waiting, leaves without the option.
		record "$v" granted_percent "$(median <"$TMP/$v.granted")" % "$at"
		record "$v" granted_percent_at_most "$(median <"$TMP/$v.most-granted")" %
	}
done
echo "fixed rate: $rate DORA/s"
bench_end
