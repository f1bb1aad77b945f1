#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Keys that change under way: a rotation loses no binding, a key that is removed after a compromise is worth nothing at
# once, and a client that lost its key pair gets going again. A reload with a mistake changes nothing.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

binding() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -o "\"$1\": *[^,}]*" | sed 's/.*: *//'; }
key_is() { [ "$(binding key-id)" = "$1" ]; }
bound() { [ -n "$(binding key-id)" ]; }
epoch() { ask_broker "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -o '"epoch": *[0-9]*' | tr -dc 0-9; }
logged() { grep -c "$1" "$LAB_DIR/log/$2"; }
more() { [ "$(logged "$1" "$2")" -gt "$3" ]; }
# hangup: SIGHUP to the gateway, and wait until it has read its keys.
hangup() {
	local before
	before=$(logged 'daemon\.reload' gatewayd)
	kill -HUP "$(<"$LAB_DIR/pids/gatewayd")"
	within 5 more 'daemon\.reload' gatewayd "$before"
}
give_pool_key() { on broker pubaddrctl key pool --pool 1 --key "$1" /etc/pubaddr/master.key | on gateway tee -a /etc/pubaddr/gateway.key; }
reachable() { on peer ping -c1 -W2 "$P"; }

lab_up
P=$CLIENT_PUBLIC_IP
first_epoch=$(epoch)
is "the binding is made with key 1" "$(binding key-id)" 1

on broker sed -i '2s/^/"quarantin": 5,/' /etc/pubaddr/brokerd.conf
on broker pubaddrctl reload >"$TMP/reload" 2>&1
is "a broken configuration is refused" $? 1
check "with file, line and member" grep -q 'brokerd.conf:2: quarantin: unknown setting' "$TMP/reload"
on broker sed -i '2s/"quarantin": 5,//' /etc/pubaddr/brokerd.conf
check "the mended one is taken" on broker pubaddrctl reload
is "the lease is the same" "$(epoch)" "$first_epoch"

check "key rotate" on broker pubaddrctl key rotate
check "the gateway gets the pool's new key" give_pool_key 2
check "and reads it" hangup
check "the broker signs with it" on broker pubaddrctl reload
is "the binding is as it was" "$(binding key-id)" 1
check "the client renews" "$LAB" renew client1
eventually 10 "and is bound with key 2" key_is 2
is "with the same epoch" "$(epoch)" "$first_epoch"
is "no binding ended" "$(logged 'binding\.end' gatewayd)" 0
check "P is reached" reachable
check "the gateway retires key 1" on gateway pubaddrctl key retire --key 1 /etc/pubaddr/gateway.key
check "and so does the broker" on broker pubaddrctl key retire --key 1 /etc/pubaddr/master.key
check "the gateway reads its keys" hangup
check "the binding stays" key_is 2
is "no binding ended" "$(logged 'binding\.end' gatewayd)" 0

on gateway sh -c 'cp -p /etc/pubaddr/gateway.key /root/ && echo "pool 1" >>/etc/pubaddr/gateway.key'
check "a broken key file" hangup
check "is refused with its line" grep -q 'daemon.reload-failed .*gateway.key:[0-9]*: wrong number of fields' "$LAB_DIR/log/gatewayd"
check "and the binding stays" key_is 2
on gateway mv /root/gateway.key /etc/pubaddr/gateway.key

# As if the master key were stolen: its successor is in force at once, for whoever it may hit.
check "compromise: key rotate" on broker pubaddrctl key rotate
check "the gateway gets the new key" give_pool_key 3
check "and loses the stolen one" on gateway pubaddrctl key retire --key 2 /etc/pubaddr/gateway.key
check "the gateway reads its keys" hangup
check "the binding of the stolen key ended" grep -q "binding.end addr=$P" "$LAB_DIR/log/gatewayd"
check "P is not reached" not reachable
check "the broker signs with the new one" on broker pubaddrctl reload
check "the client renews" "$LAB" renew client1
eventually 20 "and is bound with key 3" key_is 3
check "P is reached" reachable

# The client's key pair is lost.
"$LAB" stop client1.tunneld
on client1 rm -f /var/lib/pubaddr/client.key
on client1 sed -i '/pubaddr-grant/d' /etc/dhcp/dhclient.conf
on client1 sh -c 'pubaddr dhclient-conf >>/etc/dhcp/dhclient.conf'
in_background client1 tunneld pubaddr-tunneld -i eth0
eventually 5 "the daemon is back, with a key of its own" on client1 test -S /run/pubaddr/tunneld-eth0.sock
check "the client renews" "$LAB" renew client1
check "its lease has another epoch" test "$(epoch)" -gt "$first_epoch"
eventually 10 "and it is bound" bound
check "P is reached" reachable

check "a backup of the leases" on broker pubaddrctl backup /var/lib/pubaddr/copy.db
check "is for its owner only" test "$(on broker stat -c %a /var/lib/pubaddr/copy.db)" = 600
check "and is never overwritten" not on broker pubaddrctl backup /var/lib/pubaddr/copy.db
check "no private or foreign source on the Internet" no_leaks
done_testing
