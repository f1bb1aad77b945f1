/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/cgroup.h"

#include <string.h>

#include "common/err.h"

/* The field of a line that begins at *at; *at moves behind it and its blank. Returns its length. */
static size_t next_field(const char *line, size_t len, size_t *at, const char **ret)
{
	size_t start = *at, end = start;

	while (end < len && line[end] != ' ')
		end++;
	*ret = line + start;
	*at = end < len ? end + 1 : end;
	return end - start;
}

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7';
}

/* Blanks and the like stand there as \040. */
static int unescape(const char *s, size_t len, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '\\' && len - i > 3 && is_octal(s + i + 1)) {
			c = (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 | (s[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= cap)
			return PA_ETRUNC;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return 0;
}

int pa_cgroup_mount(const char *mounts, size_t len, char *dst, size_t cap)
{
	const char *found = NULL;
	size_t found_len = 0;

	while (len > 0) {
		const char *end = memchr(mounts, '\n', len), *what, *where, *type;
		size_t n = end != NULL ? (size_t)(end - mounts) : len, at = 0, where_len, type_len;

		(void)next_field(mounts, n, &at, &what);
		where_len = next_field(mounts, n, &at, &where);
		type_len = next_field(mounts, n, &at, &type);
		if (type_len == 7 && memcmp(type, "cgroup2", 7) == 0 && where_len > 0) {
			found = where;
			found_len = where_len;
		}
		n += end != NULL;
		mounts += n;
		len -= n;
	}
	return found != NULL ? unescape(found, found_len, dst, cap) : PA_ENOTFOUND;
}

static bool has_parent(const char *path, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++)
		if (memcmp(path + i, "/..", 3) == 0 && (i + 3 == len || path[i + 3] == '/'))
			return true;
	return false;
}

int pa_cgroup_own(const char *text, size_t len, char *dst, size_t cap)
{
	static const char gone[] = " (deleted)";

	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end != NULL ? (size_t)(end - text) : len, g = sizeof(gone) - 1;

		if (n > 3 && memcmp(text, "0::", 3) == 0) {
			const char *path = text + 3;

			n -= 3;
			if (path[0] != '/' || memchr(path, '\0', n) != NULL || has_parent(path, n) ||
			    (n > g && memcmp(path + n - g, gone, g) == 0))
				return PA_EFORMAT;
			if (n >= cap)
				return PA_ETRUNC;
			memcpy(dst, path, n);
			dst[n] = '\0';
			return 0;
		}
		n += end != NULL;
		text += n;
		len -= n;
	}
	return PA_ENOTFOUND;
}

bool pa_cgroup_inside(const char *path, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/'))
		if (strncmp(at + 1, name, n) == 0 && (at[1 + n] == '\0' || at[1 + n] == '/'))
			return true;
	return false;
}
