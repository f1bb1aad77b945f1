/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay_link.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/relay_link_int.h"
#include "common/relay_ring.h"

int pa_rlink_new(const struct pa_rlink_config *cfg, const struct pa_rlink_ops *ops, void *ctx, struct pa_rlink **ret)
{
	struct pa_rlink *l = calloc(1, sizeof(*l));

	PA_REQUIRE(cfg->window > 0 && cfg->window <= PA_RELAY_WINDOW && cfg->window <= cfg->window_max &&
		   cfg->window_max <= PA_RELAY_WINDOW_MAX);
	if (l == NULL)
		return PA_ENOMEM;
	if (pa_rring_init(&l->ring, cfg->ring_limit) < 0 || pa_rtable_init(&l->table) < 0) {
		pa_rring_fini(&l->ring);
		free(l);
		return PA_ENOMEM;
	}
	l->cfg = *cfg;
	l->ops = ops;
	l->ctx = ctx;
	l->next_id = cfg->server ? 2 : 1;
	l->connected = true;
	*ret = l;
	return 0;
}

void pa_rlink_free(struct pa_rlink *l)
{
	if (l == NULL)
		return;
	pa_rtable_fini(&l->table);
	pa_rlink_late_free(l);
	pa_rring_fini(&l->ring);
	free(l->express.buf);
	free(l);
}

/* ---------------------------------------------------------------- sessions */

/* A session of that number; the caller has seen to it that there is none. NULL: no memory, or too many. */
static struct pa_rsession *add_session(struct pa_rlink *l, uint32_t id, void *user)
{
	struct pa_rsession *s;

	if (l->table.n >= l->cfg.sessions_max)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->id = id;
	s->link = l;
	s->user = user;
	s->credit = l->cfg.window;
	s->may_get = s->window = l->cfg.window;
	pa_rtable_add(&l->table, s);
	return s;
}

static void drop_session(struct pa_rsession *s)
{
	pa_rlink_unblock(s);
	s->link->grown -= s->window - s->link->cfg.window;
	pa_rtable_remove(&s->link->table, s);
	free(s);
}

/* Both sides count up by two, and a number is never used again. */
static uint32_t take_id(struct pa_rlink *l)
{
	uint32_t id = l->next_id;

	if (id > UINT32_MAX - 2)
		return 0;
	l->next_id += 2;
	return id;
}

static struct pa_rsession *begin(struct pa_rlink *l, uint8_t type, const struct pa_relay_body *b, void *user)
{
	uint8_t body[PA_RELAY_FIELDS_MAX];
	int len = pa_relay_encode(type, b, body, sizeof(body));
	struct pa_rsession *s;
	uint32_t id;

	if (len < 0)
		return NULL;
	s = add_session(l, 0, user);
	if (s == NULL)
		return NULL;
	id = take_id(l);
	if (id == 0) {
		drop_session(s);
		return NULL;
	}
	pa_rtable_renumber(&l->table, s, id);
	s->name = type == PA_RELAY_RESOLVE;
	pa_rlink_put(l, type, id, body, (size_t)len);
	return s;
}

struct pa_rsession *pa_rlink_open(struct pa_rlink *l, const struct pa_relay_body *b, void *user)
{
	return begin(l, PA_RELAY_OPEN, b, user);
}

struct pa_rsession *pa_rlink_resolve(struct pa_rlink *l, const struct pa_relay_body *b, void *user)
{
	return begin(l, PA_RELAY_RESOLVE, b, user);
}

struct pa_rsession *pa_rlink_incoming(struct pa_rsession *listener, const struct pa_relay_body *b, void *user)
{
	struct pa_relay_body body = *b;
	struct pa_rsession *s;

	/* Strangers call: they must not push an honest client over the bound of what may wait. */
	if (listener->link->late != NULL)
		return NULL;
	body.listener = listener->id;
	s = begin(listener->link, PA_RELAY_INCOMING, &body, user);
	if (s != NULL)
		s->open = true;
	return s;
}

static void answer(struct pa_rsession *s, uint8_t type, const struct pa_relay_body *b)
{
	uint8_t body[PA_RELAY_FIELDS_MAX];
	int len = pa_relay_encode(type, b, body, sizeof(body));

	PA_REQUIRE(len > 0 && !s->open && !s->over);
	if (b->error == PA_RELAY_E_OK && type == PA_RELAY_RESULT)
		s->open = true;
	else
		s->over = true;
	pa_rlink_put(s->link, type, s->id, body, (size_t)len);
}

void pa_rlink_result(struct pa_rsession *s, const struct pa_relay_body *b)
{
	answer(s, PA_RELAY_RESULT, b);
}

