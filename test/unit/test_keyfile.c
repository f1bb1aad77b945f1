/* SPDX-License-Identifier: MPL-2.0 */
/* Key files: what is written can be read, errors name the line and the remedy and never show a key. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/hex.h"
#include "common/keyfile.h"
#include "test/unit/rnd.h"

TestSuite(keyfile, .timeout = 20);

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct pa_keyring *parse(const char *text)
{
	struct pa_keyring *ring = NULL;
	char err[PA_KEYFILE_ERRLEN] = "";

	cr_assert_eq(pa_keyring_parse("k", text, strlen(text), &ring, err), 0, "%s", err);
	return ring;
}

static void refused(const char *text, int code, const char *want)
{
	struct pa_keyring *ring = NULL;
	char err[PA_KEYFILE_ERRLEN] = "";

	cr_assert_eq(pa_keyring_parse("keys/k", text, strlen(text), &ring, err), code, "%s: %s", text, err);
	cr_assert_null(ring);
	cr_assert_not_null(strstr(err, want), "'%s' does not contain '%s'", err, want);
	cr_assert_null(strstr(err, "0011223344"), "an error shows a key: %s", err);
}

Test(keyfile, all_kinds)
{
	struct pa_keyring *ring = parse("# keys of the test\n"
					"\n"
					"master 1 " HEX "\n"
					"  master\t2 " HEX "  # the old one\r\n"
					"pool 1 65535 " HEX "\n"
					"pool 255 1 " HEX "\n"
					"gateway " HEX "\n"
					"client " HEX);
	const struct pa_key *key;

	cr_assert_eq(pa_keyring_count(ring), 6u);
	key = pa_keyring_find(ring, PA_KEY_MASTER, 2, 77);
	cr_assert(key != NULL && key == pa_keyring_at(ring, 1), "the pool id does not count for a master key");
	cr_assert_eq(pa_keyring_first(ring, PA_KEY_MASTER)->key_id, 1, "the first one signs");
	key = pa_keyring_find(ring, PA_KEY_POOL, 1, 65535);
	cr_assert(key != NULL && key->key[1] == 0x11 && key->key[31] == 0xff);
	cr_assert_null(pa_keyring_find(ring, PA_KEY_POOL, 1, 0));
	cr_assert_null(pa_keyring_find(ring, PA_KEY_MASTER, 3, 0));
	cr_assert_not_null(pa_keyring_find(ring, PA_KEY_GATEWAY, 9, 9));
	cr_assert_eq(pa_keyring_first(ring, PA_KEY_CLIENT), pa_keyring_at(ring, 5), "the last line needs no newline");
	pa_keyring_free(ring);
	pa_keyring_free(NULL);
}

Test(keyfile, an_empty_file_has_no_keys)
{
	struct pa_keyring *ring = parse("# nothing\n\n \t\n");

	cr_assert_eq(pa_keyring_count(ring), 0u);
	cr_assert_null(pa_keyring_first(ring, PA_KEY_MASTER));
	pa_keyring_free(ring);
}

Test(keyfile, errors_name_line_and_remedy)
{
	refused("\n# x\nmonster 1 " HEX "\n", PA_EFORMAT, "keys/k:3: expected 'master'");
	refused("master " HEX "\n", PA_EFORMAT, "keys/k:1: wrong number of fields");
	refused("master 1 " HEX " " HEX "\n", PA_EFORMAT, "keys/k:1: wrong number of fields");
	refused("pool 1 2 " HEX " a b c d e f\n", PA_EFORMAT, "wrong number of fields");
	refused("pool 1 " HEX "\n", PA_EFORMAT, "wrong number of fields");
	refused("gateway\n", PA_EFORMAT, "wrong number of fields");
	refused("master 256 " HEX "\n", PA_EFORMAT, "from 0 to 255");
	refused("master -1 " HEX "\n", PA_EFORMAT, "from 0 to 255");
	refused("master 1x " HEX "\n", PA_EFORMAT, "from 0 to 255");
	refused("master 99999999999999999999999 " HEX "\n", PA_EFORMAT, "from 0 to 255");
	refused("pool 1 0 " HEX "\n", PA_EFORMAT, "from 1 to 65535");
	refused("pool 1 65536 " HEX "\n", PA_EFORMAT, "from 1 to 65535");
	refused("gateway 00112233\n", PA_EFORMAT, "64 hexadecimal digits");
	refused("gateway " HEX "00\n", PA_EFORMAT, "64 hexadecimal digits");
	refused("gateway x0" "112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", PA_EFORMAT,
		"64 hexadecimal digits");
	refused("master 1 " HEX "\nmaster 1 " HEX "\n", PA_EEXIST, "keys/k:2: a master key with these ids");
	refused("gateway " HEX "\ngateway " HEX "\n", PA_EEXIST, "keys/k:2:");
}

Test(keyfile, a_key_of_zeros_is_no_key)
{
	refused("gateway 0000000000000000000000000000000000000000000000000000000000000000\n", PA_EFORMAT,
		"k:1: the key is all zeros");
}

Test(keyfile, long_lines_and_nul)
{
	struct pa_keyring *ring = NULL;
	char err[PA_KEYFILE_ERRLEN], text[400];

	memset(text, 'a', sizeof(text));
	text[0] = '#';
	cr_assert_eq(pa_keyring_parse("k", text, sizeof(text), &ring, err), PA_EFORMAT);
	cr_assert_not_null(strstr(err, "k:1:"));
	memcpy(text, "\n#\0\n", 4);
	cr_assert_eq(pa_keyring_parse("k", text, 4, &ring, err), PA_EFORMAT);
	cr_assert_not_null(strstr(err, "k:2:"));
}

Test(keyfile, too_many_keys)
{
	static char text[1025 * 96];
	struct pa_keyring *ring = NULL;
	char err[PA_KEYFILE_ERRLEN];
	size_t n = 0;

	for (unsigned i = 0; i < 1025; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "pool 1 %u %s\n", i + 1, HEX);
	cr_assert_eq(pa_keyring_parse("k", text, n, &ring, err), PA_ENOMEM);
	cr_assert_not_null(strstr(err, "k:1025: more than 1024 keys"), "%s", err);
	n = (size_t)(strstr(text, "pool 1 1025") - text);
	cr_assert_eq(pa_keyring_parse("k", text, n, &ring, err), 0);
	cr_assert_eq(pa_keyring_count(ring), 1024u);
	pa_keyring_free(ring);
}

Test(keyfile, random_keys_come_back)
{
	struct rnd r = rnd_seed(16);

	for (int i = 0; i < 5000; i++) {
		struct pa_key key;
		struct pa_keyring *ring;
		const struct pa_key *back;
		char line[PA_KEYFILE_LINELEN];
		size_t n;

		memset(&key, 0, sizeof(key));
		key.kind = (enum pa_key_kind)rnd_below(&r, 4);
		if (key.kind == PA_KEY_MASTER || key.kind == PA_KEY_POOL)
			key.key_id = (uint8_t)rnd_next(&r);
		if (key.kind == PA_KEY_POOL)
			key.pool_id = (uint16_t)rnd_next(&r);
		rnd_fill(&r, key.key, sizeof(key.key));
		n = pa_key_format(&key, line);
		cr_assert(n == strlen(line) && line[n - 1] == '\n');
		ring = parse(line);
		cr_assert_eq(pa_keyring_count(ring), 1u);
		back = pa_keyring_at(ring, 0);
		cr_assert(back->kind == key.kind && back->key_id == key.key_id && back->pool_id == key.pool_id);
		cr_assert_eq(memcmp(back->key, key.key, PA_KEY_LEN), 0);
		pa_keyring_free(ring);
	}
}
