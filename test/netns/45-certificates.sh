#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Certificates of broker and gateway are changed while they speak: SIGHUP reads them again, the connection stays, new ones are
# made with the new ones, also under a new authority. A bad one is refused with file and reason, and the former one serves.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat openssl

ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
gateway_says() { ask_gateway '{"command": "status-get"}' | grep -q "$1"; }
logged() { grep -q "$2" "$LAB_DIR/log/$1"; } # logged PROGRAM PATTERN
lines() { grep -c "$2" "$LAB_DIR/log/$1"; }
more_lines() { [ "$(lines "$1" "$2")" -gt "$3" ]; }

# hangup PROGRAM EVENT: SIGHUP, and the event is logged once more.
hangup() {
	local before
	before=$(lines "$1" "$2")
	kill -HUP "$(<"$LAB_DIR/pids/$1")"
	within 5 more_lines "$1" "$2" "$before"
}
reloads() { # reloads PROGRAM: a check
	local event=daemon.reload
	[ "$1" != brokerd ] || event=broker.reload
	check "$1 takes it" hangup "$1" " $event "
}
refuses() { # refuses PROGRAM PATTERN
	local event=daemon.reload-failed
	[ "$1" != brokerd ] || event=broker.reload-failed
	check "$1 refuses: $2" hangup "$1" " $event .*$2"
}

authority() { openssl req -x509 "${ec[@]}" -days 30 -subj "/CN=$1" -keyout "$TMP/$1.key" -out "$TMP/$1.crt" 2>/dev/null; }
# certificate HOST NAME CA: a new key and a certificate of that authority, where the daemon looks for them.
certificate() {
	openssl req "${ec[@]}" -subj "/CN=$2" -keyout "$TMP/$2.pem" -out "$TMP/$2.csr" 2>/dev/null
	openssl x509 -req -in "$TMP/$2.csr" -CA "$3.crt" -CAkey "$3.key" -CAcreateserial -days 30 -out "$TMP/$2.crt" 2>/dev/null
	on "$1" tee "/etc/pubaddr/$2.crt" <"$TMP/$2.crt" >/dev/null
	on "$1" sh -c "umask 077; cat >/etc/pubaddr/$2.key.pem" <"$TMP/$2.pem"
}
# believe HOST FILE...: whose certificates that daemon is to believe
believe() { cat "${@:2}" | on "$1" tee /etc/pubaddr/ca.crt >/dev/null; }
# served: the certificate that the broker shows now
served() {
	on gateway openssl s_client -connect 198.51.100.18:6443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint
}
fingerprint() { openssl x509 -noout -fingerprint -in "$1"; }
expired() { # expired CA: of the broker's present key, valid a week ago
	: >"$TMP/index"
	printf '%s\n' '[ca]' 'default_ca = a' '[a]' "database = $TMP/index" 'default_md = sha256' 'policy = p' 'rand_serial = yes' \
		'[p]' 'commonName = supplied' >"$TMP/ca.conf"
	openssl ca -batch -notext -config "$TMP/ca.conf" -cert "$1.crt" -keyfile "$1.key" -in "$TMP/broker.csr" -outdir "$TMP" \
		-startdate "$(date -ud '-9 days' +%Y%m%d%H%M%SZ)" -enddate "$(date -ud '-7 days' +%Y%m%d%H%M%SZ)" 2>/dev/null
}

lab_up --tls
old=$LAB_DIR/ca
authority new && new=$TMP/new
eventually 10 "the gateway is synced with the broker" gateway_says '"connected": *true'

certificate broker broker "$old"
is "a new certificate serves nobody before SIGHUP" "$([ "$(served)" = "$(fingerprint "$TMP/broker.crt")" ] || echo former)" former
reloads brokerd
is "the broker shows the new one" "$(served)" "$(fingerprint "$TMP/broker.crt")"
check "its end is in the log" logged brokerd 'tls.certificate file=/etc/pubaddr/broker.crt until=20'
good=$(fingerprint "$TMP/broker.crt")

openssl ecparam -genkey -name prime256v1 2>/dev/null | on broker sh -c 'cat >/etc/pubaddr/broker.key.pem'
refuses brokerd 'broker.key.pem: is not the key of the certificate'
on broker sh -c 'cat >/etc/pubaddr/broker.key.pem' <"$TMP/broker.pem"
echo nonsense | on broker tee /etc/pubaddr/broker.crt >/dev/null
refuses brokerd 'gateway-listen: .*broker.crt: cannot use this certificate'
expired "$old" | on broker tee /etc/pubaddr/broker.crt >/dev/null
refuses brokerd 'broker.crt: the certificate expired at 20'
on broker tee /etc/pubaddr/broker.crt <"$TMP/broker.crt" >/dev/null
on broker chmod 644 /etc/pubaddr/broker.key.pem
refuses brokerd 'broker.key.pem: .*chmod'
on broker chmod 600 /etc/pubaddr/broker.key.pem
is "the good one has been shown all the time" "$(served)" "$good"

on gateway rm /etc/pubaddr/ca.crt
refuses gatewayd 'ca.crt: cannot use these certificates of an authority'
check "and goes on" gateway_says '"connected": *true'

# A new authority: both believe both, both change, both forget the old one.
believe broker "$old.crt" "$new.crt"
believe gateway "$old.crt" "$new.crt"
reloads brokerd
reloads gatewayd
certificate broker broker "$new"
certificate gateway gw1 "$new"
reloads brokerd
reloads gatewayd
believe broker "$new.crt"
believe gateway "$new.crt"
reloads brokerd
reloads gatewayd
is "the broker is of the new authority" "$(served)" "$(fingerprint "$TMP/broker.crt")"
is "no connection was lost in all this" "$(lines gatewayd broker.lost)" 0
is "nor made again" "$(lines gatewayd tls.connect)" 1
check "an old certificate is refused" not sh -c "grep -q floors" <<<"$({ echo '{"command": "gateway-sync", "arguments": {"name": "gw1", "from": 0}}' && sleep 1; } |
	on gateway openssl s_client -quiet -no_ign_eof -connect 198.51.100.18:6443 -CAfile "$TMP/new.crt" -cert "$LAB_DIR/gw1.crt" -key "$LAB_DIR/gw1.pem" 2>/dev/null)"
before=$(lines gatewayd tls.connect)
check "the broker dies" "$LAB" stop brokerd
check "and is back" "$LAB" start brokerd
eventually 30 "the gateway comes with its new certificate" more_lines gatewayd tls.connect "$before"
eventually 10 "and is served" gateway_says '"connected": *true'
done_testing
