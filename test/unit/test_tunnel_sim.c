/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Both ends against each other in a simulated network, over many seeds. A failure prints its seed: to see it alone, set
 * FIRST_SEED to it and SEEDS to 1.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "test/sim/world.h"

#define FIRST_SEED 1
#define SEEDS 200

#define check(w, cond, text) \
	cr_assert(cond, "seed %lu, at %lu ms: %s", (unsigned long)(w)->seed, (unsigned long)(w)->now.boot_ms, text)

static bool never(const struct world *w, unsigned n)
{
	(void)w;
	(void)n;
	return false;
}

static bool ended(const struct world *w, unsigned n)
{
	return w->c[n].n_ended > 0;
}

static bool is_down(const struct world *w, unsigned n)
{
	return !w->c[n].is_up;
}

Test(sim, handshake_in_a_bad_network, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		w->loss = 30;
		w->dup = 10;
		w->delay_max = 400;
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			world_grant(w, i, (uint8_t)(i + 1), 1, 3600, 2);
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, world_until(w, 240000, world_reaches, i), "no binding");
		world_free(w);
	}
}

Test(sim, rebinding_heals_in_one_round_trip, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);
		unsigned fresh, up;

		w->delay_min = w->delay_max = 30;
		world_grant(w, 0, 1, 1, 3600, 1);
		check(w, world_until(w, 1000, world_reaches, 0), "no binding");
		for (unsigned round = 0; round < 5; round++) {
			world_run(w, 2000 + world_random(w, 60000));
			check(w, world_reaches(w, 0), "lost in between");
			fresh = w->c[0].n_fresh;
			up = w->c[0].n_up;
			world_rebind(w, 0);
			check(w, !world_reaches(w, 0), "the test rebinds nothing");
			world_data(w, 0);
			/* The packet, the question, the answer: a round trip after the packet arrived. */
			check(w, world_until(w, 3 * 30, world_reaches, 0), "not healed");
			world_run(w, 5000);
			check(w, world_reaches(w, 0), "did not stay");
			check(w, w->c[0].n_fresh == fresh && w->c[0].n_up == up && w->c[0].n_down == 0,
			      "more happened than a move");
		}
		world_free(w);
	}
}

/* A client that sends nothing heals by its next KEEPALIVE, whatever is lost then. */
Test(sim, rebinding_heals_by_keepalive, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		world_grant(w, 0, 1, 1, 36000, 2);
		check(w, world_until(w, 1000, world_reaches, 0), "no binding");
		w->loss = 20;
		w->dup = 10;
		for (unsigned round = 0; round < 4; round++) {
			world_rebind(w, 0);
			check(w, world_until(w, 120000, world_reaches, 0), "not healed");
			world_run(w, world_random(w, 30000));
		}
		world_free(w);
	}
}

struct snapshot {
	struct pa_gw_binding b[WORLD_CLIENTS];
	struct pa_client_status s[WORLD_CLIENTS];
	unsigned n_down[WORLD_CLIENTS];
};

static void take_snapshot(const struct world *w, struct snapshot *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
		struct pa_addr a = pa_addr_from_ipv4(0xcb007100u | (i + 1));

		check(w, pa_gw_find(w->g[0].gw, &a, &ret->b[i]) == 0, "no binding");
		pa_client_status_get(w->c[i].cl, &ret->s[i]);
		ret->n_down[i] = w->c[i].n_down;
	}
}

static void compare(const struct world *w, const struct snapshot *x, const struct snapshot *y, bool hint)
{
	for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
		check(w, pa_claims_eq(&x->b[i].claims, &y->b[i].claims), "other claims");
		check(w, pa_endpoint_eq(&x->b[i].mapped, &y->b[i].mapped), "another mapped address");
		check(w, y->b[i].delivering, "delivery stopped");
		check(w, y->s[i].state == PA_CLIENT_BOUND && x->n_down[i] == y->n_down[i], "the client went down");
		check(w, world_reaches(w, i), "not reached");
		if (hint) /* is allowed to cause a handshake beside the binding, which stays */
			continue;
		check(w, memcmp(x->b[i].session, y->b[i].session, PA_SESSION_LEN) == 0, "another session");
		check(w, memcmp(y->s[i].binding.session, y->b[i].session, PA_SESSION_LEN) == 0, "ends disagree");
		check(w, y->s[i].attempt == 0, "a handshake started");
	}
}

