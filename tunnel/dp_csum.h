/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_CSUM_H
#define PA_DP_CSUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * The Internet checksum (RFC 1071), as it is needed to finish and to verify checksums of inner packets. A sum is kept as 64 bits
 * that are not folded yet, in the byte order of memory, so it is stored by memcpy. Parts but the last have even lengths.
 * Pure; any thread.
 */
uint64_t pa_csum_add(uint64_t sum, const void *data, size_t len);
/* The 16 bits that sum comes to, not inverted. */
uint16_t pa_csum_fold(uint64_t sum);
/* The pseudo header of an IPv4 or IPv6 packet (RFC 793, RFC 8200) whose upper layer has len bytes and protocol proto. */
uint64_t pa_csum_pseudo(const uint8_t *ip, uint8_t proto, size_t len);

#endif
