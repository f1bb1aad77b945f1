/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_ERR_H
#define PA_ERR_H

/*
 * Error codes. Functions return 0 (or a count) on success and a negative code below on failure; out-parameters are
 * untouched on failure unless the header of the function says otherwise.
 */
enum pa_err {
	PA_OK = 0,
	PA_EINVAL = -1,	    /* an argument or a value is outside its range */
	PA_ENOMEM = -2,	    /* no memory, or a fixed limit was reached */
	PA_ETRUNC = -3,	    /* input ends too early, or output does not fit */
	PA_EFORMAT = -4,    /* input is malformed */
	PA_EVERSION = -5,   /* a version that this code does not speak */
	PA_EAUTH = -6,	    /* a MAC, cookie, secret or peer credential does not verify */
	PA_EEXPIRED = -7,   /* too late */
	PA_EREPLAY = -8,    /* not above the highest number seen */
	PA_ENOTFOUND = -9,  /* no such thing */
	PA_EEXIST = -10,    /* already there, held by somebody else */
	PA_EDENIED = -11,   /* policy says no */
	PA_EEXHAUSTED = -12, /* pool has no free address */
	PA_EIO = -13,	    /* the operating system refused; errno tells */
	PA_EAGAIN = -14,    /* not now; try again */
	PA_ENOTSUP = -15,   /* not supported here */
	PA_ELIMIT = -16,    /* a configured limit is reached */
};

/* Returns a static English phrase for code (a negative enum pa_err); never NULL. Any thread. */
const char *pa_strerror(int code);

/* Prints expression and place on standard error and aborts. For our own invariants only, never for input. */
void pa_require_failed(const char *expr, const char *file, int line) __attribute__((noreturn));

#define PA_REQUIRE(expr) ((expr) ? (void)0 : pa_require_failed(#expr, __FILE__, __LINE__))

#endif
