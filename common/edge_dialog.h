/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_DIALOG_H
#define PA_EDGE_DIALOG_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

/*
 * A daemon's conversation with another one's command socket (common/command.h), on a libuv loop, for one who keeps asking: nothing
 * blocks, replies come as they come. When to connect, and again, what to ask, and how long to wait is its owner's to say. One
 * thread.
 */
struct pa_dialog;

struct pa_dialog_ops {
	/* Connected: commands may be sent. */
	void (*up)(void *ctx);
	/* A reply; all borrowed, arguments and id NULL where the reply has none. */
	void (*reply)(void *ctx, const char *id, int result, const char *text, const json_t *arguments);
	/* The connection is no more, or could not be made; reason in words. From the loop, or from the function that noticed it. */
	void (*down)(void *ctx, const char *reason);
};

/* ops and ctx are borrowed. 0 or PA_ENOMEM. */
int pa_dialog_new(uv_loop_t *loop, const struct pa_dialog_ops *ops, void *ctx, struct pa_dialog **ret);
/* After pa_dialog_stop, once the loop has run out. NULL is fine. */
void pa_dialog_free(struct pa_dialog *d);
/* Closes; the ops are not called any more. */
void pa_dialog_stop(struct pa_dialog *d);

/* To the socket of that path; up or down follows. Only while there is no connection. */
void pa_dialog_connect(struct pa_dialog *d, const char *path);
/* The same with a connected Unix stream socket, which is taken in every case. */
void pa_dialog_take(struct pa_dialog *d, int fd);
/* Ends the connection; down is called with reason. Harmless while there is none. */
void pa_dialog_end(struct pa_dialog *d, const char *reason);

/* Is there a connection, or is one being made? */
bool pa_dialog_is_busy(const struct pa_dialog *d);
bool pa_dialog_is_up(const struct pa_dialog *d);
/* Takes arguments, which may be NULL for want of memory. id: comes back with the reply; NULL: none. */
void pa_dialog_send(struct pa_dialog *d, const char *command, json_t *arguments, const char *id);

#endif
