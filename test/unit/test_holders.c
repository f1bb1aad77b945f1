/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One holder at a time, over many histories of leases, bindings and faults (test/sim/holders.h). A failure prints its seed:
 * to see that history alone, set FIRST_SEED to it and HISTORIES to 1.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "test/sim/holders.h"

#define FIRST_SEED 1
#define HISTORIES 10500
#define PARTS 3 /* run side by side */

static void histories(unsigned part)
{
	struct holders_counts c;
	char text[HOLDERS_TEXT] = "";
	unsigned n = 0;

	memset(&c, 0, sizeof(c));
	for (uint64_t seed = FIRST_SEED + part; seed < FIRST_SEED + HISTORIES; seed += PARTS, n++) {
		unsigned faults = c.faults;

		cr_assert(holders_run(seed, HOLDERS_INTACT, &c, text), "seed %lu: %s", (unsigned long)seed, text);
		cr_assert_geq(c.faults - faults, 5u);
	}
	if (HISTORIES < 100)
		return;
	/* The histories are not idle: addresses change hands, early by acknowledgements too, and every fault happens. */
	cr_log_info("%u histories, %u steps, %u faults, %u grants, %u handovers (%u early), %u bindings (%u adopted), %u reclaimed, %u+%u refused", n,
		    c.steps, c.faults, c.grants, c.handovers, c.acked_reuse, c.bindings, c.adopted, c.reclaimed, c.refused_epoch, c.refused_unsynced);
	cr_assert_gt(c.handovers, n / 4);
	cr_assert_gt(c.acked_reuse, n / 20);
	cr_assert_gt(c.bindings, n);
	cr_assert_gt(c.adopted, n / 20);
	cr_assert_gt(c.reclaimed, n / 10);
	cr_assert_gt(c.refused_epoch, n / 4);
	cr_assert_gt(c.refused_unsynced, n / 100);
	cr_assert(c.partitions > n && c.gateway_kills > n && c.broker_kills > n / 2 && c.clock_steps > n / 2);
	cr_assert(c.runtimes_lost > n / 4 && c.torn_writes > n / 100 && c.disks_lost > n / 50 && c.lost_replies > n / 50);
}

Test(holders, never_two_part_1, .timeout = 300)
{
	histories(0);
}

Test(holders, never_two_part_2, .timeout = 300)
{
	histories(1);
}

Test(holders, never_two_part_3, .timeout = 300)
{
	histories(2);
}

/* With a rule taken out, some history shows two holders, or an address that did not rest; its seed shows it again. */
static void finds(enum holders_mutant mutant, const char *name, const char *what)
{
	char text[HOLDERS_TEXT] = "", again[HOLDERS_TEXT] = "";
	struct holders_counts c;
	uint64_t seed = FIRST_SEED;

	memset(&c, 0, sizeof(c));
	while (seed < FIRST_SEED + 3000 && holders_run(seed, mutant, &c, text))
		seed++;
	cr_assert(text[0] != '\0', "nothing is found without the %s", name);
	cr_assert(strstr(text, what) != NULL, "without the %s seed %lu fails for another reason: %s", name,
		  (unsigned long)seed, text);
	cr_log_info("without the %s seed %lu fails: %s", name, (unsigned long)seed, text);
	cr_assert(!holders_run(seed, mutant, &c, again), "the seed does not show it again");
	cr_assert_str_eq(again, text);
	cr_assert(holders_run(seed, HOLDERS_INTACT, &c, again), "with the rule it fails too: %s", again);
}

Test(holders, fails_without_the_epoch_check, .timeout = 120)
{
	finds(HOLDERS_NO_EPOCH_CHECK, "epoch check", "serve");
}

Test(holders, fails_without_the_quarantine, .timeout = 120)
{
	finds(HOLDERS_NO_QUARANTINE, "quarantine", "s of rest");
}

Test(holders, fails_without_the_acknowledgement_rule, .timeout = 120)
{
	finds(HOLDERS_NO_ACK_RULE, "acknowledgement rule", "serve");
}
