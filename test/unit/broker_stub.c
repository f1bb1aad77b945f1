/* SPDX-License-Identifier: MPL-2.0 */
#include "broker_stub.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 5000

void wait_readable(int fd, int ms)
{
	struct pollfd p = {fd, POLLIN, 0};

	cr_assert_eq(poll(&p, 1, ms), 1, "nothing to read within %d ms", ms);
}

void stub_init(struct broker_stub *b)
{
	memset(b, 0, sizeof(*b));
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/pa-hook-XXXXXX");
	cr_assert_not_null(mkdtemp(b->dir));
	(void)snprintf(b->path, sizeof(b->path), "%s/broker.sock", b->dir);
	b->listener = b->conn = -1;
}

void stub_start(struct broker_stub *b)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", b->path);
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(b->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(b->listener, 4), 0);
}

void stub_hang_up(struct broker_stub *b)
{
	if (b->conn >= 0)
		(void)close(b->conn);
	b->conn = -1;
	b->len = 0;
}

void stub_stop(struct broker_stub *b)
{
	stub_hang_up(b);
	if (b->listener >= 0)
		(void)close(b->listener);
	b->listener = -1;
	(void)unlink(b->path);
}

void stub_clear(struct broker_stub *b)
{
	stub_stop(b);
	(void)rmdir(b->dir);
}

void stub_accept(struct broker_stub *b)
{
	wait_readable(b->listener, PATIENCE_MS);
	stub_hang_up(b);
	b->conn = accept(b->listener, NULL, NULL);
	cr_assert_geq(b->conn, 0);
}

json_t *stub_read(struct broker_stub *b)
{
	char *end;
	json_t *root;
	ssize_t n;

	while ((end = memchr(b->buf, '\n', b->len)) == NULL) {
		cr_assert_lt(b->len, sizeof(b->buf));
		wait_readable(b->conn, PATIENCE_MS);
		n = read(b->conn, b->buf + b->len, sizeof(b->buf) - b->len);
		cr_assert_gt(n, 0, "the hook closed the connection");
		b->len += (size_t)n;
	}
	root = json_loadb(b->buf, (size_t)(end - b->buf), 0, NULL);
	cr_assert_not_null(root);
	b->len -= (size_t)(end + 1 - b->buf);
	memmove(b->buf, end + 1, b->len);
	return root;
}

bool stub_quiet(struct broker_stub *b)
{
	struct pollfd p = {b->conn, POLLIN, 0};

	return memchr(b->buf, '\n', b->len) == NULL && poll(&p, 1, 0) == 0;
}

void stub_write(struct broker_stub *b, const char *text)
{
	cr_assert_eq(write(b->conn, text, strlen(text)), (ssize_t)strlen(text));
}

void stub_reply(struct broker_stub *b, const json_t *command, int result, const char *grant)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "{\"result\": %d, \"text\": \"\", \"id\": %lld%s%s%s}\n", result,
		       (long long)json_integer_value(json_object_get(command, "id")),
		       grant != NULL ? ", \"arguments\": {\"grant\": \"" : "", grant != NULL ? grant : "",
		       grant != NULL ? "\"}" : "");
	stub_write(b, line);
}
