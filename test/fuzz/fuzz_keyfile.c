/* SPDX-License-Identifier: MPL-2.0 */
/* A key file of any bytes: refused with one line that names the file, or its keys come back when they are written again. */
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/keyfile.h"
#include "test/fuzz/fuzz.h"

static void check_key(const struct pa_keyring *ring, const struct pa_key *key)
{
	char line[PA_KEYFILE_LINELEN], err[PA_KEYFILE_ERRLEN];
	size_t n = pa_key_format(key, line);
	struct pa_keyring *again;
	const struct pa_key *back;

	PA_REQUIRE(pa_keyring_find(ring, key->kind, key->key_id, key->pool_id) == key);
	PA_REQUIRE(pa_keyring_parse("f", line, n, &again, err) == 0);
	back = pa_keyring_at(again, 0);
	PA_REQUIRE(back->kind == key->kind && back->key_id == key->key_id && back->pool_id == key->pool_id);
	PA_REQUIRE(memcmp(back->key, key->key, PA_KEY_LEN) == 0);
	pa_keyring_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char err[PA_KEYFILE_ERRLEN] = "";
	struct pa_keyring *ring;

	if (pa_keyring_parse("f", (const char *)data, len, &ring, err) < 0) {
		PA_REQUIRE(strncmp(err, "f:", 2) == 0 && strchr(err, '\n') == NULL);
		return 0;
	}
	for (size_t i = 0; i < pa_keyring_count(ring); i++)
		check_key(ring, pa_keyring_at(ring, i));
	pa_keyring_free(ring);
	return 0;
}
