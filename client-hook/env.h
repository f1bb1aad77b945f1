/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DHCP_ENV_H
#define PA_DHCP_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"

/*
 * What a DHCP client tells its script in the environment, read into one struct. dhclient and dhcpcd use the same names
 * (new_ip_address, ...); udhcpc has its own (ip, lease, ...), which count only when new_ip_address is not there. Pure; any thread.
 */
#define PA_DHCP_REASON_LEN 24 /* with NUL; longer than any known reason */
#define PA_DHCP_IFNAME_LEN 16 /* with NUL, as IFNAMSIZ */
#define PA_DHCP_LIST_MAX 8
#define PA_DHCP_ERRLEN 192
#define PA_DHCP_OPTION_DEFAULT "pubaddr-grant"

/* Where to look. All strings are borrowed; NULL has the meaning said. */
struct pa_dhcp_source {
	/*
	 * The option: a name as in dhclient.conf ("pubaddr-grant", read from new_pubaddr_grant) or a code ("224", read from
	 * opt224). NULL: the default name, else the default code.
	 */
	const char *option;
	const char *reason;    /* instead of the environment's; NULL: $reason */
	const char *interface; /* instead of the environment's; NULL: $interface */
};

/* A value type. grant contains a secret: wipe it (pa_dhcp_env_wipe) when done, and never log it. */
struct pa_dhcp_env {
	char reason[PA_DHCP_REASON_LEN];
	char interface[PA_DHCP_IFNAME_LEN]; /* checked: it may become part of a file name */
	uint8_t grant[PA_GRANT_MAX];
	size_t grant_len;    /* 0: the server sent none, or grant_error is set */
	int grant_error;     /* 0, or why the option's value could not be read: PA_ETRUNC, PA_EFORMAT */
	bool asked_known, asked; /* whether the client asked for the option; dhclient tells in requested_... */
	uint32_t lease_time; /* seconds; 0: not told */
	struct pa_addr address, server; /* none: not told */
	struct pa_addr routers[PA_DHCP_LIST_MAX], resolvers[PA_DHCP_LIST_MAX];
	size_t n_routers, n_resolvers;
	unsigned n_skipped; /* values that were no addresses, or one too many for their list */
};

/*
 * Reads envp ("NAME=VALUE", NULL-terminated). Returns 0, or PA_EINVAL with one line in err: there is no reason, or the
 * interface is missing or has a name that no interface has. *ret untouched then. What the server controls never makes it
 * fail: a bad option is noted in grant_error, a bad address is skipped and counted.
 */
int pa_dhcp_env_parse(char *const envp[], const struct pa_dhcp_source *src, struct pa_dhcp_env *ret,
		      char err[PA_DHCP_ERRLEN]);
/* Overwrites; the compiler cannot drop it. */
void pa_dhcp_env_wipe(struct pa_dhcp_env *env);

/*
 * The bytes of an option's value as a client prints it: unpadded hex with colons (dhclient), contiguous hex (dhcpcd,
 * udhcpc), else text with dhclient's escapes. What can be read as hex is hex: a grant begins with a byte that does not
 * print, so it never arrives as text. Returns the number of bytes written to dst, or PA_ETRUNC (nothing, or more than cap
 * bytes) or PA_EFORMAT; dst is unspecified then.
 */
int pa_dhcp_value_decode(const char *s, uint8_t *dst, size_t cap);

#endif
