/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Clients and gateways over a hostile network, in many histories (test/sim/histories.h). A failure prints its seed: to see that
 * history alone, set FIRST_SEED to it and HISTORIES to 1. The programs sim/without-* have one rule taken out.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/histories.h"

#define FIRST_SEED 1
#define HISTORIES 10500
#define PARTS 3

static void histories(unsigned part)
{
	struct histories_counts c;
	char text[HISTORIES_TEXT] = "";
	unsigned n = 0;

	memset(&c, 0, sizeof(c));
	for (uint64_t seed = FIRST_SEED + part; seed < FIRST_SEED + HISTORIES; seed += PARTS, n++)
		cr_assert(histories_run(seed, &c, text), "seed %lu: %s", (unsigned long)seed, text);
	if (HISTORIES < 100)
		return;
	cr_log_info("%u histories, %u steps: %u rebindings, %u restarts, %u adoptions, %u deaths, %u grants, %u handovers, %u pretenders,"
		    " %u forged, %u replaced, %u bindings, %u flows, %u sleeps, %u jumps, %u forgetful", n, c.steps, c.rebinds, c.restarts, c.adoptions, c.deaths, c.grants, c.handovers,
		    c.pretenders, c.forged, c.replaced, c.up, c.flows, c.sleeps, c.jumps, c.forgetful);
	/* They are not idle. */
	cr_assert(c.rebinds > n && c.restarts > n && c.adoptions > n && c.deaths > n && c.grants > 3 * n && c.handovers > n / 4);
	cr_assert(c.pretenders > n / 2 && c.forged > n && c.replaced > n && c.up > 3 * n);
	cr_assert(c.flows > n / 2 && c.sleeps > n / 4 && c.jumps > n / 4 && c.forgetful > n / 4);
}

Test(histories, only_where_the_holder_is_part_1, .timeout = 280)
{
	histories(0);
}

Test(histories, only_where_the_holder_is_part_2, .timeout = 280)
{
	histories(1);
}

Test(histories, only_where_the_holder_is_part_3, .timeout = 280)
{
	histories(2);
}

/* Runs a program of sim/; what it printed is in text, its exit code is returned. */
static int run(const char *program, unsigned long first, unsigned long n, char text[HISTORIES_TEXT + 64])
{
	const char *top = getenv("top_builddir");
	char command[4096];
	size_t len;
	FILE *f;
	int status;

	(void)snprintf(command, sizeof(command), "%s/test/sim/%s %lu %lu", top != NULL ? top : "..", program, first, n);
	f = popen(command, "r");
	cr_assert_not_null(f);
	len = fread(text, 1, HISTORIES_TEXT + 63, f);
	text[len] = '\0';
	status = pclose(f);
	cr_assert(WIFEXITED(status), "%s", command);
	return WEXITSTATUS(status);
}

static void finds(const char *program)
{
	char text[HISTORIES_TEXT + 64], again[HISTORIES_TEXT + 64];
	struct histories_counts c;
	unsigned long seed = 0;

	memset(&c, 0, sizeof(c));
	cr_assert_eq(run(program, FIRST_SEED, 3000, text), 1, "%s: nothing is found", program);
	cr_log_info("%s: %s", program, text);
	cr_assert_eq(sscanf(text, "seed %lu:", &seed), 1, "%s", text);
	cr_assert_eq(run(program, seed, 1, again), 1, "the seed does not show it again");
	cr_assert_str_eq(again, text);
	cr_assert(histories_run(seed, &c, again), "with the rule it fails too: %s", again);
}

Test(histories, fails_without_return_routability, .timeout = 120)
{
	finds("without-routability");
}

Test(histories, fails_without_the_token_rule, .timeout = 120)
{
	finds("without-token");
}

Test(histories, fails_when_traffic_makes_nobody_ask, .timeout = 120)
{
	finds("without-asking");
}
