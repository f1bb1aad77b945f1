/* SPDX-License-Identifier: MPL-2.0 */
/* Gateways that are emptied, in the simulated network of sim/world. A failure prints its seed. */
#include <criterion/criterion.h>
#include <string.h>

#include "test/sim/world.h"

#define SEEDS 100

#define check(w, cond, text) \
	cr_assert(cond, "seed %lu, at %lu ms: %s", (unsigned long)(w)->seed, (unsigned long)(w)->now.boot_ms, text)

static bool reaches_at(const struct world *w, unsigned n, unsigned g)
{
	return world_reaches(w, n) && pa_endpoint_eq(&w->c[n].b.gateway, &w->g[g].at);
}

static bool at_second(const struct world *w, unsigned n)
{
	return reaches_at(w, n, 1);
}

static bool at_first(const struct world *w, unsigned n)
{
	return reaches_at(w, n, 0);
}

static bool never(const struct world *w, unsigned n)
{
	(void)w;
	(void)n;
	return false;
}

static bool carried(const struct world *w, unsigned n, unsigned g)
{
	return pa_endpoint_eq(&w->g[g].owner[n + 1], &w->c[n].mapped);
}

/* Make before break: the client's interface stays, and what comes for P by either gateway reaches it. */
static void watch_served(struct world *w, void *ctx)
{
	(void)ctx;
	for (unsigned n = 0; n < WORLD_CLIENTS; n++)
		check(w, w->c[n].is_up && (carried(w, n, 0) || carried(w, n, 1)), "a client is not served");
}

static struct world *bound_world(uint64_t seed, unsigned gateways)
{
	struct world *w = world_new(seed);

	for (unsigned n = 0; n < WORLD_CLIENTS; n++)
		world_grant(w, n, (uint8_t)(n + 1), 1, 36000, gateways);
	for (unsigned n = 0; n < WORLD_CLIENTS; n++)
		check(w, world_until(w, 1000, at_first, n), "no binding");
	return w;
}

static struct pa_gw_counters counters(const struct world *w, unsigned g)
{
	struct pa_gw_counters c;

	pa_gw_counters_get(w->g[g].gw, &c);
	return c;
}

Test(drain, moves_everybody_and_drops_nobody, .timeout = 60)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = bound_world(seed, 2);
		unsigned fresh = w->c[0].n_fresh;

		w->loss = seed % 2 == 0 ? 20 : 0;
		if (w->loss == 0) /* else keepalives may be missed as at any time */
			w->watch = watch_served;
		w->dup = 10;
		pa_gw_drain(w->g[0].gw, w->now, true);
		for (unsigned n = 0; n < WORLD_CLIENTS; n++)
			check(w, world_until(w, 180000, at_second, n), "has not moved");
		world_run(w, 30000);
		check(w, w->c[0].n_down == 0 && (w->loss > 0 || w->c[0].n_fresh == fresh), "not beside the binding");
		check(w, pa_gw_count(w->g[1].gw) == WORLD_CLIENTS, "not all are bound at the other one");
		if (w->loss == 0) { /* else a BYE may be lost, and the binding ends by the keepalives that do not come */
			check(w, pa_gw_count(w->g[0].gw) == 0, "the old bindings have not ended");
			check(w, w->g[0].n_withdraw == WORLD_CLIENTS && counters(w, 0).moved == WORLD_CLIENTS, "not moved");
		}
		pa_gw_drain(w->g[0].gw, w->now, false);
		pa_gw_drain(w->g[1].gw, w->now, true);
		for (unsigned n = 0; n < WORLD_CLIENTS; n++)
			check(w, world_until(w, 180000, at_first, n), "has not come back");
		world_free(w);
	}
}

Test(drain, what_still_comes_is_carried_for_a_while)
{
	struct world *w = bound_world(1, 2);
	uint64_t moved;

	pa_gw_drain(w->g[0].gw, w->now, true);
	check(w, world_until(w, 5000, at_second, 0), "has not moved");
	moved = w->now.boot_ms;
	world_run(w, 4500);
	check(w, carried(w, 0, 0) && w->g[0].n_withdraw == 0, "carried and announced at the old one");
	world_run(w, 1000);
	check(w, carried(w, 0, 0) && w->g[0].n_withdraw == WORLD_CLIENTS, "carried, but not announced any more");
	world_run(w, moved + 10500 - w->now.boot_ms);
	check(w, !carried(w, 0, 0) && carried(w, 0, 1), "not carried any more");
	world_free(w);
}

Test(drain, who_moved_is_forgotten_by_a_crash)
{
	struct world *w = bound_world(1, 2);

	pa_gw_drain(w->g[0].gw, w->now, true);
	check(w, world_until(w, 5000, at_second, 0), "has not moved");
	world_run(w, 500); /* the BYEs */
	check(w, carried(w, 0, 0), "carried");
	world_kill_gateway(w, 0);
	check(w, !carried(w, 0, 0) && pa_gw_count(w->g[0].gw) == 0, "adopted though the client is elsewhere");
	world_free(w);
}

