/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_USER_INT_H
#define PA_DP_USER_INT_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include "tunnel/dp.h"
#include "tunnel/dp_cut.h"
#include "tunnel/dp_gso.h"
#include "tunnel/dp_join.h"
#include "tunnel/dp_peers.h"
#include "tunnel/dp_steer.h"

/*
 * What the files of the userspace data path share; nobody else includes it.
 *
 * A lane moves packets between one queue of the device and one socket for each local address. A client has one lane, on the
 * loop's thread, as has a gateway with one processor. Otherwise each lane has a thread, and each binding belongs to one lane
 * (dp_steer.h), whose thread alone moves its packets. The loop's thread changes bindings and reads counters; both are guarded
 * by the lane's lock, which a lane's thread holds for a look-up, and never during a system call. What a lane's thread cannot decide
 * goes to the loop's thread by dp_up.c. So there is no order of locks to get wrong: nobody holds two, or calls out with one.
 */
#define PA_RX_BATCH 16 /* messages for each call; each may hold many datagrams */
#define PA_RX_BATCH_MAX 64 /* the same, of control messages */
#define PA_TX_MSGS 128
#define PA_TX_IOVS 512
#define PA_TX_HEADERS 256
#define PA_TX_DATA (256u << 10) /* octets read from the device before they are sent; several packets of 64 KB */
#define PA_TX_READ_MAX (65536 + 64)
#define PA_LAN_MAX 192
#define PA_DP_ROUNDS 4 /* batches for each wake-up, so that one busy descriptor does not starve the others */

/* Room to receive in, for one thread. */
struct pa_rx {
	struct pa_dp *dp;
	bool on_loop; /* this thread may call the events */
	uint64_t now_ms; /* boot time of the batch */
	unsigned batch; /* messages for each call at most */
	struct mmsghdr msgs[PA_RX_BATCH_MAX];
	struct iovec iovs[PA_RX_BATCH_MAX];
	struct sockaddr_storage addrs[PA_RX_BATCH_MAX];
	union pa_gso_control controls[PA_RX_BATCH_MAX];
	uint8_t *data;
	struct pa_join join;
};

/* One call to the kernel: datagrams of one length to one address. The last may be shorter, then no more can come. */
struct pa_tx_msg {
	struct sockaddr_storage to;
	socklen_t to_len;
	unsigned local;
	struct iovec *iov;
	unsigned per;	/* iovecs for each datagram */
	unsigned n;	/* datagrams */
	size_t each;	/* length of the first */
	uint8_t tos;	/* of the outer packets: all of one class */
	size_t bytes;	/* of all */
	bool closed, single; /* single: the kernel refused it as one, so they go one by one */
};

struct pa_tx {
	struct pa_tx_msg msgs[PA_TX_MSGS];
	unsigned at, n; /* from at to n waits to be sent */
	struct iovec iovs[PA_TX_IOVS];
	unsigned n_iovs;
	struct mmsghdr out[PA_TX_MSGS];
	union pa_gso_control controls[PA_TX_MSGS];
	uint8_t (*headers)[PA_CUT_HEADER_MAX];
	unsigned n_headers;
	uint8_t *data;
	size_t used;
	bool cutting; /* cut is a packet that had not room in one batch; target is its peer */
	struct pa_cut cut;
	struct pa_tx_msg target;
};

struct pa_lane_sock {
	struct pa_lane *lane;
	int fd; /* -1: none */
	bool gso; /* UDP_SEGMENT works */
	uv_poll_t *poll;
};

struct pa_lane {
	struct pa_dp *dp;
	uv_loop_t *loop;
	int tun; /* -1: none */
	bool vnet; /* packets have a struct virtio_net_hdr before them */
	uv_poll_t *tun_poll;
	struct pa_lane_sock socks[PA_DP_SOCKETS_MAX];
	struct pa_rx *rx;
	struct pa_tx *tx;
	uv_mutex_t lock; /* guards peers, deny, others and total */
	struct pa_peers *peers;
	struct pa_deny deny;
	struct pa_dp_others others;
	struct pa_dp_stats total;
	uv_loop_t own_loop;
	uv_async_t stop;
	uv_thread_t thread;
	bool has_lock, has_loop, has_thread;
};

