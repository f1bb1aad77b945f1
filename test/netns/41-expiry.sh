#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A broker that is gone costs nobody the ordinary lease: Kea's ACKs come without the option, which ends nothing. Then
# the grant expires, 60 s after the DHCP lease it came with; the interface goes and the host works on by plain NAT.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

has_pub0() { on client1 ip link show dev pub0; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
seen_by_peer() { on client1 socat -u "TCP4:$PEER_IP:7001" -; }

lab_up --lease-time 12
P=$CLIENT_PUBLIC_IP
"$LAB" release client1
within 5 not has_pub0 >"$TMP/gone" 2>&1
network client1 '10\.77\.0\.' >"$TMP/before"
check "the client has P again" "$LAB" renew client1
in_background peer echo socat TCP4-LISTEN:7001,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
within 5 listening peer tcp 7001
is "the peer sees P" "$(seen_by_peer)" "$P"
watch dhcp <<END
renewals in ip saddr $CLIENT_PRIVATE_IP udp sport 68 udp dport 67
END
check "the broker dies" "$LAB" stop brokerd
died=$SECONDS
eventually 25 "renewals go on, without the option" counter_above dhcp renewals 1
check "which ends nothing: the interface is there" has_pub0
is "and the peer sees P" "$(seen_by_peer)" "$P"

eventually 80 "the grant expires: the interface goes" not has_pub0
after=$((SECONDS - died))
check "after the lease's 12 s (less what had passed) and 60 s more: $after s" test "$after" -ge 55 -a "$after" -le 76
is "its rules too" "$(on client1 ip rule | grep -cE '^52[0-9][0-9]:')" 0
network client1 '10\.77\.0\.' >"$TMP/after"
check "all of its network but the LAN's address is as it was before" diff "$TMP/before" "$TMP/after"
check "hostname -I lists only the LAN's address" test "$(on client1 hostname -I | xargs)" = "$CLIENT_PRIVATE_IP"
is "the host works on by plain NAT" "$(seen_by_peer)" 198.51.100.2
eventually 40 "the gateway serves it no longer" not bound
check "P does not answer" not on peer ping -c2 -i0.2 -W1 "$P"
check "no private or foreign source on the Internet" no_leaks
done_testing