void pa_rlink_resolved(struct pa_rsession *s, const struct pa_relay_body *b)
{
	answer(s, PA_RELAY_RESOLVED, b);
}

size_t pa_rlink_reserve_pieces(struct pa_rsession *s, struct iovec *pieces, unsigned *n)
{
	struct pa_rlink *l = s->link;
	size_t most = *n * (size_t)PA_RELAY_DATA_MAX, want = s->credit < most ? s->credit : most, room = 0;

	if (s->over || s->fin_sent)
		return 0;
	if (want == 0) {
		s->starved = true;
		return 0;
	}
	if (l->late == NULL && l->ring.end - l->ring.sent < PA_RLINK_UNSENT_MAX)
		room = pa_rring_reserve(&l->ring, want, PA_RLINK_KEEP, pieces, n);
	if (room == 0)
		pa_rlink_block(s);
	return room;
}

size_t pa_rlink_reserve(struct pa_rsession *s, uint8_t **ptr)
{
	struct iovec piece;
	unsigned n = 1;
	size_t room = pa_rlink_reserve_pieces(s, &piece, &n);

	if (room > 0)
		*ptr = piece.iov_base;
	return room;
}

void pa_rlink_commit(struct pa_rsession *s, size_t n)
{
	if (n == 0)
		return;
	PA_REQUIRE(n <= s->credit && !s->fin_sent);
	s->credit -= (uint32_t)n;
	pa_rring_commit(&s->link->ring, s->id, n);
	pa_rlink_wake(s->link);
}

/* A frame that nobody waits for: what others cause must not fill what may wait. */
static bool put_or_drop(struct pa_rsession *s, uint8_t type, const struct pa_relay_body *b, const uint8_t *bytes, size_t len)
{
	struct pa_rlink *l = s->link;
	struct pa_relay_header h = {.type = type, .session = s->id};
	uint8_t *to = l->scratch;
	int head = pa_relay_encode(type, b, to, PA_RELAY_FIELDS_MAX);

	if (head < 0 || s->over || !l->connected || l->late != NULL || l->ring.end - l->ring.sent > PA_RLINK_DATAGRAMS_MAX ||
	    len > PA_RELAY_BODY_MAX - (size_t)head ||
	    pa_rring_room(&l->ring) < PA_RELAY_HEADER_LEN + (size_t)head + len + PA_RLINK_KEEP)
		return false;
	if (len > 0)
		memcpy(to + head, bytes, len);
	h.length = (uint16_t)((size_t)head + len);
	if (!pa_rring_put(&l->ring, &h, to))
		return false;
	pa_rlink_wake(l);
	return true;
}

bool pa_rlink_datagram(struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len)
{
	return put_or_drop(s, PA_RELAY_DATAGRAM, &(struct pa_relay_body){.remote = *peer}, bytes, len);
}

bool pa_rlink_undelivered(struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error)
{
	return put_or_drop(s, PA_RELAY_UNDELIVERED, &(struct pa_relay_body){.error = (uint8_t)error, .remote = *peer}, NULL, 0);
}

bool pa_rlink_more(const struct pa_rsession *s)
{
	const struct pa_rlink *l = s->link;
	struct pa_relay_header h;

	return l->ahead_len >= PA_RELAY_HEADER_LEN && pa_relay_get_header(l->ahead, &h) == 0 &&
	       h.type == PA_RELAY_DATA && h.session == s->id && h.length <= l->ahead_len - PA_RELAY_HEADER_LEN &&
	       h.length <= s->may_get;
}

/*
 * Does the reader keep up? One that has nothing before it now and then waits for the network, however slow that is. One that always
 * has something may share a processor with whoever sends: it keeps up if it is fast.
 */
static void judge(struct pa_rsession *s, uint32_t n)
{
	uint32_t ticks = s->link->ticks - s->since;

	s->taken = s->taken < UINT32_MAX - n ? s->taken + n : UINT32_MAX;
	s->behind = s->unread == 0 ? 0 : s->behind < UINT32_MAX - n ? s->behind + n : UINT32_MAX;
	if (s->behind <= s->window) {
		s->slow = s->slow && s->unread > 0;
	} else if (ticks > PA_RLINK_FAST) {
		s->slow = s->taken / PA_RLINK_STEADY < s->window;
		s->taken = 0;
		s->since = s->link->ticks;
	}
}

/*
 * A window has to hold what is on its way, and what waits while the processor does something else: for a reader that keeps up it
 * doubles after several windows. One that does not is as good with a small one, and costs us less: it gives back whatever the other
 * side has not been promised.
 */
