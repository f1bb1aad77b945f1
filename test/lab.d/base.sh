# shellcheck shell=bash
# shellcheck disable=SC2034 # set here, used in the other files
# SPDX-License-Identifier: MPL-2.0
# Names, options, hosts (a namespace each), and the processes in them. Sourced by test/lab.

LAB_NAME=${PUBADDR_LAB:-pa}
LAB_DIR=/run/pubaddr-lab/$LAB_NAME
LAB_NAT=port-restricted
LAB_CLIENTS=1
LAB_COLOCATED=no
LAB_HOOK=yes
LAB_LEASE_TIME=3600
LAB_QUARANTINE=120
LAB_TLS=no
LAB_KEEPALIVE=25
LAB_GATEWAYS=1
LAB_LANS=1
LAB_BIRD=no
LAB_OUTBOUND=tunnel
LAB_BROKER_POOL=203.0.113.0/24
if [ -n "${PUBADDR_BUILD:-}" ]; then
	LAB_BUILD=$(cd "$PUBADDR_BUILD" && pwd)
elif [ -e "$LAB_TOP/../build/config.status" ]; then
	LAB_BUILD=$(cd "$LAB_TOP/../build" && pwd)
else
	LAB_BUILD=$(cd "$LAB_TOP/.." && pwd)
fi

# Debian's AppArmor profiles of kea-dhcp4, dhclient and tcpdump know this machine's files, not those of a lab.
UNCONFINED=()
if [ -d /sys/kernel/security/apparmor ] && command -v aa-exec >/dev/null; then
	UNCONFINED=(aa-exec -p unconfined --)
fi

say() { echo "lab: $*" >&2; }
die() { say "$*" && exit 1; }

# give_up WHAT: a step of `up` failed. Says so with the newest log lines, and takes everything down again.
give_up() {
	trap - ERR INT TERM
	set +e
	[ "$BASHPID" = $$ ] || exit 1 # a subshell: its parent will say so
	local log
	[[ $1 == return* ]] || say "failed: $1"
	for log in "$LAB_DIR"/log/*; do
		[ -s "$log" ] && tail -n "${LAB_LOG_LINES:-3}" "$log" | sed "s|^|lab:   ${log##*/}: |"
	done | tail -n 40 >&2
	take_down
	say "everything is taken down again"
	exit 1
}

parse_up() {
	[[ $LAB_NAME =~ ^[a-z0-9]{1,12}$ ]] || die "PUBADDR_LAB must be 1 to 12 small letters or digits, not '$LAB_NAME'"
	while [ $# -gt 0 ]; do
		case $1 in
		--nat) LAB_NAT=${2:-} && shift ;;
		--clients) LAB_CLIENTS=${2:-} && shift ;;
		--lease-time) LAB_LEASE_TIME=${2:-} && shift ;;
		--tls) LAB_TLS=yes ;;
		--keepalive) LAB_KEEPALIVE=${2:-} && shift ;;
		--gateways) LAB_GATEWAYS=${2:-} && shift ;;
		--lans) LAB_LANS=${2:-} && shift ;;
		--quarantine) LAB_QUARANTINE=${2:-} && shift ;;
		--broker-pool) LAB_BROKER_POOL=${2:-} && shift ;;
		--outbound) LAB_OUTBOUND=${2:-} && shift ;;
		--colocated) LAB_COLOCATED=yes ;;
		--bird) LAB_BIRD=yes ;;
		--no-hook) LAB_HOOK=no ;;
		*) die "up: unknown option '$1'; see: $0 help" ;;
		esac
		shift
	done
	[[ $LAB_NAT =~ ^(port-restricted|symmetric|double)$ ]] ||
		die "up: --nat wants port-restricted, symmetric or double, not '$LAB_NAT'"
	[[ $LAB_CLIENTS =~ ^[1-9][0-9]?$ ]] || die "up: --clients wants a number from 1 to 99, not '$LAB_CLIENTS'"
	[[ $LAB_LEASE_TIME =~ ^[1-9][0-9]{0,6}$ ]] || die "up: --lease-time wants seconds, not '$LAB_LEASE_TIME'"
	[[ $LAB_KEEPALIVE =~ ^[1-9][0-9]{1,2}$ ]] || die "up: --keepalive wants seconds, 15 to 120, not '$LAB_KEEPALIVE'"
	[[ $LAB_GATEWAYS =~ ^[12]$ ]] || die "up: --gateways wants 1 or 2, not '$LAB_GATEWAYS'"
	[[ $LAB_LANS =~ ^[12]$ ]] || die "up: --lans wants 1 or 2, not '$LAB_LANS'"
	[ "$LAB_GATEWAYS" = 1 ] || [ "$LAB_TLS$LAB_COLOCATED" = nono ] || die "up: --gateways 2 goes neither with --tls nor with --colocated"
	[[ $LAB_OUTBOUND =~ ^(tunnel|native|auto|policy)$ ]] ||
		die "up: --outbound wants tunnel, native, auto or policy, not '$LAB_OUTBOUND'"
	[[ $LAB_QUARANTINE =~ ^[0-9]{1,5}$ ]] || die "up: --quarantine wants seconds, not '$LAB_QUARANTINE'"
	[[ $LAB_BROKER_POOL =~ ^203\.0\.113\.[0-9]+/[0-9]+$ ]] || die "up: --broker-pool wants a part of 203.0.113.0/24, not '$LAB_BROKER_POOL'"
}

