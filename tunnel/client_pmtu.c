/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The client's core: the path's MTU. pmtu.c decides what to ask; here are the messages. A PROBE asks for an answer of its own
 * length, so what comes back has passed both ways, and nobody gets more out of the gateway than he put in. The gateway learns the
 * result by KEEPALIVE, which no replay can imitate, and says in ALIVE what it has learnt.
 */
#include <string.h>

#include "common/err.h"
#include "common/msg.h"
#include "tunnel/client_int.h"

#define TELL_MS 1000 /* the gateway may be too busy to take a change at once */
#define TELLINGS 5

static bool is_probing(const struct pa_client *cl)
{
	return cl->ops->probe != NULL && cl->s.valid && !cl->s.lost && !cl->s.b.relayed;
}

/* At once, but for the one whose answer is awaited: its successor tells. */
static void tell(struct pa_client *cl, struct pa_now now)
{
	cl->s.tellings = 0;
	if (cl->s.misses == 0)
		pa_client_keepalive(cl, now);
}

/* Brings what is in force to what pmtu.c says. */
static void follow(struct pa_client *cl, struct pa_now now, unsigned black_holes)
{
	struct pa_client_binding *b = &cl->s.b;

	if (cl->pmtu.black_holes != black_holes) {
		cl->count.black_holes++;
		pa_client_event(cl, "path.blackhole", &b->gateway, b->mtu);
	}
	if (b->mtu == cl->pmtu.mtu)
		return;
	b->mtu = cl->pmtu.mtu;
	pa_client_event(cl, "path.mtu", &b->gateway, b->mtu);
	cl->ops->mtu(cl->ctx, b);
	tell(cl, now);
}

void pa_client_path_begin(struct pa_client *cl, struct pa_now now, bool same)
{
	struct pa_client_session *s = &cl->s;
	uint16_t known = cl->pmtu.state != PA_PMTU_DISABLED ? cl->pmtu.mtu : s->b.mtu;

	if (cl->ops->probe == NULL || s->b.relayed) {
		s->b.mtu = s->b.mtu_max; /* a stream of bytes has no size of packets */
		pa_pmtu_stop(&cl->pmtu);
		if (s->b.relayed && !s->lost)
			tell(cl, now);
		return;
	}
	/* Renewed at the same place it is the same path; elsewhere nothing is known of it. */
	if (same && cl->pmtu.state != PA_PMTU_DISABLED) {
		pa_pmtu_limit(&cl->pmtu, now, s->b.mtu_max < PA_PROBE_MAX ? s->b.mtu_max : PA_PROBE_MAX);
		pa_pmtu_suspect(&cl->pmtu, now);
	} else {
		pa_pmtu_start(&cl->pmtu, now, same ? known : 0, s->b.mtu_max < PA_PROBE_MAX ? s->b.mtu_max : PA_PROBE_MAX);
	}
	s->b.mtu = cl->pmtu.mtu;
}

static void send_probe(struct pa_client *cl, struct pa_now now, uint16_t size)
{
	struct pa_msg m = {.length = size, .answer_length = size};
	uint8_t buf[PA_PROBE_MAX];
	int n = pa_client_probe(cl, now, &m, buf, sizeof(buf));

	if (n < 0)
		return;
	cl->count.path_probes++;
	cl->ops->probe(cl->ctx, &cl->s.b.gateway, buf, (size_t)n);
}

uint64_t pa_client_path_tick(struct pa_client *cl, struct pa_now now)
{
	unsigned black_holes = cl->pmtu.black_holes, n;
	uint16_t sizes[PA_MTU_ROUND];
	uint64_t next = UINT64_MAX;

	if (!is_probing(cl))
		return next;
	while ((n = pa_pmtu_due(&cl->pmtu, now, cl->rtt_us, sizes, &next)) > 0) {
		if (cl->pmtu.tries == 1)
			cl->s.path_seq = cl->s.probe_seq + 1;
		for (unsigned i = 0; i < n; i++)
			send_probe(cl, now, sizes[i]);
	}
	follow(cl, now, black_holes);
	return next;
}

void pa_client_path_probed(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len, const struct pa_msg *m)
{
	unsigned black_holes = cl->pmtu.black_holes;

	if (!is_probing(cl) || memcmp(m->session, cl->s.b.session, sizeof(m->session)) != 0 || m->seq < cl->s.path_seq ||
	    m->seq > cl->s.probe_seq) {
		cl->count.unexpected++;
		return;
	}
	if (!pa_msg_verify(buf, len, cl->s.g2c)) {
		cl->count.bad_mac++;
		return;
	}
	cl->count.path_answers++;
	pa_pmtu_passed(&cl->pmtu, now, m->length);
	follow(cl, now, black_holes);
}

void pa_client_path_alive(struct pa_client *cl, struct pa_now now, const struct pa_msg *m)
{
	struct pa_client_session *s = &cl->s;

	s->told_mtu = m->mtu;
	if ((cl->ops->probe == NULL && !s->b.relayed) || s->told_mtu == s->b.mtu || s->tellings >= TELLINGS)
		return;
	s->tellings++;
	s->next_ms = now.boot_ms + TELL_MS;
}

void pa_client_carried(struct pa_client *cl, uint64_t octets)
{
	pa_pmtu_carried(&cl->pmtu, octets);
}
