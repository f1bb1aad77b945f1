/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_STORE_INT_H
#define PA_BROKER_STORE_INT_H

#include <sqlite3.h>

#include "broker/store.h"

/* The inside of the store, for its other files. Borrowed. */
sqlite3 *pa_store_db(struct pa_store *store);

#endif
