/* SPDX-License-Identifier: MPL-2.0 */
#include <time.h>

#include "common/clock.h"

static uint64_t read_us(clockid_t id)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct pa_now pa_now_get(void)
{
	uint64_t boot = read_us(CLOCK_BOOTTIME);
	struct pa_now now = {boot / 1000, read_us(CLOCK_REALTIME) / 1000, (uint16_t)(boot % 1000)};

	return now;
}
