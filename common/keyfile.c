/* SPDX-License-Identifier: MPL-2.0 */
#include "common/keyfile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/hex.h"

#define KEYS_MAX 1024

struct pa_keyring {
	size_t n;
	struct pa_key *keys; /* KEYS_MAX of them: never reallocated, so no copy of a key stays behind */
};

static const struct {
	const char *word;
	int numbers; /* how many ids stand before the key */
} kinds[] = {
	[PA_KEY_MASTER] = {"master", 1},
	[PA_KEY_POOL] = {"pool", 2},
	[PA_KEY_GATEWAY] = {"gateway", 0},
	[PA_KEY_CLIENT] = {"client", 0},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define WORDS_MAX 5

/* Splits line in place at blanks; returns the number of words, WORDS_MAX at most. */
static int split(char *line, char *words[WORDS_MAX])
{
	int n = 0;

	while (n < WORDS_MAX) {
		line += strspn(line, " \t\r");
		if (*line == '\0' || *line == '#')
			break;
		words[n++] = line;
		line += strcspn(line, " \t\r");
		if (*line != '\0')
			*line++ = '\0';
	}
	return n;
}

static int parse_id(const char *s, unsigned long max, unsigned long *ret)
{
	char *end;
	unsigned long v;

	if (*s < '0' || *s > '9')
		return PA_EFORMAT;
	v = strtoul(s, &end, 10);
	if (*end != '\0' || v > max)
		return PA_EFORMAT;
	*ret = v;
	return 0;
}

/* A place holder that somebody forgot to fill in. */
static bool is_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	while (len-- > 0)
		any = (uint8_t)(any | *p++);
	return any == 0;
}

static const char *parse_line(char *words[], int n, struct pa_key *ret)
{
	unsigned long id = 0, pool = 0;
	size_t k = 0;

	while (k < N_KINDS && strcmp(words[0], kinds[k].word) != 0)
		k++;
	if (k == N_KINDS)
		return "expected 'master', 'pool', 'gateway' or 'client'";
	if (n != kinds[k].numbers + 2)
		return "wrong number of fields; write 'master KEYID HEX', 'pool KEYID POOLID HEX', 'gateway HEX' or "
		       "'client HEX'";
	if (kinds[k].numbers >= 1 && parse_id(words[1], 255, &id) < 0)
		return "the key id must be a number from 0 to 255";
	if (kinds[k].numbers >= 2 && (parse_id(words[2], 65535, &pool) < 0 || pool == 0))
		return "the pool id must be a number from 1 to 65535";
	if (pa_hex_decode(words[n - 1], ret->key, PA_KEY_LEN) != PA_KEY_LEN)
		return "the key must be 64 hexadecimal digits; 'pubaddrctl key new' makes one";
	if (is_zero(ret->key, PA_KEY_LEN))
		return "the key is all zeros, which is no secret; 'pubaddrctl key new' makes one";
	ret->kind = (enum pa_key_kind)k;
	ret->key_id = (uint8_t)id;
	ret->pool_id = (uint16_t)pool;
	return NULL;
}

/* Handles one line; returns 0 or an error with err filled in. */
static int take_line(struct pa_keyring *ring, const char *file, unsigned number, char *line,
		     char err[PA_KEYFILE_ERRLEN])
{
	char *words[WORDS_MAX];
	int n = split(line, words);
	struct pa_key *key = &ring->keys[ring->n];
	const char *wrong;

	if (n == 0)
		return 0;
	if (ring->n == KEYS_MAX) {
		(void)snprintf(err, PA_KEYFILE_ERRLEN, "%s:%u: more than %d keys in one file", file, number, KEYS_MAX);
		return PA_ENOMEM;
	}
	wrong = parse_line(words, n, key);
	if (wrong != NULL) {
		(void)snprintf(err, PA_KEYFILE_ERRLEN, "%s:%u: %s", file, number, wrong);
		return PA_EFORMAT;
	}
	if (pa_keyring_find(ring, key->kind, key->key_id, key->pool_id) != NULL) {
		(void)snprintf(err, PA_KEYFILE_ERRLEN, "%s:%u: a %s key with these ids stands above already", file,
			       number, kinds[key->kind].word);
		return PA_EEXIST;
	}
	ring->n++;
	return 0;
}

