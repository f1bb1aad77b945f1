/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_kern_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/bpf/path.skel.h"

#define LAYOUT_LEN offsetof(struct pa_k_conf, alive_until)
#define N_MAPS 9

/* libbpf's own lines would be the verifier's reasoning; our callers say in one line what failed. */
static int on_print(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];

	if (level > LIBBPF_WARN)
		return 0;
	(void)vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	pa_log(PA_LOG_DEBUG, "datapath.libbpf", "text=\"%s\"", line);
	return 0;
}

static const char *remedy(int e)
{
	switch (e) {
	case EPERM:
	case EACCES:
		return "; it needs CAP_BPF and CAP_NET_ADMIN";
	case EINVAL:
	case ENOSYS:
	case ENOTSUP:
		return "; the kernel is too old or lacks a part of BPF";
	default:
		return "";
	}
}

static int fail(int e, const char *what, char err[PA_DP_KERN_ERRLEN])
{
	(void)snprintf(err, PA_DP_KERN_ERRLEN, "%s: %s%s", what, strerror(e), remedy(e));
	return e == EPERM || e == EACCES ? PA_EDENIED : e == ENOMEM ? PA_ENOMEM : e == EINVAL || e == ENOSYS ? PA_ENOTSUP : PA_EIO;
}

/* ---- pins ---- */

