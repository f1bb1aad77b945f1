/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_CTL_H
#define PA_BROKER_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

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

/* Asks; on success *ret is the reply's arguments (a new reference). Otherwise reports and returns the exit code. Takes arguments. */
int pa_ctl_ask(const struct pa_ctl *ctl, const char *command, json_t *arguments, json_t **ret);

/* Asking the broker (ctl_lease.c, ctl_gateway.c). */
int pa_ctl_lease_list(const struct pa_ctl *ctl);
int pa_ctl_lease_get(const struct pa_ctl *ctl, const char *addr);
int pa_ctl_lease_release(const struct pa_ctl *ctl, const char *addr);
int pa_ctl_pool_stats(const struct pa_ctl *ctl);
int pa_ctl_pool_recover(const struct pa_ctl *ctl, uint16_t pool_id, uint32_t seconds);
int pa_ctl_subnet_stats(const struct pa_ctl *ctl);
int pa_ctl_status(const struct pa_ctl *ctl);
/*
 * Empties a gateway, by its name or an address, or ends that; asks the broker, which tells it, or the gateway itself where the socket is
 * its. Waits until the gateway says that it has heard it.
 */
int pa_ctl_gateway_drain(const struct pa_ctl *ctl, const char *gateway, bool drain);
int pa_ctl_reload(const struct pa_ctl *ctl);
/* The broker writes the file, so a name that does not begin with '/' is taken from our working folder. */
int pa_ctl_backup(const struct pa_ctl *ctl, const char *file);

/* Without the broker: reads the file and all it names (ctl_lease.c). */
int pa_ctl_config_test(const struct pa_ctl *ctl, const char *file);

/* Keys (ctl_keys.c). Files are made with mode 0600 and never overwritten. gateway_file NULL: prints the lines. */
int pa_ctl_key_new(const struct pa_ctl *ctl, const char *file);
int pa_ctl_key_new_gateway(const struct pa_ctl *ctl, const char *file);
/* key_id: of the master key to derive from; below zero: from each of them. */
int pa_ctl_key_pool(const struct pa_ctl *ctl, uint16_t pool_id, int key_id, const char *master_file, const char *gateway_file);
int pa_ctl_key_public(const struct pa_ctl *ctl, const char *file);

/*
 * Changing keys (ctl_rotate.c); mode and owner of the file stay. rotate puts a new master key in front, which signs from the
 * broker's next reload on. retire takes out the keys of that id, master or pool; never the master key that signs.
 */
int pa_ctl_key_rotate(const struct pa_ctl *ctl, const char *file);
int pa_ctl_key_retire(const struct pa_ctl *ctl, uint8_t id, const char *file);
/* Whom root lets a key file belong to: whoever it belongs to, for a service may have it. (uid_t)-1 for others than root. */
uid_t pa_ctl_owner(const char *file);

/* Says what is wrong; returns PA_CTL_ERROR. */
int pa_ctl_fail(const struct pa_ctl *ctl, const char *text);

/* Prints rows (each a list of strings, as many as heads) in columns as wide as their longest cell (ctl_table.c). */
void pa_ctl_table(FILE *out, const char *const *heads, size_t n_heads, const json_t *rows);
/* Is that status the broker's, and not another daemon's whose socket --socket names? */
bool pa_ctl_is_broker(const json_t *status);
/* Prints a status (borrowed) of whichever daemon: its name, what is told in a line each, the names of the rest (ctl_daemon.c). */
void pa_ctl_print_daemon(FILE *out, json_t *status);
/* Prints a JSON value (borrowed) as one line. */
void pa_ctl_print_json(FILE *out, const json_t *json);

#endif
