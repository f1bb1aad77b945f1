/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_INBOUND_EDGE_H
#define PA_TUNNELD_INBOUND_EDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/grant.h"
#include "common/inpolicy.h"
#include "tunnel/expose.h"

/*
 * The inbound policy that holds now: the stricter of the grant's and the host's, which is its configuration's and what `pubaddr
 * expose` added. The additions are kept in RUN-DIR/expose-IFACE.json and end by themselves. One loop's thread.
 */
struct pa_tuninbound;

#define PA_TUNINBOUND_ERRLEN 384

struct pa_tuninbound_config {
	uv_loop_t *loop;
	const char *run_dir, *iface;	/* copied */
	const struct pa_inpolicy *host; /* borrowed */
	/* The policy has another value: make it so. A failure keeps an addition from being made; the text says why. */
	int (*apply)(void *ctx, char err[PA_TUNINBOUND_ERRLEN]);
	void *ctx;
};

/* Reads the file that a former process left; what is wrong with it is logged. PA_ENOMEM, PA_EINVAL (names too long). */
int pa_tuninbound_new(const struct pa_tuninbound_config *cfg, struct pa_tuninbound **ret);
/* The file stays. Frees itself when libuv has let go of the timer. NULL is fine. */
void pa_tuninbound_close(struct pa_tuninbound *t);

/* A grant was taken; its policy counts from the binding that is made with it on. */
void pa_tuninbound_granted(struct pa_tuninbound *t, const struct pa_grant *g);
/*
 * A binding with these claims is in use: of the grant that was taken last, or of the one in use before, whose policy stays. That of
 * any other grant is not known, and closed.
 */
void pa_tuninbound_bound(struct pa_tuninbound *t, const struct pa_claims *c);
/* There is no grant any more. */
void pa_tuninbound_ended(struct pa_tuninbound *t);

/* Borrowed until the next call. grant: NULL while there is no binding. */
const struct pa_inpolicy *pa_tuninbound_now(const struct pa_tuninbound *t);
const struct pa_inpolicy *pa_tuninbound_grant(const struct pa_tuninbound *t);
const struct pa_inpolicy *pa_tuninbound_host(const struct pa_tuninbound *t);
const struct pa_expose *pa_tuninbound_exposed(const struct pa_tuninbound *t);

/* Puts x in place of what was added: to the file, then applied. On failure everything is as before and err says why. */
int pa_tuninbound_replace(struct pa_tuninbound *t, const struct pa_expose *x, char err[PA_TUNINBOUND_ERRLEN]);

#endif