/* Everything that was ever sent comes again, in both directions, from where it came and from elsewhere. */
Test(sim, replay_changes_nothing, .timeout = 120)
{
	const struct pa_endpoint elsewhere = peer_at("192.0.2.200:666");

	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS / 4; seed++) {
		struct world *w = world_new(seed);
		struct snapshot before, after;
		size_t n;

		w->loss = 10;
		w->dup = 10;
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			world_grant(w, i, (uint8_t)(i + 1), 1, 3600, 1);
		world_run(w, 20000);
		world_rebind(w, 0);
		world_run(w, 40000);
		world_restart(w, 0);
		world_run(w, 60000);
		world_grant(w, 1, 2, 2, 7200, 1);
		w->loss = w->dup = 0;
		world_run(w, 60000);
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, world_reaches(w, i), "no binding");
		if (seed % 2 == 0)
			world_kill_gateway(w, 0); /* adopted bindings believe no replay either */
		n = w->n_record;
		for (size_t i = 0; i < n; i++) {
			struct world_packet p = w->record[i];
			bool from_client = p.to.port == PA_GUE_PORT;
			bool hint = p.buf[4] == PA_MSG_UNBOUND;

			take_snapshot(w, &before);
			if (world_random(w, 2) == 0 && from_client)
				world_replay(w, &p, &elsewhere);
			else
				world_replay(w, &p, NULL);
			if (!from_client) /* to where its client is now */
				for (unsigned k = 0; k < WORLD_CLIENTS; k++)
					if (pa_addr_eq(&p.to.addr, &w->c[k].mapped.addr))
						w->queue[w->n_queue - 1].to = w->c[k].mapped;
			world_run(w, 300);
			take_snapshot(w, &after);
			compare(w, &before, &after, hint);
		}
		world_free(w);
	}
}

/* Killed and started again at any time, the gateway, the client, or both: the same binding, and packets go on. */
Test(sim, killed_and_adopted, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);
		struct snapshot before, after;
		unsigned which = 1 + world_random(w, 3);

		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			world_grant(w, i, (uint8_t)(i + 1), 1, 3600, 1);
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, world_until(w, 5000, world_reaches, i), "no binding");
		for (unsigned round = 0; round < 4; round++) {
			world_run(w, world_random(w, 60000));
			take_snapshot(w, &before);
			if ((which & 1) != 0) {
				world_kill_gateway(w, 0);
				check(w, world_reaches(w, 1), "the gateway does not deliver at once");
			}
			if ((which & 2) != 0)
				world_kill_client(w, 0);
			check(w, w->c[0].is_up, "the interface is gone");
			/* Four ways at most: KEEPALIVE, RECHALLENGE, RECONFIRM, and the answer. */
			check(w, world_until(w, 4 * 60, world_reaches, 0), "not healed");
			world_run(w, 60000);
			take_snapshot(w, &after);
			for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
				check(w, memcmp(before.b[i].session, after.b[i].session, PA_SESSION_LEN) == 0, "another session");
				check(w, after.b[i].bind == before.b[i].bind, "another handshake");
				check(w, after.n_down[i] == 0 && world_reaches(w, i), "went down");
			}
		}
		world_free(w);
	}
}

/* Nobody kept anything for the client to go on with: it binds anew by itself, soon, and P stays up. */
Test(sim, killed_with_a_gateway_that_forgot, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		world_grant(w, 0, 1, 1, 3600, 1);
		check(w, world_until(w, 5000, world_reaches, 0), "no binding");
		world_run(w, world_random(w, 60000));
		world_restart(w, 0);
		world_kill_client(w, 0);
		check(w, world_until(w, 1000, world_reaches, 0), "not bound anew");
		check(w, w->c[0].n_down == 0, "went down");
		world_free(w);
	}
}

