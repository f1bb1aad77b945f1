#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A client that is bound in the tunnel and has sessions at the relay beside the gateway, which forwards by XDP: what is for the
# sessions comes to them, what is not comes through the tunnel, and XDP serves the address again once the relay does not.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat ethtool
export PUBADDR_ACCELERATE=true
build=${PUBADDR_BUILD:-$HERE/../..}
[ -x "$build/test/netns/relay_tool" ] || skip_all "needs relay_tool; run: make -C test netns/relay_tool netns/tunnel_tool"

said() { grep -q "$2" "$TMP/$1"; }
has_size() { [ "$(stat -c %s "$1")" = "$2" ]; }
# What of the client's packets the gateway's encapsulation device saw: all but those that XDP forwarded.
to_tunnel() { counter gateway to_tunnel; }

lab_up
ask_gateway '{"command": "status-get"}' | grep -q '"accelerated":true' || {
	[ "${PUBADDR_DATAPATH:-auto}" = user ] || result 1 "XDP is at the gateway"
	done_testing
}
on inet ethtool -K gateway gro on >/dev/null
watch gateway <<-END
	to_tunnel in iifname "eth0" ip daddr $CLIENT_PUBLIC_IP
END
on gateway cat /etc/pubaddr/gatewayd.conf >"$TMP/conf"
sed -i '0,/{/s|{|{"relay": {"listen": ["198.51.100.10:443"], "control-socket": "/run/pubaddr/relay.sock"},|' "$TMP/conf"
in_background gateway relayd "$build/relay/pubaddr-relayd" -c "$TMP/conf"
within 10 said relayd daemon.start
check "a relay beside the gateway" said relayd relay.ready
epoch=$(ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$CLIENT_PUBLIC_IP\"}}" | grep -o '"epoch": *[0-9]*' | grep -o '[0-9]*$')
key=$(on client1 pubaddr key)
grant=$(on gateway "$build/test/netns/tunnel_tool" grant /etc/pubaddr/gateway.key "$key" "$CLIENT_PUBLIC_IP" "$epoch" 600 198.51.100.10:6080)
mkfifo "$TMP/in"
on client1 "$build/test/netns/relay_tool" 198.51.100.10:443 "$grant" /var/lib/pubaddr/client.key listen 7401 <"$TMP/in" >"$TMP/got" 2>"$TMP/events" &
relay_PID=$!
exec 3<>"$TMP/in"
eventually 10 "the client listens by the relay" said events "listening $CLIENT_PUBLIC_IP:7401"
head -c 4M /dev/urandom >"$TMP/file"
in_background peer sent socat -u "OPEN:$TMP/file" "TCP4:$CLIENT_PUBLIC_IP:7401"
eventually 20 "4 MB from a peer come to it" has_size "$TMP/got" 4194304
check "intact" cmp "$TMP/file" "$TMP/got"
in_background client1 received socat -u TCP4-LISTEN:7402,reuseaddr "CREATE:$TMP/tunnel"
within 5 listening client1 tcp 7402
before=$(to_tunnel)
check "4 MB to another port" on peer socat -u "OPEN:$TMP/file" "TCP4:$CLIENT_PUBLIC_IP:7402"
eventually 20 "come through the tunnel" has_size "$TMP/tunnel" 4194304
check "intact" cmp "$TMP/file" "$TMP/tunnel"
check "and not by XDP, while the relay serves the address" test "$(to_tunnel)" -gt $((before + 20))
exec 3>&-
# shellcheck disable=SC2154 # set by in_background
kill "$relay_PID" "$relayd_PID"
wait "$relay_PID" "$relayd_PID" 2>/dev/null
by_xdp() {
	local before
	before=$(to_tunnel)
	on peer ping -c3 -i0.2 -W2 "$CLIENT_PUBLIC_IP" >/dev/null && [ "$(to_tunnel)" = "$before" ]
}
eventually 90 "a minute after that XDP forwards its packets again" by_xdp
done_testing
