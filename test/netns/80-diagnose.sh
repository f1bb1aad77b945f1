#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# pubaddr diagnose tells what is wrong: each finding is provoked by what it names, found, and gone when the cause is.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/diagnose.sh
. "$(dirname "$0")/diagnose.sh"

lab_up
check "nothing is wrong: exit code 0" exits 0
finds 1 note bound
finds 1 note mtu
says "both ways"
finds 1 note nat-mapping
says "mapping is endpoint-independent"
finds 1 note nat-filtering
says "filtering is address and port-dependent"
check "an ordinary user is told so too" told_user note nat-mapping
check "but may not occupy the gateway for long" not on client1 "${NOBODY[@]}" pubaddr diagnose --lifetime 10
check "JSON has the ids and what they are made of" sh -c "'$LAB' exec client1 -- pubaddr --json diagnose | perl -MJSON::PP -e '
	local \$/; my \$r = decode_json(<STDIN>)->[0]; my %f = map { \$_->{id} => \$_ } @{\$r->{findings}};
	exit !(\$r->{severity} eq \"note\" && \$f{bound}{severity} eq \"note\" && \$r->{network}{mapping} eq \"endpoint-independent\")'"

# ---------------------------------------------------------------- the host
on client1 sh -c 'echo "127.0.1.1 $(hostname)" >>/etc/hosts'
finds 1 warning hostname-loopback
check "a warning alone: exit code 3" exits 3
on client1 sed -i '/127.0.1.1/d' /etc/hosts
# ---------------------------------------------------------------- the path
on nat ip link set wan0 mtu 1400
on inet ip link set nat mtu 1400
finds 1 warning mtu-to-gateway
says "Packets to the gateway pass in one piece up to 1400 bytes"
check "warning: mtu-from-gateway" has warning mtu-from-gateway
says "Packets from the gateway pass in one piece up to 1400 bytes"
on nat ip link set wan0 mtu 1500
on inet ip link set nat mtu 1500
well

# ---------------------------------------------------------------- who makes the gateway silent
drop_on client1 output 'udp dport 6080'
finds 1 error firewall-output
check "an error: exit code 1" exits 1
check "an ordinary user is told so too" told_user error firewall-output
undrop client1
drop_on client1 input 'udp sport 6080'
finds 1 error firewall-input
check "who is not root is told what he cannot see" told_user note needs-root
undrop client1
well 60

"$LAB" block-udp on
finds 1 error udp-blocked
"$LAB" block-udp off
well 60

"$LAB" stop gatewayd
finds 1 error gateway-down
"$LAB" start gatewayd
well 60

drop_on gateway input 'ip saddr 198.51.100.2'
finds 1 error gateway-unreachable
undrop gateway
on nat ip route del default
finds 1 error gateway-no-route
on nat ip route add default via 198.51.100.1
well 60

# ---------------------------------------------------------------- grant, daemon
"$LAB" stop client1.tunneld
finds 1 error daemon-missing
on client1 sh -c 'mv /etc/pubaddr/tunneld.conf /run/ && echo "{}" >/etc/pubaddr/tunneld.conf'
"$LAB" start client1.tunneld
finds 10 error grant-refused
says "allow-documentation"
"$LAB" stop client1.tunneld
on client1 mv /run/tunneld.conf /etc/pubaddr/tunneld.conf
"$LAB" start client1.tunneld
"$LAB" renew client1
well

ask_gateway "{\"command\": \"binding-end\", \"arguments\": {\"address\": \"$CLIENT_PUBLIC_IP\"}}" >/dev/null
finds 5 error grant-ended
"$LAB" renew client1
well

on gateway sh -c 'cp /etc/pubaddr/gateway.key /run/ && sed -i "/^pool/y/0123456789abcdef/123456789abcdef0/" /etc/pubaddr/gateway.key'
"$LAB" stop gatewayd
on gateway rm -f /run/pubaddr/gateway.state
"$LAB" start gatewayd
finds 10 warning gateway-forgot
finds 60 error gateway-refuses
on gateway cp /run/gateway.key /etc/pubaddr/gateway.key
"$LAB" stop gatewayd
"$LAB" start gatewayd
well 60

"$LAB" release client1
finds 5 error lease-ended
on client1 ip link add pub0 type veth peer name pub1
"$LAB" renew client1 >/dev/null 2>&1 &
finds 20 error network-failed
wait $!
on client1 ip link del pub0
"$LAB" release client1
on client1 rm -f /run/pubaddr/dhcp-eth0.json
on client1 ip address add 10.77.0.100/24 dev eth0 # by hand
finds 5 error dhcp-silent
on client1 ip address flush dev eth0

on client1 sh -c 'cp /etc/dhcp/dhclient.conf /run/ && sed -i /pubaddr-grant/d /etc/dhcp/dhclient.conf'
"$LAB" hook off # so that nobody waits for a public address
"$LAB" renew client1
finds 5 error option-not-asked
on client1 cp /run/dhclient.conf /etc/dhcp/dhclient.conf
"$LAB" renew client1
finds 5 error option-not-offered
on dhcp sed -i 's/"option-data": \[/&{"code": 224, "data": "01ff", "csv-format": false, "always-send": true},/' /etc/kea/kea-dhcp4.conf
kill -HUP "$(<"$LAB_DIR/pids/kea")"
renewed() { "$LAB" renew client1 && told error option-unreadable; }
eventually 20 "error: option-unreadable" renewed

# ---------------------------------------------------------------- the LAN
on client1 ip address flush dev eth0
finds 5 error lan-no-address
on client1 ip link set eth0 down
finds 5 error lan-down
done_testing
