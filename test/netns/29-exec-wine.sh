#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# pubaddr exec and Wine, whose programs' sockets are opened by another process, wineserver: with one of its own a program uses P, with
# one that runs already it goes that one's way, as pubaddr-modes(7) says. apps/winsock.sh shows the rest.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need wine x86_64-w64-mingw32-gcc perl
# shellcheck disable=SC2034 # for winsock.sh
APPS_DIR=$HERE/../apps MODE=policy
app() { :; }
# shellcheck source=test/apps/winsock.sh
. "$APPS_DIR/winsock.sh"

says() { tr -d '\r' <"$TMP/says" | sed -n 's/^own address by socket: //p' | grep .; }
# own_address BY...: what the program's socket is called; nobody calls it back here, and it is not waited for.
own_address() {
	local pid
	: >"$TMP/says"
	wine_on timeout 60 "$@" wine "$TMP/winsock.exe" udp "$PEER_IP" 7300 >"$TMP/says" 2>&1 &
	pid=$!
	within 60 says >/dev/null
	says
	kill "$pid" 2>/dev/null
}
server_over() { wine_end >/dev/null 2>&1; }

lab_up --outbound policy
check "Wine has a prefix, and the program is compiled" wine_ready
P=$CLIENT_PUBLIC_IP
printf '127.0.0.1 localhost\n%s client1\n' "$P" | on client1 tee /etc/hosts >/dev/null
server_over
is "without pubaddr exec a Winsock program has the LAN's address" "$(own_address)" "$CLIENT_PRIVATE_IP"
is "with it, but with the server of that one, too" "$(own_address pubaddr exec --)" "$CLIENT_PRIVATE_IP"
server_over
is "with a server of its own it has P" "$(own_address pubaddr exec --)" "$P"
is "and gives it to those that use its server" "$(own_address)" "$P"
server_over
is "P in a namespace" "$(own_address pubaddr exec --netns --)" "$P"
is "where no adapter has another address" "$(tr -d '\r' <"$TMP/says" | sed -n 's/^adapter .* has //p' | sort | paste -sd' ')" "127.0.0.1 $P"
server_over
check "no private or foreign source on the Internet" no_leaks
done_testing
