/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_NET_H
#define PA_TUNNELD_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "tunnel/net_lan.h"
#include "tunnel/ruleset.h"

/*
 * The client host's network set-up: the encapsulation device, P on it, routes and rules (plan.h), the packet filter's table
 * (ruleset.h), and the view of the LAN.
 * Three states: absent (no trace of us), up, and lost (no gateway: device and P stay, so that connections survive a short
 * outage, but nothing new goes there). One thread; blocking, but the kernel answers at once.
 */
struct pa_tunnet;

#define PA_TUNNET_ERRLEN 256

struct pa_tunnet_config {
	const char *iface, *device; /* LAN interface, encapsulation device; copied */
	uint32_t table, priority, mark;
	struct pa_addr adopt; /* P of a former process that died: its set-up is taken over; none: no trace of it is left */
	uint16_t adopt_mtu;
	const char *run_dir; /* where the former values of kernel settings are kept; copied. NULL: no mode native or auto */
};

/*
 * Opens netlink and adopts what a former process left, so that its state is up until pa_tunnet_up says in which way exactly,
 * or removes it. PA_EEXIST: another process holds the device. err says what and the remedy.
 */
int pa_tunnet_new(const struct pa_tunnet_config *cfg, struct pa_tunnet **ret, char err[PA_TUNNET_ERRLEN]);
/* Absent, and frees. */
void pa_tunnet_free(struct pa_tunnet *net);

struct pa_tunnet_want {
	struct pa_addr addr;	/* P, IPv4 */
	struct pa_addr gateway; /* reached by the LAN */
	uint16_t mtu;
	const struct pa_addr *lan_hosts; /* routers, resolvers, DHCP server */
	size_t n_lan_hosts;
	enum pa_outbound mode;
	const struct pa_auto_ports *ports; /* for the mode auto; borrowed for the call */
	struct pa_ruleset_part inbound; /* who may come in; its ctx is borrowed for the call */
};

/* To up, or from up to other values; only what differs is touched. After a failure call pa_tunnet_down. */
int pa_tunnet_up(struct pa_tunnet *net, const struct pa_tunnet_want *want, char err[PA_TUNNET_ERRLEN]);
/* False if the device has been removed by somebody else. Then call pa_tunnet_down, and pa_tunnet_up makes it again. */
bool pa_tunnet_present(const struct pa_tunnet *net);
/* To lost, or nothing if absent. */
void pa_tunnet_lost(struct pa_tunnet *net);
/* To absent. */
void pa_tunnet_down(struct pa_tunnet *net);

/*
 * Readable when the packet filter has changed, or -1: it cannot be watched. It stays the same until pa_tunnet_free. Then ask
 * pa_tunnet_filter_damaged; if that says yes, somebody deleted what is ours, and pa_tunnet_up brings it back.
 */
int pa_tunnet_filter_fd(const struct pa_tunnet *net);
bool pa_tunnet_filter_damaged(struct pa_tunnet *net);

/*
 * P for the network namespace of process pid, in place of the host: makes the way there (net_veth.h), and the next pa_tunnet_up
 * leads P to it; when the namespace has ended, pa_tunnet_up brings P back. mtu: the largest that the path may have while it lasts, for
 * nobody can change it there later; the device's own, when it is less, is told by ICMP, as by any router. take: removes the way. PA_EEXIST: another one has it;
 * PA_ENOTFOUND: nothing is up. err says what and the remedy.
 */
int pa_tunnet_give_namespace(struct pa_tunnet *net, pid_t pid, uint16_t mtu, char err[PA_TUNNET_ERRLEN]);
void pa_tunnet_take_namespace(struct pa_tunnet *net);
bool pa_tunnet_in_namespace(const struct pa_tunnet *net);
/* True if the namespace has gone, and the routes still say that it has P: pa_tunnet_up brings it to the host. */
bool pa_tunnet_namespace_ended(const struct pa_tunnet *net);

/* Whether packets are carried on when this process dies: if so, the device's routes count without it too. */
void pa_tunnet_outlives(struct pa_tunnet *net, bool outlives);
/* The device's interface index, 0 while absent. */
int pa_tunnet_ifindex(const struct pa_tunnet *net);
/* The device's descriptor, or -1 while absent. It changes with pa_tunnet_up after pa_tunnet_down. */
int pa_tunnet_fd(const struct pa_tunnet *net);
/*
 * The mode that is in force while up: what was wanted, but policy instead of all others when the default route leaves by another
 * interface, of another VPN, say (pa_tunnet_default_elsewhere), and while a network namespace has P.
 */
enum pa_outbound pa_tunnet_mode(const struct pa_tunnet *net);
bool pa_tunnet_default_elsewhere(const struct pa_tunnet *net);
/* True if programs that do not choose an address get P: not in the mode policy. */
bool pa_tunnet_has_default(const struct pa_tunnet *net);

/* Reads the LAN anew. *ret_changed: the interface, its addresses or its routers differ from the last reading. */
int pa_tunnet_refresh(struct pa_tunnet *net, bool *ret_changed);
/* The last reading. Borrowed. */
const struct pa_lan *pa_tunnet_lan(const struct pa_tunnet *net);

#endif
