#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What is said when the session relay does not work (WHEN IT DOES NOT WORK in pubaddr-relay(7)): one cause after the other, told by
# pubaddr status and pubaddr diagnose in the page's words, and gone with its cause. A server that says no is not waited for. The same for
# an address on demand.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/diagnose.sh
. "$(dirname "$0")/diagnose.sh"
# shellcheck source=test/netns/relayed.sh
. "$(dirname "$0")/relayed.sh"
need curl openssl faketime python3
page=$HERE/../../man/pubaddr-relay.7
relayd_PID='' call_PID='' serving_PID='' # set by in_background

lab_up
LOG=/run/pubaddr-lab/$PUBADDR_LAB/log
CONF=/etc/pubaddr/gatewayd.conf
on gateway cp $CONF $CONF.plain
certificate() { # certificate NAME FILE: self-signed, on the gateway's host
	on gateway sh -c "cd /etc/pubaddr && ${3:-} openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 \
		-subj /CN=$1 -addext subjectAltName=DNS:$1 -keyout $2.key -out $2.crt 2>/dev/null"
}
relayd_ends() {
	[ -z "$relayd_PID" ] || { kill "$relayd_PID" && wait "$relayd_PID"; } 2>/dev/null
	within 10 not listening gateway tcp 443
}
# relayd [MEMBERS]: the server, with these too.
relayd() {
	relayd_ends
	on gateway sh -c "sed '1s|{|{ \"relay\": {\"listen\": [\"198.51.100.10:443\"]${1:-}},|' $CONF.plain >$CONF"
	in_background gateway relayd pubaddr-relayd
	within 10 listening gateway tcp 443 || { note <"$TMP/relayd"; result 1 "the server starts"; done_testing; }
}
tunneld() { # tunneld MEMBERS: the client's daemon, with these
	on client1 tee /etc/pubaddr/tunneld.conf >/dev/null \
		<<<"{ \"allow-documentation\": true, \"socks\": {\"listen\": \"127.0.0.1:1080\"}, $1 }"
	"$LAB" stop client1.tunneld >/dev/null && "$LAB" start client1.tunneld >/dev/null
	within 20 on client1 sh -c 'pubaddr status | grep -q "public address"'
}
call() { # somebody who wants the relay, until it works
	[ -z "$call_PID" ] || { kill "$call_PID" && wait "$call_PID"; } 2>/dev/null
	in_background client1 call sh -c "until pubaddr exec --relay curl -sS --max-time 30 http://$PEER_IP/; do sleep 0.1; done"
}
granted() { [ "$(grep -c ' grant.put ' "$LOG/client1.tunneld")" -gt "$1" ]; }
renew() { # a lease anew: until the daemon has it, calls go by the connection that there is
	local before
	before=$(grep -c ' grant.put ' "$LOG/client1.tunneld")
	"$LAB" renew client1 >/dev/null 2>&1
	within 20 granted "$before"
}
status_has() { on client1 pubaddr status >"$TMP/status" 2>&1; grep -qF "$1" "$TMP/status" || { cat "$TMP/status" && return 1; }; }
# wrong WORDS: somebody calls, and the cause is told in words that the page has.
wrong() {
	call
	eventually 20 "pubaddr status: $1" status_has "$1"
	told warning relay-unusable
	says "$1"
	check "the page has it" grep -qxF ".It $1" "$page"
}
asks="import socket; socket.create_connection(('$PEER_IP', 80))"
by_socks() { on client1 curl -sS --max-time "$1" --socks5 127.0.0.1:1080 "http://$PEER_IP/"; }
told_by_socks() { by_socks 10 2>"$TMP/said"; grep -qF '(3)' "$TMP/said" || { cat "$TMP/said" && return 1; }; }
told_soon() { relayed timeout 10 python3 -c "$asks" 2>"$TMP/said"; grep -qF '[Errno 101]' "$TMP/said" || { cat "$TMP/said" && return 1; }; }
is_refused() { # a program does not wait for 20 s
	check "a program is told soon: ENETUNREACH" told_soon
	check "by SOCKS5: 3" told_by_socks
}
is_waited_for() {
	relayed timeout 7 python3 -c "$asks" >/dev/null 2>&1
	is "a program waits" $? 124
	by_socks 7 >/dev/null 2>&1
	is "by SOCKS5, too" $? 28
}
works() { eventually 30 "the call is answered when the cause is gone" grep -q Hello "$TMP/call"; }
at_server() { eventually 10 "the server's log has $1" grep -q " $1" "$TMP/relayd"; }

on peer sh -c 'mkdir -p /run/www && echo Hello >/run/www/index.html'
in_background peer www python3 -u -m http.server --directory /run/www 80
within 10 listening peer tcp 80
certificate relay.example good
certificate other.example other
certificate relay.example old 'faketime 2020-01-01'
on gateway sh -c 'cat /etc/pubaddr/*.crt' | on client1 tee /etc/pubaddr/ca.crt >/dev/null

