/* SPDX-License-Identifier: MPL-2.0 */
/* What a relay connection sends: counted frames from the ring, uncounted ones between them, and who waits for room. */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/relay_link_int.h"

#define EXPRESS_MIN 4096u

struct pa_rlate {
	struct pa_rlate *next;
	struct pa_relay_header h;
	uint8_t body[];
};

void pa_rlink_wake(struct pa_rlink *l)
{
	if (l->awake || !l->connected)
		return;
	l->awake = true;
	l->ops->output(l->ctx);
}

/* ---------------------------------------------------------------- counted frames */

static void put_late(struct pa_rlink *l, const struct pa_relay_header *h, const uint8_t *body)
{
	struct pa_rlate *late = malloc(sizeof(*late) + h->length);

	if (late == NULL || l->late_bytes > PA_RLINK_LATE_MAX) {
		free(late);
		l->failed = true; /* the next input ends the connection: a frame must not be missing from the count */
		return;
	}
	l->late_bytes += sizeof(*late) + h->length;
	late->next = NULL;
	late->h = *h;
	if (h->length > 0)
		memcpy(late->body, body, h->length);
	if (l->late == NULL)
		l->late = late;
	else
		l->late_last->next = late;
	l->late_last = late;
}

void pa_rlink_put(struct pa_rlink *l, uint8_t type, uint32_t session, const uint8_t *body, size_t len)
{
	struct pa_relay_header h = {.type = type, .length = (uint16_t)len, .session = session};

	if (l->late != NULL || !pa_rring_put(&l->ring, &h, body))
		put_late(l, &h, body);
	pa_rlink_wake(l);
}

void pa_rlink_late_free(struct pa_rlink *l)
{
	while (l->late != NULL) {
		struct pa_rlate *late = l->late;

		l->late = late->next;
		free(late);
	}
}

void pa_rlink_ring_freed(struct pa_rlink *l)
{
	while (l->late != NULL && pa_rring_put(&l->ring, &l->late->h, l->late->body)) {
		struct pa_rlate *late = l->late;

		l->late = late->next;
		l->late_bytes -= sizeof(*late) + late->h.length;
		free(late);
	}
	if (l->ring.sent < l->ring.end)
		pa_rlink_wake(l);
	if (l->late == NULL)
		pa_rlink_unblock_all(l);
}

/* ---------------------------------------------------------------- who waits */

void pa_rlink_block(struct pa_rsession *s)
{
	struct pa_rlink *l = s->link;

	if (s->blocked)
		return;
	s->blocked = true;
	s->next_blocked = NULL;
	s->prev_blocked = l->blocked_last;
	if (l->blocked_last != NULL)
		l->blocked_last->next_blocked = s;
	else
		l->blocked = s;
	l->blocked_last = s;
}

void pa_rlink_unblock(struct pa_rsession *s)
{
	struct pa_rlink *l = s->link;

	if (!s->blocked)
		return;
	s->blocked = false;
	if (s->prev_blocked != NULL)
		s->prev_blocked->next_blocked = s->next_blocked;
	else
		l->blocked = s->next_blocked;
	if (s->next_blocked != NULL)
		s->next_blocked->prev_blocked = s->prev_blocked;
	else
		l->blocked_last = s->prev_blocked;
}

static bool has_room(const struct pa_rlink *l)
{
	return l->late == NULL && l->ring.end - l->ring.sent < PA_RLINK_UNSENT_MAX &&
	       pa_rring_room(&l->ring) > PA_RLINK_KEEP + PA_RELAY_HEADER_LEN;
}

/* Each once, in the order in which they came, as long as there is room; who is refused again goes to the end. */
void pa_rlink_unblock_all(struct pa_rlink *l)
{
	const struct pa_rsession *last = l->blocked_last;
	bool more = last != NULL;

	while (more && l->blocked != NULL && has_room(l)) {
		struct pa_rsession *s = l->blocked;

		more = s != last;
		pa_rlink_unblock(s);
		l->ops->writable(l->ctx, s);
	}
}

/* ---------------------------------------------------------------- uncounted frames */

static bool express_room(struct pa_rlink *l, size_t len)
{
	size_t used = l->express.end - l->express.sent, cap = l->express.cap > 0 ? l->express.cap : EXPRESS_MIN;
	uint8_t *buf;

	if (used + len > PA_RLINK_EXPRESS_MAX)
		return false;
	if (l->express.sent > 0 && used > 0)
		memmove(l->express.buf, l->express.buf + l->express.sent, used);
	l->express.sent = 0;
	l->express.end = used;
	while (cap < used + len)
		cap *= 2;
	if (cap == l->express.cap)
		return true;
	buf = realloc(l->express.buf, cap);
	if (buf == NULL)
		return false;
	l->express.buf = buf;
	l->express.cap = cap;
	return true;
}

