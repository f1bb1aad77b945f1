# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh disable=SC2034 # used by those who source this
# The network of the tunnel's namespace tests, sourced; TAP by ok and is. Namespaces and processes are removed on exit.
#
#  c 192.168.77.10 -- .1 n 192.0.2.2 -- .1 i .129 -- 192.0.2.130 p
#    eth0                   wan            .1 -- 198.51.100.10 g, pool 203.0.113.0/24
NATIP=192.0.2.2
PEER=192.0.2.130
GW=198.51.100.10
DNS=192.0.2.131
bin=$(cd "${top_builddir:?}/tunnel" && pwd)
tool=$(cd "$top_builddir/test/netns" && pwd)/tunnel_tool
net=patedge$$- # no two runs meet
dir=
bpf_dir= # for the programs in the kernel; empty: the ordinary one
pids=
n=0
failed=0

c() { ip netns exec "${net}c" "$@"; }
p() { ip netns exec "${net}p" "$@"; }
g() { ip netns exec "${net}g" "$@"; }
watch() { pids="$pids $1"; }

need_root() {
	for cmd in ip nft socat sha256sum; do
		command -v $cmd >/dev/null 2>&1 || { echo "1..0 # SKIP $cmd is missing"; exit 0; }
	done
	[ "$(id -u)" -eq 0 ] && ip netns add "${net}probe" 2>/dev/null || { echo '1..0 # SKIP needs root and network namespaces'; exit 0; }
	ip netns del "${net}probe"
	[ -c /dev/net/tun ] || { echo '1..0 # SKIP needs /dev/net/tun'; exit 0; }
}

# is_ours PID: a process of this test that has not ended, and not another one that has its number since.
is_ours() { [ "$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$1/stat" 2>/dev/null)" = "$me" ]; }

cleanup() {
	me=$(exec sh -c 'echo $PPID') # $$ is another one in a part of a test in parentheses
	for pid in $pids; do
		! is_ours "$pid" || kill "$pid" 2>/dev/null
	done
	wait
	for ns in c n i g p; do
		# Children of what was ended, such as socat's.
		ip netns pids "$net$ns" 2>/dev/null | xargs -r kill 2>/dev/null
		ip netns del "$net$ns" 2>/dev/null
	done
	[ -z "$dir" ] || rm -rf "$dir"
}

link() { # link NS1 IF1 ADDR1 NS2 IF2 ADDR2
	ip link add "$2" netns "$net$1" type veth peer name "$5" netns "$net$4" &&
		ip -n "$net$1" addr add "$3" dev "$2" && ip -n "$net$1" link set "$2" up &&
		ip -n "$net$4" addr add "$6" dev "$5" && ip -n "$net$4" link set "$5" up
}

net_up() {
	dir=$(mktemp -d) || exit 99
	trap cleanup EXIT
	trap 'exit 1' INT TERM
	for ns in c n i g p; do
		ip netns add "$net$ns" || exit 99
		ip -n "$net$ns" link set lo up
		ip netns exec "$net$ns" sysctl -q -w net.ipv4.conf.all.rp_filter=1 \
			net.ipv4.conf.default.rp_filter=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
	done
	link c eth0 192.168.77.10/24 n lan 192.168.77.1/24 && link n wan $NATIP/30 i nat 192.0.2.1/30 &&
		link g eth0 $GW/24 i gw 198.51.100.1/24 && link p eth0 $PEER/25 i peer 192.0.2.129/25 || exit 99
	for ns in n i g; do
		ip netns exec "$net$ns" sysctl -q -w net.ipv4.ip_forward=1
	done
	ip -n "${net}c" route add default via 192.168.77.1
	ip -n "${net}n" route add default via 192.0.2.1
	ip -n "${net}g" route add default via 198.51.100.1
	ip -n "${net}p" route add default via 192.0.2.129
	ip -n "${net}i" route add 203.0.113.0/24 via $GW
	ip netns exec "${net}n" nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority srcnat; };
		add rule ip nat post oif wan masquerade'
	ip netns exec "${net}i" nft 'add table ip isp; add counter ip isp leaked;
		add chain ip isp pre { type filter hook prerouting priority raw; };
		add rule ip isp pre iif nat ip saddr != 192.0.2.2 counter name leaked drop;
		add rule ip isp pre iif gw ip saddr != { 198.51.100.10, 203.0.113.0/24 } counter name leaked drop;
		add rule ip isp pre iif peer ip saddr != 192.0.2.128/25 counter name leaked drop'
}

