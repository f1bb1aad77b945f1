/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_IDENT_H
#define PA_BROKER_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Who a client is: its client-id (DHCP option 61), else its hardware address, within a realm. Immutable and reference
 * counted; one thread at a time.
 */
#define PA_REALM_MAX 63	   /* characters */
#define PA_IDENT_ID_MAX 255 /* bytes of a DHCP option */
#define PA_IDENT_TEXTLEN 80

enum pa_ident_kind { PA_IDENT_CLIENT_ID = 0, PA_IDENT_HW_ADDRESS = 1 };

struct pa_ident;

/* A new identity with one reference, or NULL: without memory, or when realm or id is empty or too long. */
struct pa_ident *pa_ident_new(const char *realm, enum pa_ident_kind kind, const uint8_t *id, size_t len);
/* One more reference to the same; returns it. */
struct pa_ident *pa_ident_get(struct pa_ident *ident);
/* One reference less; frees with the last. NULL is fine. */
void pa_ident_put(struct pa_ident *ident);

/* Borrowed. */
const char *pa_ident_realm(const struct pa_ident *ident);
enum pa_ident_kind pa_ident_kind(const struct pa_ident *ident);
const uint8_t *pa_ident_id(const struct pa_ident *ident, size_t *ret_len);
/* "client-id" or "hw-address", static: the name in commands and in the store. */
const char *pa_ident_kind_name(enum pa_ident_kind kind);

/* An order of all identities: below zero, zero (equal), above. */
int pa_ident_cmp(const struct pa_ident *a, const struct pa_ident *b);
bool pa_ident_eq(const struct pa_ident *a, const struct pa_ident *b);
/* Keyed (SipHash): clients choose the bytes, and must not be able to choose collisions. seed: 16 bytes. */
uint64_t pa_ident_hash(const struct pa_ident *ident, const uint8_t seed[16]);
/* "client-id:HEX" for logs, long ids cut with "..."; returns dst. */
const char *pa_ident_format(const struct pa_ident *ident, char dst[PA_IDENT_TEXTLEN]);

#endif
