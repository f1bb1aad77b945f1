#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# pubaddr diagnose about the host itself, in each mode: another VPN's routes, and a firewall between the tunnel and the host's programs,
# by nftables and by iptables.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/diagnose.sh
. "$(dirname "$0")/diagnose.sh"
need iptables

lab_up
check "nothing is wrong: exit code 0" exits 0
vpn() { # vpn up|down: somebody else's takes the Internet
	if [ "$1" = up ]; then
		on client1 sh -c 'ip link add vpn0 type veth peer name vpn1 && ip link set vpn1 up && ip link set vpn0 up && ip route add 0.0.0.0/1 dev vpn0 && ip route add 128.0.0.0/1 dev vpn0'
	else
		on client1 ip link del vpn0
	fi
}
for mode in tunnel native auto; do
	on client1 pubaddr mode $mode >/dev/null
	well
	vpn up
	finds 5 warning other-route
	says "leave by vpn0"
	vpn down
	well
done
on client1 pubaddr mode default >/dev/null

# ---------------------------------------------------------------- a firewall of the host between the tunnel and its programs
drop_on client1 input 'iifname "pub0" ct state new'
finds 1 warning firewall-inbound
says "$CLIENT_PUBLIC_IP comes out of the tunnel at pub0"
check "a warning alone: exit code 3" exits 3
check "an ordinary user is told so too" told_user warning firewall-inbound
for mode in native auto policy; do
	on client1 pubaddr mode $mode >/dev/null
	finds 5 warning firewall-inbound
done
undrop client1
for mode in policy auto native default; do
	on client1 pubaddr mode $mode >/dev/null
	well
done
drop_on client1 prerouting 'iifname "pub0"'
finds 1 warning firewall-inbound
undrop client1
well
on client1 iptables -A INPUT -i pub0 -m conntrack --ctstate NEW -j REJECT
finds 1 warning firewall-inbound
on client1 iptables -F INPUT
on client1 iptables -P INPUT DROP
on client1 iptables -A INPUT -i eth0 -j ACCEPT
finds 1 warning firewall-inbound
on client1 iptables -A INPUT -i pub0 -j ACCEPT
well
on client1 iptables -P INPUT ACCEPT
on client1 iptables -F INPUT
watch gateway <<-END
	knock in iifname "pubgw0" ip saddr $CLIENT_PUBLIC_IP
END
check "trying that" diagnose
is "sends nothing through the tunnel" "$(counter gateway knock)" 0
on gateway nft delete table ip watch
on client1 tee /etc/pubaddr/tunneld.conf >"$TMP/conf" <<<'{ "allow-documentation": true, "inbound": "closed" }'
"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
eventually 20 "our own policy is no firewall of somebody else's" exits 0
on client1 tee /etc/pubaddr/tunneld.conf >"$TMP/conf" <<<'{ "allow-documentation": true }'
"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
well
done_testing
