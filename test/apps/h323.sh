# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# H.323: a call set-up of our own (h323.c), since Debian 12 has no program that speaks it. When the client calls, the called one connects
# to the H.245 address of SETUP; when it is called, the caller connects to the one of its CONNECT. Both send media where the other says.
H323=$(readlink -m "${PUBADDR_BUILD:-$APPS_DIR/../..}/test/apps/h323")
app h323-calls "$H323" 'tunnel=works native=works auto=works policy=works' 'H.323 (ours), calls'
app h323-called "$H323" 'tunnel=works native=works auto=works policy=works' 'H.323 (ours), called'

h323_call() { # h323_call CALLER CALLED ARGUMENTS...: who is not client1 is the peer
	local called rc=0 by=("${EXEC[@]}") there=()
	[ "$1" = client1 ] || { by=() && there=("${EXEC[@]}"); }
	"$LAB" exec "$2" -- "${there[@]}" timeout 60 "$H323" wait >"$TMP/h323.called" 2>&1 </dev/null &
	called=$!
	within 10 listening "$2" tcp 1720 || rc=1
	on "$1" "${by[@]}" timeout 60 "$H323" call "${@:3}" || rc=1
	[ "$rc" = 0 ] || kill "$called" 2>/dev/null
	wait "$called" || rc=1
	cat "$TMP/h323.called"
	return "$rc"
}
try_h323_calls() { h323_call client1 peer "$PEER_IP" early && grep -q "^SETUP from $CLIENT_PUBLIC_IP:1720, " "$TMP/h323.called"; }
try_h323_called() { h323_call peer client1 "$CLIENT_PUBLIC_IP"; }
filter_h323_calls() { echo 'tcp dst port 1720'; }
filter_h323_called() { echo 'tcp src port 1720'; }
# sourceCallSignalAddress; h245Address of CONNECT, behind the protocol's identifier
embeds_h323_calls() { echo '@B@\x06\xb8'; }
embeds_h323_called() { echo '\x91\x4a\x00\x02\x00@B@'; }
reason_h323_calls() { echo "no complete call with media"; }
reason_h323_called() { echo "no complete call with media"; }
