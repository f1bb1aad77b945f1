#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A DHCP server of the attacker's on the LAN hands out grants that no client may take: through the real dhclient, its script
# and the helper. Each is refused, counted, and changes nothing. And one that may be taken, but leads nowhere.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need dnsmasq tcpdump socat
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up --clients 2
remember
key=$(on client1 pubaddr key)
"$LAB" stop kea

# rogue OPTION: the neighbour's server, with this grant.
rogue() {
	[ -z "${SERVER_PID:-}" ] || { kill "$SERVER_PID" && wait "$SERVER_PID" 2>/dev/null; }
	"$LAB" exec client2 -- dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --port=0 --interface=eth0 \
		--bind-dynamic --dhcp-authoritative --dhcp-leasefile=/run/rogue.leases --log-facility=- --no-ping \
		--dhcp-range=10.77.0.100,10.77.0.199,255.255.255.0,1h --dhcp-option=3,10.77.0.1 --dhcp-option=6,10.77.0.2 \
		--dhcp-option-force="224,$(sed 's/../&:/g; s/:$//' <<<"$1")" >"$TMP/rogue" 2>&1 &
	SERVER_PID=$!
	within 5 grep -qs started "$TMP/rogue"
}
state() {
	on client1 sh -c 'ip -o addr show dev pub0 | grep -o "inet [^ ]*"; ip rule show; ip route show table all | grep pub0 | sort'
}
grants() { client_status | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2; }
refused() { # refused WHY WHAT GRANT-ARGUMENTS...
	local why=$1 what=$2
	shift 2
	rogue "$(make_message grant "$key" "$@")" || result 1 "the neighbour's DHCP server" "$TMP/rogue"
	rises 1 grants refused "$what" "$LAB" renew client1
	check "because: $why" grep -q "$why" <<<"$(client_status)"
	is "nothing has changed" "$(state)" "$before"
}
before=$(state)
refused 'private address' "P on the LAN" 10.77.0.55/32 600 198.51.100.10:6080 1400 25
refused 'a /0' "the whole Internet" 203.0.113.0/0 600 198.51.100.10:6080 1400 25
refused 'unspecified' "0.0.0.0/0" 0.0.0.0/0 600 198.51.100.10:6080 1400 25
refused 'MTU of 68' "an MTU of 68" 203.0.113.9/32 600 198.51.100.10:6080 68 25
refused 'granted address itself' "a gateway inside P" 203.0.113.9/32 600 203.0.113.9:6080 1400 25
refused 'lives 4000000000 s' "an absurd lifetime" 203.0.113.9/32 4000000000 198.51.100.10:6080 1400 25
refused 'keepalive of 1 ' "a keepalive each second" 203.0.113.9/32 600 198.51.100.10:6080 1400 1
refused 'multicast address' "a gateway that is a group" 203.0.113.9/32 600 224.0.0.9:6080 1400 25
refused 'loopback address' "a gateway on the client itself" 203.0.113.9/32 600 127.0.0.1:6080 1400 25
refused 'this host itself' "the client as its gateway" 203.0.113.9/32 600 "$CLIENT_PRIVATE_IP:6080" 1400 25
unchanged

# What can be taken: the true address and an epoch from the future, but no gateway knows the secret.
rogue "$(make_message grant "$key" "$CLIENT_PUBLIC_IP/32" 600 "$GW" 1400 25)"
rises 1 grants accepted "a well-formed grant of nobody's" "$LAB" renew client1
unchanged
kill "$SERVER_PID"
wait "$SERVER_PID" 2>/dev/null
done_testing
