/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_LOG_H
#define PA_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Log lines of a stable event name and key=value fields. Every event is listed in the man page of the program that logs
 * it. Never log a key, a secret or the bytes of an option. Control characters in the text are replaced by '?', so that a
 * value from outside cannot forge a line; nor can it forge a field, for a value with blanks, quotation marks or '=' in it
 * is put in quotation marks, with \" and \\ inside (pa_log_format). Single-threaded use, or one pa_log_set_sink before threads start.
 */
#define PA_LOG_LINELEN 1024 /* of the fields of one line; longer ones are cut */

enum pa_log_level { PA_LOG_ERROR, PA_LOG_WARN, PA_LOG_INFO, PA_LOG_DEBUG };

/*
 * Standard error is the default sink: "<time> <program> <LEVEL> <event> <fields>", or the syslog prefix form
 * "<6>event fields" where the service manager collects it (JOURNAL_STREAM is set). program: static string.
 */
void pa_log_init(const char *program, enum pa_log_level level);
void pa_log_set_level(enum pa_log_level level);
/* "error", "warning", "info", "debug" to the level, or PA_EINVAL. */
int pa_log_level_parse(const char *s);
bool pa_log_enabled(enum pa_log_level level);

/* Sends lines elsewhere (the hook: Kea's logger). text is one line without its end. NULL: standard error again. */
typedef void (*pa_log_sink)(enum pa_log_level level, const char *event, const char *text);
void pa_log_set_sink(pa_log_sink sink);

/*
 * Keeps errno. event: dotted lower-case name, e.g. "lease.grant"; fmt gives the fields, e.g. "addr=%s client=%s", as
 * pa_log_format writes them.
 */
void pa_log(enum pa_log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * printf for fields: knows %d %i %u %x %o %c %s with flags, width, precision and the lengths hh h l ll j z, and %%. A string
 * right after '=' is put in quotation marks if it has to be; one within the format's own quotation marks ("reason=\"%s\"")
 * is escaped; any other ("%s" for fields that are formatted already) is taken as it is. Cut at size, which counts the NUL.
 */
void pa_log_format(char *dst, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void pa_log_vformat(char *dst, size_t size, const char *fmt, va_list ap);

#endif
