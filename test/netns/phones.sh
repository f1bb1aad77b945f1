# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# SIP calls with sipp, which like any phone takes the address of its socket for SDP. Sourced after tap.sh.

CALLED_PORT=5060
MEDIA_PORT=16000

phones_ready() {
	need sipp tcpdump
	local pcap=/usr/share/sip-tester/dtmf_2833_1.pcap
	[ -r "$pcap" ] || skip_all "needs $pcap of the package sip-tester"
	cp "$HERE"/sip/*.xml "$TMP/" && cp "$pcap" "$TMP/media.pcap"
}

phone() { # phone HOST SCENARIO REMOTE: in its own folder, for the files that sipp writes
	(cd "$TMP" && on "$1" timeout 40 sipp -sf "$2.xml" -m 1 -p "$CALLED_PORT" -mp "$MEDIA_PORT" -nostdin "$3")
}

# call CALLER CALLED ADDRESS REMOTE: CALLER calls ADDRESS, where CALLED waits (which expects calls from REMOTE). Succeeds
# when both sides finished the call as the scenarios say. What went over the peer's wire is in $TMP/wire.txt.
call() {
	local capture called rc=0
	: >"$TMP/tcpdump"
	"$LAB" exec peer -- tcpdump -nn -l -A -s0 -i eth0 udp >"$TMP/wire.txt" 2>"$TMP/tcpdump" &
	capture=$!
	within 10 grep -q 'listening on' "$TMP/tcpdump" || return 1
	phone "$2" called "$4" >"$TMP/called.out" 2>&1 &
	called=$!
	within 10 listening "$2" udp "$CALLED_PORT" || rc=1
	phone "$1" caller "$3" >"$TMP/caller.out" 2>&1 || rc=1
	wait "$called" || rc=1
	kill "$capture"
	wait "$capture"
	[ "$rc" = 0 ] || tail -n 12 "$TMP/caller.out" "$TMP/called.out"
	return "$rc"
}

# sdp_of caller|called: the address that its SDP gave, as it was seen at the peer.
sdp_of() { grep -aA4 "^o=$1 " "$TMP/wire.txt" | sed -n 's/^c=IN IP4 \([0-9.]*\).*/\1/p' | head -n 1; }
