#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Grants: altered in each byte, and in the hands of somebody who has listened to the whole DHCP exchange.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up
remember

HOLDER=203.0.113.70
read -r secret public < <(make_message key)
grant=$(make_grant "$GATEWAY_KEY" "$public" $HOLDER 1000 600)
before=$(gateway_status)
attacker peer alter "$grant" "$secret" "$GW" >"$TMP/altered"
is "a grant with any one byte changed binds nowhere" "$(tail -n 1 "$TMP/altered")" "tried 122 bound 0"
sum() { grep -oE '"(malformed|bad-mac|bad-key|unknown-pool|expired)":[0-9]+' <<<"${1%%\"traffic\"*}" | awk -F: '{s += $2} END {print s}'; }
is "each is counted once" "$(($(sum "$(gateway_status)") - $(sum "$before")))" 122
check "there is no binding" sh -c "echo '$(binding $HOLDER)' | grep -q '\"result\":3'"
check "unchanged, it binds" attacker peer bind "$grant" "$secret" "$GW" 0

# The listener has the option, and from the request the client's public key.
listened=$(listened_grant)
key=$(on client1 pubaddr key)
check "the whole exchange can be read" test -n "$listened" -a ${#key} = 64
rises 1 gw bad-key "the listener binds with a key of his own" attacker peer bind "$listened" - "$GW" 0
check "and gets silence" silent
rises 1 gw bad-mac "the listener binds with the client's public key, but has not its secret one" \
	attacker peer bind "$listened" "public:$key" "$GW" 0
check "he gets a CHALLENGE and no more" grep -q '^confirm silence' "$TMP/said"
unchanged
no_amplification
done_testing
