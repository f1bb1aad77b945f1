/* SPDX-License-Identifier: MPL-2.0 */
/* The configuration reader: comments anywhere, and errors that name file, line, path and what was expected. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/conf_text.h"
#include "test/unit/rnd.h"

TestSuite(conf, .timeout = 20);

static struct pa_conf *open_conf(const char *text)
{
	struct pa_conf *conf = pa_conf_new("dir/x.conf", text, strlen(text));

	cr_assert_not_null(conf);
	return conf;
}

/* The error begins with where and contains what. Frees conf. */
static void expect(struct pa_conf *conf, const char *where, const char *what)
{
	const char *error = pa_conf_error(conf);

	cr_assert_not_null(error, "no error, expected %s", where);
	cr_assert_eq(strncmp(error, where, strlen(where)), 0, "'%s' does not begin with '%s'", error, where);
	cr_assert_not_null(strstr(error, what), "'%s' does not contain '%s'", error, what);
	cr_assert_null(strchr(error, '\n'));
	pa_conf_free(conf);
}

static void syntax(const char *text, const char *where, const char *what)
{
	struct pa_conf *conf = open_conf(text);
	struct pa_node root = pa_conf_root(conf);

	cr_assert_null(pa_conf_json(conf));
	cr_assert_eq(pa_node_int(&root, "a", 0, 9, 5), 5, "defaults after an error");
	cr_assert_str_eq(pa_node_string(&root, "b", PA_REQUIRED_STR), "");
	expect(conf, where, what);
}

Test(conf, names_the_place_of_a_value)
{
	struct pa_conf *conf = open_conf("{\n\"a\": [1,\n2]\n}");
	char place[PA_CONF_PLACELEN];

	cr_assert_str_eq(pa_conf_place(conf, "a[1]", place), "dir/x.conf:3: a[1]: ");
	cr_assert_str_eq(pa_conf_place(conf, "b", place), "dir/x.conf: b (by default): ");
	pa_conf_free(conf);
	conf = open_conf("{");
	cr_assert_str_eq(pa_conf_place(conf, "a", place), "dir/x.conf: a (by default): ");
	pa_conf_free(conf);
}

Test(conf, reads_values)
{
	struct pa_conf *conf = open_conf("{\"s\": \"text\", \"i\": -7, \"t\": true, \"f\": false, \"a\": \"192.0.2.1\","
					 "\"e\": \"192.0.2.1:99\", \"p\": \"192.0.2.0/24\", \"h\": \"00ff\"}");
	struct pa_node root = pa_conf_root(conf);
	struct pa_endpoint e;
	struct pa_prefix p;
	struct pa_addr a;
	uint8_t h[2];

	cr_assert_str_eq(pa_node_string(&root, "s", PA_REQUIRED_STR), "text");
	cr_assert_eq(pa_node_int(&root, "i", -10, 10, PA_REQUIRED_INT), -7);
	cr_assert(pa_node_bool(&root, "t", false));
	cr_assert_not(pa_node_bool(&root, "f", true));
	cr_assert(pa_node_addr(&root, "a", true, &a) && pa_addr_to_ipv4(&a) == 0xc0000201);
	cr_assert(pa_node_endpoint(&root, "e", true, 0, &e) && e.port == 99);
	cr_assert(pa_node_endpoint(&root, "a", true, 6080, &e) && e.port == 6080);
	cr_assert(pa_node_prefix(&root, "p", true, &p) && p.len == 24);
	cr_assert(pa_node_hex(&root, "h", true, h, 2) && h[0] == 0 && h[1] == 0xff);
	cr_assert(pa_node_has(&root, "s"));
	cr_assert_not(pa_node_has(&root, "x"));
	cr_assert_null(pa_conf_error(conf), "%s", pa_conf_error(conf));
	pa_conf_free(conf);
	pa_conf_free(NULL);
}

