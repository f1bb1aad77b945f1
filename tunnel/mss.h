/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_MSS_H
#define PA_MSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Lowers the maximum segment size that a TCP SYN announces (RFC 9293, section 3.7.1) to what an inner MTU leaves, in place, its
 * checksum mended by RFC 1624, as path.bpf.c does for packets in the kernel. pkt: a whole inner packet, whose checksum is complete.
 * mtu 0: no limit. Packets that are no SYN, have no such option, or are not understood stay as they are. True if it was changed. Pure.
 */
bool pa_mss_clamp(uint8_t *pkt, size_t len, uint16_t mtu);

#endif
