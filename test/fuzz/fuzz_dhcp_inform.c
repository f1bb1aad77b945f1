/* SPDX-License-Identifier: MPL-2.0 */
/* A packet socket gives whatever is on the LAN: any bytes are no packet, no answer, or an answer within its bounds. */
#include <string.h>

#include "common/dhcp_inform.h"
#include "common/err.h"
#include "test/fuzz/fuzz.h"

static void try_answer(const uint8_t *data, size_t len)
{
	/* The question that this is the answer to, if it is one at all. */
	struct pa_dhcp_inform q = {.hw_len = 6, .hw_type = 1, .code = 224};
	struct pa_dhcp_ack ack;

	if (len >= 34) {
		q.xid = (uint32_t)data[4] << 24 | (uint32_t)data[5] << 16 | (uint32_t)data[6] << 8 | data[7];
		memcpy(q.hw, data + 28, q.hw_len);
	}
	if (pa_dhcp_ack_decode(data, len, &q, &ack) == 0)
		PA_REQUIRE(ack.option_len <= sizeof(ack.option));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t proof[PA_MAC_LEN], again[PA_RELEASE_LEN];
	struct pa_reader payload;
	uint64_t epoch;
	uint32_t from;

	try_answer(data, len);
	if (pa_dhcp_packet_decode(data, len, &from, &payload) == 0) {
		PA_REQUIRE(payload.left <= len - 28);
		try_answer(payload.p, payload.left);
	}
	if (pa_dhcp_release_decode(data, len, &epoch, proof) == 0) {
		pa_dhcp_release_encode(epoch, proof, again);
		PA_REQUIRE(len == sizeof(again) && memcmp(again, data, len) == 0);
	}
	return 0;
}
