# shellcheck shell=bash
# shellcheck disable=SC2034 # set here, used by tunnel.sh
# SPDX-License-Identifier: MPL-2.0
# The tunnels that are compared, between client1 and gateway of the lab, through its NAT; sourced by tunnel.sh. Each has up_NAME, which
# sets ADDRESS, the client's address whose packets go through it, and down_NAME. The addresses are of the pool's upper end, for
# only those come through the lab's Internet; a rule at the client sends what comes from there into the tunnel.
# No encryption anywhere but in wireguard-go, which has no other way; the MTUs are such that no outer packet exceeds 1500 bytes.

client() { "$LAB" exec client1 -- "$@"; }
gateway() { "$LAB" exec gateway -- "$@"; }
nat() { "$LAB" exec nat -- "$@"; }

# steer DEVICE ADDRESS TABLE: both ends' routes of a tunnel without link layer.
steer() {
	client ip addr add "$2/32" dev "$1" && client ip route replace default dev "$1" table "$3" &&
		client ip rule add pref 100 from "$2" lookup "$3" && gateway ip route replace "$2/32" dev "$1"
}
unsteer() { client ip rule del pref 100 2>/dev/null; }

reached() { client ping -q -c 1 -W 1 -I "$ADDRESS" "$PEER_IP"; }
exists() { "$1" ip link show dev "$2"; }

