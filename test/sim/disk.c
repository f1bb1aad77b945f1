/* SPDX-License-Identifier: MPL-2.0 */
#include "test/sim/disk.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"

#define NAME_MAX_LEN 256
#define FILES_MAX 8
#define SECTOR 512

enum kind { WRITE, TRUNCATE, SYNC, DELETE };

struct change {
	enum kind kind;
	unsigned file;
	uint64_t offset; /* TRUNCATE: the new length */
	size_t len;
	uint8_t *data;
	bool failed; /* nothing was done */
	bool lost;   /* a sync that should have written it failed: it never gets there */
};

struct file {
	char name[NAME_MAX_LEN]; /* "": unused */
	bool exists;
	uint8_t *data;
	size_t len, cap;
};

struct disk {
	struct file files[FILES_MAX];
	struct file *initial; /* the files before the first change */
	struct change *changes;
	size_t n, cap;
	size_t fail_at, fail_count;
	int fail_code;
	bool lies;
};

struct handle {
	sqlite3_file base;
	struct disk *disk;
	unsigned file;
	bool temporary; /* deleted when closed */
};

/* SQLite's list of VFS is global, and so is what ours shows. */
static struct disk *used;

/* ---------------------------------------------------------------- contents */

static void file_resize(struct file *f, size_t len)
{
	if (len > f->cap) {
		f->cap = 2 * len;
		f->data = realloc(f->data, f->cap);
		PA_REQUIRE(f->data != NULL);
	}
	if (len > f->len)
		memset(f->data + f->len, 0, len - f->len);
	f->len = len;
}

static void file_write(struct file *f, uint64_t offset, const uint8_t *data, size_t len)
{
	if (len == 0)
		return;
	if (offset + len > f->len)
		file_resize(f, (size_t)offset + len);
	memcpy(f->data + offset, data, len);
}

static void file_copy(struct file *to, const struct file *from)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->name, from->name, sizeof(to->name));
	to->exists = from->exists;
	file_write(to, 0, from->data, from->len);
}

static void apply(struct file *f, const struct change *c)
{
	if (c->kind == WRITE) {
		file_write(f, c->offset, c->data, c->len);
		f->exists = true;
	} else if (c->kind == TRUNCATE) {
		file_resize(f, (size_t)c->offset);
	} else if (c->kind == DELETE) {
		file_resize(f, 0);
		f->exists = false;
	}
}

/* ---------------------------------------------------------------- changes */

static void lose_pending(struct disk *d, unsigned file)
{
	for (size_t i = d->n; i-- > 0;) {
		if (d->changes[i].file != file)
			continue;
		if (d->changes[i].kind == SYNC && !d->changes[i].failed)
			return;
		d->changes[i].lost = true;
	}
}

/* Records and does it; SQLite's code. */
static int change(struct disk *d, struct change c)
{
	struct change *to;

	if (c.kind == SYNC && d->lies)
		return SQLITE_OK;
	if (d->n == d->cap) {
		d->cap = d->cap > 0 ? 2 * d->cap : 256;
		d->changes = reallocarray(d->changes, d->cap, sizeof(*d->changes));
		PA_REQUIRE(d->changes != NULL);
	}
	c.failed = d->n >= d->fail_at && d->n < d->fail_at + d->fail_count;
	if (c.failed && c.kind == SYNC)
		lose_pending(d, c.file);
	to = &d->changes[d->n++];
	*to = c;
	to->data = NULL;
	if (c.failed)
		return c.kind == SYNC ? SQLITE_IOERR_FSYNC : d->fail_code;
	if (c.len > 0) {
		to->data = malloc(c.len);
		PA_REQUIRE(to->data != NULL);
		memcpy(to->data, c.data, c.len);
	}
	apply(&d->files[c.file], to);
	return SQLITE_OK;
}

static unsigned find(struct disk *d, const char *name)
{
	unsigned i = 0;

	while (i < FILES_MAX && strcmp(d->files[i].name, name) != 0)
		i++;
	return i;
}

