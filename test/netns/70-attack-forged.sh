#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Forged messages, to the gateway and to the client: counted, silence, nothing changed.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up

ask_forged() { # ask_forged TYPE [GRANT|SESSION]
	attacker peer ask "$GW" 0 "$(make_message forge "$@")"
}
remember
grant=$(listened_grant)
check "the LAN sees the grant" test -n "$grant"
read -r secret public < <(make_message key)
"$BUILD/test/netns/tunnel_tool" keys "$TMP/other.key"
wrong=$(make_grant "$TMP/other.key" "$public" "$CLIENT_PUBLIC_IP" 9999999999999 600)

for type in hello confirm; do
	rises 1 gw unknown-pool "$type of a pool that is not here" ask_forged $type
	check "and silence" silent
	rises 1 gw bad-key "$type with the holder's true grant and another key" ask_forged $type "$grant"
	check "and silence" silent
done
rises 1 gw bad-mac "a HELLO under a secret that somebody made up" attacker peer bind "$wrong" "$secret" "$GW" 0
check "and silence" silent
not_a_challenge=$(attacker peer ask "$GW" 0 "$(make_message forge hello "$wrong")")
is "with another key than its fingerprint's too" "$not_a_challenge" silence

# The session id travels in clear; make the client shake hands again, and read it.
attacker inet sniff gateway 4 20 >"$TMP/accept" 2>"$TMP/sniff" &
sniffer=$!
within 5 grep -qs listening "$TMP/sniff"
"$LAB" renew client1 >/dev/null 2>&1
wait $sniffer
read -r _ mapped accept <"$TMP/accept"
session=${accept:64:16}
check "the session id can be read on the way ($session)" test ${#session} = 16
within 5 test "$(binding_field "$CLIENT_PUBLIC_IP" mapped)" = "$mapped"
remember
for type in keepalive reconfirm bye; do
	rises 1 gw unknown-session "$type of a session that is not here" ask_forged $type
	rises 1 gw bad-mac "$type of the holder's session with a wrong MAC" ask_forged $type "$session"
	check "and silence" silent
	rises 1 gw bad-mac "$type with the holder's source address forged" \
		attacker inet raw "$mapped" "$GW" "$(make_message forge $type "$session")"
done
for type in unbound accept alive rechallenge; do
	rises 1 gw malformed "$type, which only gateways send" ask_forged $type
	check "and silence" silent
done
rises 3 gw malformed "stumps, unknown types, reserved bytes" \
	attacker peer ask "$GW" 0 20000000 2000000063000000 "2001$(make_message forge bye | cut -c5-)"
check "and silence" silent
unchanged

# Towards the client, as if from its gateway.
to_client() { attacker inet raw "$GW" "$mapped" "$@"; }
rises 1 cl bad-mac "UNBOUND with a wrong MAC to the client" to_client "$(make_message forge unbound "$session")"
rises 1 cl unexpected "ACCEPT that nobody waits for" to_client "$(make_message forge accept)"
rises 1 cl unexpected "ALIVE of another session" to_client "$(make_message forge alive)"
rises 1 cl unexpected "UNBOUND of another session" to_client "$(make_message forge unbound)"
rises 1 cl malformed "nonsense" to_client 20000000ff000000
unchanged
challenge=$(make_message forge rechallenge)
rises 2 cl rechallenged "of ten forged RECHALLENGEs two are answered, to the gateway" \
	to_client "$challenge" "$challenge" "$challenge" "$challenge" "$challenge" "$challenge" "$challenge" "$challenge" "$challenge" "$challenge"
is "the gateway moves nothing" "$(gw rebind)" 0
unchanged
rises 1 cl handshakes "an UNBOUND that claims not to know the session makes the client ask" \
	to_client "$(make_message forge hint "$session")"
check "and it stays bound" sh -c "[ '$(client_status | grep -c '"state":"bound"')' = 1 ]"
check "its address works" on peer ping -c1 -W2 "$CLIENT_PUBLIC_IP"
no_amplification
done_testing
