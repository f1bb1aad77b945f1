/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_FLOORS_FILE_H
#define PA_FLOORS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/edge_file.h"
#include "tunnel/floors.h"

/* The floors on the disk. Blocking; any thread, one at a time for each file. err gets one line with the name and the remedy. */

/*
 * Reads path into empty floors; a file that is not there gives none. *ret_damaged: it could not be used (floors.h), or not as
 * a whole. 0; PA_EIO: it cannot be read; PA_ENOMEM.
 */
int pa_floors_file_read(const char *path, struct pa_floors *f, bool *ret_damaged, char err[PA_FILE_ERRLEN]);
/* Puts records in place of the whole file (all) or at its end, and waits until they are on the disk. 0 or PA_EIO. */
int pa_floors_file_write(const char *path, bool all, const uint8_t *records, size_t len, char err[PA_FILE_ERRLEN]);

#endif
