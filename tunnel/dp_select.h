/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_SELECT_H
#define PA_DP_SELECT_H

#include "tunnel/dp.h"
#include "tunnel/dp_kern.h"

/*
 * The data path as the daemons use it: the one of this process, which has the device and the sockets, and in front of it the
 * one in the kernel, where that is wanted and possible. Everything on the loop's thread.
 */
struct pa_path;

enum pa_path_choice {
	PA_PATH_AUTO,	/* the kernel's; where it is not possible a line in the log says why, and the process's serves */
	PA_PATH_KERNEL, /* or an error */
	PA_PATH_USER,
};

/* "auto", "kernel", "user"; negative: none of them. */
int pa_path_choice_parse(const char *s);

struct pa_path_config {
	struct pa_dp_config dp; /* dp.kern is not looked at */
	enum pa_path_choice choice;
	struct pa_dp_kern_config kern; /* kern.err is not looked at */
};

#define PA_PATH_ERRLEN (PA_DP_KERN_ERRLEN + 32)

/* On failure as pa_dp_ops.open, with err. */
int pa_path_open(const struct pa_path_config *cfg, struct pa_path **ret, char err[PA_PATH_ERRLEN]);
/* Removes everything from the kernel. NULL is fine. */
void pa_path_close(struct pa_path *path);
/* Removes what a process left that died for good. */
void pa_path_remove(const char *bpf_dir, const char *device);

/*
 * The device (fd -1: none) and its interface index and MTU; fd as pa_dp_set_tun. Call it again when interfaces or addresses
 * may have changed. PA_EINVAL when the system cannot poll it; with PA_PATH_KERNEL also when programs cannot be attached, with err.
 */
int pa_path_set_device(struct pa_path *path, int fd, int ifindex, uint16_t mtu, char err[PA_PATH_ERRLEN]);
/* As pa_dp_set_socket. */
int pa_path_set_socket(struct pa_path *path, unsigned local, int fd);
/* As pa_dp_set_group and pa_dp_start. */
int pa_path_set_group(struct pa_path *path, unsigned local, const int *fds, unsigned n);
int pa_path_start(struct pa_path *path);
void pa_path_send_control(struct pa_path *path, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
void pa_path_send_probe(struct pa_path *path, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
/* As pa_dp_ops. */
int pa_path_update(struct pa_path *path, const struct pa_dp_peer *peer);
int pa_path_stats(struct pa_path *path, const struct pa_addr *inner, struct pa_dp_stats *total, struct pa_dp_peer_stats *peer);
/* Gateway: all peers of a former process that there still are have been updated. Before pa_path_set_device. */
void pa_path_settle(struct pa_path *path);
/* Gateway: the rule about destinations has changed. */
void pa_path_refresh(struct pa_path *path);

/* "kernel" or "user": what carries packets now. why: if it is "user" though more was wanted, the reason, else "". Borrowed. */
const char *pa_path_name(const struct pa_path *path, const char **why);
/* Gateway: the relay beside it serves this address too; see pa_dp_kern_relayed. */
void pa_path_relayed(struct pa_path *path, const struct pa_addr *inner);
/* True if XDP helps (kern.accelerate). */
bool pa_path_accelerated(const struct pa_path *path);
/* True if packets are carried on when this process dies. */
bool pa_path_outlives(const struct pa_path *path);
/* Client: the port that a former process sent from, 0: none or not known. */
uint16_t pa_path_former_port(const struct pa_path *path);

#endif
