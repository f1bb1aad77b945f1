/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_BROKER_STUB_H
#define PA_TEST_BROKER_STUB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The broker's end of a Unix socket, driven by the test in its own thread: nothing happens but what the test calls for.
 * Every function fails the test after a few seconds without progress.
 */
struct broker_stub {
	char dir[32];
	char path[64];
	int listener; /* -1: the broker is away */
	int conn;     /* -1: nobody connected */
	char buf[65536];
	size_t len;
};

void stub_init(struct broker_stub *b); /* a folder; away */
void stub_start(struct broker_stub *b);
void stub_stop(struct broker_stub *b); /* closes; the socket's file goes */
void stub_clear(struct broker_stub *b);
void stub_accept(struct broker_stub *b);
void stub_hang_up(struct broker_stub *b);
/* The next command, a new reference. */
json_t *stub_read(struct broker_stub *b);
/* True if no whole line is there now. */
bool stub_quiet(struct broker_stub *b);
void stub_write(struct broker_stub *b, const char *text);
/* Answers command: {"result": result, "id": its id, "arguments": {"grant": grant}}, without arguments if grant is NULL. */
void stub_reply(struct broker_stub *b, const json_t *command, int result, const char *grant);

/* Waits until fd is readable; fails the test after ms milliseconds. */
void wait_readable(int fd, int ms);

#endif
