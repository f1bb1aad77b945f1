/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/slab.h"

#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

#define CHUNK 256 /* items that are allocated at once */

void pa_slab_init(struct pa_slab *s, size_t item)
{
	PA_REQUIRE(item >= sizeof(uint32_t));
	memset(s, 0, sizeof(*s));
	s->item = (item + 7) & ~(size_t)7; /* aligned as the allocator aligns, if it holds nothing wider than 8 octets */
	s->free_list = PA_SLAB_NONE;
}

void pa_slab_clear(struct pa_slab *s)
{
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		pa_wipe(s->chunks[i], CHUNK * s->item);
		free(s->chunks[i]);
	}
	free(s->chunks);
	pa_slab_init(s, s->item);
}

static int grow(struct pa_slab *s)
{
	if (s->n_chunks == s->room) {
		uint32_t room = s->room > 0 ? 2 * s->room : 16;
		uint8_t **more;

		if (room > PA_SLAB_NONE / CHUNK)
			return PA_ENOMEM;
		more = realloc(s->chunks, room * sizeof(*more));
		if (more == NULL)
			return PA_ENOMEM;
		s->chunks = more;
		s->room = room;
	}
	s->chunks[s->n_chunks] = calloc(CHUNK, s->item);
	if (s->chunks[s->n_chunks] == NULL)
		return PA_ENOMEM;
	s->n_chunks++;
	return 0;
}

void *pa_slab_get(struct pa_slab *s, uint32_t *ret_number)
{
	uint32_t number = s->free_list;
	uint8_t *p;

	if (number == PA_SLAB_NONE) {
		if (s->end == s->n_chunks * CHUNK && grow(s) < 0)
			return NULL;
		number = s->end++;
		p = pa_slab_at(s, number);
	} else {
		p = pa_slab_at(s, number);
		memcpy(&s->free_list, p, sizeof(s->free_list));
		memset(p, 0, sizeof(s->free_list));
	}
	*ret_number = number;
	return p;
}

void pa_slab_put(struct pa_slab *s, uint32_t number)
{
	uint8_t *p = pa_slab_at(s, number);

	pa_wipe(p, s->item);
	memcpy(p, &s->free_list, sizeof(s->free_list));
	s->free_list = number;
}

void *pa_slab_at(const struct pa_slab *s, uint32_t number)
{
	PA_REQUIRE(number < s->end);
	return s->chunks[number / CHUNK] + (size_t)(number % CHUNK) * s->item;
}

uint32_t pa_slab_end(const struct pa_slab *s)
{
	return s->end;
}