Test(conf, defaults_of_what_is_absent)
{
	struct pa_conf *conf = open_conf("{}");
	struct pa_node root = pa_conf_root(conf), child;
	struct pa_addr a;

	cr_assert_str_eq(pa_node_string(&root, "s", "def"), "def");
	cr_assert_null(pa_node_string(&root, "s", NULL));
	cr_assert_eq(pa_node_int(&root, "i", 1, 3, 9), 9);
	cr_assert(pa_node_bool(&root, "b", true));
	cr_assert_not(pa_node_addr(&root, "a", false, &a));
	cr_assert_eq(pa_node_list(&root, "l", false), 0u);
	child = pa_node_object(&root, "o", false);
	cr_assert_eq(pa_node_int(&child, "i", 1, 3, 2), 2);
	cr_assert_eq(pa_node_int(&child, "i", 1, 3, PA_REQUIRED_INT), 0, "nothing is required in an absent object");
	cr_assert_null(pa_conf_error(conf));
	pa_conf_free(conf);
}

Test(conf, comments_everywhere)
{
	static const char text[] = "# first\n"
				   "// second\n"
				   "/* third\n"
				   " * \" { [ fourth */ { # after a brace\n"
				   "\"a\" /* before the colon */ : // after it\n"
				   " 1, /**/ # \"b\": 2\n"
				   "\"list\": [ /* in a list */ 1, # one\n"
				   "  2 // two\n"
				   "  /* end */ ],\n"
				   "\"url\": \"http://x/*no*/#frag \\\" // in a string\",\n"
				   "\"z\": 3 /***/\n"
				   "} // no newline at the end";
	struct pa_conf *conf = open_conf(text);
	struct pa_node root = pa_conf_root(conf);

	cr_assert_null(pa_conf_error(conf), "%s", pa_conf_error(conf));
	cr_assert_eq(pa_node_int(&root, "a", 0, 9, 0), 1);
	cr_assert_eq(pa_node_list(&root, "list", true), 2u);
	cr_assert_str_eq(pa_node_string(&root, "url", ""), "http://x/*no*/#frag \" // in a string");
	cr_assert_not(pa_node_has(&root, "b"));
	cr_assert_eq(pa_node_int(&root, "z", 5, 9, 0), 0);
	expect(conf, "dir/x.conf:11: z: expected an integer from 5 to 9, got 3", "");
}

Test(conf, an_unended_comment_is_an_error)
{
	syntax("{\n\"a\": 1\n} /* and so on\n\n", "dir/x.conf:3: ", "comment");
	syntax("{\"a\": 1} /*/", "dir/x.conf:1: ", "comment");
}

Test(conf, syntax_errors_name_the_line)
{
	syntax("{\n\n\"a\": ,\n}", "dir/x.conf:3: column ", "unexpected token");
	syntax("{\n# x\n\"a\": 1\n\"b\": 2}", "dir/x.conf:4: ", "expected");
	syntax("{\"a\": 1,\n\"a\": 2}", "dir/x.conf:2: ", "duplicate");
	syntax("[]", "dir/x.conf:1: ", "expected an object");
	syntax("", "dir/x.conf:1: ", "");
	syntax("{\"a\": 99999999999999999999999}", "dir/x.conf:1: ", "big");
	syntax("{\"a\": 1} x", "dir/x.conf:1: ", "end of file");
	syntax("\xef\xbb\xbf{}", "dir/x.conf:1: ", "");
}

Test(conf, a_nul_byte)
{
	struct pa_conf *conf = pa_conf_new("f", "{}\0", 3);

	expect(conf, "f:1: ", "NUL");
}

static const char nested[] = "{ // 1\n"
			     "  \"pools\": [ // 2\n"
			     "    {\"id\": 1, \"prefix\": \"203.0.113.0/24\"},\n"
			     "    {\n"
			     "      \"id\": \"two\", // 5\n"
			     "      \"prefix\": \"203.0.113.1/24\",\n"
			     "      \"realms\": [\"a\",\n"
			     "                 7], // 8\n"
			     "      \"grant\": {\"mtu\": 1472,\n"
			     "                \"keep}alive\": 25, \"keepalive\": 2.5} // 10\n"
			     "    },\n"
			     "    \"three\"\n"
			     "  ],\n"
			     "  \"realms\": {\"x\": 1}\n"
			     "}\n";

static struct pa_node second_pool(struct pa_conf *conf)
{
	struct pa_node root = pa_conf_root(conf);

	cr_assert_eq(pa_node_list(&root, "pools", true), 3u);
	return pa_node_item(&root, "pools", 1);
}

