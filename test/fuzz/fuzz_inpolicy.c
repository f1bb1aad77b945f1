/* SPDX-License-Identifier: MPL-2.0 */
/* Inbound lists come as bytes from the network and as text from users: refused, or they come back the same. */
#include <string.h>

#include "common/err.h"
#include "common/inpolicy.h"
#include "test/fuzz/fuzz.h"

static void check_bytes(const uint8_t *data, size_t len)
{
	struct pa_inrule rules[PA_GRANT_INRULES_MAX];
	uint8_t buf[256];
	int n = pa_inrules_decode(data, len, rules, PA_GRANT_INRULES_MAX);

	if (n < 0)
		return;
	PA_REQUIRE(pa_inrules_encode(rules, (size_t)n, buf, sizeof(buf)) == (int)len);
	PA_REQUIRE(memcmp(buf, data, len) == 0);
	for (int i = 0; i < n; i++) {
		char text[PA_INRULE_STRLEN];
		struct pa_inrule back;

		PA_REQUIRE(pa_inrule_parse(pa_inrule_format(&rules[i], text), &back) == 0);
		PA_REQUIRE(pa_inrule_eq(&rules[i], &back));
	}
}

static void check_text(const uint8_t *data, size_t len)
{
	char text[80], again[PA_INRULE_STRLEN];
	struct pa_inrule r, back;
	uint8_t buf[16];

	if (len >= sizeof(text))
		return;
	memcpy(text, data, len);
	text[len] = '\0';
	if (pa_inrule_parse(text, &r) < 0)
		return;
	PA_REQUIRE(pa_inrule_parse(pa_inrule_format(&r, again), &back) == 0 && pa_inrule_eq(&r, &back));
	PA_REQUIRE(pa_inrules_encode(&r, 1, buf, sizeof(buf)) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_bytes(data, len);
	check_text(data, len);
	return 0;
}
