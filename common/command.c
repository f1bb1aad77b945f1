/* SPDX-License-Identifier: MPL-2.0 */
#include "common/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

static json_t *load_object(const char *line, size_t len, char err[PA_COMMAND_ERRLEN])
{
	json_error_t e;
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e);

	if (root == NULL) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "not valid JSON at column %d: %s", e.column, e.text);
		return NULL;
	}
	if (!json_is_object(root)) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "expected a JSON object");
		json_decref(root);
		return NULL;
	}
	return root;
}

int pa_command_parse(const char *line, size_t len, struct pa_command *ret, char err[PA_COMMAND_ERRLEN])
{
	json_t *root = load_object(line, len, err);
	json_t *name, *arguments;

	if (root == NULL)
		return PA_EFORMAT;
	name = json_object_get(root, "command");
	arguments = json_object_get(root, "arguments");
	if (!json_is_string(name)) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "'command' is missing or not a string");
	} else if (arguments != NULL && !json_is_object(arguments)) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "'arguments' is not an object");
	} else {
		ret->root = root;
		ret->name = json_string_value(name);
		ret->arguments = arguments;
		ret->id = json_object_get(root, "id");
		return 0;
	}
	json_decref(root);
	return PA_EFORMAT;
}

void pa_command_clear(struct pa_command *cmd)
{
	json_decref(cmd->root);
	memset(cmd, 0, sizeof(*cmd));
}

/* Adds optional members; arguments is taken in every case. */
static json_t *finish(json_t *root, json_t *arguments, json_t *id)
{
	if (root == NULL) {
		json_decref(arguments);
		return NULL;
	}
	if (arguments != NULL && json_object_set_new(root, "arguments", arguments) < 0)
		goto fail;
	if (id != NULL && json_object_set(root, "id", id) < 0)
		goto fail;
	return root;
fail:
	json_decref(root);
	return NULL;
}

json_t *pa_command_new(const char *name, json_t *arguments, json_t *id)
{
	return finish(json_pack("{s:s}", "command", name), arguments, id);
}

/*
 * A text is cut to its buffer, perhaps inside a character, and may quote what a peer sent. JSON takes UTF-8 only, and a
 * reply has to go out all the same: then without what is not ASCII.
 */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	char *ascii;

	if (value != NULL)
		return value;
	ascii = strdup(text);
	if (ascii == NULL)
		return NULL;
	for (char *p = ascii; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	value = json_string(ascii);
	free(ascii);
	return value;
}

json_t *pa_reply_new(enum pa_result result, const char *text, json_t *arguments, json_t *id)
{
	return finish(json_pack("{s:i, s:o}", "result", (int)result, "text", text_value(text)), arguments, id);
}

char *pa_json_line(const json_t *json, size_t *ret_len)
{
	char *text = json_dumps(json, JSON_COMPACT);
	char *line;
	size_t n;

	if (text == NULL)
		return NULL;
	n = strlen(text);
	line = realloc(text, n + 2);
	if (line == NULL) {
		free(text);
		return NULL;
	}
	line[n] = '\n';
	line[n + 1] = '\0';
	*ret_len = n + 1;
	return line;
}

int pa_reply_parse(const char *line, size_t len, json_t **ret_root, int *ret_result, const char **ret_text,
		   json_t **ret_arguments, char err[PA_COMMAND_ERRLEN])
{
	json_t *root = load_object(line, len, err);
	json_t *result, *text, *arguments;

	if (root == NULL)
		return PA_EFORMAT;
	result = json_object_get(root, "result");
	text = json_object_get(root, "text");
	arguments = json_object_get(root, "arguments");
	if (!json_is_integer(result) || json_integer_value(result) < 0 || json_integer_value(result) > 255) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "'result' is missing or not a small number");
	} else if (text != NULL && !json_is_string(text)) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "'text' is not a string");
	} else if (arguments != NULL && !json_is_object(arguments)) {
		(void)snprintf(err, PA_COMMAND_ERRLEN, "'arguments' is not an object");
	} else {
		*ret_root = root;
		*ret_result = (int)json_integer_value(result);
		*ret_text = text != NULL ? json_string_value(text) : "";
		*ret_arguments = arguments;
		return 0;
	}
	json_decref(root);
	return PA_EFORMAT;
}

struct pa_linebuf {
	char *buf;
	size_t start; /* of the first line that is not taken yet */
	size_t tail;  /* of the line that is still growing; no byte is looked at twice */
	size_t len, cap, max;
};

struct pa_linebuf *pa_linebuf_new(size_t max)
{
	struct pa_linebuf *lb = calloc(1, sizeof(*lb));

	if (lb != NULL)
		lb->max = max;
	return lb;
}

void pa_linebuf_free(struct pa_linebuf *lb)
{
	if (lb == NULL)
		return;
	free(lb->buf);
	free(lb);
}

int pa_linebuf_feed(struct pa_linebuf *lb, const char *data, size_t len)
{
	size_t have = lb->len - lb->start;

	if (len == 0)
		return 0;
	if (lb->start > 0) {
		memmove(lb->buf, lb->buf + lb->start, have);
		lb->tail -= lb->start;
		lb->start = 0;
		lb->len = have;
	}
	if (have + len + 1 > lb->cap) {
		size_t cap = lb->cap > 0 ? lb->cap : 512;
		char *p;

		while (cap < have + len + 1)
			cap *= 2;
		p = realloc(lb->buf, cap);
		if (p == NULL)
			return PA_ENOMEM;
		lb->buf = p;
		lb->cap = cap;
	}
	memcpy(lb->buf + lb->len, data, len);
	while (len > 0) {
		const char *end = memchr(lb->buf + lb->len, '\n', len);
		size_t n = end != NULL ? (size_t)(end - (lb->buf + lb->len)) + 1 : len;

		lb->len += n;
		len -= n;
		if (lb->len - lb->tail > lb->max - (end != NULL ? 0 : 1))
			return PA_ETRUNC;
		if (end != NULL)
			lb->tail = lb->len;
	}
	return 0;
}

char *pa_linebuf_next(struct pa_linebuf *lb, size_t *ret_len)
{
	char *line, *end;

	if (lb->start == lb->tail)
		return NULL;
	line = lb->buf + lb->start;
	end = memchr(line, '\n', lb->tail - lb->start);
	PA_REQUIRE(end != NULL);
	*end = '\0';
	*ret_len = (size_t)(end - line);
	lb->start += *ret_len + 1;
	return line;
}
