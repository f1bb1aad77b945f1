/* SPDX-License-Identifier: MPL-2.0 */
/* A UDP payload comes from anybody: it is refused or comes back the same, and passes no MAC that was not made for it. */
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/msg.h"
#include "test/fuzz/fuzz.h"

/* The octets that the MAC does not cover, and padding, which is written as zeros. */
static size_t significant(const struct pa_msg *m, size_t len)
{
	if (m->type == PA_MSG_RECHALLENGE)
		return len;
	if (m->type == PA_MSG_CONFIRM)
		return len - 2 * PA_MAC_LEN;
	if (m->type == PA_MSG_HELLO)
		return PA_CTL_HEADER_LEN + PA_CLAIMS_LEN + PA_KEY_LEN + PA_NONCE_LEN + 8;
	if (m->type == PA_MSG_PROBE)
		return 48;
	return m->type == PA_MSG_PROBED ? 88 : len - PA_MAC_LEN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t key[PA_KEY_LEN] = {0x5a};
	uint8_t buf[PA_PROBE_MAX];
	struct pa_claims claims;
	struct pa_msg m;
	int n;

	PA_REQUIRE(pa_cred_init() == 0);
	PA_REQUIRE(!(pa_msg_is_control(data, len) && pa_msg_is_data(data, len)));
	/* No input can be made for this key without knowing it; a fuzzer does not break BLAKE2b. */
	PA_REQUIRE(!pa_msg_verify(data, len, key));
	PA_REQUIRE(!pa_msg_verify_seal(data, len, key));
	if (pa_msg_decode(data, len, &m) < 0)
		return 0;
	PA_REQUIRE(pa_msg_is_control(data, len));
	PA_REQUIRE(len == (m.length > 0 ? m.length : pa_msg_length(m.type)));
	n = pa_msg_encode(&m, key, buf, sizeof(buf));
	PA_REQUIRE(n == (int)len);
	PA_REQUIRE(memcmp(buf, data, significant(&m, len)) == 0);
	PA_REQUIRE(m.type == PA_MSG_RECHALLENGE || pa_msg_verify(buf, len, key));
	if (m.type == PA_MSG_HELLO || m.type == PA_MSG_CONFIRM)
		(void)pa_claims_decode(m.claims, &claims);
	return 0;
}
