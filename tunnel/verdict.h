/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_VERDICT_H
#define PA_VERDICT_H

/*
 * What becomes of an inner packet, at either end; filter.h judges in the daemons, bpf/path.bpf.c in the kernel. Nothing is
 * included here, for the kernel's programs have no C library.
 */
enum pa_verdict {
	PA_PASS = 0,
	PA_DROP_MALFORMED,
	PA_DROP_SOURCE,	     /* inner source is not P, or (client) own, loopback, private, multicast */
	PA_DROP_DESTINATION, /* deny list, or (client) inner destination is not P */
	PA_DROP_PORT,	     /* port denied by policy */
	PA_DROP_UNBOUND,     /* no binding for P */
	PA_DROP_OUTER,	     /* outer source is not the binding's, or not the gateway */
	PA_DROP_REDIRECT,    /* an ICMP redirect: inside the tunnel there is no other router */
	PA_DROP_LIMITED,     /* above the binding's rate */
	PA_VERDICTS,
};

#endif
