/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay_auth.h"

#include <string.h>

#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"

#define SEAL_AT (PA_RELAY_AUTH_LEN - PA_MAC_LEN) /* where the MAC under K1 stands */
#define MAC_AT (SEAL_AT - PA_MAC_LEN)		 /* and the one under K0 */
#define RESUMED 0x01

static void put_mac(struct pa_writer *w, const uint8_t key[PA_KEY_LEN])
{
	uint8_t mac[PA_MAC_LEN];

	if (w->failed)
		return;
	pa_mac(key, w->start, w->len, mac);
	pa_put_bytes(w, mac, sizeof(mac));
}

int pa_relay_auth_encode(const struct pa_relay_auth *a, const uint8_t k0[PA_KEY_LEN], uint8_t *buf, size_t cap)
{
	struct pa_writer w;

	pa_writer_init(&w, buf, cap);
	pa_put_u8(&w, PA_RELAY_VERSION);
	pa_put_zeros(&w, 3);
	pa_put_bytes(&w, a->claims, sizeof(a->claims));
	pa_put_bytes(&w, a->client_key, sizeof(a->client_key));
	pa_put_bytes(&w, a->nonce, sizeof(a->nonce));
	pa_put_u64(&w, a->bind);
	pa_put_bytes(&w, a->id, sizeof(a->id));
	pa_put_u64(&w, a->received);
	put_mac(&w, k0);
	pa_put_zeros(&w, PA_MAC_LEN);
	return w.failed ? PA_ETRUNC : (int)w.len;
}

void pa_relay_auth_seal(uint8_t buf[PA_RELAY_AUTH_LEN], const uint8_t c2g[PA_KEY_LEN])
{
	pa_mac(c2g, buf, SEAL_AT, buf + SEAL_AT);
}

int pa_relay_auth_decode(const uint8_t *buf, size_t len, struct pa_relay_auth *ret)
{
	struct pa_relay_auth a = {0};
	struct pa_reader r;
	uint8_t version, reserved[3];

	pa_reader_init(&r, buf, len);
	version = pa_get_u8(&r);
	pa_get_bytes(&r, reserved, sizeof(reserved));
	pa_get_bytes(&r, a.claims, sizeof(a.claims));
	pa_get_bytes(&r, a.client_key, sizeof(a.client_key));
	pa_get_bytes(&r, a.nonce, sizeof(a.nonce));
	a.bind = pa_get_u64(&r);
	pa_get_bytes(&r, a.id, sizeof(a.id));
	a.received = pa_get_u64(&r);
	if (!r.failed && version != PA_RELAY_VERSION)
		return PA_EVERSION;
	if (r.failed || len != PA_RELAY_AUTH_LEN || (reserved[0] | reserved[1] | reserved[2]) != 0)
		return PA_EFORMAT;
	*ret = a;
	return 0;
}

bool pa_relay_auth_verify(const uint8_t buf[PA_RELAY_AUTH_LEN], const uint8_t k0[PA_KEY_LEN])
{
	return pa_mac_verify(k0, buf, MAC_AT, buf + MAC_AT);
}

bool pa_relay_auth_verify_seal(const uint8_t buf[PA_RELAY_AUTH_LEN], const uint8_t c2g[PA_KEY_LEN])
{
	return pa_mac_verify(c2g, buf, SEAL_AT, buf + SEAL_AT);
}

int pa_relay_auth_ok_encode(const struct pa_relay_auth_ok *a, const uint8_t g2c[PA_KEY_LEN], uint8_t *buf, size_t cap)
{
	struct pa_writer w;

	pa_writer_init(&w, buf, cap);
	pa_put_u8(&w, PA_RELAY_VERSION);
	pa_put_u8(&w, a->resumed ? RESUMED : 0);
	pa_put_u16(&w, a->hold);
	pa_put_bytes(&w, a->nonce, sizeof(a->nonce));
	pa_put_bytes(&w, a->id, sizeof(a->id));
	pa_put_u32(&w, a->lifetime);
	pa_put_u64(&w, a->received);
	pa_put_u32(&w, a->window);
	pa_put_endpoint(&w, &a->mapped);
	put_mac(&w, g2c);
	return w.failed ? PA_ETRUNC : (int)w.len;
}

int pa_relay_auth_ok_decode(const uint8_t *buf, size_t len, const uint8_t nonce[PA_NONCE_LEN],
			    const uint8_t g2c[PA_KEY_LEN], struct pa_relay_auth_ok *ret)
{
	struct pa_relay_auth_ok a = {0};
	struct pa_reader r;
	uint8_t version, flags;

	pa_reader_init(&r, buf, len);
	version = pa_get_u8(&r);
	flags = pa_get_u8(&r);
	a.hold = pa_get_u16(&r);
	pa_get_bytes(&r, a.nonce, sizeof(a.nonce));
	pa_get_bytes(&r, a.id, sizeof(a.id));
	a.lifetime = pa_get_u32(&r);
	a.received = pa_get_u64(&r);
	a.window = pa_get_u32(&r);
	pa_get_endpoint(&r, &a.mapped);
	if (!r.failed && version != PA_RELAY_VERSION)
		return PA_EVERSION;
	if (r.failed || len != PA_RELAY_AUTH_OK_LEN || (flags & ~RESUMED) != 0 || a.window == 0 ||
	    a.window > PA_RELAY_WINDOW)
		return PA_EFORMAT;
	if (!pa_mac_verify(g2c, buf, len - PA_MAC_LEN, buf + len - PA_MAC_LEN) ||
	    memcmp(a.nonce, nonce, sizeof(a.nonce)) != 0)
		return PA_EAUTH;
	a.resumed = (flags & RESUMED) != 0;
	*ret = a;
	return 0;
}

int pa_relay_auth_no_encode(enum pa_relay_error error, const uint8_t nonce[PA_NONCE_LEN], const uint8_t g2c[PA_KEY_LEN],
			    uint8_t *buf, size_t cap)
{
	struct pa_writer w;

	pa_writer_init(&w, buf, cap);
	pa_put_u8(&w, (uint8_t)error);
	pa_put_zeros(&w, 3);
	pa_put_bytes(&w, nonce, PA_NONCE_LEN);
	put_mac(&w, g2c);
	return w.failed ? PA_ETRUNC : (int)w.len;
}

int pa_relay_auth_no_decode(const uint8_t *buf, size_t len, const uint8_t nonce[PA_NONCE_LEN],
			    const uint8_t k0[PA_KEY_LEN])
{
	if (len != PA_RELAY_AUTH_NO_LEN || buf[0] == PA_RELAY_E_OK || buf[0] > PA_RELAY_E_MAX ||
	    (buf[1] | buf[2] | buf[3]) != 0)
		return PA_EFORMAT;
	if (!pa_mac_verify(k0, buf, len - PA_MAC_LEN, buf + len - PA_MAC_LEN) ||
	    memcmp(buf + 4, nonce, PA_NONCE_LEN) != 0)
		return PA_EAUTH;
	return buf[0];
}
