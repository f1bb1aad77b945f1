/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEXT_H
#define PA_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Text written piece by piece into a buffer of the caller, with a sticky error as the cursors have: what does not fit makes
 * the whole text wrong, and the caller asks once at the end. Pure; one thread at a time.
 */
struct pa_text {
	char *buf;  /* the caller's; always ends with NUL */
	size_t cap; /* with the NUL; at least 1 */
	size_t len; /* without it */
	bool full;  /* something did not fit: the text is not to be used */
};

/* The empty text in buf of cap bytes. */
void pa_text_init(struct pa_text *t, char *buf, size_t cap);
void pa_text_add(struct pa_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
