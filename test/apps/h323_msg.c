/* SPDX-License-Identifier: MPL-2.0 */
#include "test/apps/h323_msg.h"

#include <string.h>

/*
 * A cursor over bits, in the aligned variant of the packed encoding rules (ITU-T X.691). Each message is described
 * once, by a function that writes it or reads it, as the cursor says.
 */
struct per {
	uint8_t *data;
	size_t bits, at; /* how many there are, and the next one */
	bool writing, bad;
};

static uint32_t per_bits(struct per *p, unsigned n, uint32_t value)
{
	uint32_t got = 0;

	if (p->bad || p->bits - p->at < n) {
		p->bad = true;
		return 0;
	}
	for (unsigned i = n; i-- > 0; p->at++) {
		uint8_t mask = (uint8_t)(0x80 >> (p->at % 8));

		if (p->writing && (value >> i & 1) != 0)
			p->data[p->at / 8] |= mask;
		got = got << 1 | ((p->data[p->at / 8] & mask) != 0);
	}
	return got;
}

/* What is the same in each of our messages. */
static void per_is(struct per *p, unsigned n, uint32_t value)
{
	if (per_bits(p, n, value) != value)
		p->bad = true;
}

static void per_flag(struct per *p, bool *v)
{
	*v = per_bits(p, 1, *v) != 0;
}

static void per_octets(struct per *p, void *dst, size_t n)
{
	uint8_t *octets = dst;

	per_bits(p, (unsigned)(8 - p->at % 8) % 8, 0);
	for (size_t i = 0; i < n; i++)
		octets[i] = (uint8_t)per_bits(p, 8, octets[i]);
}

static void per_octet_is(struct per *p, uint8_t value)
{
	uint8_t octet = value;

	per_octets(p, &octet, 1);
	if (octet != value)
		p->bad = true;
}

/* What an extension adds stands in octets of its own, behind their number; ours are fewer than 128. */
static size_t per_open(struct per *p)
{
	uint8_t len = 0;

	per_octets(p, &len, 1);
	return p->writing ? p->at : p->at + 8UL * len;
}
static void per_close(struct per *p, size_t mark)
{
	per_bits(p, (unsigned)(8 - p->at % 8) % 8, 0);
	if (p->bad)
		return;
	if (p->writing)
		p->data[mark / 8 - 1] = (uint8_t)((p->at - mark) / 8);
	else if (p->at != mark)
		p->bad = true;
}

static void ip_and_port(struct per *p, struct sockaddr_in *a)
{
	a->sin_family = AF_INET;
	per_octets(p, &a->sin_addr, 4);
	per_octets(p, &a->sin_port, 2);
}
/* H.225.0 TransportAddress: ipAddress */
static void address(struct per *p, struct sockaddr_in *a)
{
	per_is(p, 4, 0);
	ip_and_port(p, a);
}
/* H.245 TransportAddress: unicastAddress, iPAddress without additions */
static void address245(struct per *p, struct sockaddr_in *a)
{
	per_is(p, 7, 0);
	ip_and_port(p, a);
}

/* ProtocolIdentifier: itu-t recommendation h 2250 version(0) 2 */
static void protocol(struct per *p)
{
	static const uint8_t oid[] = {6, 0x00, 0x08, 0x91, 0x4a, 0x00, 0x02};

	for (size_t i = 0; i < sizeof(oid); i++)
		per_octet_is(p, oid[i]);
}
/* EndpointType: a terminal, no controller of conferences */
static void endpoint(struct per *p)
{
	per_is(p, 7, 1);
	per_is(p, 4, 0);
}
static void call_identifier(struct per *p, struct h323_message *m)
{
	size_t mark = per_open(p);

	per_is(p, 1, 0);
	per_octets(p, m->call, sizeof(m->call));
	per_close(p, mark);
}
/* H323-UserInformation, H323-UU-PDU, and which of its bodies it has */
static void body(struct per *p, uint32_t choice)
{
	per_is(p, 4, 0);
	per_is(p, 4, choice);
}

static void setup(struct per *p, struct h323_message *m)
{
	size_t mark;

	body(p, 0);
	per_is(p, 1, 1); /* with additions */
	per_flag(p, &m->has_h245);
	per_is(p, 6, 0x8); /* no sourceAddress, no destinationAddress; destCallSignalAddress; nothing else */
	protocol(p);
	if (m->has_h245)
		address(p, &m->h245);
	endpoint(p);
	address(p, &m->destination);
	per_is(p, 1, 0); /* activeMC */
	per_octets(p, m->conference, sizeof(m->conference));
	per_is(p, 3, 0);     /* conferenceGoal: create */
	per_is(p, 3, 0);     /* callType: pointToPoint */
	per_is(p, 7, 3 - 1); /* additions: sourceCallSignalAddress, no remoteExtensionAddress, callIdentifier */
	per_is(p, 3, 0x5);
	mark = per_open(p);
	address(p, &m->source);
	per_close(p, mark);
	call_identifier(p, m);
}

static void connected(struct per *p, struct h323_message *m)
{
	body(p, 2);
	per_is(p, 1, 1);
	per_flag(p, &m->has_h245);
	protocol(p);
	if (m->has_h245)
		address(p, &m->h245);
	endpoint(p);
	per_octets(p, m->conference, sizeof(m->conference));
	per_is(p, 7, 1 - 1);
	per_is(p, 1, 1);
	call_identifier(p, m);
}

static void release(struct per *p, struct h323_message *m)
{
	body(p, 5);
	per_is(p, 2, 0x2); /* with additions, no reason */
	protocol(p);
	per_is(p, 7, 1 - 1);
	per_is(p, 1, 1);
	call_identifier(p, m);
}