save_options() {
	local v
	for v in LAB_NAT LAB_CLIENTS LAB_COLOCATED LAB_HOOK LAB_LEASE_TIME LAB_TLS LAB_OUTBOUND LAB_KEEPALIVE LAB_GATEWAYS LAB_LANS LAB_BIRD LAB_QUARANTINE LAB_BROKER_POOL LAB_BUILD LAB_PATH LAB_STAGE; do
		echo "$v='${!v}'"
	done >"$LAB_DIR/options"
}

need_tools() {
	local pair missing=""
	for pair in ip:iproute2 nft:nftables conntrack:conntrack ethtool:ethtool kea-dhcp4:kea-dhcp4-server \
		dhclient:isc-dhcp-client dnsmasq:dnsmasq-base vsftpd:vsftpd socat:socat ping:iputils-ping; do
		command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
	done
	[ -z "$missing" ] || die "programs are missing; on Debian: apt-get install$missing"
}

# wait_for SECONDS WHAT COMMAND...: polls COMMAND until it succeeds; fails with a message when the time is over.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((${EPOCHREALTIME/./} > end)); then
			say "waited in vain for: $what"
			return 1
		fi
		sleep 0.03
	done
}

# ---------------------------------------------------------------- what is under test

# Every host sees what `make install` would put on it: LAB_STAGE, a staged installation in the build tree, lies over its
# /usr and /etc. It is renewed when the build is newer. With --no-hook an unbuilt tree is a plain network without our programs.
stage() {
	local f missing=""
	LAB_STAGE=$LAB_BUILD/lab-stage
	LAB_PATH=$PATH
	for f in broker/pubaddr-brokerd broker/pubaddrctl tunnel/pubaddr-gatewayd tunnel/pubaddr-tunneld tunnel/pubaddr \
		client-hook/pubaddr-dhcp-helper kea-hook/libdhcp_pubaddr.la; do
		[ -e "$LAB_BUILD/$f" ] || missing="$missing $f"
	done
	if [ -n "$missing" ]; then
		[ "$LAB_HOOK" = no ] || die "not built in $LAB_BUILD:$missing; run make there, or set PUBADDR_BUILD"
		say "not built in $LAB_BUILD:$missing; a plain network without them"
		LAB_STAGE=
		return
	fi
	(
		flock 9
		stage_fresh || stage_install
	) 9>"$LAB_BUILD/.lab-stage.lock"
	LAB_PATH=$(dirname "$(staged pubaddr-brokerd)"):$(dirname "$(staged pubaddr '*/bin/*')"):$PATH
}

stage_fresh() {
	[ -e "$LAB_STAGE/fresh" ] &&
		[ -z "$(find "$LAB_BUILD"/{broker,tunnel,relay,client-hook,kea-hook} -type f -newer "$LAB_STAGE/fresh" \
			! -name '*.o' ! -name '*.lo' ! -name '*.Plo' ! -name '*.Po' -print -quit)" ]
}

stage_install() {
	say "staging the installation of $LAB_BUILD"
	rm -rf "$LAB_STAGE"
	mkdir "$LAB_STAGE"
	make -s -C "$LAB_BUILD" install DESTDIR="$LAB_STAGE" >"$LAB_DIR/log/stage" 2>&1
	[ -n "$(staged libdhcp_pubaddr.so)" ] || die "the installation has no libdhcp_pubaddr.so below /usr or /opt"
	: >"$LAB_STAGE/fresh"
}

# staged NAME [PATH]: where a host sees an installed file.
staged() { find "$LAB_STAGE" -type f -name "$1" -path "${2:-*}" -printf '/%P\n' -quit; }

# ---------------------------------------------------------------- hosts

host_names() {
	echo lan inet peer gateway
	[ "$LAB_GATEWAYS" = 1 ] || echo gateway2
	[ "$LAB_COLOCATED" = yes ] || echo broker
	echo dhcp nat
	[ "$LAB_NAT" != double ] || echo nat2
	seq -f 'client%g' 1 "$LAB_CLIENTS"
}

