/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Names: this host's own is the public address, for programs that tell others where they are. Names that the LAN's resolver does not
 * know, or that nobody answers for, are asked for at the server.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "relay/preload.h"

/* As gethostname tells it, or its first label. */
static bool is_own_name(const char *name)
{
	char own[PA_RELAY_NAME_MAX + 1] = {0};
	size_t label;

	if (name == NULL || gethostname(own, sizeof(own) - 1) < 0 || own[0] == '\0')
		return false;
	if (strcasecmp(name, own) == 0)
		return true;
	label = strcspn(own, ".");
	if (own[label] == '.')
		return strlen(name) == label && strncasecmp(name, own, label) == 0;
	return false;
}

static bool is_number(const char *name)
{
	struct in6_addr a;

	return inet_aton(name, (struct in_addr *)&a) != 0 || inet_pton(AF_INET6, name, &a) == 1;
}

/* What this host's own name, or one that nobody here knows, stands for. 0 or an errno; n addresses. */
static int look_up(const char *name, int family, bool own, struct pa_addr addrs[PA_RELAY_ADDRS_MAX], unsigned *ret_n)
{
	if (!own)
		return pa_pre_resolve(name, family, addrs, ret_n);
	*ret_n = 1;
	return family == AF_INET6 ? ENOENT : pa_pre_address(&addrs[0]);
}

/* ---- getaddrinfo */

/* One list of what the addresses are in libc's own memory, which freeaddrinfo knows. */
static int list_of(const struct pa_addr *addrs, unsigned n, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo how = hints != NULL ? *hints : (struct addrinfo){.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	struct addrinfo *all = NULL, **end = &all;
	char text[PA_ADDR_STRLEN];
	int rc = EAI_NONAME;

	how.ai_flags |= AI_NUMERICHOST;
	how.ai_flags &= ~(AI_CANONNAME | AI_ADDRCONFIG);
	for (unsigned i = 0; i < n; i++) {
		struct addrinfo *one;
		int one_rc = pa_pre_real()->getaddrinfo(pa_addr_format(&addrs[i], text), service, &how, &one);

		if (one_rc != 0) {
			rc = all == NULL ? one_rc : 0;
			continue;
		}
		rc = 0;
		*end = one;
		while (*end != NULL)
			end = &(*end)->ai_next;
	}
	if (rc == 0)
		*ret = all;
	return rc;
}

static int by_relay(const char *node, const char *service, const struct addrinfo *hints, bool own, struct addrinfo **ret)
{
	struct pa_addr addrs[PA_RELAY_ADDRS_MAX];
	unsigned n;
	int rc = look_up(node, hints != NULL ? hints->ai_family : AF_UNSPEC, own, addrs, &n);

	if (rc != 0)
		return EAI_NONAME;
	rc = list_of(addrs, n, service, hints, ret);
	if (rc == 0 && hints != NULL && (hints->ai_flags & AI_CANONNAME) != 0) {
		free((*ret)->ai_canonname);
		(*ret)->ai_canonname = strdup(node);
	}
	return rc;
}

/* Would the server know better? Not where the question itself is wrong. */
static bool is_unknown(int rc)
{
	return rc == EAI_NONAME || rc == EAI_AGAIN || rc == EAI_FAIL || rc == EAI_NODATA;
}

PA_PRE_EXPORT int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
			      struct addrinfo **restrict ret)
{
	bool numeric = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
	int rc, error;

	if (!pa_pre_active() || node == NULL || numeric || is_number(node))
		return pa_pre_real()->getaddrinfo(node, service, hints, ret);
	if (is_own_name(node) && by_relay(node, service, hints, true, ret) == 0)
		return 0;
	rc = pa_pre_real()->getaddrinfo(node, service, hints, ret);
	error = errno;
	if (is_unknown(rc) && by_relay(node, service, hints, false, ret) == 0)
		return 0;
	errno = error;
	return rc;
}

/* ---- gethostbyname and its kin */

/* Puts a hostent into buf. 0, or ERANGE. IPv4 only, or IPv6 only. */
static int host_of(const char *name, int family, const struct pa_addr *addrs, unsigned n, struct hostent *h, char *buf, size_t len)
{
	size_t size = family == AF_INET6 ? 16 : 4, named = strlen(name) + 1, at = -(uintptr_t)buf % sizeof(char *);
	size_t pointers = (n + 2) * sizeof(char *);
	char **list, *bytes;
	unsigned used = 0;

	if (len < at + pointers + n * size + named)
		return ERANGE;
	list = (char **)(void *)(buf + at);
	bytes = buf + at + pointers;
	for (unsigned i = 0; i < n; i++) {
		if (pa_addr_is_ipv4(&addrs[i]) != (family == AF_INET))
			continue;
		memcpy(bytes, addrs[i].b + (16 - size), size);
		list[used++] = bytes;
		bytes += size;
	}
	list[used] = NULL;
	memcpy(bytes, name, named);
	list[n + 1] = NULL;
	*h = (struct hostent){.h_name = bytes, .h_aliases = &list[n + 1], .h_addrtype = family, .h_length = (int)size, .h_addr_list = list};
	return used > 0 ? 0 : ENOENT;
}

static int host_by_relay(const char *name, int family, bool own, struct hostent *h, char *buf, size_t len)
{
	struct pa_addr addrs[PA_RELAY_ADDRS_MAX];
	unsigned n;

	if (is_number(name) || look_up(name, family, own, addrs, &n) != 0)
		return ENOENT;
	return host_of(name, family, addrs, n, h, buf, len);
}

PA_PRE_EXPORT int gethostbyname2_r(const char *restrict name, int family, struct hostent *restrict h, char *restrict buf, size_t len,
				   struct hostent **restrict ret, int *restrict h_error)
{
	int rc = ENOENT;

	if (pa_pre_active() && is_own_name(name))
		rc = host_by_relay(name, family, true, h, buf, len);
	if (rc == ENOENT) {
		rc = pa_pre_real()->gethostbyname2_r(name, family, h, buf, len, ret, h_error);
		if (!pa_pre_active() || rc == ERANGE || (rc == 0 && *ret != NULL))
			return rc;
		if (host_by_relay(name, family, false, h, buf, len) != 0)
			return rc;
		rc = 0;
	}
	*ret = rc == 0 ? h : NULL;
	*h_error = rc == 0 ? 0 : NETDB_INTERNAL;
	return rc;
}

PA_PRE_EXPORT int gethostbyname_r(const char *restrict name, struct hostent *restrict h, char *restrict buf, size_t len,
				  struct hostent **restrict ret, int *restrict h_error)
{
	return gethostbyname2_r(name, AF_INET, h, buf, len, ret, h_error);
}

/* These two answer in memory of their own, as libc's do; ours is one for each thread. */
PA_PRE_EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
	static _Thread_local struct hostent h;
	static _Thread_local char buf[1024];
	struct hostent *found;

	if (!pa_pre_active())
		return pa_pre_real()->gethostbyname2(name, family);
	if (is_own_name(name) && host_by_relay(name, family, true, &h, buf, sizeof(buf)) == 0)
		return &h;
	found = pa_pre_real()->gethostbyname2(name, family);
	if (found != NULL || host_by_relay(name, family, false, &h, buf, sizeof(buf)) != 0)
		return found;
	return &h;
}

PA_PRE_EXPORT struct hostent *gethostbyname(const char *name)
{
	return gethostbyname2(name, AF_INET);
}
