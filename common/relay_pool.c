/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay_pool.h"

void pa_rpool_init(struct pa_rpool *p, size_t budget, struct pa_rpool_owner *owners, unsigned n_owners)
{
	*p = (struct pa_rpool){.budget = budget, .owners = owners, .n_owners = n_owners};
}

void pa_rpool_join(struct pa_rpool *p, struct pa_rpool_queue *q, uint32_t owner, void *user)
{
	*q = (struct pa_rpool_queue){.pool = p, .owner = owner, .user = user};
}

/* Where that owner's queues are, or will be. */
static struct pa_rpool_owner *place_of(struct pa_rpool *p, uint32_t id)
{
	struct pa_rpool_owner *place = &p->others;

	for (unsigned i = 0; i < p->n_owners; i++) {
		if (p->owners[i].held == 0)
			place = &p->owners[i];
		else if (p->owners[i].id == id)
			return &p->owners[i];
	}
	return place;
}

/* ---------------------------------------------------------------- the order */

static void append(struct pa_rpool_queue *q)
{
	struct pa_rpool_owner *o = q->of;

	q->next = NULL;
	q->prev = o->last;
	if (o->last != NULL)
		o->last->next = q;
	else
		o->first = q;
	o->last = q;
}

static void take_out(struct pa_rpool_queue *q)
{
	struct pa_rpool_owner *o = q->of;

	if (q->prev != NULL)
		q->prev->next = q->next;
	else
		o->first = q->next;
	if (q->next != NULL)
		q->next->prev = q->prev;
	else
		o->last = q->prev;
}

/* ---------------------------------------------------------------- room */

static size_t room(const struct pa_rpool *p)
{
	return p->budget - p->held;
}

struct pa_rpool_queue *pa_rpool_victim(struct pa_rpool_queue *q, size_t len)
{
	struct pa_rpool *p = q->pool;
	size_t need = pa_rqueue_need(&q->q, len), most;
	struct pa_rpool_owner *o;

	if (need <= room(p))
		return NULL;
	if (need > p->budget)
		return q;
	o = q->of != NULL ? q->of : place_of(p, q->owner);
	most = o->held + need;
	for (unsigned i = 0; i <= p->n_owners; i++) {
		struct pa_rpool_owner *other = i < p->n_owners ? &p->owners[i] : &p->others;

		if (other->held > most) {
			o = other;
			most = other->held;
		}
	}
	return o->first != NULL ? o->first : q;
}

bool pa_rpool_add(struct pa_rpool_queue *q, const void *bytes, size_t len)
{
	struct pa_rpool *p = q->pool;
	size_t need = pa_rqueue_need(&q->q, len);

	if (need > room(p) || !pa_rqueue_add(&q->q, bytes, len))
		return false;
	if (q->of == NULL && len > 0) {
		q->of = place_of(p, q->owner);
		q->of->id = q->owner;
		append(q);
	}
	if (need > 0)
		q->of->held += need;
	p->held += need;
	return true;
}

/* False: q's own session was one that had to end. */
static bool make_room(struct pa_rpool_queue *q, size_t len, void (*end)(void *user))
{
	struct pa_rpool_queue *stale;

	while ((stale = pa_rpool_victim(q, len)) != NULL) {
		bool self = stale == q;

		end(stale->user);
		if (self)
			return false;
	}
	return true;
}

bool pa_rpool_put(struct pa_rpool_queue *q, const struct iovec *pieces, unsigned n, size_t from, void (*end)(void *user))
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += pieces[i].iov_len;
	if (len == from)
		return true;
	if (!make_room(q, len - from, end))
		return false;
	for (unsigned i = 0; i < n; i++) {
		size_t gone = from < pieces[i].iov_len ? from : pieces[i].iov_len;

		from -= gone;
		if (!pa_rpool_add(q, (const uint8_t *)pieces[i].iov_base + gone, pieces[i].iov_len - gone)) {
			end(q->user);
			return false;
		}
	}
	return true;
}

static void give_back(struct pa_rpool_queue *q, size_t n)
{
	q->of->held -= n;
	q->pool->held -= n;
}

void pa_rpool_took(struct pa_rpool_queue *q, size_t n)
{
	size_t cap = q->q.cap;

	pa_rqueue_drop(&q->q, n);
	if (q->of == NULL || n == 0)
		return;
	take_out(q);
	give_back(q, cap - q->q.cap);
	if (q->q.len > 0)
		append(q);
	else
		q->of = NULL;
}

void pa_rpool_leave(struct pa_rpool_queue *q)
{
	if (q->of != NULL)
		pa_rpool_took(q, q->q.len);
}
