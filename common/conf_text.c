/* SPDX-License-Identifier: MPL-2.0 */
#include "common/conf_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * Index just past the string that starts at text[i] == '"'. It ends at its quote, at the end of the line, at len or
 * before a NUL, so that NUL-terminated text needs no length (len: SIZE_MAX).
 */
static size_t skip_string(const char *text, size_t i, size_t len)
{
	for (i++; i < len && text[i] != '\0'; i++) {
		if (text[i] == '"' || text[i] == '\n')
			return i + 1;
		if (text[i] == '\\' && i + 1 < len && text[i + 1] != '\0')
			i++;
	}
	return i;
}

static size_t blank_to(char *text, size_t from, size_t to)
{
	for (; from < to; from++)
		if (text[from] != '\n')
			text[from] = ' ';
	return to;
}

static size_t line_end(const char *text, size_t i, size_t len)
{
	const char *nl = memchr(text + i, '\n', len - i);

	return nl != NULL ? (size_t)(nl - text) : len;
}

/* Index just past the comment that starts at text[i], or SIZE_MAX if it does not end. */
static size_t block_end(const char *text, size_t i, size_t len)
{
	for (i += 2; i + 1 < len; i++)
		if (text[i] == '*' && text[i + 1] == '/')
			return i + 2;
	return SIZE_MAX;
}

static unsigned line_at(const char *text, size_t i)
{
	unsigned line = 1;

	while (i > 0)
		line += text[--i] == '\n';
	return line;
}

unsigned pa_conf_blank_comments(char *text, size_t len)
{
	unsigned unended = 0;
	size_t i = 0, end;

	while (i < len) {
		if (text[i] == '"')
			i = skip_string(text, i, len);
		else if (text[i] == '#' || (text[i] == '/' && i + 1 < len && text[i + 1] == '/'))
			i = blank_to(text, i, line_end(text, i, len));
		else if (text[i] == '/' && i + 1 < len && text[i + 1] == '*') {
			end = block_end(text, i, len);
			if (end == SIZE_MAX) {
				unended = line_at(text, i);
				end = len;
			}
			i = blank_to(text, i, end);
		} else
			i++;
	}
	return unended;
}

static const char *skip_blank(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Just past the value at p. Nesting is only counted: the JSON parser has already accepted the text. */
static const char *skip_value(const char *p)
{
	size_t depth = 0;

	p = skip_blank(p);
	do {
		if (*p == '"') {
			p += skip_string(p, 0, SIZE_MAX);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && depth > 0)
			depth--;
		else if (depth == 0)
			return p + strcspn(p, ",}] \t\r\n");
		if (*p != '\0')
			p++;
	} while (depth > 0 && *p != '\0');
	return p;
}

/* The value of member name (n bytes) of the object at p, or NULL. */
static const char *find_member(const char *p, const char *name, size_t n)
{
	p = skip_blank(p);
	if (*p != '{')
		return NULL;
	p = skip_blank(p + 1);
	while (*p == '"') {
		size_t len = skip_string(p, 0, SIZE_MAX);
		bool hit = len == n + 2 && memcmp(p + 1, name, n) == 0;

		p = skip_blank(p + len);
		if (*p != ':')
			return NULL;
		p = skip_blank(p + 1);
		if (hit)
			return p;
		p = skip_blank(skip_value(p));
		if (*p == ',')
			p = skip_blank(p + 1);
	}
	return NULL;
}

static const char *find_item(const char *p, size_t index)
{
	p = skip_blank(p);
	if (*p != '[')
		return NULL;
	p = skip_blank(p + 1);
	for (; index > 0 && *p != ']' && *p != '\0'; index--) {
		p = skip_blank(skip_value(p));
		if (*p != ',')
			return NULL;
		p = skip_blank(p + 1);
	}
	return *p != ']' && *p != '\0' ? p : NULL;
}

static size_t take_index(const char **path)
{
	size_t v = 0;

	for (; **path >= '0' && **path <= '9' && v < 1000000; (*path)++)
		v = v * 10 + (size_t)(**path - '0');
	*path += strcspn(*path, "]");
	if (**path == ']')
		(*path)++;
	return v;
}

unsigned pa_conf_find_line(const char *text, const char *path)
{
	const char *p = skip_blank(text);

	while (*path != '\0' && p != NULL) {
		if (*path == '[') {
			path++;
			p = find_item(p, take_index(&path));
		} else {
			size_t n = strcspn(path, ".[");

			p = find_member(p, path, n);
			path += n;
		}
		if (*path == '.')
			path++;
	}
	if (p == NULL)
		return 0;
	return line_at(text, (size_t)(p - text));
}
