/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_CLIENT_FIXTURE_H
#define PA_TEST_CLIENT_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/client.h"

/* A client whose output is kept; the gateway's part is played by hand. */
#define SENT_MAX 64

struct sent {
	uint64_t at; /* boot time, ms */
	struct pa_endpoint to;
	struct pa_msg m;
	uint8_t buf[PA_CTL_MAX];
	size_t len;
};

struct fx {
	struct pa_client *cl;
	struct peer_rng rng;
	struct pa_now now;
	uint64_t next; /* what the last tick said */
	struct sent sent[SENT_MAX];
	size_t n_sent;
	unsigned n_up, n_down, n_ended, n_fresh;
	unsigned down_reason;
	struct pa_client_binding up;
	uint64_t bind;
	struct peer p; /* how the gateway sees the last handshake */
	bool wants_ferry;
	unsigned n_wanted; /* times that it was asked for */
};

static void on_send(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fx *f = ctx;
	struct sent *s = &f->sent[f->n_sent++];

	cr_assert(f->n_sent < SENT_MAX);
	s->at = f->now.boot_ms;
	s->to = *to;
	memcpy(s->buf, buf, len);
	s->len = len;
	cr_assert_eq(pa_msg_decode(buf, len, &s->m), 0);
}

static void on_fresh_port(void *ctx)
{
	((struct fx *)ctx)->n_fresh++;
}

static void on_up(void *ctx, const struct pa_client_binding *b)
{
	struct fx *f = ctx;

	f->n_up++;
	f->up = *b;
}

static void on_down(void *ctx, bool ended, unsigned reason)
{
	struct fx *f = ctx;

	f->n_down++;
	f->n_ended += ended ? 1 : 0;
	f->down_reason = reason;
}

static void on_event(void *ctx, const char *event, const struct pa_endpoint *gateway, unsigned detail)
{
	(void)ctx;
	(void)event;
	(void)gateway;
	(void)detail;
}

static uint64_t on_next_bind(void *ctx)
{
	return ++((struct fx *)ctx)->bind;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fx *)ctx)->rng, dst, len);
}

static void on_ferry(void *ctx, bool wanted)
{
	struct fx *f = ctx;

	cr_assert_neq(f->wants_ferry, wanted, "said twice");
	f->wants_ferry = wanted;
	f->n_wanted += wanted ? 1 : 0;
}

static const struct pa_client_ops ops = {on_send,	on_fresh_port, on_up, on_down, on_event,
					 on_next_bind, on_random,     NULL,  NULL,    on_ferry};

#define GATEWAY "198.51.100.10:6080"
#define SECOND "198.51.100.11:6080"

static struct fx *fx_new(void)
{
	struct fx *f = calloc(1, sizeof(*f));
	uint8_t secret[PA_KEY_LEN];

	cr_assert_eq(pa_cred_init(), 0);
	f->rng.s = 1;
	f->bind = 1000;
	f->now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	peer_client_secret(0, secret);
	cr_assert_eq(pa_client_new(secret, &ops, f, &f->cl), 0);
	return f;
}

static void fx_free(struct fx *f)
{
	pa_client_free(f->cl);
	free(f);
}

/* Lets the clock run for ms, with every timer at its time. */
static void run(struct fx *f, uint64_t ms)
{
	uint64_t end = f->now.boot_ms + ms;

	for (;;) {
		f->next = pa_client_tick(f->cl, f->now);
		cr_assert(f->next > f->now.boot_ms, "a timer in the past");
		if (f->next > end)
			break;
		f->now.unix_ms += f->next - f->now.boot_ms;
		f->now.boot_ms = f->next;
	}
	f->now.unix_ms += end - f->now.boot_ms;
	f->now.boot_ms = end;
}

static void give(struct fx *f, const char *from, const uint8_t *buf, size_t len)
{
	struct pa_endpoint e = peer_at(from);

	f->n_sent = 0;
	pa_client_receive(f->cl, f->now, &e, buf, len);
}

static struct pa_client_counters counters(const struct fx *f)
{
	struct pa_client_counters c;

	pa_client_counters_get(f->cl, &c);
	return c;
}

static struct pa_client_status status(const struct fx *f)
{
	struct pa_client_status s;

	pa_client_status_get(f->cl, &s);
	return s;
}

static void take_grant(struct fx *f, const struct pa_grant *g)
{
	f->n_sent = 0;
	cr_assert_eq(pa_client_grant(f->cl, f->now, g), 0);
	cr_assert_eq(f->n_sent, 1);
	cr_assert_eq(f->sent[0].m.type, PA_MSG_HELLO);
}

static void make_grant(struct pa_grant *g, unsigned gateways)
{
	peer_grant(0, 5, 1, PEER_UNIX + 3600, true, g);
	g->n_gateways = gateways;
	g->gateways[1] = peer_at(SECOND);
	g->gateways[2] = peer_at("198.51.100.12:6080");
	g->gateways[3] = peer_at("198.51.100.13:6080");
}

static const struct pa_msg accept_values = {.lifetime = 3600, .mtu = 1400, .keepalive = 25, .routed = true};

/* Reads the HELLO that was sent last and answers it with CHALLENGE; CONFIRM is then in f->sent[0]. */
static void challenge(struct fx *f, const struct pa_grant *g, const char *from)
{
	const struct pa_msg *hello = &f->sent[f->n_sent - 1].m;
	uint8_t buf[PA_CTL_MAX];

	cr_assert_eq(hello->type, PA_MSG_HELLO);
	peer_init(&f->p, g, 0, hello->bind);
	memcpy(f->p.nonce, hello->nonce, sizeof(f->p.nonce));
	memset(f->p.cookie, 0x33, sizeof(f->p.cookie));
	memset(f->p.session, (int)(hello->bind & 0xff), sizeof(f->p.session));
	memset(f->p.token, 0x44, sizeof(f->p.token));
	cr_assert_eq(peer_derive(&f->p), 0);
	give(f, from, buf, peer_challenge(&f->p, buf));
	cr_assert_eq(f->n_sent, 1);
	cr_assert_eq(f->sent[0].m.type, PA_MSG_CONFIRM);
	cr_assert(pa_msg_verify(f->sent[0].buf, f->sent[0].len, f->p.k0));
	cr_assert(pa_msg_verify_seal(f->sent[0].buf, f->sent[0].len, f->p.keys.c2g));
}

static void finish(struct fx *f, const struct pa_grant *g, const char *from)
{
	uint8_t buf[PA_CTL_MAX];

	challenge(f, g, from);
	give(f, from, buf, peer_accept(&f->p, &accept_values, buf));
}

static struct fx *bound(struct pa_grant *g, unsigned gateways)
{
	struct fx *f = fx_new();

	make_grant(g, gateways);
	take_grant(f, g);
	finish(f, g, GATEWAY);
	cr_assert_eq(f->n_up, 1);
	return f;
}

/* Answers the KEEPALIVE that was sent last. */
static void alive_by(struct fx *f, const char *from)
{
	const struct pa_msg m = f->sent[f->n_sent - 1].m;
	uint8_t buf[PA_CTL_MAX];

	cr_assert_eq(m.type, PA_MSG_KEEPALIVE);
	give(f, from, buf, peer_alive(&f->p, m.seq, m.echo, buf));
}

static inline void alive(struct fx *f)
{
	alive_by(f, GATEWAY);
}

/* Runs until n more messages are out. */
static void run_until_sent(struct fx *f, size_t n)
{
	f->n_sent = 0;
	for (unsigned i = 0; i < 100000 && f->n_sent < n; i++)
		run(f, 10);
	cr_assert_geq(f->n_sent, n);
}

#endif
