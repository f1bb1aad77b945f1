/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_API_ARGS_H
#define PA_BROKER_API_ARGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/ident.h"
#include "common/addr.h"

/*
 * Reads a command's arguments with a sticky error, as the configuration reader does: the first thing that is wrong is kept
 * in err, later reads give their defaults, and the caller asks once at the end. Members that no one reads are ignored, so
 * that a newer client can speak to an older broker. Pure; one thread at a time.
 */
#define PA_ARGS_ERRLEN 256

struct pa_args {
	const json_t *json; /* borrowed; NULL: none were given */
	bool failed;
	char err[PA_ARGS_ERRLEN];
};

void pa_args_init(struct pa_args *a, const json_t *json);
/* Records "argument 'key': TEXT". */
void pa_args_fail(struct pa_args *a, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool pa_args_has(const struct pa_args *a, const char *key);

/* Required: missing is an error. Strings are borrowed; "" after an error. */
const char *pa_args_string(struct pa_args *a, const char *key);
uint64_t pa_args_uint(struct pa_args *a, const char *key, uint64_t min, uint64_t max);
struct pa_addr pa_args_addr(struct pa_args *a, const char *key);

/* Optional. */
uint64_t pa_args_uint_or(struct pa_args *a, const char *key, uint64_t min, uint64_t max, uint64_t def);
/* Hex of min to max bytes; returns the number of bytes, 0 when absent or wrong. */
size_t pa_args_hex(struct pa_args *a, const char *key, size_t min, size_t max, uint8_t *ret);
/* A number of 1 to 8 hex digits; false when absent or wrong. */
bool pa_args_hex32(struct pa_args *a, const char *key, uint32_t *ret);
/* A list of at most max strings, borrowed; returns how many. */
size_t pa_args_strings(struct pa_args *a, const char *key, const char **ret, size_t max);

/* "realm" and "client-id", else "hw-address". A new reference, or NULL after an error. */
struct pa_ident *pa_args_ident(struct pa_args *a);

#endif
