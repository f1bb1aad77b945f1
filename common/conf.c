/* SPDX-License-Identifier: MPL-2.0 */
#include "common/conf.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_text.h"
#include "common/err.h"
#include "common/hex.h"

struct pa_conf {
	char *file;
	char *text; /* comments blanked out, so that positions hold */
	json_t *root;
	bool failed;
	char error[512];
};

__attribute__((format(printf, 3, 4))) static void fail_at(struct pa_conf *conf, unsigned line, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (conf->failed)
		return;
	conf->failed = true;
	n = snprintf(conf->error, sizeof(conf->error), "%s:%u: ", conf->file, line);
	if (n < 0 || (size_t)n >= sizeof(conf->error))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(conf->error + n, sizeof(conf->error) - (size_t)n, fmt, ap);
	va_end(ap);
	/* Names and values of the file stand in it: they must not break the line or reach a terminal as controls. */
	for (char *p = conf->error; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

struct pa_conf *pa_conf_new(const char *file, const char *text, size_t len)
{
	struct pa_conf *conf = calloc(1, sizeof(*conf));
	unsigned unended;
	json_error_t e;

	if (conf == NULL)
		return NULL;
	conf->file = strdup(file);
	conf->text = malloc(len + 1);
	if (conf->file == NULL || conf->text == NULL) {
		pa_conf_free(conf);
		return NULL;
	}
	memcpy(conf->text, text, len);
	conf->text[len] = '\0';
	if (memchr(text, '\0', len) != NULL) {
		fail_at(conf, 1, "contains a NUL byte; is this a text file?");
		return conf;
	}
	unended = pa_conf_blank_comments(conf->text, len);
	if (unended > 0) {
		fail_at(conf, unended, "this comment does not end; close it with */");
		return conf;
	}
	conf->root = json_loadb(conf->text, len, JSON_REJECT_DUPLICATES, &e);
	if (conf->root == NULL) {
		fail_at(conf, e.line > 0 ? (unsigned)e.line : 1, "column %d: %s", e.column, e.text);
	} else if (!json_is_object(conf->root)) {
		fail_at(conf, 1, "expected an object { ... } as the whole file");
		json_decref(conf->root);
		conf->root = NULL;
	}
	return conf;
}

void pa_conf_free(struct pa_conf *conf)
{
	if (conf == NULL)
		return;
	json_decref(conf->root);
	free(conf->text);
	free(conf->file);
	free(conf);
}

const char *pa_conf_error(const struct pa_conf *conf)
{
	return conf->failed ? conf->error : NULL;
}

struct pa_node pa_conf_root(struct pa_conf *conf)
{
	struct pa_node n = {conf, conf->root, ""};

	return n;
}

const void *pa_conf_json(const struct pa_conf *conf)
{
	return conf->root;
}

const char *pa_conf_place(const struct pa_conf *conf, const char *path, char dst[PA_CONF_PLACELEN])
{
	unsigned line = conf->root != NULL ? pa_conf_find_line(conf->text, path) : 0;

	if (line > 0)
		(void)snprintf(dst, PA_CONF_PLACELEN, "%s:%u: %s: ", conf->file, line, path);
	else
		(void)snprintf(dst, PA_CONF_PLACELEN, "%s: %s (by default): ", conf->file, path);
	return dst;
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

static void join(char *dst, size_t cap, const struct pa_node *n, const char *key)
{
	if (key == NULL)
		(void)snprintf(dst, cap, "%s", n->path);
	else if (n->path[0] == '\0')
		(void)snprintf(dst, cap, "%s", key);
	else
		(void)snprintf(dst, cap, "%s.%s", n->path, key);
}

/* The line of a path; of the nearest existing ancestor when the member itself is missing. */
static unsigned line_of(const struct pa_node *n, const char *path)
{
	unsigned line = pa_conf_find_line(n->conf->text, path);

	if (line == 0)
		line = pa_conf_find_line(n->conf->text, n->path);
	return line > 0 ? line : 1;
}

void pa_node_fail(const struct pa_node *n, const char *key, const char *fmt, ...)
{
	char path[256], text[384];
	va_list ap;

	if (n->conf->failed)
		return;
	join(path, sizeof(path), n, key);
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (path[0] == '\0')
		fail_at(n->conf, line_of(n, path), "%s", text);
	else
		fail_at(n->conf, line_of(n, path), "%s: %s", path, text);
}

/* A member, or NULL; missing and required is an error. */
static const json_t *member(const struct pa_node *n, const char *key, bool required, const char *expected)
{
	const json_t *v;

	if (n->conf->failed || n->json == NULL)
		return NULL;
	v = json_object_get(n->json, key);
	if (v == NULL && required)
		pa_node_fail(n, key, "is missing; expected %s", expected);
	return v;
}

static void wrong_type(const struct pa_node *n, const char *key, const char *expected, const json_t *got)
{
	pa_node_fail(n, key, "expected %s, got %s", expected, type_name(got));
}

bool pa_node_has(const struct pa_node *n, const char *key)
{
	return member(n, key, false, "") != NULL;
}

void pa_node_only(const struct pa_node *n, const char *const *keys)
{
	const char *key;
	json_t *value;

	if (n->conf->failed || n->json == NULL)
		return;
	json_object_foreach ((json_t *)(uintptr_t)n->json, key, value) {
		size_t i = 0;

		while (keys[i] != NULL && strcmp(keys[i], key) != 0)
			i++;
		if (keys[i] == NULL) {
			pa_node_fail(n, key, "unknown setting; see the man page for the settings allowed here");
			return;
		}
	}
}

const char *pa_node_string(const struct pa_node *n, const char *key, const char *def)
{
	bool required = def == PA_REQUIRED_STR;
	const json_t *v = member(n, key, required, "a string");

	if (json_is_string(v))
		return json_string_value(v);
	if (v != NULL)
		wrong_type(n, key, "a string", v);
	return required ? "" : def;
}

int64_t pa_node_int(const struct pa_node *n, const char *key, int64_t min, int64_t max, int64_t def)
{
	bool required = def == PA_REQUIRED_INT;
	const json_t *v = member(n, key, required, "an integer");
	int64_t i;

	if (v == NULL)
		return required ? 0 : def;
	if (!json_is_integer(v)) {
		wrong_type(n, key, "an integer", v);
		return required ? 0 : def;
	}
	i = json_integer_value(v);
	if (i < min || i > max) {
		pa_node_fail(n, key, "expected an integer from %lld to %lld, got %lld", (long long)min,
			     (long long)max, (long long)i);
		return required ? 0 : def;
	}
	return i;
}

bool pa_node_bool(const struct pa_node *n, const char *key, bool def)
{
	const json_t *v = member(n, key, false, "true or false");

	if (v == NULL)
		return def;
	if (!json_is_boolean(v)) {
		wrong_type(n, key, "true or false", v);
		return def;
	}
	return json_is_true(v);
}

/* The string of a member for one of the parsers below, or NULL. */
static const char *text_of(const struct pa_node *n, const char *key, bool required, const char *expected)
{
	const json_t *v = member(n, key, required, expected);

	if (v == NULL)
		return NULL;
	if (!json_is_string(v)) {
		wrong_type(n, key, expected, v);
		return NULL;
	}
	return json_string_value(v);
}

bool pa_node_addr(const struct pa_node *n, const char *key, bool required, struct pa_addr *ret)
{
	static const char expected[] = "an IP address as a string, such as \"192.0.2.1\"";
	const char *s = text_of(n, key, required, expected);

	if (s == NULL)
		return false;
	if (pa_addr_parse(s, ret) == 0)
		return true;
	pa_node_fail(n, key, "expected %s, got \"%s\"", expected, s);
	return false;
}

bool pa_node_endpoint(const struct pa_node *n, const char *key, bool required, uint16_t port, struct pa_endpoint *ret)
{
	static const char expected[] = "an address with a port as a string, such as \"192.0.2.1:6080\"";
	const char *s = text_of(n, key, required, expected);

	if (s == NULL)
		return false;
	if (pa_endpoint_parse(s, port, ret) == 0)
		return true;
	pa_node_fail(n, key, "expected %s, got \"%s\"", expected, s);
	return false;
}

bool pa_node_prefix(const struct pa_node *n, const char *key, bool required, struct pa_prefix *ret)
{
	static const char expected[] = "a prefix without host bits as a string, such as \"192.0.2.0/24\"";
	const char *s = text_of(n, key, required, expected);

	if (s == NULL)
		return false;
	if (pa_prefix_parse(s, ret) == 0)
		return true;
	pa_node_fail(n, key, "expected %s, got \"%s\"", expected, s);
	return false;
}

bool pa_node_hex(const struct pa_node *n, const char *key, bool required, uint8_t *ret, size_t len)
{
	uint8_t buf[256];
	const char *s = text_of(n, key, required, "a string of hexadecimal digits");

	PA_REQUIRE(len <= sizeof(buf));
	if (s == NULL)
		return false;
	if (pa_hex_decode(s, buf, sizeof(buf)) == (int)len) {
		memcpy(ret, buf, len);
		return true;
	}
	pa_node_fail(n, key, "expected %zu hexadecimal digits, got %zu characters", 2 * len, strlen(s));
	return false;
}

struct pa_node pa_node_object(const struct pa_node *n, const char *key, bool required)
{
	struct pa_node child = {n->conf, NULL, ""};
	const json_t *v = member(n, key, required, "an object { ... }");

	join(child.path, sizeof(child.path), n, key);
	if (json_is_object(v))
		child.json = v;
	else if (v != NULL)
		wrong_type(n, key, "an object { ... }", v);
	return child;
}

size_t pa_node_list(const struct pa_node *n, const char *key, bool required)
{
	const json_t *v = member(n, key, required, "a list [ ... ]");

	if (v == NULL)
		return 0;
	if (!json_is_array(v)) {
		wrong_type(n, key, "a list [ ... ]", v);
		return 0;
	}
	return json_array_size(v);
}

static const json_t *item(const struct pa_node *n, const char *key, size_t i)
{
	if (n->conf->failed || n->json == NULL)
		return NULL;
	return json_array_get(json_object_get(n->json, key), i);
}

static void item_path(char *dst, size_t cap, const char *key, size_t i)
{
	(void)snprintf(dst, cap, "%s[%zu]", key, i);
}

struct pa_node pa_node_item(const struct pa_node *n, const char *key, size_t i)
{
	struct pa_node child = {n->conf, NULL, ""};
	const json_t *v = item(n, key, i);
	char indexed[128];

	item_path(indexed, sizeof(indexed), key, i);
	join(child.path, sizeof(child.path), n, indexed);
	if (json_is_object(v))
		child.json = v;
	else if (v != NULL)
		wrong_type(n, indexed, "an object { ... }", v);
	return child;
}

const char *pa_node_item_string(const struct pa_node *n, const char *key, size_t i)
{
	const json_t *v = item(n, key, i);
	char indexed[128];

	if (json_is_string(v))
		return json_string_value(v);
	item_path(indexed, sizeof(indexed), key, i);
	if (v != NULL)
		wrong_type(n, indexed, "a string", v);
	return "";
}
