# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Winsock: a program of the tests' own (winsock.c) under Debian's Wine asks for the host's address in three ways, tells the peer each
# answer, and is called back at it by callback. All three must be P.
app winsock-tcp 'wine x86_64-w64-mingw32-gcc' 'tunnel=works native=works auto=works policy=works' 'Winsock (Wine), TCP'
app winsock-udp 'wine x86_64-w64-mingw32-gcc' 'tunnel=works native=works auto=works policy=works' 'Winsock (Wine), UDP'

# wine_on COMMAND...: on the client, with a home and a prefix of this lab's. No display, no offer to install Mono or Gecko.
wine_on() {
	on client1 env -u DISPLAY HOME="$TMP/wine" WINEPREFIX="$TMP/wine/prefix" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=' "$@"
}
# Wine opens a program's sockets in its server, which stays for a while. So each program gets one of its own, with its own way out.
wine_end() {
	wine_on wineserver -k
	wine_on timeout 60 wineserver -w
}

# The first lab of a run makes a prefix, 700 MB; those after it take its registry, and link the files.
wine_ready() {
	local made
	made=$(dirname "${CELLS:-$TMP/cells}")/wine.made
	[ ! -e "$TMP/winsock.exe" ] || return 0
	mkdir -p "$TMP/wine" && (
		flock 9
		if [ -d "$made" ]; then
			cp -al "$made" "$TMP/wine/prefix" && rm "$TMP/wine/prefix"/*.reg && cp -a "$made"/*.reg "$TMP/wine/prefix/"
		else
			wine_on timeout 300 wineboot -i 9>&- && wine_on timeout 60 wineserver -w 9>&- && cp -al "$TMP/wine/prefix" "$made.new" &&
				cp -a --remove-destination "$TMP/wine/prefix"/*.reg "$made.new/" && mv "$made.new" "$made"
		fi
	) 9>"$made.lock" || return
	x86_64-w64-mingw32-gcc -Wall -Wextra -Werror -O2 -D_WIN32_WINNT=0x0601 -o "$TMP/winsock.exe" "$APPS_DIR/winsock.c" -lws2_32 -liphlpapi
}

winsock_peer() { # winsock_peer tcp|udp
	listening peer "$1" 7300 && return
	in_background peer "callback_$1" perl "$APPS_DIR/callback" "$1" 7300
	within 10 listening peer "$1" 7300
}

winsock_run() { # winsock_run tcp|udp BY...: BY starts it
	local rc=0
	wine_end
	wine_on "${@:2}" timeout 90 wine "$TMP/winsock.exe" "$1" "$PEER_IP" 7300 >"$TMP/winsock.crlf" 2>&1 || rc=1
	wine_end
	tr -d '\r' <"$TMP/winsock.crlf" | tee "$TMP/winsock"
	[ "$(grep -c "^own address by .*: ${CLIENT_PUBLIC_IP//./\\.}\$" "$TMP/winsock")" = 3 ] || rc=1
	[ "$rc" = 0 ] || cat "$TMP/callback_$1"
	return "$rc"
}

winsock_try() {
	wine_ready && winsock_peer "$1" || return
	printf '127.0.0.1 localhost\n%s client1\n' "$CLIENT_PUBLIC_IP" | on client1 tee /etc/hosts >/dev/null
	winsock_run "$1" "${EXEC[@]}" || return
	[ "${MODE:-}" != policy ] || winsock_run "$1" pubaddr exec --netns --
}
try_winsock_tcp() { winsock_try tcp; }
try_winsock_udp() { winsock_try udp; }
filter_winsock_tcp() { echo 'tcp dst port 7300'; }
filter_winsock_udp() { echo 'udp dst port 7300'; }
embeds_winsock_tcp() { echo 'socket @P@ \d+\nname @P@ \d+\nadapter @P@ \d+\n'; }
embeds_winsock_udp() { embeds_winsock_tcp; }
reason_winsock_tcp() { echo "it was not called back at each address that it has for its own"; }
reason_winsock_udp() { reason_winsock_tcp; }
