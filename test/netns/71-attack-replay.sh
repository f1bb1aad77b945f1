#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Messages that were authentic once, sent again: in their binding, from elsewhere, and in the next binding of the same grant.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up

HOLDER=203.0.113.50
read -r secret public < <(make_message key)
grant=$(make_grant "$GATEWAY_KEY" "$public" $HOLDER 1000 600)
said() { sed -n "s/^$1 sent //p" "$TMP/$2" | sed -n "${3:-1}p"; }
ask() { attacker peer ask "$GW" "$@"; }

attacker peer bind "$grant" "$secret" "$GW" 5000 keepalive keepalive >"$TMP/first"
check "a holder binds and keeps its binding alive" grep -q '^keepalive got' "$TMP/first"
mapped=$(binding_field $HOLDER mapped)
bind=$(binding_field $HOLDER bind)
same() { is "$1" "$(binding_field $HOLDER mapped) $(binding_field $HOLDER bind)" "$mapped $bind"; }
hello=$(said hello first) confirm=$(said confirm first) keepalive=$(said keepalive first)

rises 1 gw hello "HELLO again: a cookie, no state" ask 5000 "$hello"
rises 1 gw repeated-confirm "CONFIRM again from the same place: the ACCEPT that may have been lost" ask 5000 "$confirm"
same "and nothing else happens"
rises 1 gw bad-cookie "CONFIRM from another port: that cookie is for another address" ask 5001 "$confirm"
check "and silence" silent
rises 1 gw bad-cookie "CONFIRM from another address" attacker inet raw 198.51.100.1:5000 "$GW" "$confirm"
rises 1 gw replayed "KEEPALIVE again" ask 5000 "$keepalive"
check "and silence" silent
rises 1 gw replayed "KEEPALIVE from elsewhere" ask 5001 "$keepalive"
check "and silence" silent
same "the binding is where it was"

# The same grant binds again: a higher bind number, another session.
attacker peer bind "$grant" "$secret" "$GW" 5002 keepalive >"$TMP/second"
check "the holder binds again" grep -q '^keepalive got' "$TMP/second"
mapped=$(binding_field $HOLDER mapped)
bind=$(binding_field $HOLDER bind)
rises 1 gw replayed "CONFIRM of the first binding, its cookie still good" ask 5000 "$confirm"
check "and silence" silent
rises 1 gw unknown-session "KEEPALIVE of the first binding" ask 5002 "$keepalive"
same "the second binding stays"
attacker peer bind "$grant" "$secret" "$GW" 5003 bye >"$TMP/third"
check "BYE ends a binding" sh -c "echo '$(binding $HOLDER)' | grep -q '\"result\":3'"
bye=$(said bye third)
rises 1 gw replayed "after the end: CONFIRM of the second binding" ask 5002 "$(said confirm second)"
rises 1 gw replayed "and of the third, from the same place" ask 5003 "$(said confirm third)"
check "there is no binding" sh -c "echo '$(binding $HOLDER)' | grep -q '\"result\":3'"
attacker peer bind "$grant" "$secret" "$GW" 5003 >"$TMP/fourth"
mapped=$(binding_field $HOLDER mapped)
bind=$(binding_field $HOLDER bind)
rises 1 gw unknown-session "BYE of the third binding against the fourth" ask 5003 "$bye"
check "and silence" silent
same "the fourth binding stays"

# A grant of an earlier epoch, that was good: its holder comes back after the address went to another one.
read -r secret2 public2 < <(make_message key)
next=$(make_grant "$GATEWAY_KEY" "$public2" $HOLDER 2000 600)
attacker peer bind "$next" "$secret2" "$GW" 5004 >"$TMP/next"
is "the address goes to another holder" "$(binding_field $HOLDER epoch)" 2000
mapped=$(binding_field $HOLDER mapped)
bind=$(binding_field $HOLDER bind)
rises 1 gw replayed "the old holder shakes hands with a new bind number" attacker peer bind "$grant" "$secret" "$GW" 5003
same "the new holder stays"
rises 1 gw replayed "and with his last CONFIRM" ask 5003 "$(said confirm fourth)"
pkt=$(make_message data $HOLDER:1000 "$PEER_IP:1000")
rises 1 gw_refused outer "the old holder's data" ask 5003 "$pkt"
same "the new holder stays there"

# A grant that has expired.
read -r secret3 public3 < <(make_message key)
short=$(make_grant "$GATEWAY_KEY" "$public3" 203.0.113.51 1 2)
attacker peer bind "$short" "$secret3" "$GW" 5005 >"$TMP/short"
check "a grant of two seconds binds" grep -q '^confirm got' "$TMP/short"
eventually 5 "and ends" sh -c "[ \"\$(echo '{\"command\":\"binding-get\",\"arguments\":{\"address\":\"203.0.113.51\"}}' | '$LAB' exec gateway -- socat -t5 - UNIX:/run/pubaddr/gateway.sock | grep -c '\"result\":3')\" = 1 ]"
rises 1 gw expired "HELLO with the expired grant" attacker peer bind "$short" "$secret3" "$GW" 5006
check "and silence" silent
rises 1 gw expired "its last CONFIRM" ask 5005 "$(said confirm short)"
no_amplification 5003 5005
done_testing
