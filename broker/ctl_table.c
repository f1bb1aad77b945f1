/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/ctl.h"

#define COLUMNS_MAX 16

static const char *cell(const json_t *row, size_t column)
{
	const char *s = json_string_value(json_array_get(row, column));

	return s != NULL ? s : "";
}

void pa_ctl_table(FILE *out, const char *const *heads, size_t n_heads, const json_t *rows)
{
	size_t width[COLUMNS_MAX] = {0}, n = n_heads < COLUMNS_MAX ? n_heads : COLUMNS_MAX;

	for (size_t c = 0; c < n; c++) {
		width[c] = strlen(heads[c]);
		for (size_t r = 0; r < json_array_size(rows); r++) {
			size_t len = strlen(cell(json_array_get(rows, r), c));

			if (len > width[c])
				width[c] = len;
		}
	}
	for (size_t r = 0; r <= json_array_size(rows); r++) {
		for (size_t c = 0; c < n; c++) {
			const char *s = r == 0 ? heads[c] : cell(json_array_get(rows, r - 1), c);

			if (c + 1 < n)
				fprintf(out, "%-*s  ", (int)width[c], s);
			else
				fprintf(out, "%s\n", s);
		}
	}
}

void pa_ctl_print_json(FILE *out, const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text != NULL)
		fprintf(out, "%s\n", text);
	free(text);
}
