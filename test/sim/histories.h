/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_HISTORIES_H
#define PA_TEST_HISTORIES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Seeded histories of the world (world.h): the real cores of clients and gateways, a network that loses, doubles, reorders, delays
 * and rebinds, gateways and clients that die, somebody who keeps packets back and sends them from elsewhere, a holder who pretends to be
 * where he was, addresses that change hands, NATs that forget, hosts that sleep, wall clocks that jump, traffic that wants an answer.
 */
struct histories_counts {
	unsigned steps, rebinds, restarts, adoptions, deaths, grants, handovers, pretenders, forged, replaced, up, flows, sleeps, jumps, forgetful;
};

#define HISTORIES_TEXT 256

/*
 * Runs the history of this seed. True if P's packets only ever went to where P's holder was at that time or a bounded time before, and
 * every client with a live path was bound again within its bound, which is 3 s where it has traffic and no packet is lost; else false with what went wrong in text. counts is added to.
 */
bool histories_run(uint64_t seed, struct histories_counts *counts, char text[HISTORIES_TEXT]);

#endif
