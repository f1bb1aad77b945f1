/* SPDX-License-Identifier: MPL-2.0 */
/* Commands, replies, and the buffer that cuts a stream into lines. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/command.h"
#include "common/err.h"
#include "test/unit/rnd.h"

TestSuite(command, .timeout = 20);

static void refused(const char *line, const char *want)
{
	char err[PA_COMMAND_ERRLEN] = "";
	struct pa_command cmd;

	cr_assert_eq(pa_command_parse(line, strlen(line), &cmd, err), PA_EFORMAT, "%s", line);
	cr_assert_not_null(strstr(err, want), "'%s' does not contain '%s'", err, want);
}

Test(command, parses)
{
	static const char line[] = "{\"command\": \"lease-get\", \"arguments\": {\"address\": \"203.0.113.7\"}, \"id\": [1]}";
	char err[PA_COMMAND_ERRLEN];
	struct pa_command cmd;

	cr_assert_eq(pa_command_parse(line, strlen(line), &cmd, err), 0);
	cr_assert_str_eq(cmd.name, "lease-get");
	cr_assert_str_eq(json_string_value(json_object_get(cmd.arguments, "address")), "203.0.113.7");
	cr_assert(json_is_array(cmd.id));
	pa_command_clear(&cmd);
	cr_assert_null(cmd.root);
	cr_assert_eq(pa_command_parse("{\"command\":\"x\"}", 15, &cmd, err), 0);
	cr_assert(cmd.arguments == NULL && cmd.id == NULL);
	pa_command_clear(&cmd);
}

Test(command, refuses)
{
	refused("", "not valid JSON");
	refused("{", "not valid JSON at column");
	refused("[]", "expected a JSON object");
	refused("null", "not valid JSON");
	refused("{}", "'command' is missing");
	refused("{\"command\": 1}", "'command' is missing or not a string");
	refused("{\"command\": \"x\", \"arguments\": []}", "'arguments' is not an object");
	refused("{\"command\": \"x\", \"arguments\": null}", "'arguments' is not an object");
	refused("{\"command\": \"x\", \"command\": \"y\"}", "duplicate");
	refused("{\"command\": \"x\"} {}", "not valid JSON");
}

Test(command, bytes_after_a_nul_count)
{
	static const char line[] = "{\"command\": \"x\"}\0{";
	char err[PA_COMMAND_ERRLEN];
	struct pa_command cmd;

	cr_assert_eq(pa_command_parse(line, sizeof(line) - 1, &cmd, err), PA_EFORMAT);
}

/* Replies go through a line and come back. */
Test(command, replies_come_back)
{
	char err[PA_COMMAND_ERRLEN], *line;
	json_t *id = json_pack("{s:i}", "n", 7), *root, *arguments;
	json_t *reply = pa_reply_new(PA_RESULT_EMPTY, "nothing \"here\"\n", json_pack("{s:s}", "a", "b"), id);
	const char *text;
	size_t len;
	int result;

	line = pa_json_line(reply, &len);
	cr_assert_eq(len, strlen(line));
	cr_assert_eq(strchr(line, '\n'), line + len - 1, "one line");
	cr_assert_eq(pa_reply_parse(line, len, &root, &result, &text, &arguments, err), 0);
	cr_assert_eq(result, 3);
	cr_assert_str_eq(text, "nothing \"here\"\n");
	cr_assert_str_eq(json_string_value(json_object_get(arguments, "a")), "b");
	cr_assert(json_equal(json_object_get(root, "id"), id));
	json_decref(root);
	json_decref(reply);
	json_decref(id);
	free(line);
}

Test(command, a_reply_is_made_of_any_text)
{
	/* Texts are cut to a buffer, perhaps inside a character, and quote what a peer sent: the reply must go out. */
	json_t *reply = pa_reply_new(PA_RESULT_ERROR, "K\xc3\xb6ln \xc3", NULL, NULL);
	char *line;
	size_t len;

	cr_assert_not_null(reply);
	line = pa_json_line(reply, &len);
	cr_assert_str_eq(line, "{\"result\":1,\"text\":\"K??ln ?\"}\n");
	free(line);
	json_decref(reply);
}

Test(command, replies_refused)
{
	static const char *const bad[] = {"", "[]", "{}", "{\"result\": \"0\"}", "{\"result\": -1}", "{\"result\": 256}",
					  "{\"result\": 0.5}", "{\"result\": 0, \"text\": 1}",
					  "{\"result\": 0, \"arguments\": []}"};
	char err[PA_COMMAND_ERRLEN];
	json_t *root = NULL, *arguments;
	const char *text;
	int result;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		cr_assert_eq(pa_reply_parse(bad[i], strlen(bad[i]), &root, &result, &text, &arguments, err), PA_EFORMAT,
			     "%s", bad[i]);
		cr_assert_null(root);
		cr_assert_str_neq(err, "");
	}
	cr_assert_eq(pa_reply_parse("{\"result\": 0}", 13, &root, &result, &text, &arguments, err), 0);
	cr_assert_str_eq(text, "");
	cr_assert_null(arguments);
	json_decref(root);
}