static void adapt(struct pa_rsession *s, uint32_t n)
{
	const struct pa_rlink_config *cfg = &s->link->cfg;
	uint32_t promised = s->may_get + s->unread, least = promised > cfg->window ? promised : cfg->window;

	judge(s, n);
	if (s->slow && s->window > least) {
		s->link->grown -= s->window - least;
		s->window = least;
	} else if (!s->slow && s->taken / PA_RLINK_STEADY >= s->window && s->window <= cfg->window_max / 2 &&
		   s->link->grown + s->window <= cfg->grown_max) {
		s->link->grown += s->window;
		s->window *= 2;
		s->taken = 0;
		s->since = s->link->ticks;
	}
}

/* Half a window at a time, so that a stream of small pieces does not cost a frame each. */
void pa_rlink_consumed(struct pa_rsession *s, size_t n)
{
	struct pa_relay_body b = {0};
	uint8_t body[4];

	PA_REQUIRE(n <= s->unread);
	s->unread -= (uint32_t)n;
	if (s->over || s->fin_got)
		return;
	adapt(s, (uint32_t)n);
	b.window = s->window - s->may_get - s->unread;
	if (b.window < s->window / 2)
		return;
	(void)pa_relay_encode(PA_RELAY_WINDOW_ADD, &b, body, sizeof(body));
	s->may_get += b.window;
	pa_rlink_put(s->link, PA_RELAY_WINDOW_ADD, s->id, body, sizeof(body));
}

void pa_rlink_fin(struct pa_rsession *s)
{
	if (s->over || s->fin_sent)
		return;
	s->fin_sent = true;
	pa_rlink_unblock(s);
	pa_rlink_put(s->link, PA_RELAY_FIN, s->id, NULL, 0);
}

void pa_rlink_close(struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_relay_body b = {.error = error == PA_RELAY_E_OK ? PA_RELAY_E_RESET : (uint8_t)error};
	struct pa_rlink *l = s->link;
	uint32_t id = s->id;
	bool over = s->over || (s->fin_sent && s->fin_got);
	uint8_t body[1];

	drop_session(s);
	if (over)
		return;
	(void)pa_relay_encode(PA_RELAY_RESET, &b, body, sizeof(body));
	pa_rlink_put(l, PA_RELAY_RESET, id, body, sizeof(body));
}

/* ---------------------------------------------------------------- what arrives */

static int on_new(struct pa_rlink *l, const struct pa_relay_header *h, const struct pa_relay_body *b)
{
	struct pa_relay_body no = {.error = PA_RELAY_E_LIMIT};
	struct pa_rsession *s;
	uint32_t next = l->highest > 0 ? l->highest + 2 : l->cfg.server ? 1 : 2;

	/* Only a server makes INCOMING. Numbers go up by two: what was used is not used again, and nobody chooses his
	 * place in the table. */
	if ((h->type == PA_RELAY_INCOMING) == l->cfg.server || h->session != next)
		return PA_EFORMAT;
	l->highest = h->session;
	s = add_session(l, h->session, NULL);
	if (s == NULL) {
		uint8_t body[1];

		(void)pa_relay_encode(PA_RELAY_RESET, &no, body, sizeof(body));
		pa_rlink_put(l, PA_RELAY_RESET, h->session, body, sizeof(body));
		return 0;
	}
	if (h->type == PA_RELAY_OPEN) {
		l->ops->open(l->ctx, s, b);
	} else if (h->type == PA_RELAY_RESOLVE) {
		s->name = true;
		l->ops->resolve(l->ctx, s, b);
	} else {
		s->open = true;
		l->ops->incoming(l->ctx, s, pa_rtable_find(&l->table, b->listener), b);
	}
	return 0;
}

static int on_answer(struct pa_rlink *l, struct pa_rsession *s, const struct pa_relay_header *h,
		     const struct pa_relay_body *b)
{
	bool name = h->type == PA_RELAY_RESOLVED;

	if (l->cfg.server || s->open || s->over || s->name != name)
		return PA_EFORMAT;
	s->open = !name && b->error == PA_RELAY_E_OK;
	s->over = !s->open;
	l->ops->result(l->ctx, s, b);
	return 0;
}

static int on_data(struct pa_rlink *l, struct pa_rsession *s, const uint8_t *body, size_t len)
{
	if (!s->open || s->fin_got || len > s->may_get)
		return PA_EFORMAT;
	s->may_get -= (uint32_t)len;
	s->unread += (uint32_t)len;
	l->ops->data(l->ctx, s, body, len);
	return 0;
}

