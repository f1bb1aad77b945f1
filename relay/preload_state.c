/* SPDX-License-Identifier: MPL-2.0 */
/*
 * All that the interposer keeps in memory. It has no object to hang this from: the program does not know that it is there, and calls
 * functions whose arguments are libc's. So this is static, here and nowhere else, and nothing of it has to be right for the others to
 * be: libc's functions and the environment's words are the same whoever looks them up; hints and registrations are checked with the
 * kernel before they are used. Words are read and written atomically, without locks, so that a signal or a fork finds no half of anything.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "relay/preload.h"

#define FDS 65536 /* descriptors with hints; the others are asked each time */

static struct {
	struct pa_pre_real real;
	atomic_bool looked_up;
	atomic_int active; /* 0: not known yet, 1: no, 2: yes */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char iface[16];
	bool takes_udp;
	atomic_uchar hints[FDS];
	struct {
		atomic_int epfd; /* + 1; 0: none */
		atomic_uint events;
		_Atomic uint64_t data;
	} watched[FDS];
} state;

/* ---- libc's functions */

static void look_up(struct pa_pre_real *r)
{
	const struct {
		const char *name;
		void *where;
	} names[] = {
		{"connect", &r->connect}, {"bind", &r->bind}, {"listen", &r->listen}, {"accept4", &r->accept4},
		{"getsockname", &r->getsockname}, {"getpeername", &r->getpeername}, {"getsockopt", &r->getsockopt},
		{"setsockopt", &r->setsockopt}, {"shutdown", &r->shutdown}, {"send", &r->send}, {"sendto", &r->sendto},
		{"sendmsg", &r->sendmsg}, {"sendmmsg", &r->sendmmsg}, {"recv", &r->recv}, {"recvfrom", &r->recvfrom},
		{"recvmsg", &r->recvmsg}, {"recvmmsg", &r->recvmmsg}, {"read", &r->read}, {"write", &r->write},
		{"readv", &r->readv}, {"writev", &r->writev}, {"__read_chk", &r->read_chk}, {"__recv_chk", &r->recv_chk},
		{"__recvfrom_chk", &r->recvfrom_chk}, {"close", &r->close}, {"dup", &r->dup}, {"dup2", &r->dup2},
		{"dup3", &r->dup3}, {"fcntl64", &r->fcntl}, {"epoll_ctl", &r->epoll_ctl}, {"ioctl", &r->ioctl},
		{"getifaddrs", &r->getifaddrs}, {"getaddrinfo", &r->getaddrinfo}, {"gethostbyname", &r->gethostbyname},
		{"gethostbyname2", &r->gethostbyname2}, {"gethostbyname_r", &r->gethostbyname_r},
		{"gethostbyname2_r", &r->gethostbyname2_r},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *found = dlsym(RTLD_NEXT, names[i].name);

		memcpy(names[i].where, &found, sizeof(found));
	}
}

/* Two threads may do it at once: they write the same. */
const struct pa_pre_real *pa_pre_real(void)
{
	if (!atomic_load_explicit(&state.looked_up, memory_order_acquire)) {
		look_up(&state.real);
		atomic_store_explicit(&state.looked_up, true, memory_order_release);
	}
	return &state.real;
}

/* ---- the environment */

/* RUN_DIR/relay-IFACE.sock */
static void read_iface(const char *path)
{
	const char *base = strrchr(path, '/'), *dot;

	base = base != NULL ? base + 1 : path;
	if (strncmp(base, "relay-", 6) != 0)
		return;
	base += 6;
	dot = strrchr(base, '.');
	if (dot != NULL && (size_t)(dot - base) < sizeof(state.iface))
		memcpy(state.iface, base, (size_t)(dot - base));
}

bool pa_pre_active(void)
{
	int active = atomic_load_explicit(&state.active, memory_order_acquire);
	const char *path, *udp;
	size_t len;

	if (active != 0)
		return active == 2;
	active = 1;
	path = getauxval(AT_SECURE) == 0 ? secure_getenv(PA_RLOCAL_ENV) : NULL;
	len = path != NULL ? strlen(path) : 0;
	if (len > 0 && len < sizeof(state.path)) {
		memcpy(state.path, path, len);
		read_iface(path);
		udp = secure_getenv(PA_PRE_UDP_ENV);
		state.takes_udp = udp == NULL || strcmp(udp, "no") != 0;
		active = 2;
	}
	atomic_store_explicit(&state.active, active, memory_order_release);
	return active == 2;
}

const char *pa_pre_path(void)
{
	return state.path;
}

const char *pa_pre_iface(void)
{
	return state.iface;
}

bool pa_pre_takes_udp(void)
{
	return state.takes_udp;
}

/* Before the program has threads, and before it can change its environment. */
__attribute__((constructor)) static void begin(void)
{
	(void)pa_pre_real();
	(void)pa_pre_active();
}

/* ---- hints */

enum pa_pre_hint pa_pre_hint(int fd)
{
	if (fd < 0 || fd >= FDS)
		return PA_PRE_HINT_NONE;
	return (enum pa_pre_hint)atomic_load_explicit(&state.hints[fd], memory_order_relaxed);
}

void pa_pre_hint_set(int fd, enum pa_pre_hint hint)
{
	/* A page that nobody has written stays one that nobody has to keep. */
	if (fd >= 0 && fd < FDS && atomic_load_explicit(&state.hints[fd], memory_order_relaxed) != (unsigned char)hint)
		atomic_store_explicit(&state.hints[fd], (unsigned char)hint, memory_order_relaxed);
}

void pa_pre_hint_plain(int fd)
{
	unsigned char none = PA_PRE_HINT_NONE;

	if (fd >= 0 && fd < FDS)
		(void)atomic_compare_exchange_strong(&state.hints[fd], &none, PA_PRE_HINT_PLAIN);
}

/* ---- epoll */

void pa_pre_watch(int epfd, int op, int fd, const struct epoll_event *event)
{
	if (fd < 0 || fd >= FDS)
		return;
	if (op == EPOLL_CTL_DEL || event == NULL) {
		if (atomic_load(&state.watched[fd].epfd) == epfd + 1)
			atomic_store(&state.watched[fd].epfd, 0);
		return;
	}
	atomic_store(&state.watched[fd].events, event->events);
	atomic_store(&state.watched[fd].data, event->data.u64);
	atomic_store(&state.watched[fd].epfd, epfd + 1);
}

bool pa_pre_watched(int fd, int *ret_epfd, struct epoll_event *ret)
{
	int epfd = fd >= 0 && fd < FDS ? atomic_load(&state.watched[fd].epfd) : 0;

	if (epfd == 0)
		return false;
	*ret_epfd = epfd - 1;
	ret->events = atomic_load(&state.watched[fd].events);
	ret->data.u64 = atomic_load(&state.watched[fd].data);
	return true;
}
