/* SPDX-License-Identifier: MPL-2.0 */
/* Devices, addresses, routes and rules in a network namespace of the test's own; skipped without the right to make one. */
#include <criterion/criterion.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/dp_steer.h"
#include "tunnel/net_hosts.h"
#include "tunnel/net_lan.h"
#include "tunnel/net_mtu.h"
#include "tunnel/net_route.h"
#include "tunnel/net_sysctl.h"
#include "tunnel/net_tun.h"
#include "tunnel/net_veth.h"
#include "tunnel/tunneld_net.h"

TestSuite(tunnel_net, .timeout = 60);

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static void quiet(enum pa_log_level level, const char *event, const char *text)
{
	(void)level;
	(void)event;
	(void)text;
}

static void enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0)
		cr_skip_test("needs root, network namespaces and /dev/net/tun");
	pa_log_set_sink(quiet);
}

static void run(const char *cmd)
{
	cr_assert_eq(system(cmd), 0, "%s", cmd);
}

/* The output of a command; the caller frees. */
static char *output(const char *cmd)
{
	char *text = calloc(1, 65536);
	FILE *f = popen(cmd, "re");

	cr_assert(text != NULL && f != NULL);
	(void)!fread(text, 1, 65535, f);
	(void)pclose(f);
	return text;
}

/* The kernel adds its own link-local addresses when it has looked whether another host has them, that is at any moment. */
#define ROUTES "ip rule; ip route show table all | grep -v '^local fe80:'"

static void make_lan(void)
{
	run("ip link set lo up; ip link add lan0 type veth peer name lan1; ip addr add 192.168.1.10/24 dev lan0; "
	    "ip link set lan1 up; ip link set lan0 up; ip route add default via 192.168.1.1 dev lan0 metric 50");
}

static int route_to(struct pa_nl *nl, const char *dst)
{
	struct pa_addr a = addr_of(dst);

	return pa_lan_route_ifindex(nl, &a, 0);
}

static bool owns(const struct pa_lan *lan, const char *s)
{
	struct pa_addr a = addr_of(s);

	for (size_t i = 0; i < lan->n_own; i++)
		if (pa_addr_eq(&lan->own[i], &a))
			return true;
	return false;
}

Test(tunnel_net, lan_is_read)
{
	struct pa_addr own = addr_of("192.168.1.10"), router = addr_of("192.168.1.1");
	struct pa_lan lan;
	struct pa_nl *nl;

	enter();
	make_lan();
	run("ip addr add 10.9.8.7/8 dev lan1");
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_lan_read(nl, "lan0", "pub0", &lan), 0);
	cr_assert_eq(lan.ifindex, pa_nl_ifindex("lan0"));
	cr_assert(lan.up && lan.mtu == 1500 && !lan.default_elsewhere);
	cr_assert(lan.n_addrs == 1 && pa_addr_eq(&lan.addrs[0], &own));
	cr_assert(lan.n_on_link == 1 && lan.on_link[0].len == 24 && pa_prefix_contains(&lan.on_link[0], &router));
	cr_assert(lan.n_routers == 1 && pa_addr_eq(&lan.routers[0], &router));
	cr_assert(owns(&lan, "10.9.8.7") && owns(&lan, "127.0.0.1") && owns(&lan, "192.168.1.10"));
	run("ip route add default dev lan1 metric 1");
	cr_assert_eq(pa_lan_read(nl, "lan0", NULL, &lan), 0);
	cr_assert(lan.default_elsewhere);
	cr_assert_eq(pa_lan_read(nl, "lan0", "lan1", &lan), 0);
	cr_assert(!lan.default_elsewhere && !owns(&lan, "10.9.8.7"), "a device can be left out");
	cr_assert_eq(pa_lan_read(nl, "none9", NULL, &lan), 0);
	cr_assert(lan.ifindex == 0 && lan.n_addrs == 0);
	pa_nl_close(nl);
}

static bool takes(const struct pa_prefix *list, size_t n, const char *s)
{
	struct pa_addr a = addr_of(s);

	for (size_t i = 0; i < n; i++)
		if (pa_prefix_contains(&list[i], &a))
			return true;
	return false;
}

