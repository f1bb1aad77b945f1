/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/pubaddr_sock.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"

int pa_sock_find(const char *run_dir, const char *iface, char ret[PA_SOCK_PATHLEN])
{
	char pattern[PA_SOCK_PATHLEN];
	glob_t found;
	int rc = 0;

	if (iface != NULL) {
		if (snprintf(ret, PA_SOCK_PATHLEN, "%s/tunneld-%s.sock", run_dir, iface) < PA_SOCK_PATHLEN)
			return 0;
		fprintf(stderr, "pubaddr: --interface: the name is too long\n");
		return PA_EINVAL;
	}
	if (snprintf(pattern, sizeof(pattern), "%s/tunneld-*.sock", run_dir) >= (int)sizeof(pattern)) {
		fprintf(stderr, "pubaddr: --run-dir: the name is too long\n");
		return PA_EINVAL;
	}
	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0) {
		fprintf(stderr, "pubaddr: no pubaddr-tunneld serves in %s; start it with: pubaddr-tunneld -i IFACE\n", run_dir);
		return PA_ENOTFOUND;
	}
	if (found.gl_pathc > 1) {
		fprintf(stderr, "pubaddr: there are several tunnels; say which with --interface IFACE\n");
		rc = PA_EINVAL;
	} else if (snprintf(ret, PA_SOCK_PATHLEN, "%s", found.gl_pathv[0]) >= PA_SOCK_PATHLEN) {
		fprintf(stderr, "pubaddr: %s: the name is too long\n", found.gl_pathv[0]);
		rc = PA_EINVAL;
	}
	globfree(&found);
	return rc;
}
