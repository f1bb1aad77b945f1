/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_DAEMON_H
#define PA_EDGE_DAEMON_H

#include <stdbool.h>
#include <uv.h>

#include "common/conf.h"
#include "common/edge_sandbox.h"

/* What the daemons' main programs have in common: command line, configuration file, and a life on a libuv loop. Main thread only. */
#define PA_DAEMON_ERRLEN 640

/* Exit codes of the daemons. PA_EXIT_USAGE: starting again does not help before somebody mends command line, file or keys. */
enum { PA_EXIT_OK = 0, PA_EXIT_FAILED = 1, PA_EXIT_USAGE = 2 };

/* A program as its users see it. */
struct pa_daemon {
	const char *program;
	const char *config; /* the configuration's default path */
	const char *own_config; /* for -h: what goes before it, in words; NULL: nothing does */
	bool per_interface; /* -i IFACE is known and required */
	bool cleans_up;	    /* --cleanup is known */
};

/* The command line. Borrowed from argv and from the struct pa_daemon. */
struct pa_daemon_options {
	const char *config; /* -c, or the default */
	bool config_named;  /* -c was given */
	const char *iface;  /* -i; NULL: not given, only possible with -t or without per_interface */
	bool test, debug;   /* -t, -d */
	bool cleanup;	    /* --cleanup */
};

/*
 * Parses. Returns -1 to go on with *ret, or the exit code: PA_EXIT_OK after -h and -V, PA_EXIT_USAGE after a usage error, all of
 * which have been printed.
 */
int pa_daemon_parse(const struct pa_daemon *d, int argc, char **argv, struct pa_daemon_options *ret);

/* Reads conf's root into *conf_out: 0, PA_EFORMAT (pa_conf_error tells) or PA_ENOMEM; then nothing is left to clear. */
typedef int (*pa_daemon_read)(struct pa_conf *conf, void *conf_out);
/*
 * Reads o->config by read into conf_out. *source is the caller's to free, after conf_out, which borrows it. optional: a default
 * path at which there is no file is read as "{}". On failure prints one line and returns negative; nothing is to be freed.
 */
int pa_daemon_load(const struct pa_daemon *d, const struct pa_daemon_options *o, bool optional, pa_daemon_read read,
		   void *conf_out, struct pa_conf **source);

/* A daemon's inner life; self is what make gave. */
struct pa_daemon_ops {
	int (*make)(uv_loop_t *loop, void *ctx, void **self);	   /* 0 or PA_ENOMEM */
	int (*start)(void *self, char err[PA_DAEMON_ERRLEN]);	   /* after a failure stop is called too */
	int (*serve)(void *self, char err[PA_DAEMON_ERRLEN]);	   /* with what is left of the privileges: threads; may be NULL */
	int (*clean_up)(void *self, char err[PA_DAEMON_ERRLEN]);   /* instead of start */
	void (*reload)(void *self);				   /* SIGHUP; NULL: SIGHUP ends the process */
	void (*stop)(void *self);				   /* closes every handle */
	void (*destroy)(void *self);				   /* after the loop has run out */
	struct pa_sandbox needed;				   /* entered once start was well */
};

/* Starts, gives up privileges, tells systemd, and runs until SIGTERM or SIGINT. Logs what goes wrong. Returns the exit code. */
int pa_daemon_run(const struct pa_daemon_ops *ops, void *ctx);
/* --cleanup: the same with clean_up and without a loop that waits. */
int pa_daemon_clean_up(const struct pa_daemon_ops *ops, void *ctx);

#endif
