/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/conf_values.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/ifname.h"
#include "common/log.h"
#include "tunnel/dp_select.h"

int pa_conf_prefixes(const struct pa_node *n, const char *key, struct pa_prefix **ret, size_t *ret_n)
{
	size_t count = pa_node_list(n, key, false);
	struct pa_prefix *list;

	if (count == 0)
		return 0;
	list = calloc(count, sizeof(*list));
	if (list == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *s = pa_node_item_string(n, key, i);

		if (*s != '\0' && pa_prefix_parse(s, &list[i]) < 0)
			pa_node_fail(n, key, "expected prefixes without host bits, such as \"192.0.2.0/24\", got \"%s\"", s);
	}
	*ret = list;
	*ret_n = count;
	return 0;
}

void pa_conf_device(const struct pa_node *n, const char *key, const char *def, char ret[16])
{
	const char *s = pa_node_string(n, key, def);

	if (!pa_ifname_valid(s)) {
		pa_node_fail(n, key, "expected an interface name of 1 to 15 letters, digits and . _ - @ + =, got \"%s\"", s);
		s = def;
	}
	(void)snprintf(ret, 16, "%s", s);
}

int pa_conf_path(const struct pa_node *n, const char *key, const char *def, char **ret)
{
	const char *s = pa_node_string(n, key, def);

	if (*s != '/')
		pa_node_fail(n, key, "expected an absolute path, got \"%s\"", s);
	*ret = strdup(s);
	return *ret != NULL ? 0 : PA_ENOMEM;
}

int64_t pa_conf_item_int(const struct pa_node *n, const char *key, size_t i, int64_t min, int64_t max)
{
	const json_t *v = json_array_get(json_object_get(n->json, key), i);

	if (json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max)
		return json_integer_value(v);
	pa_node_fail(n, key, "item %zu: expected an integer from %lld to %lld", i, (long long)min, (long long)max);
	return 0;
}

int pa_conf_log_level(const struct pa_node *n)
{
	const char *s = pa_node_string(n, "log-level", "info");
	int level = pa_log_level_parse(s);

	if (level < 0) {
		pa_node_fail(n, "log-level", "expected \"error\", \"warning\", \"info\" or \"debug\", got \"%s\"", s);
		level = PA_LOG_INFO;
	}
	return level;
}

int pa_conf_datapath(const struct pa_node *n, int *choice, char **bpf_dir)
{
	const char *s = pa_node_string(n, "datapath", "auto");

	*choice = pa_path_choice_parse(s);
	if (*choice < 0)
		pa_node_fail(n, "datapath", "expected \"auto\", \"kernel\" or \"user\", got \"%s\"", s);
	return pa_conf_path(n, "bpf-dir", "/sys/fs/bpf/pubaddr", bpf_dir);
}
