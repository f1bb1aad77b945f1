/* SPDX-License-Identifier: MPL-2.0 */
/* Input: an environment, one NAME=VALUE a line; the server chooses most of the values. */
#include <stdlib.h>
#include <string.h>

#include "client-hook/decide.h"
#include "client-hook/env.h"
#include "common/err.h"
#include "test/fuzz/fuzz.h"

#define VARIABLES_MAX 32

static void check(char *const envp[], const struct pa_dhcp_source *src)
{
	char err[PA_DHCP_ERRLEN];
	struct pa_dhcp_env env;
	int why = 0;

	if (pa_dhcp_env_parse(envp, src, &env, err) < 0)
		return;
	PA_REQUIRE(strlen(env.interface) > 0 && strchr(env.interface, '/') == NULL);
	PA_REQUIRE(strlen(env.reason) > 0);
	PA_REQUIRE(env.grant_len <= sizeof(env.grant) && (env.grant_error == 0 || env.grant_len == 0));
	PA_REQUIRE(env.n_routers <= PA_DHCP_LIST_MAX && env.n_resolvers <= PA_DHCP_LIST_MAX);
	if (pa_dhcp_decide(&env, &why) == PA_DHCP_REFUSE)
		PA_REQUIRE(why < 0);
	else
		PA_REQUIRE(why == 0);
	pa_dhcp_env_wipe(&env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pa_dhcp_source plain = {NULL, NULL, NULL}, forced = {"224", "BOUND", "eth0"};
	char *envp[VARIABLES_MAX + 1];
	char *text = malloc(len + 1);
	size_t n = 0;

	if (text == NULL)
		return 0;
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	for (char *p = text; p != NULL && n < VARIABLES_MAX;) {
		envp[n++] = p;
		p = strchr(p, '\n');
		if (p != NULL)
			*p++ = '\0';
	}
	envp[n] = NULL;
	check(envp, &plain);
	check(envp, &forced);
	free(text);
	return 0;
}
