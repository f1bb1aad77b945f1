# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Links, addresses, routes, NATs and the Internet's filters. Sourced by test/lab.

LAN_NET=10.77.0.0/24
LAN2_NET=10.78.0.0/24 # with --lans 2: another LAN of client1, behind the same NAT
LAN_ROUTER=10.77.0.1
DHCP_IP=10.77.0.2
CARRIER_NET=100.64.0.0/24
NAT_WAN=198.51.100.2
GATEWAY_IP=198.51.100.10
PROBE_IP=198.51.100.11 # the gateway's second address, for probes only
GATEWAY2_IP=198.51.100.26
BROKER_IP=198.51.100.18
PEER_IP=192.0.2.10
POOL=203.0.113.0/24

# link HOST DEV HOST DEV: a cable. Offloads are off, so that it carries what a wire would: finished checksums and
# frames of at most 1500 bytes. Otherwise 64 KB super-packets would hide faults of the tunnel.
link() {
	ip link add "$2" netns "$LAB_NAME-$1" type veth peer name "$4" netns "$LAB_NAME-$3"
	offloads_off "$1" "$2"
	offloads_off "$3" "$4"
	ip -n "$LAB_NAME-$1" link set "$2" up
	ip -n "$LAB_NAME-$3" link set "$4" up
}

offloads_off() {
	nsenter --net="/run/netns/$LAB_NAME-$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1
}

addr() { ip -n "$LAB_NAME-$1" addr add "$3" dev "$2"; }
route() { ip -n "$LAB_NAME-$1" route add "${@:2}"; }

lan_port() { # lan_port HOST DEV [SWITCH]
	local port=p-$1
	[ "${3:-br0}" = br0 ] || port=q-$1
	link "$1" "$2" lan "$port"
	ip -n "$LAB_NAME-lan" link set "$port" master "${3:-br0}"
}

build_second_lan() {
	ip -n "$LAB_NAME-lan" link add name br1 type bridge
	ip -n "$LAB_NAME-lan" link set br1 up
	lan_port nat lan1 br1
	addr nat lan1 10.78.0.1/24
	lan_port dhcp eth1 br1
	addr dhcp eth1 10.78.0.2/24
	lan_port client1 eth1 br1
}

build_network() {
	local i
	hosts_start
	ip -n "$LAB_NAME-lan" link add name br0 type bridge
	ip -n "$LAB_NAME-lan" link set br0 up
	lan_port nat lan0
	addr nat lan0 "$LAN_ROUTER/24"
	lan_port dhcp eth0
	addr dhcp eth0 "$DHCP_IP/24"
	route dhcp default via "$LAN_ROUTER"
	for ((i = 1; i <= LAB_CLIENTS; i++)); do
		lan_port "client$i" eth0
	done
	[ "$LAB_LANS" = 1 ] || build_second_lan
	build_wan
	build_public
	nat_rules 0
	internet_rules
}

# The NATs' outside, up to the Internet's port "nat".
build_wan() {
	local outer=nat
	if [ "$LAB_NAT" = double ]; then
		outer=nat2
		link nat wan0 nat2 lan0
		addr nat wan0 100.64.0.2/24
		addr nat2 lan0 100.64.0.1/24
		route nat default via 100.64.0.1
	fi
	link "$outer" wan0 inet nat
	addr "$outer" wan0 "$NAT_WAN/29"
	addr inet nat 198.51.100.1/29
	route "$outer" default via 198.51.100.1
}

