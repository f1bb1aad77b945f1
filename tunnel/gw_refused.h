/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_REFUSED_H
#define PA_GW_REFUSED_H

#include "tunnel/gw.h"

/*
 * Why a client got no answer, and what the operator can do about it. A static text; empty for what only strangers and lost
 * packets cause.
 */
const char *pa_gw_refusal_text(enum pa_gw_refusal r);

#endif
