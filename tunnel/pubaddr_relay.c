/* SPDX-License-Identifier: MPL-2.0 */
/*
 * pubaddr exec --relay: the program gets the library that stands between it and its sockets, and the daemon's socket for it. Nothing is
 * taken from the program, for the daemon gives it nothing but sessions, and judges each by who asks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/relay_local.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/pubaddr_sock.h"

#define LIMIT_S 75 /* for the public address: DHCP may have to be asked for it first */
#define LIBRARY PA_PKGLIBDIR "/libpubaddr_preload.so"
#define UDP_ENV "PUBADDR_RELAY_UDP" /* for the library: relay/preload.h */

/* RUN_DIR/tunneld-IFACE.sock -> RUN_DIR/relay-IFACE.sock */
static int socket_of(const char *path, char ret[PA_SOCK_PATHLEN])
{
	const char *base = strrchr(path, '/');
	int folder = base != NULL ? (int)(base - path) + 1 : 0;
	const char *iface = strchr(path + folder, '-');

	return iface != NULL && snprintf(ret, PA_SOCK_PATHLEN, "%.*srelay%s", folder, path, iface) < PA_SOCK_PATHLEN ? 0 : -1;
}

static int say(const char *path, const char *what)
{
	fprintf(stderr, "pubaddr: %s: %s\n", path, what);
	return 1;
}

/* Nobody serves path; daemon: its other socket. */
static int say_absent(const char *path, const char *daemon, int error)
{
	if (error == ENOENT && access(daemon, F_OK) == 0)
		return say(path, "the daemon offers no session relay; is it of this version?");
	if (error == ENOENT || error == ECONNREFUSED)
		return say(path, "pubaddr-tunneld does not run for that interface; start it with: pubaddr-tunneld -i IFACE");
	return say(path, strerror(error));
}

static int judge(const char *path, unsigned error)
{
	switch (error) {
	case PA_RELAY_E_OK:
		return 0;
	case PA_RELAY_E_DENIED:
		return say(path, "permission denied: only root, and whom \"relay-users\" in tunneld.conf names, may use the session relay");
	case PA_RELAY_E_NOT_FOUND:
		return say(path, "no session relay is known: neither the grant nor \"relay\" in tunneld.conf names one");
	default:
		fprintf(stderr, "pubaddr: %s: the session relay cannot be used now (%s); pubaddr status tells why\n", path,
			pa_relay_error_name(error));
		return 1;
	}
}

/* Asks for the public address, and so for all that is needed to have it. */
static int ask(const char *path, const char *daemon)
{
	struct pa_rlocal m = {.type = PA_RLOCAL_ADDRESS};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = LIMIT_S};
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	int len = pa_rlocal_encode(&m, buf, sizeof(buf)), rc, fd;
	ssize_t n;

	memcpy(sun.sun_path, path, strnlen(path, sizeof(sun.sun_path) - 1));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return say(path, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		rc = say_absent(path, daemon, errno);
	} else {
		n = len > 0 ? send(fd, buf, (size_t)len, MSG_NOSIGNAL) : -1;
		n = n == len ? recv(fd, buf, sizeof(buf), 0) : -1;
		if (n <= 0 || pa_rlocal_decode(buf, (size_t)n, &m) < 0 || m.type != PA_RLOCAL_ADDRESS_IS)
			rc = say(path, n < 0 && errno == EAGAIN ? "no public address has come; pubaddr status tells why" : "no answer");
		else
			rc = judge(path, m.body.error);
	}
	close(fd);
	return rc;
}

/* Ours comes first: what others stand before is libc's, or us. */
static int set_preload(void)
{
	const char *given = getenv("PUBADDR_RELAY_LIBRARY"), *before = getenv("LD_PRELOAD");
	const char *library = given != NULL && given[0] != '\0' ? given : LIBRARY;
	char *all = NULL;
	int rc;

	if (access(library, R_OK) < 0)
		return say(library, strerror(errno));
	if (asprintf(&all, "%s%s%s", library, before != NULL && before[0] != '\0' ? ":" : "", before != NULL ? before : "") < 0)
		return say("LD_PRELOAD", strerror(ENOMEM));
	rc = setenv("LD_PRELOAD", all, 1);
	free(all);
	return rc < 0 ? say("LD_PRELOAD", strerror(errno)) : 0;
}

int pa_pubaddr_relay(const char *path, bool udp)
{
	char relay[PA_SOCK_PATHLEN];

	if (socket_of(path, relay) < 0)
		return say(path, "is not a daemon's socket");
	if (ask(relay, path) != 0 || set_preload() != 0)
		return 1;
	if (setenv(PA_RLOCAL_ENV, relay, 1) < 0 || (udp ? unsetenv(UDP_ENV) : setenv(UDP_ENV, "no", 1)) < 0)
		return say(PA_RLOCAL_ENV, strerror(errno));
	return 0;
}
