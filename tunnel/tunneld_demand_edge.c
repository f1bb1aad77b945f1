/* SPDX-License-Identifier: MPL-2.0 */
/* Who needs an address, and the conversation with the DHCP server about it; when which is said is demand.c's. */
#include "tunnel/tunneld_demand_edge.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/dhcp_inform.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"
#include "tunnel/demand.h"
#include "tunnel/lines.h"
#include "tunnel/net_cgroup.h"
#include "tunnel/net_inform.h"
#include "tunnel/tunneld_edge.h"
#include "tunnel/tunneld_state.h"

#define LOOK_MS 1000	  /* how often the end of programs is looked for */
#define BROADCAST_FROM 3  /* attempts; the server of the lease may be silent, or behind a relay agent that we are not seen through */
#define LEASE_SLACK_S 10  /* the server counts a lease from its answer, we from when it was told to the script */
#define TURN 64		  /* packets taken before others have their turn: any neighbour can send them */
#define REASON "INFORM"	  /* of a grant-put of ours */
#define LINES_PER_S 20u	  /* of the log, about who wants an address */
#define LINES_BURST 200u

struct pa_tunwant {
	struct pa_tundemand *d;
	struct pa_tunwant *next;
	enum pa_tunwant_kind kind;
	pa_tunwant_fn fn;
	void *ctx;
	uint64_t deadline_ms;
	bool told;
};

struct pa_tundemand {
	struct pa_tunneld *t;
	const struct pa_tunneld_conf *conf;
	const char *iface;
	struct pa_demand *core; /* NULL: not configured */
	int fd;			/* -1: not configured */
	uv_poll_t poll;
	uv_timer_t timer;
	bool has_poll, has_timer, closed;
	struct pa_tunwant *wants, *relay; /* relay: one of them */
	struct pa_lines lines;		  /* about who wants an address, and what comes of it at once */
	bool programs; /* there were some when we looked last */
	uint64_t looked_ms;
	bool own;      /* the grant that the host has came by INFORM */
	struct pa_dhcp_inform question;
	bool open, is_release; /* the question is one that an answer may come to */
	bool refused;	       /* an answer came that cannot be used */
	json_t *lease;	       /* of the file of the DHCP client's script, as of the question; NULL: none */
	uint8_t public_key[PA_KEY_LEN];
	uint8_t release[PA_RELEASE_LEN]; /* what gives the grant back */
	char why[PA_TUNNELD_ERRLEN];	 /* no address came, if none does */
	char trouble[PA_TUNNELD_ERRLEN]; /* that, of the last time that one was needed; empty: it came */
};

/* ---- wants ---- */

static unsigned count_wants(const struct pa_tundemand *d)
{
	unsigned n = 0;

	for (const struct pa_tunwant *w = d->wants; w != NULL; w = w->next)
		n++;
	return n;
}

/* Programs come and go as they like. */
static bool may_log(struct pa_tundemand *d, unsigned *ret_held)
{
	return pa_lines_take_telling(&d->lines, LINES_PER_S, LINES_BURST, pa_now_get(), ret_held);
}

static void log_wants(struct pa_tundemand *d, const char *event)
{
	unsigned held;

	if (may_log(d, &held))
		pa_log(PA_LOG_INFO, event, "iface=%s wants=%u held-back=%u", d->iface, count_wants(d), held);
}

/* The first of at most this kind that is still to be told and whose time is up at `until`; UINT64_MAX: any of them. */
static struct pa_tunwant *waiting(const struct pa_tundemand *d, enum pa_tunwant_kind kind, uint64_t until)
{
	struct pa_tunwant *w = d->wants;

	while (w != NULL && (w->told || w->kind > kind || w->deadline_ms > until))
		w = w->next;
	return w;
}

/* Each may unwant itself, or another one, when told. */
static void tell(struct pa_tundemand *d, enum pa_tunwant_kind kind, uint64_t until, int error, const struct pa_addr *p, const char *why)
{
	struct pa_tunwant *w;

	while ((w = waiting(d, kind, until)) != NULL) {
		w->told = true;
		w->fn(w->ctx, error, p, why);
	}
}

