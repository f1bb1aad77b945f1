/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_pulse_edge.h"

#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/log.h"
#include "tunnel/keep_learn.h"
#include "tunnel/probe.h"
#include "tunnel/tunneld_probe_edge.h"

struct pa_tunneld_pulse {
	struct pa_tunneld_pulse_config cfg;
	uv_timer_t timer;
	struct pa_tunneld_probe *probe;
	struct pa_learn learn;
	struct pa_client_binding known; /* as of the last beat */
	uint8_t tried[PA_SESSION_LEN];	/* the session in which the running trial began */
	uint16_t silence;		/* of the running trial */
	uint16_t interval;		/* as the client was told */
};

static uint16_t random_u16(void)
{
	uint16_t r;

	pa_random((uint8_t *)&r, sizeof(r));
	return r;
}

/* What the binding that there is now says about the NAT. */
static void compare(struct pa_tunneld_pulse *p, struct pa_now now, const struct pa_client_binding *b)
{
	struct pa_client_binding *k = &p->known;
	bool same = memcmp(k->session, b->session, sizeof(k->session)) == 0;

	if (p->learn.bound == 0)
		pa_learn_begin(&p->learn, now, b->keepalive, random_u16());
	else if (!pa_addr_eq(&k->mapped.addr, &b->mapped.addr) || (same && k->mapped.port != b->mapped.port))
		pa_learn_moved(&p->learn, now, random_u16());
	pa_learn_bound(&p->learn, now, b->keepalive);
	*k = *b;
}

static enum pa_learn_result judge(const struct pa_tunneld_pulse *p, const struct pa_client_status *s, const struct pa_probe_result *r)
{
	if (memcmp(s->binding.session, p->tried, sizeof(p->tried)) != 0)
		return PA_LEARN_VOID;
	if (r->life_kept == p->silence)
		return PA_LEARN_HELD;
	return r->life_lost == p->silence && s->misses == 0 ? PA_LEARN_LOST : PA_LEARN_VOID;
}

static void learn(struct pa_tunneld_pulse *p, struct pa_now now, const struct pa_client_status *s)
{
	struct pa_probe_result r;
	uint16_t silence, interval;

	if (p->learn.trying != 0 && pa_tunneld_probe_lived(p->probe, &r))
		pa_learn_result(&p->learn, now, judge(p, s, &r), random_u16());
	silence = s->misses == 0 ? pa_learn_trial(&p->learn, now) : 0;
	if (silence != 0) {
		p->silence = silence;
		memcpy(p->tried, s->binding.session, sizeof(p->tried));
		if (pa_tunneld_probe_life(p->probe, silence) < 0)
			pa_learn_result(&p->learn, now, PA_LEARN_VOID, random_u16());
	}
	interval = pa_learn_interval(&p->learn);
	if (interval == p->interval)
		return;
	p->interval = interval;
	pa_client_interval(p->cfg.client, now, interval);
	pa_log(PA_LOG_INFO, "keepalive.learned", "interval=%u bound=%u held=%u lost=%u", (unsigned)interval, (unsigned)p->learn.bound,
	       (unsigned)p->learn.good, (unsigned)p->learn.bad);
}

static void on_beat(uv_timer_t *h)
{
	struct pa_tunneld_pulse *p = h->data;
	struct pa_now now = pa_now_get();
	struct pa_client_status s;
	struct pa_dp_stats stats;

	if (pa_path_stats(p->cfg.path, NULL, &stats, NULL) == 0)
		pa_client_traffic(p->cfg.client, now, stats.tx_packets, stats.rx_packets);
	pa_client_status_get(p->cfg.client, &s);
	if (s.state == PA_CLIENT_BOUND && !s.binding.relayed) { /* what there is to learn is about UDP */
		compare(p, now, &s.binding);
		learn(p, now, &s);
	}
	p->cfg.tick(p->cfg.ctx);
}

int pa_tunneld_pulse_new(const struct pa_tunneld_pulse_config *cfg, struct pa_tunneld_pulse **ret)
{
	const struct pa_tunneld_probe_config probe = {.loop = cfg->loop, .client = cfg->client, .iface = cfg->iface,
						      .mark = cfg->mark};
	struct pa_tunneld_pulse *p = calloc(1, sizeof(*p));

	if (p == NULL || pa_tunneld_probe_new(&probe, &p->probe) < 0) {
		free(p);
		return PA_ENOMEM;
	}
	p->cfg = *cfg;
	(void)uv_timer_init(cfg->loop, &p->timer);
	p->timer.data = p;
	*ret = p;
	return 0;
}

void pa_tunneld_pulse_start(struct pa_tunneld_pulse *p)
{
	if (!uv_is_active((uv_handle_t *)&p->timer))
		(void)uv_timer_start(&p->timer, on_beat, PA_CLIENT_PULSE_MS, PA_CLIENT_PULSE_MS);
}

void pa_tunneld_pulse_stop(struct pa_tunneld_pulse *p)
{
	(void)uv_timer_stop(&p->timer);
}

void pa_tunneld_pulse_close(struct pa_tunneld_pulse *p)
{
	if (p == NULL)
		return;
	pa_tunneld_probe_close(p->probe);
	if (!uv_is_closing((uv_handle_t *)&p->timer))
		uv_close((uv_handle_t *)&p->timer, NULL);
}

void pa_tunneld_pulse_free(struct pa_tunneld_pulse *p)
{
	if (p == NULL)
		return;
	pa_tunneld_probe_free(p->probe);
	free(p);
}
