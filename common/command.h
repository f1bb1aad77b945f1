/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_COMMAND_H
#define PA_COMMAND_H

#include <jansson.h>
#include <stddef.h>

/*
 * Commands and replies in the shape of Kea's control channel (Kea Administrator Reference Manual, "Management API"), one JSON
 * object a line. {"command": NAME, "arguments": {...}, "id": ANY} is answered by {"result": N, "text": S, "arguments":
 * {...}, "id": the same}. Pure; any thread.
 */
enum pa_result {
	PA_RESULT_SUCCESS = 0,
	PA_RESULT_ERROR = 1,
	PA_RESULT_UNSUPPORTED = 2,
	PA_RESULT_EMPTY = 3, /* understood, nothing found */
};

#define PA_COMMAND_LINE_MAX 65536 /* bytes, newline included; a longer line ends the connection */
#define PA_COMMAND_ERRLEN 192

struct pa_command {
	json_t *root;	     /* owns the rest */
	const char *name;    /* borrowed from root */
	json_t *arguments;   /* borrowed; an object, or NULL when there are none */
	json_t *id;	     /* borrowed; NULL when there is none */
};

/* Parses one line. On failure returns PA_EFORMAT with a message in err. pa_command_clear frees what it holds. */
int pa_command_parse(const char *line, size_t len, struct pa_command *ret, char err[PA_COMMAND_ERRLEN]);
void pa_command_clear(struct pa_command *cmd);

/* Builds; arguments is taken (may be NULL), id is not. NULL without memory. The caller frees by json_decref. */
json_t *pa_command_new(const char *name, json_t *arguments, json_t *id);
json_t *pa_reply_new(enum pa_result result, const char *text, json_t *arguments, json_t *id);
/* One line with its newline, malloc'd, *len without the NUL; NULL without memory. Takes nothing. */
char *pa_json_line(const json_t *json, size_t *ret_len);

/* Parses a reply line: result, text and arguments borrowed from *ret_root, which the caller frees. */
int pa_reply_parse(const char *line, size_t len, json_t **ret_root, int *ret_result, const char **ret_text,
		   json_t **ret_arguments, char err[PA_COMMAND_ERRLEN]);

/*
 * A buffer that collects bytes and gives whole lines of at most max > 0 bytes, the newline included. feed: 0, PA_ENOMEM, or
 * PA_ETRUNC when a line is longer; after either the buffer is good for nothing but pa_linebuf_free. It holds what was fed
 * and not taken, so the owner takes all lines before it feeds again, or stops feeding. next: a line without its newline,
 * NUL-terminated and valid until the next feed, or NULL.
 */
struct pa_linebuf;
struct pa_linebuf *pa_linebuf_new(size_t max);
void pa_linebuf_free(struct pa_linebuf *lb);
int pa_linebuf_feed(struct pa_linebuf *lb, const char *data, size_t len);
char *pa_linebuf_next(struct pa_linebuf *lb, size_t *ret_len);

#endif
