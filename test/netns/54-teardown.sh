#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# After the tunnel the client's network is what it was: links, addresses, rules, routes, filters and every net.* sysctl, compared
# as text, for each way in which a tunnel can end: release, expiry of the lease, a gateway that ends the binding, a stopped
# daemon, and --cleanup after one that was killed. 41-expiry has the grant's own expiry.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

LEASE=14 # seconds
LAN='10\.77\.0\.' # what the DHCP client itself takes away when a lease ends
GROUP='^/sys/fs/cgroup/.*pubaddr-' # made by the daemon's start; one without privileges cannot remove it
# shellcheck disable=SC2016 # for the other shell
control_group() { on client1 sh -c 'find /sys/fs/cgroup -name "pubaddr-*-$(stat -Lc %i /proc/self/ns/net)" | grep .'; }
has_pub0() { on client1 ip link show dev pub0; }
reached() { on peer ping -c1 -W1 "$P"; }
tunneld() { echo "$1" | on client1 socat -t2 - UNIX:/run/pubaddr/tunneld-eth0.sock; }
dead() { [ ! -e "/proc/$1" ]; }

# as_before WHAT [FILTER]
as_before() {
	eventually 8 "$1: the public address is gone" not has_pub0
	[ "${3:-}" != nobody ] || check "$1: the control group too" not control_group
	network client1 "${2:-}" >"$TMP/after"
	network_filter "${2:-}" <"$TMP/before" >"$TMP/wanted"
	check "$1: the network is as before" diff "$TMP/wanted" "$TMP/after"
}
no_files() { check "$1: no file of the grant is left" not on client1 test -e /run/pubaddr/tunneld-eth0.state -o -e /run/pubaddr/pending-eth0.json; }
again() {
	check "a tunnel, once more" "$LAB" renew client1
	eventually 10 "P is reached" reached
}

lab_up --lease-time "$LEASE"
P=$CLIENT_PUBLIC_IP
"$LAB" stop client1.dhclient
check "the first tunnel ends" tunneld '{"command": "grant-end", "arguments": {"reason": "RELEASE"}}'
within 8 not has_pub0
network client1 >"$TMP/before"
check "there is something to compare: $(wc -l <"$TMP/before") lines" test "$(wc -l <"$TMP/before")" -gt 500

again
network client1 >"$TMP/during"
check "a tunnel does change something" not diff "$TMP/before" "$TMP/during"
check "the lease is released" "$LAB" release client1
as_before "release" "$LAN"
no_files "release"

again
"$LAB" stop kea
eventually $((LEASE + 10)) "no DHCP server: the lease runs out" not has_pub0
as_before "expiry of the lease" "$LAN"
no_files "expiry of the lease"
"$LAB" start kea

again
"$LAB" stop client1.dhclient
check "the gateway ends the binding" ask_gateway "{\"command\": \"binding-end\", \"arguments\": {\"address\": \"$P\"}}"
as_before "a binding that the gateway ends" "$LAN" # the address may have run out, for nobody renews it
no_files "a binding that the gateway ends"

again
"$LAB" stop client1.dhclient
pid=$(cat "$LAB_DIR/pids/client1.tunneld")
kill "$pid"
within 5 dead "$pid"
as_before "a daemon that is stopped" "$LAN|$GROUP"
check "it keeps the grant for its next start" on client1 test -e /run/pubaddr/tunneld-eth0.state
check "the daemon is started" "$LAB" start client1.tunneld
again

"$LAB" stop client1.dhclient
"$LAB" stop client1.tunneld
check "the daemon is killed: the public address stays" has_pub0
check "--cleanup" on client1 pubaddr-tunneld --cleanup -i eth0 -c /etc/pubaddr/tunneld.conf
as_before "--cleanup" "$LAN|$GROUP" nobody
check "--cleanup once more does no harm" on client1 pubaddr-tunneld --cleanup -i eth0 -c /etc/pubaddr/tunneld.conf
check "the daemon is started" "$LAB" start client1.tunneld
again
check "no private or foreign source on the Internet" no_leaks
done_testing
