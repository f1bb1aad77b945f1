/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A program that looks through this host's interfaces for its address: the one by which we go has the public address, alone and as a
 * host's (no other host is beside it). What the program does with the LAN is not changed by that.
 */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "relay/preload.h"

/* Is it our interface, or an alias of it (eth0:1)? */
static bool is_ours(const char *name)
{
	const char *iface = pa_pre_iface();
	size_t len = strlen(iface);

	return len > 0 && strncmp(name, iface, len) == 0 && (name[len] == '\0' || name[len] == ':');
}

static void put(struct sockaddr *sa, const struct pa_addr *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(pa_addr_to_ipv4(a))};

	memcpy(sa, &in, sizeof(in));
}

/* ---- getifaddrs */

static bool is_ipv4_of_ours(const struct ifaddrs *i)
{
	return i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET && is_ours(i->ifa_name);
}

PA_PRE_EXPORT int getifaddrs(struct ifaddrs **ret)
{
	const struct pa_addr all = pa_addr_from_ipv4(0xffffffffu);
	struct pa_addr own;
	bool first = true;
	int rc = pa_pre_real()->getifaddrs(ret);

	if (rc != 0 || !pa_pre_active() || pa_pre_address(&own) != 0)
		return rc;
	for (struct ifaddrs *before = NULL, *i = *ret; i != NULL; i = i->ifa_next) {
		if (is_ipv4_of_ours(i) && !first && before != NULL) {
			before->ifa_next = i->ifa_next; /* the list is one piece of memory */
			continue;
		}
		before = i;
		if (!is_ipv4_of_ours(i))
			continue;
		first = false;
		put(i->ifa_addr, &own);
		if (i->ifa_netmask != NULL)
			put(i->ifa_netmask, &all);
		if (i->ifa_broadaddr != NULL)
			put(i->ifa_broadaddr, &own);
	}
	return rc;
}

/* ---- ioctl */

static void change_list(const struct ifconf *list)
{
	struct pa_addr own;

	if (list == NULL || list->ifc_req == NULL || pa_pre_address(&own) != 0)
		return;
	for (size_t i = 0; i < (size_t)list->ifc_len / sizeof(struct ifreq); i++)
		if (list->ifc_req[i].ifr_addr.sa_family == AF_INET && is_ours(list->ifc_req[i].ifr_name))
			put(&list->ifc_req[i].ifr_addr, &own);
}

static void change_one(unsigned long request, struct ifreq *r)
{
	const struct pa_addr all = pa_addr_from_ipv4(0xffffffffu);
	char name[IFNAMSIZ + 1] = {0};
	struct pa_addr own;

	memcpy(name, r->ifr_name, IFNAMSIZ);
	if (is_ours(name) && pa_pre_address(&own) == 0)
		put(&r->ifr_addr, request == SIOCGIFNETMASK ? &all : &own);
}

/* Questions about interfaces are answered by sockets of the Internet's families only. */
static int ask(int fd, unsigned long request, void *arg)
{
	const struct pa_pre_real *real = pa_pre_real();
	struct pa_pre_tag t;
	int rc, error, other;

	if (!pa_pre_tag(fd, &t))
		return real->ioctl(fd, request, arg);
	other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (other < 0)
		return -1;
	rc = real->ioctl(other, request, arg);
	error = errno;
	(void)real->close(other);
	errno = error;
	return rc;
}

static int about_interface(int fd, unsigned long request, void *arg)
{
	int rc = ask(fd, request, arg);

	if (rc < 0 || arg == NULL)
		return rc;
	if (request == SIOCGIFCONF)
		change_list(arg);
	else if (request == SIOCGIFADDR || request == SIOCGIFNETMASK || request == SIOCGIFBRDADDR)
		change_one(request, arg);
	return rc;
}

PA_PRE_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct pa_pre_tag t;
	va_list ap;
	void *arg;
	int next;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!pa_pre_active())
		return pa_pre_real()->ioctl(fd, request, arg);
	if (request >= SIOCGIFNAME && request <= SIOCGIFCOUNT)
		return about_interface(fd, request, arg);
	if (request == FIONREAD && arg != NULL && pa_pre_tag(fd, &t) && t.kind == PA_PRE_UDP) {
		next = pa_pre_udp_next(fd);
		memcpy(arg, &next, sizeof(next));
		return 0;
	}
	return pa_pre_real()->ioctl(fd, request, arg);
}
