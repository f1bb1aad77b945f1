/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HOOK_PARAMS_H
#define PA_HOOK_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The parameters of the hook library, libdhcp_pubaddr(8). Read once at load and constant afterwards, so any thread may
 * read them.
 */
struct pa_hook_params;

#define PA_HOOK_ERRLEN 320
#define PA_HOOK_SOCKET_DEFAULT "/run/pubaddr/broker.sock"
#define PA_HOOK_DEADLINE_DEFAULT 500 /* milliseconds */
#define PA_HOOK_DEADLINE_MIN 50
#define PA_HOOK_DEADLINE_MAX 5000
#define PA_HOOK_PARKED_DEFAULT 128
#define PA_HOOK_PARKED_MAX 200	  /* well below Kea's own limit (256), beyond which it drops plain clients' packets */
#define PA_HOOK_NAME_MAX 64	  /* bytes of a realm's name */

/*
 * Parses the JSON text of the "parameters" element, len bytes. Every key that is not known is an error. On failure
 * returns PA_EFORMAT (err names the key, what was expected and what was found) or PA_ENOMEM, *ret untouched. The caller
 * frees *ret.
 */
int pa_hook_params_parse(const char *text, size_t len, struct pa_hook_params **ret, char err[PA_HOOK_ERRLEN]);
/* NULL is fine. */
void pa_hook_params_free(struct pa_hook_params *p);

/* The values; strings are borrowed. */
const char *pa_hook_params_socket(const struct pa_hook_params *p);
const char *pa_hook_params_realm(const struct pa_hook_params *p);
uint8_t pa_hook_params_code(const struct pa_hook_params *p);
unsigned pa_hook_params_deadline(const struct pa_hook_params *p); /* milliseconds */
unsigned pa_hook_params_max_parked(const struct pa_hook_params *p);

/* True if clients of this subnet are served. */
bool pa_hook_params_subnet(const struct pa_hook_params *p, uint32_t subnet_id);
/* True if a client in these n classes is served at all. */
bool pa_hook_params_eligible(const struct pa_hook_params *p, const char *const *classes, size_t n);
/* True if such a client gets the option unasked. */
bool pa_hook_params_always(const struct pa_hook_params *p, const char *const *classes, size_t n);

#endif
