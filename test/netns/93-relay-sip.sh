#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A call that the relay's server handles, with its media by the tunnel: SIP over TCP runs through the relay, RTP is sent to P and arrives
# through the tunnel. Behind a symmetric NAT and behind two of them.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/phones.sh
. "$(dirname "$0")/phones.sh"
# shellcheck source=test/netns/relayed.sh
. "$(dirname "$0")/relayed.sh"
phones_ready

relayed_phone() { # relayed_phone SCENARIO REMOTE [BY...]
	(cd "$TMP" && on "${@:3}" timeout 40 sipp -sf "$1.xml" -m 1 -t t1 -p "$CALLED_PORT" -mp "$MEDIA_PORT" -nostdin "$2")
}
BY_RELAY=(client1 pubaddr exec --relay=tcp --)
relay_listens() { on gateway ss -Hlnt "src = $CLIENT_PUBLIC_IP:$CALLED_PORT" | grep -q .; }

call_by_relay() { # call_by_relay out|in
	local called rc=0
	if [ "$1" = out ]; then
		relayed_phone called "$CLIENT_PUBLIC_IP" peer >"$TMP/called.out" 2>&1 &
		called=$!
		within 10 listening peer tcp "$CALLED_PORT" || rc=1
		relayed_phone caller "$PEER_IP" "${BY_RELAY[@]}" >"$TMP/caller.out" 2>&1 || rc=1
	else
		relayed_phone called "$PEER_IP" "${BY_RELAY[@]}" >"$TMP/called.out" 2>&1 &
		called=$!
		within 20 relay_listens || rc=1
		relayed_phone caller "$CLIENT_PUBLIC_IP" peer >"$TMP/caller.out" 2>&1 || rc=1
	fi
	wait "$called" || rc=1
	[ "$rc" = 0 ] || tail -n 15 "$TMP/caller.out" "$TMP/called.out"
	return "$rc"
}

count() { # of one call: the tables are new each time
	on client1 nft delete table ip watch 2>/dev/null
	on peer nft delete table ip watch 2>/dev/null
	watch client1 <<-END
		media in iifname "pub0" ip saddr $PEER_IP ip daddr $CLIENT_PUBLIC_IP udp dport $MEDIA_PORT
		sip_in in iifname "pub0" tcp dport $CALLED_PORT
		sip_out out ip daddr $PEER_IP tcp dport $CALLED_PORT
		relay out ip daddr 198.51.100.10 tcp dport 443
	END
	watch peer <<-END
		sip in ip saddr $CLIENT_PUBLIC_IP ip protocol tcp
		media in ip saddr $CLIENT_PUBLIC_IP udp dport $MEDIA_PORT
	END
}

calls_behind() { # calls_behind NAT
	local way
	lab_up --nat "$1"
	relay_up
	result $? "$1: relay server and daemon" "$TMP/relayd"
	eventually 20 "$1: and the tunnel" on client1 pubaddr status
	for way in out in; do
		count
		check "$1, $way: the call ends as it should" call_by_relay "$way"
		check "$1, $way: signalling reaches the peer from P" counter_above peer sip 3
		check "$1, $way: by the connection to the relay" counter_above client1 relay 3
		is "$1, $way: and not by the tunnel, nor beside it" "$(counter client1 sip_in) $(counter client1 sip_out)" "0 0"
		check "$1, $way: media that is sent to P arrives through the tunnel" counter_above client1 media 5
		check "$1, $way: and the client's at the peer" counter_above peer media 5
	done
	check "$1: what comes in fragments and is for no session goes on by the tunnel" on peer ping -c 2 -i 0.2 -W 5 -s 3000 "$CLIENT_PUBLIC_IP"
	check "$1: no private or foreign source on the Internet" no_leaks
}

calls_behind symmetric
"$LAB" down >"$TMP/down" 2>&1
result $? "the first lab goes down" "$TMP/down"
calls_behind double
done_testing
