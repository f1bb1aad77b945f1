/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/floors.h"

#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"

#define SLOTS_MIN 64

enum record { RECORD_FLOOR = 1, RECORD_MARK = 2 };
enum mark_flag { MARK_SYNCED = 1 };

static const uint8_t header[PA_FLOORS_RECORD] = "pubaddr floors 1\n";

struct slot {
	struct pa_addr addr; /* none: empty */
	uint64_t epoch;
	bool fresh; /* not encoded yet */
};

struct pa_floors {
	struct slot *slots; /* open addressing, linear probing, at most half full */
	size_t n, cap;	    /* cap: a power of two */
	size_t n_fresh;
	uint64_t number;
	bool synced;
	uint64_t encoded; /* records that the file has, the header included */
	uint64_t highest_ms, highest_boot_ms; /* Unix time, and the boot time at which it was seen; 0: not in this boot */
};

int pa_floors_new(struct pa_floors **ret)
{
	struct pa_floors *f = calloc(1, sizeof(*f));

	if (f == NULL || (f->slots = calloc(SLOTS_MIN, sizeof(*f->slots))) == NULL) {
		free(f);
		return PA_ENOMEM;
	}
	f->cap = SLOTS_MIN;
	*ret = f;
	return 0;
}

void pa_floors_free(struct pa_floors *f)
{
	if (f == NULL)
		return;
	free(f->slots);
	free(f);
}

/* The broker chooses the addresses, so nobody can choose collisions. */
static struct slot *find_slot(struct slot *slots, size_t cap, const struct pa_addr *addr)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(addr->b); i++)
		hash = (hash ^ addr->b[i]) * 0x100000001b3u;
	for (size_t i = (size_t)(hash ^ (hash >> 32));; i++) {
		struct slot *s = &slots[i & (cap - 1)];

		if (pa_addr_is_none(&s->addr) || pa_addr_eq(&s->addr, addr))
			return s;
	}
}

uint64_t pa_floors_get(const struct pa_floors *f, const struct pa_addr *addr)
{
	return find_slot(f->slots, f->cap, addr)->epoch;
}

static int grow(struct pa_floors *f)
{
	size_t cap = 2 * f->cap;
	struct slot *slots = calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < f->cap; i++)
		if (!pa_addr_is_none(&f->slots[i].addr))
			*find_slot(slots, cap, &f->slots[i].addr) = f->slots[i];
	free(f->slots);
	f->slots = slots;
	f->cap = cap;
	return 0;
}

int pa_floors_raise(struct pa_floors *f, const struct pa_addr *addr, uint64_t epoch)
{
	struct slot *s = find_slot(f->slots, f->cap, addr);

	if (epoch <= s->epoch || pa_addr_is_none(addr))
		return 0;
	if (pa_addr_is_none(&s->addr)) {
		if (2 * (f->n + 1) > f->cap) {
			if (grow(f) < 0)
				return PA_ENOMEM;
			s = find_slot(f->slots, f->cap, addr);
		}
		s->addr = *addr;
		f->n++;
	}
	s->epoch = epoch;
	if (!s->fresh)
		f->n_fresh++;
	s->fresh = true;
	return 1;
}

void pa_floors_mark(struct pa_floors *f, uint64_t number, bool complete)
{
	f->number = number;
	if (complete)
		f->synced = true;
}

uint64_t pa_floors_number(const struct pa_floors *f)
{
	return f->number;
}

bool pa_floors_synced(const struct pa_floors *f)
{
	return f->synced;
}

size_t pa_floors_count(const struct pa_floors *f)
{
	return f->n;
}

size_t pa_floors_slots(const struct pa_floors *f)
{
	return f->cap;
}

bool pa_floors_at(const struct pa_floors *f, size_t i, struct pa_addr *ret_addr, uint64_t *ret_epoch)
{
	if (i >= f->cap || pa_addr_is_none(&f->slots[i].addr))
		return false;
	*ret_addr = f->slots[i].addr;
	*ret_epoch = f->slots[i].epoch;
	return true;
}

struct pa_now pa_floors_clock(struct pa_floors *f, struct pa_now now)
{
	uint64_t least = f->highest_ms;

	if (f->highest_boot_ms != 0 && now.boot_ms > f->highest_boot_ms)
		least += now.boot_ms - f->highest_boot_ms;
	if (now.unix_ms < least)
		now.unix_ms = least;
	f->highest_ms = now.unix_ms;
	f->highest_boot_ms = now.boot_ms;
	return now;
}

/* ---------------------------------------------------------------- the file */

