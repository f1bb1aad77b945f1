/* SPDX-License-Identifier: MPL-2.0 */
/*
 * per_packet VARIANT SESSIONS: the time that a gateway takes for a packet of a random session, in ns, on one processor.
 *   forward                                  the kernel forwards it by one route; no tunnel
 *   pubaddr-xdp-encap, pubaddr-xdp-decap     into the tunnel and out of it, accelerated
 *   pubaddr-tc-encap, pubaddr-tc-decap       the same, not accelerated: with all that the kernel does with a packet of its own
 * Everything is as in the gateway daemon: its programs, maps and tables, loaded by its own code. The kernel injects frames at one
 * interface as its driver would (BPF_F_TEST_XDP_LIVE_FRAMES), they leave by another one, and are counted and dropped at the far end
 * of that cable; all of that happens on one processor, and is in the figure for every variant. What making the frames takes
 * is measured by itself, and subtracted. The best of several runs counts, for others only add to it; a frame that does not come out is an
 * error. The far end drops in the way that costs least for what arrives there: by XDP, but behind the programs for tc, whose
 * longer headers it would have to copy first.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "test/bench/frames.h"
#include "test/bench/frames.skel.h"
#include "tunnel/dp_kern_int.h"
#include "tunnel/net_hops.h"

#define ETH 14
#define OUTER 28
#define FRAMES 500000 /* in a run */
#define RUNS 5
#define BATCH 64 /* as drivers poll (NAPI) */
#define POOL_LEN 12 /* 1,048,576 addresses */

static const struct variant {
	const char *name;
	bool ours, xdp, decap;
} variants[] = {
	{"forward", false, false, false},	  {"pubaddr-xdp-encap", true, true, false}, {"pubaddr-xdp-decap", true, true, true},
	{"pubaddr-tc-encap", true, false, false}, {"pubaddr-tc-decap", true, false, true},
};

struct bench {
	const struct variant *v;
	uint32_t sessions;
	int cpu;
	struct pa_dp *dp;
	struct frames_bpf *made, *dropped; /* frames for what is measured, and for nobody */
	char ksoftirqd[64];		   /* its schedstat */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void shell(const char *line)
{
	if (system(line) != 0)
		die(line);
}

/* ---- the gateway ---- */

/* Clients are behind eth0, the Internet behind eth1. Frames enter by the one and leave by the other. */
static void new_world(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		die("namespaces");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("sys", "/sys", "sysfs", 0, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		die("file system for BPF");
	shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
	      "net.ipv6.conf.default.disable_ipv6=1; ip link set lo up; for i in 0 1; do "
	      "ip link add eth$i address 02:00:00:00:00:01 type veth peer name far$i && ip link set far$i up && ip link set eth$i up && "
	      "ethtool -K eth$i gro off && ethtool -K far$i gro off || exit 1; done; "
	      "ip addr add 198.51.100.10/29 dev eth0 && ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:02 dev eth0 && "
	      "ip addr add 192.0.2.1/24 dev eth1 && ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:02 dev eth1 && "
	      "ip route add default via 192.0.2.9 && ip route add 11.0.0.0/8 via 198.51.100.9");
}

static void open_device(void)
{
	struct ifreq r = {.ifr_name = "pubgw0", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		die("TUN device");
	shell("ip link set pubgw0 mtu 1472 up"); /* fd stays open: the device is there as long as this process */
}

static void open_gateway(struct bench *b)
{
	static struct pa_hops hops;
	struct pa_prefix pool = {.addr = pa_addr_from_ipv4(FRAMES_POOL), .len = POOL_LEN};
	struct pa_endpoint listen = {pa_addr_from_ipv4(FRAMES_GATEWAY), 6080};
	struct pa_deny deny = {.pools = &pool, .n_pools = 1};
	char err[PA_DP_KERN_ERRLEN] = "";
	struct pa_dp_kern_config k = {.bpf_dir = "/sys/fs/bpf/pubaddr", .device = "pubgw0", .listen = &listen, .n_listen = 1,
				      .pools = &pool, .n_pools = 1, .max_peers = 1u << (32 - POOL_LEN), .accelerate = b->v->xdp,
				      .err = err};
	struct pa_dp_config cfg = {.role = PA_DP_GATEWAY, .tun_fd = -1, .deny = &deny, .kern = &k};

	open_device();
	if (pa_dp_kern.open(&cfg, &b->dp) < 0)
		die(err);
	for (uint32_t i = 0; i < b->sessions; i++) {
		struct pa_dp_peer p = {.inner = pa_addr_from_ipv4(FRAMES_POOL + i),
				       .outer = {pa_addr_from_ipv4(FRAMES_MAPPED + i), (uint16_t)FRAMES_PORT(i)}};

		if (pa_dp_kern.update(b->dp, &p) < 0)
			die("binding");
	}
	if (pa_dp_kern_attach(b->dp, (int)if_nametoindex("pubgw0"), 1472, err) < 0)
		die(err);
	shell("ip route add 44.0.0.0/12 dev pubgw0");
	if (pa_net_hops_read(b->dp->nl, &hops) < 0)
		die("routes");
	pa_dp_kern_hops(b->dp, &hops);
}

/* ---- frames ---- */

static struct frames_bpf *load_frames(const struct bench *b, enum frames_to to)
{
	struct frames_bpf *f = frames_bpf__open();
	uint32_t zero = 0;
	int prog;

	if (f == NULL)
		die("programs");
	f->rodata->conf = (struct frames_conf){.sessions = b->sessions, .to = to, .tunnelled = b->v->decap,
					       .leaves_len = ETH + FRAMES_LEN + (b->v->ours && !b->v->decap ? OUTER : 0)};
	if (frames_bpf__load(f) < 0)
		die("programs");
	if (to != FRAMES_TO_NEXT)
		return f;
	prog = b->dp->maps.progs[PA_KERN_XDP];
	if (bpf_map_update_elem(bpf_map__fd(f->maps.next), &zero, &prog, BPF_ANY) < 0)
		die("tail call");
	return f;
}

static const char *in_of(const struct bench *b)
{
	return b->v->decap ? "eth0" : "eth1";
}

static void attach_sink(const struct bench *b)
{
	int ifindex = (int)if_nametoindex(b->v->decap ? "far1" : "far0");
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(b->made->progs.sink_tc));

	/* The product's own program is there already, if it is to be. */
	(void)bpf_xdp_attach((int)if_nametoindex(in_of(b)), bpf_program__fd(b->made->progs.pass), XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (b->v->xdp || !b->v->ours) {
		if (bpf_xdp_attach(ifindex, bpf_program__fd(b->made->progs.sink_xdp), 0, NULL) < 0)
			die("sink");
		return;
	}
	if (bpf_tc_hook_create(&hook) < 0 || bpf_tc_attach(&hook, &opts) < 0)
		die("sink");
}

static uint64_t frames_left(const struct bench *b)
{
	uint64_t *each = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each)), sum = 0;
	uint32_t zero = 0;

