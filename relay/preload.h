/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PRELOAD_H
#define PA_PRELOAD_H

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/relay_local.h"

/*
 * The interposer, libpubaddr_preload.so: stands between a program and libc's sockets, and puts descriptors of the session relay in the
 * place of sockets that call, or are called by, the public network (common/relay_local.h says what those descriptors are). It is loaded
 * into programs that know nothing of it: so it has no thread, no allocation, no lock, and keeps nothing about a socket in memory; what
 * has to be known later is kept by the kernel with the socket itself (struct pa_pre_tag) and by pubaddr-tunneld, so that it survives
 * fork, vfork, exec and dup. Everything here may be called by any thread, and by signal handlers where POSIX allows the libc function.
 *
 * The functions here return 0 or an errno, unless they stand for a libc function: then they return and set errno as that does.
 */

#define PA_PRE_UDP_ENV "PUBADDR_RELAY_UDP" /* "no": UDP stays with the kernel */

/* ---- preload_state.c: libc's own functions, and what is asked for by the environment */

struct pa_pre_real {
	int (*connect)(int, const struct sockaddr *, socklen_t);
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*listen)(int, int);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	int (*shutdown)(int, int);
	ssize_t (*send)(int, const void *, size_t, int);
	ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	int (*sendmmsg)(int, struct mmsghdr *, unsigned, int);
	ssize_t (*recv)(int, void *, size_t, int);
	ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
	ssize_t (*recvmsg)(int, struct msghdr *, int);
	int (*recvmmsg)(int, struct mmsghdr *, unsigned, int, struct timespec *);
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*readv)(int, const struct iovec *, int);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*read_chk)(int, void *, size_t, size_t);
	ssize_t (*recv_chk)(int, void *, size_t, size_t, int);
	ssize_t (*recvfrom_chk)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
	int (*close)(int);
	int (*dup)(int);
	int (*dup2)(int, int);
	int (*dup3)(int, int, int);
	int (*fcntl)(int, int, ...);
	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	int (*ioctl)(int, unsigned long, ...);
	int (*getifaddrs)(struct ifaddrs **);
	int (*getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct hostent *(*gethostbyname)(const char *);
	struct hostent *(*gethostbyname2)(const char *, int);
	int (*gethostbyname_r)(const char *, struct hostent *, char *, size_t, struct hostent **, int *);
	int (*gethostbyname2_r)(const char *, int, struct hostent *, char *, size_t, struct hostent **, int *);
};

/* libc's functions, looked up at the first call. Never NULL; a function that libc does not have would be NULL in it. */
const struct pa_pre_real *pa_pre_real(void);
/* Is there a relay for this program? False for set-user-ID programs, whatever the environment says. Looked up once. */
bool pa_pre_active(void);
/* The daemon's socket; "" where there is none. Static. */
const char *pa_pre_path(void);
/* The interface by whose daemon we go, from the socket's name; "" if that is none. Static. */
const char *pa_pre_iface(void);
/* Do UDP sockets go through the relay, too? */
bool pa_pre_takes_udp(void);

/* ---- preload_state.c: a hint for each descriptor, so that reading a file costs no more than before */

enum pa_pre_hint {
	PA_PRE_HINT_NONE = 0,  /* nothing is known: ask the kernel */
	PA_PRE_HINT_PLAIN = 1, /* not one of ours when we looked, and no call of the program has made it one */
	PA_PRE_HINT_TCP = 2,   /* one of ours when we looked; if it is another one now, then none of UDP */
	PA_PRE_HINT_UDP = 3,   /* one of ours when we looked */
};

enum pa_pre_hint pa_pre_hint(int fd);
void pa_pre_hint_set(int fd, enum pa_pre_hint hint);
/* Sets PLAIN where nothing is known, and leaves what another thread has found out meanwhile. */
void pa_pre_hint_plain(int fd);

/* ---- preload_state.c: registrations with epoll, which belong to the socket that is replaced and not to its number */

/* The program has done this, successfully. event: NULL for EPOLL_CTL_DEL. */
void pa_pre_watch(int epfd, int op, int fd, const struct epoll_event *event);
/* The one that is remembered of fd; false if there is none. It may be out of date. */
bool pa_pre_watched(int fd, int *ret_epfd, struct epoll_event *ret);

/* ---- preload_tag.c: what the kernel keeps with one of our sockets */

enum pa_pre_kind { PA_PRE_TCP = 1, PA_PRE_LISTEN = 2, PA_PRE_UDP = 3 };

struct pa_pre_tag {
	enum pa_pre_kind kind;
	bool v6;	/* the program made it an AF_INET6 socket */
	bool told;	/* TCP: the program has been told the call's result */
	bool stood;	/* TCP: and that the call was answered, or it came in: how it ends, the kernel tells once, as of TCP */
	bool over_told; /* TCP: and that the connection was torn down */
	bool any_port;	/* UDP: the program did not choose the port */
	bool packetinfo; /* UDP: it asked for IP_PKTINFO */
	struct pa_endpoint peer; /* of TCP, and of UDP where it is connected; else none. IPv4 */
};

/* Is fd one of ours, and what? errno stays. */
bool pa_pre_tag(int fd, struct pa_pre_tag *ret);
void pa_pre_tag_set(int fd, const struct pa_pre_tag *t);

/* ---- preload_sock.c: sockets of the program, and putting ours in their place */

/* A socket of the kernel's that could go through the relay. */
struct pa_pre_plain {
	int type; /* SOCK_STREAM, SOCK_DGRAM */
	bool v6;
	bool nonblock;
	uint16_t port; /* that it is bound to, by kernel; 0: none */
	bool at_public; /* bound to the public address, not to any address */
};

