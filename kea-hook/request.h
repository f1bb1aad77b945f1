/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HOOK_REQUEST_H
#define PA_HOOK_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "kea-hook/hook.h"

/* The broker's commands lease-allocate and lease-release, made from what Kea knows. Pure; any thread. */

#define PA_HOOK_ID_MAX 255    /* bytes of a DHCP option */
#define PA_HOOK_CLASSES_MAX 64 /* names that the broker is told */

/* Names the lease and the key of a client: equal keys are the same request. A value type. */
struct pa_hook_key {
	uint32_t subnet_id;
	uint32_t address; /* host byte order */
	bool is_client_id; /* id is a client-id, otherwise a hardware address */
	size_t id_len;
	uint8_t id[PA_HOOK_ID_MAX];
	bool has_client_key;
	uint8_t client_key[PA_KEY_LEN];
};

/*
 * query may be NULL (a release). The client's option counts as its public key if it has exactly that length. PA_EINVAL if
 * the lease has neither a client-id nor a hardware address of a possible length; *ret untouched then.
 */
int pa_hook_key_make(const struct pa_hook_lease *lease, const struct pa_hook_query *query, struct pa_hook_key *ret);
bool pa_hook_key_eq(const struct pa_hook_key *a, const struct pa_hook_key *b);

/* The arguments of the command, a new reference; NULL without memory or if the realm is not UTF-8. */
json_t *pa_hook_allocate_new(const char *realm, const struct pa_hook_key *key, uint32_t valid_lifetime,
			     const struct pa_hook_query *query);
json_t *pa_hook_release_new(const char *realm, const struct pa_hook_key *key);
/* The same by the client's own word, that the broker is to check: PA_RELEASE_LEN octets (common/dhcp_inform.h). */
json_t *pa_hook_return_new(const char *realm, const struct pa_hook_key *key, const uint8_t release[PA_RELEASE_LEN]);

#endif
