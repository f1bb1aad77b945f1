/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_STATE_H
#define PA_TUNNELD_STATE_H

#include <stdint.h>

#include "common/edge_file.h"
#include "common/proto.h"

/* What the client keeps on disk: its X25519 key and the last bind number. Blocking; any thread. */

/*
 * Reads the secret key from path; makes the file (0600) and its folder if there is none, also when two do so at once. The
 * caller wipes secret_key. err as edge_file.h.
 */
int pa_client_key_load(const char *path, uint8_t secret_key[PA_KEY_LEN], char err[PA_FILE_ERRLEN]);

/*
 * The bind number of PATH: read when opened, 0 if there is no file. PA_EFORMAT if the file holds no number: starting again
 * below an earlier number would make gateways refuse us, so this is for a person to mend.
 */
int pa_bind_load(const char *path, uint64_t *ret, char err[PA_FILE_ERRLEN]);
/* *last becomes max(*last + 1, unix_ms), durable in PATH before this returns 0. On failure *last has moved all the same. */
int pa_bind_next(const char *path, uint64_t unix_ms, uint64_t *last, char err[PA_FILE_ERRLEN]);

#endif
