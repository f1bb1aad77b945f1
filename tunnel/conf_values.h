/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CONF_VALUES_H
#define PA_CONF_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/conf.h"

/* Values that both daemons' configurations have. Mistakes become the conf's sticky error. Pure; any thread. */

/* A list of prefixes, malloc'd (NULL when empty). PA_ENOMEM. */
int pa_conf_prefixes(const struct pa_node *n, const char *key, struct pa_prefix **ret, size_t *ret_n);
/* An interface name: 1 to 15 characters, no blank and no slash. */
void pa_conf_device(const struct pa_node *n, const char *key, const char *def, char ret[16]);
/* An absolute path, malloc'd. PA_ENOMEM. */
int pa_conf_path(const struct pa_node *n, const char *key, const char *def, char **ret);
/* Item i of a list of integers; 0 after an error. */
int64_t pa_conf_item_int(const struct pa_node *n, const char *key, size_t i, int64_t min, int64_t max);
/* "log-level" as enum pa_log_level. */
int pa_conf_log_level(const struct pa_node *n);

/* "datapath" as enum pa_path_choice, and "bpf-dir". PA_ENOMEM. */
int pa_conf_datapath(const struct pa_node *n, int *choice, char **bpf_dir);

#endif
