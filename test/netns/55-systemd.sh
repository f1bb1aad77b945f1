#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The units under a real systemd, installed by make install, on two machines of namespaces: broker and gateway on one, a client
# on the other. They start by notification, confined as they say; what dies is started again and goes on; what is given up is
# cleaned up after; a client's instance comes and goes with its interface.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/systemd.sh
. "$(dirname "$0")/systemd.sh"
need make unshare nsenter socat ip pgrep findmnt
why=$(machine_obstacle)
[ -z "$why" ] || skip_all "$why"
cleanup() {
	local m
	for m in "${MACHINES[@]}"; do
		[ "$TAP_BAD" = 0 ] || machine "${m%:*}" journalctl --no-pager -n 60 -o cat 2>&1 | sed "s/^/# ${m%:*}: /"
	done
	machines_down
	ip netns del "$peer" 2>/dev/null
	rm -rf "$TMP"
}
peer=pasystemd-$$ # somebody on the public network
server() { machine server "$@"; }
client() { machine client "$@"; }

# Of a unit: its main process, a property, whether it runs.
pid() { machine "$1" systemctl show -P MainPID "$2"; }
property() { machine "$1" systemctl show -P "$3" "$2"; }
state_is() { [ "$(machine "$1" systemctl is-active "$2")" = "$3" ]; }
process() { server sed -n "s/^$2:[[:space:]]*//p" "/proc/$(pid server "$1")/status"; }
# kills MACHINE UNIT: as a crash would; the unit runs again with another process.
kills() {
	local before
	before=$(pid "$1" "$2")
	machine "$1" kill -KILL "$before"
	within 20 replaced "$1" "$2" "$before"
}
replaced() { state_is "$1" "$2" active && [ "$(pid "$1" "$2")" != "$3" ] && [ "$(pid "$1" "$2")" != 0 ]; }
# in_unit UNIT COMMAND...: with the files as that unit's process sees them
in_unit() {
	local unit=$1
	shift
	nsenter -t "$(nspid "$unit")" -m "$@"
}
nspid() { grep -lxE "NSpid:[[:space:]]+[0-9]+[[:space:]]+$(pid server "$1")" /proc/[0-9]*/status 2>/dev/null | while read -r f; do
	[ "$(readlink "/proc/$(<"$TMP/machine-server/pid")/ns/pid")" != "$(readlink "${f%/status}/ns/pid")" ] || basename "${f%/status}"; done | head -n 1; }
exposed() { machine "$1" systemd-analyze security --no-pager "$2" | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\).*/\1/p'; }
no_device() { ! machine "$1" ip link show "$2" 2>/dev/null; }

lease() { server pubaddrctl --json lease list | tr -d ' \n'; }
ask() { # ask MACHINE SOCKET JSON
	echo "$3" | machine "$1" socat -t5 - "UNIX:$2"
}
bound() { ask server /run/pubaddr/gateway.sock "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$P\"}}" | grep -q '"result": *0'; }
reaches() { ip netns exec "$peer" ping -c1 -W1 "$P" >/dev/null 2>&1; }

# ---------------------------------------------------------------- two machines

configure_server() {
	local key
	server mkdir -p /etc/pubaddr
	server pubaddrctl key new /etc/pubaddr/master.key && server chown pubaddr: /etc/pubaddr/master.key
	server pubaddrctl key new-gateway /etc/pubaddr/gateway.key
	server sh -c 'pubaddrctl key pool --pool 1 /etc/pubaddr/master.key >>/etc/pubaddr/gateway.key'
	key=$(server pubaddrctl key public /etc/pubaddr/gateway.key)
	server tee /etc/pubaddr/brokerd.conf <<-END
		{"realms": ["test"], "socket-users": [], "gateway-groups": [{"name": "main", "public-key": "$key",
		  "gateways": ["192.0.2.1:6080"]}],
		 "pools": [{"id": 1, "name": "default", "prefix": "203.0.113.0/24", "exclude": ["203.0.113.0/32"],
		  "gateway-group": "main", "realms": ["test"]}]}
	END
	server tee /etc/pubaddr/gatewayd.conf <<-END
		{"listen": ["192.0.2.1:6080"], "device-address": "192.0.2.1", "allow": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"],
		 "pools": [{"id": 1, "prefix": "203.0.113.0/24"}], "relay": {"listen": ["192.0.2.1:443"]}}
	END
	server sysctl -qw net.ipv4.ip_forward=1
	machine_address server 192.0.2.1/24
}
machine_address() { machine "$1" ip addr add "$2" dev eth0 && machine "$1" ip link set eth0 up; }
configure_peer() {
	ip netns add "$peer"
	ip link add eth1 netns "$(<"$TMP/machine-server/pid")" type veth peer name eth0 netns "$peer"
	server ip addr add 198.51.100.1/24 dev eth1
	server ip link set eth1 up
	ip -n "$peer" addr add 198.51.100.2/24 dev eth0
	ip -n "$peer" link set eth0 up
	ip -n "$peer" route add default via 198.51.100.1
}
configure_client() {
	client mkdir -p /etc/pubaddr
	echo '{"allow-documentation": true}' | client tee /etc/pubaddr/tunneld.conf
	machine_address client 192.0.2.2/24
}

