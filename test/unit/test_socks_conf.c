/* SPDX-License-Identifier: MPL-2.0 */
/* Who may use the SOCKS5 server: its configuration, and whose connections the kernel says they are. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "test/unit/tempdir.h"
#include "tunnel/net_owner.h"
#include "tunnel/net_udp.h"
#include "tunnel/tunneld_conf.h"

TestSuite(socks_conf, .timeout = 20);
TestSuite(net_owner, .timeout = 20);

#define OTHER 65534 /* nobody */

static struct pa_conf *source;

static int resolve(const char *text, struct pa_tunneld_conf *c, char err[PA_SOCKS_CONF_ERRLEN])
{
	source = pa_conf_new("f.conf", text, strlen(text));
	cr_assert_eq(pa_tunneld_conf_read(source, c), 0, "%s: %s", text, pa_conf_error(source));
	return pa_socks_conf_resolve(&c->socks, source, err);
}

static void done(struct pa_tunneld_conf *c)
{
	pa_tunneld_conf_clear(c);
	pa_conf_free(source);
}

Test(socks_conf, off_by_default)
{
	char err[PA_SOCKS_CONF_ERRLEN];
	struct pa_tunneld_conf c;

	cr_assert_eq(resolve("{}", &c, err), 0);
	cr_assert_not(c.socks.on);
	done(&c);
}

Test(socks_conf, defaults_and_users)
{
	char err[PA_SOCKS_CONF_ERRLEN], text[PA_ENDPOINT_STRLEN];
	struct pa_tunneld_conf c;

	cr_assert_eq(resolve("{\"socks\": {}}", &c, err), 0);
	cr_assert(c.socks.on);
	cr_assert_str_eq(pa_endpoint_format(&c.socks.listen, text), "127.0.0.1:1080");
	cr_assert_null(c.socks.who);
	cr_assert(pa_socks_conf_allows(&c.socks, 0), "root may");
	cr_assert_not(pa_socks_conf_allows(&c.socks, 1), "and nobody else");
	done(&c);
	cr_assert_eq(resolve("{\"socks\": {\"listen\": \"[::1]:9\", \"users\": [\"daemon\"]}}", &c, err), 0, "%s", err);
	cr_assert_str_eq(pa_endpoint_format(&c.socks.listen, text), "[::1]:9");
	cr_assert(pa_socks_conf_allows(&c.socks, 1), "daemon has uid 1 on Debian");
	cr_assert_not(pa_socks_conf_allows(&c.socks, 2));
	done(&c);
}

static void refused(const char *text, const char *needle)
{
	struct pa_conf *conf = pa_conf_new("f.conf", text, strlen(text));
	struct pa_tunneld_conf c;

	cr_assert_eq(pa_tunneld_conf_read(conf, &c), PA_EFORMAT, "%s", text);
	cr_assert_not_null(strstr(pa_conf_error(conf), needle), "%s: %s", text, pa_conf_error(conf));
	pa_conf_free(conf);
}

Test(socks_conf, mistakes)
{
	char err[PA_SOCKS_CONF_ERRLEN];
	struct pa_tunneld_conf c;

	refused("{\"socks\": {\"listen\": \"0.0.0.0:1080\"}}", "f.conf:1: socks.listen: expected an address of this host alone");
	refused("{\"socks\": {\"listen\": \"192.168.1.1:1080\"}}", "socks.listen");
	refused("{\"socks\": {\"listen\": \"[::]:1080\"}}", "socks.listen");
	refused("{\"socks\": {\"listen\": \"localhost\"}}", "socks.listen");
	refused("{\"socks\": {\"user\": []}}", "unknown");
	refused("{\"socks\": {\"users\": [\"\"]}}", "expected a name");
	refused("{\"socks\": {\"credentials\": \"users\"}}", "absolute path");
	refused("{\"socks\": true}", "socks");
	cr_assert_eq(resolve("{\"socks\": {\"users\": [\"no-such-user\"]}}", &c, err), PA_EFORMAT);
	cr_assert_not_null(strstr(err, "no user \"no-such-user\""), "%s", err);
	done(&c);
}

