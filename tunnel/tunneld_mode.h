/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_MODE_H
#define PA_TUNNELD_MODE_H

#include "common/proto.h"
#include "tunnel/auto_ports.h"

/*
 * Which outbound mode is in force, and who says so: a command before the configuration, and that before the grant. What was commanded
 * is kept in RUN-DIR/tunneld-IFACE.mode, so that a daemon that is started again goes on with it until the host is. One thread.
 */
struct pa_tunmode;

#define PA_TUNMODE_ERRLEN 320
#define PA_TUNMODE_NONE (-1)

/* Reads the file. conf: enum pa_outbound of the configuration, or PA_TUNMODE_NONE. PA_EINVAL: the name is too long; PA_ENOMEM. */
int pa_tunmode_new(const char *run_dir, const char *iface, int conf, const struct pa_auto_ports *ports, struct pa_tunmode **ret);
/* The file stays. NULL is fine. */
void pa_tunmode_free(struct pa_tunmode *m);

/* The configuration has been read anew. */
void pa_tunmode_configure(struct pa_tunmode *m, int conf, const struct pa_auto_ports *ports);
/* By command: enum pa_outbound, or PA_TUNMODE_NONE for what configuration and grant say. PA_EIO with err: not kept, and not changed. */
int pa_tunmode_choose(struct pa_tunmode *m, int mode, char err[PA_TUNMODE_ERRLEN]);

/* The mode in force with a grant that proposes that one. */
enum pa_outbound pa_tunmode_now(const struct pa_tunmode *m, enum pa_outbound grant);
/* "command", "configuration" or "grant". */
const char *pa_tunmode_source(const struct pa_tunmode *m);
/* For the mode auto. Borrowed until pa_tunmode_configure. */
const struct pa_auto_ports *pa_tunmode_ports(const struct pa_tunmode *m);

#endif
