/* SPDX-License-Identifier: MPL-2.0 */
/* histories FIRST N: runs N histories from that seed on; prints the first one that fails, and exits with 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/histories.h"

int main(int argc, char **argv)
{
	char text[HISTORIES_TEXT] = "";
	struct histories_counts c;
	unsigned long first, n;

	if (argc != 3)
		return 2;
	first = strtoul(argv[1], NULL, 10);
	n = strtoul(argv[2], NULL, 10);
	memset(&c, 0, sizeof(c));
	for (unsigned long seed = first; seed < first + n; seed++) {
		if (histories_run(seed, &c, text))
			continue;
		printf("seed %lu: %s\n", seed, text);
		return 1;
	}
	return 0;
}
