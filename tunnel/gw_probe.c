/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The gateway's core: PROBE, by which a client learns what lies between it and us. The answer goes to where the question came
 * from, whatever that is, so it must be an authentic one, fresh, and not be asked too often: whoever copies a client's
 * PROBE to send it with a forged source gets at most one answer of the same length out of it.
 */
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/gw_int.h"

#define PROBE_INTERVAL_MS 50 /* of one binding */
#define PROBE_BURST 32	     /* a search for the path's MTU asks for many sizes at once */

static const struct pa_gw_socket *find_local(const struct pa_gw *gw, unsigned local)
{
	for (size_t i = 0; i < gw->n_sockets; i++)
		if (gw->sockets[i].local == local)
			return &gw->sockets[i];
	return NULL;
}

/* Another socket for probes, as seen from socket local; NULL: there is none. */
static const struct pa_gw_socket *find_other(const struct pa_gw *gw, unsigned local, enum pa_probe_from from)
{
	const struct pa_gw_socket *own = find_local(gw, local);

	for (size_t i = 0; own != NULL && i < gw->n_sockets; i++) {
		const struct pa_gw_socket *s = &gw->sockets[i];
		bool same = pa_addr_eq(&s->at.addr, &own->at.addr);

		if (s->local >= PA_GW_PROBE_LOCAL && s != own && pa_addr_is_ipv4(&s->at.addr) == pa_addr_is_ipv4(&own->at.addr) &&
		    same == (from == PA_PROBE_PORT))
			return s;
	}
	return NULL;
}

/* promised: seconds until a second answer. */
static void send_probed(struct pa_gw *gw, struct pa_now now, const struct pa_gw_entry *e, const struct pa_gw_pending *q,
			enum pa_probe_from from, uint16_t promised)
{
	struct pa_msg m = {.type = PA_MSG_PROBED, .seq = q->seq, .echo = q->echo, .mapped = q->to, .length = q->length,
			   .delay = promised, .time_ms = now.unix_ms, .from = PA_PROBE_SAME};
	const struct pa_gw_socket *port = find_other(gw, q->local, PA_PROBE_PORT);
	const struct pa_gw_socket *address = find_other(gw, q->local, PA_PROBE_ADDRESS);
	const struct pa_gw_socket *by = from == PA_PROBE_PORT ? port : from == PA_PROBE_ADDRESS ? address : NULL;
	uint8_t buf[PA_PROBE_MAX], g2c[PA_KEY_LEN];
	int n;

	memcpy(m.session, q->session, sizeof(m.session));
	if (port != NULL)
		m.other_port = port->at.port;
	if (address != NULL)
		m.other = address->at;
	if (by != NULL)
		m.from = (uint8_t)from;
	pa_derive_g2c(e->k1, g2c);
	n = pa_msg_encode(&m, g2c, buf, sizeof(buf));
	pa_wipe(g2c, sizeof(g2c));
	PA_REQUIRE(n > 0);
	gw->ops->send(gw->ctx, by != NULL ? by->local : q->local, &q->to, buf, (size_t)n);
}

/* A session that has ended has no place any more: else a client that begins one after the other would have them all. */
static bool is_over(const struct pa_gw *gw, const uint8_t session[PA_SESSION_LEN])
{
	return pa_gw_table_find_session(gw->table, session) == NULL;
}

/* Keeps q for a second answer; the same question again takes its former place. False if there is no room. */
static bool keep(struct pa_gw *gw, const struct pa_gw_pending *q)
{
	struct pa_gw_pending *place = NULL;
	unsigned own = 0;

	for (size_t i = 0; i < PA_GW_PENDING_MAX; i++) {
		struct pa_gw_pending *p = &gw->pending[i];

		if (p->due_ms != 0 && memcmp(p->session, q->session, sizeof(p->session)) == 0) {
			if (p->echo == q->echo) {
				*p = *q;
				return true;
			}
			own++;
		}
		if (place == NULL && (p->due_ms == 0 || is_over(gw, p->session)))
			place = p;
	}
	if (place == NULL || own >= PA_GW_PENDING_EACH)
		return false;
	*place = *q;
	return true;
}

/*
 * The prober of a session, new (make) or known; NULL: too many others. One is forgotten when the token that its last PROBE had is of
 * no use any more, so that nothing old becomes news: a client that is not silent changes it with each keepalive but one.
 */
