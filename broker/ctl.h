/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_CTL_H
#define PA_BROKER_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The commands of pubaddrctl(8). Blocking; single-threaded. Each returns the exit code of the program: it has then printed
 * its answer on out (a table or sentences, or one JSON object when json is set) or what is wrong on err.
 */
enum { PA_CTL_OK = 0, PA_CTL_ERROR = 1, PA_CTL_USAGE = 2, PA_CTL_EMPTY = 3 };

struct pa_ctl {
	const char *socket;
	bool json;
	FILE *out, *err;
};

/* Asking the broker (ctl_lease.c). */
int pa_ctl_lease_list(const struct pa_ctl *ctl);
int pa_ctl_lease_get(const struct pa_ctl *ctl, const char *addr);
int pa_ctl_lease_release(const struct pa_ctl *ctl, const char *addr);
int pa_ctl_pool_stats(const struct pa_ctl *ctl);
int pa_ctl_status(const struct pa_ctl *ctl);

/* Without the broker: reads the file and all it names (ctl_lease.c). */
int pa_ctl_config_test(const struct pa_ctl *ctl, const char *file);

/* Keys (ctl_keys.c). Files are made with mode 0600 and never overwritten. gateway_file NULL: prints the lines. */
int pa_ctl_key_new(const struct pa_ctl *ctl, const char *file);
int pa_ctl_key_new_gateway(const struct pa_ctl *ctl, const char *file);
int pa_ctl_key_pool(const struct pa_ctl *ctl, uint16_t pool_id, const char *master_file, const char *gateway_file);
int pa_ctl_key_public(const struct pa_ctl *ctl, const char *file);

/* Prints rows (each a list of strings, as many as heads) in columns as wide as their longest cell (ctl_table.c). */
void pa_ctl_table(FILE *out, const char *const *heads, size_t n_heads, const json_t *rows);
/* Prints a JSON value (borrowed) as one line. */
void pa_ctl_print_json(FILE *out, const json_t *json);

#endif
