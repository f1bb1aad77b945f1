# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# What one does with a lab that is up. Sourced by test/lab.

cmd_vars() { cat "$LAB_DIR/vars"; }

# The command starts in the caller's folder, but for those that each host has of its own.
cmd_exec() {
	local host=${1:-}
	[ -n "$host" ] && [ "${2:-}" = -- ] && [ $# -ge 3 ] || die "usage: $0 exec HOST -- COMMAND..."
	shift 2
	host=$(host_of "$host")
	[ -r "$LAB_DIR/hosts/$host/holder" ] || die "no host '$host'; there are: $(host_names | paste -sd' ')"
	case $PWD in
	/run* | /var/lib* | /etc*) cd / ;;
	esac
	export PATH=$LAB_PATH
	exec nsenter -t "$(<"$LAB_DIR/hosts/$host/holder")" -m -u -n --wdns="$PWD" -- "${UNCONFINED[@]}" "$@"
}

cmd_status() {
	local f i
	echo "lab $LAB_NAME: $LAB_NAT NAT, $LAB_CLIENTS client(s), broker on $(host_of broker), hook: $LAB_HOOK"
	for f in "$LAB_DIR"/pids/*; do
		f=${f##*/}
		alive "$f" || echo "  not running: $f, see $LAB_DIR/log/$f"
	done
	for ((i = 1; i <= LAB_CLIENTS; i++)); do
		echo "  client$i: LAN $(private_ip "client$i" || echo none), public $(public_ip "client$i" || echo none)"
	done
	echo "  dropped by the Internet: $(leaks | paste -sd' ')"
}

is_client() { [[ $1 =~ ^client[0-9]+$ ]] && [ -d "$LAB_DIR/hosts/$1" ] || die "no client '$1'"; }

cmd_release() {
	is_client "${1:-}"
	nsrun "$1" dhclient -4 -r -v -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/dhclient.leases -pf /run/dhclient.pid eth0 \
		>>"$LAB_DIR/log/$1.dhclient" 2>&1
	wait_for 5 "end of dhclient" process_gone "$1.dhclient"
	rm -f "$LAB_DIR/pids/$1.dhclient"
}

# A running dhclient is ended without a word to anybody, as by a crash; the next one asks for its lease again.
cmd_renew() {
	is_client "${1:-}"
	stop "$1.dhclient" KILL
	start_dhclient "$1"
	await_client "$1"
	write_vars
}

cmd_stop() {
	[ -e "$LAB_DIR/pids/${1:-}" ] || die "no program '${1:-}'; there are: $(ls "$LAB_DIR/pids" | paste -sd' ')"
	stop "$1" KILL
}

# As a service manager does with a program that has died: the same command again.
cmd_start() {
	[ -e "$LAB_DIR/commands/${1:-}" ] || die "no program '${1:-}'; there are: $(ls "$LAB_DIR/commands" | paste -sd' ')"
	! { [ -e "$LAB_DIR/pids/$1" ] && alive "$1"; } || die "$1 runs"
	local command
	eval "command=($(<"$LAB_DIR/commands/$1"))"
	# shellcheck disable=SC2128,SC2154 # an array, set by eval
	spawn "${command[@]}"
}

# The one line of Kea's configuration that makes the difference. Clients see it when they next ask.
cmd_hook() {
	[[ ${1:-} =~ ^(on|off)$ ]] || die "usage: $0 hook on|off"
	[ -n "$LAB_STAGE" ] || die "hook: this lab came up without our programs"
	local before
	before=$(configurations)
	[ "$1" = on ] && LAB_HOOK=yes || LAB_HOOK=no
	save_options
	write_kea_conf
	kill -HUP "$(<"$LAB_DIR/pids/kea")"
	wait_for 10 "Kea to read its configuration" more_configurations "$before"
}

configurations() { grep -c DHCP4_CONFIG_COMPLETE "$LAB_DIR/log/kea"; }
more_configurations() { [ "$(configurations)" -gt "$1" ]; }

# ---------------------------------------------------------------- faults of the NAT

# The address and port at which the gateway sees client1, "ADDRESS:PORT".
mapped_address() {
	local p
	p=$(public_ip client1) || return 1
	nsrun gateway socat -t3 - UNIX:/run/pubaddr/gateway.sock <<<'{"command": "binding-get", "arguments": {"address": "'"$p"'"}}' |
		sed -n 's/.*"mapped": *"\([^"]*\)".*/\1/p' | grep .
}

mapping_moved() {
	local now
	nsrun client1 ping -c1 -W1 "$PEER_IP" >/dev/null 2>&1 || true # something has to be sent for a new mapping to be made
	now=$(mapped_address) && [ "$now" != "$1" ]
}

# Linux keeps a mapping's port when its table is flushed, so masquerade moves to another range of ports first.
cmd_rebind() {
	local before="" h
	[ "${1:-}" != idle ] || LAB_HOOK=no # nobody sends anything to see it
	[ "$LAB_HOOK" = no ] || before=$(mapped_address) || die "rebind: client1 has no binding at the gateway"
	nat_rules $(($(<"$LAB_DIR/nat-range") % 4 + 2))
	echo "${EPOCHREALTIME/,/.}" >"$LAB_DIR/rebound"
	for h in $(nat_hosts); do
		nsrun "$h" conntrack -F >/dev/null 2>&1
	done
	echo "${EPOCHREALTIME/,/.}" >>"$LAB_DIR/rebound"
	[ -n "$before" ] || { say "rebind: mappings moved (no binding to look at)" && return; }
	wait_for 60 "another mapped address than $before" mapping_moved "$before" || exit 1
	say "rebind: the gateway saw client1 at $before, now at $(mapped_address)"
}

# What a routing protocol between the gateways would do.
cmd_pool_route() {
	case ${1:-} in
	gateway) ip -n "$LAB_NAME-inet" route replace "$POOL" via "$GATEWAY_IP" ;;
	gateway2) ip -n "$LAB_NAME-inet" route replace "$POOL" via "$GATEWAY2_IP" ;;
	*) die "usage: $0 pool-route gateway|gateway2" ;;
	esac
}

cmd_block_udp() {
	local h
	case ${1:-} in
	on)
		for h in $(nat_hosts); do
			nsrun "$h" nft -f - <<-'END'
				table ip block_udp
				delete table ip block_udp
				table ip block_udp {
					chain forward {
						type filter hook forward priority -10
						meta l4proto udp counter drop
					}
				}
			END
		done
		;;
	off)
		for h in $(nat_hosts); do
			nsrun "$h" nft 'table ip block_udp; delete table ip block_udp'
		done
		;;
	*) die "usage: $0 block-udp on|off" ;;
	esac
}
