/* SPDX-License-Identifier: MPL-2.0 */
#include "kea-hook/hook.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/addr.h"
#include "common/command.h"
#include "common/cred.h"
#include "common/dhcp_inform.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/proto.h"
#include "kea-hook/inform.h"
#include "kea-hook/link.h"
#include "kea-hook/params.h"
#include "kea-hook/rate.h"
#include "kea-hook/request.h"

#define RELEASES_MAX 256 /* queued while the broker is away */

struct waiter {
	struct waiter *next;
	void *packet;
	size_t len;
	uint8_t option[PA_HOOK_OPTION_MAX];
};

struct request {
	struct request *next;
	struct pa_hook_key key;
	struct waiter *waiters;	  /* packets; others may join */
	struct pa_inform *inform; /* or an INFORM's, which stays alone; NULL: it is not one's */
};

enum { RATE_TIMEOUT, RATE_LIMIT, RATE_REFUSED, RATE_FOREIGN, N_RATES };

struct pa_hook {
	struct pa_hook_params *params;
	struct pa_hook_ops ops;
	char summary[512];
	pthread_mutex_t lock; /* everything below */
	struct pa_link *link;
	struct request *requests;
	struct pa_informs *informs;
	struct waiter *done, **done_end;
	unsigned parked; /* packets in requests and done */
	uint64_t stats[PA_HOOK_N_STATS];
	struct pa_rate rates[N_RATES];
};

static const char *const stat_names[PA_HOOK_N_STATS] = {
	[PA_HOOK_REQUESTS] = "pubaddr-requests",
	[PA_HOOK_GRANTED] = "pubaddr-granted",
	[PA_HOOK_REFUSED] = "pubaddr-refused",
	[PA_HOOK_TIMEOUT] = "pubaddr-timeout",
	[PA_HOOK_BROKER_DOWN] = "pubaddr-broker-down",
	[PA_HOOK_PARKED_LIMIT] = "pubaddr-parked-limit",
	[PA_HOOK_COALESCED] = "pubaddr-coalesced",
	[PA_HOOK_LATE] = "pubaddr-late-replies",
	[PA_HOOK_NONSENSE] = "pubaddr-nonsense-replies",
	[PA_HOOK_RELEASES] = "pubaddr-releases-sent",
	[PA_HOOK_RELEASES_DROPPED] = "pubaddr-releases-dropped",
	[PA_HOOK_INFORMS] = "pubaddr-informs",
	[PA_HOOK_INFORM_ANSWERS] = "pubaddr-inform-answers",
	[PA_HOOK_INFORM_FOREIGN] = "pubaddr-inform-foreign",
	[PA_HOOK_INFORM_LIMIT] = "pubaddr-inform-limit",
};

const char *pa_hook_stat_name(enum pa_hook_stat stat)
{
	return stat_names[stat];
}

static void count(struct pa_hook *h, enum pa_hook_stat stat)
{
	h->stats[stat]++;
	h->ops.count(h->ops.arg, stat);
}

static uint64_t boot_ms(void)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* True if a line of this kind may be logged. */
static bool pass(struct pa_hook *h, unsigned kind, unsigned *ret_held)
{
	return pa_rate_pass(&h->rates[kind], boot_ms(), ret_held);
}

static void log_client(enum pa_log_level level, const char *event, const struct pa_hook_key *key, const char *more)
{
	char id[2 * PA_HOOK_ID_MAX + 1], address[PA_ADDR_STRLEN];
	struct pa_addr a = pa_addr_from_ipv4(key->address);

	pa_log(level, event, "subnet=%u address=%s client=%s %s", key->subnet_id, pa_addr_format(&a, address),
	       pa_hex_encode(key->id, key->id_len, id), more);
}

/* The lock is held. Moves every waiter of r to the done list, or tells its INFORM, and frees r. */
static void finish(struct pa_hook *h, struct request *r, const uint8_t *option, size_t len, enum pa_hook_stat stat)
{
	struct request **at = &h->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	for (struct waiter *w = r->waiters, *next; w != NULL; w = next) {
		next = w->next;
		w->next = NULL;
		w->len = len;
		if (len > 0)
			memcpy(w->option, option, len);
		*h->done_end = w;
		h->done_end = &w->next;
		count(h, stat);
	}
	if (r->inform != NULL) {
		pa_informs_done(h->informs, r->inform, option, len, boot_ms());
		if (len == 0 || stat == PA_HOOK_RELEASES) /* what is granted is counted as it is given out */
			count(h, stat);
	}
	free(r);
}

