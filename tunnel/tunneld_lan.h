/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_LAN_H
#define PA_TUNNELD_LAN_H

#include "common/addr.h"
#include "tunnel/net_nl.h"

/*
 * What the modes native and auto change beside our own device and tables: P stands first on the LAN interface, so that programs that
 * take an interface's first address find it, and three kernel settings let the kernel's own answers follow the mark of what they
 * answer. One thread.
 */
#define PA_TUNLAN_ERRLEN 256

struct pa_tunlan {
	const char *iface, *device; /* LAN interface, encapsulation device */
	const char *file;	    /* keeps the settings' former values (net_sysctl.h); NULL: there is no place for them */
};

/* What is there already is fine. On failure err says what and the remedy; then call release. */
int pa_tunlan_take(struct pa_nl *nl, const struct pa_tunlan *lan, const struct pa_addr *p, char err[PA_TUNLAN_ERRLEN]);
/* Takes everything back, also of a former process, and what is not there is fine. Failures are logged. */
void pa_tunlan_release(struct pa_nl *nl, const struct pa_tunlan *lan);

#endif
