/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CURSOR_H
#define PA_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

/*
 * Bounds-checked cursors with a sticky error, so that codecs read straight down and check once. After a failed
 * operation every further one is a no-op: readers return 0 or NULL, writers write nothing. Integers are big-endian.
 * No allocation; the buffer is borrowed and must outlive the cursor. Any thread, one at a time.
 */
struct pa_reader {
	const uint8_t *p;
	size_t left;
	bool failed;
};

struct pa_writer {
	uint8_t *start;
	size_t len; /* bytes written */
	size_t cap;
	bool failed;
};

void pa_reader_init(struct pa_reader *r, const uint8_t *buf, size_t len);
uint8_t pa_get_u8(struct pa_reader *r);
uint16_t pa_get_u16(struct pa_reader *r);
uint32_t pa_get_u32(struct pa_reader *r);
uint64_t pa_get_u64(struct pa_reader *r);
/* Copies len bytes to dst; on failure dst is zeroed, so that no caller works with stale bytes. */
void pa_get_bytes(struct pa_reader *r, uint8_t *dst, size_t len);
/* Returns len bytes inside the buffer (borrowed), or NULL. */
const uint8_t *pa_get_view(struct pa_reader *r, size_t len);

/* An endpoint of 18 octets: the address's 16, IPv4 in its mapped form, and the port. */
void pa_get_endpoint(struct pa_reader *r, struct pa_endpoint *ret);

void pa_writer_init(struct pa_writer *w, uint8_t *buf, size_t cap);
void pa_put_u8(struct pa_writer *w, uint8_t v);
void pa_put_u16(struct pa_writer *w, uint16_t v);
void pa_put_u32(struct pa_writer *w, uint32_t v);
void pa_put_u64(struct pa_writer *w, uint64_t v);
void pa_put_bytes(struct pa_writer *w, const uint8_t *src, size_t len);
void pa_put_zeros(struct pa_writer *w, size_t len);
void pa_put_endpoint(struct pa_writer *w, const struct pa_endpoint *e);

#endif
