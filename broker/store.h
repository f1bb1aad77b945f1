/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_STORE_H
#define PA_BROKER_STORE_H

#include <stddef.h>

#include "broker/lease.h"
#include "broker/revoke.h"

/*
 * The durable copy of the lease table: one SQLite file, one row for each address, and what the gateways acknowledged. It
 * holds no secret: the broker derives them anew. Damage is looked for when it is opened: each row has a checksum,
 * and SQLite checks the structure. Blocking; one thread at a time; one process at a time, which the file's lock enforces. err gets one line
 * with the file's name and the remedy.
 */
struct pa_store;

#define PA_STORE_ERRLEN 512

/*
 * Opens the file, or makes it (mode 0600) with an empty table; a file of an earlier version is brought up to date. PA_EAGAIN: another process has it; PA_EVERSION: made by a
 * later version; PA_EFORMAT: damaged or not a store; PA_EDENIED: may not be read or written; PA_EIO, PA_ENOMEM.
 */
int pa_store_open(const char *path, struct pa_store **ret, char err[PA_STORE_ERRLEN]);
/*
 * Copies the store as of its last commit to a new file (mode 0600), which a broker can open in its place. PA_EEXIST: the file is
 * there; PA_EDENIED: it cannot be made; PA_EIO: not written, and nothing is left of it.
 */
int pa_store_backup(struct pa_store *store, const char *path, char err[PA_STORE_ERRLEN]);
/* NULL is fine. */
void pa_store_close(struct pa_store *store);

/* Calls row for each row; it returns 0 or an error that ends the reading and is returned. */
typedef int (*pa_store_row)(void *ctx, const struct pa_lease *row);
int pa_store_load(struct pa_store *store, pa_store_row row, void *ctx, char err[PA_STORE_ERRLEN]);

/* Calls ack for each acknowledgement. */
typedef void (*pa_store_ack)(void *ctx, const struct pa_ack *ack);
int pa_store_load_acks(struct pa_store *store, pa_store_ack ack, void *ctx, char err[PA_STORE_ERRLEN]);

/* Calls recovery for each pool that has one; it returns 0 or an error that ends the reading and is returned. */
typedef int (*pa_store_recovery)(void *ctx, const struct pa_recovery *recovery);
int pa_store_load_recoveries(struct pa_store *store, pa_store_recovery recovery, void *ctx, char err[PA_STORE_ERRLEN]);

/* *ret: this is a copy by pa_store_backup that nobody has written recoveries to yet. */
int pa_store_copied(struct pa_store *store, bool *ret, char err[PA_STORE_ERRLEN]);

/* Borrowed. */
struct pa_store_changes {
	const struct pa_lease *const *rows;
	size_t n_rows;
	const struct pa_ack *acks;
	size_t n_acks;
	const struct pa_recovery *recoveries; /* with one of them the store is no longer a copy that did not run yet */
	size_t n_recoveries;
};

/*
 * Writes all changes in one transaction, each in place of what was stored for its address, gateway or pool. When it returns 0
 * they are on the disk (fsync); otherwise none of them is stored. PA_EIO also when the file is not in its place any more.
 */
int pa_store_append(struct pa_store *store, const struct pa_store_changes *changes, char err[PA_STORE_ERRLEN]);

#endif