build_public() {
	link gateway eth0 inet gateway
	addr gateway eth0 "$GATEWAY_IP/29"
	addr gateway eth0 "$PROBE_IP/29"
	addr inet gateway 198.51.100.9/29
	route gateway default via 198.51.100.9
	[ "$LAB_BIRD" = yes ] || route inet "$POOL" via "$GATEWAY_IP"
	route gateway unreachable "$POOL" metric 9999 # as pubaddr(7) tells: no loop while the daemon is away
	if [ "$LAB_COLOCATED" = no ]; then
		link broker eth0 inet broker
		addr broker eth0 "$BROKER_IP/29"
		addr inet broker 198.51.100.17/29
		route broker default via 198.51.100.17
	fi
	if [ "$LAB_GATEWAYS" = 2 ]; then
		link gateway2 eth0 inet gateway2
		addr gateway2 eth0 "$GATEWAY2_IP/29"
		addr inet gateway2 198.51.100.25/29
		route gateway2 default via 198.51.100.25
		route gateway2 unreachable "$POOL" metric 9999
		forwarding gateway2
	fi
	link peer eth0 inet peer
	addr peer eth0 "$PEER_IP/24"
	addr inet peer 192.0.2.1/24
	route peer default via 192.0.2.1
	forwarding inet
	forwarding gateway
}

forwarding() { nsrun "$1" sysctl -qw net.ipv4.ip_forward=1; }

nat_hosts() { [ "$LAB_NAT" = double ] && echo nat nat2 || echo nat; }

# nat_rules RANGE: masquerade; RANGE 0 leaves the choice of ports to the kernel, 1 to 4 moves them to a range of their own.
# Only sources of the LAN are translated: a packet that wrongly carries another one is left alone for the Internet to count.
nat_rules() {
	local h net how=masquerade range=""
	[ "$LAB_NAT" = symmetric ] && how="masquerade random,fully-random"
	for h in $(nat_hosts); do
		net="{ $LAN_NET, $LAN2_NET }"
		[ "$h" = nat2 ] && net=$CARRIER_NET
		[ "$1" = 0 ] || range="meta l4proto { tcp, udp } ${how/masquerade/masquerade to :${1}0000-${1}9999}"
		forwarding "$h"
		nsrun "$h" nft -f - <<-END
			table ip nat
			delete table ip nat
			table ip nat {
				chain forward {
					type filter hook forward priority filter
					ct state invalid counter drop
				}
				chain postrouting {
					type nat hook postrouting priority srcnat
					oifname "wan0" ip saddr $net ${range:-counter}
					oifname "wan0" ip saddr $net $how
				}
			}
		END
	done
	echo "$1" >"$LAB_DIR/nat-range"
}

# At each port only the sources that belong there may come in (BCP 38); the rest is dropped and counted by kind.
internet_rules() {
	nsrun inet nft -f - <<-END
		table ip internet {
			set private {
				type ipv4_addr
				flags interval
				elements = { 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16 }
			}
			counter nat_private { }
			counter nat_foreign { }
			counter gateway_private { }
			counter gateway_foreign { }
			counter broker_private { }
			counter broker_foreign { }
			counter peer_private { }
			counter peer_foreign { }
			chain ingress {
				type filter hook prerouting priority raw
				iifname "nat" ip saddr $NAT_WAN accept
				iifname { "gateway", "gateway2" } ip saddr { $GATEWAY_IP, $GATEWAY2_IP, $PROBE_IP, $POOL } accept
				iifname "broker" ip saddr $BROKER_IP accept
				iifname "peer" ip saddr $PEER_IP accept
				iifname "lo" accept
				iifname "nat" ip saddr @private counter name nat_private drop
				iifname "nat" counter name nat_foreign drop
				iifname { "gateway", "gateway2" } ip saddr @private counter name gateway_private drop
				iifname { "gateway", "gateway2" } counter name gateway_foreign drop
				iifname "broker" ip saddr @private counter name broker_private drop
				iifname "broker" counter name broker_foreign drop
				iifname "peer" ip saddr @private counter name peer_private drop
				counter name peer_foreign drop
			}
		}
	END
}

# leaks: the Internet's counters, "NAME PACKETS" a line.
leaks() {
	nsrun inet nft list counters table ip internet |
		awk '$1 == "counter" {name = $2} $1 == "packets" {print name, $2}'
}