Test(command, commands_come_back)
{
	json_t *json = pa_command_new("status-get", json_pack("{s:i}", "a", 1), NULL);
	char err[PA_COMMAND_ERRLEN], *line;
	struct pa_command cmd;
	size_t len;

	line = pa_json_line(json, &len);
	json_decref(json);
	cr_assert_eq(pa_command_parse(line, len, &cmd, err), 0);
	cr_assert_str_eq(cmd.name, "status-get");
	cr_assert_eq(json_integer_value(json_object_get(cmd.arguments, "a")), 1);
	cr_assert_null(cmd.id);
	pa_command_clear(&cmd);
	free(line);
}

TestSuite(linebuf, .timeout = 20);

Test(linebuf, gives_whole_lines)
{
	struct pa_linebuf *lb = pa_linebuf_new(100);
	size_t len = 99;

	cr_assert_null(pa_linebuf_next(lb, &len));
	cr_assert_eq(pa_linebuf_feed(lb, "ab", 2), 0);
	cr_assert_null(pa_linebuf_next(lb, &len));
	cr_assert_eq(pa_linebuf_feed(lb, "c\n\nde\nf", 7), 0);
	cr_assert_str_eq(pa_linebuf_next(lb, &len), "abc");
	cr_assert_eq(len, 3u);
	cr_assert_str_eq(pa_linebuf_next(lb, &len), "");
	cr_assert_eq(len, 0u);
	cr_assert_str_eq(pa_linebuf_next(lb, &len), "de");
	cr_assert_null(pa_linebuf_next(lb, &len));
	cr_assert_eq(pa_linebuf_feed(lb, "\n", 1), 0);
	cr_assert_str_eq(pa_linebuf_next(lb, &len), "f");
	cr_assert_null(pa_linebuf_next(lb, &len));
	pa_linebuf_free(lb);
	pa_linebuf_free(NULL);
}

Test(linebuf, limit_counts_the_newline)
{
	char line[101];
	size_t len;

	memset(line, 'x', sizeof(line));
	for (size_t n = 95; n <= sizeof(line); n++) {
		struct pa_linebuf *lb = pa_linebuf_new(100);

		line[n - 1] = '\n';
		cr_assert_eq(pa_linebuf_feed(lb, line, n), n <= 100 ? 0 : PA_ETRUNC, "whole, %zu", n);
		pa_linebuf_free(lb);
		lb = pa_linebuf_new(100);
		cr_assert_eq(pa_linebuf_feed(lb, line, n - 1), n - 1 < 100 ? 0 : PA_ETRUNC, "in two, %zu", n);
		pa_linebuf_free(lb);
		line[n - 1] = 'x';
	}
	{
		struct pa_linebuf *lb = pa_linebuf_new(100);

		line[99] = '\n';
		cr_assert_eq(pa_linebuf_feed(lb, line, 100), 0);
		cr_assert_not_null(pa_linebuf_next(lb, &len));
		cr_assert_eq(len, 99u);
		pa_linebuf_free(lb);
	}
}

Test(linebuf, a_long_line_among_short_ones)
{
	struct pa_linebuf *lb = pa_linebuf_new(10);

	cr_assert_eq(pa_linebuf_feed(lb, "a\n0123456789abc\nb\n", 18), PA_ETRUNC);
	pa_linebuf_free(lb);
}

Test(linebuf, random_cuts_give_the_same_lines)
{
	struct rnd r = rnd_seed(17);

	for (int round = 0; round < 300; round++) {
		struct pa_linebuf *lb = pa_linebuf_new(4096);
		char stream[2000];
		size_t fed = 0, taken = 0;

		for (size_t i = 0; i < sizeof(stream); i++)
			stream[i] = rnd_below(&r, 20) == 0 ? '\n' : (char)('a' + rnd_below(&r, 26));
		stream[sizeof(stream) - 1] = '\n';
		while (fed < sizeof(stream)) {
			size_t n = 1 + rnd_below(&r, 100), len;
			char *line;

			n = n < sizeof(stream) - fed ? n : sizeof(stream) - fed;
			cr_assert_eq(pa_linebuf_feed(lb, stream + fed, n), 0);
			fed += n;
			while (rnd_below(&r, 8) != 0 && (line = pa_linebuf_next(lb, &len)) != NULL) {
				cr_assert_eq(memcmp(line, stream + taken, len), 0);
				cr_assert_eq(stream[taken + len], '\n');
				cr_assert_eq(line[len], '\0');
				taken += len + 1;
			}
		}
		for (size_t len; pa_linebuf_next(lb, &len) != NULL;)
			taken += len + 1;
		cr_assert_eq(taken, sizeof(stream));
		pa_linebuf_free(lb);
	}
}

/* A reply of many megabytes comes in small pieces; going over it again for each of them would take minutes. */
Test(linebuf, a_long_line_in_small_pieces_is_quick, .timeout = 10)
{
	struct pa_linebuf *lb = pa_linebuf_new(64u << 20);
	char piece[512];
	size_t len = 0, fed = 0;

	memset(piece, 'x', sizeof(piece));
	for (; fed < (24u << 20); fed += sizeof(piece)) {
		cr_assert_eq(pa_linebuf_feed(lb, piece, sizeof(piece)), 0);
		cr_assert_null(pa_linebuf_next(lb, &len));
	}
	cr_assert_eq(pa_linebuf_feed(lb, "\n", 1), 0);
	cr_assert_not_null(pa_linebuf_next(lb, &len));
	cr_assert_eq(len, fed);
	pa_linebuf_free(lb);
}