static void refused(struct pa_hook *h, const struct request *r, const struct pa_link_answer *answer)
{
	char more[256];
	unsigned held;

	/* No free address is what the operator must know of; the rest is policy. */
	if (!pass(h, RATE_REFUSED, &held))
		return;
	pa_log_format(more, sizeof(more), "result=%d reason=\"%.160s\" held-back=%u", answer->result, answer->text, held);
	log_client(PA_LOG_WARN, "request.refused", &r->key, more);
}

static int replied(struct pa_hook *h, struct request *r, const struct pa_link_answer *answer)
{
	const uint8_t *release = r->inform != NULL ? pa_inform_release(r->inform) : NULL;
	uint8_t option[PA_HOOK_OPTION_MAX];
	const char *hex;
	int n;

	/* Empty: it is released already, or superseded, which is as good to who gives it back. */
	if (release != NULL && (answer->result == PA_RESULT_SUCCESS || answer->result == PA_RESULT_EMPTY)) {
		log_client(PA_LOG_INFO, "inform.released", &r->key, "");
		memcpy(option, release, PA_RELEASE_LEN);
		finish(h, r, option, PA_RELEASE_LEN, PA_HOOK_RELEASES);
		return 0;
	}
	if (answer->result != PA_RESULT_SUCCESS) {
		refused(h, r, answer);
		finish(h, r, NULL, 0, PA_HOOK_REFUSED);
		return 0;
	}
	hex = json_string_value(json_object_get(answer->arguments, "grant"));
	n = hex != NULL ? pa_hex_decode(hex, option, sizeof(option)) : PA_EFORMAT;
	if (n < 1 || option[0] != PA_GRANT_FORMAT) {
		finish(h, r, NULL, 0, PA_HOOK_BROKER_DOWN);
		return PA_EFORMAT;
	}
	log_client(PA_LOG_DEBUG, "request.granted", &r->key, "");
	finish(h, r, option, (size_t)n, PA_HOOK_GRANTED);
	pa_wipe(option, sizeof(option));
	return 0;
}

static int on_done(void *arg, void *tag, const struct pa_link_answer *answer)
{
	struct pa_hook *h = arg;
	struct request *r = tag;
	char more[64];
	unsigned held;

	if (answer->error == 0)
		return replied(h, r, answer);
	if (answer->error != PA_EEXPIRED) {
		log_client(PA_LOG_DEBUG, "request.lost", &r->key, "");
		finish(h, r, NULL, 0, PA_HOOK_BROKER_DOWN);
		return 0;
	}
	if (pass(h, RATE_TIMEOUT, &held)) {
		(void)snprintf(more, sizeof(more), "deadline=%u held-back=%u", pa_hook_params_deadline(h->params), held);
		log_client(PA_LOG_WARN, "request.timeout", &r->key, more);
	}
	finish(h, r, NULL, 0, PA_HOOK_TIMEOUT);
	return 0;
}

static void on_event(void *arg, enum pa_link_event event)
{
	static const enum pa_hook_stat stats[] = {
		[PA_LINK_NONSENSE] = PA_HOOK_NONSENSE,
		[PA_LINK_LATE] = PA_HOOK_LATE,
		[PA_LINK_RELEASE_SENT] = PA_HOOK_RELEASES,
		[PA_LINK_RELEASE_DROPPED] = PA_HOOK_RELEASES_DROPPED,
	};

	count(arg, stats[event]);
}

static void summarize(struct pa_hook *h)
{
	const struct pa_hook_params *p = h->params;

	(void)snprintf(h->summary, sizeof(h->summary), "realm=%s broker-socket=%s option-code=%u deadline=%u max-parked=%u",
		       pa_hook_params_realm(p), pa_hook_params_socket(p), pa_hook_params_code(p),
		       pa_hook_params_deadline(p), pa_hook_params_max_parked(p));
}

