#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What happens to a client's network from outside: the carrier goes and comes, the LAN address changes, somebody removes our
# interface, routes and rules. Each time P is reached again, by the daemon alone.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

reached() { on peer ping -c1 -W1 "$CLIENT_PUBLIC_IP"; }
reaches() { on client1 ping -c1 -W1 -I "$CLIENT_PUBLIC_IP" "$PEER_IP"; }
default_by() { on client1 ip route get "$PEER_IP" | grep -q "dev $1"; }
our_rules() { on client1 ip rule show | grep -cE '^520[0-3]:'; }
all_rules() { [ "$(our_rules)" = "$RULES" ]; }
mapped() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$CLIENT_PUBLIC_IP\"}}" | grep -o '"mapped": *"[^"]*"'; }
# The programs in the kernel pass packets on by the old address until the daemon has taken notice.
moved() { local now && now=$(mapped) && [ -n "$now" ] && [ "$now" != "$before" ]; }
says() { grep -q "$1" "/run/pubaddr-lab/$PUBADDR_LAB/log/client1.tunneld"; }
epoch() { on client1 pubaddr --json status | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }

lab_up
check "P is reached" reached
was=$(epoch)

ip -n "$PUBADDR_LAB-lan" link set p-client1 down
eventually 5 "the carrier goes: the daemon sees it" says 'lan.changed.*up=no'
check "P is not reached" not reached
ip -n "$PUBADDR_LAB-lan" link set p-client1 up
eventually 10 "the carrier comes: P is reached again" reached
eventually 5 "and reaches, once the gateway has confirmed the new port" reaches
is "with the same epoch" "$(epoch)" "$was"

before=$(mapped)
on client1 sysctl -qw net.ipv4.conf.all.promote_secondaries=1
on client1 ip addr add 10.77.0.240/24 dev eth0
on client1 ip addr del "$CLIENT_PRIVATE_IP/24" dev eth0
on client1 ip route replace default via 10.77.0.1 dev eth0
eventually 10 "the LAN address changes: so does the mapped address" moved
check "P is reached" reached
check "and reaches" reaches
on client1 ip addr add "$CLIENT_PRIVATE_IP/24" dev eth0
on client1 ip addr del 10.77.0.240/24 dev eth0
on client1 ip route replace default via 10.77.0.1 dev eth0
eventually 10 "and when it changes back" reached

on client1 ip link del pub0
eventually 10 "somebody removes pub0: it is made again" reached
check "and said so" says tunnel.removed
eventually 5 "the default route is there" default_by pub0
on client1 ip route flush table 6080
on client1 ip route flush table 6081
eventually 5 "somebody flushes our tables: the default route is there again" default_by pub0
check "P reaches" reaches
RULES=$(our_rules)
for priority in 5200 5200 5201 5202 5203; do
	on client1 ip rule del priority "$priority"
done
eventually 5 "somebody deletes our rules: they are there again" all_rules
check "P is reached" reached
on client1 nft flush ruleset
check "somebody flushes the firewall: P is reached" reached
is "all the time the same epoch" "$(epoch)" "$was"
check "no private or foreign source on the Internet" no_leaks
done_testing
