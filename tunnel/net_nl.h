/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_NL_H
#define PA_NET_NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Requests to the kernel's routing tables over rtnetlink. Blocking, but the kernel answers at once. One thread for each
 * struct pa_nl. Errors are PA_EEXIST (the kernel's EEXIST), PA_ENOTFOUND (ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL), PA_EDENIED
 * (EPERM, EACCES), PA_ENOTSUP (EOPNOTSUPP) or PA_EIO, with errno as the kernel gave it.
 */
struct pa_nl;
struct nlmsghdr;
struct nlattr;

#define PA_NL_BUFLEN 8192 /* enough for a request built by a caller */

int pa_nl_open(struct pa_nl **ret);
void pa_nl_close(struct pa_nl *nl);

/*
 * Begins a request about one interface, RTM_NEWLINK (0: a new one) or RTM_DELLINK, in buf of PA_NL_BUFLEN; flags (IFF_UP, say)
 * are to be set, all others stay. The caller adds attributes.
 */
struct nlmsghdr *pa_nl_put_link(char *buf, uint16_t type, int ifindex, unsigned flags);
/* Adds to it that the interface makes no link-local address and sends no router solicitations: P is IPv4. */
void pa_nl_put_no_ipv6(struct nlmsghdr *msg);
/* Sends one request (its flags get REQUEST and ACK) and waits for the acknowledgement. */
int pa_nl_request(struct pa_nl *nl, struct nlmsghdr *msg);
/*
 * Sends requests that stand one behind the other (each aligned; len octets in all) as one message and waits until all are done.
 * refused: request number i was not; error: an errno value. An error is returned when the kernel's word did not come.
 */
int pa_nl_batch(struct pa_nl *nl, char *msgs, size_t len, void (*refused)(void *arg, unsigned i, int error), void *arg);
/* Sends one request and hands each message of the answer to fn until the end; fn returns 0, or a negative code that ends it. */
int pa_nl_dump(struct pa_nl *nl, struct nlmsghdr *msg, int (*fn)(const struct nlmsghdr *msg, void *arg), void *arg);

/*
 * The same for a dump of everything of one kind (RTM_GETROUTE, say) and address family: header is the length of that kind's own
 * header, which is zero but for the family, its first octet.
 */
int pa_nl_dump_all(struct pa_nl *nl, uint16_t type, uint8_t family, size_t header,
		   int (*fn)(const struct nlmsghdr *msg, void *arg), void *arg);

/* The attribute after attr (NULL: the first one) of a message whose own header has header bytes; NULL at the end. Borrowed. */
const struct nlattr *pa_nl_attr_next(const struct nlmsghdr *msg, size_t header, const struct nlattr *attr);
#define PA_NL_EACH_ATTR(attr, msg, header)                                                                             \
	for ((attr) = pa_nl_attr_next(msg, header, NULL); (attr) != NULL; (attr) = pa_nl_attr_next(msg, header, attr))

/*
 * A socket that becomes readable when IPv4 addresses change, and with paths also when links, routes or rules do;
 * non-blocking. drain reads all that
 * waits and tells whether there was anything (also after an overrun, when notices were lost).
 */
int pa_nl_monitor_open(bool paths, int *ret_fd);
bool pa_nl_monitor_drain(int fd);

/*
 * From now on the kernel honours what the header of a dump request asks for (a table, say) instead of sending everything.
 * Older kernels (before 4.20) go on sending everything: the receiver has to look in any case.
 */
void pa_nl_filter_dumps(struct pa_nl *nl);

/* The index of an interface, or PA_ENOTFOUND. */
int pa_nl_ifindex(const char *name);

#endif
