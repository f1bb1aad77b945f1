#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The real kea-dhcp4 loads the hook library: good parameters, bad ones, no broker. Needs neither root nor a network.
set -u
srcdir=$(realpath "${top_srcdir:-..}/test")
builddir=$(realpath "${top_builddir:-..}")
PATH=$PATH:/usr/sbin
dir=$(mktemp -d) || exit 99
kea_pid=
trap 'kea_end; rm -rf "$dir"' EXIT
# shellcheck source=test/hook/kea.sh
. "$srcdir/hook/kea.sh"

command -v kea-dhcp4 >/dev/null || skip_all "no kea-dhcp4; install the Debian package kea-dhcp4-server"
command -v perl >/dev/null || skip_all "no perl"
why=$(obstacle)
[ -z "$why" ] || skip_all "$why"

start() { # start PARAMETERS
	: >"$dir/kea.log"
	kea_config false "" "$1" >"$dir/kea.conf"
	kea_run >"$dir/kea.out" 2>&1 &
	kea_pid=$!
}
logged() { grep -q "$1" "$dir/kea.log"; }

# refused PARAMETERS TEXT: Kea does not start, and the log says why
refused() {
	start "$1"
	wait_for 20 kea_ended
	local rc=$?
	kea_end
	if [ "$rc" -ne 0 ] || ! grep PUBADDR_LOAD_FAILED "$dir/kea.log" | grep -qF "$2"; then
		sed 's/^/# /' "$dir/kea.log"
		ok 1 "$2"
	else
		ok 0 "refused: $2"
	fi
}

echo "1..13"
exported=$(nm -D --defined-only "$hook_so" | grep -v ' V \| w ' | awk '{print $3}' | grep -v '^__' | sort | paste -sd' ')
[ "$exported" = "lease4_decline lease4_expire lease4_release lease4_renew lease4_select leases4_committed load multi_threading_compatible pkt4_send unload version" ]
ok $? "only Kea's entry points are exported"

start "{\"realm\": \"test\", \"broker-socket\": \"$dir/none.sock\"}"
wait_for 20 status_is broker-up false
ok $? "loads while the broker is away, and pubaddr-status answers"
logged PUBADDR_LOAD && logged "PUBADDR_BROKER_DOWN.*none.sock.*No such file"
ok $? "says that the broker is away, where and why"
kea_command '{"command": "config-reload"}' | grep -q '"result": 0' && status_is broker-up false
ok $? "config-reload"
kea_end && logged PUBADDR_UNLOAD
ok $? "unloads on SIGTERM"
refused '{}' 'realm: is missing; expected a string'
refused '{"realm": "test", "option-code": 252}' "option-code: 252 is used by Microsoft's clients"
refused '{"realm": "test", "deadline": 10}' 'deadline: expected an integer from 50 to 5000, got 10'
refused '{"realm": "test", "mode": "never"}' 'mode: expected "on-request" or "always", got "never"'
refused '{"realm": "test", "subnets": ["a"]}' "subnets: item 0: expected a subnet's id"
refused '{"realm": "test", "broker_socket": "/x"}' 'broker_socket: unknown setting'
refused '{"realm": ["a"]}' 'realm: expected a string, got a list'
sanitizers_silent
ok $? "no sanitizer report"
exit "$failed"
