/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_IFNAME_H
#define PA_IFNAME_H

#include <stdbool.h>

/*
 * True for a name that an interface may have and that means only itself where we write it: in names of files, in log lines, between the
 * quotes of nft(8), where '*' would stand for others. 1 to 15 (IFNAMSIZ - 1) letters, digits, and . _ - @ + =, but not "." and "..".
 * Linux takes more (dev_valid_name), which nobody uses. Pure; any thread.
 */
bool pa_ifname_valid(const char *s);

#endif
