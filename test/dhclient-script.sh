# SPDX-License-Identifier: MPL-2.0
# The exit-hook script, sourced as dhclient-script does it: by a shell with -e and -u, with a helper that works, that
# fails, that reads standard input, and without one. TAP on standard output.
set -u
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
script=$top_builddir/client-hook/pubaddr
enter=$top_builddir/client-hook/pubaddr-enter
n=0
ok() { # ok STATUS TEXT
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		[ -f "$dir/log" ] && sed 's/^/# /' "$dir/log"
		echo "not ok $n - $2"
	fi
}
echo "1..10"

# The same script with the helper's place in the test's folder.
helper=$dir/helper
sed "s|'/.*/pubaddr-dhcp-helper'|'$helper'|" "$script" >"$dir/hook"
[ "$(grep -c "'$helper'" "$dir/hook")" -eq 2 ]
ok $? "the built script names the helper by its absolute path"

# Prints what a caller could notice: its variables before and after, its status, and that it goes on.
cat >"$dir/caller" <<'CALLER'
reason=BOUND interface=eth0 new_ip_address=10.1.0.5 new_pubaddr_grant=1:0:ff
export reason interface new_ip_address new_pubaddr_grant
script=hook exit_status=7
set >"$1/before"
. "$1/hook"
status=$?
set >"$1/after"
echo "went on with $status"
CALLER
call() { # call: runs the caller under each shell at hand; its output is in log
	rc=0
	for sh in 'sh -eu' 'bash -eu' 'bash --posix -eu' 'busybox sh -eu'; do
		command -v "${sh%% *}" >/dev/null 2>&1 || continue
		# shellcheck disable=SC2086 # the options are to be split
		echo 'the caller is heard' | $sh "$dir/caller" "$dir" >"$dir/log" 2>&1
		grep -qx 'went on with 0' "$dir/log" || rc=1
		# The shells count lines and last arguments in variables of their own.
		own='^(_|BASH_.*|LINENO|PIPESTATUS|status|FUNCNAME)='
		grep -vE "$own" "$dir/before" >"$dir/before.own"
		grep -vE "$own" "$dir/after" >"$dir/after.own"
		diff "$dir/before.own" "$dir/after.own" >>"$dir/log" || rc=1
	done
	return "$rc"
}

call
ok $? "without a helper: nothing happens"

printf '#!/bin/sh\necho "$reason $interface $new_pubaddr_grant" >"%s/seen"\n' "$dir" >"$helper"
chmod 755 "$helper"
call
ok $? "with a helper: no variable of the caller changes"
[ "$(cat "$dir/seen" 2>/dev/null)" = 'BOUND eth0 1:0:ff' ]
ok $? "the helper sees the event and the option"

printf '#!/bin/sh\nexit 3\n' >"$helper"
call
ok $? "a helper that fails does not fail dhclient-script"

printf '#!/bin/sh\nkill -9 $$\n' >"$helper"
call
ok $? "nor does one that is killed"

printf '#!/bin/sh\ncat >"%s/stdin"\n' "$dir" >"$helper"
call && [ ! -s "$dir/stdin" ]
ok $? "standard input of dhclient-script is not eaten"

# The enter hook: before the address goes, and only then.
sed "s|'/.*/pubaddr-dhcp-helper'|'$helper'|" "$enter" >"$dir/hook"
printf '#!/bin/sh\necho "$reason" >"%s/left"\n' "$dir" >"$helper"
call && [ ! -e "$dir/left" ]
ok $? "the enter hook leaves BOUND to the exit hook"
sed -i 's/^reason=BOUND /reason=RELEASE /' "$dir/caller"
call && [ "$(cat "$dir/left" 2>/dev/null)" = RELEASE ]
ok $? "and takes leave at RELEASE"
sed -i 's/^reason=RELEASE /reason=BOUND /' "$dir/caller"
sed "s|'/.*/pubaddr-dhcp-helper'|'$helper'|" "$script" >"$dir/hook"

# The real helper, nobody serving.
real=$(cd "$top_builddir/client-hook" && pwd)/pubaddr-dhcp-helper
printf '#!/bin/sh\nexec "%s" --run-dir "%s/run"\n' "$real" "$dir" >"$helper"
call && grep -q 'dhcp.refused' "$dir/log" && [ ! -e "$dir/run/pending-eth0.json" ]
ok $? "the real helper refuses what is no grant and the script goes on"