int pa_hook_new(const char *params, size_t len, const struct pa_hook_ops *ops, struct pa_hook **ret,
		char err[PA_HOOK_ERROR_LEN])
{
	struct pa_hook *h = calloc(1, sizeof(*h));
	const struct pa_link_ops link_ops = {on_done, on_event, h};
	struct pa_link_options options;
	int rc;

	if (h == NULL) {
		(void)snprintf(err, PA_HOOK_ERROR_LEN, "out of memory");
		return PA_ENOMEM;
	}
	h->ops = *ops;
	h->done_end = &h->done;
	rc = pa_hook_params_parse(params, len, &h->params, err);
	if (rc < 0) {
		free(h);
		return rc;
	}
	h->informs = pa_informs_new();
	if (h->informs == NULL) {
		(void)snprintf(err, PA_HOOK_ERROR_LEN, "out of memory");
		pa_hook_params_free(h->params);
		free(h);
		return PA_ENOMEM;
	}
	summarize(h);
	options = (struct pa_link_options){pa_hook_params_socket(h->params), pa_hook_params_deadline(h->params),
					   pa_hook_params_max_parked(h->params) + PA_INFORMS_IN_FLIGHT_MAX, RELEASES_MAX};
	rc = pa_link_new(&options, &link_ops, &h->link);
	if (rc < 0) {
		(void)snprintf(err, PA_HOOK_ERROR_LEN, "no descriptor below %d for the link to the broker: %s; "
			       "does something keep too many files open?", PA_LINK_FD_MAX, strerrordesc_np(errno));
		pa_informs_free(h->informs);
		pa_hook_params_free(h->params);
		free(h);
		return rc;
	}
	(void)pthread_mutex_init(&h->lock, NULL);
	*ret = h;
	return 0;
}