struct pa_dp {
	struct pa_dp_config cfg;
	struct pa_lane *lanes[PA_DP_LANES_MAX];
	unsigned n_lanes;
	bool threads;
	struct pa_up *up; /* NULL: no threads */
	struct pa_control *control;
	uint64_t control_errors;
	/* client, all on the loop's thread */
	struct pa_peer gateway;	    /* inner is P; none when there is none */
	struct pa_endpoint drained; /* the former gateway */
	uint64_t drained_until;	    /* uv_now */
	struct pa_ingress ingress;
	struct pa_prefix lan[PA_LAN_MAX];
};

/* ---- dp_lane.c: polls and threads ---- */

int pa_lane_new(struct pa_dp *dp, unsigned number, int tun, struct pa_lane **ret);
/* Ends its thread, if it has one. */
void pa_lane_free(struct pa_lane *l);
int pa_lane_start(struct pa_lane *l);
int pa_lane_set_tun(struct pa_lane *l, int fd);
int pa_lane_set_socket(struct pa_lane *l, unsigned local, int fd);
/* Waits for room in socket s before more is read from the device. */
void pa_lane_hold_back(struct pa_lane *l, struct pa_lane_sock *s);
/* The lane of a public address. */
struct pa_lane *pa_lane_of(const struct pa_dp *dp, const struct pa_addr *inner);
/*
 * Under the lock. The peer of a public address of this lane; *copy is for one that another data path keeps. NULL: there is none.
 * take: n packets of bytes octets in all to (tx) or from it at boot time now_ms: counts them, or false: they are above its rate.
 */
struct pa_peer *pa_lane_peer(struct pa_lane *l, const struct pa_addr *inner, struct pa_peer *copy);
bool pa_lane_take(struct pa_lane *l, struct pa_peer *p, uint64_t now_ms, bool tx, unsigned n, size_t bytes);
int pa_poll_start(uv_loop_t *loop, int fd, void *data, uv_poll_cb cb, uv_poll_t **ret);
void pa_poll_stop(uv_poll_t **poll);

/* ---- dp_rx.c: tunnel to device ---- */

/* batch: messages for each call at most, up to PA_RX_BATCH_MAX. */
int pa_rx_new(struct pa_dp *dp, bool on_loop, unsigned batch, struct pa_rx **ret);
void pa_rx_free(struct pa_rx *rx);
/* Reads one batch of up to max from fd; returns how many messages of the kernel these were, less than max: no more. lane: whose device. */
int pa_rx_batch(struct pa_rx *rx, struct pa_lane *lane, int fd, unsigned local, unsigned max, unsigned *refused);

/* ---- dp_tx.c: device to tunnel ---- */

int pa_tx_new(struct pa_tx **ret);
void pa_tx_free(struct pa_tx *tx);
void pa_tx_reset(struct pa_tx *tx);
/* Reads one batch; true if there may be more. Only when nothing waits to be sent. */
bool pa_tx_fill(struct pa_lane *l);
/* Sends what waits. False if it still waits, for a socket that has no room. */
bool pa_tx_send(struct pa_lane *l);

/* ---- dp_up.c: from a lane's thread to the loop's ---- */

int pa_up_new(struct pa_dp *dp, struct pa_up **ret);
void pa_up_free(struct pa_up *up);
/* False if there is no room: the thread of the loop has more to do than it can. */
bool pa_up_control(struct pa_up *up, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len);
bool pa_up_foreign(struct pa_up *up, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len);

/* ---- dp_control.c: the sockets for control messages alone ---- */

int pa_control_new(struct pa_dp *dp, struct pa_control **ret);
void pa_control_free(struct pa_control *c);
/* fds: PA_STEER_DATA sockets, by what they are for. */
int pa_control_set(struct pa_control *c, unsigned local, const int *fds);
void pa_control_use_gro(struct pa_control *c, unsigned local, bool on);
/* While a batch is being received: takes a message that goes out behind it. False: it is to be sent now. */
bool pa_control_collect(struct pa_control *c, int fd, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
/* The socket to send control messages by, or -1. */
int pa_control_fd(const struct pa_control *c, unsigned local);

#endif
