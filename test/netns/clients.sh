# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# A gateway and a crowd of clients, played by bench/clients, each in a network namespace of its own, with one link between. Sourced;
# wants PUBADDR_BUILD and TMP, a folder.
#   CLIENTS_NS      beginning of the namespaces' names
#   CLIENTS_CONF    further members of gatewayd.conf, each ended by a comma
#   CLIENTS_APART   not empty: the clients have the last processor, the gateway all others. They wake each other, and the kernel puts what
#                   does that on one processor, however busy both are.
: "${CLIENTS_NS:=pa-clients-$$}" "${CLIENTS_CONF:=}" "${CLIENTS_APART:=}"
CLIENTS_GATEWAY=198.51.100.10
CLIENTS_GATEWAYD_PID=""
CLIENTS_PID=""

clients_gw() { ip netns exec "$CLIENTS_NS-gw" "$@"; }

# clients_place gateway|clients: the processors for a process to come.
clients_place() {
	local last=$(($(nproc) - 1))
	CLIENTS_PLACE=()
	[ -n "$CLIENTS_APART" ] && [ "$last" -gt 0 ] || return 0
	CLIENTS_PLACE=(taskset -c "$([ "$1" = clients ] && echo $last || echo 0-$((last - 1)))")
}

# clients_up N: namespaces, keys, configuration, and the program that plays N clients (up to 1048576).
clients_up() {
	local ctl=$PUBADDR_BUILD/broker/pubaddrctl
	ip netns add "$CLIENTS_NS-gw" && ip netns add "$CLIENTS_NS-cl" || return 1
	ip -n "$CLIENTS_NS-gw" link add cl type veth peer name gw netns "$CLIENTS_NS-cl" || return 1
	ip -n "$CLIENTS_NS-gw" addr add $CLIENTS_GATEWAY/24 dev cl
	ip -n "$CLIENTS_NS-cl" addr add 198.51.100.1/24 dev gw
	ip -n "$CLIENTS_NS-gw" link set lo up && ip -n "$CLIENTS_NS-gw" link set cl up && ip -n "$CLIENTS_NS-cl" link set gw up
	ip -n "$CLIENTS_NS-gw" route add 10.64.0.0/12 via 198.51.100.1
	clients_gw sysctl -qw net.ipv4.ip_forward=1
	# The clients read before this; without it the kernel would look for a host of that address, on the gateway's processor.
	ip netns exec "$CLIENTS_NS-cl" nft 'add table ip clients; add chain ip clients in { type filter hook prerouting priority raw; };
		add rule ip clients in ip daddr 10.64.0.0/12 drop' || return 1
	"$ctl" key new "$TMP/master.key" >/dev/null && "$ctl" key new-gateway "$TMP/gateway.key" >/dev/null &&
		"$ctl" key pool --pool 1 "$TMP/master.key" "$TMP/gateway.key" >/dev/null || return 1
	cat >"$TMP/gatewayd.conf" <<-END
		{
		  "listen": ["$CLIENTS_GATEWAY:6080"], "device": "pubgw0", "key-file": "$TMP/gateway.key", $CLIENTS_CONF
		  "pools": [{"id": 1, "prefix": "100.64.0.0/12"}], "max-bindings": 1048576, "keepalive": 120,
		  "control-socket": "$TMP/gateway.sock", "state-file": "$TMP/gateway.state"
		}
	END
	mkfifo "$TMP/commands"
	clients_place clients
	"${CLIENTS_PLACE[@]}" ip netns exec "$CLIENTS_NS-cl" "$PUBADDR_BUILD/test/bench/clients" "$TMP/gateway.key" $CLIENTS_GATEWAY:6080 100.64.0.0 "$1" gw \
		<"$TMP/commands" >>"$TMP/clients" 2>&1 &
	CLIENTS_PID=$!
	exec 8>"$TMP/commands"
	clients_wait '^ready' 30
}

# clients_wait PATTERN SECONDS: until a line of the clients' output matches.
clients_wait() {
	local end=$((SECONDS + $2))
	until grep -q "$1" "$TMP/clients" 2>/dev/null; do
		[ "$SECONDS" -lt "$end" ] && kill -0 "$CLIENTS_PID" 2>/dev/null || return 1
		sleep 0.02
	done
}

# clients_do COMMAND [SECONDS]: has the clients do it and prints what they say.
clients_do() {
	: >"$TMP/clients"
	echo "$1" >&8
	clients_wait "^${1%% *}: .*" "${2:-120}" && cat "$TMP/clients"
}

# clients_value NAME: of what they said last.
clients_value() { tr ' ' '\n' <"$TMP/clients" | sed -n "s/^$1=//p"; }

# clients_ask COMMAND [ARGUMENTS]: of the gateway.
clients_ask() {
	printf '{"command": "%s", "arguments": %s}\n' "$1" "${2:-{\}}" | socat -t 60 - "UNIX-CONNECT:$TMP/gateway.sock"
}

clients_served() { clients_ask version-get 2>/dev/null | grep -q version; }

clients_start_gateway() {
	local end=$((SECONDS + 60))
	clients_place gateway
	"${CLIENTS_PLACE[@]}" ip netns exec "$CLIENTS_NS-gw" sh -c 'mount -t bpf bpf /sys/fs/bpf || true; exec "$@"' sh "$PUBADDR_BUILD/tunnel/pubaddr-gatewayd" -c "$TMP/gatewayd.conf" \
		>>"$TMP/gatewayd.log" 2>&1 &
	CLIENTS_GATEWAYD_PID=$!
	until clients_served; do
		[ "$SECONDS" -lt "$end" ] && kill -0 "$CLIENTS_GATEWAYD_PID" 2>/dev/null || return 1
		sleep 0.02
	done
}

clients_down() {
	exec 8>&-
	for pid in $CLIENTS_GATEWAYD_PID $CLIENTS_PID; do
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	ip netns del "$CLIENTS_NS-gw" 2>/dev/null
	ip netns del "$CLIENTS_NS-cl" 2>/dev/null
	return 0
}
