/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay_queue.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define QUEUE_MIN 4096u

unsigned pa_rqueue_peek(const struct pa_rqueue *q, struct iovec ret[2])
{
	size_t first = q->len < q->cap - q->at ? q->len : q->cap - q->at;

	if (q->len == 0)
		return 0;
	ret[0] = (struct iovec){q->buf + q->at, first};
	ret[1] = (struct iovec){q->buf, q->len - first};
	return first < q->len ? 2 : 1;
}

size_t pa_rqueue_need(const struct pa_rqueue *q, size_t len)
{
	size_t cap = q->cap > 0 ? q->cap : QUEUE_MIN;

	if (len == 0)
		return 0;
	if (len > SIZE_MAX / 4 || q->len > SIZE_MAX / 4)
		return SIZE_MAX;
	while (cap - q->len < len)
		cap *= 2;
	return cap - q->cap;
}

/* Room for len more. */
static bool grow(struct pa_rqueue *q, size_t len)
{
	size_t need = pa_rqueue_need(q, len), done = 0;
	struct iovec pieces[2];
	uint8_t *buf;

	if (need == 0)
		return true;
	buf = need < SIZE_MAX ? malloc(q->cap + need) : NULL;
	if (buf == NULL)
		return false;
	for (unsigned i = 0, n = pa_rqueue_peek(q, pieces); i < n; i++) {
		memcpy(buf + done, pieces[i].iov_base, pieces[i].iov_len);
		done += pieces[i].iov_len;
	}
	free(q->buf);
	*q = (struct pa_rqueue){.buf = buf, .cap = q->cap + need, .len = done};
	return true;
}

bool pa_rqueue_add(struct pa_rqueue *q, const void *bytes, size_t len)
{
	size_t end, first;

	if (len == 0)
		return true;
	if (!grow(q, len))
		return false;
	end = (q->at + q->len) & (q->cap - 1);
	first = len < q->cap - end ? len : q->cap - end;
	memcpy(q->buf + end, bytes, first);
	memcpy(q->buf, (const uint8_t *)bytes + first, len - first);
	q->len += len;
	return true;
}

void pa_rqueue_drop(struct pa_rqueue *q, size_t n)
{
	PA_REQUIRE(n <= q->len);
	if (n == q->len) {
		pa_rqueue_fini(q);
		return;
	}
	q->at = (q->at + n) & (q->cap - 1);
	q->len -= n;
}

void pa_rqueue_fini(struct pa_rqueue *q)
{
	free(q->buf);
	*q = (struct pa_rqueue){0};
}