Test(tunnel_net, what_the_host_takes_for_itself)
{
	struct pa_prefix *list;
	struct pa_nl *nl;
	size_t n;

	enter();
	make_lan();
	run("for i in $(seq 1 200); do echo addr add 10.9.$i.7/24 dev lan1; done | ip -b -");
	run("ip route add local 198.18.0.0/15 dev lo");
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_lan_local_read(nl, &list, &n), 0);
	cr_expect(takes(list, n, "192.168.1.10"));
	cr_expect(takes(list, n, "192.168.1.255"), "the broadcast address");
	cr_expect(takes(list, n, "10.9.200.7"), "also the last of many");
	cr_expect(takes(list, n, "198.19.1.2"), "a whole prefix");
	cr_expect(takes(list, n, "127.0.0.1"));
	cr_expect(!takes(list, n, "192.168.1.1"), "not a neighbour");
	cr_expect(!takes(list, n, "8.8.8.8"));
	free(list);
	pa_nl_close(nl);
}

Test(tunnel_net, tun_device)
{
	struct pa_addr p = addr_of("203.0.113.7"), q = addr_of("203.0.113.8");
	struct pa_tun t, again;
	char err[PA_TUN_ERRLEN] = "", *text;
	struct pa_nl *nl;

	enter();
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_tun_open(nl, "pub0", 1400, NULL, 1, &t, err), 0, "%s", err);
	text = output("ip link show pub0");
	cr_assert(strstr(text, "mtu 1400") != NULL && strstr(text, "UP") != NULL, "%s", text);
	free(text);
	text = output("ip -6 addr show dev pub0");
	cr_assert_str_eq(text, "", "no IPv6");
	free(text);
	cr_assert_eq(pa_tun_open(nl, "pub0", 1400, NULL, 1, &again, err), PA_EEXIST);
	cr_assert(strstr(err, "pub0") != NULL, "%s", err);
	cr_assert_eq(pa_tun_open(nl, "a-very-long-name", 1400, NULL, 1, &again, err), PA_EINVAL);
	cr_assert_eq(pa_net_addr_add(nl, t.ifindex, &p), 0);
	cr_assert_eq(pa_net_addr_add(nl, t.ifindex, &p), 0, "again is fine");
	cr_assert_eq(pa_net_addr_add(nl, t.ifindex, &q), 0);
	cr_assert_eq(pa_net_addr_flush(nl, t.ifindex, &q), 0);
	text = output("ip -4 -o addr show dev pub0");
	cr_assert(strstr(text, "203.0.113.8/32") != NULL && strstr(text, "203.0.113.7") == NULL, "%s", text);
	free(text);
	cr_assert_eq(pa_net_addr_del(nl, t.ifindex, &q), 0);
	cr_assert_eq(pa_net_addr_del(nl, t.ifindex, &q), 0, "again is fine");
	cr_assert_eq(pa_tun_set_mtu(nl, &t, 1300), 0);
	pa_tun_close(&t);
	cr_assert_eq(pa_nl_ifindex("pub0"), PA_ENOTFOUND);
	pa_nl_close(nl);
}

/* The destination in the packet that waits in a queue, by its last octet; 0: none waits. */
static unsigned waiting(int fd, bool header)
{
	uint8_t buf[2048];
	size_t at = header ? 10 : 0;
	ssize_t n;

	do { /* the kernel itself may say something of IPv6 as soon as the device is up */
		n = read(fd, buf, sizeof(buf));
	} while (n > (ssize_t)at && buf[at] >> 4 != 4);
	return n < (ssize_t)at + 20 ? 0 : buf[at + 19];
}

