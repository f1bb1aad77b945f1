/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A program linked statically, as no preloaded library can reach it, that asks the kernel what programs ask.
 *   static_tool ADDRESS PORT          prints the local address of a TCP socket connected there, then what the peer says
 *   static_tool addresses             prints every IPv4 address that getifaddrs lists
 *   static_tool daemon PORT FILE      becomes a daemon in a session of its own that answers each TCP connection with the address
 *                                     that it was reached at; writes its process id to FILE
 *   static_tool reuse SOCKET          connects from a process that ends, makes another one with its number, asks exec-cgroup by the
 *                                     connection of the first, and prints the answer and the second one's control group
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *text_of(const struct sockaddr_in *sin, char dst[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &sin->sin_addr, dst, INET_ADDRSTRLEN);
}

static const char *local_of(int fd, char dst[INET_ADDRSTRLEN])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);

	return getsockname(fd, (struct sockaddr *)&sin, &len) < 0 ? "?" : text_of(&sin, dst);
}

static int addresses(void)
{
	char text[INET_ADDRSTRLEN];
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return 1;
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET)
			printf("%s\n", text_of((const struct sockaddr_in *)(const void *)i->ifa_addr, text));
	freeifaddrs(list);
	return 0;
}

static int ask(const char *address, const char *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[INET_ADDRSTRLEN], buf[256];
	ssize_t n;

	if (inet_pton(AF_INET, address, &sin.sin_addr) != 1 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0) {
		perror("connect");
		return 1;
	}
	printf("%s\n", local_of(fd, text));
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		(void)fwrite(buf, 1, (size_t)n, stdout);
	return 0;
}

static void serve(int fd)
{
	for (;;) {
		int c = accept(fd, NULL, NULL);
		char text[INET_ADDRSTRLEN];

		if (c < 0)
			continue;
		(void)dprintf(c, "%s\n", local_of(c, text));
		close(c);
	}
}

static int run_daemon(const char *port, const char *file)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int fd, one = 1;
	FILE *f;

	if (fork() != 0)
		_exit(0);
	(void)setsid();
	if (fork() != 0)
		_exit(0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	f = fopen(file, "w");
	if (f == NULL || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 8) < 0)
		return 1;
	fprintf(f, "%d\n", (int)getpid());
	(void)fclose(f);
	serve(fd);
	return 0;
}

/* A process whose number was another one's; -1: somebody else has it. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args;
	pid_t got;

	memset(&args, 0, sizeof(args));
	args.exit_signal = SIGCHLD;
	args.set_tid = (uint64_t)(uintptr_t)&pid;
	args.set_tid_size = 1;
	got = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (got == 0) {
		(void)pause();
		_exit(0);
	}
	return got;
}

/* The connection says the number of a process that has ended. */
static int connect_by_child(const struct sockaddr_un *sun, int fd, pid_t *ret)
{
	int status;

	*ret = fork();
	if (*ret == 0)
		_exit(connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0);
	return *ret < 0 || waitpid(*ret, &status, 0) != *ret || status != 0;
}

static int reuse(const char *socket_path)
{
	static const char question[] = "{\"command\": \"exec-cgroup\"}\n";
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char path[64], text[1024];
	pid_t old, another = -1;
	int fd = -1;
	ssize_t n;
	FILE *f;

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", socket_path);
	for (int i = 0; i < 100 && another < 0; i++) {
		if (fd >= 0)
			close(fd);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect_by_child(&sun, fd, &old) != 0)
			return 2;
		another = fork_as(old);
		if (another < 0 && errno != EEXIST)
			return 77; /* not on this kernel, or not for us */
	}
	if (another < 0 || write(fd, question, sizeof(question) - 1) < 0)
		return 2;
	n = read(fd, text, sizeof(text) - 1);
	printf("%.*s", n > 0 ? (int)n : 0, text);
	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)another);
	f = fopen(path, "re");
	while (f != NULL && fgets(text, sizeof(text), f) != NULL)
		printf("%s", text);
	(void)kill(another, SIGKILL);
	return f == NULL || waitpid(another, NULL, 0) != another;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "addresses") == 0)
		return addresses();
	if (argc == 4 && strcmp(argv[1], "daemon") == 0)
		return run_daemon(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "reuse") == 0)
		return reuse(argv[2]);
	return argc == 3 ? ask(argv[1], argv[2]) : 2;
}
