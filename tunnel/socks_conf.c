/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/socks_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/conf_values.h"

#define CREDENTIALS "credentials"

static void read_users(const struct pa_node *n, struct pa_permit *ret)
{
	size_t count = pa_node_list(n, "users", false);

	if (count > PA_PERMIT_MAX) {
		pa_node_fail(n, "users", "expected at most %d names, got %zu; ask for passwords (\"credentials\") if there are more",
			     PA_PERMIT_MAX, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		ret->users[i] = pa_node_item_string(n, "users", i);
		if (*ret->users[i] == '\0')
			pa_node_fail(n, "users", "item %zu: expected a name", i);
	}
	ret->n_users = count;
}

int pa_socks_conf_read(const struct pa_node *root, struct pa_socks_conf *ret)
{
	static const char *const keys[] = {"listen", "users", CREDENTIALS, NULL};
	struct pa_node n = pa_node_object(root, "socks", false);

	memset(ret, 0, sizeof(*ret));
	ret->on = pa_node_has(root, "socks");
	if (!ret->on)
		return 0;
	pa_node_only(&n, keys);
	ret->listen = (struct pa_endpoint){pa_addr_from_ipv4(0x7f000001), PA_SOCKS_PORT};
	if (pa_node_endpoint(&n, "listen", false, PA_SOCKS_PORT, &ret->listen) &&
	    pa_addr_classify(&ret->listen.addr) != PA_ADDR_LOOPBACK)
		pa_node_fail(&n, "listen", "expected an address of this host alone, such as \"127.0.0.1:%d\": whoever reaches the port "
			     "could use the public address", PA_SOCKS_PORT);
	read_users(&n, &ret->users);
	return pa_node_has(&n, CREDENTIALS) ? pa_conf_path(&n, CREDENTIALS, "", &ret->credentials) : 0;
}

static int read_credentials(struct pa_socks_conf *c, const struct pa_conf *conf, char err[PA_SOCKS_CONF_ERRLEN])
{
	char place[PA_CONF_PLACELEN], why[PA_FILE_ERRLEN > PA_SOCKS5_USERS_ERRLEN ? PA_FILE_ERRLEN : PA_SOCKS5_USERS_ERRLEN];
	char *text = NULL;
	size_t len = 0;
	int rc = pa_cred_init();

	if (rc < 0)
		(void)snprintf(why, sizeof(why), "the system has no random numbers");
	else
		rc = pa_file_read(c->credentials, true, &text, &len, why);
	if (rc == 0) {
		rc = pa_socks5_users_parse(c->credentials, text, len, &c->who, why);
		pa_wipe(text, len);
		free(text);
	}
	if (rc < 0)
		(void)snprintf(err, PA_SOCKS_CONF_ERRLEN, "%s%s", pa_conf_place(conf, "socks." CREDENTIALS, place), why);
	return rc;
}

int pa_socks_conf_resolve(struct pa_socks_conf *c, const struct pa_conf *conf, char err[PA_SOCKS_CONF_ERRLEN])
{
	char why[PA_PERMIT_ERRLEN];
	int rc;

	if (!c->on)
		return 0;
	rc = pa_permit_resolve(&c->users, conf, "socks", why);
	if (rc < 0) {
		(void)snprintf(err, PA_SOCKS_CONF_ERRLEN, "%s", why);
		return rc;
	}
	return c->credentials != NULL ? read_credentials(c, conf, err) : 0;
}

void pa_socks_conf_clear(struct pa_socks_conf *c)
{
	pa_socks5_users_free(c->who);
	free(c->credentials);
	memset(c, 0, sizeof(*c));
}

bool pa_socks_conf_allows(const struct pa_socks_conf *c, uid_t uid)
{
	if (uid == 0)
		return true;
	for (size_t i = 0; i < c->users.n_users; i++)
		if (c->users.uids[i] == uid)
			return true;
	return false;
}
