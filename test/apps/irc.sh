# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# IRC DCC: weechat on both sides and ngircd on the peer. The client offers a file with the address of its connection to the server,
# and the one who takes it dials that.
app irc-dcc 'ngircd weechat-headless' 'tunnel=works native=works auto=works policy=works' 'IRC DCC'

IRC_TRY=0
irc_server() {
	listening peer tcp 6667 && return
	printf '[Global]\nName = irc.lab.test\nInfo = lab\nMotdPhrase = lab\nListen = %s\n[Options]\nDNS = no\nIdent = no\nPAM = no\n' "$PEER_IP" >"$TMP/ngircd.conf"
	in_background peer ircd ngircd -n -f "$TMP/ngircd.conf"
	within 5 listening peer tcp 6667
}
# irc HOST NICK COMMANDS...: a person at the keyboard; ends with its host, or by its file in $TMP/NICK.
irc() {
	local host=$1 nick=$2 c args=() by=()
	shift 2
	[ "$host" != client1 ] || by=("${EXEC[@]}")
	for c; do
		args+=(-r "$c")
	done
	rm -rf "$TMP/irc.$nick" && mkdir "$TMP/irc.$nick"
	"$LAB" exec "$host" -- "${by[@]}" timeout 60 weechat-headless -d "$TMP/irc.$nick" "${args[@]}" >"$TMP/$nick" 2>&1 </dev/null &
	IRC+=("$!")
}
irc_received() { cmp -s "$TMP/irc.file" "$TMP/irc.bob$IRC_TRY/xfer/irc.file"; }
irc_logged_in() { grep -q "User \"$1!.* registered" "$TMP/ircd"; }

try_irc_dcc() {
	local pid n rc=0
	IRC=() n=$((++IRC_TRY)) # a nick may still be taken by the try before
	irc_server || return
	head -c 50000 /dev/urandom >"$TMP/irc.file"
	irc peer "bob$n" "/set xfer.file.auto_accept_files on" "/set xfer.file.download_path $TMP/irc.bob$n/xfer" "/set xfer.file.use_nick_in_filename off" \
		"/server add lab $PEER_IP/6667 -nicks=bob$n -notls" "/connect lab"
	within 10 irc_logged_in "bob$n" || rc=1
	irc client1 "alice$n" "/set xfer.network.port_range 7030-7031" "/server add lab $PEER_IP/6667 -nicks=alice$n -notls" "/connect lab" \
		"/wait 4 /command -buffer irc.server.lab * /dcc send bob$n $TMP/irc.file"
	within 25 irc_received || rc=1
	for pid in "${IRC[@]}"; do
		kill "$pid"
		wait "$pid"
	done
	[ "$rc" = 0 ] || tail -n 5 "$TMP/ircd"
	return "$rc"
}
filter_irc_dcc() { echo 'tcp dst port 6667'; }
# DCC gives the address as one number.
embeds_irc_dcc() {
	local a b c d
	IFS=. read -r a b c d <<<"$CLIENT_PUBLIC_IP"
	echo "DCC SEND irc.file $(((a << 24) + (b << 16) + (c << 8) + d)) 703"
}
reason_irc_dcc() { echo "the file did not come"; }
