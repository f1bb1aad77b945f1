/* SPDX-License-Identifier: MPL-2.0 */
/* The client's core: PROBE and its answer, which others (probe.h) send and receive. */
#include <string.h>

#include "common/err.h"
#include "common/msg.h"
#include "tunnel/client_int.h"

int pa_client_probe(struct pa_client *cl, struct pa_now now, struct pa_msg *m, uint8_t *buf, size_t cap)
{
	struct pa_client_session *s = &cl->s;
	uint64_t clock = now.boot_ms * 1000 + now.boot_us;

	if (!s->valid || s->lost)
		return PA_EAGAIN;
	m->type = PA_MSG_PROBE;
	memcpy(m->session, s->b.session, sizeof(m->session));
	memcpy(m->token, s->token, sizeof(m->token));
	/* By the clock, because the next process that adopts the session does not know how far this one came. */
	m->seq = s->probe_seq < clock ? clock : s->probe_seq + 1;
	s->probe_seq = m->seq;
	return pa_msg_encode(m, s->c2g, buf, cap);
}

int pa_client_probed(const struct pa_client *cl, const uint8_t *buf, size_t len, struct pa_msg *ret)
{
	const struct pa_client_session *s = &cl->s;
	struct pa_msg m;

	if (pa_msg_decode(buf, len, &m) < 0 || m.type != PA_MSG_PROBED)
		return PA_EFORMAT;
	if (!s->valid || memcmp(m.session, s->b.session, sizeof(m.session)) != 0)
		return PA_ENOTFOUND;
	if (!pa_msg_verify(buf, len, s->g2c))
		return PA_EAUTH;
	*ret = m;
	return 0;
}

unsigned pa_client_gateways(const struct pa_client *cl, struct pa_endpoint ret[PA_GATEWAYS_MAX])
{
	if (!cl->has_grant)
		return 0;
	memcpy(ret, cl->grant.gateways, cl->grant.n_gateways * sizeof(ret[0]));
	return cl->grant.n_gateways;
}
