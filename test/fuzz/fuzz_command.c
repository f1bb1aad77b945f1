/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a peer of a command socket may send: the bytes come in two pieces, are cut into lines, and each line is parsed as a
 * command and as a reply. Cut or not, the lines are the same; what is parsed can be answered in one line.
 */
#include <stdlib.h>
#include <string.h>

#include "common/command.h"
#include "common/err.h"
#include "test/fuzz/fuzz.h"

#define LINE_MAX_LEN 512

static void check_command(const char *line, size_t len)
{
	char err[PA_COMMAND_ERRLEN] = "", *text;
	struct pa_command cmd;
	json_t *reply;
	size_t n;

	if (pa_command_parse(line, len, &cmd, err) < 0) {
		reply = pa_reply_new(PA_RESULT_ERROR, err, NULL, NULL);
	} else {
		reply = pa_reply_new(PA_RESULT_SUCCESS, cmd.name, json_incref(cmd.arguments), cmd.id);
		pa_command_clear(&cmd);
	}
	PA_REQUIRE(reply != NULL);
	text = pa_json_line(reply, &n);
	PA_REQUIRE(text != NULL && strlen(text) == n && strchr(text, '\n') == text + n - 1);
	free(text);
	json_decref(reply);
}

static void check_reply(const char *line, size_t len)
{
	char err[PA_COMMAND_ERRLEN] = "";
	json_t *root, *arguments;
	const char *text;
	int result;

	if (pa_reply_parse(line, len, &root, &result, &text, &arguments, err) < 0) {
		PA_REQUIRE(err[0] != '\0');
		return;
	}
	PA_REQUIRE(result >= 0 && result <= 255 && text != NULL);
	PA_REQUIRE(arguments == NULL || json_is_object(arguments));
	json_decref(root);
}

/* Returns how many lines there were, or what feed returned. */
static int cut(const char *data, size_t len, size_t at)
{
	struct pa_linebuf *lb = pa_linebuf_new(LINE_MAX_LEN);
	int rc, lines = 0;
	char *line;
	size_t n;

	PA_REQUIRE(lb != NULL);
	rc = pa_linebuf_feed(lb, data, at);
	if (rc == 0)
		rc = pa_linebuf_feed(lb, data + at, len - at);
	while (rc == 0 && (line = pa_linebuf_next(lb, &n)) != NULL) {
		PA_REQUIRE(n < LINE_MAX_LEN && line[n] == '\0');
		lines++;
		check_command(line, n);
		check_reply(line, n);
	}
	pa_linebuf_free(lb);
	return rc < 0 ? rc : lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int lines = cut((const char *)data, len, 0);

	PA_REQUIRE(cut((const char *)data, len, len > 0 ? data[0] % (len + 1) : 0) == lines);
	return 0;
}