int pa_tundemand_want(struct pa_tundemand *d, enum pa_tunwant_kind kind, pa_tunwant_fn fn, void *ctx, struct pa_tunwant **ret)
{
	struct pa_tunwant *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return PA_ENOMEM;
	*w = (struct pa_tunwant){.d = d, .next = d->wants, .kind = kind, .fn = fn, .ctx = ctx,
				 .deadline_ms = pa_now_get().boot_ms + PA_TUNWANT_LIMIT_MS};
	d->wants = w;
	*ret = w;
	log_wants(d, "demand.want");
	pa_tundemand_kick(d);
	return 0;
}

void pa_tundemand_unwant(struct pa_tunwant *w)
{
	struct pa_tunwant **at;
	struct pa_tundemand *d;

	if (w == NULL)
		return;
	d = w->d;
	for (at = &d->wants; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	free(w);
	log_wants(d, "demand.unwant");
	pa_tundemand_kick(d);
}

/* The relay sees by the grant itself that there is one. */
static void on_relay(void *ctx, int error, const struct pa_addr *p, const char *why)
{
	(void)ctx;
	(void)error;
	(void)p;
	(void)why;
}

bool pa_tundemand_relay(void *ctx, bool wanted)
{
	struct pa_tundemand *d = ctx;

	if (!wanted) {
		pa_tundemand_unwant(d->relay);
		d->relay = NULL;
	} else if (d->relay == NULL) {
		(void)pa_tundemand_want(d, PA_TUNWANT_GRANT, on_relay, NULL, &d->relay);
	}
	return pa_tundemand_is_on(d);
}

void pa_tundemand_program(struct pa_tundemand *d)
{
	d->programs = true;
	pa_tundemand_kick(d);
}

bool pa_tundemand_is_on(const struct pa_tundemand *d)
{
	return d != NULL && d->core != NULL;
}

/* ---- the question ---- */

/* What the DHCP client's script wrote down of the lease; without it we ask by broadcast and know of no limit. */
static void read_lease(struct pa_tundemand *d)
{
	char path[PATH_MAX], err[PA_FILE_ERRLEN], *text;
	size_t len;

	json_decref(d->lease);
	d->lease = NULL;
	(void)snprintf(path, sizeof(path), "%s/dhcp-%s.json", d->conf->run_dir, d->iface);
	if (pa_file_read(path, false, &text, &len, err) < 0)
		return;
	d->lease = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
}

static bool lease_addr(const struct pa_tundemand *d, const char *key, struct pa_addr *ret)
{
	const char *text = json_string_value(json_object_get(d->lease, key));

	return text != NULL && pa_addr_parse(text, ret) == 0 && pa_addr_is_ipv4(ret);
}

/* The interface's address that is the lease's; without a record the first one that is not P. */
static int find_address(const struct pa_tundemand *d, struct pa_addr *ret)
{
	const struct pa_tunneld_parts p = pa_tunneld_parts_of(d->t);
	const struct pa_lan *lan = pa_tunnet_lan(p.net);
	struct pa_client_status s;
	struct pa_addr leased;
	bool known = lease_addr(d, "dhcp-address", &leased);

	pa_client_status_get(p.client, &s);
	for (size_t i = 0; i < lan->n_addrs; i++) {
		const struct pa_addr *a = &lan->addrs[i];

		if (known ? !pa_addr_eq(a, &leased) : s.state != PA_CLIENT_IDLE && pa_addr_eq(a, &s.claims.addr))
			continue;
		*ret = *a;
		return 0;
	}
	return PA_ENOTFOUND;
}

/* A new transaction. Errors are in d->why. */
static int begin(struct pa_tundemand *d, bool is_release)
{
	const struct pa_tunneld_parts p = pa_tunneld_parts_of(d->t);
	struct pa_addr own;
	bool changed;

	d->open = false;
	(void)pa_tunnet_refresh(p.net, &changed);
	read_lease(d);
	if (find_address(d, &own) < 0) {
		(void)snprintf(d->why, sizeof(d->why), "%s has no address by DHCP to ask from; does the DHCP client run?", d->iface);
		return PA_ENOTFOUND;
	}
	if (pa_inform_hardware(d->iface, &d->question) < 0 || pa_inform_listen(d->fd, pa_tunnet_lan(p.net)->ifindex) < 0) {
		(void)snprintf(d->why, sizeof(d->why), "%s is no interface that DHCP can be spoken by", d->iface);
		return PA_EIO;
	}
	pa_random((uint8_t *)&d->question.xid, sizeof(d->question.xid));
	d->question.address = pa_addr_to_ipv4(&own);
	d->question.code = d->conf->option_code;
	d->question.option = is_release ? d->release : d->public_key;
	d->question.option_len = is_release ? sizeof(d->release) : sizeof(d->public_key);
	d->is_release = is_release;
	d->refused = false;
	d->open = true;
	(void)snprintf(d->why, sizeof(d->why), "no DHCP server answers on %s", d->iface);
	return 0;
}

static void send_question(struct pa_tundemand *d, unsigned attempt)
{
	struct pa_addr own = pa_addr_from_ipv4(d->question.address), server = pa_addr_from_ipv4(UINT32_MAX);
	char text[PA_ADDR_STRLEN], err[PA_INFORM_ERRLEN];
	uint8_t buf[PA_DHCP_MESSAGE_MAX];
	int len = pa_dhcp_inform_encode(&d->question, buf, sizeof(buf)), rc;

	if (attempt < BROADCAST_FROM)
		(void)lease_addr(d, "dhcp-server", &server);
	PA_REQUIRE(len > 0);
	rc = pa_inform_send(d->iface, d->conf->mark, &own, &server, buf, (size_t)len, err);
	if (rc < 0)
		(void)snprintf(d->why, sizeof(d->why), "%s", err);
	pa_log(PA_LOG_INFO, d->is_release ? "demand.release" : "demand.ask", "iface=%s server=%s xid=%08x attempt=%u%s", d->iface,
	       pa_addr_format(&server, text), (unsigned)d->question.xid, attempt, rc < 0 ? " failed=yes" : "");
}

static void op_ask(void *ctx, unsigned round, unsigned attempt)
{
	struct pa_tundemand *d = ctx;

	(void)round;
	if ((attempt > 0 && d->open) || begin(d, false) == 0)
		send_question(d, attempt);
}

static void op_release(void *ctx, unsigned round, unsigned attempt)
{
	struct pa_tundemand *d = ctx;

	(void)round;
	if ((attempt > 0 && d->open) || begin(d, true) == 0)
		send_question(d, attempt);
}

static void op_failed(void *ctx)
{
	struct pa_tundemand *d = ctx;

	d->open = false;
	(void)snprintf(d->trouble, sizeof(d->trouble), "%s", d->why);
	pa_log(PA_LOG_WARN, "demand.failed", "iface=%s reason=\"%s\"", d->iface, d->why);
	tell(d, PA_TUNWANT_BOUND, UINT64_MAX, PA_EEXPIRED, NULL, d->why);
}

static void op_end(void *ctx)
{
	struct pa_tundemand *d = ctx;
	struct pa_tunneld_parts p = pa_tunneld_parts_of(d->t);

	d->own = false;
	pa_client_end(p.client, pa_now_get(), PA_REASON_RELEASED);
	pa_tunneld_tick(d->t);
}

static void op_event(void *ctx, enum pa_demand_state state)
{
	struct pa_tundemand *d = ctx;
	unsigned held;

	if (state == PA_DEMAND_HELD)
		d->trouble[0] = '\0';
	if (may_log(d, &held))
		pa_log(PA_LOG_INFO, "demand.state", "iface=%s state=%s held-back=%u", d->iface, pa_demand_state_name(state), held);
}

static const struct pa_demand_ops core_ops = {.ask = op_ask, .release = op_release, .failed = op_failed, .end = op_end,
					      .event = op_event};

/* ---- the answer ---- */

/* What is left of the DHCP lease, seconds; 0: not known. */
static json_int_t lease_left(const struct pa_tundemand *d, uint64_t now)
{
	json_int_t time = json_integer_value(json_object_get(d->lease, "lease-time"));
	json_int_t received = json_integer_value(json_object_get(d->lease, "received"));
	json_int_t gone = received > 0 && (uint64_t)received <= now ? (json_int_t)((now - (uint64_t)received) / 1000) : 0;

	if (time <= 0)
		return 0;
	return time > gone ? time - gone + LEASE_SLACK_S : 1;
}

/* The same arguments as the DHCP client's script gives. */
static json_t *put_arguments(const struct pa_tundemand *d, const struct pa_dhcp_ack *ack)
{
	static const char *const keys[] = {"dhcp-server", "routers", "resolvers"};
	struct pa_addr own = pa_addr_from_ipv4(d->question.address);
	char hex[2 * PA_GRANT_MAX + 1], text[PA_ADDR_STRLEN];
	json_t *args = json_pack("{s:s, s:s, s:s, s:I}", "grant", pa_hex_encode(ack->option, ack->option_len, hex), "reason", REASON,
				 "dhcp-address", pa_addr_format(&own, text), "lease-time",
				 (json_int_t)lease_left(d, pa_now_get().boot_ms));

	pa_wipe(hex, sizeof(hex));
	for (size_t i = 0; args != NULL && i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *v = json_object_get(d->lease, keys[i]);

		if (v != NULL)
			(void)json_object_set(args, keys[i], v);
	}
	return args;
}

static void take(struct pa_tundemand *d, const struct pa_dhcp_ack *ack)
{
	char err[PA_TUNNELD_ERRLEN] = "out of memory", server[PA_ADDR_STRLEN];
	struct pa_addr from = pa_addr_from_ipv4(ack->server);
	json_t *args = put_arguments(d, ack);

	d->open = false;
	pa_log(PA_LOG_INFO, "demand.answer", "iface=%s server=%s xid=%08x", d->iface, pa_addr_format(&from, server),
	       (unsigned)d->question.xid);
	if (args == NULL || pa_tunneld_grant_put(d->t, args, err) < 0) {
		(void)snprintf(d->why, sizeof(d->why), "the grant of the DHCP server was refused: %s", err);
		d->open = d->refused = true; /* so would be its repetitions */
	}
	json_decref(args);
}

static void answered(struct pa_tundemand *d, const struct pa_dhcp_ack *ack)
{
	struct pa_addr from = pa_addr_from_ipv4(ack->server), server;
	char text[PA_ADDR_STRLEN];

	/* Another server, reached by a broadcast, has another idea of who we are. */
	if (lease_addr(d, "dhcp-server", &server) && !pa_addr_eq(&server, &from))
		return;
	if (d->is_release) {
		if (ack->option_len != sizeof(d->release) || memcmp(ack->option, d->release, sizeof(d->release)) != 0)
			return;
		d->open = false;
		pa_log(PA_LOG_INFO, "demand.released", "iface=%s xid=%08x", d->iface, (unsigned)d->question.xid);
		pa_demand_released(d->core, pa_now_get().boot_ms);
	} else if (ack->option_len > 0 && ack->option[0] == PA_GRANT_FORMAT) {
		if (!d->refused)
			take(d, ack);
	} else if (!d->refused) {
		(void)snprintf(d->why, sizeof(d->why), "the DHCP server %s answers, yet gives no public address: its log tells whether "
			       "it may not, or its broker is away", pa_addr_format(&from, text));
	}
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct pa_tundemand *d = h->data;
	uint8_t buf[PA_DHCP_MESSAGE_MAX];
	struct pa_reader payload;
	struct pa_dhcp_ack ack;
	uint32_t from;
	int n;

	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	for (int i = 0; i < TURN && (n = pa_inform_read(d->fd, buf, sizeof(buf))) >= 0; i++)
		if (d->open && pa_dhcp_packet_decode(buf, (size_t)n, &from, &payload) == 0 &&
		    pa_dhcp_ack_decode(payload.p, payload.left, &d->question, &ack) == 0)
			answered(d, &ack);
	pa_wipe(buf, sizeof(buf));
	pa_wipe(&ack, sizeof(ack));
	pa_tundemand_kick(d);
}

/* ---- what is going on ---- */

void pa_tundemand_took(struct pa_tundemand *d, const json_t *args, const struct pa_grant *g)
{
	const char *reason = json_string_value(json_object_get(args, "reason"));
	const char *text = json_string_value(json_object_get(args, "dhcp-address"));
	uint8_t proof[PA_MAC_LEN];
	struct pa_client_status s;
	struct pa_addr own;

	if (!pa_tundemand_is_on(d))
		return;
	if (reason == NULL || strcmp(reason, REASON) != 0 || text == NULL || pa_addr_parse(text, &own) < 0) {
		d->own = false;
		pa_demand_taken_over(d->core);
		return;
	}
	pa_release_proof(g->secret, g->claims.epoch, pa_addr_to_ipv4(&own), proof);
	pa_dhcp_release_encode(g->claims.epoch, proof, d->release);
	d->own = d->programs = true; /* those of a former process may run on */
	pa_client_status_get(pa_tunneld_parts_of(d->t).client, &s);
	pa_demand_granted(d->core, pa_now_get().boot_ms, s.expires_boot_ms);
}

/* Programs that live by themselves, while there is something for them to use. */
static bool programs_now(struct pa_tundemand *d, const struct pa_tunneld_parts *p, uint64_t now)
{
	/* Anybody's packet may bring us here; the walk through the groups is not for him to start. */
	if (!d->programs || pa_tunnet_in_namespace(p->net) || now < d->looked_ms + LOOK_MS)
		return d->programs;
	d->looked_ms = now;
	return pa_cgroup_used(d->conf->device);
}

static uint64_t drive(struct pa_tundemand *d, const struct pa_tunneld_parts *p, uint64_t now)
{
	struct pa_client_status s;

	pa_client_status_get(p->client, &s);
	if (s.state == PA_CLIENT_IDLE && d->own) {
		d->own = false;
		pa_demand_lost(d->core, now);
	}
	d->programs = s.state != PA_CLIENT_IDLE && programs_now(d, p, now);
	pa_demand_users(d->core, now, count_wants(d) + d->programs, s.state != PA_CLIENT_IDLE && !d->own);
	return pa_demand_tick(d->core, now);
}

static void on_timer(uv_timer_t *h);

/* Tells those who wait what there is; one whose time is up, that there is nothing. */
static void tell_all(struct pa_tundemand *d, uint64_t now)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(d->t);
	static const char nothing[] = "there is no public address now; pubaddr status tells why";
	const char *why = "the gateway does not answer in time; pubaddr status tells more";
	struct pa_client_status s;

	pa_client_status_get(p.client, &s);
	if (s.state == PA_CLIENT_BOUND && p.trouble[0] == '\0')
		tell(d, PA_TUNWANT_BOUND, UINT64_MAX, 0, &s.claims.addr, "");
	else if (s.state != PA_CLIENT_IDLE)
		tell(d, PA_TUNWANT_GRANT, UINT64_MAX, 0, &s.claims.addr, "");
	if (d->core == NULL)
		tell(d, PA_TUNWANT_BOUND, UINT64_MAX, PA_ENOTFOUND, NULL, nothing);
	if (s.state == PA_CLIENT_IDLE)
		why = d->why;
	else if (p.trouble[0] != '\0')
		why = p.trouble;
	tell(d, PA_TUNWANT_BOUND, now, PA_EEXPIRED, NULL, why);
}

