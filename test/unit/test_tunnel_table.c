/* SPDX-License-Identifier: MPL-2.0 */
/* Our table in the kernel's packet filter, in a network namespace of the test's own; skipped without the right to make one. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/tunneld_table.h"

TestSuite(tunnel_table, .timeout = 60);

static void enter(void)
{
	if (unshare(CLONE_NEWNET) < 0 || system("nft list ruleset >/dev/null 2>&1") != 0)
		cr_skip_test("needs root, network namespaces and nft");
}

static void run(const char *cmd)
{
	cr_assert_eq(system(cmd), 0, "%s", cmd);
}

static bool succeeds(const char *cmd)
{
	return system(cmd) == 0;
}

static void write_chain(const void *ctx, const struct pa_ruleset_input *in, struct pa_text *t)
{
	(void)in;
	pa_text_add(t, "\tset inbound_seen {\n\t\ttype ipv4_addr\n\t}\n\tchain inbound_test {\n\t\t%s\n\t}\n", (const char *)ctx);
}

static struct pa_ruleset_input input(const char *rule)
{
	struct pa_ruleset_input in = {.device = "pub0", .lan = "eth0", .addr = pa_addr_from_ipv4(0xcb007107), .mode = PA_OUT_TUNNEL,
				      .mark_tunnel = 6081, .mark_direct = 6082, .zone = 6080, .inbound = {write_chain, rule}};

	return in;
}

static struct pa_tuntable *open_table(void)
{
	char err[PA_TUNTABLE_ERRLEN];
	struct pa_tuntable *t;

	cr_assert_eq(pa_tuntable_new("pub0", &t, err), 0, "%s", err);
	cr_assert_geq(pa_tuntable_fd(t), 0);
	return t;
}

#define HAS "nft list table ip pubaddr-pub0 | grep -q "

Test(tunnel_table, is_set_replaced_and_removed)
{
	struct pa_ruleset_input in = input("counter accept"), other = input("drop"), none = input("");
	char err[PA_TUNTABLE_ERRLEN];
	struct pa_tuntable *t;

	enter();
	run("nft add table ip pubaddr-pub0; nft add table ip theirs"); /* ours, of a former process */
	none.inbound.write = NULL;
	t = open_table();
	cr_assert_eq(pa_tuntable_set(t, &none, NULL, err), 0, "%s", err);
	cr_assert(!succeeds("nft list table ip pubaddr-pub0 2>/dev/null"), "nothing wanted, nothing left");
	cr_assert_eq(pa_tuntable_set(t, &in, NULL, err), 0, "%s", err);
	run(HAS "'counter packets 0 bytes 0 accept'");
	cr_assert(!pa_tuntable_drain(t), "what we do ourselves is no news");
	run("nft add element ip pubaddr-pub0 inbound_seen '{ 192.0.2.9 }'");
	cr_assert_eq(pa_tuntable_set(t, &other, NULL, err), 0, "%s", err);
	run(HAS "drop");
	cr_assert(!succeeds(HAS "accept$"), "the former rules are gone");
	run(HAS "192.0.2.9"); /* the sets stay */
	cr_assert_eq(pa_tuntable_set(t, &other, "add element ip pubaddr-pub0 inbound_seen { 192.0.2.10 }\n", err), 0, "%s", err);
	run(HAS "192.0.2.10");
	cr_assert_eq(pa_tuntable_clear(t, err), 0);
	cr_assert(!succeeds("nft list table ip pubaddr-pub0 2>/dev/null"));
	cr_assert_eq(pa_tuntable_clear(t, err), 0, "twice is fine");
	run("nft list table ip theirs >/dev/null");
	pa_tuntable_free(t);
}

Test(tunnel_table, comes_back_when_somebody_deletes_it)
{
	static const char *const deeds[] = {"nft flush ruleset", "nft delete table ip pubaddr-pub0",
					    "nft flush chain ip pubaddr-pub0 inbound_test",
					    "nft 'flush chain ip pubaddr-pub0 inbound_test; delete chain ip pubaddr-pub0 inbound_test'"};
	struct pa_ruleset_input in = input("counter accept");
	char err[PA_TUNTABLE_ERRLEN];
	struct pa_tuntable *t;

	enter();
	t = open_table();
	cr_assert_eq(pa_tuntable_set(t, &in, NULL, err), 0, "%s", err);
	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		run("nft add table ip theirs; nft delete table ip theirs");
		cr_assert(!pa_tuntable_drain(t), "others' tables are not ours");
		run(deeds[i]);
		cr_assert(!succeeds(HAS "accept$ 2>/dev/null"));
		cr_assert(pa_tuntable_drain(t), "%s", deeds[i]);
		cr_assert_eq(pa_tuntable_set(t, &in, NULL, err), 0, "%s: %s", deeds[i], err);
		run(HAS "accept$");
		cr_assert(!pa_tuntable_drain(t));
	}
	pa_tuntable_free(t);
	run(HAS "accept$"); /* a process that ends so may have a successor */
}

Test(tunnel_table, a_wrong_text_changes_nothing)
{
	struct pa_ruleset_input in = input("counter accept"), wrong = input("no such statement");
	char err[PA_TUNTABLE_ERRLEN];
	struct pa_tuntable *t;

	enter();
	t = open_table();
	cr_assert_eq(pa_tuntable_set(t, &in, NULL, err), 0, "%s", err);
	cr_assert_lt(pa_tuntable_set(t, &wrong, NULL, err), 0);
	cr_assert(strstr(err, "refuses") != NULL, "%s", err);
	run(HAS "accept$");
	pa_tuntable_free(t);
}

Test(tunnel_table, one_in_the_way_is_replaced)
{
	struct pa_ruleset_input in = input("counter accept");
	char err[PA_TUNTABLE_ERRLEN];
	struct pa_tuntable *t;

	enter();
	run("nft 'table ip pubaddr-pub0 { chain output { type filter hook output priority 7; }; "
	    "set inbound_seen { type inet_service; }; }'");
	t = open_table();
	cr_assert_eq(pa_tuntable_set(t, &in, NULL, err), 0, "%s", err);
	run(HAS "accept$");
	pa_tuntable_free(t);
}
