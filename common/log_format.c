/* SPDX-License-Identifier: MPL-2.0 */
/* The fields of a log line: printf, but values come out so that whoever splits key=value gets back what went in. */
#include "common/log.h"

#include <stdio.h>
#include <string.h>

#define SPEC_MAX 24 /* of one conversion, such as "%-16.200s" */

struct out {
	char *dst;
	size_t size, len; /* len < size; further text is cut */
	bool quoted;	  /* the format has opened a quotation mark */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->dst[o->len++] = c;
}

static void put_escaped(struct out *o, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			put(o, '\\');
		put(o, *s);
	}
}

/* A value that begins right after "key=" stands alone up to the next blank of the format. */
static bool is_value(const struct out *o)
{
	return o->len > 0 && o->dst[o->len - 1] == '=';
}

static bool needs_quotes(const char *s)
{
	if (*s == '\0')
		return true;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f)
			return true;
	return false;
}

static void put_string(struct out *o, const char *s)
{
	if (o->quoted) {
		put_escaped(o, s);
	} else if (is_value(o) && needs_quotes(s)) {
		put(o, '"');
		put_escaped(o, s);
		put(o, '"');
	} else {
		while (*s != '\0')
			put(o, *s++);
	}
}

/* The conversion at fmt as a format of its own; *ret_star: it takes its precision from an argument. Returns its last character. */
static const char *take_spec(const char *fmt, char spec[SPEC_MAX], bool *ret_star)
{
	size_t n = 0;

	*ret_star = false;
	do {
		if (*fmt == '*')
			*ret_star = true;
		if (n + 1 < SPEC_MAX)
			spec[n++] = *fmt;
	} while (strchr("diouxXcsp%", *++fmt) == NULL);
	if (n + 1 < SPEC_MAX)
		spec[n++] = *fmt;
	spec[n] = '\0';
	return fmt;
}

/* %s, or "%.*s" with its precision in front. */
static void put_text(struct out *o, const char *spec, bool star, int precision, const char *s)
{
	char text[PA_LOG_LINELEN];

	if (star)
		(void)snprintf(text, sizeof(text), spec, precision, s);
	else
		(void)snprintf(text, sizeof(text), spec, s);
	put_string(o, text);
}

/* Numbers need no quotes. The length modifier tells what was given. */
static void put_number(struct out *o, const char *spec, va_list *ap)
{
	char text[64];

	if (strstr(spec, "ll") != NULL || strchr(spec, 'j') != NULL)
		(void)snprintf(text, sizeof(text), spec, va_arg(*ap, long long));
	else if (strchr(spec, 'z') != NULL)
		(void)snprintf(text, sizeof(text), spec, va_arg(*ap, size_t));
	else if (strchr(spec, 'l') != NULL)
		(void)snprintf(text, sizeof(text), spec, va_arg(*ap, long));
	else
		(void)snprintf(text, sizeof(text), spec, va_arg(*ap, int));
	for (const char *p = text; *p != '\0'; p++)
		put(o, *p);
}

static const char *put_conversion(struct out *o, const char *fmt, va_list *ap)
{
	char spec[SPEC_MAX];
	bool star;
	int precision = -1;
	const char *last = take_spec(fmt, spec, &star);

	if (star)
		precision = va_arg(*ap, int);
	if (*last == '%')
		put(o, '%');
	else if (*last == 's')
		put_text(o, spec, star, precision, va_arg(*ap, const char *));
	else
		put_number(o, spec, ap);
	return last;
}

/* Text that was cut within quotation marks gets its closing one, in place of its last character. */
static void close_quotes(struct out *o)
{
	bool open = false;
	size_t last = 0;

	for (size_t i = 0; i < o->len; i++) {
		last = i;
		if (o->dst[i] == '\\')
			i++;
		else if (o->dst[i] == '"')
			open = !open;
	}
	if (!open)
		return;
	o->dst[last] = '"';
	o->len = last + 1;
}

void pa_log_vformat(char *dst, size_t size, const char *fmt, va_list ap)
{
	struct out o = {dst, size, 0, false};
	va_list copy;

	if (size == 0)
		return;
	va_copy(copy, ap);
	for (; *fmt != '\0'; fmt++) {
		if (*fmt == '%') {
			fmt = put_conversion(&o, fmt, &copy);
			continue;
		}
		if (*fmt == '"')
			o.quoted = !o.quoted;
		put(&o, *fmt);
	}
	va_end(copy);
	if (o.len + 1 == size)
		close_quotes(&o);
	dst[o.len] = '\0';
}

void pa_log_format(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pa_log_vformat(dst, size, fmt, ap);
	va_end(ap);
}