static void look(struct pa_tundemand *d)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(d->t);
	uint64_t now = pa_now_get().boot_ms, next = d->core != NULL ? drive(d, &p, now) : UINT64_MAX;

	tell_all(d, now);
	for (const struct pa_tunwant *w = d->wants; w != NULL; w = w->next)
		if (!w->told && w->deadline_ms < next)
			next = w->deadline_ms;
	if (d->core != NULL && d->programs && next > now + LOOK_MS)
		next = now + LOOK_MS;
	if (next != UINT64_MAX && !d->closed && !uv_is_active((const uv_handle_t *)&d->timer))
		(void)uv_timer_start(&d->timer, on_timer, next > now ? next - now : 1, 0);
}

static void on_timer(uv_timer_t *h)
{
	look(h->data);
}

void pa_tundemand_kick(struct pa_tundemand *d)
{
	if (d != NULL && d->has_timer && !d->closed)
		(void)uv_timer_start(&d->timer, on_timer, 0, 0);
}

const char *pa_tundemand_trouble(const struct pa_tundemand *d)
{
	return d != NULL ? d->trouble : "";
}

json_t *pa_tundemand_json(const struct pa_tundemand *d)
{
	json_t *obj = json_pack("{s:s, s:i, s:b}", "state", pa_demand_state_name(pa_demand_state_of(d->core)), "wants",
				(int)count_wants(d), "programs", (int)d->programs);

	if (obj != NULL && d->trouble[0] != '\0')
		(void)json_object_set_new(obj, "problem", json_string(d->trouble));
	return obj;
}

