/* SPDX-License-Identifier: MPL-2.0 */
#include "kea-hook/params.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/proto.h"

#define SUBNET_ID_MAX 4294967294 /* Kea's SUBNET_ID_MAX */

struct names {
	const char **v; /* borrowed from conf */
	size_t n;
};

struct pa_hook_params {
	struct pa_conf *conf; /* owns the strings */
	const char *socket;
	const char *realm;
	uint8_t code;
	bool always;
	unsigned deadline_ms;
	unsigned max_parked;
	uint32_t *subnets;
	size_t n_subnets;
	struct names eligible;
	struct names unasked;
};

static int read_names(const struct pa_node *root, const char *key, struct names *ret)
{
	size_t n = pa_node_list(root, key, false);

	if (n == 0)
		return 0;
	ret->v = calloc(n, sizeof(*ret->v));
	if (ret->v == NULL)
		return PA_ENOMEM;
	for (ret->n = 0; ret->n < n; ret->n++) {
		ret->v[ret->n] = pa_node_item_string(root, key, ret->n);
		if (ret->v[ret->n][0] == '\0')
			pa_node_fail(root, key, "item %zu: expected the name of a client class, got an empty string",
				     ret->n);
	}
	return 0;
}

static int read_subnets(const struct pa_node *root, struct pa_hook_params *p)
{
	size_t n = pa_node_list(root, "subnets", false);
	const json_t *list;

	if (n == 0)
		return 0;
	p->subnets = calloc(n, sizeof(*p->subnets));
	if (p->subnets == NULL)
		return PA_ENOMEM;
	list = json_object_get(root->json, "subnets");
	for (p->n_subnets = 0; p->n_subnets < n; p->n_subnets++) {
		const json_t *v = json_array_get(list, p->n_subnets);
		json_int_t id = json_integer_value(v);

		if (!json_is_integer(v) || id < 1 || id > SUBNET_ID_MAX) {
			pa_node_fail(root, "subnets", "item %zu: expected a subnet's id (an integer from 1 to %lld)",
				     p->n_subnets, (long long)SUBNET_ID_MAX);
			return 0;
		}
		p->subnets[p->n_subnets] = (uint32_t)id;
	}
	return 0;
}

static const char *read_socket(const struct pa_node *root)
{
	const char *path = pa_node_string(root, "broker-socket", PA_HOOK_SOCKET_DEFAULT);
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (path[0] != '/')
		pa_node_fail(root, "broker-socket", "expected an absolute path, got \"%s\"", path);
	else if (strlen(path) > max)
		pa_node_fail(root, "broker-socket", "expected a path of at most %zu bytes, got %zu", max, strlen(path));
	return path;
}

static uint8_t read_code(const struct pa_node *root)
{
	int64_t code = pa_node_int(root, "option-code", PA_OPTION_CODE_MIN, PA_OPTION_CODE_MAX, PA_OPTION_CODE_DEFAULT);

	/* Other vendors' clients give these three site-specific codes a meaning of their own. */
	if (code == 245 || code == 249 || code == 252)
		pa_node_fail(root, "option-code", "%d is used by Microsoft's clients; take another one from %d to %d",
			     (int)code, PA_OPTION_CODE_MIN, PA_OPTION_CODE_MAX);
	return (uint8_t)code;
}

static const char *read_realm(const struct pa_node *root)
{
	const char *realm = pa_node_string(root, "realm", PA_REQUIRED_STR);
	size_t len = strlen(realm);

	if (len == 0 || len > PA_HOOK_NAME_MAX)
		pa_node_fail(root, "realm", "expected a name of 1 to %d bytes, one of the broker's \"realms\"",
			     PA_HOOK_NAME_MAX);
	return realm;
}

static bool read_mode(const struct pa_node *root)
{
	const char *mode = pa_node_string(root, "mode", "on-request");

	if (strcmp(mode, "always") == 0)
		return true;
	if (strcmp(mode, "on-request") != 0)
		pa_node_fail(root, "mode", "expected \"on-request\" or \"always\", got \"%s\"", mode);
	return false;
}