Test(conf, nested_types)
{
	struct pa_conf *conf = open_conf(nested);
	struct pa_node pool = second_pool(conf);

	cr_assert_eq(pa_node_int(&pool, "id", 0, 9, PA_REQUIRED_INT), 0);
	expect(conf, "dir/x.conf:5: pools[1].id: expected an integer, got a string", "");
	conf = open_conf(nested);
	pool = second_pool(conf);
	cr_assert_str_eq(pa_node_item_string(&pool, "realms", 0), "a");
	cr_assert_str_eq(pa_node_item_string(&pool, "realms", 1), "");
	expect(conf, "dir/x.conf:8: pools[1].realms[1]: expected a string, got an integer", "");
}

Test(conf, nested_values)
{
	struct pa_conf *conf = open_conf(nested);
	struct pa_node pool = second_pool(conf), grant;
	struct pa_prefix p;

	cr_assert_not(pa_node_prefix(&pool, "prefix", true, &p));
	expect(conf, "dir/x.conf:6: pools[1].prefix: expected a prefix without host bits", "got \"203.0.113.1/24\"");
	conf = open_conf(nested);
	pool = second_pool(conf);
	grant = pa_node_object(&pool, "grant", true);
	cr_assert_eq(pa_node_int(&grant, "keepalive", 15, 120, 25), 25);
	expect(conf, "dir/x.conf:10: pools[1].grant.keepalive: expected an integer, got a fraction", "");
}

Test(conf, nested_missing)
{
	struct pa_conf *conf = open_conf(nested);
	struct pa_node pool = second_pool(conf), grant = pa_node_object(&pool, "grant", true);

	cr_assert_str_eq(pa_node_string(&pool, "name", PA_REQUIRED_STR), "");
	expect(conf, "dir/x.conf:4: pools[1].name: is missing; expected a string", "");
	conf = open_conf(nested);
	pool = second_pool(conf);
	grant = pa_node_object(&pool, "grant", true);
	cr_assert_eq(pa_node_int(&grant, "ttl", 0, 9, PA_REQUIRED_INT), 0);
	expect(conf, "dir/x.conf:9: pools[1].grant.ttl: is missing; expected an integer", "");
}

Test(conf, lists_and_objects_mixed_up)
{
	struct pa_conf *conf = open_conf(nested);
	struct pa_node root = pa_conf_root(conf), child;

	child = pa_node_item(&root, "pools", 2);
	cr_assert_null(child.json);
	expect(conf, "dir/x.conf:12: pools[2]: expected an object { ... }, got a string", "");
	conf = open_conf(nested);
	root = pa_conf_root(conf);
	cr_assert_eq(pa_node_list(&root, "realms", false), 0u);
	expect(conf, "dir/x.conf:14: realms: expected a list [ ... ], got an object", "");
	conf = open_conf(nested);
	root = pa_conf_root(conf);
	(void)pa_node_object(&root, "pools", false);
	expect(conf, "dir/x.conf:2: pools: expected an object { ... }, got a list", "");
}

Test(conf, unknown_settings)
{
	static const char *const top[] = {"pools", NULL}, *const pool_keys[] = {"id", "prefix", "realms", NULL};
	struct pa_conf *conf = open_conf(nested);
	struct pa_node root = pa_conf_root(conf), pool;

	pa_node_only(&root, top);
	expect(conf, "dir/x.conf:14: realms: unknown setting", "");
	conf = open_conf(nested);
	pool = second_pool(conf);
	pa_node_only(&pool, pool_keys);
	expect(conf, "dir/x.conf:9: pools[1].grant: unknown setting", "");
}

Test(conf, an_unknown_setting_cannot_forge_a_line)
{
	static const char *const none[] = {NULL};
	struct pa_conf *conf = open_conf("{\"a\\nroot:1: all is well\\u001b[31m\": 1}");
	struct pa_node root = pa_conf_root(conf);

	pa_node_only(&root, none);
	cr_assert_null(strchr(pa_conf_error(conf), '\x1b'));
	expect(conf, "dir/x.conf:1: a?root:1: all is well", "unknown setting");
}