/* True if fd is an unconnected TCP or UDP socket that is bound to nothing or to any or the public address. errno stays. */
bool pa_pre_plain(int fd, struct pa_pre_plain *ret);
/* Where that leads is for the relay: an IPv4 address outside of this host and of private networks, and a port. */
bool pa_pre_is_public(const struct sockaddr *sa, socklen_t len, struct pa_endpoint *ret);
/* Reads an IPv4 address, mapped or not, with any port. False for other families. */
bool pa_pre_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct pa_endpoint *ret);
/* Writes e as the program's family has it, cut to *len as the kernel does, and sets *len. sa may be NULL. */
void pa_pre_to_sockaddr(const struct pa_endpoint *e, bool v6, struct sockaddr *sa, socklen_t *len);
/*
 * Puts ours in the place of the program's fd, with the tag; ours is closed in any case. What the program has set of the old one
 * and still means something is set on the new one: non-blocking, close-on-exec, time limits, its registration with epoll.
 */
int pa_pre_replace(int fd, int ours, const struct pa_pre_tag *tag);
/* The other way: a fresh socket of the kernel's, bound to any address and that port (0: not bound). */
int pa_pre_give_back(int fd, const struct pa_pre_tag *tag, uint16_t port);

/* ---- preload_daemon.c: requests. Not cancellation points but for await; a daemon that is not there: ENETUNREACH */

/* This host's public address; waits until it has one. */
int pa_pre_address(struct pa_addr *ret);
/* Begins a call. *ret_fd the program's descriptor to be, *ret_wait what pa_pre_await takes; both the caller's to close. */
int pa_pre_call(uint16_t port, const struct pa_endpoint *remote, bool nonblock, int *ret_fd, int *ret_wait);
/* The result of a call: 0 or its errno. EINTR by signals, EINPROGRESS after limit (as of SO_SNDTIMEO). */
int pa_pre_await(int wait, const struct timeval *limit);
/* Listens (backlog as of listen) or opens for datagrams. */
int pa_pre_open(enum pa_pre_kind kind, uint16_t port, int backlog, int *ret_fd, struct pa_endpoint *ret_local);
/* One message with a descriptor, or -1; close-on-exec. EAGAIN, EINTR, EMFILE; ENETUNREACH: it is the last. */
int pa_pre_hear(int fd, struct pa_rlocal *ret, int *ret_fd);
/*
 * Tells the daemon how one of ours is to be from now on: of TCP whether closing it is a reset, of UDP whose troubles are to be told (an
 * address of zeros: nobody's). errno stays.
 */
void pa_pre_set(int fd, bool abrupt, const struct pa_endpoint *peer);
/* What the daemon knows of one of ours. */
int pa_pre_info(int fd, struct pa_rlocal *ret);
/* Resolves at the server; ENOENT: there is no such name. */
int pa_pre_resolve(const char *name, int family, struct pa_addr addrs[PA_RELAY_ADDRS_MAX], unsigned *ret_n);

/* ---- preload_tcp.c */

int pa_pre_tcp_connect(int fd, const struct pa_pre_plain *p, const struct pa_endpoint *remote);
/* A second connect. */
int pa_pre_tcp_again(int fd, struct pa_pre_tag *t, const struct sockaddr *sa, socklen_t len);
int pa_pre_tcp_listen(int fd, const struct pa_pre_plain *p, int backlog);
int pa_pre_tcp_accept(int fd, const struct pa_pre_tag *t, struct sockaddr *sa, socklen_t *len, int flags);
/* Has the program set SO_LINGER (socket(7)) to 0 s, by which closing it is a reset? The kernel keeps it with a socket of ours, too. */
bool pa_pre_is_abrupt(int fd);
/* The pending error, which is told once, as SO_ERROR does; 0: none. */
int pa_pre_tcp_error(int fd, struct pa_pre_tag *t);
/* What libc's function returned at one of ours, as TCP would: n, or -1 with the errno that ended the session. */
ssize_t pa_pre_tcp_explain(int fd, const struct pa_pre_tag *t, ssize_t n);

/* ---- preload_udp.c */

/* peer: NULL where it is not connected. any_port: the program did not choose the port, another one does as well. */
int pa_pre_udp_open(int fd, const struct pa_pre_plain *p, uint16_t port, bool any_port, const struct pa_endpoint *peer);
int pa_pre_udp_connect(int fd, struct pa_pre_tag *t, const struct sockaddr *sa, socklen_t len);
ssize_t pa_pre_udp_send(int fd, const struct pa_pre_tag *t, const struct msghdr *m, int flags);
ssize_t pa_pre_udp_recv(int fd, const struct pa_pre_tag *t, struct msghdr *m, int flags);
/* The pending error of a connected socket, told once; 0: none. What came before it is read first. */
int pa_pre_udp_error(int fd, const struct pa_pre_tag *t);
/* Octets of the next datagram, as FIONREAD tells; 0 if there is none. */
int pa_pre_udp_next(int fd);
/* Before the program sends to sa by a socket of the kernel's. 0: it is one of ours now; -1: it stays the kernel's; or an errno. */
int pa_pre_udp_sends_to(int fd, const struct sockaddr *sa, socklen_t len, struct pa_pre_tag *ret);
/* A datagram to sa by the kernel, from one of ours that it has become one of the kernel's for. 0, or an errno. */
int pa_pre_udp_leave(int fd, const struct pa_pre_tag *t);

/* What stands in libc's place. Hidden but for these. */
#define PA_PRE_EXPORT __attribute__((visibility("default")))

#endif
