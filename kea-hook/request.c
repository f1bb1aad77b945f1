/* SPDX-License-Identifier: MPL-2.0 */
#include "kea-hook/request.h"

#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "common/dhcp_inform.h"
#include "common/err.h"
#include "common/hex.h"

int pa_hook_key_make(const struct pa_hook_lease *lease, const struct pa_hook_query *query, struct pa_hook_key *ret)
{
	bool by_id = lease->client_id != NULL && lease->client_id_len > 0;
	const uint8_t *id = by_id ? lease->client_id : lease->hw_address;
	size_t len = by_id ? lease->client_id_len : lease->hw_address_len;

	if (id == NULL || len == 0 || len > PA_HOOK_ID_MAX)
		return PA_EINVAL;
	memset(ret, 0, sizeof(*ret));
	ret->subnet_id = lease->subnet_id;
	ret->address = lease->address;
	ret->is_client_id = by_id;
	ret->id_len = len;
	memcpy(ret->id, id, len);
	if (query != NULL && query->has_option && query->option_len == PA_KEY_LEN) {
		ret->has_client_key = true;
		memcpy(ret->client_key, query->option, PA_KEY_LEN);
	}
	return 0;
}

bool pa_hook_key_eq(const struct pa_hook_key *a, const struct pa_hook_key *b)
{
	return a->subnet_id == b->subnet_id && a->address == b->address && a->is_client_id == b->is_client_id &&
	       a->id_len == b->id_len && memcmp(a->id, b->id, a->id_len) == 0 &&
	       a->has_client_key == b->has_client_key && memcmp(a->client_key, b->client_key, PA_KEY_LEN) == 0;
}

static json_t *lease_new(const char *realm, const struct pa_hook_key *key)
{
	char hex[2 * PA_HOOK_ID_MAX + 1], address[PA_ADDR_STRLEN];
	struct pa_addr a = pa_addr_from_ipv4(key->address);

	return json_pack("{s:s, s:I, s:s, s:s}", "realm", realm, "subnet-id", (json_int_t)key->subnet_id, "dhcp-address",
			 pa_addr_format(&a, address), key->is_client_id ? "client-id" : "hw-address",
			 pa_hex_encode(key->id, key->id_len, hex));
}

json_t *pa_hook_release_new(const char *realm, const struct pa_hook_key *key)
{
	return lease_new(realm, key);
}

json_t *pa_hook_return_new(const char *realm, const struct pa_hook_key *key, const uint8_t release[PA_RELEASE_LEN])
{
	char hex[2 * PA_MAC_LEN + 1];
	uint8_t proof[PA_MAC_LEN];
	json_t *root = NULL;
	uint64_t epoch;
	int rc;

	/* An epoch that no JSON number holds was never given. */
	if (pa_dhcp_release_decode(release, PA_RELEASE_LEN, &epoch, proof) == 0 && epoch > 0 && epoch <= INT64_MAX)
		root = lease_new(realm, key);
	if (root == NULL)
		return NULL;
	rc = json_object_set_new(root, "epoch", json_integer((json_int_t)epoch));
	rc |= json_object_set_new(root, "proof", json_string(pa_hex_encode(proof, sizeof(proof), hex)));
	if (rc == 0)
		return root;
	json_decref(root);
	return NULL;
}

/* Names that are not UTF-8 (Kea makes class names from what clients send) are left out. */
static json_t *classes_new(const struct pa_hook_query *query)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < query->n_classes && json_array_size(list) < PA_HOOK_CLASSES_MAX; i++)
		(void)json_array_append_new(list, json_string(query->classes[i]));
	return list;
}

json_t *pa_hook_allocate_new(const char *realm, const struct pa_hook_key *key, uint32_t valid_lifetime,
			     const struct pa_hook_query *query)
{
	char xid[9], hex[2 * PA_KEY_LEN + 1];
	json_t *root = lease_new(realm, key);
	int rc = 0;

	if (root == NULL)
		return NULL;
	(void)snprintf(xid, sizeof(xid), "%08x", query->xid);
	rc |= json_object_set_new(root, "valid-lifetime", json_integer(valid_lifetime));
	rc |= json_object_set_new(root, "transaction", json_string(xid));
	rc |= json_object_set_new(root, "classes", classes_new(query));
	if (key->has_client_key)
		rc |= json_object_set_new(root, "client-key",
					  json_string(pa_hex_encode(key->client_key, PA_KEY_LEN, hex)));
	if (rc == 0)
		return root;
	json_decref(root);
	return NULL;
}
