/* SPDX-License-Identifier: MPL-2.0 */
/* What a program of this host says on the relay's local socket: refused, or the same octets when encoded again. Names of sockets too. */
#include <stddef.h>
#include <string.h>

#include "common/err.h"
#include "common/relay_local.h"
#include "test/fuzz/fuzz.h"

static void check_name(const uint8_t *data, size_t len)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	uint64_t id;

	if (len > sizeof(name.sun_path))
		len = sizeof(name.sun_path);
	memcpy(name.sun_path, data, len);
	(void)pa_rlocal_name_parse(&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len), &id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t again[PA_RLOCAL_LEN_MAX];
	struct pa_rlocal m;
	int n;

	check_name(data, len);
	if (pa_rlocal_decode(data, len, &m) < 0)
		return 0;
	n = pa_rlocal_encode(&m, again, sizeof(again));
	PA_REQUIRE(n >= 0 && (size_t)n == len && memcmp(again, data, len) == 0);
	return 0;
}
