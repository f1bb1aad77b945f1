#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# SIP calls in both directions with sipp; each phone sends its media to the address that the other's SDP gave.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/phones.sh
. "$(dirname "$0")/phones.sh"
phones_ready

lab_up
count_media() {
	watch client1 <<-END
		rtp_in_$1 in iifname "pub0" ip saddr $PEER_IP ip daddr $CLIENT_PUBLIC_IP udp dport $MEDIA_PORT
	END
	watch peer <<-END
		rtp_in_$1 in ip saddr $CLIENT_PUBLIC_IP ip daddr $PEER_IP udp dport $MEDIA_PORT
	END
}

count_media out
check "the client calls the peer, and the call ends as it should" call client1 peer "$PEER_IP" "$CLIENT_PUBLIC_IP"
is "the caller's SDP carries P" "$(sdp_of caller)" "$CLIENT_PUBLIC_IP"
check "the called phone's media arrives at the client" counter_above client1 rtp_in_out 5
check "the caller's media arrives at the peer" counter_above peer rtp_in_out 5

count_media in
check "the peer calls P, and the call ends as it should" call peer client1 "$CLIENT_PUBLIC_IP" "$PEER_IP"
is "the called phone's SDP carries P" "$(sdp_of called)" "$CLIENT_PUBLIC_IP"
check "the caller's media arrives at the client" counter_above client1 rtp_in_in 5
check "the called phone's media arrives at the peer" counter_above peer rtp_in_in 5
check "no private address went to the peer" not grep -aq '10\.77\.0\.' "$TMP/wire.txt"
check "no private or foreign source on the Internet" no_leaks
done_testing
