/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_FILE_H
#define PA_EDGE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/keyfile.h"

/* Small files, read and written whole. Blocking; any thread. err gets one line with the name and the remedy. */
#define PA_FILE_ERRLEN 320
#define PA_FILE_MAX (4u << 20)

/*
 * Reads a regular file of at most PA_FILE_MAX bytes. secret: refuses one that others can read or write, or that belongs
 * to neither root nor us. *ret is malloc'd, NUL-terminated; *ret_len without the NUL. PA_EIO, PA_EAUTH, PA_ENOTFOUND, PA_ENOMEM.
 */
int pa_file_read(const char *path, bool secret, char **ret, size_t *ret_len, char err[PA_FILE_ERRLEN]);
/* A secret one that may belong to owner too, as whom the caller is going to run. (uid_t)-1: nobody more. */
int pa_file_read_as(const char *path, uid_t owner, char **ret, size_t *ret_len, char err[PA_FILE_ERRLEN]);
/*
 * Reads a file whose length is not known before, as those of /proc, to buf with a NUL behind it. Returns the length, or
 * PA_ETRUNC (longer than cap - 1), PA_ENOTFOUND, PA_EIO; errno tells.
 */
int pa_proc_read(const char *path, char *buf, size_t cap);
/*
 * Replaces path by a new file: temporary file in the same folder, fsync, rename, fsync of the folder. A reader sees the
 * old or the new content, never a part. A symbolic link at path is replaced, not followed. mode is set whatever the umask.
 * PA_ENOTFOUND (no such folder), PA_EINVAL (name too long), PA_EIO.
 */
int pa_file_write(const char *path, const char *data, size_t len, mode_t mode, char err[PA_FILE_ERRLEN]);
/* The same for a file that is there: mode and owner stay as they are. PA_ENOTFOUND. */
int pa_file_rewrite(const char *path, const char *data, size_t len, char err[PA_FILE_ERRLEN]);
/* As pa_file_write, but PA_EEXIST if path exists: for keys, which nobody wants overwritten. */
int pa_file_create(const char *path, const char *data, size_t len, mode_t mode, char err[PA_FILE_ERRLEN]);
/* Creates path and its parents as needed (0755; the last one gets mode, but for the umask). PA_EIO, PA_EINVAL. */
int pa_dir_create(const char *path, mode_t mode, char err[PA_FILE_ERRLEN]);
/* Creates the folder that path is in, 0755, as pa_dir_create; one that is new is given to owner ((uid_t)-1: to nobody else). */
int pa_dir_create_for(const char *path, uid_t owner, char err[PA_FILE_ERRLEN]);
/* Reads (as a secret) and parses a key file. */
int pa_keyring_load(const char *path, struct pa_keyring **ret, char err[PA_FILE_ERRLEN]);
/* The same; the file may belong to owner too, as whom the caller is going to run. (uid_t)-1: nobody more. */
int pa_keyring_load_as(const char *path, uid_t owner, struct pa_keyring **ret, char err[PA_FILE_ERRLEN]);

#endif
