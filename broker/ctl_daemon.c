/* SPDX-License-Identifier: MPL-2.0 */
/* What pubaddrctl status prints of a daemon that is not the broker: its name, and what it tells, as it tells it. */
#include <string.h>

#include "broker/ctl.h"
#include "broker/paths.h"

bool pa_ctl_is_broker(const json_t *status)
{
	const char *name = json_string_value(json_object_get(status, "daemon"));

	return name != NULL && strcmp(name, PA_BROKER_NAME) == 0;
}

static bool print_scalar(FILE *out, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		fprintf(out, " %s", json_string_value(value));
		return true;
	case JSON_INTEGER:
		fprintf(out, " %lld", (long long)json_integer_value(value));
		return true;
	case JSON_TRUE:
	case JSON_FALSE:
		fprintf(out, json_is_true(value) ? " yes" : " no");
		return true;
	default:
		return false;
	}
}

static bool is_list_of_words(const json_t *value)
{
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!json_is_string(json_array_get(value, i)))
			return false;
	return json_is_array(value);
}

/* False: it takes more than a line. */
static bool print_line(FILE *out, const char *key, const json_t *value)
{
	if (!is_list_of_words(value) && (json_is_object(value) || json_is_array(value)))
		return false;
	fprintf(out, "%-24s", key);
	for (size_t i = 0; i < json_array_size(value); i++)
		(void)print_scalar(out, json_array_get(value, i));
	(void)print_scalar(out, value);
	fprintf(out, "\n");
	return true;
}

static bool is_head(const char *key)
{
	return strcmp(key, "daemon") == 0 || strcmp(key, "version") == 0 || strcmp(key, "uptime") == 0 || strcmp(key, "counters") == 0;
}

static void print_head(FILE *out, const json_t *status)
{
	const char *name = json_string_value(json_object_get(status, "daemon"));
	const char *version = json_string_value(json_object_get(status, "version"));
	const json_t *up = json_object_get(status, "uptime");

	fprintf(out, "%s %s", name != NULL ? name : "a daemon that does not say its name,", version != NULL ? version : "of unknown version");
	if (up != NULL)
		fprintf(out, ", up %lld s", (long long)json_integer_value(up));
	fprintf(out, "\n");
}

void pa_ctl_print_daemon(FILE *out, json_t *status)
{
	const char *key, *more = "with --json also         ";
	json_t *value;

	print_head(out, status);
	json_object_foreach (status, key, value)
		if (!is_head(key))
			(void)print_line(out, key, value);
	json_object_foreach (json_object_get(status, "counters"), key, value)
		(void)print_line(out, key, value);
	json_object_foreach (status, key, value) {
		if (is_head(key) || is_list_of_words(value) || (!json_is_object(value) && !json_is_array(value)))
			continue;
		fprintf(out, "%s%s", more, key);
		more = ", ";
	}
	if (more[0] == ',')
		fprintf(out, "\n");
}