/* LogicalChannelNumber 1, of 1 to 65535 */
static void channel_number(struct per *p)
{
	per_octet_is(p, 0);
	per_octet_is(p, 1 - 1);
}

static void open_channel(struct per *p, struct h323_message *m)
{
	size_t mark;

	per_is(p, 3, 0); /* request */
	per_is(p, 5, 3); /* openLogicalChannel */
	per_is(p, 2, 0); /* nothing in the reverse direction */
	channel_number(p);
	per_is(p, 2, 0); /* no portNumber */
	per_is(p, 4, 3); /* audioData */
	per_is(p, 5, 1); /* g711Alaw64k, of 1 to 256 ms a packet: */
	per_octet_is(p, 20 - 1);
	per_is(p, 8, 0x80); /* the first alternative that was added: h2250LogicalChannelParameters */
	mark = per_open(p);
	per_is(p, 11, 0x20); /* of what may be absent only mediaControlChannel */
	per_octet_is(p, 1);  /* sessionID: audio */
	address245(p, &m->control);
	per_close(p, mark);
}

static void open_ack(struct per *p, struct h323_message *m)
{
	size_t mark;

	per_is(p, 3, 1);   /* response */
	per_is(p, 6, 5);   /* openLogicalChannelAck */
	per_is(p, 2, 0x2); /* with additions, nothing in the reverse direction */
	channel_number(p);
	per_is(p, 7, 2 - 1); /* the first two additions: no separateStack, forwardMultiplexAckParameters */
	per_is(p, 2, 0x1);
	mark = per_open(p);
	per_is(p, 1, 0);   /* h2250LogicalChannelAckParameters */
	per_is(p, 6, 0x6); /* mediaChannel, mediaControlChannel */
	address245(p, &m->media);
	address245(p, &m->control);
	per_close(p, mark);
}

static const struct {
	void (*per)(struct per *p, struct h323_message *m);
	uint8_t q931; /* type of the message; 0: H.245, which has no Q.931 around it */
} forms[] = {
	[H323_SETUP] = {setup, 0x05},
	[H323_CONNECT] = {connected, 0x07},
	[H323_RELEASE] = {release, 0x5a},
	[H323_OPEN] = {open_channel, 0},
	[H323_OPEN_ACK] = {open_ack, 0},
};

enum { TPKT = 4, Q931 = 5, BEARER = 5, USER = 4 };

/* Q.931's header and what comes before the user-user element's contents. The bearer capability is H.225.0's */
static size_t put_q931(const struct h323_message *m, uint8_t *dst)
{
	static const uint8_t bearer[BEARER] = {0x04, 0x03, 0x88, 0x93, 0xa5};
	size_t n = 0;

	dst[n++] = 0x08;
	dst[n++] = 2;
	dst[n++] = (uint8_t)(m->reference >> 8);
	dst[n++] = (uint8_t)m->reference;
	dst[n++] = forms[m->kind].q931;
	if (m->kind == H323_SETUP) {
		memcpy(dst + n, bearer, BEARER);
		n += BEARER;
	}
	dst[n] = 0x7e; /* user-user; two octets of length, which come later; then 5: ASN.1 */
	dst[n + 3] = 0x05;
	return n + USER;
}

size_t h323_encode(const struct h323_message *m, uint8_t *dst, size_t size)
{
	struct h323_message copy = *m; /* the description may read as well */
	struct per p = {.writing = true};
	size_t head = TPKT, len;

	if (size < TPKT + Q931 + BEARER + USER)
		return 0;
	memset(dst, 0, size);
	if (forms[m->kind].q931 != 0)
		head += put_q931(m, dst + TPKT);
	p.data = dst + head;
	p.bits = 8 * (size - head);
	forms[m->kind].per(&p, &copy);
	len = head + (p.at + 7) / 8;
	if (p.bad || len > UINT16_MAX)
		return 0;
	if (head > TPKT) {
		dst[head - 3] = (uint8_t)((len - head + 1) >> 8);
		dst[head - 2] = (uint8_t)(len - head + 1);
	}
	dst[0] = 3;
	dst[2] = (uint8_t)(len >> 8);
	dst[3] = (uint8_t)len;
	return len;
}

/* Finds the user-user element behind Q.931's header: where its contents begin (0: there is none); *end: behind them */
static size_t find_user(const uint8_t *src, size_t len, size_t *end)
{
	size_t at = TPKT + Q931;

	while (at + USER <= len && src[at] != 0x7e)
		at += (src[at] & 0x80) != 0 ? 1 : 2UL + src[at + 1];
	if (at + USER > len || src[at + 3] != 0x05)
		return 0;
	*end = at + 3 + ((size_t)src[at + 1] << 8 | src[at + 2]);
	return *end <= len && *end >= at + USER ? at + USER : 0;
}

bool h323_decode(struct h323_message *m, const uint8_t *src, size_t len)
{
	uint8_t copy[H323_MAX]; /* the cursor is one for both ways, and not const */
	size_t begin = TPKT, end = len;
	struct per p = {0};

	if (len < TPKT + Q931 || len > sizeof(copy) || src[0] != 3 || ((size_t)src[2] << 8 | src[3]) != len)
		return false;
	if (forms[m->kind].q931 != 0) {
		if (src[TPKT] != 0x08 || src[TPKT + 1] != 2 || src[TPKT + 4] != forms[m->kind].q931)
			return false;
		m->reference = (uint16_t)(src[TPKT + 2] << 8 | src[TPKT + 3]);
		begin = find_user(src, len, &end);
		if (begin == 0)
			return false;
	}
	memcpy(copy, src + begin, end - begin);
	p.data = copy;
	p.bits = 8 * (end - begin);
	forms[m->kind].per(&p, m);
	return !p.bad && (p.at + 7) / 8 == end - begin;
}
