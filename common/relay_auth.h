/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_AUTH_H
#define PA_RELAY_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"
#include "common/relay.h"

/*
 * The first two messages of a relay connection (pubaddr-protocol(7), SESSION RELAY): both ends prove that they know K1
 * of the grant with the TLS exporter of this very connection mixed in (RFC 9266), so that a man in the middle, whatever
 * his certificate says, has a connection of his own to each side and proves nothing. Codecs of bodies of AUTH, AUTH_OK
 * and AUTH_NO. Pure; any thread.
 *
 * K1 is pa_derive_session's with the connection's exporter and a cookie of zeros: TCP has shown already that the client
 * receives.
 */
#define PA_RELAY_VERSION 1
#define PA_RELAY_EXPORTER_LABEL "EXPORTER-Channel-Binding" /* RFC 9266, 32 bytes, no context */
#define PA_RELAY_AUTH_LEN 174
#define PA_RELAY_AUTH_OK_LEN 86
#define PA_RELAY_AUTH_NO_LEN 36

/* A value type without secrets. */
struct pa_relay_auth {
	uint8_t claims[PA_CLAIMS_LEN]; /* encoded */
	uint8_t client_key[PA_KEY_LEN];
	uint8_t nonce[PA_NONCE_LEN]; /* random, new for each connection */
	uint64_t bind;		     /* as in CONFIRM */
	uint8_t id[PA_RELAY_ID_LEN]; /* of the connection to resume; zeros: a new one */
	uint64_t received;	     /* bytes of counted frames that arrived in all */
};

struct pa_relay_auth_ok {
	bool resumed;		     /* the sessions of the connection asked for go on */
	uint16_t hold;		     /* seconds that they will outlive this connection */
	uint8_t nonce[PA_NONCE_LEN]; /* the client's */
	uint8_t id[PA_RELAY_ID_LEN]; /* what to resume by; a secret of both sides */
	uint32_t lifetime;	     /* seconds left of the grant */
	uint64_t received;
	uint32_t window;	   /* of each session, in bytes, both directions */
	struct pa_endpoint mapped; /* the client as the server sees it */
};

/* AUTH with the MAC under K0; seal adds the one under K1's c2g. The length, or PA_ETRUNC. */
int pa_relay_auth_encode(const struct pa_relay_auth *a, const uint8_t k0[PA_KEY_LEN], uint8_t *buf, size_t cap);
void pa_relay_auth_seal(uint8_t buf[PA_RELAY_AUTH_LEN], const uint8_t c2g[PA_KEY_LEN]);
/* Without judging authenticity. PA_EFORMAT or PA_EVERSION, *ret untouched then. */
int pa_relay_auth_decode(const uint8_t *buf, size_t len, struct pa_relay_auth *ret);
/* Of a body that was decoded: the MAC under K0, which costs little; then, once K1 is known, the other. */
bool pa_relay_auth_verify(const uint8_t buf[PA_RELAY_AUTH_LEN], const uint8_t k0[PA_KEY_LEN]);
bool pa_relay_auth_verify_seal(const uint8_t buf[PA_RELAY_AUTH_LEN], const uint8_t c2g[PA_KEY_LEN]);

/* AUTH_OK under K1's g2c. decode: PA_EFORMAT, PA_EVERSION, or PA_EAUTH (MAC, or another nonce); *ret untouched then. */
int pa_relay_auth_ok_encode(const struct pa_relay_auth_ok *a, const uint8_t g2c[PA_KEY_LEN], uint8_t *buf, size_t cap);
int pa_relay_auth_ok_decode(const uint8_t *buf, size_t len, const uint8_t nonce[PA_NONCE_LEN],
			    const uint8_t g2c[PA_KEY_LEN], struct pa_relay_auth_ok *ret);

/*
 * AUTH_NO under K1's g2c: to a client that has proved its grant, why it is refused (EXPIRED, REPLACED, LIMIT, AGAIN,
 * SHUTDOWN; DENIED: the rest). decode returns an enum pa_relay_error above 0, or PA_EFORMAT or PA_EAUTH.
 */
int pa_relay_auth_no_encode(enum pa_relay_error error, const uint8_t nonce[PA_NONCE_LEN], const uint8_t g2c[PA_KEY_LEN],
			    uint8_t *buf, size_t cap);
int pa_relay_auth_no_decode(const uint8_t *buf, size_t len, const uint8_t nonce[PA_NONCE_LEN],
			    const uint8_t k0[PA_KEY_LEN]);

#endif