static unsigned find_or_add(struct disk *d, const char *name)
{
	unsigned i = find(d, name);

	if (i == FILES_MAX)
		i = find(d, "");
	PA_REQUIRE(i < FILES_MAX && strlen(name) < NAME_MAX_LEN);
	(void)snprintf(d->files[i].name, NAME_MAX_LEN, "%s", name);
	return i;
}

/* ---------------------------------------------------------------- files, as SQLite calls them */

static struct file *file_of(sqlite3_file *f)
{
	struct handle *h = (struct handle *)f;

	return &h->disk->files[h->file];
}

static int on_close(sqlite3_file *f)
{
	struct handle *h = (struct handle *)f;

	if (h->temporary) {
		free(file_of(f)->data);
		memset(file_of(f), 0, sizeof(struct file));
	}
	return SQLITE_OK;
}

static int on_read(sqlite3_file *f, void *dst, int len, sqlite3_int64 offset)
{
	const struct file *file = file_of(f);
	size_t have = (size_t)offset < file->len ? file->len - (size_t)offset : 0;

	if (have >= (size_t)len) {
		memcpy(dst, file->data + offset, (size_t)len);
		return SQLITE_OK;
	}
	memset(dst, 0, (size_t)len);
	if (have > 0)
		memcpy(dst, file->data + offset, have);
	return SQLITE_IOERR_SHORT_READ;
}

static int change_at(sqlite3_file *f, enum kind kind, const void *data, size_t len, sqlite3_int64 offset)
{
	struct handle *h = (struct handle *)f;
	struct change c = {.kind = kind, .file = h->file, .offset = (uint64_t)offset, .len = len,
			   .data = (uint8_t *)(uintptr_t)data};

	return change(h->disk, c);
}

static int on_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 offset)
{
	return change_at(f, WRITE, data, (size_t)len, offset);
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return change_at(f, TRUNCATE, NULL, 0, size);
}

static int on_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	return change_at(f, SYNC, NULL, 0, 0);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	*ret = (sqlite3_int64)file_of(f)->len;
	return SQLITE_OK;
}

static int on_lock(sqlite3_file *f, int lock)
{
	(void)f;
	(void)lock;
	return SQLITE_OK;
}

static int on_reserved(sqlite3_file *f, int *ret)
{
	(void)f;
	*ret = 0;
	return SQLITE_OK;
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
	(void)f;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int on_sector(sqlite3_file *f)
{
	(void)f;
	return SECTOR;
}

/* What SQLite assumes of Linux: a torn write spoils nothing beside itself. */
static int on_characteristics(sqlite3_file *f)
{
	(void)f;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_lock,
	.xCheckReservedLock = on_reserved,
	.xFileControl = on_control,
	.xSectorSize = on_sector,
	.xDeviceCharacteristics = on_characteristics,
};

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct handle *h = (struct handle *)f;

	(void)vfs;
	h->base.pMethods = &methods;
	h->disk = used;
	h->temporary = name == NULL;
	h->file = find_or_add(used, name != NULL ? name : "temporary");
	used->files[h->file].exists = true;
	if (ret_flags != NULL)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	struct change c = {.kind = DELETE, .file = find(used, name)};

	(void)vfs;
	(void)sync_dir;
	return c.file < FILES_MAX ? change(used, c) : SQLITE_OK;
}

static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	unsigned i = find(used, name);

	(void)vfs;
	(void)flags;
	*ret = i < FILES_MAX && used->files[i].exists;
	return SQLITE_OK;
}

