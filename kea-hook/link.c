/* SPDX-License-Identifier: MPL-2.0 */
#include "kea-hook/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/command.h"
#include "common/err.h"
#include "common/log.h"
#include "kea-hook/rate.h"

#define READS_PER_DISPATCH 16 /* a broker that floods us does not keep Kea from its clients */
#define READ_SIZE 4096

struct request {
	struct request *next;
	uint64_t id;
	uint64_t deadline_ms;
	void *tag;
};

struct release {
	struct release *next;
	uint64_t id; /* 0: not sent on this connection */
	json_t *arguments;
};

struct pa_link {
	struct pa_link_options opt;
	struct pa_link_ops ops;
	int epoll, timer, sock; /* sock -1: no connection */
	bool broken;		/* a send failed; the next dispatch drops the connection */
	const char *broken_why;
	struct pa_linebuf *in;
	char *out; /* PA_LINK_OUT_MAX */
	size_t out_len;
	uint64_t next_id;
	struct request *requests, **requests_end; /* all have the same time to live, so the first is due first */
	size_t n_requests;
	struct release *releases, **releases_end;
	size_t n_releases;
	unsigned missed; /* deadlines in a row */
	uint64_t backoff_ms, retry_ms;
	bool told_down;
	char told_why[128];
	struct pa_rate rate_state, rate_nonsense, rate_releases;
};