machine_up server && machine_up client && machine_link server client eth0
result $? "two machines of systemd" "$TMP/install"
[ "$TAP_BAD" = 0 ] || done_testing
is "without a failed unit" "$(server systemctl --failed --no-legend)$(client systemctl --failed --no-legend)" ""
is "sysusers makes the broker's user" "$(server id -un pubaddr)" pubaddr
is "tmpfiles the folders" "$(server stat -c '%a %U %G' /run/pubaddr /var/lib/pubaddr | sort -u)" "1775 root pubaddr"
{ configure_server && configure_client && configure_peer; } >"$TMP/configure" 2>&1
result $? "configured as pubaddr(7) tells" "$TMP/configure"

# ---------------------------------------------------------------- start, confinement

check "the broker starts" server systemctl enable --now pubaddr-brokerd
check "and had its socket when it said so" server test -S /run/pubaddr/broker.sock
check "the gateway starts" server systemctl enable --now pubaddr-gatewayd
check "and its device was there" server ip link show pubgw0
is "both notify" "$(property server pubaddr-brokerd Type) $(property server pubaddr-gatewayd Type)" "notify notify"
check "the relay starts" server systemctl enable --now pubaddr-relayd
check "and listened when it said so" sh -c "[ -n \"\$(nsenter -t $(<"$TMP/machine-server/pid") -n ss -Hltn 'sport = 443')\" ]"
is "by notification" "$(property server pubaddr-relayd Type)" notify
is "the broker is nobody's root" "$(server stat -c %U "/proc/$(pid server pubaddr-brokerd)")" pubaddr
is "without a capability" "$(process pubaddr-brokerd CapEff) $(process pubaddr-brokerd CapBnd)" "0000000000000000 0000000000000000"
is "the gateway keeps CAP_NET_ADMIN" "$(process pubaddr-gatewayd CapEff)" 0000000000001000
is "the relay CAP_NET_BIND_SERVICE, too" "$(process pubaddr-relayd CapEff)" 0000000000001400
for unit in pubaddr-brokerd pubaddr-gatewayd pubaddr-relayd; do
	is "$unit: no new privileges" "$(process $unit NoNewPrivs)" 1
	is "$unit: system calls are filtered" "$(process $unit Seccomp)" 2
	check "$unit: its files are its own view" test -n "$(nspid $unit)"
	check "$unit: cannot write /etc" not in_unit $unit touch /etc/pubaddr/x
	check "$unit: nor /usr" not in_unit $unit touch /usr/x
	check "$unit: but where it has to" in_unit $unit sh -c 'touch /run/pubaddr/x && rm /run/pubaddr/x'
done
check "the relay sees no hardware" not in_unit pubaddr-relayd test -e /dev/net/tun
check "the broker sees no hardware" not in_unit pubaddr-brokerd test -e /dev/net/tun
check "the gateway sees what it needs" in_unit pubaddr-gatewayd test -c /dev/net/tun
for unit in pubaddr-brokerd pubaddr-gatewayd pubaddr-relayd pubaddr-tunneld@eth0; do
	level=$(exposed server $unit.service)
	echo "# systemd-analyze security: $unit $level"
	# The client's daemon reads and makes control groups for pubaddr exec, and systemd counts both.
	[ "$unit" = pubaddr-tunneld@eth0 ] && most=2.8 || most=2.5
	check "$unit: systemd calls its exposure small" awk -v l="$level" -v m="$most" 'BEGIN {exit !(l != "" && l <= m)}'
done

# ---------------------------------------------------------------- a client

check "the client's instance starts" client systemctl enable --now pubaddr-tunneld@eth0
{ tr -d '\n' && echo; } <<END | machine server socat -t5 - UNIX:/run/pubaddr/broker.sock | tr -d ' ' >"$TMP/allocated"
{"command": "lease-allocate", "arguments": {"realm": "test", "subnet-id": 1, "dhcp-address": "192.0.2.2", "client-id": "01aa",
 "valid-lifetime": 3600, "client-key": "$(client pubaddr key)"}}
END
P=$(sed -n 's/.*"address":"\(203[0-9.]*\)".*/\1/p' "$TMP/allocated")
grant=$(sed -n 's/.*"grant":"\([0-9a-f]*\)".*/\1/p' "$TMP/allocated")
result "$([ -n "$P" ] && [ -n "$grant" ]; echo $?)" "the broker grants an address" "$TMP/allocated"
[ "$TAP_BAD" = 0 ] || done_testing
ask client /run/pubaddr/tunneld-eth0.sock '{"command": "grant-put", "arguments": {"grant": "'"$grant"'", "reason": "BOUND",'\
' "lease-time": 3600, "dhcp-address": "192.0.2.2", "dhcp-server": "192.0.2.1"}}' >"$TMP/put"
check "the client takes it" grep -q '"result": *0' "$TMP/put"
eventually 10 "and binds" bound
eventually 5 "somebody reaches it" reaches
is "by the data path in the kernel" "$(ask server /run/pubaddr/gateway.sock '{"command": "status-get"}' | grep -o '"data-path": *"[a-z]*"' | tr -d ' ')" '"data-path":"kernel"'

