/* SPDX-License-Identifier: MPL-2.0 */
#include "common/dhcp_inform.h"

#include <stdbool.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

/* RFC 2131, section 2. */
#define BOOTREQUEST 1
#define BOOTREPLY 2
#define SNAME_LEN 64
#define FILE_LEN 128
#define MAGIC 0x63825363u

/* RFC 2132. */
enum { OPT_PAD = 0, OPT_OVERLOAD = 52, OPT_TYPE = 53, OPT_SERVER = 54, OPT_REQUESTED = 55, OPT_END = 255 };
enum { TYPE_ACK = 5, TYPE_INFORM = 8 };
enum { OVERLOAD_FILE = 1, OVERLOAD_SNAME = 2 };

#define UDP_HEADER 8
#define PROTO_UDP 17
#define FRAGMENT 0x3fff /* more fragments, or an offset */

/* ---- the question ---- */

static void put_option(struct pa_writer *w, uint8_t code, const uint8_t *value, uint8_t len)
{
	pa_put_u8(w, code);
	pa_put_u8(w, len);
	pa_put_bytes(w, value, len);
}

static void put_header(struct pa_writer *w, const struct pa_dhcp_inform *q)
{
	pa_put_u8(w, BOOTREQUEST);
	pa_put_u8(w, q->hw_type);
	pa_put_u8(w, q->hw_len);
	pa_put_u8(w, 0); /* hops */
	pa_put_u32(w, q->xid);
	pa_put_u16(w, 0); /* secs */
	pa_put_u16(w, 0); /* flags: the answer is unicast to ciaddr (section 4.3.5) */
	pa_put_u32(w, q->address);
	pa_put_zeros(w, 12); /* yiaddr, siaddr, giaddr */
	pa_put_bytes(w, q->hw, q->hw_len);
	pa_put_zeros(w, PA_DHCP_HW_MAX - q->hw_len);
	pa_put_zeros(w, SNAME_LEN + FILE_LEN);
	pa_put_u32(w, MAGIC);
}

int pa_dhcp_inform_encode(const struct pa_dhcp_inform *q, uint8_t *buf, size_t cap)
{
	const uint8_t type = TYPE_INFORM;
	struct pa_writer w;

	if (q->hw_len == 0 || q->hw_len > PA_DHCP_HW_MAX || q->code == OPT_PAD || q->code == OPT_END)
		return PA_EINVAL;
	pa_writer_init(&w, buf, cap);
	put_header(&w, q);
	put_option(&w, OPT_TYPE, &type, 1);
	put_option(&w, OPT_REQUESTED, &q->code, 1);
	if (q->option_len > 0)
		put_option(&w, q->code, q->option, q->option_len);
	pa_put_u8(&w, OPT_END);
	if (!w.failed && w.len < PA_DHCP_MESSAGE_MIN)
		pa_put_zeros(&w, PA_DHCP_MESSAGE_MIN - w.len);
	return w.failed ? PA_ETRUNC : (int)w.len;
}

/* ---- the answer ---- */

struct options {
	uint8_t wanted;
	uint8_t type, overload;
	struct pa_dhcp_ack ack;
};

static int take_option(struct options *o, uint8_t code, const uint8_t *value, uint8_t len)
{
	struct pa_reader r;

	pa_reader_init(&r, value, len);
	switch (code) {
	case OPT_TYPE:
		o->type = pa_get_u8(&r);
		break;
	case OPT_OVERLOAD:
		o->overload = pa_get_u8(&r);
		break;
	case OPT_SERVER:
		o->ack.server = pa_get_u32(&r);
		break;
	default:
		break;
	}
	if (r.failed)
		return PA_EFORMAT;
	if (code != o->wanted)
		return 0;
	/* The parts of a long option are put together (RFC 3396, section 7). */
	if (len > sizeof(o->ack.option) - o->ack.option_len)
		return PA_EFORMAT;
	memcpy(o->ack.option + o->ack.option_len, value, len);
	o->ack.option_len += len;
	return 0;
}

/* One of the areas that options may be in. Many servers leave out the end of the last one. */
static int read_area(struct options *o, const uint8_t *area, size_t len)
{
	struct pa_reader r;
	int rc = 0;

	pa_reader_init(&r, area, len);
	while (rc == 0 && r.left > 0) {
		uint8_t code = pa_get_u8(&r), size;
		const uint8_t *value;

		if (code == OPT_PAD)
			continue;
		if (code == OPT_END)
			break;
		size = pa_get_u8(&r);
		value = pa_get_view(&r, size);
		rc = r.failed ? PA_ETRUNC : take_option(o, code, value, size);
	}
	return rc;
}

/* The order is that of RFC 3396, section 5: the field of options, file, sname. */
static int read_options(struct options *o, struct pa_reader *r, const uint8_t *sname, const uint8_t *file)
{
	int rc = read_area(o, r->p, r->left);
	uint8_t overload = o->overload;

	if (rc == 0 && (overload & OVERLOAD_FILE) != 0)
		rc = read_area(o, file, FILE_LEN);
	if (rc == 0 && (overload & OVERLOAD_SNAME) != 0)
		rc = read_area(o, sname, SNAME_LEN);
	return rc;
}

