/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a TUN device hands over, header first: it is cut, the parts must be the payload in its order, and joined again they must lose
 * nothing, whatever is joined and whatever is not.
 */
#include <string.h>

#include "common/err.h"
#include "test/fuzz/fuzz.h"
#include "tunnel/dp_cut.h"
#include "tunnel/dp_join.h"
#include "tunnel/filter.h"

#define PARTS 64

struct parts {
	uint8_t data[PARTS][2048];
	size_t len[PARTS];
	unsigned n;
	struct pa_join join;
	size_t joined;
};

static void flush(struct parts *p)
{
	struct iovec *iov;
	int n = pa_join_take(&p->join, &iov);

	PA_REQUIRE(n >= 2 && n <= PA_JOIN_MAX + 2 && iov[0].iov_len == sizeof(struct virtio_net_hdr));
	for (int i = 1; i < n; i++)
		p->joined += iov[i].iov_len;
	PA_REQUIRE(pa_join_take(&p->join, &iov) == 0);
}

/* Joins the parts; the headers of those that were joined to others are gone, and their payload is not. */
static void join(struct parts *p, size_t header)
{
	size_t sum = 0, packets = 0;

	for (unsigned i = 0; i < p->n; i++) {
		sum += p->len[i];
		if (pa_join_add(&p->join, p->data[i], p->len[i]))
			continue;
		packets++;
		flush(p);
		PA_REQUIRE(pa_join_add(&p->join, p->data[i], p->len[i]));
	}
	if (p->n > 0) {
		packets++;
		flush(p);
	}
	PA_REQUIRE(p->joined + (p->n - packets) * header == sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct parts p;
	static uint8_t pkt[65536];
	struct virtio_net_hdr vh;
	struct pa_cut_part part;
	struct pa_inner in;
	struct pa_cut c;
	size_t bytes, at = 0;
	uint8_t header[PA_CUT_HEADER_MAX];
	unsigned n;

	if (len < PA_VNET_LEN || len - PA_VNET_LEN > sizeof(pkt))
		return 0;
	memcpy(&vh, data, sizeof(vh));
	data += PA_VNET_LEN;
	len -= PA_VNET_LEN;
	memcpy(pkt, data, len);
	if (!pa_cut_is_many(&vh)) {
		(void)pa_cut_finish(&vh, pkt, len);
		return 0;
	}
	if (pa_cut_init(&c, &vh, pkt, len) < 0)
		return 0;
	n = pa_cut_count(&c, &bytes);
	p.n = 0;
	p.joined = 0;
	pa_join_init(&p.join);
	while (n > 0 && pa_cut_next(&c, header, &part)) {
		n--;
		PA_REQUIRE(part.payload == pkt + c.header + at && part.payload_len > 0);
		at += part.payload_len;
		bytes -= part.header_len + part.payload_len;
		if (p.n == PARTS || part.header_len + part.payload_len > sizeof(p.data[0]))
			continue;
		memcpy(p.data[p.n], header, part.header_len);
		memcpy(p.data[p.n] + part.header_len, part.payload, part.payload_len);
		p.len[p.n] = part.header_len + part.payload_len;
		if (pa_inner_parse(p.data[p.n], p.len[p.n], &in) == 0)
			p.n++;
	}
	PA_REQUIRE(n == 0 && bytes == 0 && at == len - c.header && !pa_cut_next(&c, header, &part));
	join(&p, c.header);
	return 0;
}
