# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# SIP over UDP and TCP: sipp on both sides, which like any phone takes the address of its socket for SDP. The called phone sends
# its media to the address that the SDP gave; the client must get some.
app sip-udp 'sipp' 'tunnel=works native=works auto=works policy=works' 'SIP over UDP'
app sip-tcp 'sipp' 'tunnel=works native=works auto=works policy=works' 'SIP over TCP'

sip_phone() { # sip_phone HOST SCENARIO TRANSPORT REMOTE [BY...]
	(cd "$TMP" && on "$1" "${@:5}" timeout 30 sipp -sf "$2.xml" -m 1 -t "$3" -p 5060 -mp 16000 -nostdin "$4")
}
sip_call() { # sip_call u1|t1 udp|tcp
	local called rc=0
	cp "$APPS_DIR"/../netns/sip/*.xml "$TMP/" && cp /usr/share/sip-tester/dtmf_2833_1.pcap "$TMP/media.pcap" || return
	# sipp sends its media by a raw socket, which a program of pubaddr exec cannot open: then only the called one sends.
	[ ${#EXEC[@]} = 0 ] || sed -i '/play_pcap_audio/d' "$TMP/caller.xml"
	# Of this call alone: the table is new each time.
	on client1 nft delete table ip watch 2>/dev/null
	watch client1 <<-END
		media in iifname "pub0" ip saddr $PEER_IP ip daddr $CLIENT_PUBLIC_IP udp dport 16000
	END
	sip_phone peer called "$1" "$CLIENT_PUBLIC_IP" >"$TMP/called.out" 2>&1 &
	called=$!
	within 10 listening peer "$2" 5060 || rc=1
	sip_phone client1 caller "$1" "$PEER_IP" "${EXEC[@]}" >"$TMP/caller.out" 2>&1 || rc=1
	wait "$called" || rc=1
	counter_above client1 media 5 || rc=1
	[ "$rc" = 0 ] || tail -n 12 "$TMP/caller.out" "$TMP/called.out"
	return "$rc"
}
try_sip_udp() { sip_call u1 udp; }
try_sip_tcp() { sip_call t1 tcp; }
filter_sip_udp() { echo 'udp dst port 5060'; }
filter_sip_tcp() { echo 'tcp dst port 5060'; }
embeds_sip_udp() { echo 'c=IN IP4 @P@\r'; }
embeds_sip_tcp() { echo 'c=IN IP4 @P@\r'; }
reason_sip_udp() { echo "no complete call with media"; }
reason_sip_tcp() { echo "no complete call with media"; }
