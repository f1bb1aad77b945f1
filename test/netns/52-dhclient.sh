#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Everything that dhclient can say to its script, said by the real one: PREINIT, BOUND, RENEW, REBOOT, TIMEOUT, FAIL, EXPIRE,
# STOP, RELEASE, and silence when it is killed. What ends a grant ends it, and nothing else does. REBIND is in dhclient too,
# but 4.4.3 says RENEW when another server than its own has renewed; the script is called with it in dhclient's words.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

LEASE=20 # seconds; renewed after 5, rebound after 9
reached() { on peer ping -c1 -W1 "$P"; }
has_pub0() { on client1 ip link show dev pub0; }
status() { on client1 pubaddr --json status; }
state_is() { status | grep -q "\"state\": *\"$1\""; }
epoch() { status | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p'; }
lifetime() { status | sed -n 's/.*"lifetime": *\([0-9]*\).*/\1/p'; }
long_lived() { [ "$(lifetime)" -gt $((LEASE + 60 - 3)) ]; }
bound() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
reasons() { on client1 cat /run/reasons 2>/dev/null; }
mark() { on client1 sh -c ': >/run/reasons'; }
said() { reasons | grep -qx "$1"; }
broadcasts() { grep -c 'DHCPREQUEST .* to 255.255.255.255' "$LAB_DIR/log/client1.dhclient"; }
more_broadcasts() { [ "$(broadcasts)" -gt "$1" ]; }
muted() { grep -q 'Operation not permitted' "$LAB_DIR/log/client1.dhclient"; }
# script REASON: the script, with what dhclient has told it last.
script() {
	# shellcheck disable=SC2016 # for the other shell
	on client1 sh -c 'grep -E "^(new_|old_|interface=|requested_)" /run/environment | sed "s/^/export /" >/run/replay && . /run/replay &&
		reason=$1 /sbin/dhclient-script' script "$1"
}
serve() { "$LAB" "$1" kea && { [ "$1" = stop ] || within 10 listening dhcp udp 67; }; }
dies() { "$LAB" stop client1.dhclient; }
starts() { "$LAB" start client1.dhclient; }
forgets() { on client1 rm -f /var/lib/dhcp/dhclient.leases; }

# as_before REASON: it came, and meant nothing for the grant.
as_before() {
	check "$1: the grant is as it was" state_is bound
	is "$1: the same epoch" "$(epoch)" "$was"
	check "$1: P is reached" reached
}
# ended REASON: the tunnel is gone, and the gateway heard of it.
ended() {
	eventually 5 "$1: the public address is gone" not has_pub0
	eventually 3 "$1: the gateway heard of it" not bound
}

lab_up --lease-time "$LEASE"
P=$CLIENT_PUBLIC_IP
was=$(epoch)
on dhcp sed -i 's/"calculate-tee-times": true/"calculate-tee-times": false, "renew-timer": 5, "rebind-timer": 9/' /etc/kea/kea-dhcp4.conf
check "the DHCP server renews early" serve stop
serve start
# A hook of the test's own writes down what dhclient says, before ours is asked. It waits 3 s for servers, not minutes.
# shellcheck disable=SC2016 # for dhclient-script
on client1 sh -c 'echo "echo \"\$reason\" >>/run/reasons; set >/run/environment" >/etc/dhcp/dhclient-enter-hooks.d/00reasons
	printf "timeout 3;\nreboot 2;\nretry 2;\nselect-timeout 0;\ninitial-interval 1;\nbackoff-cutoff 2;\n" >>/etc/dhcp/dhclient.conf'

check "dhclient is killed" dies
check "and runs no script: P is reached" reached
mark
check "it starts anew, and remembers nothing" forgets
starts
eventually 5 "PREINIT comes" said PREINIT
check "PREINIT: P is reached" reached
eventually 5 "BOUND comes" said BOUND
as_before BOUND
eventually 5 "BOUND: the grant lives longer" long_lived

eventually $((LEASE)) "RENEW comes" said RENEW
as_before RENEW
eventually 5 "RENEW: the grant lives longer" long_lived

# dhclient renews by an ordinary socket, and rebinds by a raw one, which no firewall sees.
on client1 nft 'table ip mute { chain out { type filter hook output priority 0; ip daddr 10.77.0.2 udp dport 67 drop; }; }'
within 5 muted
before=$(broadcasts)
mark
eventually "$LEASE" "the server does not hear renewals: dhclient asks everybody" more_broadcasts "$before"
eventually 5 "and says so" sh -c "'$LAB' exec client1 -- grep -qxE 'RENEW|REBIND' /run/reasons"
on client1 nft delete table ip mute
as_before "rebinding"
eventually 5 "rebinding: the grant lives longer" long_lived
check "REBIND comes" script REBIND
check "REBIND: it has been said" said REBIND
as_before REBIND
check "MEDIUM comes, in the same way" script MEDIUM
as_before MEDIUM

dies
mark
starts
eventually 5 "dhclient is killed and remembers its lease: REBOOT comes" said REBOOT
as_before REBOOT
eventually 5 "REBOOT: the grant lives longer" long_lived

check "the DHCP server dies" serve stop
dies
mark
starts
eventually 12 "dhclient tries its old lease: TIMEOUT comes" said TIMEOUT
as_before TIMEOUT
check "TIMEOUT: nothing of the old lease was put again" not long_lived

dies
mark
forgets
starts
eventually 12 "no server and no lease: FAIL comes" said FAIL
check "FAIL: the grant lives on" has_pub0
is "FAIL: with its epoch" "$(epoch)" "$was"
check "the DHCP server is back" serve start
eventually 12 "BOUND comes" said BOUND
eventually 10 "and P is reached again" reached # by a new lease perhaps: the one in the server's file may be over

check "the DHCP server dies again" serve stop
mark
eventually $((LEASE + 5)) "the lease runs out: EXPIRE comes" said EXPIRE
# The kernel takes the address at the same moment: the goodbye may find no way out, and the gateway waits for keepalives.
eventually 5 "EXPIRE: the public address is gone" not has_pub0
check "EXPIRE: no file of the grant is left" not on client1 test -e /run/pubaddr/tunneld-eth0.state
check "the DHCP server is back" serve start
eventually 15 "and the client has P again" reached

mark
check "dhclient is stopped (-x)" on client1 dhclient -4 -x -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/dhclient.leases -pf /run/dhclient.pid eth0
eventually 5 "STOP comes" said STOP
ended STOP
check "it is started again" "$LAB" renew client1
eventually 10 "and the client has P again" reached

mark
check "dhclient gives the lease back (-r)" "$LAB" release client1
check "RELEASE comes" said RELEASE
ended RELEASE
check "no private or foreign source on the Internet" no_leaks
done_testing