/* A client killed while its grant was renewed goes on with the old session until the new one is accepted. */
Test(sim, killed_while_renewing, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);
		struct pa_client_status s;

		world_grant(w, 0, 1, 1, 600, 1);
		check(w, world_until(w, 5000, world_reaches, 0), "no binding");
		world_run(w, 1000 + world_random(w, 30000));
		world_grant(w, 0, 1, 1, 1200, 1);
		world_run(w, world_random(w, 200));
		world_kill_client(w, 0);
		world_run(w, 3000);
		pa_client_status_get(w->c[0].cl, &s);
		check(w, world_reaches(w, 0) && w->c[0].n_down == 0, "lost");
		check(w, s.attempt == 0 && s.binding.claims.expires == w->c[0].grant.claims.expires, "the old grant's session stays");
		world_free(w);
	}
}

Test(sim, highest_epoch_holds, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);
		unsigned first = world_random(w, 2);

		w->loss = 15;
		w->dup = 10;
		world_grant(w, first, 1, 1 + first, 3600, 1);
		world_run(w, world_random(w, 40000));
		world_grant(w, 1 - first, 1, 2 - first, 3600, 1);
		check(w, world_until(w, 240000, world_reaches, 1), "the higher epoch does not hold");
		/* From now on P is never the other's again, and the other finds out. */
		check(w, world_until(w, 240000, is_down, 0), "the lower epoch still thinks that it holds");
		for (unsigned i = 0; i < 30; i++) {
			world_run(w, 10000);
			check(w, !world_reaches(w, 0), "the lower epoch holds again");
			check(w, w->g[0].owner[1].port == 0 || pa_addr_eq(&w->g[0].owner[1].addr, &w->c[1].mapped.addr),
			      "the packets go to the lower epoch");
		}
		world_free(w);
	}
}

Test(sim, restarted_gateway_is_found_again, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			world_grant(w, i, (uint8_t)(i + 1), 1, 3600, 1);
		world_run(w, 1000 + world_random(w, 50000));
		world_restart(w, 0);
		/* One keepalive interval, the hint and the handshake. */
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, world_until(w, 25500, world_reaches, i), "not healed by the hint");
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, w->c[i].n_down == 0 && w->c[i].n_fresh == 0, "more than a handshake was needed");
		world_free(w);
	}
}

Test(sim, dead_gateways, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);
		uint64_t died;

		world_grant(w, 0, 1, 1, 36000, 2);
		check(w, world_until(w, 1000, world_reaches, 0), "no binding");
		world_run(w, world_random(w, 60000));
		/* One dies: the other serves within 45 s. */
		w->g[0].dead = true;
		check(w, world_until(w, 45000, world_reaches, 0), "the dead gateway is not left");
		check(w, w->c[0].n_down == 0, "down in between");
		/* Both are dead: down, plain NAT. */
		w->g[1].dead = true;
		died = w->now.boot_ms;
		check(w, world_until(w, 45000, is_down, 0), "still up without a gateway");
		check(w, w->now.boot_ms - died >= 20000, "given up too early");
		check(w, w->c[0].n_ended == 0, "the grant is not over");
		world_run(w, world_random(w, 600000));
		/* One is back. */
		w->g[0].dead = false;
		check(w, world_until(w, 100000, world_reaches, 0), "not bound again");
		world_free(w);
	}
}

Test(sim, shutdown_moves_everybody, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			world_grant(w, i, (uint8_t)(i + 1), 1, 3600, 2);
		world_run(w, 1000 + world_random(w, 50000));
		pa_gw_shutdown(w->g[0].gw, w->now);
		w->c[0].b.gateway = w->g[1].at; /* what is waited for */
		check(w, world_until(w, 500, world_reaches, 0), "not moved at once");
		world_run(w, 500);
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, world_reaches(w, i) && w->c[i].n_down == 0 && w->c[i].n_up == 2, "not moved");
		world_free(w);
	}
}

