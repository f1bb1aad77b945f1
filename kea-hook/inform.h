/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HOOK_INFORM_H
#define PA_HOOK_INFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "kea-hook/hook.h"
#include "kea-hook/request.h"

/*
 * Requests by DHCPINFORM (pubaddr-protocol(7), ON DEMAND). Kea cannot let an INFORM wait: the first one makes a request to the broker and is
 * answered without the option, its repetitions are answered from here once the broker has replied. Pure; the caller serialises.
 */
#define PA_INFORMS_MAX 512	   /* clients remembered at once: with the time below, how many may begin in 10 s */
#define PA_INFORMS_IN_FLIGHT_MAX 32 /* requests to the broker, beside those of packets that wait */
#define PA_INFORM_KEEP_MS 10000	   /* an answer is for repetitions of a question, not for a later one */
#define PA_INFORM_REFUSED_MS 2000  /* what was refused or lost is not asked again before */

struct pa_informs;
struct pa_inform; /* one client's question */

enum pa_inform_verdict {
	PA_INFORM_ASK,	  /* it is new: ask the broker, then call asked, or drop */
	PA_INFORM_WAIT,	  /* the broker has been asked, or said no a moment ago */
	PA_INFORM_ANSWER, /* ret_option is what the answer is to have */
	PA_INFORM_LIMIT,  /* too many */
};

struct pa_informs *pa_informs_new(void); /* NULL without memory */
/* Wipes and frees; NULL is fine. */
void pa_informs_free(struct pa_informs *s);

/*
 * An INFORM has come at now_ms. release: what the client sent is PA_RELEASE_LEN octets that give its grant back; NULL: it asks for one. For
 * ASK *ret is the question, valid until pa_informs_done or pa_informs_drop. For ANSWER *ret_len octets are in ret_option; wipe them.
 */
enum pa_inform_verdict pa_informs_seen(struct pa_informs *s, const struct pa_hook_key *key, const uint8_t *release, uint64_t now_ms,
				       struct pa_inform **ret, uint8_t ret_option[PA_HOOK_OPTION_MAX], size_t *ret_len);
/* The broker has answered at now_ms; len 0: there is no option for it. A release that is confirmed is answered with its own octets. */
void pa_informs_done(struct pa_informs *s, struct pa_inform *inform, const uint8_t *option, size_t len, uint64_t now_ms);
/* What was answered for a lease counts no more: it has ended. */
void pa_informs_forget(struct pa_informs *s, const struct pa_hook_key *key);
/* It could not be asked. */
void pa_informs_drop(struct pa_informs *s, struct pa_inform *inform);
const struct pa_hook_key *pa_inform_key(const struct pa_inform *inform);
/* The octets of a release, or NULL. */
const uint8_t *pa_inform_release(const struct pa_inform *inform);

#endif