static uint64_t now_ms(void)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void arm(struct pa_link *l)
{
	struct itimerspec t = {{0, 0}, {0, 0}};
	uint64_t due = UINT64_MAX;

	if (l->sock < 0)
		due = l->retry_ms;
	if (l->requests != NULL && l->requests->deadline_ms < due)
		due = l->requests->deadline_ms;
	if (l->broken)
		due = 1;
	if (due != UINT64_MAX) {
		/* Zero would disarm it. */
		t.it_value.tv_sec = (time_t)(due / 1000);
		t.it_value.tv_nsec = (long)(due % 1000) * 1000000;
	}
	(void)timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* The socket is watched for writing only while something waits for it. */
static void watch(struct pa_link *l, int op)
{
	struct epoll_event e = {EPOLLIN, {0}};

	if (l->out_len > 0)
		e.events |= EPOLLOUT;
	(void)epoll_ctl(l->epoll, op, l->sock, &e);
}

static void flush(struct pa_link *l)
{
	ssize_t n;

	if (l->out_len == 0 || l->broken)
		return;
	n = send(l->sock, l->out, l->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		l->broken = true;
		l->broken_why = strerrordesc_np(errno);
		return;
	}
	if (n > 0) {
		l->out_len -= (size_t)n;
		memmove(l->out, l->out + n, l->out_len);
	}
	watch(l, EPOLL_CTL_MOD);
}

/* Takes arguments. PA_ENOMEM, or PA_EAGAIN when the broker does not read. */
static int queue_command(struct pa_link *l, const char *command, json_t *arguments, uint64_t id)
{
	json_t *jid = json_integer((json_int_t)id);
	json_t *root = pa_command_new(command, arguments, jid);
	char *line = NULL;
	size_t len = 0;
	int rc = PA_ENOMEM;

	if (jid != NULL && root != NULL)
		line = pa_json_line(root, &len);
	if (line != NULL && len > PA_LINK_OUT_MAX - l->out_len) {
		rc = PA_EAGAIN;
	} else if (line != NULL) {
		memcpy(l->out + l->out_len, line, len);
		l->out_len += len;
		flush(l);
		rc = 0;
	}
	free(line);
	json_decref(root);
	json_decref(jid);
	return rc;
}

static void send_releases(struct pa_link *l)
{
	for (struct release *r = l->releases; r != NULL && !l->broken; r = r->next) {
		if (r->id != 0)
			continue;
		if (queue_command(l, "lease-release", json_incref(r->arguments), l->next_id) < 0)
			return;
		r->id = l->next_id++;
		l->ops.event(l->ops.arg, PA_LINK_RELEASE_SENT);
	}
}

static void unlink_release(struct pa_link *l, struct release **at)
{
	struct release *r = *at;

	*at = r->next;
	if (l->releases_end == &r->next)
		l->releases_end = at;
	l->n_releases--;
	json_decref(r->arguments);
	free(r);
}

static struct request *unlink_request(struct pa_link *l, struct request **at)
{
	struct request *r = *at;

	*at = r->next;
	if (l->requests_end == &r->next)
		l->requests_end = at;
	l->n_requests--;
	return r;
}

static void finish_first(struct pa_link *l, int error)
{
	const struct pa_link_answer answer = {error, 0, "", NULL};
	struct request *r = unlink_request(l, &l->requests);

	(void)l->ops.done(l->ops.arg, r->tag, &answer);
	free(r);
}

/*
 * Says once that the broker is away, and again when it has been back or when the reason is another one: whoever mends the
 * first must learn of the second. A broker that flaps is rate-limited.
 */
static void tell_down(struct pa_link *l, const char *why)
{
	unsigned held;

	if (l->told_down && strncmp(l->told_why, why, sizeof(l->told_why) - 1) == 0)
		return;
	if (pa_rate_pass(&l->rate_state, now_ms(), &held))
		pa_log(PA_LOG_WARN, "broker.down", "socket=%s reason=\"%s\" held-back=%u", l->opt.path, why, held);
	l->told_down = true;
	(void)snprintf(l->told_why, sizeof(l->told_why), "%s", why);
}

/* Plans the next attempt to connect. */
static void back_off(struct pa_link *l)
{
	l->retry_ms = now_ms() + l->backoff_ms;
	l->backoff_ms *= 2;
	if (l->backoff_ms > PA_LINK_BACKOFF_MAX_MS)
		l->backoff_ms = PA_LINK_BACKOFF_MAX_MS;
}

static void drop(struct pa_link *l, const char *why)
{
	if (l->sock < 0)
		return;
	(void)close(l->sock);
	l->sock = -1;
	l->broken = false;
	l->missed = 0;
	l->out_len = 0;
	pa_linebuf_free(l->in);
	l->in = NULL;
	for (struct release *r = l->releases; r != NULL; r = r->next)
		r->id = 0;
	while (l->requests != NULL)
		finish_first(l, PA_EIO);
	tell_down(l, why);
	back_off(l);
}

static void nonsense(struct pa_link *l, const char *what)
{
	unsigned held;

	l->ops.event(l->ops.arg, PA_LINK_NONSENSE);
	if (pa_rate_pass(&l->rate_nonsense, now_ms(), &held))
		pa_log(PA_LOG_ERROR, "broker.nonsense", "socket=%s reason=\"%s\" held-back=%u", l->opt.path, what, held);
	drop(l, "the connection was closed because of a reply that made no sense");
}

/* An error that answers no request: the broker does not serve us, and says why. */
static void turned_away(struct pa_link *l, const char *text)
{
	char why[sizeof(l->told_why)];

	(void)snprintf(why, sizeof(why), "the broker refuses: %s", text);
	drop(l, why);
}

static void try_connect(struct pa_link *l)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	unsigned held;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", l->opt.path);
	l->in = fd >= 0 ? pa_linebuf_new(PA_COMMAND_LINE_MAX) : NULL;
	/* EAGAIN: the broker's backlog is full. That is as good as being away. */
	if (l->in == NULL || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		tell_down(l, strerrordesc_np(errno));
		if (fd >= 0)
			(void)close(fd);
		pa_linebuf_free(l->in);
		l->in = NULL;
		back_off(l);
		return;
	}
	l->sock = fd;
	l->told_down = false;
	watch(l, EPOLL_CTL_ADD);
	if (pa_rate_pass(&l->rate_state, now_ms(), &held))
		pa_log(PA_LOG_INFO, "broker.up", "socket=%s held-back=%u", l->opt.path, held);
	send_releases(l);
}