# host_of NAME: the host that NAME (an alias or a namespace) means.
host_of() {
	local h=${1#"$LAB_NAME-"}
	[ "$h" = broker ] && [ "$LAB_COLOCATED" = yes ] && h=gateway
	[ "$h" = client ] && h=client1
	echo "$h"
}

ns_of() { echo "$LAB_NAME-$(host_of "$1")"; }

# nsrun HOST COMMAND...: the one way into a host: its network, its files, its name.
nsrun() {
	local h
	h=$(host_of "$1")
	shift
	[ -r "$LAB_DIR/hosts/$h/holder" ] || die "no host '$h' in lab '$LAB_NAME'"
	PATH=$LAB_PATH nsenter -t "$(<"$LAB_DIR/hosts/$h/holder")" -m -u -n -- "${UNCONFINED[@]}" "$@"
}

# A host is a network namespace and one process that holds its mounts and its name.
host_start() {
	local dir=$LAB_DIR/hosts/$1
	mkdir -p "$dir"/{etc,work,run/pubaddr,lib/pubaddr}
	ip netns add "$LAB_NAME-$1"
	nsenter --net="/run/netns/$LAB_NAME-$1" unshare -m -u -- bash "$LAB_TOP/lab.d/holder.sh" "$LAB_DIR" "$1" "$LAB_STAGE" \
		</dev/null >"$LAB_DIR/log/$1.holder" 2>&1 &
	echo $! >"$dir/holder"
}

hosts_start() {
	local h
	for h in $(host_names); do
		host_start "$h"
	done
	for h in $(host_names); do
		wait_for 5 "host $h" test -e "$LAB_DIR/hosts/$h/ready"
	done
}

# ---------------------------------------------------------------- processes

# spawn HOST NAME COMMAND...: starts COMMAND in HOST, its output in LAB_DIR/log/NAME, its process id in LAB_DIR/pids/NAME.
spawn() {
	local h name=$2
	h=$(host_of "$1")
	mkdir -p "$LAB_DIR/commands"
	printf '%q ' "$@" >"$LAB_DIR/commands/$name"
	shift 2
	PATH=$LAB_PATH setsid nsenter -t "$(<"$LAB_DIR/hosts/$h/holder")" -m -u -n -- "${UNCONFINED[@]}" "$@" \
		</dev/null >>"$LAB_DIR/log/$name" 2>&1 &
	echo $! >"$LAB_DIR/pids/$name"
	disown $!
}

alive() { kill -0 "$(<"$LAB_DIR/pids/$1")" 2>/dev/null; }

# stop NAME [SIGNAL]: ends what spawn started and waits until it is gone.
stop() {
	[ -e "$LAB_DIR/pids/$1" ] || return 0
	kill "-${2:-TERM}" "$(<"$LAB_DIR/pids/$1")" 2>/dev/null || true
	wait_for 10 "end of $1" process_gone "$1"
	rm -f "$LAB_DIR/pids/$1"
}

process_gone() { ! alive "$1"; }

lab_namespaces() { ip netns list 2>/dev/null | awk -v p="$LAB_NAME-" 'index($1, p) == 1 {print $1}'; }

# Every process in a namespace of this lab was started by this lab, or in it on somebody's request.
lab_processes() {
	local ns
	for ns in $(lab_namespaces); do
		ip netns pids "$ns" 2>/dev/null || true
	done
}

nobody_left() { [ -z "$(lab_processes)" ]; }

# remove_groups NUMBER: the control groups of a network namespace, which all namespaces share.
remove_groups() {
	local dir
	dir=$(awk '$3 == "cgroup2" {d = $2} END {print d}' /proc/self/mounts)
	[ -z "$dir" ] || find "$dir" -depth -type d -name "pubaddr-*-$1" -exec rmdir {} + 2>/dev/null || true
}

take_down() {
	local ns pids
	pids=$(lab_processes | paste -sd' ')
	# shellcheck disable=SC2086 # a list
	if [ -n "$pids" ]; then
		kill $pids 2>/dev/null || true
		wait_for 3 "end of processes" nobody_left 2>/dev/null || {
			pids=$(lab_processes | paste -sd' ')
			kill -KILL $pids 2>/dev/null || true
			wait_for 5 "end of killed processes" nobody_left || true
		}
	fi
	for ns in $(lab_namespaces); do
		remove_groups "$(stat -Lc %i "/run/netns/$ns")"
		ip netns del "$ns"
	done
	rm -rf "$LAB_DIR"
	rmdir "${LAB_DIR%/*}" 2>/dev/null || true
}

cmd_down() { take_down; }
