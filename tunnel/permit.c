/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/permit.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"

#define GROUPS_MAX 1024

static size_t read_names(const struct pa_node *n, const char *key, const char **ret)
{
	size_t count = pa_node_list(n, key, false);

	if (count > PA_PERMIT_MAX) {
		pa_node_fail(n, key, "expected at most %d names, got %zu; make a group for more", PA_PERMIT_MAX, count);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		ret[i] = pa_node_item_string(n, key, i);
		if (*ret[i] == '\0')
			pa_node_fail(n, key, "item %zu: expected a name", i);
	}
	return count;
}

void pa_permit_read(const struct pa_node *n, const char *key, struct pa_permit *ret)
{
	static const char *const keys[] = {"users", "groups", NULL};
	struct pa_node o = pa_node_object(n, key, false);

	memset(ret, 0, sizeof(*ret));
	pa_node_only(&o, keys);
	ret->n_users = read_names(&o, "users", ret->users);
	ret->n_groups = read_names(&o, "groups", ret->groups);
}

static int unknown(const struct pa_conf *conf, const char *key, const char *list, size_t i, const char *name,
		   char err[PA_PERMIT_ERRLEN])
{
	char path[48], place[PA_CONF_PLACELEN];

	(void)snprintf(path, sizeof(path), "%.16s.%s[%zu]", key, list, i);
	(void)snprintf(err, PA_PERMIT_ERRLEN, "%sno %.*s \"%.40s\" on this machine; make it, or leave it out",
		       pa_conf_place(conf, path, place), (int)strlen(list) - 1, list, name);
	return PA_EFORMAT;
}

int pa_permit_resolve(struct pa_permit *p, const struct pa_conf *conf, const char *key, char err[PA_PERMIT_ERRLEN])
{
	for (size_t i = 0; i < p->n_users; i++) {
		const struct passwd *pw = getpwnam(p->users[i]);

		if (pw == NULL)
			return unknown(conf, key, "users", i, p->users[i], err);
		p->uids[i] = pw->pw_uid;
	}
	for (size_t i = 0; i < p->n_groups; i++) {
		const struct group *gr = getgrnam(p->groups[i]);

		if (gr == NULL)
			return unknown(conf, key, "groups", i, p->groups[i], err);
		p->gids[i] = gr->gr_gid;
	}
	return 0;
}

bool pa_permit_allows(const struct pa_permit *p, const struct pa_request *req)
{
	uid_t uid = pa_request_uid(req);

	if (uid == 0)
		return true;
	for (size_t i = 0; i < p->n_users; i++)
		if (p->uids[i] == uid)
			return true;
	for (size_t i = 0; i < p->n_groups; i++)
		if (pa_request_in_group(req, p->gids[i]))
			return true;
	return false;
}

bool pa_permit_allows_peer(const struct pa_permit *p, int fd)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups), cred_len = sizeof(struct ucred);
	struct ucred cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) < 0)
		return false;
	if (cred.uid == 0)
		return true;
	for (size_t i = 0; i < p->n_users; i++)
		if (p->uids[i] == cred.uid)
			return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		len = 0; /* also somebody with more groups than fit: none of them counts */
	for (size_t i = 0; i < p->n_groups; i++) {
		if (p->gids[i] == cred.gid)
			return true;
		for (size_t k = 0; k < len / sizeof(groups[0]); k++)
			if (p->gids[i] == groups[k])
				return true;
	}
	return false;
}
