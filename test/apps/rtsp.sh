# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# RTSP with RTP over UDP: VLC serves, ffmpeg plays. In rtsp-player the client plays from the peer, which sends RTP to the ports of
# SETUP at the address that the connection came from. In rtsp-server the client serves, and its answers name P
# (Content-Base, a=control, RTP-Info; VLC adds source= to Transport only where that is another address than the connection's).
app rtsp-player 'cvlc ffmpeg' 'tunnel=works native=works native/symmetric=fails auto=works policy=works' 'RTSP, player'
app rtsp-server 'cvlc ffmpeg' 'tunnel=works native=works auto=works policy=works' 'RTSP, server'

# rtsp_serve HOST PORT [BY...]: VLC is not root's, so port 554 is made anybody's there.
rtsp_serve() {
	local host=$1 port=$2
	shift 2
	[ -s "$TMP/rtsp/sound.wav" ] || { mkdir -p "$TMP/rtsp" && chmod 755 "$TMP" "$TMP/rtsp" &&
		ffmpeg -nostdin -v error -f lavfi -i sine=frequency=440:duration=60 -ar 8000 -ac 1 -c:a pcm_alaw "$TMP/rtsp/sound.wav"; } || return
	on "$host" sysctl -qw net.ipv4.ip_unprivileged_port_start=554 || return
	in_background "$host" rtsp_log setpriv --reuid=nobody --clear-groups "$@" env HOME=/tmp timeout 120 cvlc -I dummy --no-dbus --loop \
		--sout "#rtp{sdp=rtsp://:$port/sound}" "$TMP/rtsp/sound.wav"
	within 20 listening "$host" tcp "$port"
}
rtsp_play() { # rtsp_play HOST ADDRESS:PORT [BY...]: three seconds of it, by UDP only
	local host=$1 from=$2 i
	shift 2
	for i in 1 2 3; do # the stream exists a moment after the port does
		rm -f "$TMP/rtsp/heard.wav"
		on "$host" "$@" timeout 20 ffmpeg -nostdin -v info -y -rtsp_transport udp -timeout 8000000 -t 3 -i "rtsp://$from/sound" -c copy \
			"$TMP/rtsp/heard.wav" >"$TMP/rtsp/player" 2>&1
		grep -q '404 Not Found' "$TMP/rtsp/player" || break
		within "$i" false
	done
	tail -n 5 "$TMP/rtsp/player"
	[ "$(stat -c %s "$TMP/rtsp/heard.wav")" -gt 16000 ]
}
rtsp_try() { # rtsp_try SERVER PORT PLAYER ADDRESS
	local rtsp_log_PID rc=0 by=("${EXEC[@]}") there=()
	[ "$1" = peer ] || { by=() && there=("${EXEC[@]}"); }
	rtsp_serve "$1" "$2" "${there[@]}" || rc=1
	[ "$rc" != 0 ] || rtsp_play "$3" "$4:$2" "${by[@]}" || rc=1
	kill "$rtsp_log_PID"
	wait "$rtsp_log_PID"
	within 5 not listening "$1" tcp "$2"
	[ "$rc" = 0 ] || tail -n 5 "$TMP/rtsp_log"
	return "$rc"
}
try_rtsp_player() { rtsp_try peer 554 client1 "$PEER_IP"; }
try_rtsp_server() { rtsp_try client1 8554 peer "$CLIENT_PUBLIC_IP"; }
filter_rtsp_player() { echo 'tcp dst port 554'; }
filter_rtsp_server() { echo 'tcp src port 8554'; }
embeds_rtsp_player() { :; }
embeds_rtsp_server() { echo 'Content-Base: rtsp://@P@:8554/sound\r.*a=control:rtsp://@P@:8554/.*RTP-Info: url=rtsp://@P@:8554/'; }
reason_rtsp_player() { echo "the server sends to the address that it saw, at a port that the NAT has given to nobody"; }
reason_rtsp_server() { echo "no sound"; }
