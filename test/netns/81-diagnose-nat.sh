#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# pubaddr diagnose tells the kind of NAT, for how long it remembers, and what the gateways do. Kinds that Linux has not by
# itself are made of it by rules for one client.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need faketime

diagnose() { on client1 pubaddr diagnose "$@" >"$TMP/told" 2>&1 || true; }
has() { grep -qx "  $1 ($2)" "$TMP/told" || { cat "$TMP/told" && return 1; }; }
told() { diagnose && has "$@"; }
# says WORDS: what was told has them, folded as they may be.
says() { check "which says: $1" sh -c "tr -s ' \\n' ' ' <'$TMP/told' | grep -qF \"$1\""; }

# nat_is RULES: nftables of the NAT, in place of the lab's; whatever it remembers is forgotten, and the tunnel made anew.
nat_is() {
	on nat nft -f - <<-END
		table ip nat
		delete table ip nat
		table ip nat {
			set seen { type inet_service . ipv4_addr; flags dynamic; size 1024; }
			$1
		}
	END
	on nat conntrack -F >/dev/null 2>&1
	eventually 60 "the tunnel is up behind the new NAT" tunnel_lives
}
tunnel_lives() { on client1 ping -c1 -W1 "$PEER_IP" >/dev/null 2>&1 && told note bound; }

PRE='chain prerouting { type nat hook prerouting priority dstnat;'
POST='chain postrouting { type nat hook postrouting priority srcnat;'
TO_CLIENT="dnat to $(echo 10.77.0.100)"

lab_up --nat symmetric --gateways 2
"$LAB" stop gatewayd2
check "warning: gateway-dead" told warning gateway-dead
says "The gateway 198.51.100.26:6080 does not serve, while another one does"
check "symmetric" told note nat-mapping
says "mapping is address and port-dependent"
says "filtering is address and port-dependent"

nat_is "$PRE iifname wan0 udp dport 1024-65535 $TO_CLIENT; }
	$POST oifname wan0 ip saddr 10.77.0.0/24 masquerade; }"
diagnose
says "mapping is endpoint-independent (RFC 4787)"
says "filtering is endpoint-independent (RFC 4787)"

# What comes from an address that the client has sent to from this port is let in, from whatever port.
nat_is "chain forward { type filter hook forward priority 0; oifname wan0 add @seen { udp sport . ip daddr }; }
	$PRE iifname wan0 udp dport . ip saddr @seen $TO_CLIENT; }
	$POST oifname wan0 ip saddr 10.77.0.0/24 masquerade; }"
diagnose
says "filtering is address-dependent"

# Another range of ports for each of the gateway's addresses.
nat_is "$POST
	oifname wan0 ip saddr 10.77.0.0/24 ip daddr 198.51.100.11 meta l4proto udp masquerade to :20000-29999
	oifname wan0 ip saddr 10.77.0.0/24 ip daddr 198.51.100.10 meta l4proto udp masquerade to :30000-39999
	oifname wan0 ip saddr 10.77.0.0/24 masquerade; }"
diagnose
says "mapping is address-dependent"

# ---------------------------------------------------------------- how long it remembers
diagnose --lifetime 8
check "note: mapping-lifetime" has note mapping-lifetime
says "for 8 s of silence at least"
on nat sysctl -qw net.netfilter.nf_conntrack_udp_timeout=10 net.netfilter.nf_conntrack_udp_timeout_stream=10
diagnose --lifetime 24
check "warning: mapping-short" has warning mapping-short
says "after 9 to 12 s of silence"
on nat sysctl -qw net.netfilter.nf_conntrack_udp_timeout=120 net.netfilter.nf_conntrack_udp_timeout_stream=120

# ---------------------------------------------------------------- what the gateway offers
# gateway_with PROBES: the same gateway with other sockets for probes.
gateway_with() {
	"$LAB" stop gatewayd
	on gateway sed -i "s/\"probe-listen\": [^]]*\]/\"probe-listen\": [$1]/" /etc/pubaddr/gatewayd.conf
	"$LAB" start gatewayd
	eventually 60 "the gateway is back, with other sockets: $1" told note mtu
}
gateway_with '"198.51.100.10:6081"'
says "mapping is endpoint-independent or address-dependent"
gateway_with ''
says "is not known, for the gateway has one address and port only"
says "the way back could not be tried"

# ---------------------------------------------------------------- this host's clock
"$LAB" stop client1.tunneld
early_PID="" # set by in_background; faketime itself would stand between us and the daemon
in_background client1 early env LD_PRELOAD="$(faketime -m now printenv LD_PRELOAD)" FAKETIME=-1h FAKETIME_DONT_FAKE_MONOTONIC=1 \
	pubaddr-tunneld -i eth0 -c /etc/pubaddr/tunneld.conf
eventually 20 "warning: clock" told warning clock
says "s behind that of the gateway"
kill "$early_PID" # in peace, so that the next one counts from 0
wait "$early_PID" 2>/dev/null

# ---------------------------------------------------------------- the gateway
# Nothing comes back to who has just begun.
on gateway sysctl -qw net.ipv4.ip_forward=0
"$LAB" start client1.tunneld
eventually 20 "bound again" told note bound
on client1 ping -c25 -i0.02 -W1 "$PEER_IP" >/dev/null 2>&1
check "warning: no-return" told warning no-return
on gateway sysctl -qw net.ipv4.ip_forward=1

# Its answers to keepalives are lost, not those to probes, which have other lengths.
on nat nft 'table ip diag { chain c { type filter hook forward priority 0; iifname "wan0" udp sport 6080 udp length 84 drop; }; }'
eventually 60 "warning: gateway-misses" told warning gateway-misses
on nat nft delete table ip diag
done_testing
