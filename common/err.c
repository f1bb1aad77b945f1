/* SPDX-License-Identifier: MPL-2.0 */
#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>

const char *pa_strerror(int code)
{
	switch (code) {
	case PA_OK:
		return "success";
	case PA_EINVAL:
		return "invalid value";
	case PA_ENOMEM:
		return "out of memory";
	case PA_ETRUNC:
		return "truncated or too long";
	case PA_EFORMAT:
		return "malformed";
	case PA_EVERSION:
		return "unknown version";
	case PA_EAUTH:
		return "not authentic";
	case PA_EEXPIRED:
		return "expired";
	case PA_EREPLAY:
		return "replayed or superseded";
	case PA_ENOTFOUND:
		return "not found";
	case PA_EEXIST:
		return "already exists";
	case PA_EDENIED:
		return "denied";
	case PA_EEXHAUSTED:
		return "no free address";
	case PA_EIO:
		return "system error";
	case PA_EAGAIN:
		return "try again";
	case PA_ELIMIT:
		return "a configured limit is reached";
	case PA_ENOTSUP:
		return "not supported";
	default:
		return "unknown error";
	}
}

void pa_require_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expr);
	abort();
}