# daemon HOST NAME COMMAND...: its process id is kept in PIDS.
PIDS=()
daemon() {
	local host=$1 name=$2
	shift 2
	"$LAB" exec "$host" -- "$@" >"$TMP/$name" 2>&1 </dev/null &
	PIDS+=($!)
}
end_daemons() {
	[ ${#PIDS[@]} -gt 0 ] || return 0 # else wait would wait for others
	kill "${PIDS[@]}" 2>/dev/null
	wait "${PIDS[@]}" 2>/dev/null
	PIDS=()
}

up_none() { ADDRESS=$CLIENT_PRIVATE_IP; }
down_none() { :; }

# same_path: without a tunnel packets take the way by the gateway, too, so that every variant crosses the same links and hosts.
same_path() {
	local inet="$LAB exec inet --"
	$inet ip route replace default via "$GATEWAY_IP" table 77 && $inet ip rule add pref 77 iif nat to "$PEER_IP" lookup 77 &&
		$inet ip rule add pref 77 iif peer to "$NAT_IP" lookup 77 &&
		$inet nft insert rule ip internet ingress iifname gateway ip saddr "{ $NAT_IP, $PEER_IP }" accept &&
		$inet sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.gateway.send_redirects=0 &&
		gateway sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
}

# Ours run only while they are measured: their programs look at every packet.
gone() { ! kill -0 "$1"; }
stop_ours() {
	local p pid
	for p in client1.tunneld gatewayd; do
		pid=$(<"$LAB_DIR/pids/$p")
		! kill "$pid" 2>/dev/null || within 10 gone "$pid" || return 1
	done
}
carried() { [ "$("$LAB" exec "$1" -- sh -c "echo '{\"command\": \"status-get\"}' | socat -t5 - UNIX:$2" | grep -o "\"data-path\": *\"$3\"" | wc -l)" = 1 ]; }

up_ours() { # up_ours PATH: by this "datapath"
	ADDRESS=$CLIENT_PUBLIC_IP
	gateway sed -i "s/\"datapath\": \"[a-z]*\"/\"datapath\": \"$1\"/" /etc/pubaddr/gatewayd.conf
	client sed -i "s/\"datapath\": \"[a-z]*\"/\"datapath\": \"$1\"/" /etc/pubaddr/tunneld.conf
	"$LAB" start gatewayd && "$LAB" start client1.tunneld && within 30 reached &&
		within 5 carried gateway /run/pubaddr/gateway.sock "$1"
}
up_pubaddr_kernel() { up_ours kernel; }
down_pubaddr_kernel() { stop_ours; }
up_pubaddr_userspace() { up_ours user; }
down_pubaddr_userspace() { stop_ours; }

# The kernel's VXLAN answers to its own port, which a NAT does not know: it needs a mapping made by hand.
up_vxlan() {
	ADDRESS=203.0.113.204
	nat nft "add table ip vx; add chain ip vx in { type nat hook prerouting priority dstnat; };
		add rule ip vx in iifname wan0 udp dport 4789 dnat to $CLIENT_PRIVATE_IP" &&
		client ip link add vx0 mtu 1450 type vxlan id 7 local "$CLIENT_PRIVATE_IP" remote "$GATEWAY_IP" dstport 4789 dev eth0 &&
		gateway ip link add vx0 mtu 1450 type vxlan id 7 local "$GATEWAY_IP" remote "$NAT_IP" dstport 4789 dev eth0 &&
		client ip addr add 10.255.0.2/30 dev vx0 && client ip link set vx0 up &&
		gateway ip addr add 10.255.0.1/30 dev vx0 && gateway ip link set vx0 up && client ip addr add "$ADDRESS/32" dev vx0 &&
		client ip route replace default via 10.255.0.1 dev vx0 table 304 && client ip rule add pref 100 from "$ADDRESS" lookup 304 &&
		gateway ip route replace "$ADDRESS/32" via 10.255.0.2 dev vx0 && within 30 reached
}
down_vxlan() {
	unsteer
	client ip link del vx0
	gateway ip link del vx0
	nat nft delete table ip vx
}

up_wireguard_go() {
	local h other
	ADDRESS=203.0.113.201
	for h in client gateway; do
		(umask 077 && wg genkey >"$TMP/wg.$h")
		wg pubkey <"$TMP/wg.$h" >"$TMP/wg.$h.pub"
	done
	daemon client1 wg-client wireguard-go -f wg0
	daemon gateway wg-gateway wireguard-go -f wg0
	within 5 exists client wg0 && within 5 exists gateway wg0 &&
		gateway wg set wg0 private-key "$TMP/wg.gateway" listen-port 51820 peer "$(<"$TMP/wg.client.pub")" allowed-ips "$ADDRESS/32" &&
		client wg set wg0 private-key "$TMP/wg.client" peer "$(<"$TMP/wg.gateway.pub")" allowed-ips 0.0.0.0/0 \
			endpoint "$GATEWAY_IP:51820" && gateway ip link set wg0 mtu 1420 up && client ip link set wg0 mtu 1420 up &&
		steer wg0 "$ADDRESS" 301 && within 30 reached
}
down_wireguard_go() { unsteer && end_daemons; }

fastd_conf() { # fastd_conf SECRET PEER-KEY MORE MORE-OF-PEER
	printf 'log level warn;\nmode tun;\ninterface "fast0";\nmethod "null";\nmtu 1440;\nsecret "%s";\n%s\npeer "other" {\n key "%s";\n %s\n}\n' \
		"$1" "$3" "$2" "$4"
}
up_fastd() {
	local h
	ADDRESS=203.0.113.202
	for h in client gateway; do
		fastd --generate-key 2>/dev/null >"$TMP/fastd.$h"
	done
	key() { sed -n "s/^$2: *//p" "$TMP/fastd.$1"; }
	fastd_conf "$(key client Secret)" "$(key gateway Public)" "" "remote $GATEWAY_IP:10000;" >"$TMP/fastd-client.conf"
	fastd_conf "$(key gateway Secret)" "$(key client Public)" "bind $GATEWAY_IP:10000;" "" >"$TMP/fastd-gateway.conf"
	daemon gateway fastd-gateway fastd -c "$TMP/fastd-gateway.conf"
	daemon client1 fastd-client fastd -c "$TMP/fastd-client.conf"
	within 5 exists client fast0 && within 5 exists gateway fast0 && gateway ip link set fast0 up && client ip link set fast0 up &&
		steer fast0 "$ADDRESS" 302 && within 40 reached
}
down_fastd() { unsteer && end_daemons; }

up_openvpn() {
	local plain=(--dev ovpn0 --dev-type tun --proto udp --cipher none --data-ciphers none --auth none --disable-dco
		--tun-mtu 1460 --mssfix 0 --ping 5 --verb 1)
	ADDRESS=203.0.113.203
	daemon gateway ovpn-gateway openvpn "${plain[@]}" --lport 1194 --float
	daemon client1 ovpn-client openvpn "${plain[@]}" --nobind --remote "$GATEWAY_IP" 1194
	within 5 exists client ovpn0 && within 5 exists gateway ovpn0 && gateway ip link set ovpn0 up && client ip link set ovpn0 up &&
		steer ovpn0 "$ADDRESS" 303 && within 30 reached
}
down_openvpn() { unsteer && end_daemons; }
