/* SPDX-License-Identifier: MPL-2.0 */
/*
 * pubaddr exec: this process asks the daemon for the tunnel and then becomes the program. So the program has the caller's terminal,
 * limits, name spaces and sandbox as if it had been started directly, and its end is ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/edge_client.h"
#include "tunnel/net_cgroup.h"
#include "tunnel/net_veth.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/pubaddr_sock.h"

#define TIMEOUT_MS 20000 /* the address may have to be asked for first */
#define EXIT_OURS 125	 /* as env(1): it was not tried */
#define EXIT_CANNOT 126	 /* as sh(1): the program is there but cannot be run */
#define EXIT_MISSING 127 /* there is none */

static int usage(void)
{
	fprintf(stderr, "usage: pubaddr exec [--interface IFACE] [--netns | --relay[=tcp]] -- PROGRAM [ARGUMENT...]\n");
	return 2;
}

static int complain(const char *what)
{
	fprintf(stderr, "pubaddr: %s: %s\n", what, strerror(errno));
	return 1;
}

/* ---- by control group ---- */

static int by_cgroup(const char *path)
{
	char err[PA_CLIENT_ERRLEN], detail[PA_CGROUP_ERRLEN];
	json_t *reply = NULL, *second = NULL;
	int rc = pa_client_call(path, "exec-cgroup", NULL, TIMEOUT_MS, &reply, err);

	if (rc > 0 && json_is_true(json_object_get(reply, "delegated"))) {
		const char *device = json_string_value(json_object_get(reply, "device"));

		if (device != NULL && pa_cgroup_enter(device, detail) < 0)
			(void)snprintf(err, sizeof(err), "%s", detail);
		else
			rc = pa_client_call(path, "exec-cgroup", NULL, TIMEOUT_MS, &second, err);
	}
	json_decref(second);
	json_decref(reply);
	if (rc != 0)
		fprintf(stderr, "pubaddr: %s\n", err);
	return rc != 0;
}

/* ---- in a network namespace ---- */

static int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/*
 * A namespace of our own. Who may not make one as he is makes it in a user namespace in which he is himself, which
 * needs no right at all and gives none outside of it.
 */
static int unshare_net(void)
{
	unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
	char map[32];

	if (uid == 0 && unshare(CLONE_NEWNET) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		fprintf(stderr, "pubaddr: cannot make a network namespace: %s; does this host let users make user namespaces "
			"(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)?\n", strerror(errno));
		return 1;
	}
	(void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (put_file("/proc/self/uid_map", map) < 0)
		return complain("/proc/self/uid_map");
	(void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	if (put_file("/proc/self/setgroups", "deny") < 0 || put_file("/proc/self/gid_map", map) < 0)
		return complain("/proc/self/gid_map");
	return 0;
}

static int set_up_inside(const json_t *reply)
{
	const char *device = json_string_value(json_object_get(reply, "device"));
	const char *text = json_string_value(json_object_get(reply, "address"));
	char err[PA_VETH_ERRLEN] = "the daemon's answer names no device or address", range[32];
	struct pa_addr addr;

	if (device == NULL || text == NULL || pa_addr_parse(text, &addr) < 0 || pa_veth_inside(device, &addr, err) < 0) {
		fprintf(stderr, "pubaddr: %s\n", err);
		return 1;
	}
	/* ping(8) needs no capability then. Only the group that is mapped can be named. */
	(void)snprintf(range, sizeof(range), "%u %u", (unsigned)getegid(), (unsigned)getegid());
	(void)put_file("/proc/sys/net/ipv4/ping_group_range", range);
	return 0;
}

static int by_netns(const char *path)
{
	char err[PA_CLIENT_ERRLEN];
	json_t *reply = NULL;
	int rc = unshare_net();

	if (rc != 0)
		return rc;
	rc = pa_client_call(path, "exec-netns", NULL, TIMEOUT_MS, &reply, err);
	if (rc != 0)
		fprintf(stderr, "pubaddr: %s\n", err);
	else
		rc = set_up_inside(reply);
	json_decref(reply);
	return rc != 0;
}

/* ---- the program ---- */

/*
 * No capability, none that could come back by a file or by being root, and no descriptor but the three. The bounding set stays: the
 * kernel refuses to run files whose capabilities are outside of it, such as ping(8), which do without them otherwise.
 */
static int give_up_rights(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return complain("cannot give up capabilities");
	if (close_range(3, ~0u, 0) < 0)
		return complain("cannot close descriptors");
	return 0;
}

static int become(char **argv)
{
	int e;

	execvp(argv[0], argv);
	e = errno;
	(void)complain(argv[0]);
	return e == ENOENT ? EXIT_MISSING : EXIT_CANNOT;
}

int pa_pubaddr_exec(const struct pa_pubaddr_opts *o)
{
	static const struct option longopts[] = {{"interface", required_argument, NULL, 'i'}, {"netns", no_argument, NULL, 'n'},
						 {"relay", optional_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	const char *iface = NULL;
	char path[PA_SOCK_PATHLEN];
	bool netns = false, relay = false, udp = true;
	int c;

	optind = 0; /* from the start, with our words; what follows the program is the program's */
	while ((c = getopt_long(o->argc + 1, o->argv - 1, "+i:", longopts, NULL)) != -1) {
		if (c == 'i')
			iface = optarg;
		else if (c == 'n')
			netns = true;
		else if (c == 'r' && (optarg == NULL || strcmp(optarg, "tcp") == 0))
			relay = true, udp = optarg == NULL;
		else
			return usage();
	}
	if (optind == o->argc + 1 || (netns && relay))
		return usage();
	if (pa_sock_find(o->run_dir, iface, path) < 0)
		return 1;
	if (relay) {
		c = pa_pubaddr_relay(path, udp);
	} else {
		c = netns ? by_netns(path) : by_cgroup(path);
		if (c == 0)
			c = give_up_rights();
	}
	if (c != 0)
		return EXIT_OURS;
	(void)signal(SIGPIPE, o->sigpipe_ignored ? SIG_IGN : SIG_DFL);
	return become(o->argv - 1 + optind);
}
