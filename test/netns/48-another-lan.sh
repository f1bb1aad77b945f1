#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The client's interface moves to another LAN, with another Kea of the same realm and the same broker, and back: it has the same P, and a
# TCP connection inside goes on. On the way there the DHCP client asks for its old address and is refused, which ends the grant for a
# moment; on the way back it has forgotten it. By both data paths in turn.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/outage.sh
. "$(dirname "$0")/outage.sh"
need socat tcpdump

BOUND=20 # seconds, of which DHCP takes most
lease() { echo "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"$P\"}}" | on broker socat -t5 - UNIX:/run/pubaddr/broker.sock; }
leased_to() { lease | grep -q "\"dhcp-address\": *\"$1"; }
address() { on client1 ip -4 -o addr show dev "$1" scope global 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}' | grep .; }

open_connection() {
	rm -f "$TMP/in" && mkfifo "$TMP/in"
	in_background client1 got socat -u "TCP4-LISTEN:7002,bind=$P,reuseaddr" -
	within 5 listening client1 tcp 7002
	on peer socat -u - "TCP4:$P:7002" <"$TMP/in" &
	exec 8>"$TMP/in"
	echo before >&8
	within 5 grep -q before "$TMP/got"
}

# Two Keas, each of which serves one LAN alone: the lab's, and one with files of its own.
start_second_kea() {
	on dhcp sh -c 'sed "s/{ \"Dhcp4\": {/& \"authoritative\": true,/; s/\[\"\*\"\]/[\"eth0\"]/" /etc/kea/kea-dhcp4.conf >/run/kea1.conf
		sed "s/\[\"eth0\"\]/[\"eth1\"]/; s|kea/dhcp4.sock|kea/dhcp4b.sock|; s|leases4.csv|leases4b.csv|" /run/kea1.conf >/etc/kea/kea2.conf
		cat /run/kea1.conf >/etc/kea/kea-dhcp4.conf; mkdir -p /run/kea2'
	"$LAB" stop kea
	"$LAB" start kea
	in_background dhcp kea2 env KEA_PIDFILE_DIR=/run/kea2 KEA_LOCKFILE_DIR=/run/kea2 kea-dhcp4 -c /etc/kea/kea2.conf
	within 10 grep -q DHCP4_STARTED "$TMP/kea2"
}

# move BRIDGE: another cable. What brings up the interface there ends the DHCP client without a release and starts it again.
move() {
	fault_begins
	ip -n "$PUBADDR_LAB-lan" link set p-client1 down
	ip -n "$PUBADDR_LAB-lan" link set p-client1 master "$1"
	ip -n "$PUBADDR_LAB-lan" link set p-client1 up
	"$LAB" stop client1.dhclient
	ip -n "$PUBADDR_LAB-client1" addr flush dev eth0 scope global
	fault_done
	[ "$1" = br1 ] || on client1 rm /var/lib/dhcp/dhclient.leases
	"$LAB" start client1.dhclient
}

for path in kernel user; do
	export PUBADDR_DATAPATH=$path
	lab_up --lans 2
	ip -n "$PUBADDR_LAB-client1" link del eth1
	P=$CLIENT_PUBLIC_IP
	check "$path: another Kea for the other LAN" start_second_kea
	check "$path: a connection to P is open" open_connection
	watch_arrivals
	for to in br1:10.78.0 br0:10.77.0; do
		move "${to%:*}"
		heals "$path: in ${to#*:}.0/24" "$BOUND"
		eventually 10 "$path: an address of that LAN" expr "$(address eth0)" : "${to#*:}"
		is "$path: the same P" "$(address pub0)" "$P"
		check "$path: by a lease of that LAN" leased_to "${to#*:}"
		check "$path: P is reached" on peer ping -c1 -W2 "$P"
		echo "after $to" >&8
		eventually 30 "$path: the connection goes on" grep -q "after $to" "$TMP/got"
	done
	exec 8>&-
	stop_watching
	check "$path: no private or foreign source on the Internet" no_leaks
	"$LAB" down
done
done_testing
