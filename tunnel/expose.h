/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EXPOSE_H
#define PA_EXPOSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/inpolicy.h"

/*
 * What `pubaddr expose` added to the host's inbound policy while the daemon runs. A value type. Pure; one thread at a time.
 * Times are boot milliseconds (clock.h): what is added lives at most until the host starts anew.
 */
#define PA_EXPOSED_MAX 64
#define PA_EXPOSED_SHARE 16 /* of one user who is not root; as much is left to root by all of them together */

struct pa_exposed {
	struct pa_inrule rule;
	uint64_t until_ms; /* 0: no end of its own */
	uint32_t uid;	   /* who added it */
};

struct pa_expose {
	size_t n;
	struct pa_exposed items[PA_EXPOSED_MAX];
};

/*
 * Adds, or gives an entry of the same rule a new end. PA_ENOMEM: PA_EXPOSED_MAX are there. PA_ELIMIT: no more
 * for this user, or for users who are not root. PA_EDENIED: it is another user's.
 */
int pa_expose_add(struct pa_expose *x, const struct pa_exposed *e);
/* uid 0 may remove everybody's. PA_ENOTFOUND, PA_EDENIED. */
int pa_expose_remove(struct pa_expose *x, const struct pa_inrule *r, uint32_t uid);
/* Removes what has ended; true if there was some. */
bool pa_expose_expire(struct pa_expose *x, uint64_t now_ms);
/* When the next one ends; UINT64_MAX: none will. */
uint64_t pa_expose_next(const struct pa_expose *x);

/* The host's policy: what its configuration lets in, and what was added. PA_ENOMEM as pa_inpolicy_add; *ret is untouched then. */
int pa_expose_host(const struct pa_expose *x, const struct pa_inpolicy *conf, struct pa_inpolicy *ret);

/* How much of what r names a policy lets in. */
enum pa_expose_extent { PA_EXPOSE_NONE, PA_EXPOSE_PART, PA_EXPOSE_ALL };
enum pa_expose_extent pa_expose_extent_of(const struct pa_inpolicy *p, const struct pa_inrule *r);

/* As a JSON value for the file; NULL without memory. boot_id names this run of the host. */
json_t *pa_expose_json(const struct pa_expose *x, const char *boot_id);
/*
 * Reads such a value. PA_EFORMAT: it is none; PA_EEXPIRED: of another run of the host. *ret is untouched then. What has ended by
 * now_ms is left out.
 */
int pa_expose_read(const json_t *v, const char *boot_id, uint64_t now_ms, struct pa_expose *ret);

/* "90", "90s", "10m", "2h", "7d": seconds, 1 to 366 days. PA_EFORMAT. */
int pa_duration_parse(const char *s, uint64_t *ret_s);

#endif
