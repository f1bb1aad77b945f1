/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/log.h"

#define BATCH 256	  /* records of one call: less than a millisecond */
#define SLACK 4096	  /* records that a file may hold more than twice what is needed */
#define ALIVE_MS 5000	  /* the file's time is set so often */
#define RETRY_MS 5000	  /* after a failure */

struct pa_gatewayd_state {
	char path[PATH_MAX], next_path[PATH_MAX];
	struct pa_gw_state_header header;
	int fd;	     /* the file in use; -1: none */
	int next_fd; /* the one that will replace it; -1: none */
	size_t n, next_n; /* records in them */
	uint32_t walked;  /* how far the entries are in the next one */
	uint64_t alive_ms, retry_ms; /* boot time */
	bool failing;		     /* and said so */
	uint8_t buf[BATCH * PA_GW_STATE_RECORD_LEN];
};

int pa_gatewayd_state_new(const char *path, const struct pa_gw_state_header *header, struct pa_gatewayd_state **ret)
{
	struct pa_gatewayd_state *st;

	if (strlen(path) + sizeof(".new") > PATH_MAX)
		return PA_EINVAL;
	st = calloc(1, sizeof(*st));
	if (st == NULL)
		return PA_ENOMEM;
	(void)snprintf(st->path, sizeof(st->path), "%s", path);
	(void)snprintf(st->next_path, sizeof(st->next_path), "%.*s.new", PATH_MAX - 5, path);
	st->header = *header;
	st->fd = st->next_fd = -1;
	*ret = st;
	return 0;
}

void pa_gatewayd_state_free(struct pa_gatewayd_state *st)
{
	if (st == NULL)
		return;
	if (st->fd >= 0)
		close(st->fd);
	if (st->next_fd >= 0) {
		close(st->next_fd);
		(void)unlink(st->next_path);
	}
	free(st);
}

/* ---- writing ---- */

static void fail(struct pa_gatewayd_state *st, struct pa_now now, const char *path, const char *what)
{
	st->retry_ms = now.boot_ms + RETRY_MS;
	if (!st->failing)
		pa_log(PA_LOG_ERROR, "state.unwritable", "reason=\"%s: %s: %s; clients will have to bind anew after a crash\"", path,
		       what, strerror(errno));
	st->failing = true;
}

/* A piece of a record in the middle would hide all that follows it, so a file that took only a part is not used again. */
static bool append(int *fd, const uint8_t *buf, size_t len)
{
	ssize_t n;

	if (*fd < 0 || len == 0)
		return true;
	n = write(*fd, buf, len);
	if (n == (ssize_t)len)
		return true;
	if (n >= 0)
		errno = ENOSPC;
	close(*fd);
	*fd = -1;
	return false;
}

static void begin_next(struct pa_gatewayd_state *st, struct pa_now now)
{
	uint8_t header[PA_GW_STATE_HEADER_LEN];
	char folder[PATH_MAX], err[PA_FILE_ERRLEN];

	(void)snprintf(folder, sizeof(folder), "%s", st->path);
	(void)pa_dir_create(dirname(folder), 0755, err);
	(void)unlink(st->next_path);
	st->next_fd = open(st->next_path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	PA_REQUIRE(pa_gw_state_header_encode(&st->header, header) == 0);
	if (st->next_fd < 0 || !append(&st->next_fd, header, sizeof(header))) {
		fail(st, now, st->next_path, "cannot write");
		return;
	}
	st->next_n = 0;
	st->walked = 0;
}

static void take_next(struct pa_gatewayd_state *st, struct pa_now now)
{
	if (rename(st->next_path, st->path) < 0) {
		fail(st, now, st->path, "cannot put in place");
		close(st->next_fd);
		(void)unlink(st->next_path);
	} else {
		if (st->fd >= 0)
			close(st->fd);
		st->fd = st->next_fd;
		st->n = st->next_n;
		st->failing = false;
		st->alive_ms = now.boot_ms;
	}
	st->next_fd = -1;
}

static void write_changes(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now)
{
	struct pa_gw_record r;
	size_t n = 0;

	while (n < BATCH && pa_gw_take_changed(gw, now, &r)) {
		PA_REQUIRE(pa_gw_record_encode(&r, st->buf + n * PA_GW_STATE_RECORD_LEN) == 0);
		n++;
	}
	pa_wipe(&r, sizeof(r));
	if (!append(&st->fd, st->buf, n * PA_GW_STATE_RECORD_LEN))
		fail(st, now, st->path, "cannot append");
	if (!append(&st->next_fd, st->buf, n * PA_GW_STATE_RECORD_LEN))
		fail(st, now, st->next_path, "cannot append");
	pa_wipe(st->buf, n * PA_GW_STATE_RECORD_LEN);
	st->n += n;
	st->next_n += n;
	if (n > 0)
		st->alive_ms = now.boot_ms;
}

/* A piece of what has not changed goes to the next file. True if that was the last: a file is changed to in steps, however large. */
static bool copy_some(struct pa_gatewayd_state *st, const struct pa_gw *gw, struct pa_now now)
{
	struct pa_gw_record r;
	bool more = true;
	size_t n = 0;

	while (n < BATCH && (more = pa_gw_walk_records(gw, now, &st->walked, &r))) {
		PA_REQUIRE(pa_gw_record_encode(&r, st->buf + n * PA_GW_STATE_RECORD_LEN) == 0);
		n++;
	}
	pa_wipe(&r, sizeof(r));
	if (!append(&st->next_fd, st->buf, n * PA_GW_STATE_RECORD_LEN))
		fail(st, now, st->next_path, "cannot append");
	pa_wipe(st->buf, n * PA_GW_STATE_RECORD_LEN);
	st->next_n += n;
	return !more;
}

void pa_gatewayd_state_flush(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now)
{
	while (pa_gw_has_changes(gw))
		write_changes(st, gw, now);
	if (st->fd >= 0 && now.boot_ms >= st->alive_ms + ALIVE_MS) {
		(void)futimens(st->fd, NULL);
		st->alive_ms = now.boot_ms;
	}
}

bool pa_gatewayd_state_renew(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now)
{
	bool wanted = st->fd < 0 || st->n > 2 * pa_gw_known(gw) + SLACK;

	pa_gatewayd_state_flush(st, gw, now);
	if (st->next_fd < 0 && wanted && now.boot_ms >= st->retry_ms)
		begin_next(st, now);
	if (st->next_fd >= 0 && copy_some(st, gw, now) && st->next_fd >= 0)
		take_next(st, now);
	return st->next_fd >= 0;
}

void pa_gatewayd_state_finish(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now)
{
	while (pa_gatewayd_state_renew(st, gw, now))
		;
}

/* ---- reading ---- */

static int check_file(int fd, uint64_t *ret_alive_ms)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return PA_EIO;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 || (st.st_uid != 0 && st.st_uid != geteuid()))
		return PA_EAUTH;
	*ret_alive_ms = (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
	return 0;
}

