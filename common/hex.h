/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HEX_H
#define PA_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len lower-case digits and a NUL to dst (2 * len + 1 bytes); returns dst. */
char *pa_hex_encode(const uint8_t *src, size_t len, char *dst);
/*
 * Reads contiguous hex digits (any case). Returns the number of bytes written to dst, or PA_EFORMAT (odd count, not a
 * digit) or PA_ETRUNC (more than cap bytes); dst is unspecified then.
 */
int pa_hex_decode(const char *s, uint8_t *dst, size_t cap);

#endif
