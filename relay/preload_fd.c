/* SPDX-License-Identifier: MPL-2.0 */
/* What gives numbers of descriptors a new meaning, or registers them: the hints and registrations that we keep follow. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "relay/preload.h"

static int forget(int fd)
{
	pa_pre_hint_set(fd, PA_PRE_HINT_NONE);
	return fd;
}

PA_PRE_EXPORT int close(int fd)
{
	(void)forget(fd);
	return pa_pre_real()->close(fd);
}

PA_PRE_EXPORT int dup(int fd)
{
	return forget(pa_pre_real()->dup(fd));
}

PA_PRE_EXPORT int dup2(int fd, int to)
{
	int rc = pa_pre_real()->dup2(fd, to);

	(void)forget(to);
	return rc;
}

PA_PRE_EXPORT int dup3(int fd, int to, int flags)
{
	int rc = pa_pre_real()->dup3(fd, to, flags);

	(void)forget(to);
	return rc;
}

/* Whatever the argument is, it is passed on as the kernel takes it. */
static int control(int fd, int cmd, void *arg)
{
	int rc = pa_pre_real()->fcntl(fd, cmd, arg);

	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? forget(rc) : rc;
}

PA_PRE_EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return control(fd, cmd, arg);
}

PA_PRE_EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return control(fd, cmd, arg);
}

/* Only sockets that could become ours have to be known. */
static bool may_be_replaced(int fd)
{
	int saved = errno, domain = 0;
	socklen_t len = sizeof(domain);
	bool yes = pa_pre_real()->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		   (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX);

	errno = saved;
	return yes;
}

PA_PRE_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int rc = pa_pre_real()->epoll_ctl(epfd, op, fd, event);

	if (rc == 0 && pa_pre_active() && may_be_replaced(fd))
		pa_pre_watch(epfd, op, fd, event);
	return rc;
}
