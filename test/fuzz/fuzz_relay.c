/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What comes out of the TLS connection, for both ends: any bytes are refused or handled, bodies that decode come back
 * the same, and the ops' promises hold. The first byte chooses the end, the second how the rest is cut into pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/relay_auth.h"
#include "common/relay_link.h"
#include "common/relay_ring.h"
#include "test/fuzz/fuzz.h"

#define WINDOW 4096u
#define WINDOW_MAX 16384u

struct end {
	struct pa_rlink *link;
	bool bye;
};

static void on_open(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_relay_body answer = {.error = b->remote.port % 3 == 0 ? PA_RELAY_E_REFUSED : PA_RELAY_E_OK};

	(void)ctx;
	if (b->remote.port % 5 == 0)
		return; /* not answered yet */
	pa_rlink_result(s, &answer);
	if (answer.error != PA_RELAY_E_OK)
		pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_resolve(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_relay_body answer = {.error = PA_RELAY_E_NOT_FOUND};

	(void)ctx;
	PA_REQUIRE(b->name[0] != '\0' && strlen(b->name) <= PA_RELAY_NAME_MAX);
	pa_rlink_resolved(s, &answer);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_result(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	(void)ctx;
	if (b->error != PA_RELAY_E_OK)
		pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_incoming(void *ctx, struct pa_rsession *s, struct pa_rsession *listener, const struct pa_relay_body *b)
{
	(void)ctx;
	(void)b;
	if (listener == NULL)
		pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_data(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	uint8_t *to;
	size_t room;

	(void)ctx;
	PA_REQUIRE(len > 0 && pa_rsession_unread(s) <= WINDOW_MAX);
	room = pa_rlink_reserve(s, &to);
	if (room > 0) {
		to[0] = bytes[len - 1];
		pa_rlink_commit(s, 1);
	}
	if (bytes[0] % 2 == 0)
		pa_rlink_consumed(s, len);
	if (bytes[0] == 0xff)
		pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_datagram(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			size_t len)
{
	(void)ctx;
	PA_REQUIRE(peer->port != 0);
	(void)pa_rlink_datagram(s, peer, bytes, len);
}

static void on_undelivered(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error)
{
	(void)ctx;
	(void)s;
	PA_REQUIRE(peer->port != 0 && error != PA_RELAY_E_OK && error <= PA_RELAY_E_MAX);
}

static void on_fin(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	pa_rlink_fin(s);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_reset(void *ctx, struct pa_rsession *s, enum pa_relay_error error)
{
	(void)ctx;
	(void)s;
	PA_REQUIRE(error != PA_RELAY_E_OK && error <= PA_RELAY_E_MAX);
}

static void on_writable(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	(void)s;
}

static void on_tunnel(void *ctx, const uint8_t *bytes, size_t len)
{
	struct end *e = ctx;

	(void)pa_rlink_tunnel(e->link, bytes, len);
}

static void on_pong(void *ctx, uint64_t value)
{
	(void)ctx;
	(void)value;
}

static void on_bye(void *ctx, enum pa_relay_error error)
{
	struct end *e = ctx;

	(void)error;
	e->bye = true;
}

static void on_output(void *ctx)
{
	(void)ctx;
}

static const struct pa_rlink_ops ops = {on_open,  on_resolve,  on_result, on_incoming, on_data, on_datagram, on_undelivered,
					on_fin,	  on_reset,    on_writable, on_tunnel,	on_pong, on_bye,      on_output};

/* A body that decodes is encoded to the same octets. */
static void check_body(const uint8_t *data, size_t len)
{
	uint8_t again[PA_RELAY_FIELDS_MAX];
	struct pa_relay_header h;
	struct pa_relay_body b;
	int n;

	if (len < PA_RELAY_HEADER_LEN || pa_relay_get_header(data, &h) < 0 || len - PA_RELAY_HEADER_LEN < h.length ||
	    pa_relay_decode(h.type, data + PA_RELAY_HEADER_LEN, h.length, &b) < 0)
		return;
	n = pa_relay_encode(h.type, &b, again, sizeof(again));
	if (n > 0)
		PA_REQUIRE(n <= h.length && memcmp(again, data + PA_RELAY_HEADER_LEN, (size_t)n) == 0);
}

static void drain(struct pa_rlink *l)
{
	const uint8_t *p;
	size_t n;

	while ((n = pa_rlink_peek(l, &p)) > 0)
		pa_rlink_sent(l, n > 7 ? n - 3 : n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pa_rlink_config cfg = {.window = WINDOW,
				      .window_max = WINDOW_MAX,
				      .grown_max = 2 * WINDOW,
				      .sessions_max = 8,
				      .ring_limit = PA_RRING_MIN};
	struct pa_relay_body call = {.kind = PA_RELAY_TCP, .remote = {pa_addr_from_ipv4(0xc6336432), 80}};
	struct end e = {0};
	struct pa_relay_auth auth;
	uint8_t step;

	if (len < 2)
		return 0;
	cfg.server = data[0] % 2 == 0;
	step = data[1];
	data += 2;
	len -= 2;
	check_body(data, len);
	(void)pa_relay_auth_decode(data, len, &auth);
	if (pa_rlink_new(&cfg, &ops, &e, &e.link) < 0)
		return 0;
	if (!cfg.server)
		(void)pa_rlink_open(e.link, &call, NULL);
	/* A piece at a time, with what was left of the last one. */
	for (size_t end = 0, start = 0; end < len && !e.bye;) {
		int64_t used;

		end = len - end > (size_t)step + 1 ? end + (size_t)step + 1 : len;
		used = pa_rlink_input(e.link, data + start, end - start);
		if (used < 0)
			break;
		PA_REQUIRE((size_t)used <= end - start);
		start += (size_t)used;
		drain(e.link);
	}
	pa_rlink_tick(e.link);
	drain(e.link);
	pa_rlink_free(e.link);
	return 0;
}
