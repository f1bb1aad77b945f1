/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kea-hook/rate.h"
#include "kea-hook/request.h"

static const uint8_t id[] = {0x01, 0xab, 0xcd}, hw[] = {2, 0, 0, 0, 0, 1};

static struct pa_hook_lease a_lease(void)
{
	struct pa_hook_lease l = {4294967294, 0x0a010005, 3600, id, sizeof(id), hw, sizeof(hw)};

	return l;
}

static void expect_json(json_t *got, const char *want)
{
	json_t *expected = json_loads(want, 0, NULL);
	char *text = json_dumps(got, JSON_SORT_KEYS);

	cr_assert_not_null(expected);
	cr_expect(json_equal(got, expected), "%s", text);
	free(text);
	json_decref(expected);
	json_decref(got);
}

Test(hook_request, allocate_with_everything)
{
	const char *const classes[] = {"ALL", "bad \xff\xfe", "KNOWN"};
	struct pa_hook_lease lease = a_lease();
	struct pa_hook_query q = {.xid = 0x00c0ffee, .has_option = true, .classes = classes, .n_classes = 3};
	struct pa_hook_key key;
	uint8_t client_key[32];

	memset(client_key, 0x5a, sizeof(client_key));
	q.option = client_key;
	q.option_len = sizeof(client_key);
	cr_assert_eq(pa_hook_key_make(&lease, &q, &key), 0);
	expect_json(pa_hook_allocate_new("campus", &key, lease.valid_lifetime, &q),
		    "{\"realm\": \"campus\", \"subnet-id\": 4294967294, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"01abcd\","
		    "\"valid-lifetime\": 3600, \"transaction\": \"00c0ffee\", \"classes\": [\"ALL\", \"KNOWN\"], \"client-key\":"
		    "\"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\"}");
}

Test(hook_request, no_client_id_and_a_key_of_the_wrong_length)
{
	struct pa_hook_lease lease = a_lease();
	struct pa_hook_query q = {.xid = 1, .has_option = true};
	struct pa_hook_key key;
	uint8_t client_key[33] = {0};

	lease.client_id = NULL;
	lease.client_id_len = 0;
	lease.valid_lifetime = UINT32_MAX;
	q.option = client_key;
	for (q.option_len = 31; q.option_len <= 33; q.option_len += 2) {
		cr_assert_eq(pa_hook_key_make(&lease, &q, &key), 0);
		expect_json(pa_hook_allocate_new("r", &key, lease.valid_lifetime, &q),
			    "{\"realm\": \"r\", \"subnet-id\": 4294967294, \"dhcp-address\": \"10.1.0.5\","
			    "\"hw-address\": \"020000000001\", \"valid-lifetime\": 4294967295, \"transaction\": \"00000001\","
			    "\"classes\": []}");
	}
}

Test(hook_request, release_names_the_lease)
{
	struct pa_hook_lease lease = a_lease();
	struct pa_hook_key key;

	cr_assert_eq(pa_hook_key_make(&lease, NULL, &key), 0);
	expect_json(pa_hook_release_new("r", &key), "{\"realm\": \"r\", \"subnet-id\": 4294967294, \"dhcp-address\":"
						    "\"10.1.0.5\", \"client-id\": \"01abcd\"}");
}

Test(hook_request, identity_is_needed_and_bounded)
{
	struct pa_hook_lease lease = {1, 1, 1, NULL, 0, NULL, 0};
	struct pa_hook_key key;
	uint8_t longest[256] = {0};

	cr_expect_eq(pa_hook_key_make(&lease, NULL, &key), PA_EINVAL);
	lease.hw_address = hw;
	cr_expect_eq(pa_hook_key_make(&lease, NULL, &key), PA_EINVAL);
	lease.client_id = longest;
	lease.client_id_len = 256;
	cr_expect_eq(pa_hook_key_make(&lease, NULL, &key), PA_EINVAL);
	lease.client_id_len = 255;
	cr_expect_eq(pa_hook_key_make(&lease, NULL, &key), 0);
}

Test(hook_request, equal_means_same_lease_and_key)
{
	struct pa_hook_lease lease = a_lease();
	struct pa_hook_key a, b;
	uint8_t client_key[32] = {1};
	struct pa_hook_query q = {.xid = 9, .has_option = true, .option = client_key, .option_len = 32};

	cr_assert_eq(pa_hook_key_make(&lease, &q, &a), 0);
	q.xid = 10;
	lease.valid_lifetime = 5;
	cr_assert_eq(pa_hook_key_make(&lease, &q, &b), 0);
	cr_expect(pa_hook_key_eq(&a, &b));
	client_key[31] = 1;
	cr_assert_eq(pa_hook_key_make(&lease, &q, &b), 0);
	cr_expect_not(pa_hook_key_eq(&a, &b));
	client_key[31] = 0;
	lease.address++;
	cr_assert_eq(pa_hook_key_make(&lease, &q, &b), 0);
	cr_expect_not(pa_hook_key_eq(&a, &b));
	lease = a_lease();
	lease.subnet_id = 1;
	cr_assert_eq(pa_hook_key_make(&lease, &q, &b), 0);
	cr_expect_not(pa_hook_key_eq(&a, &b));
	lease = a_lease();
	/* The same bytes as another kind of identity. */
	lease.client_id = NULL;
	lease.hw_address = id;
	lease.hw_address_len = sizeof(id);
	cr_assert_eq(pa_hook_key_make(&lease, &q, &b), 0);
	cr_expect_not(pa_hook_key_eq(&a, &b));
}

Test(hook_rate, a_burst_passes_then_one_a_window_tells_how_many_were_held)
{
	struct pa_rate r = {0, 0, 0};
	unsigned held = 99;

	for (int i = 0; i < PA_RATE_BURST; i++) {
		cr_expect(pa_rate_pass(&r, 1000, &held));
		cr_expect_eq(held, 0);
	}
	for (int i = 0; i < 7; i++)
		cr_expect_not(pa_rate_pass(&r, 1000 + PA_RATE_WINDOW_MS - 1, &held));
	cr_expect(pa_rate_pass(&r, 1000 + PA_RATE_WINDOW_MS, &held));
	cr_expect_eq(held, 7);
	cr_expect(pa_rate_pass(&r, 1000 + PA_RATE_WINDOW_MS, &held));
	cr_expect_eq(held, 0);
}
