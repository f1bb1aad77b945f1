#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The comparison: the same network with the hook library's line taken out of Kea's configuration. What needs no address of
# its own goes on working; what does, fails in the way that the other tests show mended.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/phones.sh
. "$(dirname "$0")/phones.sh"
need curl
phones_ready

lab_up --no-hook
is "the client has no public address" "$CLIENT_PUBLIC_IP" ""
check "DHCP and plain NAT work: ping" on client1 ping -c1 -W2 "$PEER_IP"
check "passive FTP works" on client1 curl -sS --max-time 10 -o "$TMP/hello" "ftp://$PEER_IP/hello.txt"
check "the file is the server's" grep -q 'Hello from the peer' "$TMP/hello"

check "active FTP fails" not on client1 curl -sSv --max-time 10 --ftp-port - -o /dev/null "ftp://$PEER_IP/hello.txt"
on client1 curl -sv --max-time 10 --ftp-port - -o /dev/null "ftp://$PEER_IP/hello.txt" 2>"$TMP/active"
check "because the server refuses the address in PORT: 500" grep -q '^< 500 Illegal PORT command' "$TMP/active"
check "which was the private one" grep -q "^> PORT ${CLIENT_PRIVATE_IP//./,}," "$TMP/active"

watch client1 <<END
rtp_in in ip protocol udp udp dport $MEDIA_PORT
rtp_out out ip protocol udp udp sport $MEDIA_PORT
END
watch inet <<END
rtp_lost in iifname "peer" ip daddr $CLIENT_PRIVATE_IP udp dport $MEDIA_PORT
END
check "a SIP call to the peer is set up and ended" call client1 peer "$PEER_IP" "192.0.2.1"
is "its SDP carries the private address" "$(sdp_of caller)" "$CLIENT_PRIVATE_IP"
check "the client sent media" counter_above client1 rtp_out 5
check "the peer sent its own to the private address" counter_above inet rtp_lost 5
is "no RTP packet reached the client" "$(counter client1 rtp_in)" 0
check "no private or foreign source on the Internet" no_leaks
done_testing