# ---------------------------------------------------------------- what dies is started again

lease >"$TMP/lease"
epoch=$(grep -o '"epoch":[0-9]*' "$TMP/lease")
check "the broker is killed and back" kills server pubaddr-brokerd
is "with the same leases" "$(lease)" "$(<"$TMP/lease")"
check "the relay is killed and back" kills server pubaddr-relayd
is "with its rule once" "$(server ip rule list | grep -c 'lookup 6081')" 1
check "the gateway is killed and back" kills server pubaddr-gatewayd
check "with the same binding" bound
check "and goes on" within 5 reaches
check "the client is killed and back" kills client pubaddr-tunneld@eth0
check "and goes on too" within 10 reaches
check "with the same address" client ip addr show dev pub0 to "$P/32"
check "confined as it is, it can be native" client pubaddr mode native
is "which needs kernel settings" "$(client cat /proc/sys/net/ipv4/fwmark_reflect)" 1
check "and go back" client pubaddr mode default
is "and epoch" "$(lease | grep -o '"epoch":[0-9]*')" "$epoch"
is "systemd restarted each once" "$(property server pubaddr-brokerd NRestarts)$(property server pubaddr-gatewayd NRestarts)$(property client pubaddr-tunneld@eth0 NRestarts)" 111

# ---------------------------------------------------------------- reload

check "the broker reloads" server systemctl reload pubaddr-brokerd
server cp /etc/pubaddr/brokerd.conf /etc/pubaddr/good
echo nonsense | server tee /etc/pubaddr/brokerd.conf >/dev/null
check "refuses a broken configuration" not server systemctl reload pubaddr-brokerd
check "and serves on" state_is server pubaddr-brokerd active
server mv /etc/pubaddr/good /etc/pubaddr/brokerd.conf
echo '{"allow-documentation": true, "outbound": "policy"}' | client tee /etc/pubaddr/tunneld.conf >/dev/null
check "the client reloads" client systemctl reload pubaddr-tunneld@eth0
mode_is() { client pubaddr mode | grep -q "$1"; }
eventually 10 "and has the mode of its file" mode_is '^policy (by configuration)'
echo '{"allow-documentation": true}' | client tee /etc/pubaddr/tunneld.conf >/dev/null
check "and back" client systemctl reload pubaddr-tunneld@eth0
eventually 10 "to that of the grant" mode_is '^tunnel (by grant)'
check "the gateway reloads" server systemctl reload pubaddr-gatewayd
check "and keeps the binding" bound

# ---------------------------------------------------------------- what is given up is cleaned up after

server mv /etc/pubaddr/gateway.key /etc/pubaddr/gateway.away
server kill -KILL "$(pid server pubaddr-relayd)"
eventually 20 "a relay without its key is given up" state_is server pubaddr-relayd failed
no_rule() { ! server ip rule list | grep -q 'lookup 6081'; }
eventually 20 "and its rule goes" no_rule
server kill -KILL "$(pid server pubaddr-gatewayd)"
eventually 20 "a gateway without its key is given up" state_is server pubaddr-gatewayd failed
eventually 20 "and its device goes" no_device server pubgw0
eventually 5 "by the clean-up unit, which ends well" state_is server pubaddr-gatewayd-cleanup inactive
server mv /etc/pubaddr/gateway.away /etc/pubaddr/gateway.key
check "once it is mended it starts" server systemctl start pubaddr-gatewayd
eventually 60 "and the client finds it" reaches

client chmod 644 /var/lib/pubaddr/client.key
client kill -KILL "$(pid client pubaddr-tunneld@eth0)"
eventually 20 "a client that may not use its key is given up" state_is client pubaddr-tunneld@eth0 failed
eventually 20 "its device goes" no_device client pub0
is "and its rules" "$(client ip rule list | grep -vcE 'lookup (local|main|default)')" 0
client chmod 600 /var/lib/pubaddr/client.key

# ---------------------------------------------------------------- an instance for each interface

check "the client starts again" client systemctl start pubaddr-tunneld@eth0
check "another interface comes" machine_link server client eth-1
echo '{"device": "pub1", "table": 7000, "rule-priority": 5300, "mark": 7000}' | client tee /etc/pubaddr/tunneld-eth-1.conf >/dev/null
check "and has an instance, its name escaped" client systemctl start "$(client systemd-escape --template=pubaddr-tunneld@.service eth-1)"
check "for itself" client test -S /run/pubaddr/tunneld-eth-1.sock
client ip link del eth-1
eventually 20 "it ends with its interface" state_is client 'pubaddr-tunneld@eth\x2d1.service' inactive
check "the other one goes on" state_is client pubaddr-tunneld@eth0 active
check "all of them stop" server systemctl stop pubaddr-relayd pubaddr-gatewayd pubaddr-brokerd
check "and leave no device" no_device server pubgw0
is "and exited cleanly" "$(property server pubaddr-gatewayd ExecMainStatus)$(property server pubaddr-brokerd ExecMainStatus)" 00
done_testing