static int read_all(struct pa_hook_params *p)
{
	static const char *const keys[] = {"broker-socket", "option-code", "realm",    "subnets",    "client-classes",
					   "mode",	    "always-classes", "deadline", "max-parked", NULL};
	struct pa_node root = pa_conf_root(p->conf);
	int rc;

	pa_node_only(&root, keys);
	p->realm = read_realm(&root);
	p->socket = read_socket(&root);
	p->code = read_code(&root);
	p->always = read_mode(&root);
	p->deadline_ms = (unsigned)pa_node_int(&root, "deadline", PA_HOOK_DEADLINE_MIN, PA_HOOK_DEADLINE_MAX,
					       PA_HOOK_DEADLINE_DEFAULT);
	p->max_parked = (unsigned)pa_node_int(&root, "max-parked", 1, PA_HOOK_PARKED_MAX, PA_HOOK_PARKED_DEFAULT);
	rc = read_subnets(&root, p);
	if (rc == 0)
		rc = read_names(&root, "client-classes", &p->eligible);
	if (rc == 0)
		rc = read_names(&root, "always-classes", &p->unasked);
	if (rc == 0 && pa_conf_error(p->conf) != NULL)
		rc = PA_EFORMAT;
	return rc;
}

int pa_hook_params_parse(const char *text, size_t len, struct pa_hook_params **ret, char err[PA_HOOK_ERRLEN])
{
	struct pa_hook_params *p = calloc(1, sizeof(*p));
	const char *why;
	int rc = PA_ENOMEM;

	(void)snprintf(err, PA_HOOK_ERRLEN, "out of memory");
	if (p == NULL)
		return PA_ENOMEM;
	p->conf = pa_conf_new("parameters", text, len);
	if (p->conf == NULL)
		goto out;
	rc = read_all(p);
	if (rc < 0) {
		/* Kea hands the parameters over as one line, so "parameters:1: " says nothing: the key does. */
		why = pa_conf_error(p->conf);
		if (why != NULL && strncmp(why, "parameters:", 11) == 0 && strstr(why, ": ") != NULL)
			why = strstr(why, ": ") + 2;
		if (why != NULL)
			(void)snprintf(err, PA_HOOK_ERRLEN, "%s", why);
		goto out;
	}
	*ret = p;
	return 0;
out:
	pa_hook_params_free(p);
	return rc;
}

void pa_hook_params_free(struct pa_hook_params *p)
{
	if (p == NULL)
		return;
	pa_conf_free(p->conf);
	free(p->subnets);
	free(p->eligible.v);
	free(p->unasked.v);
	free(p);
}

const char *pa_hook_params_socket(const struct pa_hook_params *p)
{
	return p->socket;
}

const char *pa_hook_params_realm(const struct pa_hook_params *p)
{
	return p->realm;
}

uint8_t pa_hook_params_code(const struct pa_hook_params *p)
{
	return p->code;
}

unsigned pa_hook_params_deadline(const struct pa_hook_params *p)
{
	return p->deadline_ms;
}

unsigned pa_hook_params_max_parked(const struct pa_hook_params *p)
{
	return p->max_parked;
}

bool pa_hook_params_subnet(const struct pa_hook_params *p, uint32_t subnet_id)
{
	for (size_t i = 0; i < p->n_subnets; i++)
		if (p->subnets[i] == subnet_id)
			return true;
	return p->n_subnets == 0;
}

static bool one_of(const struct names *names, const char *const *classes, size_t n)
{
	for (size_t i = 0; i < names->n; i++)
		for (size_t j = 0; j < n; j++)
			if (strcmp(names->v[i], classes[j]) == 0)
				return true;
	return false;
}

bool pa_hook_params_eligible(const struct pa_hook_params *p, const char *const *classes, size_t n)
{
	return p->eligible.n == 0 || one_of(&p->eligible, classes, n);
}

bool pa_hook_params_always(const struct pa_hook_params *p, const char *const *classes, size_t n)
{
	return p->always || one_of(&p->unasked, classes, n);
}
