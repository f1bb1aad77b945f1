/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_PULSE_EDGE_H
#define PA_TUNNELD_PULSE_EDGE_H

#include <uv.h>

#include "tunnel/client.h"
#include "tunnel/dp_select.h"

/*
 * What the client daemon looks at several times a second while it is bound: whether what leaves by the tunnel is answered
 * (pa_client_traffic), and, by sockets of its own, how long the NAT holds a mapping (keep_learn.h). One loop's thread.
 */
struct pa_tunneld_pulse;

struct pa_tunneld_pulse_config {
	uv_loop_t *loop;
	struct pa_client *client;  /* borrowed */
	struct pa_path *path;	   /* borrowed */
	const char *iface;	   /* borrowed */
	uint32_t mark;		   /* of the tunnel's own packets */
	void (*tick)(void *ctx);   /* called after each look, for the client's timers */
	void *ctx;
};

/* It beats only from _start to _stop; both are harmless a second time. PA_ENOMEM. */
int pa_tunneld_pulse_new(const struct pa_tunneld_pulse_config *cfg, struct pa_tunneld_pulse **ret);
void pa_tunneld_pulse_start(struct pa_tunneld_pulse *p);
void pa_tunneld_pulse_stop(struct pa_tunneld_pulse *p);
/* Closes every handle; free after the loop has run out, before the client is freed. NULL is fine for both. */
void pa_tunneld_pulse_close(struct pa_tunneld_pulse *p);
void pa_tunneld_pulse_free(struct pa_tunneld_pulse *p);

#endif