/* Makes dir inside a BPF file system, unless it is there. */
static int make_dir(const char *dir, char err[PA_DP_KERN_ERRLEN])
{
	struct statfs fs;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail(errno, dir, err);
	if (statfs(dir, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC)
		return 0;
	(void)rmdir(dir);
	(void)snprintf(err, PA_DP_KERN_ERRLEN, "%s is not in a BPF file system; run: mount -t bpf bpf /sys/fs/bpf", dir);
	return PA_ENOTSUP;
}

/* The file system is looked at before a folder is made in something else. */
static int check_mount(const char *bpf_dir, char err[PA_DP_KERN_ERRLEN])
{
	char parent[PATH_MAX];
	struct statfs fs;
	char *slash;

	(void)snprintf(parent, sizeof(parent), "%s", bpf_dir);
	slash = strrchr(parent, '/');
	if (slash != NULL && slash != parent)
		*slash = '\0';
	if (statfs(parent, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC)
		return 0;
	(void)snprintf(err, PA_DP_KERN_ERRLEN, "%.120s is no BPF file system; run: mount -t bpf bpf %.60s", parent, parent);
	return PA_ENOTSUP;
}

static int pins_of(const char *bpf_dir, const char *device, char dir[PATH_MAX])
{
	return snprintf(dir, PATH_MAX, "%s/%s", bpf_dir, device) < PATH_MAX - 32 ? 0 : PA_EINVAL;
}

static int open_pin(const char *dir, const char *name)
{
	char path[PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_get(path);
}

void pa_kern_unpin(const char *bpf_dir, const char *device)
{
	static const char *const names[N_MAPS] = {"conf", "peers", "slots", "far", "bits", "ways", "hops", "totals", "rates"};
	char dir[PATH_MAX], path[PATH_MAX + 32];

	if (pins_of(bpf_dir, device, dir) < 0)
		return;
	for (size_t i = 0; i < N_MAPS; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
	(void)rmdir(bpf_dir); /* if it was the last one */
}

/* ---- memory ---- */

static size_t page_round(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (len + page - 1) / page * page;
}

static void *map_memory(int fd, size_t len)
{
	void *p = mmap(NULL, page_round(len), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t len)
{
	if (p != NULL)
		(void)munmap(p, page_round(len));
}

struct pa_k_conf *pa_kern_conf_map(const char *bpf_dir, const char *device)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	struct pa_k_conf *conf = NULL;
	char dir[PATH_MAX];
	int fd;

	if (pins_of(bpf_dir, device, dir) < 0)
		return NULL;
	fd = open_pin(dir, "conf");
	if (fd < 0)
		return NULL;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.value_size == sizeof(*conf))
		conf = map_memory(fd, sizeof(*conf));
	close(fd);
	if (conf != NULL && conf->version != PA_K_VERSION) {
		pa_kern_conf_unmap(conf);
		conf = NULL;
	}
	return conf;
}

void pa_kern_conf_unmap(struct pa_k_conf *conf)
{
	unmap(conf, sizeof(*conf));
}

/* ---- loading ---- */

/* Takes over the pinned maps, all or none. */
static bool reuse(struct pa_kern_maps *m)
{
	struct bpf_map *map;
	bool all = true;

	bpf_object__for_each_map(map, m->skel->obj) {
		int fd;

		if (bpf_map__is_internal(map))
			continue;
		fd = open_pin(m->dir, bpf_map__name(map));
		/* libbpf compares what the map is with what it should be. */
		if (fd < 0 || bpf_map__reuse_fd(map, fd) < 0)
			all = false;
		if (fd >= 0)
			close(fd);
	}
	return all;
}

/* Of the programs those that this end needs; NULL: not needed. */
static void choose(struct pa_kern_maps *m, bool gateway, const struct pa_dp_kern_config *cfg,
		   struct bpf_program *ret[PA_KERN_PROGS])
{
	struct bpf_program *prog;

	if (gateway)
		ret[PA_KERN_OUT] = cfg->ethernet ? m->skel->progs.pa_gateway_out_eth : m->skel->progs.pa_gateway_out;
	else
		ret[PA_KERN_OUT] = cfg->ethernet ? m->skel->progs.pa_client_out_eth : m->skel->progs.pa_client_out;
	ret[PA_KERN_IN] = gateway ? m->skel->progs.pa_gateway_in : m->skel->progs.pa_client_in;
	ret[PA_KERN_XDP] = gateway && cfg->accelerate ? m->skel->progs.pa_gateway_xdp : NULL;
	bpf_object__for_each_program(prog, m->skel->obj)
		(void)bpf_program__set_autoload(prog, prog == ret[PA_KERN_OUT] || prog == ret[PA_KERN_IN] || prog == ret[PA_KERN_XDP]);
}

static uint32_t n_rates(const struct pa_k_conf *want)
{
	return want->limited != 0 ? want->n_peers : 1;
}

static int set_up(struct pa_kern_maps *m, const struct pa_dp_kern_config *cfg, const struct pa_k_conf *want, bool adopt,
		  char err[PA_DP_KERN_ERRLEN])
{
	struct bpf_program *progs[PA_KERN_PROGS];

	m->skel = path_bpf__open();
	if (m->skel == NULL)
		return fail(errno, "cannot open the programs", err);
	(void)bpf_map__set_max_entries(m->skel->maps.peers, want->n_peers);
	(void)bpf_map__set_max_entries(m->skel->maps.slots, want->hashed != 0 ? want->n_peers : 1);
	(void)bpf_map__set_max_entries(m->skel->maps.rates, n_rates(want));
	choose(m, want->role == PA_DP_GATEWAY, cfg, progs);
	m->adopted = adopt && reuse(m);
	if (adopt && !m->adopted) {
		path_bpf__destroy(m->skel);
		m->skel = NULL;
		return PA_EEXIST; /* once more, without them */
	}
	if (path_bpf__load(m->skel) < 0)
		return fail(errno, "cannot load the programs", err);
	for (int i = 0; i < PA_KERN_PROGS; i++)
		m->progs[i] = progs[i] != NULL ? bpf_program__fd(progs[i]) : -1;
	m->totals_fd = bpf_map__fd(m->skel->maps.totals);
	m->slots_fd = bpf_map__fd(m->skel->maps.slots);
	return 0;
}

static int pin_all(struct pa_kern_maps *m, char err[PA_DP_KERN_ERRLEN])
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, m->skel->obj) {
		char path[PATH_MAX + 32];

		if (bpf_map__is_internal(map))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", m->dir, bpf_map__name(map));
		if (bpf_obj_pin(bpf_map__fd(map), path) < 0)
			return fail(errno, path, err);
	}
	return 0;
}

static int map_all(struct pa_kern_maps *m, const struct pa_k_conf *want, char err[PA_DP_KERN_ERRLEN])
{
	m->conf = map_memory(bpf_map__fd(m->skel->maps.conf), sizeof(*m->conf));
	m->peers = map_memory(bpf_map__fd(m->skel->maps.peers), want->n_peers * sizeof(*m->peers));
	m->far = map_memory(bpf_map__fd(m->skel->maps.far), PA_K_FAR_WORDS * sizeof(*m->far));
	m->bits = map_memory(bpf_map__fd(m->skel->maps.bits), PA_K_BLOCKS * PA_K_BLOCK_WORDS * sizeof(*m->bits));
	m->rates = map_memory(bpf_map__fd(m->skel->maps.rates), n_rates(want) * sizeof(*m->rates));
	m->ways = map_memory(bpf_map__fd(m->skel->maps.ways), PA_K_FAR_WORDS * sizeof(*m->ways));
	m->hops = map_memory(bpf_map__fd(m->skel->maps.hops), PA_K_HOPS * sizeof(*m->hops));
	if (m->conf == NULL || m->peers == NULL || m->rates == NULL || m->far == NULL || m->bits == NULL ||
	    m->ways == NULL || m->hops == NULL)
		return fail(errno, "cannot map the maps' memory", err);
	return 0;
}

/* What a former process has left that cannot be taken over goes, but for the note of what is attached. */
static int supersede(const char *bpf_dir, const char *device, const struct pa_k_conf *want, struct pa_k_conf *former,
		     bool *adopt, char err[PA_DP_KERN_ERRLEN])
{
	struct pa_k_conf *old = pa_kern_conf_map(bpf_dir, device);
	bool ours = old == NULL || old->netns == want->netns, alive = !ours && old->alive_until > want->alive_until;

	*adopt = old != NULL && memcmp(old, want, LAYOUT_LEN) == 0;
	if (old != NULL && ours)
		memcpy(former->links, old->links, sizeof(former->links));
	if (old != NULL)
		pa_kern_conf_unmap(old);
	if (alive) {
		(void)snprintf(err, PA_DP_KERN_ERRLEN, "%.120s/%s is in use by a daemon of another network namespace; choose "
			       "another \"bpf-dir\"", bpf_dir, device);
		return PA_EEXIST;
	}
	if (!*adopt)
		pa_kern_unpin(bpf_dir, device);
	return 0;
}

static int load(struct pa_kern_maps *m, const struct pa_dp_kern_config *cfg, const struct pa_k_conf *want,
		char err[PA_DP_KERN_ERRLEN])
{
	struct pa_k_conf former = *want;
	bool adopt = false;
	int rc = supersede(cfg->bpf_dir, cfg->device, want, &former, &adopt, err);

	if (rc < 0)
		return rc;
	rc = make_dir(cfg->bpf_dir, err);
	if (rc == 0)
		rc = make_dir(m->dir, err);
	if (rc == 0)
		rc = set_up(m, cfg, want, adopt, err);
	if (rc == PA_EEXIST) {
		pa_kern_unpin(cfg->bpf_dir, cfg->device);
		rc = make_dir(cfg->bpf_dir, err);
		if (rc == 0)
			rc = make_dir(m->dir, err);
		if (rc == 0)
			rc = set_up(m, cfg, want, false, err);
	}
	if (rc == 0 && !m->adopted)
		rc = pin_all(m, err);
	if (rc == 0)
		rc = map_all(m, want, err);
	if (rc == 0 && !m->adopted)
		memcpy(m->conf, &former, sizeof(former));
	return rc;
}

int pa_kern_maps_open(const struct pa_dp_kern_config *cfg, const struct pa_k_conf *want, struct pa_kern_maps *ret,
		      char err[PA_DP_KERN_ERRLEN])
{
	int cpus, rc;

	memset(ret, 0, sizeof(*ret));
	(void)libbpf_set_print(on_print);
	if (pins_of(cfg->bpf_dir, cfg->device, ret->dir) < 0) {
		(void)snprintf(err, PA_DP_KERN_ERRLEN, "name of the folder too long");
		return PA_EINVAL;
	}
	rc = check_mount(cfg->bpf_dir, err);
	cpus = libbpf_num_possible_cpus();
	if (rc == 0 && cpus <= 0)
		rc = fail(-cpus, "cannot count the processors", err);
	ret->n_cpus = cpus > 0 ? (unsigned)cpus : 0;
	if (rc == 0)
		rc = load(ret, cfg, want, err);
	if (rc < 0)
		pa_kern_maps_close(ret, false);
	return rc;
}

void pa_kern_maps_close(struct pa_kern_maps *m, bool unpin)
{
	char *name = strrchr(m->dir, '/');

	if (m->skel == NULL)
		return;
	unmap(m->peers, m->conf != NULL ? m->conf->n_peers * sizeof(*m->peers) : 0);
	unmap(m->rates, m->conf != NULL ? n_rates(m->conf) * sizeof(*m->rates) : 0);
	unmap(m->conf, sizeof(*m->conf));
	unmap(m->far, PA_K_FAR_WORDS * sizeof(*m->far));
	unmap(m->bits, PA_K_BLOCKS * PA_K_BLOCK_WORDS * sizeof(*m->bits));
	unmap(m->ways, PA_K_FAR_WORDS * sizeof(*m->ways));
	unmap(m->hops, PA_K_HOPS * sizeof(*m->hops));
	path_bpf__destroy(m->skel);
	m->skel = NULL;
	if (unpin && name != NULL) {
		*name = '\0';
		pa_kern_unpin(m->dir, name + 1);
	}
}

/* ---- what needs a system call ---- */

int pa_kern_totals(const struct pa_kern_maps *m, struct pa_k_totals *ret)
{
	struct pa_k_totals *each = calloc(m->n_cpus, sizeof(*each));
	uint32_t zero = 0;
	int rc = each == NULL ? PA_ENOMEM : 0;

	_Static_assert(sizeof(*each) % 8 == 0, "the kernel rounds each processor's value to 8");
	if (rc == 0 && bpf_map_lookup_elem(m->totals_fd, &zero, each) < 0)
		rc = PA_EIO;
	if (rc == 0) {
		memset(ret, 0, sizeof(*ret));
		for (unsigned cpu = 0; cpu < m->n_cpus; cpu++)
			for (size_t i = 0; i < sizeof(*ret) / sizeof(__u64); i++)
				((__u64 *)ret)[i] += ((const __u64 *)&each[cpu])[i];
	}
	free(each);
	return rc;
}

int pa_kern_slot_set(const struct pa_kern_maps *m, uint32_t addr, uint32_t slot)
{
	return bpf_map_update_elem(m->slots_fd, &addr, &slot, BPF_ANY) == 0 ? 0 : errno == ENOMEM || errno == E2BIG ? PA_ENOMEM : PA_EIO;
}

void pa_kern_slot_del(const struct pa_kern_maps *m, uint32_t addr)
{
	(void)bpf_map_delete_elem(m->slots_fd, &addr);
}

int pa_kern_slot_get(const struct pa_kern_maps *m, uint32_t addr, uint32_t *ret)
{
	uint32_t slot;

	if (bpf_map_lookup_elem(m->slots_fd, &addr, &slot) < 0)
		return PA_ENOTFOUND;
	*ret = slot;
	return 0;
}

bool pa_kern_slot_next(const struct pa_kern_maps *m, const uint32_t *addr, uint32_t *ret)
{
	return bpf_map_get_next_key(m->slots_fd, addr, ret) == 0;
}