Test(tunnel_net, each_address_has_its_queue)
{
	char err[PA_TUN_ERRLEN] = "", cmd[128];
	struct pa_addr own = addr_of("198.51.100.1");
	struct pa_tun t, again;
	struct ifreq ifr;
	struct pa_nl *nl;
	unsigned to = 0;
	bool header;

	enter();
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_tun_open(nl, "pubgw0", 1400, NULL, 3, &t, err), 0, "%s", err);
	cr_assert_eq(t.n_queues, 3);
	cr_assert_eq(t.queues[0], t.fd);
	memset(&ifr, 0, sizeof(ifr));
	cr_assert_eq(ioctl(t.fd, TUNGETIFF, &ifr), 0);
	header = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
	cr_assert(header && (ifr.ifr_flags & IFF_MULTI_QUEUE) != 0);
	cr_assert_eq(pa_tun_open(nl, "pubgw0", 1400, NULL, 3, &again, err), PA_EEXIST, "no queue for another process");
	cr_assert_eq(pa_tun_open(nl, "pubgw0", 1400, NULL, 1, &again, err), PA_EEXIST);
	run("ip addr add 198.51.100.1/32 dev pubgw0; ip route add 203.0.113.0/24 dev pubgw0");
	for (unsigned i = 1; i < 40; i++) {
		struct pa_addr a = pa_addr_from_ipv4(0xcb007100u + i);
		unsigned want = pa_steer(&a, 3);

		(void)snprintf(cmd, sizeof(cmd), "echo x >/dev/udp/203.0.113.%u/%u", i, 1000 + i * 7);
		(void)snprintf(err, sizeof(err), "bash -c '%s'", cmd);
		run(err);
		for (unsigned k = 0; k < 3; k++)
			cr_assert_eq(waiting(t.queues[k], header), k == want ? i : 0, "address %u, queue %u", i, k);
	}
	/* As a former process leaves it: adopted as it is, with fewer queues. */
	for (unsigned k = 0; k < 3; k++)
		close(t.queues[k]);
	cr_assert_eq(pa_tun_open(nl, "pubgw0", 1400, &own, 1, &t, err), 0, "%s", err);
	cr_assert(t.adopted && t.n_queues == 1);
	/* The kernel's own worker lets packets through again when the device has somebody who reads: at once, but not before we go on. */
	for (unsigned tries = 0; tries < 200 && to == 0; tries++) {
		run("bash -c 'echo x >/dev/udp/203.0.113.5/9'");
		to = waiting(t.fd, header);
	}
	cr_assert_eq(to, 5);
	pa_tun_close(&t);
	pa_nl_close(nl);
}

Test(tunnel_net, clean_takes_ours_only)
{
	struct pa_nl *nl;
	char *before, *after;

	enter();
	make_lan();
	run("ip rule add pref 5199 lookup 6080; ip rule add pref 5201 lookup 99; ip route add throw 10.0.0.0/8 table 6082");
	before = output(ROUTES);
	run("ip rule add pref 5200 lookup 6080 protocol 224; ip rule add pref 5203 lookup 6081 protocol 224; "
	    "ip route add throw 10.0.0.0/8 table 6080; ip route add default dev lan0 table 6081");
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_net_clean(nl, 5200, 4, 6080, 2), 4);
	after = output(ROUTES);
	cr_assert_str_eq(after, before);
	cr_assert_eq(pa_net_clean(nl, 5200, 4, 6080, 2), 0);
	free(before);
	free(after);
	pa_nl_close(nl);
}

/* Both are routes to P/32 in the main table; the one with the MTU goes first, and comes and goes without the other. */
Test(tunnel_net, an_address_on_a_link_keeps_its_route)
{
	struct pa_host_change host = {.addr = addr_of("203.0.113.7"), .kind = PA_HOST_ROUTE, .add = true, .table = PA_TABLE_MAIN,
				      .protocol = PA_ROUTE_PROTOCOL};
	const struct pa_addr none = {{0}};
	char *before, *with, *after;
	struct pa_nl *nl;

	enter();
	make_lan();
	cr_assert_eq(pa_nl_open(&nl), 0);
	host.ifindex = pa_nl_ifindex("lan0");
	cr_assert_eq(pa_net_hosts_apply(nl, &host, 1), 0);
	before = output(ROUTES);
	cr_assert_not_null(strstr(before, "203.0.113.7"));
	cr_assert_eq(pa_net_mtu_set(nl, host.ifindex, &host.addr, &none, 1300), 0);
	with = output("ip route get 203.0.113.7");
	cr_assert_not_null(strstr(with, "mtu 1300"), "%s", with);
	cr_assert_eq(pa_net_mtu_clear(nl, host.ifindex, &host.addr), 0);
	after = output(ROUTES);
	cr_assert_str_eq(after, before);
	host.add = false;
	cr_assert_eq(pa_net_hosts_apply(nl, &host, 1), 0);
	free(after);
	after = output(ROUTES);
	cr_assert_null(strstr(after, "203.0.113.7"));
	free(before);
	free(with);
	free(after);
	pa_nl_close(nl);
}

