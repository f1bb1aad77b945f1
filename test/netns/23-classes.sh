#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Kea's classes choose: the real Kea puts clients into classes by what they send, the broker has a pool for each class, with a mode and
# an inbound policy of its own, and each client does what its grant proposes, unless somebody on the client says otherwise.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat python3


NAT_IP=198.51.100.2
mode() { on "$1" pubaddr mode "${@:2}"; }
mode_is() { [ "$(mode "$1")" = "$2" ]; }
address() { on "$1" pubaddr --json status 2>/dev/null | sed -n 's/.*"address": *"\(203[0-9.]*\)".*/\1/p' | head -n 1; }
seen_by_peer() { on "$1" timeout 5 socat -u "TCP4:$PEER_IP:7005" -; }
seen_by_program() {
	on "$1" socat -d -d -u /dev/null "UDP4:$PEER_IP:9" 2>&1 | sed -n 's/.*connected from local address AF=2 \([0-9.]*\):.*/\1/p'
}
granted() { on "$1" pubaddr expose --list 2>/dev/null | sed -n 's/^grant: *//p'; }
has_grant() { [ "$(granted "$1")" = "$2" ] && expr "$(address "$1")" : "$3" >/dev/null; }

# class HOST NAME: what its DHCP client says of itself from now on.
class() {
	on "$1" sed -i '/vendor-class-identifier/d' /etc/dhcp/dhclient.conf
	on "$1" sh -c "echo 'send vendor-class-identifier \"$2\";' >>/etc/dhcp/dhclient.conf"
}

# what HOST MODE POLICY ADDRESSES: what the pool of its class grants is what it does.
what() {
	local p from=$NAT_IP
	eventually 20 "$1: a grant of the pool of its class, which lets in $3" has_grant "$1" "$3" "$4"
	p=$(address "$1")
	[ "$2" = native ] || from=$p
	is "$1: the mode" "$(mode "$1")" "$2 (by grant)"
	is "$1: a program sees as its own address" "$(seen_by_program "$1")" "$p"
	is "$1: the peer sees" "$(seen_by_peer "$1")" "$from"
	check "$1: the peer reaches it" on peer ping -c1 -W2 "$p"
}
PHONES='203\.0\.113\.[0-9]\{1,2\}$' SERVERS='203\.0\.113\.1[3-9][0-9]$'

lab_up --clients 3 --broker-pool 203.0.113.0/25
# shellcheck disable=SC2016 # for socat's shell
in_background peer whoami socat TCP4-LISTEN:7005,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
within 5 listening peer tcp 7005
for c in client1 client2 client3; do
	"$LAB" release $c
done

# ---- a pool for each class; the gateway has a key of each

on broker pubaddrctl key pool --pool 2 /etc/pubaddr/master.key | on gateway tee -a /etc/pubaddr/gateway.key >/dev/null
on gateway sed -i 's|"pools": .*|"pools": [{"id": 1, "prefix": "203.0.113.0/25"}, {"id": 2, "prefix": "203.0.113.128/25"}],|' /etc/pubaddr/gatewayd.conf
"$LAB" stop gatewayd
"$LAB" start gatewayd
on broker python3 - <<'END'
path = "/etc/pubaddr/brokerd.conf"
text = open(path).read()
pool = '{"id": %d, "name": "%s", "prefix": "%s", "gateway-group": "main", "realms": ["lab"], "classes": ["%s"]%s}'
pools = [pool % (1, "phones", "203.0.113.0/26", "phones", ', "outbound": "native", "inbound": ["5060/udp", "icmp"]'),
	 pool % (2, "servers", "203.0.113.130/31", "servers", "")]
open(path, "w").write(text[:text.index('"pools":')] + '"pools": [' + ", ".join(pools) + "]\n}\n")
END
check "the broker has a pool for each class" on broker pubaddrctl reload
gateway_shown() { on broker pubaddrctl status | grep -E '^gw1 +yes +(yes|no) +[0-9]+ +(yes|no) +[0-9]+ s ago +[+-][0-9]+\.[0-9] s$'; }
eventually 10 "its status shows the gateway, connected, and how far its clock is off" gateway_shown
CLASSES='"client-classes": [{"name": "phones", "test": "option[60].text == '"'phone'"'"}, {"name": "servers", "test": "option[60].text == '"'server'"'"}],'
check "Kea gets client classes" on dhcp sed -i "s/\"valid-lifetime\"/$CLASSES &/" /etc/kea/kea-dhcp4.conf
configured() { [ "$(grep -c DHCP4_CONFIG_COMPLETE "$LAB_DIR/log/kea")" -gt "$1" ]; }
before=$(grep -c DHCP4_CONFIG_COMPLETE "$LAB_DIR/log/kea")
kill -HUP "$(<"$LAB_DIR/pids/kea")"
eventually 10 "Kea has the classes" configured "$before"

# ---- two clients of two classes, and one of none

class client1 phone
class client2 server
class client3 something
check "a phone asks" "$LAB" renew client1
check "and a server" "$LAB" renew client2
what client1 native "5060/udp, icmp" "$PHONES"
what client2 tunnel open "$SERVERS"
for c in client1 client2; do
	in_background $c "server_$c" socat TCP4-LISTEN:7002,fork,reuseaddr SYSTEM:hostname
	within 5 listening $c tcp 7002
done
check "what the phones' pool does not let in stays out" not on peer timeout 4 socat -u "TCP4:$(address client1):7002,connect-timeout=2" -
is "what the servers' lets in comes in" "$(on peer timeout 9 socat -u "TCP4:$(address client2):7002" -)" client2
no_public() { on client3 ip -4 route show default | grep -q . && [ -z "$(address client3)" ]; }
"$LAB" start client3.dhclient
eventually 10 "who is in no class of a pool has the ordinary lease and no public address" no_public
is "and uses the NAT" "$(seen_by_peer client3)" "$NAT_IP"

# ---- the client goes before the grant

tunneld() { kill -HUP "$(<"$LAB_DIR/pids/client1.tunneld")"; }
on client1 tee /etc/pubaddr/tunneld.conf >"$TMP/conf" <<<'{ "allow-documentation": true, "outbound": "tunnel" }'
tunneld
eventually 5 "the phone's own configuration goes before its grant" mode_is client1 "tunnel (by configuration)"
is "so the peer sees" "$(seen_by_peer client1)" "$(address client1)"
check "a command goes before both" mode client1 policy
is "so a program sees" "$(seen_by_program client1)" "$(on client1 ip -4 -o addr show dev eth0 scope global | awk '{sub("/.*", "", $4); print $4; exit}')"
check "the lease is renewed" "$LAB" renew client1
is "and the command still counts" "$(mode client1)" "policy (by command)"
check "it is taken back" mode client1 default
on client1 tee /etc/pubaddr/tunneld.conf >"$TMP/conf" <<<'{ "allow-documentation": true }'
tunneld
eventually 5 "and the configuration: the grant counts" mode_is client1 "native (by grant)"
is "so the peer sees" "$(seen_by_peer client1)" "$NAT_IP"

# ---- another class, another grant

class client1 server
check "the phone becomes a server" "$LAB" renew client1
what client1 tunnel open "$SERVERS"
class client2 phone
check "and the server a phone" "$LAB" renew client2
what client2 native "5060/udp, icmp" "$PHONES"
check "no private or foreign source on the Internet" no_leaks
done_testing
