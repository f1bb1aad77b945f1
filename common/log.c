/* SPDX-License-Identifier: MPL-2.0 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/err.h"

static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
static const int syslog_priority[] = {3, 4, 6, 7};

/* The one piece of global state that the house allows. */
static struct {
	const char *program;
	enum pa_log_level level;
	bool journal;
	pa_log_sink sink;
} state = {"pubaddr", PA_LOG_INFO, false, NULL};

void pa_log_init(const char *program, enum pa_log_level level)
{
	state.program = program;
	state.level = level;
	state.journal = getenv("JOURNAL_STREAM") != NULL;
}

void pa_log_set_level(enum pa_log_level level)
{
	state.level = level;
}

int pa_log_level_parse(const char *s)
{
	static const char *const words[] = {"error", "warning", "info", "debug"};

	for (int i = 0; i < 4; i++)
		if (strcmp(s, words[i]) == 0)
			return i;
	return PA_EINVAL;
}

bool pa_log_enabled(enum pa_log_level level)
{
	return level <= state.level;
}

void pa_log_set_sink(pa_log_sink sink)
{
	state.sink = sink;
}

/* C0 controls, DEL, and C1 controls in UTF-8 (U+0080 to U+009F), which terminals obey as well. */
static void sanitize(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
		if ((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] <= 0x9f)
			s[0] = s[1] = '?';
	}
}

static void to_stderr(enum pa_log_level level, const char *event, const char *text)
{
	char when[40] = "";
	struct timespec ts;
	struct tm tm;

	if (state.journal) {
		fprintf(stderr, "<%d>%s %s\n", syslog_priority[level], event, text);
		return;
	}
	if (clock_gettime(CLOCK_REALTIME, &ts) == 0 && gmtime_r(&ts.tv_sec, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ldZ %s %s %s %s\n", when, ts.tv_nsec / 1000000, state.program, names[level], event, text);
}

void pa_log(enum pa_log_level level, const char *event, const char *fmt, ...)
{
	char text[PA_LOG_LINELEN];
	int saved = errno;
	va_list ap;

	if (!pa_log_enabled(level))
		return;
	va_start(ap, fmt);
	pa_log_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	sanitize(text);
	if (state.sink != NULL)
		state.sink(level, event, text);
	else
		to_stderr(level, event, text);
	errno = saved;
}