/* The same for IPv6, and what a process that died has left of both kinds. */
Test(tunnel_net, narrow_paths_of_either_family)
{
	const struct pa_addr p4 = addr_of("203.0.113.7"), p6 = addr_of("2001:db8:7::7"), none = {{0}};
	char *before, *with, *after;
	struct pa_nl *nl;
	int lan;

	enter();
	make_lan();
	run("ip route add 203.0.113.0/24 dev lan0 && ip route add 2001:db8:7::/64 dev lan0");
	cr_assert_eq(pa_nl_open(&nl), 0);
	lan = pa_nl_ifindex("lan0");
	before = output(ROUTES);
	cr_assert_eq(pa_net_mtu_set(nl, lan, &p6, &p4, 1400), 0, "an address of the other family is no source");
	cr_assert_eq(pa_net_mtu_set(nl, lan, &p6, &none, 1300), 0);
	with = output("ip route show proto 225; ip -6 route show proto 225");
	cr_assert_not_null(strstr(with, "2001:db8:7::7 dev lan0"), "%s", with);
	cr_assert_not_null(strstr(with, "mtu 1300"), "%s", with);
	cr_assert_null(strstr(with, "mtu 1400"), "%s", with);
	cr_assert_eq(pa_net_mtu_clear(nl, lan, &p6), 0);
	cr_assert_eq(pa_net_mtu_clear(nl, lan, &p6), PA_ENOTFOUND);
	cr_assert_eq(pa_net_mtu_set(nl, lan, &p4, &none, 1300), 0);
	cr_assert_eq(pa_net_mtu_set(nl, lan, &p6, &none, 1300), 0);
	cr_assert_eq(pa_net_mtu_clean(nl, pa_nl_ifindex("lan1")), 0, "another device's");
	cr_assert_eq(pa_net_mtu_clean(nl, lan), 2);
	after = output(ROUTES);
	cr_assert_str_eq(after, before);
	free(before);
	free(with);
	free(after);
	pa_nl_close(nl);
}

#define SNAPSHOT "ip -d link; ip -4 addr; " ROUTES

Test(tunnel_net, up_lost_down)
{
	struct pa_tunnet_config cfg = {.iface = "lan0", .device = "pub0", .table = 6080, .priority = 5200, .mark = 77};
	struct pa_addr resolver = addr_of("192.0.2.53"), p = addr_of("203.0.113.7");
	struct pa_tunnet_want want = {.addr = p, .gateway = addr_of("198.51.100.1"), .mtu = 1472, .lan_hosts = &resolver,
				      .n_lan_hosts = 1};
	char err[PA_TUNNET_ERRLEN] = "", *before, *after;
	struct pa_tunnet *net;
	struct pa_nl *nl;
	int lan, pub;

	enter();
	make_lan();
	before = output(SNAPSHOT);
	cr_assert_eq(pa_nl_open(&nl), 0);
	lan = pa_nl_ifindex("lan0");
	cr_assert_eq(pa_tunnet_new(&cfg, &net, err), 0, "%s", err);
	cr_assert_eq(pa_tunnet_fd(net), -1);
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0, "%s", err);
	pub = pa_nl_ifindex("pub0");
	cr_assert(pub > 0 && pa_tunnet_fd(net) >= 0 && pa_tunnet_has_default(net));
	cr_assert_eq(route_to(nl, "8.8.8.8"), pub);
	cr_assert_eq(pa_lan_route_ifindex(nl, &(struct pa_addr){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 8, 8, 8, 8}}, 77), lan,
		     "the tunnel's own packets");
	for (const char *const *s = (const char *const[]){"192.168.1.77", "192.168.200.1", "10.1.2.3", "192.0.2.53", "198.51.100.1",
							  NULL}; *s != NULL; s++)
		cr_assert_eq(route_to(nl, *s), lan, "%s stays on the LAN", *s);
	run("ip route get 8.8.8.8 | grep -q 'src 203.0.113.7'");
	run("ip route get 8.8.8.8 from 192.168.1.10 | grep -q 'dev lan0'");
	run("ip route get 8.8.8.8 from 203.0.113.7 | grep -q 'dev pub0'");
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0, "a second time: %s", err);

	pa_tunnet_lost(net);
	cr_assert_eq(route_to(nl, "8.8.8.8"), lan);
	run("ip route get 8.8.8.8 from 203.0.113.7 | grep -q 'dev pub0'");
	run("ip addr show dev pub0 | grep -q 203.0.113.7/32");
	want.addr = addr_of("203.0.113.9");
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0, "%s", err);
	run("ip addr show dev pub0 | grep -q 203.0.113.9/32");
	run("! ip addr show dev pub0 | grep -q 203.0.113.7/32");
	run("! ip rule | grep -q 203.0.113.7");
	pa_tunnet_down(net);
	after = output(SNAPSHOT);
	cr_assert_str_eq(after, before, "no trace");
	pa_tunnet_free(net);
	free(before);
	free(after);
	pa_nl_close(nl);
}