/* ---- life ---- */

static int open_question(struct pa_tundemand *d, uv_loop_t *loop, char err[PA_TUNDEMAND_ERRLEN])
{
	char detail[PA_FILE_ERRLEN > PA_INFORM_ERRLEN ? PA_FILE_ERRLEN : PA_INFORM_ERRLEN] = "out of memory";
	uint8_t secret_key[PA_KEY_LEN];
	int rc;

	d->core = pa_demand_new(&core_ops, d, (uint64_t)d->conf->linger * 1000);
	rc = d->core != NULL ? pa_client_key_load(d->conf->key_file, secret_key, detail) : PA_ENOMEM;
	if (rc == 0) {
		pa_keypair_public(secret_key, d->public_key);
		pa_wipe(secret_key, sizeof(secret_key));
		rc = pa_inform_open(&d->fd, detail);
	}
	if (rc == 0 && uv_poll_init(loop, &d->poll, d->fd) < 0) {
		(void)snprintf(detail, sizeof(detail), "cannot watch the packet socket");
		rc = PA_EIO;
	}
	if (rc < 0) {
		(void)snprintf(err, PA_TUNDEMAND_ERRLEN, "%.*s", PA_TUNDEMAND_ERRLEN - 1, detail);
		return rc;
	}
	d->poll.data = d;
	d->has_poll = true;
	(void)uv_poll_start(&d->poll, UV_READABLE, on_readable);
	return 0;
}

