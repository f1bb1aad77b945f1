/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_KEYFILE_H
#define PA_KEYFILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"

/*
 * Key files: text, '#' comments, one key a line:
 *	master KEYID HEX		the broker's master key; the first one signs, all verify
 *	pool KEYID POOLID HEX		a gateway's key of one pool
 *	gateway HEX			the X25519 secret key of a gateway group
 *	client HEX			the X25519 secret key of a client
 * KEYID 0..255, POOLID 0..65535, HEX 64 digits, not all zero. Parsing is pure; edge_file.h reads the file and refuses one that others can read.
 */
enum pa_key_kind { PA_KEY_MASTER, PA_KEY_POOL, PA_KEY_GATEWAY, PA_KEY_CLIENT };

struct pa_key {
	enum pa_key_kind kind;
	uint8_t key_id;
	uint16_t pool_id;
	uint8_t key[PA_KEY_LEN];
};

struct pa_keyring;

#define PA_KEYFILE_ERRLEN 256
#define PA_KEYFILE_LINELEN 96

/*
 * Parses text of len bytes (need not end in NUL). On failure writes "FILE:LINE: what is wrong and the remedy" to err and
 * returns PA_EFORMAT, PA_EEXIST (the same key id twice) or PA_ENOMEM. The caller frees *ret.
 */
int pa_keyring_parse(const char *file, const char *text, size_t len, struct pa_keyring **ret,
		     char err[PA_KEYFILE_ERRLEN]);
/* Wipes and frees; NULL is fine. */
void pa_keyring_free(struct pa_keyring *ring);
size_t pa_keyring_count(const struct pa_keyring *ring);
/* Borrowed; i < count. In the order of the file. */
const struct pa_key *pa_keyring_at(const struct pa_keyring *ring, size_t i);
/* Borrowed, or NULL. key_id and pool_id count only for the kinds that have them; the first match. */
const struct pa_key *pa_keyring_find(const struct pa_keyring *ring, enum pa_key_kind kind, uint8_t key_id,
				     uint16_t pool_id);
/* The first key of a kind, borrowed, or NULL. */
const struct pa_key *pa_keyring_first(const struct pa_keyring *ring, enum pa_key_kind kind);
/* One line of a key file with its newline; returns its length. Wipe dst when done. */
size_t pa_key_format(const struct pa_key *key, char dst[PA_KEYFILE_LINELEN]);

#endif
