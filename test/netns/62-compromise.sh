#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Somebody has stolen the keys and took a client's address with a forged grant of the highest epoch. What pubaddrctl(8) says under
# "After a compromise" is then done to the letter: the thief is out, and the rightful holder is back. 61-keys has the client's key.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need tcpdump socat
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"

reachable() { on peer ping -c1 -W1 "$P"; }
key_is() { [ "$(binding_field "$P" key-id)" = "$1" ]; }
epoch_is() { [ "$(binding_field "$P" epoch)" = "$1" ]; }
bound() { binding "$P" | grep -q '"result":0'; }
dead() { [ ! -e "/proc/$1" ]; }
gateway_key() { on gateway pubaddrctl key public /etc/pubaddr/gateway.key; }
restart() { # restart PROGRAM: as a service manager does
	local pid
	pid=$(cat "$LAB_DIR/pids/$1")
	kill "$pid" && within 10 dead "$pid" && "$LAB" start "$1"
	within 5 bound_or_not
}
bound_or_not() { binding "$P" | grep -q '"result"'; }
acks() { grep -c DHCPACK "$LAB_DIR/log/client1.dhclient"; }
more_acks() { [ "$(acks)" -gt "$1" ]; }
asks() {
	local before
	before=$(acks)
	"$LAB" stop client1.dhclient && "$LAB" start client1.dhclient && within 10 more_acks "$before"
}
renews() { "$LAB" renew client1; }
steals() { # steals EPOCH: binds P for himself
	grant=$(make_grant "$TMP/stolen" "$public" "$P" "$1" 3600)
	attacker peer bind "$grant" "$secret" "$GW" silent >"$TMP/said" 2>&1
}

attack_up
P=$CLIENT_PUBLIC_IP
read -r secret public < <(make_message key)
cp "$GATEWAY_KEY" "$TMP/stolen"
HIGH=$(($(date +%s%3N) + 315360000000)) # ten years from now
check "P is reached" reachable
check "a thief has the pool's key and takes P" steals "$HIGH"
eventually 5 "the binding is his" epoch_is "$HIGH"
check "P is not the client's" not reachable
eventually 5 "the broker sees an epoch that it never gave" grep -q "store.outdated .*epoch=$HIGH" "$LAB_DIR/log/brokerd"
check "the client asks" asks
check "which does not help: the binding is still his" epoch_is "$HIGH"

# ---- the steps of the manual
check "1: key rotate on the broker" on broker pubaddrctl key rotate
check "1: the new pool line to the gateway" \
	sh -c "'$LAB' exec broker -- pubaddrctl key pool --pool 1 --key 2 /etc/pubaddr/master.key | '$LAB' exec gateway -- tee -a /etc/pubaddr/gateway.key"
check "2: key retire on the gateway" on gateway pubaddrctl key retire --key 1 /etc/pubaddr/gateway.key
check "2: it is restarted" restart gatewayd
check "his binding ended" not epoch_is "$HIGH"
check "3: reload on the broker" on broker pubaddrctl reload
check "3: key retire on the broker" on broker pubaddrctl key retire --key 1 /etc/pubaddr/master.key
check "3: reload again" on broker pubaddrctl reload
check "4: the pool need not recover any longer" on broker pubaddrctl pool recover 1 0
check "5: the client's next renewal" renews
eventually 10 "it is bound with the new key" key_is 2
check "with an epoch above the thief's" test "$(binding_field "$P" epoch)" -gt "$HIGH"
eventually 5 "P is reached" reachable
check "the thief tries again, and binds nothing" not steals "$((HIGH + 1000000))"
check "he gets silence" silent
check "P is reached" reachable
within 5 counted gw unknown-pool 1
check "the gateway counts it" test "$(gw unknown-pool)" -ge 1
restart gatewayd
eventually 40 "after another restart of the gateway P is reached" reachable
check "the client gives its lease back" "$LAB" release client1
check "and asks anew" renews
eventually 10 "P is reached" reachable

# ---- the gateway's own key
was=$(gateway_key)
check "a new gateway key" on gateway pubaddrctl key new-gateway /etc/pubaddr/gateway.new
check "with the pools' keys" \
	sh -c "'$LAB' exec broker -- pubaddrctl key pool --pool 1 /etc/pubaddr/master.key | '$LAB' exec gateway -- tee -a /etc/pubaddr/gateway.new"
on gateway mv /etc/pubaddr/gateway.new /etc/pubaddr/gateway.key
check "is another one" test "$(gateway_key)" != "$was"
on broker sed -i "s/$was/$(gateway_key)/" /etc/pubaddr/brokerd.conf
check "the gateway is restarted" restart gatewayd
check "the broker reads its configuration" on broker pubaddrctl reload
check "the client renews" renews
eventually 20 "and is bound" bound
eventually 5 "P is reached" reachable
check "no private or foreign source on the Internet" no_leaks
done_testing
