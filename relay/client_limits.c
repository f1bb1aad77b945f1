/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/client_limits.h"

#include "common/relay.h"
#include "tunnel/limit.h"
#include "tunnel/lines.h"

#define US_PER_S 1000000u

static const struct {
	uint32_t per_s, burst;
} limits[PA_RELAY_LIMITS] = {
	[PA_RELAY_LIMIT_OPEN] = {0, 0},
	[PA_RELAY_LIMIT_RESOLVE] = {PA_RELAY_NAMES_PER_S, PA_RELAY_NAMES_BURST},
	[PA_RELAY_LIMIT_RESUME] = {1, 10},
	[PA_RELAY_LIMIT_LINE] = {50, 500},
	[PA_RELAY_LIMIT_LINES] = {500, 2000},
	[PA_RELAY_LIMIT_CLIENT] = {50, 4000},
	[PA_RELAY_LIMIT_REFUSAL] = {10, 100},
	[PA_RELAY_LIMIT_STRANGER] = {500, 2000},
};

uint32_t pa_relay_limit_rate(enum pa_relay_limit what)
{
	return limits[what].per_s;
}

bool pa_relay_limit_take(struct pa_relay_limits *l, enum pa_relay_limit what, uint32_t per_s, struct pa_now now)
{
	uint32_t rate = limits[what].per_s > 0 ? limits[what].per_s : per_s;
	uint32_t burst = limits[what].burst > 0 ? limits[what].burst : rate;

	return rate == 0 || pa_limit_one(&l->tat_us[what], now.boot_ms * 1000 + now.boot_us, US_PER_S / rate, burst);
}

unsigned pa_relay_limit_held(struct pa_relay_limits *l, struct pa_now now)
{
	return pa_held_tell(&l->held, &l->told_ms, now);
}