Test(socks_conf, credentials)
{
	char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 8], text[256], err[PA_SOCKS_CONF_ERRLEN];
	struct pa_tunneld_conf c;
	FILE *f;

	tempdir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/users", dir);
	(void)snprintf(text, sizeof(text), "{\"socks\":\n{\"credentials\": \"%s\"}}", path);
	cr_assert_eq(resolve(text, &c, err), PA_ENOTFOUND);
	cr_assert_eq(strncmp(err, "f.conf:2: socks.credentials: ", 29), 0, "%s", err);
	done(&c);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert(fputs("anna:pw\n", f) >= 0);
	cr_assert_eq(fclose(f), 0);
	cr_assert_eq(chmod(path, 0640), 0);
	cr_assert_eq(resolve(text, &c, err), PA_EAUTH);
	cr_assert_not_null(strstr(err, "chmod 600"), "%s", err);
	done(&c);
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(resolve(text, &c, err), 0, "%s", err);
	cr_assert_eq(pa_socks5_users_count(c.socks.who), 1);
	done(&c);
	tempdir_remove(dir);
}

/* ---------------------------------------------------------------- owners */

static struct pa_endpoint own_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pa_endpoint e;

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	cr_assert(pa_sockaddr_from(&ss, &e));
	return e;
}

static int bound(int family, int type)
{
	struct pa_endpoint e = {pa_addr_from_ipv4(0x7f000001), 0};
	struct sockaddr_storage ss;
	int fd;

	if (family == AF_INET6)
		e.addr = (struct pa_addr){{[15] = 1}};
	fd = socket(family, type, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&ss, pa_sockaddr_to(&e, &ss)), 0);
	return fd;
}

static void connect_to(int fd, const struct pa_endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(to, &ss);

	cr_assert_eq(connect(fd, (struct sockaddr *)&ss, len), 0);
}

static void tcp_of(int family)
{
	int listener = bound(family, SOCK_STREAM), client, taken;
	struct pa_endpoint server, own;
	uid_t uid = 12345;

	cr_assert_eq(listen(listener, 1), 0);
	server = own_of(listener);
	client = socket(family, SOCK_STREAM, 0);
	connect_to(client, &server);
	own = own_of(client);
	taken = accept(listener, NULL, NULL);
	cr_assert(taken >= 0);
	cr_assert_eq(pa_owner_tcp(&own, &server, &uid), 0);
	cr_assert_eq(uid, getuid());
	/* A program that has closed its end is nobody's, though the kernel calls what is left of it root's. */
	uid = 12345;
	close(client);
	cr_assert_eq(pa_owner_tcp(&own, &server, &uid), PA_ENOTFOUND);
	cr_assert_eq(uid, 12345, "untouched");
	own.port = own.port == 65535 ? 1024 : (uint16_t)(own.port + 1);
	cr_assert_eq(pa_owner_tcp(&own, &server, &uid), PA_ENOTFOUND, "the listener is not the connection");
	close(taken);
	close(listener);
}

Test(net_owner, of_tcp)
{
	tcp_of(AF_INET);
}

Test(net_owner, of_tcp6)
{
	tcp_of(AF_INET6);
}

static void other_user(const struct pa_endpoint *server, int ready)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct pa_endpoint own;

	if (setuid(OTHER) < 0)
		_exit(1);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	connect_to(fd, server);
	own = own_of(fd);
	if (write(ready, &own, sizeof(own)) != sizeof(own))
		_exit(1);
	(void)pause();
	_exit(0);
}

Test(net_owner, of_another_user)
{
	int listener = bound(AF_INET, SOCK_STREAM), pipe_fds[2], status;
	struct pa_endpoint server = own_of(listener), own;
	uid_t uid = 0;
	pid_t pid;

	if (getuid() != 0)
		cr_skip_test("needs root, to become another user");
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0)
		other_user(&server, pipe_fds[1]);
	cr_assert_eq(read(pipe_fds[0], &own, sizeof(own)), (ssize_t)sizeof(own));
	cr_assert_eq(pa_owner_tcp(&own, &server, &uid), 0);
	cr_assert_eq(uid, OTHER);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	close(listener);
}

Test(net_owner, of_udp)
{
	int fd = bound(AF_INET, SOCK_DGRAM), any = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 all = {.sin6_family = AF_INET6};
	struct pa_endpoint own = own_of(fd), mapped;
	uid_t uid = 12345;

	cr_assert_eq(pa_owner_udp(&own, &uid), 0);
	cr_assert_eq(uid, getuid());
	cr_assert_eq(bind(any, (struct sockaddr *)&all, sizeof(all)), 0);
	mapped = own_of(any);
	mapped.addr = pa_addr_from_ipv4(0x7f000001);
	cr_assert_eq(pa_owner_udp(&mapped, &uid), 0, "a socket of IPv6 for any address sends IPv4 too");
	close(any);
	close(fd);
	uid = 12345;
	cr_assert_eq(pa_owner_udp(&own, &uid), PA_ENOTFOUND);
	cr_assert_eq(uid, 12345);
	own.port = 0;
	cr_assert_eq(pa_owner_udp(&own, &uid), PA_EINVAL);
}