static bool is_reply_to(struct pa_reader *r, const struct pa_dhcp_inform *q)
{
	uint8_t op = pa_get_u8(r), hw_type = pa_get_u8(r), hw_len = pa_get_u8(r);
	const uint8_t *hw;
	uint32_t xid;

	(void)pa_get_u8(r); /* hops */
	xid = pa_get_u32(r);
	(void)pa_get_view(r, 20); /* secs, flags, and the four addresses: what they say of us is not new */
	hw = pa_get_view(r, PA_DHCP_HW_MAX);
	return !r->failed && op == BOOTREPLY && hw_type == q->hw_type && hw_len == q->hw_len && xid == q->xid &&
	       memcmp(hw, q->hw, q->hw_len) == 0;
}

int pa_dhcp_ack_decode(const uint8_t *buf, size_t len, const struct pa_dhcp_inform *q, struct pa_dhcp_ack *ret)
{
	struct options o = {.wanted = q->code};
	const uint8_t *sname, *file;
	struct pa_reader r;
	bool ours;
	int rc;

	pa_reader_init(&r, buf, len);
	ours = is_reply_to(&r, q);
	sname = pa_get_view(&r, SNAME_LEN);
	file = pa_get_view(&r, FILE_LEN);
	if (pa_get_u32(&r) != MAGIC || r.failed)
		return r.failed ? PA_ETRUNC : PA_EFORMAT;
	if (!ours)
		return PA_ENOTFOUND;
	rc = read_options(&o, &r, sname, file);
	if (rc == 0 && o.type != TYPE_ACK)
		rc = PA_ENOTFOUND;
	if (rc == 0)
		*ret = o.ack;
	pa_wipe(&o, sizeof(o));
	return rc;
}

int pa_dhcp_packet_decode(const uint8_t *buf, size_t len, uint32_t *ret_from, struct pa_reader *ret_payload)
{
	struct pa_reader r, udp;
	unsigned header, total, size;
	const uint8_t *view;
	uint16_t fragment;
	uint32_t from;
	uint8_t proto;

	pa_reader_init(&r, buf, len);
	header = pa_get_u8(&r);
	(void)pa_get_u8(&r);
	total = pa_get_u16(&r);
	(void)pa_get_u16(&r); /* identification */
	fragment = pa_get_u16(&r);
	(void)pa_get_u8(&r); /* time to live */
	proto = pa_get_u8(&r);
	(void)pa_get_u16(&r);
	from = pa_get_u32(&r);
	if (r.failed)
		return PA_ETRUNC;
	if (header >> 4 != 4 || proto != PROTO_UDP || (fragment & FRAGMENT) != 0)
		return PA_ENOTFOUND;
	header = (header & 0x0f) * 4;
	if (header < 20 || total < header || total > len)
		return PA_EFORMAT;
	pa_reader_init(&udp, buf + header, total - header); /* what the link padded is not of the packet */
	if (pa_get_u16(&udp) != PA_DHCP_SERVER_PORT || pa_get_u16(&udp) != PA_DHCP_CLIENT_PORT)
		return udp.failed ? PA_ETRUNC : PA_ENOTFOUND;
	size = pa_get_u16(&udp);
	(void)pa_get_u16(&udp);
	if (size < UDP_HEADER)
		return udp.failed ? PA_ETRUNC : PA_EFORMAT;
	view = pa_get_view(&udp, size - UDP_HEADER);
	if (udp.failed)
		return PA_ETRUNC;
	pa_reader_init(ret_payload, view, size - UDP_HEADER);
	*ret_from = from;
	return 0;
}

/* ---- giving a grant back ---- */

void pa_dhcp_release_encode(uint64_t epoch, const uint8_t proof[PA_MAC_LEN], uint8_t buf[PA_RELEASE_LEN])
{
	struct pa_writer w;

	pa_writer_init(&w, buf, PA_RELEASE_LEN);
	pa_put_u8(&w, PA_RELEASE_FORMAT);
	pa_put_u64(&w, epoch);
	pa_put_bytes(&w, proof, PA_MAC_LEN);
}

int pa_dhcp_release_decode(const uint8_t *buf, size_t len, uint64_t *ret_epoch, uint8_t ret_proof[PA_MAC_LEN])
{
	struct pa_reader r;
	uint64_t epoch;

	pa_reader_init(&r, buf, len);
	if (len != PA_RELEASE_LEN || pa_get_u8(&r) != PA_RELEASE_FORMAT)
		return PA_EFORMAT;
	epoch = pa_get_u64(&r);
	pa_get_bytes(&r, ret_proof, PA_MAC_LEN);
	*ret_epoch = epoch;
	return 0;
}