Test(tunnel_net, another_default_goes_first)
{
	struct pa_tunnet_config cfg = {.iface = "lan0", .device = "pub0", .table = 6080, .priority = 5200, .mark = 77};
	struct pa_tunnet_want want = {.addr = addr_of("203.0.113.7"), .gateway = addr_of("198.51.100.1"), .mtu = 1472};
	char err[PA_TUNNET_ERRLEN] = "";
	struct pa_tunnet *net;
	struct pa_nl *nl;
	bool changed;

	enter();
	make_lan();
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_tunnet_new(&cfg, &net, err), 0, "%s", err);
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0, "%s", err);
	cr_assert_eq(route_to(nl, "8.8.8.8"), pa_nl_ifindex("pub0"));
	run("ip route add default dev lan1 metric 1"); /* a VPN in the main table */
	cr_assert_eq(pa_tunnet_refresh(net, &changed), 0);
	cr_assert(!changed, "it means nothing for the tunnel's own path");
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0);
	cr_assert(!pa_tunnet_has_default(net));
	cr_assert_eq(route_to(nl, "8.8.8.8"), pa_nl_ifindex("lan1"));
	run("ip route del default dev lan1; ip rule add pref 30000 lookup 500; ip route add default dev lan1 table 500");
	cr_assert_eq(pa_tunnet_refresh(net, &changed), 0);
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0);
	cr_assert(!pa_tunnet_has_default(net), "nor is one outranked that lives in rules of its own");
	run("ip rule del pref 30000");
	cr_assert_eq(pa_tunnet_up(net, &want, err), 0);
	cr_assert(pa_tunnet_has_default(net));
	run("ip addr add 192.168.1.11/24 dev lan0");
	cr_assert_eq(pa_tunnet_refresh(net, &changed), 0);
	cr_assert(changed, "another LAN address does");
	pa_tunnet_free(net);
	pa_nl_close(nl);
}

/* Who has the namespace could advertise himself as the host's router. */
Test(tunnel_net, a_namespace_has_no_ipv6_to_the_host)
{
	struct pa_nl *nl;
	int ready[2];
	char c;
	pid_t pid;

	enter();
	if (access("/proc/sys/net/ipv6/conf/lo/disable_ipv6", W_OK) < 0)
		cr_skip_test("this kernel has no IPv6");
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && unshare(CLONE_NEWNET) == 0 && write(ready[1], "x", 1) == 1)
			(void)pause();
		_exit(1);
	}
	cr_assert_eq(read(ready[0], &c, 1), 1);
	cr_assert_eq(pa_nl_open(&nl), 0);
	cr_assert_eq(pa_veth_open(nl, "pub0", pid, 1472), 0);
	run("test $(cat /proc/sys/net/ipv6/conf/pub0-ns/disable_ipv6) = 1");
	pa_veth_remove(nl, "pub0");
	pa_nl_close(nl);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void put_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

/* Members of a group may add files to the folder, and this one says what is written to the kernel. */
Test(tunnel_net, settings_are_given_back_from_a_file_of_ours_only)
{
	static const char path[] = "/tmp/sysctl-test.json";
	char err[PA_SYSCTL_ERRLEN] = "", *text;

	enter();
	cr_assert(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("none", "/tmp", "tmpfs", 0, NULL) == 0);
	cr_assert_eq(pa_sysctl_take(path, "lan0", "net/ipv4/fwmark_reflect", "1", err), 0, "%s", err);
	cr_assert_eq(pa_sysctl_release(path, "lan0", err), 0, "%s", err);
	text = output("cat /proc/sys/net/ipv4/fwmark_reflect");
	cr_assert_str_eq(text, "0\n");
	free(text);
	put_text(path, "{\"net/ipv4/fwmark_reflect\": {\"was\": \"1\", \"set\": \"0\", \"users\": [\"lan0\"]}}", 0644);
	cr_assert_eq(pa_sysctl_release(path, "lan0", err), PA_EAUTH, "others could have written it");
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(chown(path, 4001, 4001), 0);
	cr_assert_eq(pa_sysctl_release(path, "lan0", err), PA_EAUTH, "another has written it");
	put_text("/tmp/other.json", "{\"net/core/somaxconn\": {\"was\": \"77\", \"set\": \"4096\", \"users\": [\"lan0\"]}}", 0600);
	run("echo 4096 >/proc/sys/net/core/somaxconn");
	cr_assert_eq(pa_sysctl_release("/tmp/other.json", "lan0", err), 0, "%s", err);
	run("test $(cat /proc/sys/net/core/somaxconn) = 4096");
	run("test $(cat /proc/sys/net/ipv4/fwmark_reflect) = 0");
}
