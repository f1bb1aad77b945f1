/* SPDX-License-Identifier: MPL-2.0 */
/* Log lines: the level, the two forms on standard error, the sink, and that a value cannot forge a line. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"

static char got[2048];
static unsigned lines;

static void keep(enum pa_log_level level, const char *event, const char *text)
{
	lines++;
	(void)snprintf(got, sizeof(got), "%d %s %s", (int)level, event, text);
}

static void spoil_errno(enum pa_log_level level, const char *event, const char *text)
{
	keep(level, event, text);
	errno = 5;
}

static void setup(void)
{
	(void)unsetenv("JOURNAL_STREAM");
	pa_log_init("prog", PA_LOG_INFO);
}

TestSuite(log, .init = setup, .timeout = 20);

Test(log, level_decides)
{
	pa_log_set_sink(keep);
	pa_log(PA_LOG_DEBUG, "x.y", "n=%d", 1);
	cr_assert_eq(lines, 0u);
	pa_log(PA_LOG_INFO, "x.y", "n=%d", 2);
	cr_assert_str_eq(got, "2 x.y n=2");
	pa_log_set_level(PA_LOG_ERROR);
	pa_log(PA_LOG_WARN, "x.y", "n=%d", 3);
	cr_assert_eq(lines, 1u);
	cr_assert(pa_log_enabled(PA_LOG_ERROR));
	cr_assert_not(pa_log_enabled(PA_LOG_WARN));
	pa_log_set_level(PA_LOG_DEBUG);
	pa_log(PA_LOG_DEBUG, "x.y", "n=%d", 4);
	cr_assert_str_eq(got, "3 x.y n=4");
}

Test(log, a_value_cannot_forge_a_line)
{
	pa_log_set_sink(keep);
	pa_log(PA_LOG_WARN, "x.y", "name=%s", "a\nprog ERROR fake\r\t\x1b[31m\x7f");
	cr_assert_str_eq(got, "1 x.y name=\"a?prog ERROR fake???[31m?\"");
}

Test(log, c1_controls_cannot_reach_a_terminal)
{
	pa_log_set_sink(keep);
	/* U+009B is CSI in one character; other text beyond ASCII stays. */
	pa_log(PA_LOG_WARN, "x.y", "name=%s", "a\xc2\x9b" "31m K\xc3\xb6ln");
	cr_assert_str_eq(got, "1 x.y name=\"a??31m K\xc3\xb6ln\"");
}

/* What a parser of key=value makes of it: n-th field from 0, unquoted. */
static const char *field(unsigned n, char key[64], char value[256])
{
	const char *p = got + strlen("1 x.y ");

	for (unsigned i = 0; i <= n; i++) {
		size_t k = 0, v = 0;
		bool quoted;

		while (*p != '=' && *p != '\0')
			key[k++] = *p++;
		key[k] = '\0';
		quoted = *++p == '"';
		for (p += quoted; *p != '\0' && *p != (quoted ? '"' : ' '); p++)
			value[v++] = quoted && *p == '\\' ? *++p : *p;
		value[v] = '\0';
		p += quoted;
		p += *p == ' ';
	}
	return value;
}

Test(log, a_value_cannot_forge_a_field)
{
	static const char *const values[] = {"plain", "", "two words", "x y=z", "say \"no\" addr=1", "back\\slash", "a=b", "\\\" uid=0"};
	char key[64], value[256];

	pa_log_set_sink(keep);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		pa_log(PA_LOG_WARN, "x.y", "a=%s b=\"%.200s: %s\" n=%d c=%.*s", values[i], values[i], "why", -7, 100, values[i]);
		cr_assert_str_eq(field(0, key, value), values[i], "%s", got);
		cr_assert_str_eq(key, "a");
		cr_assert_eq(strncmp(field(1, key, value), values[i], strlen(values[i])), 0, "%s", got);
		cr_assert_str_eq(value + strlen(values[i]), ": why", "%s", got);
		cr_assert_str_eq(field(2, key, value), "-7", "%s", got);
		cr_assert_str_eq(field(3, key, value), values[i], "%s", got);
		cr_assert_str_eq(key, "c");
	}
}