/* Not a secret: it tells a record that was written whole, and in this place, from anything else. */
static void checksum(const uint8_t *record, uint64_t place, uint8_t ret[PA_MAC_LEN])
{
	uint8_t key[PA_KEY_LEN] = "pubaddr floors record";
	struct pa_writer w;

	pa_writer_init(&w, key + PA_KEY_LEN - 8, 8);
	pa_put_u64(&w, place);
	pa_mac(key, record, PA_FLOORS_RECORD - PA_MAC_LEN, ret);
}

/* a, b: what a mark has in place of an address. */
static void put_record(struct pa_writer *w, enum record type, const struct pa_addr *addr, uint64_t a, uint64_t b,
		       uint64_t value, uint64_t place)
{
	uint8_t sum[PA_MAC_LEN];
	size_t start = w->len;

	pa_put_u8(w, (uint8_t)type);
	pa_put_zeros(w, 7);
	if (addr != NULL) {
		pa_put_bytes(w, addr->b, sizeof(addr->b));
	} else {
		pa_put_u64(w, a);
		pa_put_u64(w, b);
	}
	pa_put_u64(w, value);
	PA_REQUIRE(!w->failed);
	checksum(w->start + start, place, sum);
	pa_put_bytes(w, sum, sizeof(sum));
}

static int encode(struct pa_floors *f, bool all, uint8_t **ret, size_t *ret_len)
{
	size_t records = (all ? f->n + 1 : f->n_fresh) + 1;
	uint8_t *buf = malloc(records * PA_FLOORS_RECORD);
	struct pa_writer w;

	if (buf == NULL)
		return PA_ENOMEM;
	pa_writer_init(&w, buf, records * PA_FLOORS_RECORD);
	if (all) {
		pa_put_bytes(&w, header, sizeof(header));
		f->encoded = 1;
	}
	for (size_t i = 0; i < f->cap; i++) {
		struct slot *s = &f->slots[i];

		if (all ? !pa_addr_is_none(&s->addr) : s->fresh)
			put_record(&w, RECORD_FLOOR, &s->addr, 0, 0, s->epoch, f->encoded++);
		s->fresh = false;
	}
	f->n_fresh = 0;
	put_record(&w, RECORD_MARK, NULL, f->number, f->highest_ms, f->synced ? MARK_SYNCED : 0, f->encoded++);
	PA_REQUIRE(!w.failed && w.len == records * PA_FLOORS_RECORD);
	*ret = buf;
	*ret_len = w.len;
	return 0;
}

int pa_floors_encode_all(struct pa_floors *f, uint8_t **ret, size_t *ret_len)
{
	return encode(f, true, ret, ret_len);
}

int pa_floors_encode_new(struct pa_floors *f, uint8_t **ret, size_t *ret_len)
{
	return encode(f, false, ret, ret_len);
}

static bool is_whole(const uint8_t *record, uint64_t place)
{
	uint8_t sum[PA_MAC_LEN];

	checksum(record, place, sum);
	return memcmp(sum, record + PA_FLOORS_RECORD - PA_MAC_LEN, PA_MAC_LEN) == 0;
}

static int take_record(struct pa_floors *f, const uint8_t *record)
{
	struct pa_reader r;
	struct pa_addr addr;
	uint64_t number, highest, value;
	uint8_t type;

	memset(&addr, 0, sizeof(addr));
	pa_reader_init(&r, record, PA_FLOORS_RECORD);
	type = pa_get_u8(&r);
	(void)pa_get_view(&r, 7);
	if (type == RECORD_FLOOR) {
		pa_get_bytes(&r, addr.b, sizeof(addr.b));
		value = pa_get_u64(&r);
		return pa_floors_raise(f, &addr, value);
	}
	if (type != RECORD_MARK)
		return PA_EFORMAT;
	number = pa_get_u64(&r);
	highest = pa_get_u64(&r);
	value = pa_get_u64(&r);
	f->number = number;
	f->synced = (value & MARK_SYNCED) != 0;
	if (highest > f->highest_ms)
		f->highest_ms = highest;
	return 0;
}

int pa_floors_decode(struct pa_floors *f, const uint8_t *buf, size_t len)
{
	size_t records = len / PA_FLOORS_RECORD;
	bool damaged = records == 0 || memcmp(buf, header, sizeof(header)) != 0, torn = false;
	int rc;

	for (size_t i = 1; i < records && !damaged; i++) {
		const uint8_t *record = buf + i * PA_FLOORS_RECORD;

		if (!is_whole(record, i)) {
			torn = true;
		} else if (torn) {
			damaged = true; /* a crash tears the end off, not the middle */
		} else {
			rc = take_record(f, record);
			if (rc == PA_ENOMEM)
				return rc;
			damaged = rc < 0;
		}
	}
	if (!damaged)
		return 0;
	f->number = 0;
	f->synced = false;
	return PA_EFORMAT;
}
