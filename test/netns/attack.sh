# shellcheck shell=bash
# shellcheck disable=SC2034 # set here, used by those who source this
# SPDX-License-Identifier: MPL-2.0
# For the attacks: an attacker on the Internet (host "peer"), one that can forge sources (host "inet"), one on the LAN; the
# gateway's and the client's counters; and what left the gateway, message by message. Sourced after tap.sh.
BUILD=${PUBADDR_BUILD:-$HERE/../../build}
[ -e "$BUILD/config.status" ] || BUILD=$HERE/../..
GW=198.51.100.10:6080
make -s -C "$BUILD/test" netns/attacker netns/tunnel_tool bench/flood >"$TMP/make" 2>&1 || {
	note <"$TMP/make"
	skip_all "the attacker cannot be built in $BUILD"
}

attack_up() { # attack_up LAB-OPTIONS...
	lab_up "$@"
	[ "${PUBADDR_DATAPATH:-auto}" = user ] ||
		is "the gateway's data path is the kernel's" "$(gateway_status | grep -o '"data-path":"[a-z]*"')" '"data-path":"kernel"'
	GATEWAY_KEY=$TMP/gateway.key
	(umask 077 && on gateway cat /etc/pubaddr/gateway.key >"$GATEWAY_KEY")
	# Of what goes to the attacker only control messages: data is somebody's on the Internet.
	"$LAB" exec gateway -- tcpdump -i eth0 -nn -l -q "udp port 6080 and (src host $PEER_IP or
		(dst host $PEER_IP and udp[8] & 0xe0 = 0x20))" >"$TMP/wire" 2>"$TMP/wire.err" &
	WIRE_PID=$!
	within 5 grep -qs listening "$TMP/wire.err"
}

attacker() { # attacker HOST ARGUMENTS...
	local host=$1
	shift
	on "$host" "$BUILD/test/netns/attacker" "$@"
}
make_message() { "$BUILD/test/netns/attacker" "$@"; }
# make_grant KEYFILE PUBLIC-KEY ADDRESS EPOCH LIFETIME
make_grant() { "$BUILD/test/netns/tunnel_tool" grant "$@" "$GW"; }

gateway_status() { ask_gateway '{"command":"status-get"}'; }
# gw NAME: a counter of the gateway's control protocol. gw_refused NAME: of its data path.
gw() { gateway_status | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2; }
gw_refused() { gateway_status | sed 's/.*"from-tunnel"//' | grep -o "\"$1\":[0-9]*" | cut -d: -f2 | grep . || echo 0; }
binding() { ask_gateway "{\"command\":\"binding-get\",\"arguments\":{\"address\":\"$1\"}}"; }
binding_field() { binding "$1" | grep -o "\"$2\":[^,}]*" | cut -d: -f2- | tr -d '"'; }
client_status() { echo '{"command":"status-get"}' | on client1 socat -t5 - UNIX:/run/pubaddr/tunneld-eth0.sock; }
cl() { client_status | grep -o '"counters":{[^}]*}' | head -n 1 | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2; }

# rises BY COUNTER-COMMAND NAME WHAT COMMAND...: COMMAND makes the counter rise by BY; its output is in $TMP/said.
rises() {
	local by=$1 read=$2 name=$3 what=$4 before
	shift 4
	before=$("$read" "$name")
	"$@" >"$TMP/said" 2>&1
	within 3 counted "$read" "$name" $((before + by)) || true
	is "$what: $name" "$(($("$read" "$name") - before))" "$by"
}
counted() { [ "$("$1" "$2")" -ge "$3" ]; }
silent() { [ -s "$TMP/said" ] && not grep -qvE '^silence$| sent | silence$' "$TMP/said"; }

# The grant of client1 as everybody on its LAN could read it.
listened_grant() { on client1 sed -n 's/^ *option pubaddr-grant \(.*\);$/\1/p' /var/lib/dhcp/dhclient.leases | tail -n 1; }

# remember, unchanged: client1 has its binding as before, and its public address works.
remember() { BEFORE=$(binding_field "$CLIENT_PUBLIC_IP" mapped)/$(binding_field "$CLIENT_PUBLIC_IP" epoch)/$(binding_field "$CLIENT_PUBLIC_IP" bind); }
unchanged() {
	is "the holder's binding is as before" \
		"$(binding_field "$CLIENT_PUBLIC_IP" mapped)/$(binding_field "$CLIENT_PUBLIC_IP" epoch)/$(binding_field "$CLIENT_PUBLIC_IP" bind)" "$BEFORE"
	check "and its address works" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
}

# no_amplification [PORT...]: every datagram that left the gateway for the attacker answers one that came, is no longer, and
# is the only one. The ports are those of holders, who are told unasked, by an authentic UNBOUND, that a binding has ended.
no_amplification() {
	local rc
	kill "$WIRE_PID"
	wait "$WIRE_PID" 2>/dev/null
	awk -v gw="${GW/:/.}" -v holders=" $* " '
		{ from = $3; to = $5; sub(/:$/, "", to); len = $NF; port = to; sub(/.*\./, "", port) }
		to == gw { asked[from] = len; questions++ }
		from == gw && len == 40 && asked[to] == "" && index(holders, " " port " ") { next }
		from == gw { answers++; if (asked[to] == "" || len > asked[to]) { bad = 1; print "longer or unasked: " $0 } asked[to] = "" }
		END { print questions + 0 " questions, " answers + 0 " answers"; exit bad || questions == 0 }' "$TMP/wire" >"$TMP/lengths"
	rc=$?
	note <"$TMP/lengths"
	result $rc "nobody got an answer longer than his question, or two" "$TMP/lengths"
}
