/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CONF_H
#define PA_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

/*
 * Configuration files: JSON with the comments that Kea allows (#, //, and C style). The reader has a sticky error, as the
 * cursors have: the first thing that is wrong is kept as "FILE:LINE: PATH: expected X, got Y; remedy", every later call
 * gives its default, and the caller asks once at the end with pa_conf_error. Pure; one thread at a time.
 */
struct pa_conf;

/* A place in the file. A value type; borrowed from its pa_conf. */
struct pa_node {
	struct pa_conf *conf;
	const void *json; /* NULL: absent, everything below it gives defaults */
	char path[160];	  /* "pools[1]"; empty for the root */
};

/* Parses text. Syntax errors become the sticky error. NULL only without memory. file is copied. */
struct pa_conf *pa_conf_new(const char *file, const char *text, size_t len);
void pa_conf_free(struct pa_conf *conf);
/* The first error as one line, or NULL. Borrowed. */
const char *pa_conf_error(const struct pa_conf *conf);
struct pa_node pa_conf_root(struct pa_conf *conf);
/* The conf's root as jansson value, for config echo; borrowed, NULL after a syntax error. */
const void *pa_conf_json(const struct pa_conf *conf);

/*
 * "FILE:LINE: PATH: ", for errors that show only when a value is used, such as a socket that is taken; "FILE: PATH (by default): "
 * if the file leaves the value out. path: "listen[0]". Returns dst.
 */
#define PA_CONF_PLACELEN 256
const char *pa_conf_place(const struct pa_conf *conf, const char *path, char dst[PA_CONF_PLACELEN]);

bool pa_node_has(const struct pa_node *n, const char *key);
/* Any member not named in the NULL-terminated list is an error that names it (typing errors should not pass). */
void pa_node_only(const struct pa_node *n, const char *const *keys);
/* Records an error at key (NULL: at the node itself), in the sticky form; for checks of meaning. */
void pa_node_fail(const struct pa_node *n, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Values. PA_REQUIRED as the default makes a missing member an error. Strings are borrowed from the conf. After any error
 * the result is the default (for PA_REQUIRED: "" or 0).
 */
#define PA_REQUIRED_STR ((const char *)-1)
#define PA_REQUIRED_INT INT64_MIN
const char *pa_node_string(const struct pa_node *n, const char *key, const char *def);
int64_t pa_node_int(const struct pa_node *n, const char *key, int64_t min, int64_t max, int64_t def);
bool pa_node_bool(const struct pa_node *n, const char *key, bool def);

/* Parsed values; return true if present and right. A missing member is an error if required. */
bool pa_node_addr(const struct pa_node *n, const char *key, bool required, struct pa_addr *ret);
bool pa_node_endpoint(const struct pa_node *n, const char *key, bool required, uint16_t port, struct pa_endpoint *ret);
bool pa_node_prefix(const struct pa_node *n, const char *key, bool required, struct pa_prefix *ret);
/* Hex of exactly len bytes. */
bool pa_node_hex(const struct pa_node *n, const char *key, bool required, uint8_t *ret, size_t len);

/* Children. An absent object or list is an empty one unless required. */
struct pa_node pa_node_object(const struct pa_node *n, const char *key, bool required);
size_t pa_node_list(const struct pa_node *n, const char *key, bool required);
struct pa_node pa_node_item(const struct pa_node *n, const char *key, size_t i);
/* The item as a string, "" after an error. */
const char *pa_node_item_string(const struct pa_node *n, const char *key, size_t i);

#endif
