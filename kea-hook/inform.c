/* SPDX-License-Identifier: MPL-2.0 */
#include "kea-hook/inform.h"

#include <stdlib.h>
#include <string.h>

#include "common/cred.h"

struct pa_inform {
	struct pa_hook_key key;
	bool is_release;
	uint8_t release[PA_RELEASE_LEN];
	bool in_flight;
	uint64_t until_ms; /* when it is forgotten; not while in flight */
	size_t len;	   /* of the option; 0: none */
	uint8_t option[PA_HOOK_OPTION_MAX];
};

struct pa_informs {
	struct pa_inform *v[PA_INFORMS_MAX];
	size_t n, in_flight;
};

struct pa_informs *pa_informs_new(void)
{
	return calloc(1, sizeof(struct pa_informs));
}

static void forget(struct pa_informs *s, size_t i)
{
	pa_wipe(s->v[i], sizeof(*s->v[i]));
	free(s->v[i]);
	s->v[i] = s->v[--s->n];
}

void pa_informs_free(struct pa_informs *s)
{
	if (s == NULL)
		return;
	while (s->n > 0)
		forget(s, 0);
	free(s);
}

static bool is_same(const struct pa_inform *f, const struct pa_hook_key *key, const uint8_t *release)
{
	return f->is_release == (release != NULL) && pa_hook_key_eq(&f->key, key) &&
	       (release == NULL || memcmp(f->release, release, PA_RELEASE_LEN) == 0);
}

/* The question like this one, or NULL. Those whose time is up go. */
static struct pa_inform *find(struct pa_informs *s, const struct pa_hook_key *key, const uint8_t *release, uint64_t now_ms)
{
	struct pa_inform *found = NULL;
	size_t i = 0;

	while (i < s->n) {
		if (!s->v[i]->in_flight && now_ms >= s->v[i]->until_ms) {
			forget(s, i);
			continue;
		}
		if (is_same(s->v[i], key, release))
			found = s->v[i];
		i++;
	}
	return found;
}

enum pa_inform_verdict pa_informs_seen(struct pa_informs *s, const struct pa_hook_key *key, const uint8_t *release, uint64_t now_ms,
				       struct pa_inform **ret, uint8_t ret_option[PA_HOOK_OPTION_MAX], size_t *ret_len)
{
	struct pa_inform *f = find(s, key, release, now_ms);

	if (f != NULL) {
		if (f->in_flight || f->len == 0)
			return PA_INFORM_WAIT;
		memcpy(ret_option, f->option, f->len);
		*ret_len = f->len;
		return PA_INFORM_ANSWER;
	}
	if (s->n == PA_INFORMS_MAX || s->in_flight == PA_INFORMS_IN_FLIGHT_MAX)
		return PA_INFORM_LIMIT;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return PA_INFORM_LIMIT;
	f->key = *key;
	f->is_release = release != NULL;
	if (release != NULL)
		memcpy(f->release, release, PA_RELEASE_LEN);
	f->in_flight = true;
	s->v[s->n++] = f;
	s->in_flight++;
	*ret = f;
	return PA_INFORM_ASK;
}

void pa_informs_forget(struct pa_informs *s, const struct pa_hook_key *key)
{
	size_t i = 0;

	while (i < s->n) {
		const struct pa_inform *f = s->v[i];

		if (!f->in_flight && f->key.address == key->address && f->key.subnet_id == key->subnet_id)
			forget(s, i);
		else
			i++;
	}
}

void pa_informs_done(struct pa_informs *s, struct pa_inform *f, const uint8_t *option, size_t len, uint64_t now_ms)
{
	/* A grant that was given back must not be given out again, nor a release be confirmed for a grant that is new. */
	if (len > 0)
		pa_informs_forget(s, &f->key);
	f->in_flight = false;
	s->in_flight--;
	f->len = len;
	f->until_ms = now_ms + (len > 0 ? PA_INFORM_KEEP_MS : PA_INFORM_REFUSED_MS);
	if (len > 0)
		memcpy(f->option, option, len);
}

void pa_informs_drop(struct pa_informs *s, struct pa_inform *f)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i] != f)
			continue;
		s->in_flight--;
		forget(s, i);
		return;
	}
}

const struct pa_hook_key *pa_inform_key(const struct pa_inform *f)
{
	return &f->key;
}

const uint8_t *pa_inform_release(const struct pa_inform *f)
{
	return f->is_release ? f->release : NULL;
}
