# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh disable=SC2034 # used by those who source this
# Four daemons in a network namespace of their own, sourced; TAP by ok. All is removed on exit.
set -u
top=${top_builddir:?}
bin_b=$(cd "$top/broker" && pwd)
bin_t=$(cd "$top/tunnel" && pwd)
bin_r=$(cd "$top/relay" && pwd)
dir=$(mktemp -d) || exit 99
ns=pahost$$
pids=
n=0
failed=0

cleanup() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	wait
	ip netns del "$ns" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

ok() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
	fi
}
finish() {
	echo "1..$n"
	exit $failed
}
skip_all() { echo "1..0 # SKIP $*"; exit 0; }
[ -x "$bin_b/pubaddr-brokerd" ] && [ -x "$bin_t/pubaddr-gatewayd" ] && [ -x "$bin_t/pubaddr-tunneld" ] && [ -x "$bin_r/pubaddr-relayd" ] ||
	skip_all 'needs all daemons'
[ "$(id -u)" -eq 0 ] && ip netns add "$ns" 2>/dev/null || skip_all 'needs root and network namespaces'
[ -c /dev/net/tun ] || skip_all 'needs /dev/net/tun'
in_ns() { ip netns exec "$ns" "$@"; }
in_ns ip link set lo up
in_ns ip link add eth0 type veth peer name far0 && in_ns ip addr add 198.51.100.10/24 dev eth0
in_ns ip link set eth0 addrgenmode none && in_ns ip link set far0 addrgenmode none
in_ns ip link set eth0 up && in_ns ip link set far0 up

d=$dir/d # what the daemons see; $dir itself holds our own notes
chmod 755 "$dir"
pid=0
key=00112233445566778899aabbccddeeff00112233445566778899aabbccddee

# fresh: four good configurations, each value on a line of its own, and their keys.
fresh() {
	rm -rf "$d"
	mkdir -p "$d/run" "$d/state"
	echo "master 1 ${key}01" >"$d/master.key"
	printf 'gateway %s02\npool 1 1 %s03\npool 1 2 %s04\n' $key $key $key >"$d/gateway.key"
	echo "client ${key}04" >"$d/client.key"
	chmod 600 "$d"/*.key
	cat >"$d/brokerd.conf" <<-END
		{
		  "socket": "$d/run/broker.sock",
		  "database": "$d/state/broker.db",
		  "master-key-file": "$d/master.key",
		  "realms": ["campus"],
		  "gateway-groups": [{"name": "main", "public-key": "${key}05", "gateways": ["198.51.100.10:6080"]}],
		  "pools": [
		    {"id": 1, "name": "one", "prefix": "203.0.113.0/25", "gateway-group": "main"},
		    {"id": 2, "name": "two", "prefix": "203.0.113.128/25", "gateway-group": "main"}
		  ]
		}
	END
	cat >"$d/gatewayd.conf" <<-END
		{
		  "listen": ["198.51.100.10:6080"],
		  "device": "pubgw0",
		  "device-address": "198.51.100.10",
		  "key-file": "$d/gateway.key",
		  "pools": [
		    {"id": 1, "prefix": "203.0.113.0/25"},
		    {"id": 2, "prefix": "203.0.113.128/25"}
		  ],
		  "control-socket": "$d/run/gateway.sock",
		  "state-file": "$d/run/gateway.state"
		}
	END
	# The relay's is the gateway's, with a section.
	sed -n '/state-file/!p; /state-file/{s/$/,/p; q}' "$d/gatewayd.conf" >"$d/relayd.conf"
	cat >>"$d/relayd.conf" <<-END
		  "relay": {
		    "listen": ["198.51.100.10:443"],
		    "max-clients": 100,
		    "max-sessions": 1000,
		    "control-socket": "$d/run/relay.sock"
		  }
		}
	END
	cat >"$d/tunneld.conf" <<-END
		{
		  "device": "pub0",
		  "key-file": "$d/client.key",
		  "state-dir": "$d/state",
		  "run-dir": "$d/run",
		  "table": 6080
		}
	END
}

edit() { sed -i "$2" "$d/$1.conf"; }
daemon() { # daemon NAME: the command line that starts it
	case $1 in
	brokerd) echo "$bin_b/pubaddr-brokerd -c $d/brokerd.conf" ;;
	gatewayd) echo "$bin_t/pubaddr-gatewayd -c $d/gatewayd.conf" ;;
	relayd) echo "$bin_r/pubaddr-relayd -c $d/relayd.conf" ;;
	tunneld) echo "$bin_t/pubaddr-tunneld -i ${iface:-eth0} -c $d/tunneld.conf" ;;
	esac
}

# start NAME: a good one, in the background, until it serves its socket.
start() {
	: >"$dir/$1.log" # what a former one said does not count
	# shellcheck disable=SC2046 # words are wanted
	ip netns exec "$ns" $(daemon "$1") >"$dir/$1.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	tries=0
	until [ -S "$2" ] && grep -qE '\.start ' "$dir/$1.log"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || { sed 's/^/# /' "$dir/$1.log" && exit 99; }
		sleep 0.1
	done
}
stop_all() {
	for pid in $pids; do
		kill "$pid" && wait "$pid"
	done
	pids=
}
