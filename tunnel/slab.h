/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_SLAB_H
#define PA_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Many items of one size that stay where they are, each known by a number of 32 bits: half of what a pointer to it costs, and
 * nothing for the allocator. Numbers of items that were given back are used again. Pure; one thread.
 */
#define PA_SLAB_NONE UINT32_MAX

struct pa_slab {
	uint8_t **chunks;
	size_t item;	    /* octets of one */
	uint32_t n_chunks, room;
	uint32_t end;	    /* numbers from here on were never given out */
	uint32_t free_list; /* the first that was given back; its first octets have the next */
};

/* item: 4 octets or more. Allocates nothing. */
void pa_slab_init(struct pa_slab *s, size_t item);
/* Wipes and frees everything. */
void pa_slab_clear(struct pa_slab *s);
/* A zeroed item, borrowed until it is given back, and its number. NULL without memory. */
void *pa_slab_get(struct pa_slab *s, uint32_t *ret_number);
/* Wipes it and takes it back. */
void pa_slab_put(struct pa_slab *s, uint32_t number);
/* The item with this number, which must be below pa_slab_end; whether it is in use is for its owner to know. */
void *pa_slab_at(const struct pa_slab *s, uint32_t number);
/* One above the highest number that was ever given out. */
uint32_t pa_slab_end(const struct pa_slab *s);

#endif
