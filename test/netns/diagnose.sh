# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# What tests of pubaddr diagnose share. Sourced after tap.sh.

NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)

diagnose() { on client1 pubaddr diagnose; }
# told SEVERITY ID: as root; told_user: as an ordinary user.
told() { diagnose >"$TMP/told" 2>&1 || true; has "$@"; }
told_user() { on client1 "${NOBODY[@]}" pubaddr diagnose >"$TMP/told" 2>&1 || true; has "$@"; }
has() { grep -qx "  $1 ($2)" "$TMP/told" || { cat "$TMP/told" && return 1; }; }
# exits CODE: the worst of what is told.
exits() {
	diagnose >"$TMP/exits"
	local rc=$?
	[ $rc = "$1" ] || { cat "$TMP/exits" && return 1; }
}
# finds SECONDS SEVERITY ID: it comes to be told; the words of the finding may be looked at in $TMP/told.
finds() { eventually "$1" "$2: $3" told "$2" "$3"; }
# says WORDS: what was told has them, folded as they may be.
says() { check "which says: $1" sh -c "tr -s ' \\n' ' ' <'$TMP/told' | grep -qF \"$1\""; }
well() { eventually "${1:-20}" "nothing is wrong again" exits 0; }

drop_on() { # drop_on HOST CHAIN MATCH: a firewall of somebody else's
	on "$1" nft "table ip diag { chain c { type filter hook $2 priority 0; $3 drop; }; }"
}
undrop() { on "$1" nft delete table ip diag; }
