/* SPDX-License-Identifier: MPL-2.0 */
#include "common/cursor.h"

#include <string.h>

void pa_reader_init(struct pa_reader *r, const uint8_t *buf, size_t len)
{
	r->p = buf;
	r->left = len;
	r->failed = false;
}

const uint8_t *pa_get_view(struct pa_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->failed || r->left < len) {
		r->failed = true;
		return NULL;
	}
	if (len > 0)
		r->p += len;
	r->left -= len;
	return p;
}

static uint64_t get_be(struct pa_reader *r, size_t len)
{
	const uint8_t *p = pa_get_view(r, len);
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	for (size_t i = 0; i < len; i++)
		v = (v << 8) | p[i];
	return v;
}

uint8_t pa_get_u8(struct pa_reader *r)
{
	return (uint8_t)get_be(r, 1);
}

uint16_t pa_get_u16(struct pa_reader *r)
{
	return (uint16_t)get_be(r, 2);
}

uint32_t pa_get_u32(struct pa_reader *r)
{
	return (uint32_t)get_be(r, 4);
}

uint64_t pa_get_u64(struct pa_reader *r)
{
	return get_be(r, 8);
}

void pa_get_bytes(struct pa_reader *r, uint8_t *dst, size_t len)
{
	const uint8_t *p = pa_get_view(r, len);

	if (len == 0)
		return; /* dst may be NULL, which memcpy does not take even then */
	if (p == NULL)
		memset(dst, 0, len);
	else
		memcpy(dst, p, len);
}

void pa_writer_init(struct pa_writer *w, uint8_t *buf, size_t cap)
{
	w->start = buf;
	w->len = 0;
	w->cap = cap;
	w->failed = false;
}

static uint8_t *put_room(struct pa_writer *w, size_t len)
{
	uint8_t *p;

	if (w->failed || w->cap - w->len < len) {
		w->failed = true;
		return NULL;
	}
	p = w->start + w->len;
	w->len += len;
	return p;
}

static void put_be(struct pa_writer *w, uint64_t v, size_t len)
{
	uint8_t *p = put_room(w, len);

	if (p == NULL)
		return;
	for (size_t i = len; i > 0; i--) {
		p[i - 1] = (uint8_t)v;
		v >>= 8;
	}
}

void pa_put_u8(struct pa_writer *w, uint8_t v)
{
	put_be(w, v, 1);
}

void pa_put_u16(struct pa_writer *w, uint16_t v)
{
	put_be(w, v, 2);
}

void pa_put_u32(struct pa_writer *w, uint32_t v)
{
	put_be(w, v, 4);
}

void pa_put_u64(struct pa_writer *w, uint64_t v)
{
	put_be(w, v, 8);
}

void pa_put_bytes(struct pa_writer *w, const uint8_t *src, size_t len)
{
	uint8_t *p = put_room(w, len);

	if (p != NULL && len > 0)
		memcpy(p, src, len);
}

void pa_put_zeros(struct pa_writer *w, size_t len)
{
	uint8_t *p = put_room(w, len);

	if (p != NULL && len > 0)
		memset(p, 0, len);
}

void pa_get_endpoint(struct pa_reader *r, struct pa_endpoint *ret)
{
	pa_get_bytes(r, ret->addr.b, sizeof(ret->addr.b));
	ret->port = pa_get_u16(r);
}

void pa_put_endpoint(struct pa_writer *w, const struct pa_endpoint *e)
{
	pa_put_bytes(w, e->addr.b, sizeof(e->addr.b));
	pa_put_u16(w, e->port);
}