int pa_tundemand_new(uv_loop_t *loop, struct pa_tunneld *t, struct pa_tundemand **ret, char err[PA_TUNDEMAND_ERRLEN])
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_tundemand *d = calloc(1, sizeof(*d));

	if (d == NULL) {
		(void)snprintf(err, PA_TUNDEMAND_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	d->t = t;
	d->conf = p.conf;
	d->iface = p.iface;
	d->fd = -1;
	(void)uv_timer_init(loop, &d->timer);
	d->timer.data = d;
	d->has_timer = true;
	*ret = d; /* whatever comes, the daemon closes it */
	return d->conf->on_demand ? open_question(d, loop, err) : 0;
}

void pa_tundemand_close(struct pa_tundemand *d)
{
	if (d == NULL || d->closed)
		return;
	d->closed = true;
	tell(d, PA_TUNWANT_BOUND, UINT64_MAX, PA_EIO, NULL, "pubaddr-tunneld is stopping");
	if (d->has_poll)
		uv_close((uv_handle_t *)&d->poll, NULL);
	uv_close((uv_handle_t *)&d->timer, NULL);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void pa_tundemand_free(struct pa_tundemand *d)
{
	if (d == NULL)
		return;
	while (d->wants != NULL) {
		struct pa_tunwant *w = d->wants;

		d->wants = w->next;
		free(w);
	}
	pa_demand_free(d->core);
	json_decref(d->lease);
	pa_wipe(d, sizeof(*d));
	free(d);
}
