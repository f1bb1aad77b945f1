# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# What the benchmarks share: rounds, statistics, the results for people and for programs. Sourced.
#   BENCH_ROUNDS    rounds instead of the benchmark's own number
#   BENCH_RESULTS   folder of NAME.jsonl, instead of bench-results in the source folder
#   PUBADDR_BUILD   the build under test, as for test/lab
set -uo pipefail

BENCH_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BENCH_SRC=$(cd "$BENCH_TOP/../.." && pwd)
TMP=$(mktemp -d)

say() { echo "bench: $*" >&2; }
die() { say "$*" && exit 1; }

# bench_begin NAME ROUNDS PROGRAM...: ROUNDS is the default number; the programs are those that it needs.
bench_begin() {
	local p missing=""
	BENCH=$1
	ROUNDS=${BENCH_ROUNDS:-$2}
	shift 2
	[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || die "BENCH_ROUNDS: expected a number from 1, got '$ROUNDS'"
	[ "$(id -u)" = 0 ] || die "needs root, for network namespaces"
	for p in "$@"; do
		command -v "$p" >/dev/null || missing="$missing $p"
	done
	[ -z "$missing" ] || die "programs are missing:$missing; install the packages of test/packages: test/install-packages --tests"
	export PUBADDR_BUILD=${PUBADDR_BUILD:-$BENCH_SRC/build}
	[ -e "$PUBADDR_BUILD/config.status" ] || die "no build in $PUBADDR_BUILD; build there, or set PUBADDR_BUILD"
	PUBADDR_BUILD=$(cd "$PUBADDR_BUILD" && pwd)
	BENCH_RESULTS=${BENCH_RESULTS:-$BENCH_SRC/bench-results}
	mkdir -p "$BENCH_RESULTS" || exit 1
	: >"$TMP/table"
	describe_machine
}

# Figures mean nothing without what they were taken on, and how busy that was.
describe_machine() {
	local commit cpu
	commit=$(git -C "$BENCH_SRC" describe --always --dirty 2>/dev/null || echo none)
	cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1 | tr -d '"\\')
	printf -v MACHINE '"time": "%s", "commit": "%s", "cpu": "%s", "cpus": %d, "kernel": "%s", "load": %s' \
		"$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$commit" "$cpu" "$(nproc)" "$(uname -r)" "$(cut -d' ' -f1 /proc/loadavg)"
	say "$BENCH, $ROUNDS round(s), on $(nproc) x $cpu, load $(cut -d' ' -f1 /proc/loadavg)"
}

# record VARIANT METRIC VALUE UNIT [MEMBER...]: one result; a MEMBER is more JSON, such as '"rate": 3000'. LABEL, if it is set, names the
# line of the table, where a metric has several.
record() {
	local more=""
	[[ $3 =~ ^-?[0-9]+(\.[0-9]+)?$ ]] || die "$1: no figure for $2, got '$3'"
	[ $# -lt 5 ] || more=$(printf ', %s' "${@:5}")
	printf '{"bench": "%s", "variant": "%s", "metric": "%s", "value": %s, "unit": "%s", "rounds": %d%s, %s}\n' \
		"$BENCH" "$1" "$2" "$3" "$4" "$ROUNDS" "$more" "$MACHINE" >>"$BENCH_RESULTS/$BENCH.jsonl"
	printf '%s\t%s\t%s\t%s\n' "$1" "${LABEL:-$2}" "$3" "$4" >>"$TMP/table"
}

# bench_end: the table, a line for each metric and a column for each variant that has it.
bench_end() {
	awk -F'\t' '
		!($2 in m) {m[$2] = $4; metrics[++nm] = $2}
		{value[$2, $1] = $3; if (!(($2, $1) in has)) {has[$2, $1] = 1; of[$2] = of[$2] FS $1}}
		END {
			for (j = 1; j <= nm; j++) {
				if (of[metrics[j]] != last) {
					last = of[metrics[j]]
					nv = split(substr(last, 2), variants, FS)
					printf "%s%-28s %-8s", (j > 1 ? "\n" : ""), "", "unit"
					for (i = 1; i <= nv; i++) printf " %22s", variants[i]
					print ""
				}
				printf "%-28s %-8s", metrics[j], m[metrics[j]]
				for (i = 1; i <= nv; i++) printf " %22s", value[metrics[j], variants[i]]
				print ""
			}
		}' "$TMP/table"
	say "results added to $BENCH_RESULTS/$BENCH.jsonl"
}

# quantile Q: of the numbers on standard input, one a line; Q from 0 to 1. Between two it interpolates.
quantile() {
	sort -g | awk -v q="$1" '{x[NR] = $1} END {
		if (NR == 0) exit 1
		at = 1 + q * (NR - 1); i = int(at)
		printf "%.6g\n", x[i] + (i < NR ? (at - i) * (x[i + 1] - x[i]) : 0)
	}'
}
median() { quantile 0.5; }
worst() { quantile 1; }

# calc EXPRESSION [DIGITS]
calc() { awk "BEGIN {printf \"%.${2:-3}f\\n\", $1}"; }

# cpu_ms PID...: processor time that these processes have used, user and system, in milliseconds.
cpu_ms() {
	local pid hz
	hz=$(getconf CLK_TCK)
	for pid in "$@"; do
		sed 's/.*) //' "/proc/$pid/stat" || die "process $pid has ended"
	done | awk -v hz="$hz" '{n += $12 + $13} END {printf "%d\n", n * 1000 / hz}'
}

# machine_cpu_ms: processor time of everything on this machine, but for idling and waiting.
machine_cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '$1 == "cpu" {printf "%d\n", ($2 + $3 + $4 + $7 + $8) * 1000 / hz}' /proc/stat; }

# within SECONDS COMMAND...: polls COMMAND until it succeeds.
within() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# links PREFIX MODE: the links of all namespaces of that prefix let packets of 64 KB pass (veth), or frames of 1500 bytes with finished
# checksums (wire).
links() {
	local ns dev big=(tx on tso on gso on gro on)
	[ "$2" = veth ] || big=(tx off tso off gso off gro on)
	for ns in $(ip netns list | awk -v p="$1" 'index($1, p) == 1 {print $1}'); do
		for dev in $(ip -n "$ns" -o link show type veth | sed 's/^[0-9]*: \([^@:]*\).*/\1/'); do
			ip netns exec "$ns" ethtool -K "$dev" "${big[@]}" >/dev/null 2>&1
		done
	done
}