leaked() { ip netns exec "${net}i" nft list counter ip isp leaked | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

# `ip netns exec` hides the BPF file system, which programs in the kernel need.
with_bpf() { # with_bpf NS PROGRAM ARGUMENT...: exec, so that $! is the program
	ns=$1
	shift
	[ "${DATAPATH:-auto}" != kernel ] || set -- sh -c 'mount -t bpf bpf /sys/fs/bpf && exec "$@"' - "$@"
	exec ip netns exec "$net$ns" "$@"
}

start_gateway() {
	[ -e "$dir/gateway.key" ] || "$tool" keys "$dir/gateway.key"
	cat >"$dir/gatewayd.conf" <<-END
		{
		  "listen": [${LISTEN:-\"$GW:6080\"}], "datapath": "${DATAPATH:-auto}", "device-address": "$GW", "key-file": "$dir/gateway.key",
		  "pools": [{"id": 1, "prefix": "203.0.113.0/24"}],
		  "allow": ["192.0.2.0/24"], "control-socket": "$dir/gateway.sock",
		  "state-file": "$dir/gateway.state"${bpf_dir:+, \"bpf-dir\": \"$bpf_dir\"}
		}
	END
	g "$bin/pubaddr-gatewayd" -t -c "$dir/gatewayd.conf" >/dev/null || exit 99
	with_bpf g "$bin/pubaddr-gatewayd" -c "$dir/gatewayd.conf" 2>>"$dir/gatewayd.log" & gateway_pid=$!
	watch $gateway_pid
	retry "$tool" call "$dir/gateway.sock" version-get >/dev/null
}

start_client() {
	cat >"$dir/tunneld.conf" <<-END
		{
		  "allow-documentation": true, "key-file": "$dir/client.key", "state-dir": "$dir", "run-dir": "$dir"${bpf_dir:+, \"bpf-dir\": \"$bpf_dir\"},
		  ${RELAY:+\"relay\": {\"address\": \"$RELAY\"\}, }"datapath": "${DATAPATH:-auto}"
		}
	END
	with_bpf c "$bin/pubaddr-tunneld" -i eth0 -c "$dir/tunneld.conf" 2>>"$dir/tunneld.log" & client_pid=$!
	watch $client_pid
	retry "$tool" call "$dir/tunneld-eth0.sock" version-get >/dev/null
	key=$("$bin/pubaddr" --key-file "$dir/client.key" key)
}

put_grant() { # put_grant ADDR EPOCH LIFETIME; GRANT_RELAY: the relay that it names
	hex=$("$tool" grant "$dir/gateway.key" "$key" "$1" "$2" "$3" "${GRANT_GATEWAY:-$GW:6080}" ${GRANT_RELAY:+"$GRANT_RELAY"}) || return 1
	"$tool" call "$dir/tunneld-eth0.sock" grant-put "{\"grant\": \"$hex\", \"reason\": \"BOUND\", \"lease-time\": $3,
		\"dhcp-server\": \"192.168.77.1\", \"routers\": [\"192.168.77.1\"], \"resolvers\": [\"$DNS\"]}" >/dev/null
}

retry() { # until the command succeeds, 10 s at most
	tries=0
	until "$@" >"$dir/retry" 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.1
	done
	cat "$dir/retry"
}
p_retry() { retry p "$@"; }
c_retry() { retry c "$@"; }
status_has() { "$bin/pubaddr" --json --run-dir "$dir" status 2>/dev/null | grep -q "\"$1\""; }
wait_for() { retry status_has "$1"; }

plan() { echo "1..$1"; }
ok() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
	fi
}
is() {
	n=$((n + 1))
	if [ "$1" = "$2" ]; then
		echo "ok $n - $3"
	else
		echo "not ok $n - $3"
		echo "# got: $1, wanted: $2"
		failed=1
	fi
}
finish() {
	if [ $failed -ne 0 ]; then
		sed 's/^/# /' "$dir/tunneld.log" "$dir/gatewayd.log" 2>/dev/null
		exit 1
	fi
}
