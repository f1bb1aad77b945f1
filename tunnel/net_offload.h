/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_OFFLOAD_H
#define PA_NET_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What is asked of a TUN device, from the best to what every kernel has: each refusal costs speed and nothing else. Pure but
 * for the functions that are handed in, so that every step can be tested on any kernel.
 */
#define PA_OFFLOAD_STEPS 5
#define PA_ATTACH_STEPS 4

/* Bits for TUNSETOFFLOAD, the best first; the last asks for nothing. */
void pa_offload_steps(unsigned ret[PA_OFFLOAD_STEPS]);
/*
 * Flags for TUNSETIFF, of features, which TUNGETFEATURES gave. queues: several are wanted. A device that is there already can
 * be attached to only as it was made, with or without them, so the other way comes too. Returns how many steps there are.
 */
size_t pa_attach_steps(unsigned features, bool queues, unsigned ret[PA_ATTACH_STEPS]);

/* Tries the steps in turn until one is taken. Returns its place, or n when none is. */
size_t pa_first_step(const unsigned *steps, size_t n, bool (*take)(void *ctx, unsigned step), void *ctx);

#endif
