# SPDX-License-Identifier: MPL-2.0
# Sourced. replay NAME...: runs fuzz/fuzz_NAME on fuzz/corpus/NAME and prints one TAP line for each.
replay() {
	echo "1..$#"
	i=0
	for name in "$@"; do
		i=$((i + 1))
		if "./fuzz/fuzz_$name" "$top_srcdir/test/fuzz/corpus/$name" 2>&1 | sed 's/^/# /' >"fuzz-$name.out" &&
			grep -q ' runs$' "fuzz-$name.out"; then
			echo "ok $i - fuzz corpus $name"
		else
			cat "fuzz-$name.out"
			echo "not ok $i - fuzz corpus $name"
		fi
		rm -f "fuzz-$name.out"
	done
}