static struct pa_gw_prober *find_prober(struct pa_gw *gw, struct pa_now now, const uint8_t session[PA_SESSION_LEN], bool make)
{
	uint64_t forget_ms = (uint64_t)gw->keepalive * 4000;
	struct pa_gw_prober *place = NULL;

	for (size_t i = 0; i < PA_GW_PROBERS_MAX; i++) {
		struct pa_gw_prober *p = &gw->probers[i];

		if (p->used_ms != 0 && memcmp(p->session, session, sizeof(p->session)) == 0)
			return p;
		if (place == NULL && (p->used_ms == 0 || now.boot_ms >= p->used_ms + forget_ms || is_over(gw, p->session)))
			place = p;
	}
	if (!make)
		return NULL;
	if (place != NULL) {
		memset(place, 0, sizeof(*place));
		memcpy(place->session, session, sizeof(place->session));
	}
	return place;
}

static bool has_token(const struct pa_gw *gw, const struct pa_gw_entry *e, const struct pa_msg *m)
{
	return pa_gw_has_token(gw, e, 0, m->token) || (e->token > 0 && pa_gw_has_token(gw, e, 1, m->token));
}

/* May e's PROBE be answered? Counts why not. */
static bool admit(struct pa_gw *gw, struct pa_now now, const struct pa_gw_entry *e, unsigned local,
		  const struct pa_endpoint *from, const struct pa_msg *m)
{
	bool home = m->delay == 0 && m->from == PA_PROBE_SAME && local == e->local && pa_endpoint_eq(from, &e->mapped);
	struct pa_gw_prober *p;

	if (m->delay > 0 && 2 * m->answer_length > m->length) { /* both answers together are not longer either */
		gw->count.malformed++;
		return false;
	}
	/* Of an adopted binding even an old token would be news, and who is silent keeps his for long. */
	if ((e->adopted && !home) || !e->delivering || (!e->adopted && !has_token(gw, e, m))) {
		gw->count.replayed++;
		return false;
	}
	p = find_prober(gw, now, m->session, !home);
	if (p != NULL && m->seq <= p->seq) {
		gw->count.replayed++;
		return false;
	}
	if (p != NULL) {
		p->seq = m->seq;
		p->used_ms = now.boot_ms;
	}
	if (home)
		return pa_gw_path_admits(gw, now, e);
	if (p == NULL || !pa_limit_one(&p->tat, now.boot_ms, PROBE_INTERVAL_MS, PROBE_BURST) ||
	    (!pa_endpoint_eq(from, &e->mapped) && !pa_gw_limit(gw, &gw->probe_limit, now.boot_ms, local, from))) {
		gw->count.limited++;
		return false;
	}
	return true;
}

void pa_gw_probe(struct pa_gw *gw, struct pa_now now, unsigned local, const struct pa_endpoint *from, const uint8_t *buf,
		 const struct pa_msg *m)
{
	struct pa_gw_pending q = {.due_ms = now.boot_ms + (uint64_t)m->delay * 1000, .to = *from, .local = local,
				  .seq = m->seq, .echo = m->echo, .length = m->answer_length};
	struct pa_gw_entry *e = pa_gw_authentic(gw, now, buf, m->length, m);
	bool promised;

	if (e == NULL || !admit(gw, now, e, local, from, m))
		return;
	gw->count.probe++;
	memcpy(q.session, m->session, sizeof(q.session));
	promised = m->delay > 0 && keep(gw, &q);
	send_probed(gw, now, e, &q, (enum pa_probe_from)m->from, promised ? m->delay : 0);
}

uint64_t pa_gw_probe_tick(struct pa_gw *gw, struct pa_now now)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < PA_GW_PENDING_MAX; i++) {
		struct pa_gw_pending q = gw->pending[i];
		const struct pa_gw_entry *e;

		if (q.due_ms > now.boot_ms && q.due_ms < next)
			next = q.due_ms;
		if (q.due_ms == 0 || q.due_ms > now.boot_ms)
			continue;
		gw->pending[i].due_ms = 0;
		e = pa_gw_table_find_session(gw->table, q.session);
		if (e != NULL && e->bound)
			send_probed(gw, now, e, &q, PA_PROBE_SAME, 0);
	}
	return next;
}
