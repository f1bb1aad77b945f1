/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_KERN_MAPS_H
#define PA_DP_KERN_MAPS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "tunnel/bpf/path.h"
#include "tunnel/dp_kern.h"

/* Programs and maps of the data path in the kernel: loaded, pinned, and in reach of this process's memory. */
enum pa_kern_prog { PA_KERN_OUT, PA_KERN_IN, PA_KERN_XDP /* if wanted */, PA_KERN_PROGS };

struct path_bpf;

struct pa_kern_maps {
	struct path_bpf *skel;
	char dir[PATH_MAX]; /* pins */
	struct pa_k_conf *conf;
	struct pa_k_peer *peers;
	struct pa_k_rate *rates; /* one for each peer if conf->limited, else one that is of no use */
	uint64_t *far, *bits, *ways;
	struct pa_k_hop *hops;
	int totals_fd, slots_fd;
	int progs[PA_KERN_PROGS];
	unsigned n_cpus;
	bool adopted; /* the maps are those of a former process */
};

/*
 * Loads. want: the layout (the first members of struct pa_k_conf, up to n_peers), and in alive_until the time. Maps with the
 * same layout that are pinned in the device's folder are taken over; others are replaced, with a note of what was attached
 * (conf->links). On failure as pa_dp_ops.open, with err.
 */
int pa_kern_maps_open(const struct pa_dp_kern_config *cfg, const struct pa_k_conf *want, struct pa_kern_maps *ret,
		      char err[PA_DP_KERN_ERRLEN]);
/* Closes; unpin: removes the pins, so that nothing is left once the programs are detached. */
void pa_kern_maps_close(struct pa_kern_maps *m, bool unpin);
/* The pinned conf of BPF_DIR/DEVICE, if it is of this version, for unmapping by pa_kern_conf_unmap; NULL otherwise. */
struct pa_k_conf *pa_kern_conf_map(const char *bpf_dir, const char *device);
void pa_kern_conf_unmap(struct pa_k_conf *conf);
void pa_kern_unpin(const char *bpf_dir, const char *device);

/* The sum over all processors. */
int pa_kern_totals(const struct pa_kern_maps *m, struct pa_k_totals *ret);
/* The map from address (network order) to number of peer. del: one that is absent is fine. each: NULL gives the first key. */
int pa_kern_slot_set(const struct pa_kern_maps *m, uint32_t addr, uint32_t slot);
void pa_kern_slot_del(const struct pa_kern_maps *m, uint32_t addr);
int pa_kern_slot_get(const struct pa_kern_maps *m, uint32_t addr, uint32_t *ret);
bool pa_kern_slot_next(const struct pa_kern_maps *m, const uint32_t *addr, uint32_t *ret);

#endif