void pa_hook_free(struct pa_hook *h)
{
	if (h == NULL)
		return;
	PA_REQUIRE(h->parked == 0);
	pa_link_free(h->link);
	pa_informs_free(h->informs);
	pa_hook_params_free(h->params);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

int pa_hook_fd(const struct pa_hook *h)
{
	return pa_link_fd(h->link);
}

uint8_t pa_hook_option_code(const struct pa_hook *h)
{
	return pa_hook_params_code(h->params);
}

const char *pa_hook_summary(const struct pa_hook *h)
{
	return h->summary;
}

bool pa_hook_wants(const struct pa_hook *h, uint32_t subnet_id, const struct pa_hook_query *q)
{
	const struct pa_hook_params *p = h->params;

	if (!pa_hook_params_subnet(p, subnet_id) || !pa_hook_params_eligible(p, q->classes, q->n_classes))
		return false;
	if (q->has_option || pa_hook_params_always(p, q->classes, q->n_classes))
		return true;
	return q->requested_len > 0 && memchr(q->requested, pa_hook_params_code(p), q->requested_len) != NULL;
}

/* The lock is held. */
static int ask(struct pa_hook *h, const struct pa_hook_key *key, const struct pa_hook_lease *lease,
	       const struct pa_hook_query *query, struct waiter *w)
{
	struct request *r;
	json_t *arguments;
	int rc;

	for (r = h->requests; r != NULL; r = r->next) {
		if (r->inform != NULL || !pa_hook_key_eq(&r->key, key))
			continue;
		w->next = r->waiters;
		r->waiters = w;
		count(h, PA_HOOK_COALESCED);
		return 0;
	}
	r = calloc(1, sizeof(*r));
	arguments = pa_hook_allocate_new(pa_hook_params_realm(h->params), key, lease->valid_lifetime, query);
	if (r == NULL || arguments == NULL) {
		json_decref(arguments);
		free(r);
		return PA_ENOMEM;
	}
	rc = pa_link_request(h->link, "lease-allocate", arguments, r);
	if (rc < 0) {
		free(r);
		return rc;
	}
	r->key = *key;
	r->waiters = w;
	r->next = h->requests;
	h->requests = r;
	count(h, PA_HOOK_REQUESTS);
	return 0;
}

/* The lock is held. Counts and tells why a packet does not wait. */
static void not_parked(struct pa_hook *h, const struct pa_hook_key *key, int rc)
{
	char more[64];
	unsigned held;

	if (rc != PA_EEXHAUSTED) {
		count(h, PA_HOOK_BROKER_DOWN);
		return;
	}
	count(h, PA_HOOK_PARKED_LIMIT);
	if (!pass(h, RATE_LIMIT, &held))
		return;
	(void)snprintf(more, sizeof(more), "max-parked=%u held-back=%u", pa_hook_params_max_parked(h->params), held);
	log_client(PA_LOG_WARN, "parked.limit", key, more);
}

int pa_hook_submit(struct pa_hook *h, const struct pa_hook_lease *lease, const struct pa_hook_query *query, void *packet)
{
	struct pa_hook_key key;
	struct waiter *w;
	int rc = pa_hook_key_make(lease, query, &key);

	if (rc < 0)
		return rc;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return PA_ENOMEM;
	w->packet = packet;
	(void)pthread_mutex_lock(&h->lock);
	rc = h->parked < pa_hook_params_max_parked(h->params) ? ask(h, &key, lease, query, w) : PA_EEXHAUSTED;
	if (rc == 0)
		h->parked++;
	else
		not_parked(h, &key, rc);
	(void)pthread_mutex_unlock(&h->lock);
	if (rc < 0)
		free(w);
	return rc;
}

/* ---- DHCPINFORM ---- */

bool pa_hook_informs(const struct pa_hook *h, const struct pa_hook_query *q)
{
	return pa_hook_params_eligible(h->params, q->classes, q->n_classes) &&
	       (q->has_option || (q->requested_len > 0 && memchr(q->requested, pa_hook_params_code(h->params), q->requested_len) != NULL));
}

static bool same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* An INFORM may name any address. What must fit is what a DHCPRELEASE is judged by, and where it came from as well. */
const char *pa_hook_foreign(const struct pa_hook_lease *lease, const struct pa_hook_sender *from)
{
	if (lease == NULL)
		return "no lease";
	if (lease->hw_address_len == 0 || from->hw_address_len == 0 ||
	    !same(lease->hw_address, lease->hw_address_len, from->hw_address, from->hw_address_len))
		return "hardware address";
	if (lease->client_id_len > 0 && from->client_id_len > 0 &&
	    !same(lease->client_id, lease->client_id_len, from->client_id, from->client_id_len))
		return "client identifier";
	if (!from->relayed && from->source != lease->address)
		return "source address";
	if (!from->relayed && from->frame_len > 0 && !same(from->frame, from->frame_len, from->hw_address, from->hw_address_len))
		return "source of the frame";
	return NULL;
}

/* The lock is held. */
static void log_foreign(struct pa_hook *h, const struct pa_hook_sender *from, const char *why)
{
	char hw[2 * PA_HOOK_ID_MAX + 1], source[PA_ADDR_STRLEN];
	struct pa_addr a = pa_addr_from_ipv4(from->source);
	unsigned held;

	count(h, PA_HOOK_INFORM_FOREIGN);
	if (!pass(h, RATE_FOREIGN, &held))
		return;
	pa_log(PA_LOG_WARN, "inform.foreign", "source=%s hw-address=%s cause=\"%s\" held-back=%u", pa_addr_format(&a, source),
	       pa_hex_encode(from->hw_address, from->hw_address_len < PA_HOOK_ID_MAX ? from->hw_address_len : PA_HOOK_ID_MAX, hw), why,
	       held);
}

/* The lock is held. Asks the broker; the INFORM itself does not wait. */
static void ask_inform(struct pa_hook *h, struct pa_inform *inform, uint32_t lifetime, const struct pa_hook_query *query)
{
	const struct pa_hook_key *key = pa_inform_key(inform);
	const uint8_t *release = pa_inform_release(inform);
	const char *realm = pa_hook_params_realm(h->params);
	struct request *r = calloc(1, sizeof(*r));
	json_t *arguments = release != NULL ? pa_hook_return_new(realm, key, release) : pa_hook_allocate_new(realm, key, lifetime, query);
	int rc = PA_ENOMEM;

	if (r != NULL && arguments != NULL)
		rc = pa_link_request(h->link, release != NULL ? "lease-release" : "lease-allocate", arguments, r);
	else
		json_decref(arguments);
	if (rc < 0) {
		count(h, PA_HOOK_BROKER_DOWN);
		pa_informs_drop(h->informs, inform);
		free(r);
		return;
	}
	r->key = *key;
	r->inform = inform;
	r->next = h->requests;
	h->requests = r;
	count(h, PA_HOOK_INFORMS);
	log_client(PA_LOG_INFO, release != NULL ? "inform.release" : "inform.asked", key, "");
}

size_t pa_hook_inform(struct pa_hook *h, const struct pa_hook_lease *lease, const struct pa_hook_sender *from,
		      const struct pa_hook_query *query, uint8_t option[PA_HOOK_OPTION_MAX])
{
	const uint8_t *release = query->option_len == PA_RELEASE_LEN && query->option[0] == PA_RELEASE_FORMAT ? query->option : NULL;
	const char *why = pa_hook_foreign(lease, from);
	struct pa_inform *inform;
	struct pa_hook_key key;
	size_t len = 0;

	if (why == NULL && (!pa_hook_params_subnet(h->params, lease->subnet_id) || pa_hook_key_make(lease, query, &key) < 0))
		return 0;
	(void)pthread_mutex_lock(&h->lock);
	if (why != NULL) {
		log_foreign(h, from, why);
	} else {
		switch (pa_informs_seen(h->informs, &key, release, boot_ms(), &inform, option, &len)) {
		case PA_INFORM_ASK:
			ask_inform(h, inform, lease->valid_lifetime, query);
			break;
		case PA_INFORM_ANSWER:
			count(h, PA_HOOK_INFORM_ANSWERS);
			log_client(PA_LOG_INFO, "inform.answered", &key, release != NULL ? "release=yes" : "release=no");
			break;
		case PA_INFORM_LIMIT:
			count(h, PA_HOOK_INFORM_LIMIT);
			break;
		case PA_INFORM_WAIT:
			break;
		}
	}
	(void)pthread_mutex_unlock(&h->lock);
	return len;
}

void pa_hook_release(struct pa_hook *h, const struct pa_hook_lease *lease)
{
	struct pa_hook_key key;

	if (!pa_hook_params_subnet(h->params, lease->subnet_id) || pa_hook_key_make(lease, NULL, &key) < 0)
		return;
	(void)pthread_mutex_lock(&h->lock);
	pa_informs_forget(h->informs, &key);
	pa_link_release(h->link, pa_hook_release_new(pa_hook_params_realm(h->params), &key));
	(void)pthread_mutex_unlock(&h->lock);
}

void pa_hook_dispatch(struct pa_hook *h)
{
	(void)pthread_mutex_lock(&h->lock);
	pa_link_dispatch(h->link);
	(void)pthread_mutex_unlock(&h->lock);
}

/* The lock is held. The first of the done list, or NULL. */
static struct waiter *pop_done(struct pa_hook *h)
{
	struct waiter *w = h->done;

	if (w == NULL)
		return NULL;
	h->done = w->next;
	if (h->done == NULL)
		h->done_end = &h->done;
	h->parked--;
	return w;
}

bool pa_hook_next_done(struct pa_hook *h, struct pa_hook_done *ret)
{
	struct waiter *w;

	(void)pthread_mutex_lock(&h->lock);
	w = pop_done(h);
	(void)pthread_mutex_unlock(&h->lock);
	if (w == NULL)
		return false;
	ret->packet = w->packet;
	ret->len = w->len;
	memcpy(ret->option, w->option, sizeof(ret->option));
	pa_wipe(w, sizeof(*w));
	free(w);
	return true;
}

void *pa_hook_drain(struct pa_hook *h)
{
	struct waiter *w;
	struct request *r;
	void *packet = NULL;

	(void)pthread_mutex_lock(&h->lock);
	/* Replies that still come find no request: the link is told nothing, so nobody may dispatch after this. */
	while ((r = h->requests) != NULL && r->waiters == NULL) {
		h->requests = r->next;
		free(r);
	}
	if (r != NULL) {
		w = r->waiters;
		r->waiters = w->next;
		h->parked--;
	} else {
		w = pop_done(h);
	}
	(void)pthread_mutex_unlock(&h->lock);
	if (w != NULL) {
		packet = w->packet;
		pa_wipe(w, sizeof(*w));
		free(w);
	}
	return packet;
}

char *pa_hook_status(struct pa_hook *h)
{
	const struct pa_hook_params *p = h->params;
	json_t *root, *stats = json_object();
	char *text = NULL;

	(void)pthread_mutex_lock(&h->lock);
	for (int i = 0; i < PA_HOOK_N_STATS; i++)
		(void)json_object_set_new(stats, stat_names[i], json_integer((json_int_t)h->stats[i]));
	root = json_pack("{s:s, s:b, s:s, s:i, s:i, s:i, s:i, s:o}", "broker-socket", pa_hook_params_socket(p),
			 "broker-up", (int)pa_link_is_up(h->link), "realm", pa_hook_params_realm(p), "option-code",
			 (int)pa_hook_params_code(p), "deadline", (int)pa_hook_params_deadline(p), "max-parked",
			 (int)pa_hook_params_max_parked(p), "parked", (int)h->parked, "statistics", stats);
	(void)pthread_mutex_unlock(&h->lock);
	if (root != NULL)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}
