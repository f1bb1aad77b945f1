/* SPDX-License-Identifier: MPL-2.0 */
/* Which inbound policy holds from one grant to the next. */
#include <criterion/criterion.h>
#include <string.h>
#include <uv.h>

#include "common/err.h"
#include "test/unit/tmpdir.h"
#include "tunnel/tunneld_inbound_edge.h"

static uv_loop_t loop;
static char dir[TMPDIR_LEN];
static struct pa_tuninbound *inbound;
static const struct pa_inpolicy open_host = {.kind = PA_IN_OPEN};

static int apply(void *ctx, char err[PA_TUNINBOUND_ERRLEN])
{
	(void)ctx;
	(void)err;
	return 0;
}

static void setup(void)
{
	struct pa_tuninbound_config cfg = {.loop = &loop, .iface = "eth0", .host = &open_host, .apply = apply};

	cr_assert_eq(tmpdir_make(dir), 0);
	cfg.run_dir = dir;
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(pa_tuninbound_new(&cfg, &inbound), 0);
}

static void teardown(void)
{
	pa_tuninbound_close(inbound);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&loop), 0);
	tmpdir_remove(dir);
}

TestSuite(inbound, .init = setup, .fini = teardown, .timeout = 60);

static struct pa_grant grant_of(uint64_t epoch, enum pa_inbound kind)
{
	struct pa_grant g;

	memset(&g, 0, sizeof(g));
	g.claims.addr = pa_addr_from_ipv4(0xcb007107);
	g.claims.epoch = epoch;
	g.claims.inbound = (uint16_t)kind;
	return g;
}

static int kind_now(void)
{
	return pa_tuninbound_now(inbound)->kind;
}

Test(inbound, a_policy_counts_from_the_binding_on)
{
	struct pa_grant one = grant_of(1, PA_IN_OPEN), two = grant_of(2, PA_IN_CLOSED), three = grant_of(3, PA_IN_OPEN);

	pa_tuninbound_granted(inbound, &one);
	cr_assert_null(pa_tuninbound_grant(inbound));
	pa_tuninbound_bound(inbound, &one.claims);
	cr_assert_eq(kind_now(), PA_IN_OPEN);
	pa_tuninbound_granted(inbound, &two);
	cr_assert_eq(kind_now(), PA_IN_OPEN, "nobody has accepted it");
	pa_tuninbound_bound(inbound, &one.claims);
	cr_assert_eq(kind_now(), PA_IN_OPEN, "the one in use moved to another gateway");
	pa_tuninbound_bound(inbound, &two.claims);
	cr_assert_eq(kind_now(), PA_IN_CLOSED);
	pa_tuninbound_granted(inbound, &three);
	pa_tuninbound_bound(inbound, &three.claims);
	cr_assert_eq(kind_now(), PA_IN_OPEN);
	pa_tuninbound_ended(inbound);
	cr_assert_null(pa_tuninbound_grant(inbound));
}

Test(inbound, that_of_an_unknown_grant_is_closed)
{
	struct pa_grant one = grant_of(1, PA_IN_OPEN), two = grant_of(2, PA_IN_CLOSED), three = grant_of(3, PA_IN_OPEN);

	pa_tuninbound_bound(inbound, &one.claims);
	cr_assert_eq(kind_now(), PA_IN_CLOSED, "of a former process");
	pa_tuninbound_granted(inbound, &one);
	pa_tuninbound_bound(inbound, &one.claims);
	cr_assert_eq(kind_now(), PA_IN_OPEN);
	pa_tuninbound_granted(inbound, &two);
	pa_tuninbound_granted(inbound, &three);
	pa_tuninbound_bound(inbound, &two.claims);
	cr_assert_eq(kind_now(), PA_IN_CLOSED, "an ACCEPT of the second, late: not with the policy of the first");
	pa_tuninbound_bound(inbound, &three.claims);
	cr_assert_eq(kind_now(), PA_IN_OPEN);
}
