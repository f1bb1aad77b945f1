/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_ECN_H
#define PA_DP_ECN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The traffic class of inner and outer packets, as bpf/path.bpf.c treats it: on the way in DSCP and ECN are copied to
 * the outer header (RFC 2983, section 4.1, the uniform model; RFC 6040, section 4.1, normal mode); on the way out what
 * the outer ECN field says goes into the inner one, and the inner DSCP stays (RFC 6040, section 4.2). pkt has passed
 * pa_inner_parse. Pure; any thread.
 */

/* DSCP and ECN of an IPv4 or IPv6 packet: the octet that the outer header is to have. */
uint8_t pa_ecn_class(const uint8_t *pkt);
/*
 * Changes the inner packet as the outer octet says. False, with nothing changed: congestion was experienced by a packet
 * that cannot carry the mark, which has to be dropped.
 */
bool pa_ecn_carry(uint8_t *pkt, uint8_t outer);

#endif