bool pa_rlink_put_express(struct pa_rlink *l, uint8_t type, const uint8_t *body, size_t len)
{
	struct pa_relay_header h = {.type = type, .length = (uint16_t)len};

	if (!l->connected || (l->express.end + PA_RELAY_HEADER_LEN + len > l->express.cap &&
			      !express_room(l, PA_RELAY_HEADER_LEN + len)))
		return false;
	pa_relay_put_header(l->express.buf + l->express.end, &h);
	memcpy(l->express.buf + l->express.end + PA_RELAY_HEADER_LEN, body, len);
	l->express.end += PA_RELAY_HEADER_LEN + len;
	pa_rlink_wake(l);
	return true;
}

bool pa_rlink_tunnel(struct pa_rlink *l, const uint8_t *bytes, size_t len)
{
	size_t waiting = l->express.end - l->express.sent;

	return len > 0 && len <= PA_RELAY_BODY_MAX && waiting + len <= PA_RLINK_TUNNEL_MAX &&
	       pa_rlink_put_express(l, PA_RELAY_TUNNEL, bytes, len);
}

static bool put_fields(struct pa_rlink *l, uint8_t type, const struct pa_relay_body *b)
{
	uint8_t body[PA_RELAY_HEADER_LEN];
	int len = pa_relay_encode(type, b, body, sizeof(body));

	return len > 0 && pa_rlink_put_express(l, type, body, (size_t)len);
}

void pa_rlink_ping(struct pa_rlink *l, uint64_t value)
{
	(void)put_fields(l, PA_RELAY_PING, &(struct pa_relay_body){.count = value});
}

void pa_rlink_bye(struct pa_rlink *l, enum pa_relay_error error)
{
	(void)put_fields(l, PA_RELAY_BYE, &(struct pa_relay_body){.error = (uint8_t)error});
}

static void put_ack(struct pa_rlink *l)
{
	if (put_fields(l, PA_RELAY_ACK, &(struct pa_relay_body){.count = l->received}))
		l->told = l->received;
}

void pa_rlink_tick(struct pa_rlink *l)
{
	l->ticks++;
	if (l->connected && l->told != l->received)
		put_ack(l);
	if (l->connected)
		pa_rlink_unblock_all(l); /* memory may have been short */
}

/* ---------------------------------------------------------------- sending */

/* Whole frames, at least one. */
static size_t one_turn(const struct pa_rlink *l)
{
	size_t waiting = l->express.end - l->express.sent, turn = 0;

	while (turn < waiting && turn < PA_RLINK_EXPRESS_TURN) {
		struct pa_relay_header h;

		PA_REQUIRE(pa_relay_get_header(l->express.buf + l->express.sent + turn, &h) == 0);
		turn += PA_RELAY_HEADER_LEN + (size_t)h.length;
	}
	return turn;
}

/* May uncounted frames go now? Not inside a frame of the ring, and not for ever while the ring waits. */
static bool express_turn(struct pa_rlink *l)
{
	if (l->express.end == l->express.sent || l->ring.frame_left > 0)
		return false;
	if (l->express.turn > 0)
		return true;
	if (l->ring_turn && l->ring.sent < l->ring.end)
		return false;
	l->express.turn = one_turn(l);
	return true;
}

size_t pa_rlink_peek(struct pa_rlink *l, const uint8_t **ptr)
{
	size_t n;

	if (!l->connected)
		return 0;
	if (l->received - l->told >= PA_RLINK_ACK_BYTES)
		put_ack(l);
	/* Before nothing is left, or a whole record would not be full. */
	if (l->blocked != NULL && l->ring.end - l->ring.sent < PA_RLINK_UNSENT_MAX / 2)
		pa_rlink_unblock_all(l);
	if (express_turn(l)) {
		*ptr = l->express.buf + l->express.sent;
		return l->express.turn;
	}
	n = pa_rring_peek(&l->ring, l->express.end > l->express.sent, ptr);
	if (n == 0)
		l->awake = false;
	return n;
}

void pa_rlink_sent(struct pa_rlink *l, size_t n)
{
	if (l->express.turn > 0) {
		l->express.sent += n;
		l->express.turn -= n;
		l->ring_turn = l->express.turn == 0;
		if (l->express.sent == l->express.end)
			l->express.sent = l->express.end = 0;
		return;
	}
	pa_rring_sent(&l->ring, n);
	l->ring_turn = l->ring.frame_left > 0;
}

/* ---------------------------------------------------------------- lost and found */

uint64_t pa_rlink_received(const struct pa_rlink *l)
{
	return l->received;
}

void pa_rlink_lost(struct pa_rlink *l)
{
	l->connected = false;
	l->awake = false;
	l->express.sent = l->express.end = l->express.turn = 0;
	l->ring_turn = false;
}

int pa_rlink_resume(struct pa_rlink *l, uint64_t received)
{
	int rc = pa_rring_ack(&l->ring, received);

	if (rc < 0)
		return rc;
	pa_rring_rewind(&l->ring);
	l->connected = true;
	l->told = l->received; /* AUTH or AUTH_OK has told */
	pa_rlink_ring_freed(l);
	return 0;
}
