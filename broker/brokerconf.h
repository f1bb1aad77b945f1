/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_BROKERCONF_H
#define PA_BROKER_BROKERCONF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/ident.h"
#include "common/addr.h"
#include "common/conf.h"
#include "common/inpolicy.h"
#include "common/log.h"
#include "common/proto.h"

/*
 * brokerd.conf, read and checked (pubaddr-brokerd.conf(5)). Read-only once made; parsing is pure.
 */
#define PA_NAME_MAX 63		   /* characters of the names of pools and gateway groups */
#define PA_CONF_ERRLEN 512
#define PA_QUARANTINE_MAX 86400	   /* seconds */
#define PA_SUBNET_LIMIT_MAX 16777216 /* as many addresses as a /8 has */
#define PA_SOCKET_USERS_MAX 8

struct pa_gateway_group {
	char name[PA_NAME_MAX + 1];
	uint8_t public_key[PA_KEY_LEN];
	struct pa_endpoint gateways[PA_GATEWAYS_MAX]; /* in order of preference */
	unsigned n_gateways;
	char names[PA_GATEWAYS_MAX][PA_NAME_MAX + 1]; /* of the gateways on the channel; the same one may stand twice */
	unsigned n_names; /* 0: these gateways have no channel; else as many as gateways */
	struct pa_endpoint relay; /* where the session relay beside them listens; addr none: not told to clients */
};

struct pa_string_list {
	char **items; /* owned */
	size_t n;
};

struct pa_pool_conf {
	uint16_t id;
	char name[PA_NAME_MAX + 1];
	struct pa_prefix prefix;    /* IPv4 */
	struct pa_prefix *exclude;  /* owned; sorted by address, disjoint, inside prefix */
	size_t n_exclude;
	uint64_t usable;	    /* addresses that are not excluded; at least 1 */
	uint64_t n_reserved;	    /* addresses of it that are reserved */
	size_t group;		    /* index of its gateway group */
	uint16_t outbound;	    /* enum pa_outbound that its grants propose */
	struct pa_inpolicy inbound; /* what its grants let in */
	struct pa_string_list realms;  /* empty: all */
	struct pa_string_list classes; /* empty: all */
};

/* addr is kept for one client: nobody else gets it, and the client gets no other while it can have this one. */
struct pa_reservation {
	struct pa_addr addr;
	struct pa_ident *ident; /* owned */
	size_t item;		/* its place in the file's list */
};

struct pa_brokerconf {
	char *user;	   /* owned; "": whoever started the broker */
	char *socket, *socket_group, *database, *master_key_file; /* owned; socket_group may be "" */
	struct pa_string_list socket_users;
	uint32_t quarantine; /* seconds */
	uint32_t unbound; /* seconds after which a lease that was never bound may be reclaimed; 0: never */
	uint32_t subnet_limit; /* addresses that one subnet may keep from others; 0: any number */
	struct { /* "gateway-listen": for gateways on other hosts, by TLS; strings owned, NULL when not given */
		struct pa_endpoint address;
		char *certificate, *key, *ca;
	} listen;
	struct pa_string_list realms;
	struct pa_gateway_group *groups; /* owned */
	size_t n_groups;
	struct pa_pool_conf *pools; /* owned; in the order of the file, which is the order of preference */
	size_t n_pools;
	struct pa_reservation *reservations; /* owned; by address */
	const struct pa_reservation **reserved_for; /* the same, by client */
	size_t n_reservations;
	uint16_t mtu, keepalive; /* proposals of the grant; keepalive in seconds */
	uint16_t outbound;	 /* enum pa_outbound, where the pool says nothing else */
	struct pa_inpolicy inbound; /* the same */
	enum pa_log_level log_level;
	struct pa_conf *source; /* owned; the file as it was read: pa_conf_json, pa_conf_place. It holds no secret */
};

/*
 * Parses and checks. On failure writes "FILE:LINE: KEY: what is wrong and the remedy" to err and returns PA_EFORMAT or
 * PA_ENOMEM. The caller frees *ret.
 */
int pa_brokerconf_parse(const char *file, const char *text, size_t len, struct pa_brokerconf **ret,
			char err[PA_CONF_ERRLEN]);
/* NULL is fine. */
void pa_brokerconf_free(struct pa_brokerconf *conf);

/* True if the realm is configured. */
bool pa_brokerconf_has_realm(const struct pa_brokerconf *conf, const char *realm);
/* True if the pool is for this realm and, where it lists classes, for one of the client's. */
bool pa_pool_serves(const struct pa_pool_conf *pool, const char *realm, const char *const *classes, size_t n_classes);
/* The pool that holds addr and does not exclude it, or NULL. Borrowed. */
const struct pa_pool_conf *pa_brokerconf_pool_of(const struct pa_brokerconf *conf, const struct pa_addr *addr);

/* The reservation of an address, or of a client; borrowed, or NULL. O(log n). */
const struct pa_reservation *pa_brokerconf_reserved_addr(const struct pa_brokerconf *conf, const struct pa_addr *addr);
const struct pa_reservation *pa_brokerconf_reserved_for(const struct pa_brokerconf *conf, struct pa_ident *ident);

/* The pool's addresses from 0 to its count - 1; the network and broadcast addresses are addresses like any other. */
uint64_t pa_pool_count(const struct pa_pool_conf *pool);
struct pa_addr pa_pool_at(const struct pa_pool_conf *pool, uint64_t i);
/* The first number from i on that is not excluded; pa_pool_count when there is none. O(log n) in the exclusions. */
uint64_t pa_pool_skip_excluded(const struct pa_pool_conf *pool, uint64_t i);

#endif
