#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The gateway's channel by TLS between two hosts: who has a certificate of the right authority and name is served, and
# nobody else; floors and reports go the same way as by the Unix socket.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat openssl

broker_says() { ask_broker '{"command": "status-get"}' | grep -q "$1"; }
gateway_says() { ask_gateway '{"command": "status-get"}' | grep -q "$1"; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
allocate() {
	ask_broker '{"command": "lease-allocate", "arguments": {"realm": "lab", "subnet-id": 1, "dhcp-address": "10.77.0.199", "client-id": "'"$1"'", "valid-lifetime": 3600}}' |
		sed -n 's/.*"address": *"\(203[0-9.]*\)".*/\1/p'
}
gets() { [ "$(allocate "$1")" = "$P" ]; }
logged() { grep -q "$2" "$LAB_DIR/log/$1"; }
now_ms() { date +%s%3N; }

# certificate NAME [CA]: of the lab's authority, or of another one, into $TMP.
certificate() {
	local ca=${2:-$LAB_DIR/ca}
	[ -e "$ca.key" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -keyout "$ca.key" -out "$ca.crt"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$TMP/$1.pem" -out "$TMP/$1.csr"
	openssl x509 -req -in "$TMP/$1.csr" -CA "$ca.crt" -CAkey "$ca.key" -CAcreateserial -out "$TMP/$1.crt"
} >/dev/null 2>&1

# say NAME LINE [OPTION...]: what the broker answers to a gateway of that certificate, if anything.
say() {
	local name=$1 line=$2
	shift 2
	{ echo "$line" && sleep 1; } | "$LAB" exec gateway -- openssl s_client -quiet -no_ign_eof -connect 198.51.100.18:6443 -CAfile "$LAB_DIR/ca.crt" \
		-cert "$TMP/$name.crt" -key "$TMP/$name.pem" "$@" 2>"$TMP/s_client"
}
sync() { echo "{\"command\": \"gateway-sync\", \"arguments\": {\"name\": \"$1\", \"from\": 0}}"; }

lab_up --tls --quarantine 3 --broker-pool 203.0.113.8/32
P=$CLIENT_PUBLIC_IP
check "the gateway is synced with the broker" gateway_says '"synced": *true'
check "the broker knows its gateway" broker_says '"connected": *true'
check "there is no other way to it" not test -e "$LAB_DIR/hosts/gateway/run/pubaddr/broker.sock"
check "the client is bound" bound

"$LAB" release client1 >/dev/null 2>&1
eventually 3 "the gateway hears of the release" broker_says '"up-to-date": *true'
eventually 8 "and another client gets the address after its rest" gets 0a01

certificate gw1
certificate gw9
check "a right certificate is served" sh -c "grep -q '\"floors\"'" <<<"$(say gw1 "$(sync gw1)")"
check "one of another name is not" sh -c "grep -q 'permission denied'" <<<"$(say gw9 "$(sync gw1)")"
check "nor under its own, which is not configured" sh -c "grep -q 'not among the gateway-names'" <<<"$(say gw9 "$(sync gw9)")"
check "a gateway does not ask for leases" sh -c "grep -q 'permission denied'" <<<"$(say gw1 '{"command": "lease-get-page", "arguments": {"name": "gw1", "from": "start", "limit": 9}}')"
is "TLS 1.2 is refused" "$(say gw1 "$(sync gw1)" -tls1_2)" ""
check "for its version" grep -qi 'protocol version' "$TMP/s_client"
certificate gw1 "$TMP/other"
is "a certificate of another authority is refused" "$(say gw1 "$(sync gw1)")" ""
eventually 3 "and logged" logged brokerd 'tls.failed peer=.* reason=".*certificate'
is "no certificate at all is refused" "$({ sync gw1 && sleep 1; } | "$LAB" exec gateway -- openssl s_client -quiet -no_ign_eof \
	-connect 198.51.100.18:6443 -CAfile "$LAB_DIR/ca.crt" 2>"$TMP/s_client")" ""
check "by an alert" grep -qi 'alert certificate required' "$TMP/s_client"
{ head -c 100000 /dev/urandom && sleep 1; } | on gateway socat -t1 - TCP4:198.51.100.18:6443 >/dev/null 2>&1
check "noise on the port does no harm" broker_says '"connected": *true'

check "the broker dies" "$LAB" stop brokerd
eventually 5 "the gateway notices" logged gatewayd 'broker.lost'
check "and goes on with what it knows" gateway_says '"synced": *true'
done_testing
