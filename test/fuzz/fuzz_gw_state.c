/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A state file may have been damaged in any way: each record is refused or comes back the same, and a gateway that adopts
 * whatever has a right checksum stays consistent. Octets of the input are records whose checksum is made right here.
 */
#include <string.h>

#include "common/err.h"
#include "test/fuzz/fuzz.h"
#include "test/sim/peer.h"
#include "tunnel/client_state.h"
#include "tunnel/gw.h"
#include "tunnel/gw_state.h"

static struct peer_rng rng;

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	(void)ctx;
	(void)local;
	(void)to;
	(void)buf;
	PA_REQUIRE(len <= PA_CTL_MAX);
}

static void on_binding(void *ctx, const struct pa_gw_binding *b)
{
	(void)ctx;
	PA_REQUIRE(b->claims.prefix_len == 32);
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	(void)ctx;
	(void)addr;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	(void)ctx;
	(void)event;
	(void)b;
	(void)reason;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	(void)ctx;
	peer_fill(&rng, dst, len);
}

static const struct pa_gw_ops ops = {.send = on_send, .deliver = on_binding, .stop = on_stop, .event = on_event,
				     .random = on_random};

static void seal(uint8_t *buf, size_t len)
{
	static const uint8_t key[PA_KEY_LEN] = "pubaddr gateway state";

	pa_mac(key, buf, len - PA_GW_STATE_CHECK_LEN, buf + len - PA_GW_STATE_CHECK_LEN);
}

static void try_client(const uint8_t *data, size_t len)
{
	uint8_t buf[PA_CLIENT_SAVED_LEN] = {0}, back[PA_CLIENT_SAVED_LEN];
	struct pa_client_saved s;

	memcpy(buf, data, len < sizeof(buf) ? len : sizeof(buf));
	if (pa_client_saved_decode(buf, &s) < 0)
		return;
	PA_REQUIRE(pa_client_saved_encode(&s, back) == 0);
	PA_REQUIRE(memcmp(buf, back, sizeof(buf)) == 0);
}

static void try_record(struct pa_gw *gw, struct pa_now now, const uint8_t *data, size_t len)
{
	uint8_t buf[PA_GW_STATE_RECORD_LEN] = {0}, back[PA_GW_STATE_RECORD_LEN];
	struct pa_gw_record r;

	memcpy(buf, data, len < sizeof(buf) ? len : sizeof(buf));
	(void)pa_gw_record_decode(buf, &r);
	seal(buf, sizeof(buf));
	if (pa_gw_record_decode(buf, &r) < 0)
		return;
	PA_REQUIRE(pa_gw_record_encode(&r, back) == 0);
	PA_REQUIRE(memcmp(buf, back, sizeof(buf)) == 0);
	(void)pa_gw_adopt(gw, now, &r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct pa_gw_pool pool = {
		PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	struct pa_now now = {.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25, .max_bindings = 4};
	static struct pa_keyring *ring; /* kept: it never changes */
	struct pa_gw_record r;
	uint32_t walked = 0;
	struct pa_gw *gw;

	if (ring == NULL)
		ring = peer_keyring();
	rng.s = 1;
	cfg.keys = ring;
	PA_REQUIRE(pa_gw_new(&cfg, &ops, NULL, &gw) == 0);
	try_client(data, len);
	for (size_t at = 0; at < len; at += PA_GW_STATE_RECORD_LEN)
		try_record(gw, now, data + at, len - at);
	PA_REQUIRE(pa_gw_adopted(gw, now, now.unix_ms) == pa_gw_count(gw) && pa_gw_count(gw) <= pa_gw_known(gw));
	PA_REQUIRE(pa_gw_known(gw) <= 4);
	now.boot_ms += 100000;
	now.unix_ms += 100000;
	(void)pa_gw_tick(gw, now);
	while (pa_gw_walk_records(gw, now, &walked, &r))
		;
	while (pa_gw_take_changed(gw, now, &r))
		;
	pa_gw_shutdown(gw, now);
	PA_REQUIRE(pa_gw_count(gw) == 0);
	pa_gw_free(gw);
	return 0;
}
