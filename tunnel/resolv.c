/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/resolv.h"

#include <string.h>

static const char keyword[] = "nameserver";

/* One line of n bytes. */
static int parse_line(const char *line, size_t n, struct pa_addr *ret)
{
	char word[PA_ADDR_STRLEN];
	size_t i = sizeof(keyword) - 1, from;

	if (n <= i || memcmp(line, keyword, i) != 0 || (line[i] != ' ' && line[i] != '\t'))
		return -1;
	while (i < n && (line[i] == ' ' || line[i] == '\t'))
		i++;
	from = i;
	/* A zone (fe80::1%eth0) ends the address for us: only whose address it is matters. */
	while (i < n && strchr(" \t\r%#;", line[i]) == NULL)
		i++;
	if (i == from || i - from >= sizeof(word))
		return -1;
	memcpy(word, line + from, i - from);
	word[i - from] = '\0';
	return pa_addr_parse(word, ret);
}

size_t pa_resolv_parse(const char *text, size_t len, struct pa_addr *ret, size_t cap)
{
	size_t n = 0;

	while (len > 0 && n < cap) {
		const char *nl = memchr(text, '\n', len);
		size_t line = nl != NULL ? (size_t)(nl - text) : len;
		size_t step = nl != NULL ? line + 1 : line;

		if (parse_line(text, line, &ret[n]) == 0)
			n++;
		text += step;
		len -= step;
	}
	return n;
}