Test(conf, ranges_are_inclusive)
{
	struct pa_conf *conf = open_conf("{\"a\": 15, \"b\": 120,\n\"c\": 121}");
	struct pa_node root = pa_conf_root(conf);

	cr_assert_eq(pa_node_int(&root, "a", 15, 120, 0), 15);
	cr_assert_eq(pa_node_int(&root, "b", 15, 120, 0), 120);
	cr_assert_null(pa_conf_error(conf));
	cr_assert_eq(pa_node_int(&root, "c", 15, 120, 30), 30, "the default after an error");
	expect(conf, "dir/x.conf:2: c: expected an integer from 15 to 120, got 121", "");
}

Test(conf, every_type_has_its_name)
{
	static const struct {
		const char *json, *name;
	} rows[] = {{"{}", "got an object"}, {"[]", "got a list"}, {"\"x\"", "got a string"}, {"1", "got an integer"},
		    {"1.5", "got a fraction"}, {"true", "got a boolean"}, {"null", "got null"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[64];
		struct pa_conf *conf;
		struct pa_node root;

		(void)snprintf(text, sizeof(text), "{\"k\":\n%s}", rows[i].json);
		conf = open_conf(text);
		root = pa_conf_root(conf);
		if (strcmp(rows[i].json, "\"x\"") == 0)
			(void)pa_node_int(&root, "k", 0, 1, 0);
		else
			(void)pa_node_string(&root, "k", "");
		expect(conf, "dir/x.conf:2: k: expected ", rows[i].name);
	}
}

Test(conf, texts_that_do_not_parse)
{
	static const char text[] = "{\"a\": \"300.0.0.1\", \"e\": \"192.0.2.1\", \"h\": \"00\", \"hx\": \"zz\", \"n\": 1}";
	struct pa_conf *conf = open_conf(text);
	struct pa_node root = pa_conf_root(conf);
	uint8_t two[2] = {7, 7};
	struct pa_endpoint e;
	struct pa_addr a;

	cr_assert_not(pa_node_addr(&root, "a", true, &a));
	expect(conf, "dir/x.conf:1: a: expected an IP address", "got \"300.0.0.1\"");
	conf = open_conf(text);
	root = pa_conf_root(conf);
	cr_assert_not(pa_node_endpoint(&root, "e", true, 0, &e));
	expect(conf, "dir/x.conf:1: e: expected an address with a port", "");
	conf = open_conf(text);
	root = pa_conf_root(conf);
	cr_assert_not(pa_node_hex(&root, "h", true, two, 2));
	cr_assert(two[0] == 7 && two[1] == 7);
	expect(conf, "dir/x.conf:1: h: expected 4 hexadecimal digits, got 2 characters", "");
	conf = open_conf(text);
	root = pa_conf_root(conf);
	cr_assert_not(pa_node_hex(&root, "hx", true, two, 1));
	expect(conf, "dir/x.conf:1: hx: expected 2 hexadecimal digits", "");
	conf = open_conf(text);
	root = pa_conf_root(conf);
	cr_assert_not(pa_node_addr(&root, "n", true, &a));
	expect(conf, "dir/x.conf:1: n: expected an IP address", "got an integer");
}

Test(conf, the_first_error_stays)
{
	struct pa_conf *conf = open_conf("{\"a\": \"x\",\n\"b\": \"y\", \"l\": [\"z\"]}");
	struct pa_node root = pa_conf_root(conf);

	(void)pa_node_int(&root, "b", 0, 1, 0);
	(void)pa_node_int(&root, "a", 0, 1, 0);
	pa_node_fail(&root, "a", "too late");
	cr_assert_str_eq(pa_node_string(&root, "a", "default"), "default");
	cr_assert_str_eq(pa_node_item_string(&root, "l", 0), "");
	cr_assert_not(pa_node_has(&root, "a"));
	expect(conf, "dir/x.conf:2: b: ", "");
}

Test(conf, checks_of_meaning)
{
	struct pa_conf *conf = open_conf("{\n\"a\": {\n\"b\": 1}}");
	struct pa_node root = pa_conf_root(conf), a = pa_node_object(&root, "a", true);

	pa_node_fail(&a, "b", "is %d; must be even", 1);
	expect(conf, "dir/x.conf:3: a.b: is 1; must be even", "");
	conf = open_conf("{\n\"a\": {\n\"b\": 1}}");
	root = pa_conf_root(conf);
	a = pa_node_object(&root, "a", true);
	pa_node_fail(&a, NULL, "is odd");
	expect(conf, "dir/x.conf:2: a: is odd", "");
	conf = open_conf("{}");
	root = pa_conf_root(conf);
	pa_node_fail(&root, NULL, "is empty");
	expect(conf, "dir/x.conf:1: is empty", "");
}

Test(conf, long_names_are_cut_not_overrun)
{
	char key[400], text[1000];
	static const char *const none[] = {NULL};
	struct pa_conf *conf;
	struct pa_node root, child;

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "{\"%s\": {\"%s\": 1}}", key, key);
	conf = open_conf(text);
	root = pa_conf_root(conf);
	child = pa_node_object(&root, key, true);
	pa_node_only(&child, none);
	expect(conf, "dir/x.conf:1: kkkk", "unknown setting");
}

