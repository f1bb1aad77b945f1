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

static int load_keys(const struct pa_brokerconf *conf, uid_t user, struct pa_keyring **ret, char err[PA_CONF_ERRLEN])
{
	char detail[PA_FILE_ERRLEN], place[PA_CONF_PLACELEN];
	const char *file = conf->master_key_file;
	struct pa_keyring *keys;
	int rc = pa_keyring_load_as(file, user, &keys, detail);

	(void)pa_conf_place(conf->source, "master-key-file", place);
	if (rc < 0) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s%s%s", place, detail,
			       rc == PA_ENOTFOUND ? "; 'pubaddrctl key new' makes one" : "");
		return rc;
	}
	if (pa_keyring_first(keys, PA_KEY_MASTER) == NULL) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s%s: holds no master key; 'pubaddrctl key new' makes one",
			       place, file);
		pa_keyring_free(keys);
		return PA_EFORMAT;
	}
	*ret = keys;
	return 0;
}

static int find_user(struct pa_setup *s, char err[PA_CONF_ERRLEN])
{
	const char *name = s->conf->user;
	char place[PA_CONF_PLACELEN];
	const struct passwd *p;

	s->user_uid = (uid_t)-1;
	if (name[0] == '\0')
		return 0;
	p = getpwnam(name);
	if (p == NULL) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%sno user \"%s\" on this machine; make it with adduser --system --group, or "
			       "name another", pa_conf_place(s->conf->source, "user", place), name);
		return PA_EFORMAT;
	}
	s->user_uid = p->pw_uid;
	s->user_gid = p->pw_gid;
	return 0;
}

static int find_group(struct pa_setup *s, char err[PA_CONF_ERRLEN])
{
	const char *name = s->conf->socket_group;
	char place[PA_CONF_PLACELEN];
	const struct group *g;

	s->gid = (gid_t)-1;
	if (name[0] == '\0')
		return 0;
	g = getgrnam(name);
	if (g == NULL) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%sno group \"%s\" on this machine; make it with addgroup --system, or "
			       "name another", pa_conf_place(s->conf->source, "socket-group", place), name);
		return PA_EFORMAT;
	}
	s->gid = g->gr_gid;
	return 0;
}

static int find_users(struct pa_setup *s, char err[PA_CONF_ERRLEN])
{
	const struct pa_string_list *users = &s->conf->socket_users;

	for (size_t i = 0; i < users->n; i++) {
		const struct passwd *p = getpwnam(users->items[i]);
		char path[32], place[PA_CONF_PLACELEN];

		if (p == NULL) {
			(void)snprintf(path, sizeof(path), "socket-users[%zu]", i);
			(void)snprintf(err, PA_CONF_ERRLEN, "%sno user \"%s\" on this machine; leave it out, or install what "
				       "makes it (Debian's kea-dhcp4-server makes _kea)",
				       pa_conf_place(s->conf->source, path, place), users->items[i]);
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
		rc = find_user(&s, err);
	if (rc == 0)
		rc = load_keys(s.conf, s.user_uid, &s.keys, err);
	if (rc == 0)
		rc = find_group(&s, err);
	if (rc == 0)
		rc = find_users(&s, err);
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
