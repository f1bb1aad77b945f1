/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay_ring.h"

#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

int pa_rring_init(struct pa_rring *r, size_t limit)
{
	uint8_t *buf;

	PA_REQUIRE(limit >= PA_RRING_MIN && (limit & (limit - 1)) == 0);
	buf = malloc(PA_RRING_MIN);
	if (buf == NULL)
		return PA_ENOMEM;
	*r = (struct pa_rring){.buf = buf, .cap = PA_RRING_MIN, .limit = limit};
	return 0;
}

void pa_rring_fini(struct pa_rring *r)
{
	if (r->buf != NULL)
		pa_wipe(r->buf, r->cap);
	free(r->buf);
	*r = (struct pa_rring){0};
}

static size_t at(const struct pa_rring *r, uint64_t pos)
{
	return (size_t)pos & (r->cap - 1);
}

static void copy_in(struct pa_rring *r, uint64_t pos, const uint8_t *src, size_t len)
{
	size_t i = at(r, pos), first = len < r->cap - i ? len : r->cap - i;

	if (first > 0)
		memcpy(r->buf + i, src, first);
	if (len > first)
		memcpy(r->buf, src + first, len - first);
}

static void copy_out(const struct pa_rring *r, uint64_t pos, uint8_t *dst, size_t len)
{
	size_t i = at(r, pos), first = len < r->cap - i ? len : r->cap - i;

	memcpy(dst, r->buf + i, first);
	memcpy(dst + first, r->buf, len - first);
}

size_t pa_rring_room(const struct pa_rring *r)
{
	return r->limit - (size_t)(r->end - r->acked);
}

/* Makes room for len more bytes, by doubling. */
static bool grow(struct pa_rring *r, size_t len)
{
	size_t used = (size_t)(r->end - r->acked), cap = r->cap;
	struct pa_rring to = *r;

	while (cap < r->limit && cap - used < len)
		cap *= 2;
	if (cap - used < len)
		return false;
	if (cap == r->cap)
		return true;
	to.buf = malloc(cap);
	if (to.buf == NULL)
		return false;
	to.cap = cap;
	for (uint64_t pos = r->acked; pos < r->end;) {
		size_t i = at(r, pos), n = r->cap - i;

		if (n > r->end - pos)
			n = (size_t)(r->end - pos);
		copy_in(&to, pos, r->buf + i, n);
		pos += n;
	}
	pa_wipe(r->buf, r->cap);
	free(r->buf);
	*r = to;
	return true;
}

static void put_header(struct pa_rring *r, const struct pa_relay_header *h)
{
	uint8_t bytes[PA_RELAY_HEADER_LEN];

	pa_relay_put_header(bytes, h);
	copy_in(r, r->end, bytes, sizeof(bytes));
}

bool pa_rring_put(struct pa_rring *r, const struct pa_relay_header *h, const uint8_t *body)
{
	if (!grow(r, PA_RELAY_HEADER_LEN + (size_t)h->length))
		return false;
	put_header(r, h);
	copy_in(r, r->end + PA_RELAY_HEADER_LEN, body, h->length);
	r->end += PA_RELAY_HEADER_LEN + (uint64_t)h->length;
	return true;
}

/* How many of left bytes go into a frame that begins at pos: its body is in one piece. */
static size_t piece_at(const struct pa_rring *r, uint64_t pos, size_t left)
{
	size_t piece = r->cap - at(r, pos + PA_RELAY_HEADER_LEN);

	if (left > PA_RELAY_DATA_MAX)
		left = PA_RELAY_DATA_MAX;
	return left < piece ? left : piece;
}

size_t pa_rring_reserve(struct pa_rring *r, size_t want, size_t keep, struct iovec *pieces, unsigned *n)
{
	size_t room = pa_rring_room(r), done = 0;
	uint64_t pos = r->end;
	unsigned i = 0;

	PA_REQUIRE(keep >= (want / PA_RELAY_DATA_MAX + 2) * PA_RELAY_HEADER_LEN);
	if (room < PA_RELAY_HEADER_LEN + keep + 1)
		return 0;
	room -= keep;
	if (want > room)
		want = room;
	/* With as many headers as whole frames have, one for the rest, and one for the buffer's end. */
	if (!grow(r, want + (want / PA_RELAY_DATA_MAX + 2) * PA_RELAY_HEADER_LEN))
		return 0;
	while (i < *n && done < want && room > PA_RELAY_HEADER_LEN) {
		size_t left = want - done < room - PA_RELAY_HEADER_LEN ? want - done : room - PA_RELAY_HEADER_LEN;
		size_t len = piece_at(r, pos, left);

		pieces[i++] = (struct iovec){r->buf + at(r, pos + PA_RELAY_HEADER_LEN), len};
		pos += PA_RELAY_HEADER_LEN + len;
		room -= PA_RELAY_HEADER_LEN + len;
		done += len;
	}
	*n = i;
	return done;
}

void pa_rring_commit(struct pa_rring *r, uint32_t session, size_t n)
{
	while (n > 0) {
		size_t len = piece_at(r, r->end, n);
		struct pa_relay_header h = {.type = PA_RELAY_DATA, .length = (uint16_t)len, .session = session};

		put_header(r, &h);
		r->end += PA_RELAY_HEADER_LEN + len;
		n -= len;
	}
}

/* Length of the whole frame that begins at pos. */
static size_t frame_at(const struct pa_rring *r, uint64_t pos)
{
	uint8_t bytes[PA_RELAY_HEADER_LEN];

	copy_out(r, pos, bytes, sizeof(bytes));
	return PA_RELAY_HEADER_LEN + ((size_t)bytes[2] << 8 | bytes[3]);
}

size_t pa_rring_peek(const struct pa_rring *r, bool one_frame, const uint8_t **ptr)
{
	size_t len = (size_t)(r->end - r->sent), piece = r->cap - at(r, r->sent);

	if (len == 0)
		return 0;
	if (one_frame)
		len = r->frame_left > 0 ? r->frame_left : frame_at(r, r->sent);
	*ptr = r->buf + at(r, r->sent);
	return len < piece ? len : piece;
}

void pa_rring_sent(struct pa_rring *r, size_t n)
{
	while (n > 0) {
		size_t left = r->frame_left > 0 ? r->frame_left : frame_at(r, r->sent), step = n < left ? n : left;

		r->sent += step;
		r->frame_left = left - step;
		n -= step;
	}
}

int pa_rring_ack(struct pa_rring *r, uint64_t received)
{
	uint64_t pos = r->acked;

	if (received < r->acked || received > r->sent)
		return PA_EFORMAT;
	while (pos < received)
		pos += frame_at(r, pos);
	if (pos != received)
		return PA_EFORMAT;
	r->acked = received;
	return 0;
}

void pa_rring_rewind(struct pa_rring *r)
{
	r->sent = r->acked;
	r->frame_left = 0;
}