/* The number that a socket of the file has now. A binding by one that is gone cannot be adopted, but is remembered. */
static void renumber(const struct pa_gatewayd_state *st, const struct pa_gw_state_header *h, struct pa_gw_record *r)
{
	for (size_t i = 0; r->local < h->n_listen && i < st->header.n_listen; i++) {
		if (pa_endpoint_eq(&h->listen[r->local], &st->header.listen[i])) {
			r->local = (uint16_t)i;
			return;
		}
	}
	r->bound = r->delivering = false;
}

/* Whether records may be appended to a file with this header: the numbers of the sockets mean the same. */
static bool same_header(const struct pa_gatewayd_state *st, const struct pa_gw_state_header *h)
{
	bool same = h->n_listen == st->header.n_listen;

	for (size_t i = 0; same && i < h->n_listen; i++)
		same = pa_endpoint_eq(&h->listen[i], &st->header.listen[i]);
	return same;
}

/* Reads until the end or the first record that is damaged. 0: whole, and good to go on with; 1: only to be read. */
static int read_records(struct pa_gatewayd_state *st, FILE *f, struct pa_gw *gw, struct pa_now now)
{
	uint8_t buf[PA_GW_STATE_HEADER_LEN > PA_GW_STATE_RECORD_LEN ? PA_GW_STATE_HEADER_LEN : PA_GW_STATE_RECORD_LEN];
	struct pa_gw_state_header h;
	struct pa_gw_record r;
	int rc = PA_ETRUNC, taken;
	bool differs = false;
	size_t len = 0;

	memset(&h, 0, sizeof(h));
	if (fread(buf, 1, PA_GW_STATE_HEADER_LEN, f) == PA_GW_STATE_HEADER_LEN)
		rc = pa_gw_state_header_decode(buf, &h);
	if (rc == 0 && memcmp(h.gateway, st->header.gateway, sizeof(h.gateway)) != 0)
		rc = PA_EAUTH;
	while (rc == 0 && (len = fread(buf, 1, PA_GW_STATE_RECORD_LEN, f)) == PA_GW_STATE_RECORD_LEN) {
		rc = pa_gw_record_decode(buf, &r);
		if (rc < 0)
			break;
		st->n++;
		renumber(st, &h, &r);
		taken = pa_gw_adopt(gw, now, &r); /* what is refused is out of date, or of no pool of ours */
		differs = differs || (taken < 0 && taken != PA_EEXPIRED);
	}
	pa_wipe(&r, sizeof(r));
	pa_wipe(buf, sizeof(buf));
	return rc < 0 ? rc : differs || len != 0 || !same_header(st, &h);
}

static void read_file(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now)
{
	int fd = open(st->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc;
	uint64_t alive_ms = 0;
	size_t bound;
	FILE *f;

	if (fd < 0 && errno == ENOENT)
		return;
	rc = fd >= 0 ? check_file(fd, &alive_ms) : PA_EIO;
	f = rc == 0 ? fdopen(fd, "r") : NULL;
	if (f == NULL) {
		pa_log(PA_LOG_WARN, "state.unreadable", "file=%s reason=\"%s\"", st->path,
		       rc == PA_EAUTH ? "not a regular file of root's with mode 0600; it is replaced" : strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	(void)setvbuf(f, (char *)st->buf, _IOFBF, sizeof(st->buf)); /* ours, to be wiped */
	rc = read_records(st, f, gw, now);
	if (rc == 0)
		st->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* it goes on to serve */
	(void)fclose(f);
	pa_wipe(st->buf, sizeof(st->buf));
	bound = pa_gw_adopted(gw, now, alive_ms);
	if (rc < 0)
		pa_log(PA_LOG_WARN, "state.damaged", "file=%s reason=\"%s\"", st->path, rc == PA_EAUTH ?
		       "of a gateway with another key; it is not used" : "damaged; what stands before that place is used");
	pa_log(PA_LOG_INFO, "state.adopted", "bindings=%zu remembered=%zu away-ms=%llu", bound, pa_gw_known(gw) - bound,
	       (unsigned long long)(now.unix_ms > alive_ms ? now.unix_ms - alive_ms : 0));
}

void pa_gatewayd_state_load(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now)
{
	read_file(st, gw, now);
	(void)pa_gatewayd_state_renew(st, gw, now);
}