static struct request **find_request(struct pa_link *l, uint64_t id)
{
	struct request **at = &l->requests;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static struct release **find_release(struct pa_link *l, uint64_t id)
{
	struct release **at = &l->releases;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

/* A reply to somebody: PA_EFORMAT when it makes no sense. */
static int deliver(struct pa_link *l, uint64_t id, const struct pa_link_answer *answer)
{
	struct request **request = find_request(l, id), *r;
	struct release **release = find_release(l, id);
	int rc;

	if (*release != NULL) {
		unlink_release(l, release);
		return 0;
	}
	if (*request == NULL) {
		l->ops.event(l->ops.arg, PA_LINK_LATE);
		return 0;
	}
	r = unlink_request(l, request);
	rc = l->ops.done(l->ops.arg, r->tag, answer);
	free(r);
	return rc;
}

static void handle_line(struct pa_link *l, const char *line, size_t len)
{
	struct pa_link_answer answer = {0, 0, "", NULL};
	char err[PA_COMMAND_ERRLEN];
	json_t *root, *arguments, *id;

	if (pa_reply_parse(line, len, &root, &answer.result, &answer.text, &arguments, err) < 0) {
		nonsense(l, err);
		return;
	}
	answer.arguments = arguments;
	id = json_object_get(root, "id");
	if (id == NULL && answer.result == PA_RESULT_ERROR) {
		turned_away(l, answer.text);
	} else if (!json_is_integer(id) || json_integer_value(id) < 1 || (uint64_t)json_integer_value(id) >= l->next_id) {
		nonsense(l, "its id is not that of a request");
	} else if (deliver(l, (uint64_t)json_integer_value(id), &answer) < 0) {
		nonsense(l, "it is not an answer to lease-allocate");
	} else {
		l->missed = 0;
		l->backoff_ms = PA_LINK_BACKOFF_MS;
	}
	json_decref(root);
}

/* Reads once; false when there is nothing more or the connection is gone. */
static bool read_some(struct pa_link *l)
{
	char buf[READ_SIZE], *line;
	ssize_t n = recv(l->sock, buf, sizeof(buf), MSG_DONTWAIT);
	size_t len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		drop(l, n == 0 ? "the broker closed the connection" : strerrordesc_np(errno));
		return false;
	}
	if (pa_linebuf_feed(l->in, buf, (size_t)n) < 0) {
		nonsense(l, "it has no end");
		return false;
	}
	while (l->sock >= 0 && (line = pa_linebuf_next(l->in, &len)) != NULL)
		handle_line(l, line, len);
	return l->sock >= 0;
}

static void expire(struct pa_link *l, uint64_t now)
{
	while (l->requests != NULL && l->requests->deadline_ms <= now) {
		l->missed++;
		finish_first(l, PA_EEXPIRED);
	}
	if (l->missed >= PA_LINK_STALL)
		drop(l, "the broker does not answer");
}

void pa_link_dispatch(struct pa_link *l)
{
	uint64_t ticks;

	(void)!read(l->timer, &ticks, sizeof(ticks));
	if (l->sock >= 0 && !l->broken)
		flush(l);
	for (int i = 0; i < READS_PER_DISPATCH && l->sock >= 0; i++)
		if (!read_some(l))
			break;
	if (l->broken)
		drop(l, l->broken_why);
	expire(l, now_ms());
	if (l->sock < 0 && now_ms() >= l->retry_ms)
		try_connect(l);
	else if (l->sock >= 0)
		send_releases(l);
	arm(l);
}

int pa_link_request(struct pa_link *l, const char *command, json_t *arguments, void *tag)
{
	struct request *r;
	int rc;

	/* An earlier release of the same lease must not overtake: releases go first, and half of the buffer is theirs. */
	if (l->sock >= 0)
		send_releases(l);
	if (l->sock < 0 || l->broken || l->n_requests >= l->opt.max_requests || l->out_len > PA_LINK_OUT_MAX / 2) {
		json_decref(arguments);
		return l->sock < 0 || l->broken ? PA_EIO : PA_EAGAIN;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		json_decref(arguments);
		return PA_ENOMEM;
	}
	rc = queue_command(l, command, arguments, l->next_id);
	if (rc == 0 && l->broken)
		rc = PA_EIO;
	if (rc < 0) {
		free(r);
		arm(l);
		return rc;
	}
	r->id = l->next_id++;
	r->deadline_ms = now_ms() + l->opt.deadline_ms;
	r->tag = tag;
	*l->requests_end = r;
	l->requests_end = &r->next;
	l->n_requests++;
	if (l->requests == r)
		arm(l);
	return 0;
}

void pa_link_release(struct pa_link *l, json_t *arguments)
{
	struct release *r = calloc(1, sizeof(*r));
	unsigned held;

	if (r == NULL || arguments == NULL || l->opt.max_releases == 0) {
		l->ops.event(l->ops.arg, PA_LINK_RELEASE_DROPPED);
		json_decref(arguments);
		free(r);
		return;
	}
	if (l->n_releases >= l->opt.max_releases) {
		unlink_release(l, &l->releases);
		l->ops.event(l->ops.arg, PA_LINK_RELEASE_DROPPED);
		if (pa_rate_pass(&l->rate_releases, now_ms(), &held))
			pa_log(PA_LOG_WARN, "release.dropped", "queue=%zu held-back=%u", l->opt.max_releases, held);
	}
	r->arguments = arguments;
	*l->releases_end = r;
	l->releases_end = &r->next;
	l->n_releases++;
	if (l->sock >= 0) {
		send_releases(l);
		arm(l);
	}
}

int pa_link_fd(const struct pa_link *l)
{
	return l->epoll;
}

bool pa_link_is_up(const struct pa_link *l)
{
	return l->sock >= 0 && !l->broken;
}

/* An epoll set that select() can watch. The system gives the lowest free number, so there is no use in looking further. */
static int low_epoll(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < PA_LINK_FD_MAX)
		return fd;
	(void)close(fd);
	errno = EMFILE;
	return -1;
}

