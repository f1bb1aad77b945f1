/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/setup.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/edge_file.h"
#include "common/err.h"

static int load_conf(const char *file, struct pa_brokerconf **ret, char err[PA_CONF_ERRLEN])
{
	char detail[PA_FILE_ERRLEN];
	char *text;
	size_t len;
	int rc = pa_file_read(file, false, &text, &len, detail);

	if (rc < 0) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s", detail);
		return rc;
	}
	rc = pa_brokerconf_parse(file, text, len, ret, err);
	free(text);
	return rc;
}

static int load_keys(const char *file, const char *conf_file, struct pa_keyring **ret, char err[PA_CONF_ERRLEN])
{
	char detail[PA_FILE_ERRLEN];
	struct pa_keyring *keys;
	int rc = pa_keyring_load(file, &keys, detail);

	if (rc < 0) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s%s (master-key-file of %s)", detail,
			       rc == PA_ENOTFOUND ? "; 'pubaddrctl key new' makes one" : "", conf_file);
		return rc;
	}
	if (pa_keyring_first(keys, PA_KEY_MASTER) == NULL) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s: holds no master key; 'pubaddrctl key new' makes one "
			       "(master-key-file of %s)", file, conf_file);
		pa_keyring_free(keys);
		return PA_EFORMAT;
	}
	*ret = keys;
	return 0;
}

static int find_users(const char *file, struct pa_setup *s, char err[PA_CONF_ERRLEN])
{
	const struct pa_string_list *users = &s->conf->socket_users;

	s->gid = (gid_t)-1;
	if (s->conf->socket_group[0] != '\0') {
		const struct group *g = getgrnam(s->conf->socket_group);

		if (g == NULL) {
			(void)snprintf(err, PA_CONF_ERRLEN, "%s: socket-group: no group \"%s\" on this machine; make it with "
				       "addgroup --system, or name another", file, s->conf->socket_group);
			return PA_EFORMAT;
		}
		s->gid = g->gr_gid;
	}
	for (size_t i = 0; i < users->n; i++) {
		const struct passwd *p = getpwnam(users->items[i]);

		if (p == NULL) {
			(void)snprintf(err, PA_CONF_ERRLEN, "%s: socket-users: no user \"%s\" on this machine; leave it out, or "
				       "install what makes it (Debian's kea-dhcp4-server makes _kea)", file, users->items[i]);
			return PA_EFORMAT;
		}
		s->uids[s->n_uids++] = p->pw_uid;
	}
	return 0;
}

int pa_setup_load(const char *file, struct pa_setup *ret, char err[PA_CONF_ERRLEN])
{
	struct pa_setup s;
	int rc;

	memset(&s, 0, sizeof(s));
	rc = load_conf(file, &s.conf, err);
	if (rc == 0)
		rc = load_keys(s.conf->master_key_file, file, &s.keys, err);
	if (rc == 0)
		rc = find_users(file, &s, err);
	if (rc < 0)
		pa_setup_clear(&s);
	else
		*ret = s;
	return rc;
}

void pa_setup_clear(struct pa_setup *s)
{
	pa_brokerconf_free(s->conf);
	pa_keyring_free(s->keys);
	memset(s, 0, sizeof(*s));
}

int pa_setup_test(const char *file, char err[PA_CONF_ERRLEN])
{
	struct pa_setup s;
	int rc = pa_setup_load(file, &s, err);

	if (rc == 0)
		pa_setup_clear(&s);
	return rc;
}