static int on_window(struct pa_rlink *l, struct pa_rsession *s, uint32_t more)
{
	if (more > l->cfg.window_max - s->credit)
		return PA_EFORMAT;
	s->credit += more;
	if (s->starved) {
		s->starved = false;
		l->ops->writable(l->ctx, s);
	}
	return 0;
}

static int on_session(struct pa_rlink *l, const struct pa_relay_header *h, const uint8_t *body,
		      const struct pa_relay_body *b)
{
	struct pa_rsession *s;

	if (h->type == PA_RELAY_OPEN || h->type == PA_RELAY_RESOLVE || h->type == PA_RELAY_INCOMING)
		return on_new(l, h, b);
	s = pa_rtable_find(&l->table, h->session);
	if (s == NULL) /* closed here while this was on its way */
		return h->session <= l->highest || (h->session < l->next_id && h->session % 2 == l->next_id % 2)
			       ? 0
			       : PA_EFORMAT;
	switch (h->type) {
	case PA_RELAY_RESULT:
	case PA_RELAY_RESOLVED:
		return on_answer(l, s, h, b);
	case PA_RELAY_DATA:
		return on_data(l, s, body, h->length);
	case PA_RELAY_DATAGRAM:
		if (!s->open)
			return PA_EFORMAT;
		l->ops->datagram(l->ctx, s, &b->remote, body + b->payload, h->length - b->payload);
		return 0;
	case PA_RELAY_UNDELIVERED:
		if (!s->open || l->cfg.server)
			return PA_EFORMAT;
		if (l->ops->undelivered != NULL)
			l->ops->undelivered(l->ctx, s, &b->remote, (enum pa_relay_error)b->error);
		return 0;
	case PA_RELAY_WINDOW_ADD:
		return on_window(l, s, b->window);
	case PA_RELAY_FIN:
		if (!s->open || s->fin_got)
			return PA_EFORMAT;
		s->fin_got = true;
		l->ops->fin(l->ctx, s);
		return 0;
	default: /* RESET */
		l->ops->reset(l->ctx, s, (enum pa_relay_error)b->error);
		drop_session(s);
		return 0;
	}
}

static int on_uncounted(struct pa_rlink *l, const struct pa_relay_header *h, const uint8_t *body,
			const struct pa_relay_body *b)
{
	int rc;

	switch (h->type) {
	case PA_RELAY_ACK:
		rc = pa_rring_ack(&l->ring, b->count);
		if (rc == 0)
			pa_rlink_ring_freed(l);
		return rc;
	case PA_RELAY_TUNNEL:
		l->ops->tunnel(l->ctx, body, h->length);
		return 0;
	case PA_RELAY_PING:
		pa_rlink_put_express(l, PA_RELAY_PONG, body, h->length);
		return 0;
	case PA_RELAY_PONG:
		l->ops->pong(l->ctx, b->count);
		return 0;
	case PA_RELAY_BYE:
		l->ops->bye(l->ctx, (enum pa_relay_error)b->error);
		return 0;
	default:
		return PA_EFORMAT;
	}
}

/* Returns the frame's length, 0 if it is not whole, or an error. */
static int64_t one_frame(struct pa_rlink *l, const uint8_t *buf, size_t len)
{
	struct pa_relay_header h;
	struct pa_relay_body b;
	int rc;

	if (len < PA_RELAY_HEADER_LEN)
		return 0;
	rc = pa_relay_get_header(buf, &h);
	if (rc < 0)
		return rc;
	if (len - PA_RELAY_HEADER_LEN < h.length)
		return 0;
	buf += PA_RELAY_HEADER_LEN;
	rc = pa_relay_decode(h.type, buf, h.length, &b);
	if (rc < 0)
		return PA_EFORMAT;
	l->ahead = buf + h.length;
	l->ahead_len = len - PA_RELAY_HEADER_LEN - h.length;
	if (h.type >= PA_RELAY_UNCOUNTED) {
		rc = on_uncounted(l, &h, buf, &b);
	} else {
		l->received += PA_RELAY_HEADER_LEN + (uint64_t)h.length;
		rc = on_session(l, &h, buf, &b);
	}
	return rc < 0 ? rc : PA_RELAY_HEADER_LEN + (int64_t)h.length;
}

int64_t pa_rlink_input(struct pa_rlink *l, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	/* A BYE or a failure in an op ends the connection, and with it what follows. */
	while (l->connected && !l->failed) {
		int64_t n = one_frame(l, buf + done, len - done);

		l->ahead_len = 0;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (l->failed)
		return PA_ENOMEM;
	if (l->received - l->told >= PA_RLINK_ACK_BYTES)
		pa_rlink_wake(l);
	return (int64_t)done;
}