int pa_link_new(const struct pa_link_options *options, const struct pa_link_ops *ops, struct pa_link **ret)
{
	struct epoll_event e = {EPOLLIN, {0}};
	struct pa_link *l = calloc(1, sizeof(*l));
	int saved;

	if (l == NULL)
		return PA_ENOMEM;
	l->opt = *options;
	l->ops = *ops;
	l->sock = -1;
	l->next_id = 1;
	l->requests_end = &l->requests;
	l->releases_end = &l->releases;
	l->backoff_ms = PA_LINK_BACKOFF_MS;
	l->epoll = low_epoll();
	l->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	l->out = malloc(PA_LINK_OUT_MAX);
	if (l->out == NULL || l->epoll < 0 || l->timer < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &e) < 0) {
		int rc = l->out == NULL ? PA_ENOMEM : PA_EIO;

		saved = errno;
		pa_link_free(l);
		errno = saved;
		return rc;
	}
	try_connect(l);
	arm(l);
	*ret = l;
	return 0;
}

void pa_link_free(struct pa_link *l)
{
	if (l == NULL)
		return;
	while (l->requests != NULL)
		free(unlink_request(l, &l->requests));
	while (l->releases != NULL)
		unlink_release(l, &l->releases);
	if (l->sock >= 0)
		(void)close(l->sock);
	if (l->timer >= 0)
		(void)close(l->timer);
	if (l->epoll >= 0)
		(void)close(l->epoll);
	pa_linebuf_free(l->in);
	free(l->out);
	free(l);
}
