# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # HOW and TO are used by relay.sh; c, g and their addresses are tunnel-net.sh's
# SPDX-License-Identifier: MPL-2.0
# The relays that are compared, between the client and the gateway's host, through the NAT; sourced by relay.sh. Each has up_NAME, which
# sets HOW, the program's prefix, OPTIONS, its options, and TO, whom it calls; and down_NAME.
SOCKS_PORT=1080
STUNNEL_PORT=4443
OPENVPN_PORT=1194
OPENVPN_IP=203.0.113.203 # of the pool's upper end: answers to it come to the gateway's host
P=203.0.113.7

# placed HOST: sets ON, what a command begins with to run on the processors of its host. Each process wakes the next one, and the kernel puts
# what wakes each other on one processor now and then, by luck: it would decide what is compared.
ON=()
placed() {
	ON=()
	[ -z "${CPUS[$1]:-}" ] || ON=(taskset -c "${CPUS[$1]}")
}

# daemon HOST NAME COMMAND...: HOST is c or g. Its process id is kept in PIDS, what it says in TMP/NAME.
PIDS=()
daemon() {
	local host=$1 name=$2
	shift 2
	placed "$host"
	"${ON[@]}" ip netns exec "$net$host" "$@" >>"$TMP/$name" 2>&1 </dev/null &
	PIDS+=($!)
}
end_daemons() {
	[ ${#PIDS[@]} -gt 0 ] || return 0 # else wait would wait for others
	kill "${PIDS[@]}" 2>/dev/null
	wait "${PIDS[@]}" 2>/dev/null
	PIDS=()
}
listens() { "$1" ss -Hltn "sport = $2" | grep -q .; }

# self_signed NAME: a key and a certificate of its own in TMP.
self_signed() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" -keyout "$TMP/$1.key" -out "$TMP/$1.crt" \
		2>/dev/null && cat "$TMP/$1.key" "$TMP/$1.crt" >"$TMP/$1.pem" && chmod 600 "$TMP/$1.key" "$TMP/$1.pem"
}

# ours MEMBERS: both daemons beside each other at the gateway's host, and the client's; MEMBERS of tunneld.conf. The program may use the
# relay as soon as it is there. The grant's epoch is the time, for each round has new daemons.
ours() {
	start_gateway
	PIDS+=("$gateway_pid")
	sed -i "s,\"listen\",\"relay\": {\"listen\": [\"$GW:443\"]\, \"control-socket\": \"$dir/relay.sock\"}\, \"listen\"," "$dir/gatewayd.conf"
	daemon g relayd "$PUBADDR_BUILD/relay/pubaddr-relayd" -c "$dir/gatewayd.conf"
	retry "$tool" call "$dir/relay.sock" version-get >/dev/null || return 1
	cat >"$dir/tunneld.conf" <<-END
		{ "allow-documentation": true, "key-file": "$dir/client.key", "state-dir": "$dir", "run-dir": "$dir", "relay": {"address": "$GW:443"} $1 }
	END
	daemon c tunneld "$bin/pubaddr-tunneld" -i eth0 -c "$dir/tunneld.conf"
	retry "$tool" call "$dir/tunneld-eth0.sock" version-get >/dev/null || return 1
	key=$("$bin/pubaddr" --key-file "$dir/client.key" key)
	put_grant $P "$(date +%s)" 3600 && within 20 at_peer "${@:2}"
}
# at_peer OPTION...: a call comes to the peer.
at_peer() { c "${HOW[@]}" "$calls" "$@" calls "$TO" 0.1 1; }

# What "pubaddr exec --relay" does, with a library that is not installed.
up_pubaddr() {
	HOW=(env "LD_PRELOAD=$PUBADDR_BUILD/relay/.libs/libpubaddr_preload.so" "PUBADDR_RELAY=$dir/relay-eth0.sock")
	OPTIONS=()
	TO=$PEER:$PORT
	ours ''
}
down_pubaddr() { end_daemons; }

up_pubaddr_socks() {
	HOW=()
	OPTIONS=(-s "127.0.0.1:$SOCKS_PORT")
	TO=$PEER:$PORT
	ours ", \"socks\": {\"listen\": \"127.0.0.1:$SOCKS_PORT\"}" "${OPTIONS[@]}"
}
down_pubaddr_socks() { end_daemons; }

# Dante's server stands where ours does; nothing runs at the client, and nothing is encrypted.
up_dante() {
	HOW=()
	OPTIONS=(-s "$GW:$SOCKS_PORT")
	TO=$PEER:$PORT
	cat >"$TMP/danted.conf" <<-END
		errorlog: stderr
		internal: $GW port = $SOCKS_PORT
		external: $GW
		clientmethod: none
		socksmethod: none
		user.privileged: root
		user.unprivileged: nobody
		client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
		socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
	END
	daemon g danted danted -f "$TMP/danted.conf" -p "$TMP/danted.pid"
	within 10 listens g $SOCKS_PORT
}
down_dante() { end_daemons; }

# stunnel: one TLS connection for each of the program's.
stunnel_conf() { printf 'foreground = yes\npid =\ndebug = err\nsslVersion = TLSv1.3\n%s\n[relay]\n%s\n' "$1" "$2"; }
up_stunnel() {
	HOW=()
	OPTIONS=()
	TO=127.0.0.1:$STUNNEL_PORT
	[ -e "$TMP/stunnel.pem" ] || self_signed stunnel || return 1
	stunnel_conf "cert = $TMP/stunnel.pem" "accept = $GW:$STUNNEL_PORT
connect = $PEER:$PORT" >"$TMP/stunnel-server.conf"
	stunnel_conf "" "client = yes
accept = 127.0.0.1:$STUNNEL_PORT
connect = $GW:$STUNNEL_PORT" >"$TMP/stunnel-client.conf"
	daemon g stunnel-server stunnel4 "$TMP/stunnel-server.conf"
	daemon c stunnel-client stunnel4 "$TMP/stunnel-client.conf"
	within 10 listens g $STUNNEL_PORT && within 10 listens c $STUNNEL_PORT
}
down_stunnel() { end_daemons; }

# OpenVPN over TCP, with its own choice of a cipher; the certificates' fingerprints are known to both ends.
fingerprint() { openssl x509 -in "$TMP/$1.crt" -noout -fingerprint -sha256 | sed 's/.*=//'; }
reached() { c ping -q -c 1 -W 1 -I $OPENVPN_IP "$PEER"; }
exists() { "$1" ip link show dev "$2"; }
up_openvpn_tcp() {
	local common=(--dev ovpn0 --dev-type tun --disable-dco --socket-flags TCP_NODELAY --ping 5 --verb 1)
	HOW=()
	OPTIONS=()
	TO=$PEER:$PORT
	[ -e "$TMP/ovpn-client.pem" ] || { self_signed ovpn-client && self_signed ovpn-server; } || return 1
	daemon g ovpn-server.log openvpn "${common[@]}" --proto tcp-server --local "$GW" --lport $OPENVPN_PORT --tls-server --dh none \
		--cert "$TMP/ovpn-server.crt" --key "$TMP/ovpn-server.key" --peer-fingerprint "$(fingerprint ovpn-client)"
	within 10 listens g $OPENVPN_PORT || return 1
	daemon c ovpn-client.log openvpn "${common[@]}" --proto tcp-client --remote "$GW" $OPENVPN_PORT --nobind --tls-client \
		--cert "$TMP/ovpn-client.crt" --key "$TMP/ovpn-client.key" --peer-fingerprint "$(fingerprint ovpn-server)"
	within 10 exists c ovpn0 && within 10 exists g ovpn0 && c ip addr add $OPENVPN_IP/32 dev ovpn0 && c ip link set ovpn0 up &&
		g ip link set ovpn0 up && g ip route replace $OPENVPN_IP/32 dev ovpn0 &&
		c ip route replace "$PEER/32" dev ovpn0 src $OPENVPN_IP && within 30 reached
}
down_openvpn_tcp() { end_daemons; }
