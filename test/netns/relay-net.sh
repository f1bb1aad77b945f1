# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh disable=SC2154,SC2034,SC2020 # relay() sets NAME_pid; used by those who source this; tr replaces characters
# The network of tunnel-net.sh with a session relay beside the gateway, sourced.
. "${top_srcdir:?}/test/netns/tunnel-net.sh"
PUB=203.0.113.7
relayd=$(cd "$top_builddir/relay" && pwd)/pubaddr-relayd
relay_tool=$(cd "$top_builddir/test/netns" && pwd)/relay_tool
tools=$(cd "$top_builddir/test/netns" && pwd)

# Nothing that is started holds our end of a FIFO, or nobody would see its end.
p() { ip netns exec "${net}p" "$@" 3>&- 4>&-; }
c() { ip netns exec "${net}c" "$@" 3>&- 4>&-; }

# The client's network passes no UDP.
block_udp() {
	ip netns exec "${net}n" nft 'add table ip blocked; add chain ip blocked transit { type filter hook forward priority 0; };
		add rule ip blocked transit iif lan meta l4proto udp counter drop' || exit 99
}
blocked() { ip netns exec "${net}n" nft "$@"; }

add_relay() { # add_relay [MEMBER...]: to the gateway's configuration
	sed -i "s|\"listen\"|\"relay\": {\"listen\": [\"$GW:443\"], \"control-socket\": \"$dir/relay.sock\"${1:+, $1}}, \"listen\"|" "$dir/gatewayd.conf"
}
start_relay() {
	ip netns exec "${net}g" "$relayd" -c "$dir/gatewayd.conf" 2>>"$dir/relayd.log" & relay_pid=$!
	watch $relay_pid
	retry "$tool" call "$dir/relay.sock" version-get >/dev/null
}
stop_relay() {
	kill "$relay_pid"
	wait "$relay_pid"
}
counter() { "$tool" call "$dir/relay.sock" status-get | tr -d ' ' | tr ',{}' '\n\n\n' | sed -n "s/^\"$1\":\([0-9]*\)$/\1/p"; }
counter_is() { test "$(counter "$1")" = "$2"; }
counter_above() { test "$(counter "$1")" -gt "$2"; }
relay() { # relay NAME ARGUMENT...: in the background, with standard input from NAME.in (a FIFO), output in NAME.out, events in NAME.err
	name=$1
	shift
	rm -f "$dir/$name.in" "$dir/$name.out" "$dir/$name.err" # what one of that name said before is not this one's
	mkfifo "$dir/$name.in"
	ip netns exec "${net}c" "$relay_tool" $GW:443 "$hex" "$dir/client.key" "$@" <"$dir/$name.in" >"$dir/$name.out" 2>"$dir/$name.err" &
	eval "${name}_pid=$!"
	watch $!
}
has() { retry grep -q "$2" "$dir/$1" >/dev/null; }
listens() { retry p sh -c "ss -Hltn sport = $1 | grep -q ." >/dev/null; }
peer() { # peer MODE PORT: see peer_tool
	p "$tools/peer_tool" "$1" "$PEER:$2" & watch $!
	listens "$2"
}
# The client's port of its connection to the relay.
relay_port() { c ss -Htn 'dport = 443' | sed -n 's/.*:\([0-9]*\) *198.*/\1/p' | head -n 1; }
# The server's memory, in KiB.
rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$relay_pid/status"; }
client_identity() { # the client's key and a grant
	key=$("$bin/pubaddr" --key-file "$dir/client.key" key)
	hex=$("$tool" grant "$dir/gateway.key" "$key" "$PUB" 100 600 $GW:6080)
}

# ---- programs of users by the client daemon's local socket
start_users() { # the daemon; daemon and bin may use its relay
	cat >"$dir/tunneld.conf" <<-END
		{
		  "allow-documentation": true, "key-file": "$dir/client.key", "state-dir": "$dir", "run-dir": "$dir",
		  "relay-users": {"users": ["daemon", "bin"]}
		}
	END
	ip netns exec "${net}c" "$bin/pubaddr-tunneld" -i eth0 -c "$dir/tunneld.conf" 2>>"$dir/tunneld.log" & client_pid=$!
	watch $client_pid
	retry "$tool" call "$dir/tunneld-eth0.sock" version-get >/dev/null
	key=$("$bin/pubaddr" --key-file "$dir/client.key" key)
	chmod 755 "$dir"
	# The tool where every user finds it.
	cp "$tools/relay_local_tool" "$dir/tool"
}
prog() { # prog USER NAME ARGUMENT...: in the background, standard input from NAME.in, output to NAME.out, which may be a FIFO, events to NAME.err
	user=$1
	name=$2
	shift 2
	rm -f "$dir/$name.in" "$dir/$name.err" # what one of that name said before is not this one's
	[ -p "$dir/$name.out" ] || rm -f "$dir/$name.out"
	mkfifo "$dir/$name.in"
	ip netns exec "${net}c" setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups "$dir/tool" "$dir/relay-eth0.sock" "$@" \
		<"$dir/$name.in" >"$dir/$name.out" 2>"$dir/$name.err" 3>&- 4>&- &
	eval "${name}_pid=$!"
	watch $!
}
