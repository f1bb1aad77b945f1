# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh
# Sourced by replay-AREA.sh. replay NAME...: runs fuzz/fuzz_NAME on the files of fuzz/corpus/NAME and prints one TAP line
# for each. A program that is missing, finds no corpus, crashes, or leaves a sanitizer report fails.
replay() {
	echo "1..$#"
	i=0
	failed=0
	for name in "$@"; do
		i=$((i + 1))
		# libFuzzer with -runs=0 only replays; our own main ignores the option.
		out=$(timeout -k 5 300 "./fuzz/fuzz_$name" -runs=0 "${top_srcdir:?}/test/fuzz/corpus/$name" 2>&1)
		rc=$?
		printf '%s\n' "$out" | tail -n 60 | sed 's/^/# /'
		if [ "$rc" -eq 0 ] && printf '%s\n' "$out" | grep -qE '[1-9][0-9]* runs'; then
			echo "ok $i - fuzz corpus $name"
		else
			echo "not ok $i - fuzz corpus $name (exit code $rc)"
			failed=1
		fi
	done
	return "$failed"
}