/* A listener relays the client's packets from its own address, to draw its traffic; the client objects. */
static void check_objection(struct world *w)
{
	w->relay = peer_at("192.0.2.66:6666");
	world_data(w, 0);
	world_run(w, 1000);
	check(w, w->g[0].n_contested == 1, "nobody objected, or more than once");
	check(w, world_reaches(w, 0), "the listener keeps the traffic");
	/* It goes on; the binding does not flap with every packet. */
	for (unsigned i = 0; i < 50; i++) {
		world_data(w, 0);
		world_run(w, 100);
	}
	check(w, w->g[0].n_contested == 1, "flapping");
	check(w, world_reaches(w, 0), "the listener has the traffic after all");
}

Test(sim, relayed_packets_are_objected_to, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		w->delay_min = w->delay_max = 20;
		world_grant(w, 0, 1, 1, 3600, 1);
		world_run(w, 1000 + world_random(w, 50000));
		check_objection(w);
		world_free(w);
	}
}

/* The same with a KEEPALIVE at each moment of it, which draws a RECHALLENGE of its own. */
Test(sim, relayed_keepalives_are_no_help, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + 120; seed++) {
		struct world *w = world_new(seed);
		uint64_t due;

		w->delay_min = w->delay_max = 20;
		world_grant(w, 0, 1, 1, 3600, 1);
		world_run(w, 5000);
		due = pa_client_tick(w->c[0].cl, w->now);
		check(w, due > w->now.boot_ms + 1000 && due < w->now.boot_ms + 30000, "what is due is no KEEPALIVE");
		world_run(w, due - w->now.boot_ms - (seed - FIRST_SEED));
		check_objection(w);
		world_free(w);
	}
}

/* A listener who saw the grant races the gateway with CHALLENGEs of its own. */
Test(sim, forged_challenges_cost_nothing, .timeout = 60)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);

		w->delay_min = w->delay_max = 20;
		w->forge = 3;
		world_grant(w, 0, 1, 1, 3600, 1);
		check(w, world_until(w, 100, world_reaches, 0), "not bound at the first try");
		world_run(w, 100000);
		check(w, world_reaches(w, 0) && w->c[0].n_up == 1 && w->c[0].n_down == 0, "the binding does not hold");
		world_grant(w, 0, 1, 2, 3600, 1);
		world_run(w, 1000);
		check(w, world_reaches(w, 0) && w->c[0].n_up == 2, "not renewed");
		world_free(w);
	}
}

Test(sim, everything_at_once, .timeout = 120)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
		struct world *w = world_new(seed);
		uint64_t epoch = 1;

		w->loss = 15;
		w->dup = 10;
		w->delay_max = 300;
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			world_grant(w, i, (uint8_t)(i + 1), epoch, 36000, 2);
		for (unsigned round = 0; round < 30; round++) {
			unsigned n = world_random(w, WORLD_CLIENTS), g = world_random(w, WORLD_GATEWAYS);

			switch (world_random(w, 7)) {
			case 0:
				world_rebind(w, n);
				break;
			case 1:
				world_restart(w, g);
				break;
			case 2:
				w->g[g].dead = !w->g[g].dead;
				break;
			case 3:
				world_grant(w, n, (uint8_t)(n + 1), ++epoch, 36000, 2);
				break;
			case 4:
				pa_client_kick(w->c[n].cl, w->now);
				break;
			case 5:
				if (w->n_record > 0)
					world_replay(w, &w->record[world_random(w, (unsigned)w->n_record)], NULL);
				break;
			default:
				world_data(w, n);
				break;
			}
			(void)world_until(w, world_random(w, 20000), never, 0);
		}
		w->g[0].dead = w->g[1].dead = false;
		w->loss = w->dup = 0;
		world_run(w, 180000);
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, world_reaches(w, i), "not bound when all is well again");
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			pa_client_end(w->c[i].cl, w->now, PA_REASON_RELEASED);
		world_run(w, 1000);
		for (unsigned i = 0; i < WORLD_CLIENTS; i++)
			check(w, ended(w, i) && !world_reaches(w, i), "not ended");
		world_free(w);
	}
}
