/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CLIENT_STATE_H
#define PA_CLIENT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/client.h"

/*
 * A client's session as the state file holds it, so that the next process can go on with it. A value type that holds
 * session keys: wipe it. Times are boot times: a session does not outlive the boot, for its interface does not. Pure; any thread.
 */
struct pa_client_saved {
	struct pa_client_binding b;
	bool lost; /* it was not answered any more */
	uint8_t c2g[PA_KEY_LEN], g2c[PA_KEY_LEN];
	uint8_t token[PA_TOKEN_LEN];
	uint64_t seq;	     /* highest sent */
	uint64_t expires_ms; /* of the grant that it was made with */
	uint64_t last_alive_ms;
};

#define PA_CLIENT_SAVED_LEN (4 + PA_CLAIMS_LEN + 2 * 18 + 3 * 2 + PA_SESSION_LEN + 2 * PA_KEY_LEN + PA_TOKEN_LEN + 3 * 8)

/* PA_EINVAL: a value outside its range. decode(encode(s)) == s. */
int pa_client_saved_encode(const struct pa_client_saved *s, uint8_t buf[PA_CLIENT_SAVED_LEN]);
/* PA_EFORMAT or PA_EVERSION: *ret untouched. */
int pa_client_saved_decode(const uint8_t buf[PA_CLIENT_SAVED_LEN], struct pa_client_saved *ret);

#endif