int pa_keyring_parse(const char *file, const char *text, size_t len, struct pa_keyring **ret,
		     char err[PA_KEYFILE_ERRLEN])
{
	struct pa_keyring *ring = calloc(1, sizeof(*ring));
	char line[256];
	unsigned number = 0;
	int rc = 0;

	if (ring == NULL || (ring->keys = calloc(KEYS_MAX, sizeof(*ring->keys))) == NULL) {
		free(ring);
		(void)snprintf(err, PA_KEYFILE_ERRLEN, "%s: out of memory", file);
		return PA_ENOMEM;
	}
	while (len > 0 && rc == 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end != NULL ? (size_t)(end - text) : len;

		number++;
		if (n >= sizeof(line) || memchr(text, '\0', n) != NULL) {
			(void)snprintf(err, PA_KEYFILE_ERRLEN, "%s:%u: not a line of a key file", file, number);
			rc = PA_EFORMAT;
			break;
		}
		memcpy(line, text, n);
		line[n] = '\0';
		rc = take_line(ring, file, number, line, err);
		n += end != NULL ? 1 : 0;
		text += n;
		len -= n;
	}
	pa_wipe(line, sizeof(line));
	if (rc < 0) {
		pa_keyring_free(ring);
		return rc;
	}
	*ret = ring;
	return 0;
}

void pa_keyring_free(struct pa_keyring *ring)
{
	if (ring == NULL)
		return;
	pa_wipe(ring->keys, KEYS_MAX * sizeof(*ring->keys));
	free(ring->keys);
	free(ring);
}

size_t pa_keyring_count(const struct pa_keyring *ring)
{
	return ring->n;
}

const struct pa_key *pa_keyring_at(const struct pa_keyring *ring, size_t i)
{
	PA_REQUIRE(i < ring->n);
	return &ring->keys[i];
}

const struct pa_key *pa_keyring_find(const struct pa_keyring *ring, enum pa_key_kind kind, uint8_t key_id,
				     uint16_t pool_id)
{
	for (size_t i = 0; i < ring->n; i++) {
		const struct pa_key *k = &ring->keys[i];

		if (k->kind == kind && (kinds[kind].numbers < 1 || k->key_id == key_id) &&
		    (kinds[kind].numbers < 2 || k->pool_id == pool_id))
			return k;
	}
	return NULL;
}

const struct pa_key *pa_keyring_first(const struct pa_keyring *ring, enum pa_key_kind kind)
{
	for (size_t i = 0; i < ring->n; i++)
		if (ring->keys[i].kind == kind)
			return &ring->keys[i];
	return NULL;
}

size_t pa_key_format(const struct pa_key *key, char dst[PA_KEYFILE_LINELEN])
{
	char hex[2 * PA_KEY_LEN + 1];
	int n;

	pa_hex_encode(key->key, PA_KEY_LEN, hex);
	if (kinds[key->kind].numbers == 2)
		n = snprintf(dst, PA_KEYFILE_LINELEN, "pool %u %u %s\n", (unsigned)key->key_id, (unsigned)key->pool_id,
			     hex);
	else if (kinds[key->kind].numbers == 1)
		n = snprintf(dst, PA_KEYFILE_LINELEN, "master %u %s\n", (unsigned)key->key_id, hex);
	else
		n = snprintf(dst, PA_KEYFILE_LINELEN, "%s %s\n", kinds[key->kind].word, hex);
	pa_wipe(hex, sizeof(hex));
	PA_REQUIRE(n > 0 && n < PA_KEYFILE_LINELEN);
	return (size_t)n;
}
