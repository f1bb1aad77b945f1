#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The worked example of pubaddr-relay(7), as it stands there: what it says to write is written, what it says to run is run, in the
# laboratory, with UDP blocked at the NAT. The page marks each block with a comment: .\" example: NAME.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need curl python3
page=$HERE/../../man/pubaddr-relay.7

# block NAME: the literal text behind its mark.
block() {
	awk -v mark=".\\\\\" example: $1" '$0 == mark { on = 1; next } on && /^\.Bd/ { text = 1; next } /^\.Ed/ { on = text = 0 } text' "$page"
}
# insert HOST FILE TEXT BEHIND: TEXT into HOST's FILE, behind the first BEHIND.
insert() {
	on "$1" python3 - "$2" "$3" "$4" <<'END'
import sys
path, text, behind = sys.argv[1:]
old = open(path).read()
at = old.index(behind) + len(behind)
open(path, "w").write(old[:at] + "\n" + text + "\n" + old[at:])
END
}
# commands NAME PROMPT: those lines of the block, without their prompt.
commands() { block "$1" | sed -n "s/^$2 //p"; }
as_daemon() { on client1 setpriv --reuid=daemon --regid=daemon --clear-groups "$@"; }
run_each() { # run_each NAME PROMPT RUNNER...: each command is a check
	local name=$1 prompt=$2 line
	shift 2
	while read -r line; do
		check "$prompt $line" "$@" sh -c "$line" </dev/null
	done < <(commands "$name" "$prompt")
}
listens_at() { on "$1" ss -Hltn "sport = :$2" | grep -q .; }

lab_up
"$LAB" block-udp on >/dev/null 2>&1
is "the page's peer is the laboratory's" "$(grep -c "$PEER_IP" "$page")" "$(grep -c '192\.0\.2\.[0-9]' "$page")"
on peer sh -c 'mkdir -p /run/www && echo "Hello from the web" >/run/www/index.html'
in_background peer www python3 -u -m http.server --directory /run/www 80
within 10 listens_at peer 80
# The gateway's host resolves names; this one has it in its file.
on gateway sh -c "echo '$PEER_IP peer.example' >>/etc/hosts"

# step 1
insert gateway /etc/pubaddr/gatewayd.conf "$(block gatewayd.conf)" '{'
check "gw# $(commands gw 'gw#' | sed -n 1p)" on gateway sh -c "$(commands gw 'gw#' | sed -n 1p)"
in_background gateway relayd sh -c "exec $(commands gw 'gw#' | sed -n '2s/ &$//p')"
eventually 10 "the relay listens" listens_at gateway 443
# step 2
insert broker /etc/pubaddr/brokerd.conf "$(block brokerd.conf)" '"name": "main",'
run_each kea 'kea#' on broker
# step 3
block tunneld.conf | sed '1s/{/{ "allow-documentation": true,/' | "$LAB" exec client1 -- tee /etc/pubaddr/tunneld.conf >/dev/null
check "the client's configuration is right" on client1 pubaddr-tunneld -t -i eth0 -c /etc/pubaddr/tunneld.conf
"$LAB" stop client1.tunneld >"$TMP/stop" 2>&1
check "the client's daemon starts with it" "$LAB" start client1.tunneld
eventually 20 "it listens for SOCKS5" listens_at client1 1080
check "a new lease brings a grant with the relay" "$LAB" renew client1
# step 4
first=$(commands client 'client\$' | sed -n 1p)
serving=$(commands client 'client\$' | sed -n 2p)
got() { as_daemon sh -c "$first" >"$TMP/got" && grep -qx 'Hello from the web' "$TMP/got"; }
eventually 30 "client\$ $first" got
check "the peer saw the public address" grep -q "^$CLIENT_PUBLIC_IP " "$TMP/www"
in_background client1 serving setpriv --reuid=daemon --regid=daemon --clear-groups sh -c "cd /tmp && exec $serving"
reached() { on peer curl -sS --max-time 5 "http://$CLIENT_PUBLIC_IP:8080/" -o "$TMP/list"; }
eventually 20 "client\$ $serving: reached from the peer at the public address" reached
# step 5
run_each client-socks 'client\$' as_daemon
is "the peer saw the public address each time" "$(grep -c "^$CLIENT_PUBLIC_IP .*GET / " "$TMP/www")" \
	"$(grep -c " .*GET / " "$TMP/www")"
# step 6; there is no journal here
status() { as_daemon sh -c "$(commands client-status 'client\$')" >"$TMP/status" 2>&1; grep -q "^eth0: " "$TMP/status"; }
check "client\$ $(commands client-status 'client\$')" status
# shape: a text without what differs each time
shape() { sed 's/[0-9][0-9]*/N/g'; }
is "which shows what the page shows" "$(grep '^  relay ' "$TMP/status" | shape)" \
	"$(block status-shown | shape)"
steps() { grep -o 'INFO relay\.\(connect\|ready\|call\|result\|end\) .*' | shape | head -n 5; }
is "the log has the page's lines in their order" "$(steps <"/run/pubaddr-lab/$PUBADDR_LAB/log/client1.tunneld")" "$(block log-shown | shape)"
done_testing