	if (each == NULL || bpf_map_lookup_elem(bpf_map__fd(b->made->maps.left), &zero, each) < 0)
		die("counter");
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += each[i];
	free(each);
	return sum;
}

/* ---- time ---- */

/* The kernel's thread that does what interrupts leave undone on this processor. */
static void find_ksoftirqd(struct bench *b)
{
	char name[32], path[300], comm[32];
	DIR *d = opendir("/proc");
	struct dirent *e;

	(void)snprintf(name, sizeof(name), "ksoftirqd/%d\n", b->cpu);
	while (d != NULL && (e = readdir(d)) != NULL) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (f == NULL)
			continue;
		if (fgets(comm, sizeof(comm), f) != NULL && strcmp(comm, name) == 0)
			(void)snprintf(b->ksoftirqd, sizeof(b->ksoftirqd), "/proc/%.20s/schedstat", e->d_name);
		fclose(f);
	}
	if (d != NULL)
		closedir(d);
}

/* Processor time of this thread and that one: what others do here meanwhile is not in it. */
static double used_ns(const struct bench *b)
{
	FILE *f = fopen(b->ksoftirqd, "r");
	unsigned long long ns = 0;
	struct timespec t;

	if (f == NULL || fscanf(f, "%llu", &ns) != 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) < 0)
		die("time");
	fclose(f);
	return (double)ns + (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ns a frame. */
static double run(const struct bench *b, const struct frames_bpf *f)
{
	uint8_t frame[ETH + OUTER + FRAMES_LEN] = {0};
	uint32_t len = ETH + FRAMES_LEN + (b->v->decap ? OUTER : 0);
	struct xdp_md ctx = {.data_end = len, .ingress_ifindex = if_nametoindex(in_of(b))};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		    .repeat = FRAMES, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	double before = used_ns(b);

	if (bpf_prog_test_run_opts(bpf_program__fd(f->progs.frames), &opts) < 0)
		die("live frames (Linux 5.18 or newer)");
	return (used_ns(b) - before) / FRAMES;
}

static double measure(const struct bench *b)
{
	double best = 1e9, best_made = 1e9;

	for (int i = 0; i < RUNS; i++) {
		uint64_t before = frames_left(b), n;
		double ns = run(b, b->made);

		n = frames_left(b) - before;
		if (n < FRAMES - FRAMES / 1000) {
			(void)fprintf(stderr, "%s: of %d frames %llu came out\n", b->v->name, FRAMES, (unsigned long long)n);
			exit(1);
		}
		best = ns < best ? ns : best;
		ns = run(b, b->dropped);
		best_made = ns < best_made ? ns : best_made;
	}
	return best - best_made;
}

static void pin(struct bench *b)
{
	cpu_set_t set;

	b->cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1; /* the last one: interrupts tend to go to the first */
	CPU_ZERO(&set);
	CPU_SET((size_t)b->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("processor");
	find_ksoftirqd(b);
}

int main(int argc, char **argv)
{
	struct bench b = {.v = NULL};

	for (size_t i = 0; argc == 3 && i < sizeof(variants) / sizeof(variants[0]); i++)
		if (strcmp(argv[1], variants[i].name) == 0)
			b.v = &variants[i];
	b.sessions = b.v != NULL ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	if (b.sessions == 0 || b.sessions > 1u << (32 - POOL_LEN)) {
		(void)fprintf(stderr, "usage: per_packet VARIANT SESSIONS, at most %u\n", 1u << (32 - POOL_LEN));
		return 2;
	}
	new_world();
	pin(&b);
	if (b.v->ours)
		open_gateway(&b);
	else
		shell("ip route add 44.0.0.0/12 via 198.51.100.9");
	b.dropped = load_frames(&b, FRAMES_TO_NOBODY);
	b.made = load_frames(&b, b.v->xdp ? FRAMES_TO_NEXT : FRAMES_TO_KERNEL);
	attach_sink(&b);
	printf("%.1f\n", measure(&b));
	if (b.dp != NULL)
		pa_dp_kern.close(b.dp);
	return 0;
}
