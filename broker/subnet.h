/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_SUBNET_H
#define PA_BROKER_SUBNET_H

#include <stddef.h>
#include <stdint.h>

#include "broker/ident.h"

/*
 * How many addresses each subnet keeps from others, for the limit that one subnet's made-up clients must not pass
 * (pubaddr-brokerd.conf(5), subnet-limit). Subnets are known by their realm and Kea's number; there are as many as Kea has.
 * Pure; one thread at a time.
 */
struct pa_subnet {
	char realm[PA_REALM_MAX + 1];
	uint32_t id;
	uint64_t held;	  /* addresses that are leased there, or rest after a lease from there */
	uint64_t refused; /* requests that the limit refused since the start */
};

struct pa_subnets;

/* seed: 16 random bytes. NULL without memory. */
struct pa_subnets *pa_subnets_new(const uint8_t seed[16]);
void pa_subnets_free(struct pa_subnets *s);
/* Finds the subnet (get: or makes it). Borrowed, for as long as the table lives; NULL: it is not there (get: no memory). */
struct pa_subnet *pa_subnets_find(const struct pa_subnets *s, const char *realm, uint32_t id);
struct pa_subnet *pa_subnets_get(struct pa_subnets *s, const char *realm, uint32_t id);
/* All of them, in the order in which they were made; borrowed until the next get. Returns how many. */
size_t pa_subnets_all(const struct pa_subnets *s, struct pa_subnet *const **ret);

#endif
