/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "common/err.h"
#include "common/relay_link_int.h"

#define SLOTS_MIN 16u

/* Numbers count up by two, so that they spread evenly as they are. */
static struct pa_rsession **slot(const struct pa_rtable *t, uint32_t id)
{
	return &t->slots[(id >> 1) & (t->n_slots - 1)];
}

int pa_rtable_init(struct pa_rtable *t)
{
	struct pa_rsession **slots = calloc(SLOTS_MIN, sizeof(struct pa_rsession *));

	if (slots == NULL)
		return PA_ENOMEM;
	*t = (struct pa_rtable){.slots = slots, .n_slots = SLOTS_MIN};
	return 0;
}

void pa_rtable_fini(struct pa_rtable *t)
{
	for (unsigned i = 0; i < t->n_slots; i++)
		while (t->slots[i] != NULL) {
			struct pa_rsession *s = t->slots[i];

			t->slots[i] = s->next_hash;
			free(s);
		}
	free(t->slots);
	*t = (struct pa_rtable){0};
}

/* Without memory the chains only get longer. */
static void grow(struct pa_rtable *t)
{
	struct pa_rtable to = {.slots = calloc((size_t)t->n_slots * 2, sizeof(struct pa_rsession *)),
			       .n_slots = t->n_slots * 2};

	if (to.slots == NULL)
		return;
	for (unsigned i = 0; i < t->n_slots; i++)
		while (t->slots[i] != NULL) {
			struct pa_rsession *s = t->slots[i];

			t->slots[i] = s->next_hash;
			pa_rtable_add(&to, s);
		}
	free(t->slots);
	*t = to;
}

void pa_rtable_add(struct pa_rtable *t, struct pa_rsession *s)
{
	struct pa_rsession **at;

	if (t->n >= t->n_slots)
		grow(t);
	at = slot(t, s->id);
	s->next_hash = *at;
	*at = s;
	t->n++;
}

void pa_rtable_remove(struct pa_rtable *t, struct pa_rsession *s)
{
	struct pa_rsession **at = slot(t, s->id);

	while (*at != s)
		at = &(*at)->next_hash;
	*at = s->next_hash;
	t->n--;
}

void pa_rtable_renumber(struct pa_rtable *t, struct pa_rsession *s, uint32_t id)
{
	pa_rtable_remove(t, s);
	s->id = id;
	pa_rtable_add(t, s);
}

struct pa_rsession *pa_rtable_find(const struct pa_rtable *t, uint32_t id)
{
	struct pa_rsession *s = *slot(t, id);

	while (s != NULL && s->id != id)
		s = s->next_hash;
	return s;
}

/* ---------------------------------------------------------------- what others ask of sessions */

void *pa_rsession_user(const struct pa_rsession *s)
{
	return s->user;
}

void pa_rsession_set_user(struct pa_rsession *s, void *user)
{
	s->user = user;
}

uint32_t pa_rsession_id(const struct pa_rsession *s)
{
	return s->id;
}

bool pa_rsession_is_name(const struct pa_rsession *s)
{
	return s->name;
}

struct pa_rlink *pa_rsession_link(const struct pa_rsession *s)
{
	return s->link;
}

uint32_t pa_rsession_unread(const struct pa_rsession *s)
{
	return s->unread;
}

unsigned pa_rlink_sessions(const struct pa_rlink *l)
{
	return l->table.n;
}

void pa_rlink_each(struct pa_rlink *l, void (*fn)(void *ctx, struct pa_rsession *s), void *ctx)
{
	for (unsigned i = 0; i < l->table.n_slots; i++)
		for (struct pa_rsession *s = l->table.slots[i], *next; s != NULL; s = next) {
			next = s->next_hash;
			fn(ctx, s);
		}
}
