#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# An address on demand: DHCP brings the host none, the first program that needs one makes the daemon ask Kea by DHCPINFORM, the hook library
# allocates, the program has P; the last one's end gives it back. Forged questions get nothing; without a broker there is a clear error.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/relayed.sh
. "$(dirname "$0")/relayed.sh"
need socat python3 dhclient dhcpcd udhcpc

lab_up --no-hook --outbound policy --clients 2
LOG=$LAB_DIR/log
holds_PID='' # set by in_background
DHCP_IP=10.77.0.2 LAN_IP=$CLIENT_PRIVATE_IP

# ---- a host whose DHCP client does not ask

use() { # use CLIENT SETTINGS
	on "$1" tee /etc/pubaddr/tunneld.conf >/dev/null <<<"{ \"allow-documentation\": true, $2 }"
	"$LAB" stop "$1.tunneld"
	"$LAB" start "$1.tunneld"
	within 10 on "$1" sh -c 'pubaddr --json status | grep -q interface'
}
plain_dhclient() { # plain_dhclient CLIENT
	on "$1" sed -i /pubaddr-grant/d /etc/dhcp/dhclient.conf
	"$LAB" stop "$1.dhclient"
	on "$1" rm -f /run/pubaddr/dhcp-eth0.json
	"$LAB" start "$1.dhclient"
	within 20 on "$1" test -s /run/pubaddr/dhcp-eth0.json
}
on_demand='"on-demand": {"linger": 2}'
state() { on "$1" sh -c 'pubaddr --json status 2>&1' | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["on-demand"]["state"])'; }
state_is() { [ "$(state "$1")" = "$2" ]; }
said() { grep -c "$2" "$LOG/$1"; }           # said LOG PATTERN: how often
saying() { [ "$(said "$1" "$2")" -gt "$3" ]; } # more often than that
leases() { on broker pubaddrctl --json lease list | python3 -c 'import json, sys
print(sum(l["state"] == "active" for l in json.load(sys.stdin).get("leases", [])))'; }
leases_are() { [ "$(leases)" = "$1" ]; }
own_address='import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("'$PEER_IP'", 9)); print(s.getsockname()[0])'

"$LAB" hook on
use client1 "$on_demand"
plain_dhclient client1
plain_dhclient client2
check "the lease came without a grant" grep -q '"option": *"none"' "$LAB_DIR/hosts/client1/run/pubaddr/dhcp-eth0.json"
is "nobody has a public address" "$(leases)" 0
is "the daemon runs and waits for somebody to need one" "$(state client1)" idle
check "the host has no interface for it" not on client1 ip link show pub0
on client1 pubaddr diagnose >"$TMP/diagnose" 2>&1
is "pubaddr diagnose finds nothing wrong in that" $? 0
check "and says why there is none" grep -q '(on-demand)' "$TMP/diagnose"
check "not that it works" sh -c "! grep -q 'address works' '$TMP/diagnose'"

# ---- the first program's question

on client1 pubaddr exec -- python3 -c "$own_address" >"$TMP/first" 2>"$TMP/first.err"
P=$(cat "$TMP/first")
check "the first program that asks for its address gets a public one" grep -q '^203\.0\.113\.' "$TMP/first"
is "the broker has it leased" "$(leases)" 1
# Each part's log has its own clock line by line; together they are one order.
{
	grep -h 'demand.want\|demand.ask\|demand.answer\|grant.put\|tunnel.up\|exec.started' "$LOG/client1.tunneld"
	grep -h 'lease.grant' "$LOG/brokerd"
} | sed -n 's/^\([^ ]*\) .*\(demand.want\|demand.ask\|demand.answer\|lease.grant\|grant.put\|tunnel.up\|exec.started\).*/\1 \2/p' | sort -s -k1,1 >"$TMP/order"
is "question, INFORM, allocation, repetition answered, grant, tunnel, program: in this order" \
	"$(awk '!seen[$2]++ {print $2}' "$TMP/order" | paste -sd' ')" \
	"demand.want demand.ask lease.grant demand.answer grant.put tunnel.up exec.started"
check "the first INFORM was answered without it, a repetition with it" sh -c "[ \$(grep -c 'demand.ask.*attempt=1' '$LOG/client1.tunneld') -ge 1 ]"
check "the hook library says the same" sh -c "grep -q PUBADDR_INFORM_ASKED '$LOG/kea' || grep -q 'asks for a public address' '$LOG/kea'"

# ---- the last one's end

eventually 20 "the program has ended: after the delay the address is given back" leases_are 0
eventually 10 "by an INFORM that the hook library passed on and confirmed" grep -q 'demand.released' "$LOG/client1.tunneld"
check "the audit has it" grep -q "lease.release.*$P" "$LOG/brokerd"
eventually 5 "the interface is gone" not on client1 ip link show pub0
is "the daemon waits again" "$(state client1)" idle

# ---- several programs, one address

in_background client1 holds pubaddr exec -- sleep 300
eventually 15 "a program that stays holds it" leases_are 1
asked=$(said client1.tunneld 'demand.ask.*attempt=0')
is "another one has the same address" "$(on client1 pubaddr exec -- python3 -c "$own_address")" "$P"
is "without another question" "$(said client1.tunneld 'demand.ask.*attempt=0')" "$asked"
sleep 3 # longer than the delay: nothing is to happen
is "it stays as long as one is left" "$(leases)" 1
"$LAB" stop client1.tunneld
"$LAB" start client1.tunneld
eventually 10 "a daemon that was killed goes on with it" state_is client1 held
kill "$holds_PID"
eventually 20 "and gives it back after the last one's end" leases_are 0

# ---- who does not hold the lease

hw() { on "$1" cat /sys/class/net/eth0/address | tr -d :; }
forge() { on client2 python3 "$HERE/inform.py" eth0 "$@" | sort -u | paste -sd' '; } # what it was answered
LAN2_IP=$(on client2 sh -c "ip -4 -o addr show dev eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p'")
grants=$(said brokerd 'lease.grant ')
is "another host asks for this one's address: the ordinary answer" "$(forge "$LAN_IP" "$DHCP_IP" times=3)" "ack 0"
is "under this one's hardware address: the same" "$(forge "$LAN_IP" "$DHCP_IP" "chaddr=$(hw client1)" times=3)" "ack 0"
is "for an address that nobody has leased" "$(forge 10.77.0.250 "$DHCP_IP" times=3)" "ack 0"
is "the broker was asked for nobody" "$(said brokerd 'lease.grant ')" "$grants"
check "the hook library's log tells of it" grep -q 'PUBADDR_INFORM_FOREIGN\|not its sender' "$LOG/kea"
is "for its own address: asked, and the repetition is answered" "$(on client2 python3 "$HERE/inform.py" eth0 "$LAN2_IP" "$DHCP_IP" times=3 | sed 's/ack [1-9].*/ack grant/' | uniq | paste -sd' ')" "ack 0 ack grant"
is "one lease" "$(leases)" 1
is "a release with a wrong proof" "$(forge "$LAN2_IP" "$DHCP_IP" "option=02$(printf '%016x%032x' 1 1)" times=3)" "ack 0"
is "changes nothing" "$(leases)" 1
check "and is in the audit" grep -q lease.unproven "$LOG/brokerd"

# ---- without a broker

"$LAB" stop brokerd
start=$SECONDS
on client1 pubaddr exec -- true 2>"$TMP/down"
is "the broker is dead: the program is not started" $? 125
check "in bounded time" [ $((SECONDS - start)) -lt 15 ]
check "and is told why" grep -q 'gives no public address' "$TMP/down"
is "an ordinary question of the LAN is answered as always" "$(forge "$LAN2_IP" "$DHCP_IP" code=3)" "ack 0"
"$LAB" start brokerd
working() { [ "$(on client1 pubaddr exec -- python3 -c "$own_address" 2>/dev/null)" = "$P" ]; }
eventually 40 "the broker is back: the next program has its address" working
eventually 20 "which is given back again" sh -c "[ \$(grep -c 'lease.release.*$P' '$LOG/brokerd') -ge 3 ]"

# ---- in a network namespace

on client1 pubaddr exec --netns -- ip -4 -o addr >"$TMP/netns" 2>&1
check "a program in a namespace has it on demand, too" grep -q "inet $P" "$TMP/netns"
eventually 20 "and it is given back when the namespace has ended" sh -c "[ \$(grep -c 'lease.release.*$P' '$LOG/brokerd') -ge 4 ]"
eventually 5 "the host is as it was" not on client1 ip link show pub0

# ---- by the session relay, where no UDP passes

"$LAB" block-udp on
relay_up
result $? "relay server, and the daemon that knows it" "$TMP/relayd"
own_leases() { on broker pubaddrctl --json lease list | python3 -c "import json, sys
print(sum(l['state'] == 'active' and l['address'] == '$P' for l in json.load(sys.stdin).get('leases', [])))"; }
own_leases_are() { [ "$(own_leases)" = "$1" ]; }
is "this host has no address" "$(own_leases)" 0
is "a program by the relay has it on demand, too" "$(relayed python3 -c "$own_address")" "$P"
is "which is leased" "$(own_leases)" 1
check "question, INFORM, grant and connection, in this order" logged demand.want demand.ask demand.answer grant.put relay.connect
eventually 45 "and it is given back after the program" own_leases_are 0
is "a program on the tunnel, which goes by the relay then, has it too" "$(on client1 pubaddr exec -- python3 -c "$own_address")" "$P"
check "by the relay" logged fallback.up exec.started
eventually 45 "and the tunnel's way is no reason to keep it" own_leases_are 0

# ---- beside other DHCP clients, which do not ask for one either

"$LAB" release client1 >/dev/null 2>&1
dhcpcd_PID='' udhcpc_PID='' # set by in_background
has_lease() { on client1 sh -c 'ip -4 -o addr show dev eth0 | grep -q "inet 10\." && grep -q "\"option\": *\"none\"" /run/pubaddr/dhcp-eth0.json'; }
released_since() { [ "$(said brokerd 'lease.release ')" -gt "$1" ]; }
beside() { # beside CLIENT
	local before
	before=$(said brokerd 'lease.release ')
	eventually 20 "$1 has a lease without a grant" has_lease
	check "$1: a program has a public address on demand" sh -c "'$LAB' exec client1 -- pubaddr exec --relay -- python3 -c '$own_address' | grep -q '^203\.0\.113\.'"
	eventually 45 "$1: and it is given back" released_since "$before"
}
on client1 rm -f /run/pubaddr/dhcp-eth0.json
in_background client1 dhcpcd dhcpcd -4 -B --noarp eth0
beside dhcpcd
on client1 dhcpcd -4 -k eth0 >/dev/null 2>&1
wait "$dhcpcd_PID"
on client1 rm -f /run/pubaddr/dhcp-eth0.json
in_background client1 udhcpc udhcpc -f -R -T 1 -t 5 -A 2 -i eth0 -s /usr/libexec/pubaddr/udhcpc-script
beside udhcpc
kill "$udhcpc_PID"
wait "$udhcpc_PID"

done_testing
