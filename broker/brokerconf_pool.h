/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_BROKERCONF_POOL_H
#define PA_BROKER_BROKERCONF_POOL_H

#include "broker/brokerconf.h"
#include "common/conf.h"

/*
 * The parts of the reader that brokerconf.c and brokerconf_pool.c share. What is wrong becomes the sticky error of the
 * node's file; the functions that allocate return 0 or PA_ENOMEM, and what they made belongs to conf in either case.
 */
int pa_brokerconf_read_groups(const struct pa_node *root, struct pa_brokerconf *conf);
int pa_brokerconf_read_pools(const struct pa_node *root, struct pa_brokerconf *conf);
/* After the pools. */
int pa_brokerconf_read_reservations(const struct pa_node *root, struct pa_brokerconf *conf);
void pa_brokerconf_free_reservations(struct pa_brokerconf *conf);

/* "outbound" of n, or def. */
void pa_brokerconf_outbound(const struct pa_node *n, const char *def, uint16_t *ret);
/* "inbound" of n; absent: open. */
void pa_brokerconf_inbound(const struct pa_node *n, struct pa_inpolicy *ret);
/* The longest option that would be made must fit, else nobody of that group gets any; key of n names what is too long. */
void pa_brokerconf_fits(const struct pa_node *n, const char *key, const struct pa_brokerconf *conf, const struct pa_inpolicy *inbound,
			const struct pa_gateway_group *group);

int pa_string_list_read(const struct pa_node *n, const char *key, struct pa_string_list *ret);
bool pa_string_list_has(const struct pa_string_list *list, const char *s);
void pa_name_check(const struct pa_node *n, const char *key, const char *name);

#endif