# ---- this host
relayed true 2>"$TMP/said"
check "without a relay: told at once" grep -q 'no session relay is known' "$TMP/said"
SERVER='"relay": {"address": "198.51.100.10:443"'
tunneld "$SERVER}"
on client1 "${NOBODY[@]}" pubaddr exec --relay true 2>"$TMP/said"
check "a user who may not: told at once" grep -q 'permission denied: .*"relay-users"' "$TMP/said"
on client1 pubaddr exec --relay --interface eth9 true 2>"$TMP/said"
check "no daemon: told at once" grep -q 'pubaddr-tunneld does not run for that interface' "$TMP/said"

# ---- the server
wrong "Connection refused"
check "the log says so" grep -q 'relay.unreachable reason="Connection refused"' "$LOG/client1.tunneld"
is_refused
relayd
works
told note relay
check "diagnose: there is a relay" has note relay
on gateway nft 'table ip diag { chain c { type filter hook input priority 0; tcp dport 443 drop; }; }'
tunneld "$SERVER}"
wrong "no answer in time"
is_waited_for
undrop gateway
works

# ---- its certificate
tunneld "$SERVER, \"name\": \"relay.example\", \"ca\": \"/etc/pubaddr/ca.crt\"}"
relayd ', "certificate": "/etc/pubaddr/other.crt", "key": "/etc/pubaddr/other.key"'
wrong "the certificate is not accepted"
check "it is another's" status_has "hostname mismatch"
is_refused
relayd ', "certificate": "/etc/pubaddr/old.crt", "key": "/etc/pubaddr/old.key"'
eventually 20 "it has expired" status_has "certificate has expired"
on gateway sh -c 'cd /etc/pubaddr && cp good.crt old.crt && cp good.key old.key'
on gateway sh -c 'kill -HUP $(ss -Hltnp "sport = :443" | sed "s/.*pid=\([0-9]*\).*/\1/")'
works

# ---- the proof
tunneld "$SERVER}"
on gateway sh -c "cd /etc/pubaddr && pubaddrctl key new-gateway other-gateway.key && grep ^pool gateway.key >>other-gateway.key" >/dev/null 2>&1
on gateway sed -i 's|/etc/pubaddr/gateway.key|/etc/pubaddr/other-gateway.key|' $CONF.plain
relayd
wrong "the server does not take the proof of the grant"
at_server relay.unproved
is_refused
on gateway sed -i '/^pool/d' /etc/pubaddr/other-gateway.key
relayd
at_server config.keyless
on gateway sed -i 's|/etc/pubaddr/other-gateway.key|/etc/pubaddr/gateway.key|' $CONF.plain
relayd
works
"$LAB" stop gatewayd >/dev/null
"$LAB" stop client1.tunneld >/dev/null && "$LAB" start client1.tunneld >/dev/null
within 10 relay_socket
call
eventually 20 "pubaddr status: the gateway beside the server" status_has "the server cannot serve this grant now"
check "the page has it" grep -qxF ".It the server cannot serve this grant now" "$page"
at_server gateway.lost
at_server "relay.refused-client .*reason=again"
is_refused
"$LAB" start gatewayd >/dev/null
works
on client1 sed -i '/^send pubaddr-grant/d' /etc/dhcp/dhclient.conf
renew
wrong "the grant names no client key"
is_refused

# ---- a firewall of the server's host
on client1 sh -c 'pubaddr dhclient-conf | tail -n 1 >>/etc/dhcp/dhclient.conf'
renew
works
in_background client1 serving pubaddr exec --relay python3 -u -m http.server --directory /tmp 8080
reached() { on peer curl -sS --max-time 2 -o /dev/null "http://$CLIENT_PUBLIC_IP:8080/"; }
eventually 20 "a program by the relay is called" reached
on gateway nft 'table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established,related accept;
	iif lo accept; tcp dport 443 accept; udp dport 6080 accept; }; }'
check "not with a firewall that drops what it does not know" not reached
rule=$(sed -n 's/^\.Dl \(nft add rule .*\)/\1/p' "$HERE/../../man/pubaddr-relayd.8")
check "gw# $rule" on gateway sh -c "$rule"
check "but with the manual's rule" reached
on gateway nft delete table inet filter

# ---- an address on demand
on client1 sed -i /pubaddr-grant/d /etc/dhcp/dhclient.conf
kill "$serving_PID" "$call_PID" 2>/dev/null
"$LAB" stop client1.dhclient >/dev/null
on client1 tee /etc/pubaddr/tunneld.conf >/dev/null <<<'{ "allow-documentation": true, "on-demand": {} }'
"$LAB" stop client1.tunneld >/dev/null
on client1 sh -c 'rm -f /run/pubaddr/dhcp-eth0.json /run/pubaddr/tunneld-eth0.state'
"$LAB" start client1.tunneld >/dev/null
"$LAB" start client1.dhclient >/dev/null
finds 20 note on-demand
check "pubaddr status says so" status_has "no program needs a public address now"
"$LAB" stop brokerd >/dev/null
on client1 pubaddr exec -- true >"$TMP/said" 2>&1
check "no broker: the program is not started, and why" grep -q 'gives no public address' "$TMP/said"
check "pubaddr status says it afterwards" status_has "the last program that needed a public address got none"
finds 5 error demand-failed
"$LAB" start brokerd >/dev/null
eventually 40 "the next program is started" on client1 pubaddr exec -- true
check "and nothing is said of it any more" not status_has "got none"
done_testing
