/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A configuration of any bytes: it is read like a daemon's, the error is one line that begins with the file, and the helpers
 * that find comments and lines stay inside the text whatever it is.
 */
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/conf_text.h"
#include "common/err.h"
#include "test/fuzz/fuzz.h"

static void read_pool(const struct pa_node *pool)
{
	static const char *const keys[] = {"id", "name", "prefix", "exclude", "gateways", "grant", NULL};
	struct pa_node grant = pa_node_object(pool, "grant", false);
	struct pa_endpoint endpoint;
	struct pa_prefix prefix;
	uint8_t key[32];

	pa_node_only(pool, keys);
	(void)pa_node_int(pool, "id", 0, 65535, PA_REQUIRED_INT);
	(void)pa_node_string(pool, "name", PA_REQUIRED_STR);
	(void)pa_node_prefix(pool, "prefix", true, &prefix);
	for (size_t i = 0; i < pa_node_list(pool, "exclude", false); i++)
		PA_REQUIRE(pa_node_item_string(pool, "exclude", i) != NULL);
	(void)pa_node_int(&grant, "mtu", 1280, 65535, 1472);
	(void)pa_node_bool(&grant, "always", false);
	(void)pa_node_hex(&grant, "key", false, key, sizeof(key));
	(void)pa_node_endpoint(&grant, "gateway", false, 6080, &endpoint);
}

static void read_all(const char *text, size_t len)
{
	struct pa_conf *conf = pa_conf_new("f", text, len);
	struct pa_node root;
	struct pa_addr addr;
	const char *error;

	if (conf == NULL)
		return;
	root = pa_conf_root(conf);
	(void)pa_node_string(&root, "socket", "/run/x");
	(void)pa_node_addr(&root, "address", false, &addr);
	for (size_t i = 0; i < pa_node_list(&root, "pools", false); i++) {
		struct pa_node pool = pa_node_item(&root, "pools", i);

		read_pool(&pool);
	}
	error = pa_conf_error(conf);
	PA_REQUIRE(error == NULL || (strncmp(error, "f:", 2) == 0 && strchr(error, '\n') == NULL));
	pa_conf_free(conf);
}

/* Exact copies on the heap, with a path that is taken from the text itself. */
static void find_lines(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), path[24];
	size_t n = len < sizeof(path) - 1 ? len : sizeof(path) - 1;
	unsigned lines = 1;

	PA_REQUIRE(text != NULL);
	if (len > 0) {
		memcpy(text, data, len);
		memcpy(path, data, n);
	}
	text[len] = path[n] = '\0';
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	PA_REQUIRE(pa_conf_blank_comments(text, len) <= lines);
	PA_REQUIRE(pa_conf_find_line(text, path) <= lines);
	PA_REQUIRE(pa_conf_find_line(text, "pools[1].grant.mtu") <= lines);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	read_all((const char *)data, len);
	find_lines(data, len);
	return 0;
}