Test(log, conversions_are_those_of_printf)
{
	char want[128];

	pa_log_set_sink(keep);
	(void)snprintf(want, sizeof(want), "2 x.y %04x,%-5d|%zu %llu %ld %" PRIu64 " %hhu %c 100%% %.3s %5s", 0xabu, 7, (size_t)9,
		       1ull << 63, -5l, UINT64_MAX, (unsigned char)200, 'x', "abcdef", "z");
	pa_log(PA_LOG_INFO, "x.y", "%04x,%-5d|%zu %llu %ld %" PRIu64 " %hhu %c 100%% %.3s %5s", 0xabu, 7, (size_t)9, 1ull << 63,
	       -5l, UINT64_MAX, (unsigned char)200, 'x', "abcdef", "z");
	cr_assert_str_eq(got, want);
}

Test(log, long_text_is_cut)
{
	char text[3000];

	pa_log_set_sink(keep);
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pa_log(PA_LOG_WARN, "x.y", "%s", text);
	cr_assert_eq(strlen(got), strlen("1 x.y ") + 1023);
}

Test(log, what_is_cut_has_its_closing_quotation_mark)
{
	char text[3000], key[64], fields[40], value[256];

	memset(text, 'x', sizeof(text));
	memcpy(text, "\"\\\"a", 4);
	text[sizeof(text) - 1] = '\0';
	for (size_t size = 5; size < sizeof(fields); size++) {
		size_t len;

		pa_log_format(fields, size, "a=%s", text);
		len = strlen(fields);
		cr_assert(len + 2 >= size && len < size && fields[len - 1] == '"', "%zu %s", size, fields);
		(void)snprintf(got, sizeof(got), "1 x.y %s", fields);
		(void)field(0, key, value);
		cr_assert(strncmp(value, text, strlen(value)) == 0, "%s", fields);
	}
}

Test(log, errno_is_kept)
{
	pa_log_set_sink(spoil_errno);
	errno = 77;
	pa_log(PA_LOG_WARN, "x.y", "a=%s", "b");
	cr_assert_eq(errno, 77, "a log call must not hide why something failed");
}

/* What standard error got, read through Criterion's redirection. */
static void read_stderr(char *buf, size_t cap)
{
	FILE *f = cr_get_redirected_stderr();
	size_t n;

	(void)fflush(stderr);
	n = fread(buf, 1, 1, f);
	cr_assert_eq(n, 1u);
	while (n + 1 < cap && buf[n - 1] != '\n' && fread(buf + n, 1, 1, f) == 1)
		n++;
	buf[n] = '\0';
}

Test(log, standard_error)
{
	char line[256], *rest;

	cr_redirect_stderr();
	pa_log(PA_LOG_WARN, "lease.grant", "addr=%s", "203.0.113.7");
	read_stderr(line, sizeof(line));
	cr_assert_eq(strspn(line, "0123456789-T:.Z"), strlen("2026-01-02T03:04:05.678Z"), "%s", line);
	rest = strchr(line, ' ');
	cr_assert_str_eq(rest, " prog WARN lease.grant addr=203.0.113.7\n");
}

Test(log, journal_form)
{
	char line[256];

	cr_assert_eq(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	pa_log_init("prog", PA_LOG_INFO);
	cr_redirect_stderr();
	pa_log(PA_LOG_ERROR, "lease.grant", "addr=%s", "203.0.113.7");
	read_stderr(line, sizeof(line));
	cr_assert_str_eq(line, "<3>lease.grant addr=203.0.113.7\n");
}

Test(log, levels_by_name)
{
	cr_assert_eq(pa_log_level_parse("error"), (int)PA_LOG_ERROR);
	cr_assert_eq(pa_log_level_parse("warning"), (int)PA_LOG_WARN);
	cr_assert_eq(pa_log_level_parse("info"), (int)PA_LOG_INFO);
	cr_assert_eq(pa_log_level_parse("debug"), (int)PA_LOG_DEBUG);
	cr_assert_eq(pa_log_level_parse("INFO"), PA_EINVAL);
	cr_assert_eq(pa_log_level_parse(""), PA_EINVAL);
}
