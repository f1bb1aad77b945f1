#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The other DHCP clients, unchanged: dhcpcd and udhcpc ask for a grant by what `pubaddr` prints, their scripts are those that
# `make install` put there; lease, renewal, a lost carrier, the end.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat dhcpcd udhcpc

dhcpcd_PID='' udhcpc_PID='' # set by in_background
reached() { on peer ping -c1 -W1 "$P"; }
has_pub0() { on client1 ip link show dev pub0; }
public() { on client1 ip -4 -o addr show dev pub0 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}' | grep .; }
status() { on client1 pubaddr --json status; }
lifetime() { status | sed -n 's/.*"lifetime": *\([0-9]*\).*/\1/p'; }
aged() { AGED=$(lifetime) && [ "$AGED" -le 70 ]; } # the same look decides and is compared with
rises() { [ "$(lifetime)" -gt "$1" ]; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
lease() { ask_broker "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$P\"}}"; }
released() { lease | grep -q '"state": *"released"'; }
pinned_by_key() { lease | grep -q '"client-key-fingerprint": *"[0-9a-f]*[1-9a-f]'; }
plug() { ip -n "$PUBADDR_LAB-lan" link set p-client1 "$1"; }

# one CLIENT: what every DHCP client must do; it has been started.
one() {
	eventually 20 "$1: a public address comes" public
	P=$(public)
	eventually 5 "$1: P is reached" reached
	check "$1: the default route is the tunnel's" sh -c "'$LAB' exec client1 -- ip route get $PEER_IP | grep -q 'dev pub0'"
	within 5 aged # so that a renewal shows
	eventually 15 "$1: the lease is renewed, and the grant with it" rises "$AGED"
	check "$1: P is reached" reached
	plug down
	eventually 5 "$1: the carrier goes: P is not reached" not reached
	plug up
	eventually 20 "$1: it comes: P is reached again" reached
	is "$1: the same P" "$(public)" "$P"
}
over() { # over CLIENT
	eventually 5 "$1: its end: the public address is gone" not has_pub0
	eventually 5 "$1: the broker was told: the lease is released" released
	eventually 5 "$1: the gateway's binding is gone" not bound
	check "$1: nothing of the grant is left" not on client1 test -e /run/pubaddr/tunneld-eth0.state -o -e /run/pubaddr/pending-eth0.json
}

lab_up --lease-time 12 --quarantine 1
"$LAB" release client1 >/dev/null 2>&1
check "dhclient has given its lease back" within 5 not has_pub0

on client1 sh -c 'pubaddr dhcpcd-conf >>/etc/dhcpcd.conf'
check "its hook is installed" on client1 test -e /lib/dhcpcd/dhcpcd-hooks/90-pubaddr
in_background client1 dhcpcd dhcpcd -4 -B -d --noarp eth0
one dhcpcd
check "dhcpcd gives the lease back (-k)" on client1 dhcpcd -4 -k eth0
over dhcpcd
wait "$dhcpcd_PID"

# shellcheck disable=SC2016 # for the other shell
in_background client1 udhcpc sh -c 'exec udhcpc -f -R -T 1 -t 5 -A 2 -i eth0 $(pubaddr udhcpc-args) -s /usr/libexec/pubaddr/udhcpc-script'
one udhcpc
check "udhcpc: it has sent our key" pinned_by_key
kill "$udhcpc_PID"
over udhcpc
wait "$udhcpc_PID"
check "no private or foreign source on the Internet" no_leaks
done_testing