static int on_path(sqlite3_vfs *vfs, const char *name, int len, char *ret)
{
	(void)vfs;
	return snprintf(ret, (size_t)len, "%s", name) < len ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* Time, sleep and random numbers are the system's. */
void disk_use(struct disk *d)
{
	static sqlite3_vfs vfs;
	const sqlite3_vfs *system;

	used = d;
	if (vfs.zName != NULL)
		return;
	system = sqlite3_vfs_find(NULL);
	vfs = *system;
	vfs.iVersion = 1;
	vfs.szOsFile = sizeof(struct handle);
	vfs.pNext = NULL;
	vfs.zName = "pubaddr-test";
	vfs.xOpen = on_open;
	vfs.xDelete = on_delete;
	vfs.xAccess = on_access;
	vfs.xFullPathname = on_path;
	PA_REQUIRE(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

/* ---------------------------------------------------------------- disks */

static struct disk *disk_from(const struct file *files)
{
	struct disk *d = calloc(1, sizeof(*d));

	PA_REQUIRE(d != NULL && (d->initial = calloc(FILES_MAX, sizeof(*d->initial))) != NULL);
	d->fail_at = SIZE_MAX;
	for (unsigned i = 0; files != NULL && i < FILES_MAX; i++) {
		file_copy(&d->files[i], &files[i]);
		file_copy(&d->initial[i], &files[i]);
	}
	return d;
}

struct disk *disk_new(void)
{
	return disk_from(NULL);
}

void disk_free(struct disk *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->changes[i].data);
	for (unsigned i = 0; i < FILES_MAX; i++) {
		free(d->files[i].data);
		free(d->initial[i].data);
	}
	free(d->initial);
	free(d->changes);
	free(d);
}

size_t disk_changes(const struct disk *d)
{
	return d->n;
}

size_t disk_changes_of(const struct disk *d, const char *name, size_t from)
{
	size_t n = 0;

	for (size_t i = from; i < d->n; i++)
		n += strcmp(d->files[d->changes[i].file].name, name) == 0;
	return n;
}

void disk_fail(struct disk *d, size_t at, size_t count, int code)
{
	d->fail_at = at;
	d->fail_count = count;
	d->fail_code = code;
}

void disk_lie(struct disk *d)
{
	d->lies = true;
}

/* Is there a sync of its file between change i and the cut? */
static bool is_synced(const struct disk *d, size_t i, size_t n)
{
	for (size_t k = i + 1; k < n; k++)
		if (d->changes[k].file == d->changes[i].file && d->changes[k].kind == SYNC && !d->changes[k].failed)
			return !d->changes[i].lost;
	return d->changes[i].kind == DELETE; /* the folder is synced by the next one, which is not seen here */
}

static void apply_sectors(struct file *f, const struct change *c, struct peer_rng *rng, unsigned percent)
{
	uint64_t end = c->offset + c->len, at = c->offset;

	if (c->kind != WRITE) {
		if (peer_next(rng) % 100 < percent)
			apply(f, c);
		return;
	}
	while (at < end) {
		uint64_t next = (at / SECTOR + 1) * SECTOR < end ? (at / SECTOR + 1) * SECTOR : end;
		struct change part = *c;

		part.offset = at;
		part.data = c->data + (at - c->offset);
		part.len = (size_t)(next - at);
		if (peer_next(rng) % 100 < percent)
			apply(f, &part);
		at = next;
	}
}

static void apply_unsynced(struct file *f, const struct change *c, enum disk_cut how, bool last, struct peer_rng *rng,
			   unsigned percent)
{
	struct change part = *c;

	if (how == DISK_NONE)
		return;
	if (how == DISK_RANDOM) {
		apply_sectors(f, c, rng, percent);
		return;
	}
	if (how == DISK_TORN && last && c->len > 0)
		part.len = (size_t)(peer_next(rng) % c->len);
	apply(f, &part);
}

struct disk *disk_after_cut(const struct disk *d, size_t n, enum disk_cut how, uint64_t seed)
{
	struct peer_rng rng = {seed};
	unsigned percent = 10 + (unsigned)(peer_next(&rng) % 80);
	struct disk *ret = disk_from(d->initial), *image;

	for (unsigned i = 0; i < FILES_MAX; i++)
		memcpy(ret->files[i].name, d->files[i].name, NAME_MAX_LEN);
	for (size_t i = 0; i < n; i++) {
		const struct change *c = &d->changes[i];

		if (c->failed)
			continue;
		if (is_synced(d, i, n))
			apply(&ret->files[c->file], c);
		else if (!c->lost)
			apply_unsynced(&ret->files[c->file], c, how, i + 1 == n, &rng, percent);
	}
	image = disk_from(ret->files);
	disk_free(ret);
	return image;
}
