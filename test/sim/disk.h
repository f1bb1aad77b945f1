/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_DISK_H
#define PA_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A disk in memory below SQLite (a VFS of its own, made the default): it remembers every write, truncation, sync and deletion,
 * so that a test can see what a power cut after any of them leaves, and it fails when it is told to. One process, one thread.
 */
struct disk;

/* What happens to writes that no sync has followed. Synced ones are always there. */
enum disk_cut {
	DISK_ALL,    /* all of them are there */
	DISK_NONE,   /* none is */
	DISK_TORN,   /* all, but of the last one only the beginning */
	DISK_RANDOM, /* any of their sectors of 512 bytes, in any combination */
};

/* An empty disk. From _use on, SQLite sees it; files that are open stay where they are. */
struct disk *disk_new(void);
void disk_free(struct disk *d);
void disk_use(struct disk *d);

/* How many changes were made or tried. */
size_t disk_changes(const struct disk *d);
/* The same of one file, from change number `from` on. */
size_t disk_changes_of(const struct disk *d, const char *name, size_t from);
/* count changes from number at on fail with SQLite's code; what a failed sync should have written is lost. */
void disk_fail(struct disk *d, size_t at, size_t count, int code);
/* Syncs do nothing from now on, and say that they did. */
void disk_lie(struct disk *d);

/* The disk as a power cut after the first n changes leaves it. */
struct disk *disk_after_cut(const struct disk *d, size_t n, enum disk_cut how, uint64_t seed);

#endif