Test(drain, refuses_who_comes)
{
	struct world *w = world_new(1);
	struct pa_client_counters c;
	unsigned ups;

	pa_gw_drain(w->g[0].gw, w->now, true);
	world_grant(w, 0, 1, 1, 36000, 2);
	check(w, world_until(w, 1000, at_second, 0), "was not sent to the next gateway at once");
	check(w, counters(w, 0).drained == 1, "refused once");
	check(w, pa_gw_count(w->g[0].gw) == 0 && pa_gw_known(w->g[0].gw) == 0, "kept state of a client that it refused");

	/* Both: the one that it is bound at keeps it, and it does not ask round and round. */
	pa_gw_drain(w->g[1].gw, w->now, true);
	world_run(w, 60000);
	pa_client_counters_get(w->c[0].cl, &c);
	check(w, at_second(w, 0) && w->c[0].n_down == 0, "is not served any more");
	check(w, c.handshakes < 20, "asks too often");
	ups = w->c[0].n_up;
	pa_gw_drain(w->g[0].gw, w->now, false);
	check(w, world_until(w, 40000, at_first, 0) && w->c[0].n_up == ups + 1, "has not found the one that takes clients");
	world_free(w);
}

Test(drain, all_refuse_a_new_client)
{
	struct world *w = world_new(1);
	struct pa_client_counters c;

	pa_gw_drain(w->g[0].gw, w->now, true);
	pa_gw_drain(w->g[1].gw, w->now, true);
	world_grant(w, 0, 1, 1, 36000, 2);
	world_run(w, 60000);
	pa_client_counters_get(w->c[0].cl, &c);
	check(w, !w->c[0].is_up && c.handshakes < 30, "bound, or asks too often");
	pa_gw_drain(w->g[1].gw, w->now, false);
	check(w, world_until(w, 40000, at_second, 0), "is not taken when one is free again");
	world_free(w);
}

Test(drain, who_has_nowhere_to_go_stays_and_renews)
{
	struct world *w = bound_world(1, 1);
	uint64_t until;
	unsigned ups = w->c[0].n_up;

	pa_gw_drain(w->g[0].gw, w->now, true);
	(void)world_until(w, 200000, never, 0);
	check(w, at_first(w, 0) && w->c[0].n_down == 0, "is not served any more");
	until = w->c[0].grant.claims.expires;
	world_grant(w, 0, 1, 1, 72000, 1);
	world_run(w, 2000);
	check(w, w->c[0].n_up == ups + 1 && w->c[0].b.claims.expires > until, "was not let renew");
	/* But a client that is not bound there is not let in. */
	world_rebind(w, 1);
	pa_client_end(w->c[1].cl, w->now, PA_REASON_RELEASED);
	world_run(w, 1000);
	world_grant(w, 1, 2, 2, 36000, 1);
	world_run(w, 30000);
	check(w, !w->c[1].is_up, "was let in");
	world_free(w);
}

/* Who saw the grant knows K0, but not the session's keys: it can refuse nobody. */
Test(drain, a_forged_refusal_is_nothing)
{
	struct world *w = world_new(1);
	const struct world_packet *seen;
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	w->delay_min = w->delay_max = 30;
	world_grant(w, 0, 1, 1, 36000, 2);
	world_run(w, 70); /* HELLO, CHALLENGE, and CONFIRM is on its way */
	seen = &w->record[w->n_record - 1];
	cr_assert_eq(seen->buf[4], PA_MSG_CONFIRM);
	peer_init(&p, &w->c[0].grant, 0, w->c[0].bind);
	for (unsigned i = 0; i < 8; i++)
		p.session[i] = (uint8_t)(w->c[0].bind >> (56 - 8 * i));
	memcpy(p.keys.g2c, p.k0, sizeof(p.keys.g2c));
	world_inject(w, &seen->to, &seen->from, buf, peer_unbound(&p, PA_REASON_DRAIN, true, buf));
	world_inject(w, &seen->to, &seen->from, buf, peer_unbound(&p, PA_REASON_DRAIN, false, buf));
	check(w, world_until(w, 200, at_first, 0), "a forgery has sent it away");
	/* Nor can anybody tell the bound one to move. */
	world_run(w, 1000);
	memcpy(p.session, w->c[0].b.session, sizeof(p.session));
	world_inject(w, &w->g[0].at, &w->c[0].mapped, buf, peer_unbound(&p, PA_REASON_DRAIN, true, buf));
	world_inject(w, &w->g[0].at, &w->c[0].mapped, buf, peer_unbound(&p, PA_REASON_DRAIN, false, buf));
	world_run(w, 30000);
	check(w, at_first(w, 0), "a forgery has moved it");
	world_free(w);
}

/* The broker's word that P is bound elsewhere may come before the client's own. */
static void superseded(bool drain, bool pinned, uint64_t epoch, bool still)
{
	struct world *w = world_new(1);
	struct pa_addr p = pa_addr_from_ipv4(0xcb007101u);
	struct pa_grant g;

	peer_grant(0, 1, 1, PEER_UNIX + 36000, pinned, &g);
	g.lifetime = 36000;
	g.n_gateways = 1;
	g.gateways[0] = w->g[0].at;
	cr_assert_eq(pa_client_grant(w->c[0].cl, w->now, &g), 0);
	check(w, world_until(w, 1000, at_first, 0), "no binding");
	pa_gw_drain(w->g[0].gw, w->now, drain);
	pa_gw_superseded(w->g[0].gw, w->now, &p, epoch, w->c[0].bind + 1000);
	cr_expect_eq(carried(w, 0, 0), still, "drain %d pinned %d epoch %d", drain, pinned, (int)epoch);
	(void)pa_gw_tick(w->g[0].gw, (struct pa_now){w->now.boot_ms + 10000, w->now.unix_ms + 10000, 0});
	cr_expect(!carried(w, 0, 0), "for 10 s at most");
	world_free(w);
}

Test(drain, one_holder_at_a_time)
{
	superseded(true, true, 1, true);
	superseded(true, true, 2, false);  /* another lease */
	superseded(true, false, 1, false); /* perhaps another client's key */
	superseded(false, true, 1, false);
}
