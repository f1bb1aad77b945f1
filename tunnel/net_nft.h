/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_NFT_H
#define PA_NET_NFT_H

#include <stdbool.h>
#include <stddef.h>

#include "tunnel/ruleset.h"

/*
 * Our nftables table: its text goes to the kernel as one transaction, by libnftables. Blocking, but the kernel answers at once.
 * One thread for each struct pa_nft. Needs CAP_NET_ADMIN; the library reads names from /etc when it is opened.
 */
struct pa_nft;

#define PA_NFT_ERRLEN 256

/* PA_ENOMEM, or PA_ENOTSUP where there is no netlink socket for the packet filter; err says what and the remedy. */
int pa_nft_open(struct pa_nft **ret, char err[PA_NFT_ERRLEN]);
void pa_nft_close(struct pa_nft *nft);

/* Runs the whole text (nft(8)) or nothing of it. PA_EIO with the library's first complaint in err. */
int pa_nft_load(struct pa_nft *nft, const char *text, char err[PA_NFT_ERRLEN]);
/* Deletes "table ip NAME"; one that is absent is fine. */
int pa_nft_delete(struct pa_nft *nft, const char *table, char err[PA_NFT_ERRLEN]);
/* True if "table ip NAME" is there and has that set. */
bool pa_nft_has_set(struct pa_nft *nft, const char *table, const char *set);

/*
 * The elements of a set of "table ip NAME" whose key is our port . peer . its port, or protocol . our port . peer . its port; way is
 * left to the caller. *ret is the caller's to free. PA_EIO: it cannot be read.
 */
int pa_nft_flows(struct pa_nft *nft, const char *table, const char *set, struct pa_flow **ret, size_t *ret_n);

/* A socket that becomes readable when somebody, also we, changes the packet filter; non-blocking. PA_EIO, PA_EDENIED. */
int pa_nft_watch_open(int *ret_fd);
/*
 * Reads all that waits. True if "table ip NAME" or a chain, rule or set of it was deleted meanwhile, or notices were lost.
 * What one changes oneself is announced too: drain after it.
 */
bool pa_nft_watch_drain(int fd, const char *table);

#endif
