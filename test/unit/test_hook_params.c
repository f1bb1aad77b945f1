/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "kea-hook/params.h"

static struct pa_hook_params *parse(const char *text)
{
	struct pa_hook_params *p = NULL;
	char err[PA_HOOK_ERRLEN];

	cr_assert_eq(pa_hook_params_parse(text, strlen(text), &p, err), 0, "%s", err);
	return p;
}

Test(hook_params, defaults)
{
	const char *const classes[] = {"ALL"};
	struct pa_hook_params *p = parse("{\"realm\": \"campus\"}");

	cr_expect_str_eq(pa_hook_params_socket(p), "/run/pubaddr/broker.sock");
	cr_expect_str_eq(pa_hook_params_realm(p), "campus");
	cr_expect_eq(pa_hook_params_code(p), 224);
	cr_expect_eq(pa_hook_params_deadline(p), 500);
	cr_expect_eq(pa_hook_params_max_parked(p), 128);
	cr_expect(pa_hook_params_subnet(p, 1) && pa_hook_params_subnet(p, 4294967294));
	cr_expect(pa_hook_params_eligible(p, classes, 1) && pa_hook_params_eligible(p, NULL, 0));
	cr_expect_not(pa_hook_params_always(p, classes, 1));
	pa_hook_params_free(p);
}

Test(hook_params, everything_given)
{
	const char *const phones[] = {"ALL", "phones"}, *const guests[] = {"ALL", "guests"}, *const none[] = {"phone"};
	struct pa_hook_params *p = parse("{\"realm\": \"r\", \"broker-socket\": \"/x/y\", \"option-code\": 254, \"subnets\": [7, 9],"
					 "\"client-classes\": [\"phones\", \"guests\"], \"mode\": \"on-request\","
					 "\"always-classes\": [\"phones\"], \"deadline\": 5000, \"max-parked\": 200}");

	cr_expect_str_eq(pa_hook_params_socket(p), "/x/y");
	cr_expect_eq(pa_hook_params_code(p), 254);
	cr_expect_eq(pa_hook_params_deadline(p), 5000);
	cr_expect_eq(pa_hook_params_max_parked(p), 200);
	cr_expect(pa_hook_params_subnet(p, 7) && pa_hook_params_subnet(p, 9) && !pa_hook_params_subnet(p, 8));
	cr_expect(pa_hook_params_eligible(p, phones, 2) && pa_hook_params_eligible(p, guests, 2));
	cr_expect_not(pa_hook_params_eligible(p, none, 1));
	cr_expect(pa_hook_params_always(p, phones, 2));
	cr_expect_not(pa_hook_params_always(p, guests, 2));
	pa_hook_params_free(p);
	p = parse("{\"realm\": \"r\", \"mode\": \"always\"}");
	cr_expect(pa_hook_params_always(p, NULL, 0));
	pa_hook_params_free(p);
}

/* What is wrong, and what the message must say. */
static const struct {
	const char *text, *message;
} bad[] = {
	{"{}", "realm: is missing; expected a string"},
	{"{\"realm\": 5}", "realm: expected a string, got an integer"},
	{"{\"realm\": \"\"}", "realm: expected a name of 1 to 64 bytes"},
	{"{\"realm\": \"r\", \"Realm\": \"r\"}", "Realm: unknown setting"},
	{"{\"realm\": \"r\", \"broker-socket\": \"run/x\"}", "broker-socket: expected an absolute path, got \"run/x\""},
	{"{\"realm\": \"r\", \"broker-socket\": 1}", "broker-socket: expected a string, got an integer"},
	{"{\"realm\": \"r\", \"option-code\": 223}", "option-code: expected an integer from 224 to 254, got 223"},
	{"{\"realm\": \"r\", \"option-code\": 255}", "option-code: expected an integer from 224 to 254, got 255"},
	{"{\"realm\": \"r\", \"option-code\": 245}", "option-code: 245 is used"},
	{"{\"realm\": \"r\", \"option-code\": 249}", "option-code: 249 is used"},
	{"{\"realm\": \"r\", \"option-code\": 252}", "option-code: 252 is used"},
	{"{\"realm\": \"r\", \"option-code\": \"224\"}", "option-code: expected an integer, got a string"},
	{"{\"realm\": \"r\", \"subnets\": 1}", "subnets: expected a list [ ... ], got an integer"},
	{"{\"realm\": \"r\", \"subnets\": [1, \"2\"]}", "subnets: item 1: expected a subnet's id"},
	{"{\"realm\": \"r\", \"subnets\": [0]}", "subnets: item 0: expected a subnet's id"},
	{"{\"realm\": \"r\", \"subnets\": [4294967295]}", "subnets: item 0: expected a subnet's id"},
	{"{\"realm\": \"r\", \"client-classes\": \"a\"}", "client-classes: expected a list [ ... ], got a string"},
	{"{\"realm\": \"r\", \"client-classes\": [1]}", "client-classes[0]: expected a string, got an integer"},
	{"{\"realm\": \"r\", \"always-classes\": [\"\"]}", "always-classes: item 0: expected the name of a client class"},
	{"{\"realm\": \"r\", \"mode\": \"sometimes\"}", "mode: expected \"on-request\" or \"always\", got \"sometimes\""},
	{"{\"realm\": \"r\", \"mode\": true}", "mode: expected a string, got a boolean"},
	{"{\"realm\": \"r\", \"deadline\": 49}", "deadline: expected an integer from 50 to 5000, got 49"},
	{"{\"realm\": \"r\", \"deadline\": 5001}", "deadline: expected an integer from 50 to 5000, got 5001"},
	{"{\"realm\": \"r\", \"max-parked\": 0}", "max-parked: expected an integer from 1 to 200, got 0"},
	{"{\"realm\": \"r\", \"max-parked\": 201}", "max-parked: expected an integer from 1 to 200, got 201"},
	{"[]", "expected an object"},
	{"{", "column"},
};

Test(hook_params, errors_name_key_and_type)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pa_hook_params *p = NULL;
		char err[PA_HOOK_ERRLEN] = "";

		cr_expect_eq(pa_hook_params_parse(bad[i].text, strlen(bad[i].text), &p, err), PA_EFORMAT, "%s", bad[i].text);
		cr_expect_null(p);
		cr_expect(strstr(err, bad[i].message) == err || i >= sizeof(bad) / sizeof(bad[0]) - 2, "%s gave: %s",
			  bad[i].text, err);
		cr_expect_not_null(strstr(err, bad[i].message), "%s gave: %s", bad[i].text, err);
	}
}

Test(hook_params, path_must_fit_a_socket_address)
{
	struct pa_hook_params *p = NULL;
	char text[256], path[128], err[PA_HOOK_ERRLEN];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	(void)snprintf(text, sizeof(text), "{\"realm\": \"r\", \"broker-socket\": \"%s\"}", path);
	cr_assert_eq(pa_hook_params_parse(text, strlen(text), &p, err), 0);
	pa_hook_params_free(p);
	path[107] = 'a';
	path[108] = '\0';
	(void)snprintf(text, sizeof(text), "{\"realm\": \"r\", \"broker-socket\": \"%s\"}", path);
	cr_expect_eq(pa_hook_params_parse(text, strlen(text), &p, err), PA_EFORMAT);
	cr_expect_not_null(strstr(err, "at most 107 bytes, got 108"), "%s", err);
}
