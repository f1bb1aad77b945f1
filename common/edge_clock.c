/* SPDX-License-Identifier: MPL-2.0 */
#include <time.h>

#include "common/clock.h"

static uint64_t read_ms(clockid_t id)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct pa_now pa_now_get(void)
{
	struct pa_now now = {read_ms(CLOCK_BOOTTIME), read_ms(CLOCK_REALTIME)};

	return now;
}
