/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/api_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/hex.h"

void pa_args_init(struct pa_args *a, const json_t *json)
{
	a->json = json;
	a->failed = false;
	a->err[0] = '\0';
}

void pa_args_fail(struct pa_args *a, const char *key, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (a->failed)
		return;
	a->failed = true;
	n = snprintf(a->err, sizeof(a->err), "argument '%s': ", key);
	if (n < 0 || (size_t)n >= sizeof(a->err))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(a->err + n, sizeof(a->err) - (size_t)n, fmt, ap);
	va_end(ap);
}

static const json_t *member(struct pa_args *a, const char *key, bool required, const char *expected)
{
	const json_t *v;

	if (a->failed)
		return NULL;
	v = a->json != NULL ? json_object_get(a->json, key) : NULL;
	if (v == NULL && required)
		pa_args_fail(a, key, "is missing; expected %s", expected);
	return v;
}

bool pa_args_has(const struct pa_args *a, const char *key)
{
	return a->json != NULL && json_object_get(a->json, key) != NULL;
}

static const char *text_of(struct pa_args *a, const char *key, bool required, const char *expected)
{
	const json_t *v = member(a, key, required, expected);

	if (v != NULL && !json_is_string(v))
		pa_args_fail(a, key, "expected %s", expected);
	return json_is_string(v) ? json_string_value(v) : NULL;
}

const char *pa_args_string(struct pa_args *a, const char *key)
{
	const char *s = text_of(a, key, true, "a string");

	return s != NULL ? s : "";
}

static uint64_t number(struct pa_args *a, const char *key, const json_t *v, uint64_t min, uint64_t max)
{
	if (json_is_integer(v) && json_integer_value(v) >= 0 && (uint64_t)json_integer_value(v) >= min &&
	    (uint64_t)json_integer_value(v) <= max)
		return (uint64_t)json_integer_value(v);
	pa_args_fail(a, key, "expected an integer from %llu to %llu", (unsigned long long)min, (unsigned long long)max);
	return min;
}

uint64_t pa_args_uint(struct pa_args *a, const char *key, uint64_t min, uint64_t max)
{
	const json_t *v = member(a, key, true, "an integer");

	return v != NULL ? number(a, key, v, min, max) : min;
}

uint64_t pa_args_uint_or(struct pa_args *a, const char *key, uint64_t min, uint64_t max, uint64_t def)
{
	const json_t *v = member(a, key, false, "an integer");

	return v != NULL ? number(a, key, v, min, max) : def;
}

struct pa_addr pa_args_addr(struct pa_args *a, const char *key)
{
	const char *s = text_of(a, key, true, "an IP address, such as \"192.0.2.1\"");
	struct pa_addr addr;

	memset(&addr, 0, sizeof(addr));
	if (s != NULL && pa_addr_parse(s, &addr) < 0)
		pa_args_fail(a, key, "expected an IP address, such as \"192.0.2.1\", got \"%.64s\"", s);
	return addr;
}

size_t pa_args_hex(struct pa_args *a, const char *key, size_t min, size_t max, uint8_t *ret)
{
	const char *s = text_of(a, key, false, "a string of hexadecimal digits");
	int n;

	if (s == NULL)
		return 0;
	n = pa_hex_decode(s, ret, max);
	if (n >= 0 && (size_t)n >= min)
		return (size_t)n;
	if (min == max)
		pa_args_fail(a, key, "expected %zu hexadecimal digits", 2 * max);
	else
		pa_args_fail(a, key, "expected %zu to %zu bytes as pairs of hexadecimal digits", min, max);
	return 0;
}

bool pa_args_hex32(struct pa_args *a, const char *key, uint32_t *ret)
{
	const char *s = text_of(a, key, false, "1 to 8 hexadecimal digits as a string");
	size_t len;

	if (s == NULL)
		return false;
	len = strlen(s);
	if (len < 1 || len > 8 || strspn(s, "0123456789abcdefABCDEF") != len) {
		pa_args_fail(a, key, "expected 1 to 8 hexadecimal digits as a string");
		return false;
	}
	*ret = (uint32_t)strtoul(s, NULL, 16);
	return true;
}

size_t pa_args_strings(struct pa_args *a, const char *key, const char **ret, size_t max)
{
	const json_t *v = member(a, key, false, "a list of strings");
	size_t n;

	if (v == NULL)
		return 0;
	n = json_array_size(v);
	if (!json_is_array(v) || n > max) {
		pa_args_fail(a, key, "expected a list of at most %zu strings", max);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		ret[i] = json_string_value(json_array_get(v, i));
		if (ret[i] == NULL) {
			pa_args_fail(a, key, "expected a list of at most %zu strings", max);
			return 0;
		}
	}
	return n;
}

struct pa_ident *pa_args_ident(struct pa_args *a)
{
	enum pa_ident_kind kind = pa_args_has(a, "client-id") ? PA_IDENT_CLIENT_ID : PA_IDENT_HW_ADDRESS;
	const char *realm = pa_args_string(a, "realm");
	uint8_t id[PA_IDENT_ID_MAX];
	struct pa_ident *ident;
	size_t len;

	if (!a->failed && (realm[0] == '\0' || strlen(realm) > PA_REALM_MAX))
		pa_args_fail(a, "realm", "expected a name of 1 to %d characters", PA_REALM_MAX);
	if (!pa_args_has(a, "client-id") && !pa_args_has(a, "hw-address"))
		pa_args_fail(a, "client-id", "is missing; expected it, or 'hw-address', as hexadecimal digits");
	len = pa_args_hex(a, pa_ident_kind_name(kind), 1, sizeof(id), id);
	if (a->failed)
		return NULL;
	ident = pa_ident_new(realm, kind, id, len);
	if (ident == NULL)
		pa_args_fail(a, "client-id", "no memory for it");
	return ident;
}