TestSuite(conf_text, .timeout = 20);

Test(conf_text, line_of_every_value)
{
	static const struct {
		const char *path;
		unsigned line;
	} rows[] = {{"", 1}, {"a", 2}, {"b", 3}, {"b[0]", 3}, {"b[1]", 4}, {"b[1].c", 5}, {"b[2]", 6}, {"b[2][1]", 7},
		    {"d", 8}, {"d.e", 8}, {"d.e.f", 9}, {"x", 0}, {"b[3]", 0}, {"b[2][2]", 0}, {"a.b", 0}, {"a[0]", 0},
		    {"d[0]", 0}, {"b.c", 0}, {"[0]", 0}, {"b[999999999999999999999]", 0}, {"b[", 3}, {".", 0}};
	static const char text[] = "{\n"
				   "\"a\": \"}]\\\"{[\",\n"
				   "\"b\": [1,\n"
				   "{\n"
				   "\"c\": 2},\n"
				   "[-1.5e3,\n"
				   "null]],\n"
				   "\"d\": {\"e\": {\n"
				   "\"f\": true}}}\n";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(pa_conf_find_line(text, rows[i].path), rows[i].line, "%s: %u, not %u", rows[i].path,
			     pa_conf_find_line(text, rows[i].path), rows[i].line);
}

Test(conf_text, odd_text_does_not_overrun)
{
	static const char *const odd[] = {"", "{", "[", "{\"", "{\"a", "{\"a\\", "{\"a\"", "{\"a\":", "{\"a\":\"", "[[[[",
					  "{\"a\":[", "{\"a\" 1}", "\"", "}", "]", "{\"a\":}", "[1,", "[,]", "{\"a\":1 \"b\":2}"};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		/* On the heap, so that AddressSanitizer sees the end. */
		char *copy = strdup(odd[i]);

		cr_assert_not_null(copy);
		(void)pa_conf_blank_comments(copy, strlen(copy));
		cr_assert_leq(pa_conf_find_line(copy, "a[0].b"), 1u);
		cr_assert_leq(pa_conf_find_line(copy, "[1]"), 1u);
		free(copy);
	}
}

Test(conf_text, blanking_keeps_every_line_and_column)
{
	struct rnd r = rnd_seed(18);
	static const char alphabet[] = "\"\\/*#\n {}a,:";

	for (int round = 0; round < 20000; round++) {
		char text[64], before[64];
		size_t len = rnd_below(&r, sizeof(text));

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[rnd_below(&r, sizeof(alphabet) - 1)];
		memcpy(before, text, len);
		(void)pa_conf_blank_comments(text, len);
		for (size_t i = 0; i < len; i++)
			cr_assert(text[i] == before[i] || (text[i] == ' ' && before[i] != '\n'));
	}
}

Test(conf_text, a_big_file_is_quick, .timeout = 10)
{
	/* Every string was measured to the end of the file, so an error at the end of 4 MB took minutes. */
	size_t n = 4u << 20, at = 0;
	char *text = malloc(n + 64);

	cr_assert_not_null(text);
	at += (size_t)snprintf(text, 64, "{\"l\": [\n");
	while (at < n)
		at += (size_t)snprintf(text + at, 64, "\"x\",");
	(void)snprintf(text + at, 64, "1],\n\"z\": 1}");
	cr_assert_eq(pa_conf_find_line(text, "z"), 3u);
	free(text);
}
