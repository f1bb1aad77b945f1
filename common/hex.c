/* SPDX-License-Identifier: MPL-2.0 */
#include "common/hex.h"

#include <string.h>

#include "common/err.h"

char *pa_hex_encode(const uint8_t *src, size_t len, char *dst)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		dst[2 * i] = digits[src[i] >> 4];
		dst[2 * i + 1] = digits[src[i] & 15];
	}
	dst[2 * len] = '\0';
	return dst;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int pa_hex_decode(const char *s, uint8_t *dst, size_t cap)
{
	size_t n = strlen(s);

	if (n % 2 != 0)
		return PA_EFORMAT;
	if (n / 2 > cap)
		return PA_ETRUNC;
	for (size_t i = 0; i < n / 2; i++) {
		int hi = digit(s[2 * i]), lo = digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return PA_EFORMAT;
		dst[i] = (uint8_t)(hi << 4 | lo);
	}
	return (int)(n / 2);
}
