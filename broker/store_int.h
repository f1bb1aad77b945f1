/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_STORE_INT_H
#define PA_BROKER_STORE_INT_H

#include <sqlite3.h>

#include "broker/store.h"

/* The inside of the store, for its other files. Borrowed. */
sqlite3 *pa_store_db(struct pa_store *store);

/* Rows (store_row.c): the statement that reads them, the one that writes one, and its values. bind gives SQLite's code. */
extern const char pa_row_select[], pa_row_replace[];
int pa_row_bind(sqlite3_stmt *st, const struct pa_lease *row);
/* Fills row from the statement; false if a value cannot be ours. row->ident is the caller's to put in either case. */
bool pa_row_read(sqlite3_stmt *st, struct pa_lease *row);
/* Column i as a number from 0 to max; false if it is none. */
bool pa_row_number(sqlite3_stmt *st, int i, uint64_t max, uint64_t *ret);

#endif
