#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Ten thousand clients at one gateway: they bind, all speak at once, the gateway is killed, and again all speak at once, beside a flood of
# forged handshakes. No binding is lost, and the command socket stays quick. 'make bench-scale' does it with a million.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat
BUILD=${PUBADDR_BUILD:-$HERE/../../build}
export PUBADDR_BUILD=$BUILD
make -s -C "$BUILD/test" bench/clients bench/flood netns/attacker netns/tunnel_tool >"$TMP/make" 2>&1 || {
	note <"$TMP/make"
	skip_all "the clients cannot be built in $BUILD"
}
CLIENTS_NS=pa-n$$
CLIENTS_CONF='"limits": {"handshakes-per-source": 0, "packets-per-binding": 1000}, "log-level": "warning",'
# shellcheck source=test/netns/clients.sh
. "$HERE/clients.sh"
N=10000

clean_up() {
	clients_down
	rm -rf "$TMP"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

bindings() { clients_ask status-get | sed -n 's/.*"bindings":\([0-9]*\).*/\1/p'; }
counter() { clients_ask status-get | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

# Every binding, in pages of 700, one address a line.
list_all() {
	local from='"start"' page
	while [ -n "$from" ]; do
		page=$(clients_ask binding-get-page "{\"from\": $from, \"limit\": 700}")
		tr '{' '\n' <<<"$page" | sed -n 's/.*"address":"\([^"]*\)".*/\1/p'
		from=$(sed -n 's/.*"next":\([0-9]*\).*/\1/p' <<<"$page")
	done
}

clients_up $N >"$TMP/up" 2>&1
result $? "a link, keys and $N clients" "$TMP/up"
check "the gateway starts" clients_start_gateway
own_memory() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$CLIENTS_GATEWAYD_PID/status"; }
before=$(own_memory)

clients_do "bind 256" 120 >"$TMP/said"
is "every client is bound" "$(clients_value "done")" $N
is "as the gateway says" "$(bindings)" $N
is "nobody spoke in vain" "$(clients_value wrong)" 0
each=$((($(own_memory) - before) * 1024 / N))
echo "# $each octets for each binding"
if grep -q 'AddressSanitizer\|fsanitize' "$BUILD/config.log" 2>/dev/null && grep -q 'enable-sanitizers' "$BUILD/config.log"; then
	echo "# not judged in a build with sanitizers"
else
	# What few cost is rounded to pages and to what the allocator takes at once; bench-scale has the figure for many.
	check "a binding costs little memory" test "$each" -lt 300
fi

check "all at once they are not listed" sh -c "grep -q 'binding-get-page' <<-END
$(clients_ask binding-get-all)
END"
list_all >"$TMP/list"
is "in pages each is there once" "$(sort -u "$TMP/list" | wc -l) $(wc -l <"$TMP/list")" "$N $N"
check "a page from nowhere is an error" sh -c "grep -q '\"result\":1' <<-END
$(clients_ask binding-get-page '{"from": "there"}')
END"

# outcome: who has a binding, and of these who had it only by a new handshake, or too late for a real client's patience; who gave up.
outcome() { echo "$(clients_value "done") $(clients_value lost) $(clients_value late) $(clients_value given-up)"; }

clients_do storm 60 >"$TMP/said"
is "all speak at once: each gets an answer in time" "$(outcome)" "$N 0 0 0"

kill -9 "$CLIENTS_GATEWAYD_PID"
wait "$CLIENTS_GATEWAYD_PID" 2>/dev/null
check "it is killed, and started again" clients_start_gateway
is "it knows them all" "$(bindings)" $N
clients_do storm 60 >"$TMP/said"
is "all at once again: each gets an answer in time" "$(outcome)" "$N 0 0 0"
is "each had to show that it is there" "$(($(clients_value rechallenged) >= N))" 1
is "no binding is lost" "$(bindings) $(counter timed-out)" "$N 0"

# Once more, while a stranger keeps the gateway busy with grants that he made up.
read -r _ public < <("$BUILD/test/netns/attacker" key)
grant=$("$BUILD/test/netns/tunnel_tool" grant "$TMP/gateway.key" "$public" 100.64.0.7 9999999999999 600 $CLIENTS_GATEWAY:6080)
ip netns exec "$CLIENTS_NS-cl" "$BUILD/test/bench/flood" $CLIENTS_GATEWAY:6080 60 "$grant" 20000 >/dev/null 2>&1 &
flood=$!
kill -9 "$CLIENTS_GATEWAYD_PID"
wait "$CLIENTS_GATEWAYD_PID" 2>/dev/null
check "killed once more, under a flood of forged handshakes" clients_start_gateway
clients_do storm 60 >"$TMP/said"
is "all at once beside it: each gets an answer in time" "$(outcome)" "$N 0 0 0"
kill $flood 2>/dev/null
wait $flood 2>/dev/null
is "no binding is lost" "$(bindings) $(counter timed-out)" "$N 0"
check "and the flood was refused" test "$(counter bad-mac)" -gt 1000

is "what is left to it is CAP_NET_ADMIN" "$(sed -n 's/^Cap\(Eff\|Prm\|Bnd\):[[:space:]]*//p' "/proc/$CLIENTS_GATEWAYD_PID/status" | sort -u)" 0000000000001000
case $(clients_ask status-get) in
*'"data-path":"kernel"'*) echo "# packets are carried by the kernel" ;;
*) echo "# packets are carried by the process" ;;
esac

# Without a file system for BPF, where its programs would outlive it.
kill -9 "$CLIENTS_GATEWAYD_PID"
wait "$CLIENTS_GATEWAYD_PID" 2>/dev/null
ip netns exec "$CLIENTS_NS-gw" "$BUILD/tunnel/pubaddr-gatewayd" -c "$TMP/gatewayd.conf" >>"$TMP/gatewayd.log" 2>&1 &
CLIENTS_GATEWAYD_PID=$!
check "where the kernel's data path is not possible it serves all the same" within 60 clients_served
check "the process carries packets" sh -c "grep -q '\"data-path\":\"user\"' <<-END
$(clients_ask status-get)
END"
check "the log says why" grep -q 'datapath.fallback.*using=user reason=".' "$TMP/gatewayd.log"
is "and it knows all bindings" "$(bindings)" $N
done_testing
