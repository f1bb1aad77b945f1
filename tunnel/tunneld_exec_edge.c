/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The commands exec-cgroup and exec-netns: the tunnel for one program. The program that asks is pubaddr exec, which goes on as the
 * program to be run; we start nothing, and give it nothing but a way to the tunnel.
 */
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_cgroup.h"
#include "tunnel/caller.h"
#include "tunnel/status_json.h"
#include "tunnel/tunneld_edge.h"

#define RUN_TEXT 512

static void refuse(struct pa_request *req, const char *reason)
{
	pa_log(PA_LOG_WARN, "exec.refused", "uid=%u pid=%d command=%s reason=\"%s\"", (unsigned)pa_request_uid(req),
	       (int)pa_request_pid(req), pa_request_name(req), reason);
	pa_request_replyf(req, PA_RESULT_ERROR, "%s", reason);
}

/* Everything that must be right for both commands; false after a reply. *ret_pidfd is the caller's to close. */
static bool admit(const struct pa_tunneld_parts *p, struct pa_request *req, struct pa_client_status *s, int *ret_pidfd)
{
	int fd;

	if (!pa_permit_allows(&p->conf->exec, req)) {
		refuse(req, "permission denied: only root, and whom \"exec\" in tunneld.conf names, may do this");
		return false;
	}
	pa_client_status_get(p->client, s);
	if (s->state != PA_CLIENT_BOUND || p->trouble[0] != '\0') {
		refuse(req, "there is no public address now; pubaddr status tells why");
		return false;
	}
	fd = pa_caller_hold(req);
	if (fd < 0) {
		refuse(req, "the process that connected cannot be found, or has ended");
		return false;
	}
	*ret_pidfd = fd;
	return true;
}

static void reply_started(const struct pa_tunneld_parts *p, struct pa_request *req, const struct pa_client_status *s)
{
	pa_log(PA_LOG_INFO, "exec.started", "uid=%u pid=%d command=%s", (unsigned)pa_request_uid(req), (int)pa_request_pid(req),
	       pa_request_name(req));
	pa_request_reply(req, PA_RESULT_SUCCESS, "", json_pack("{s:o, s:s, s:i}", "address", pa_addr_json(&s->claims.addr), "device",
							       p->conf->device, "mtu", (int)s->binding.mtu));
}

void pa_tunneld_exec_cgroup(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	char err[PA_TUNNELD_ERRLEN > PA_CGROUP_ERRLEN ? PA_TUNNELD_ERRLEN : PA_CGROUP_ERRLEN];
	struct pa_client_status s;
	bool own;
	int pidfd, rc;

	if (p.mark == NULL) {
		refuse(req, p.no_mark);
		return;
	}
	if (!admit(&p, req, &s, &pidfd))
		return;
	if (pa_tunnet_in_namespace(p.net)) {
		refuse(req, "a program in a network namespace has the public address (pubaddr exec --netns); wait for its end");
	} else if (pa_tunneld_after_namespace(t, err) < 0) {
		refuse(req, err);
	} else {
		rc = pa_cgroup_put(p.mark, p.conf->device, pa_request_pid(req), pa_request_uid(req), &own, err);
		if (rc == 0 && !pa_caller_alive(pidfd))
			refuse(req, "the process that asks has ended");
		else if (rc < 0 && own)
			pa_request_reply(req, PA_RESULT_ERROR, err, json_pack("{s:b, s:s}", "delegated", 1, "device", p.conf->device));
		else if (rc < 0)
			refuse(req, err);
		else
			reply_started(&p, req, &s);
	}
	close(pidfd);
}

void pa_tunneld_exec_netns(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_client_status s;
	char err[PA_TUNNELD_ERRLEN];
	int pidfd;

	if (!admit(&p, req, &s, &pidfd))
		return;
	if (!p.by_policy)
		refuse(req, "this host itself uses the public address; a namespace can have it only with the outbound mode \"policy\" "
			    "(tunneld.conf, or the broker's grant)");
	else if (pa_tunnet_in_namespace(p.net))
		refuse(req, "a program in another network namespace has the public address; start the second one from there");
	else if (pa_tunneld_give_namespace(t, pa_request_pid(req), err) < 0)
		refuse(req, err);
	else if (!pa_caller_alive(pidfd))
		refuse(req, "the process that asks has ended");
	else
		reply_started(&p, req, &s);
	close(pidfd);
}
