/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RESOLV_H
#define PA_RESOLV_H

#include <stddef.h>

#include "common/addr.h"

#define PA_RESOLV_CONF "/etc/resolv.conf"

/*
 * The addresses of resolv.conf(5)'s nameserver lines, cap at most. text needs no NUL; lines that cannot be read are skipped, as
 * the resolver does. Returns how many were written. Pure; any thread.
 */
size_t pa_resolv_parse(const char *text, size_t len, struct pa_addr *ret, size_t cap);

#endif
