/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The commands exec-cgroup and exec-netns: the tunnel for one program. The program that asks is pubaddr exec, which goes on as the
 * program to be run; we start nothing, and give it nothing but a way to the tunnel.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_cgroup.h"
#include "tunnel/caller.h"
#include "tunnel/status_json.h"
#include "tunnel/tunneld_edge.h"

static void refuse(struct pa_tunneld *t, struct pa_request *req, const char *reason)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	unsigned held;

	if (pa_tunneld_may_log(&p, &held))
		pa_log(PA_LOG_WARN, "exec.refused", "uid=%u pid=%d command=%s reason=\"%s\" held-back=%u", (unsigned)pa_request_uid(req),
		       (int)pa_request_pid(req), pa_request_name(req), reason, held);
	pa_request_replyf(req, PA_RESULT_ERROR, "%s", reason);
}

/* One program that is to be started: the request is answered when the host has P, or is not going to have it. */
struct start {
	struct pa_tunneld *t;
	struct pa_request *req;
	struct pa_tunwant *want;
	int pidfd;
	void (*fn)(struct pa_tunneld *t, struct pa_request *req, const struct pa_client_status *s, int pidfd);
};

static void reply_started(const struct pa_tunneld_parts *p, struct pa_request *req, const struct pa_client_status *s)
{
	unsigned held;

	if (pa_tunneld_may_log(p, &held))
		pa_log(PA_LOG_INFO, "exec.started", "uid=%u pid=%d command=%s held-back=%u", (unsigned)pa_request_uid(req),
		       (int)pa_request_pid(req), pa_request_name(req), held);
	pa_tundemand_program(p->demand);
	pa_request_reply(req, PA_RESULT_SUCCESS, "", json_pack("{s:o, s:s, s:i}", "address", pa_addr_json(&s->claims.addr), "device",
							       p->conf->device, "mtu", (int)s->binding.mtu));
}

static void start_cgroup(struct pa_tunneld *t, struct pa_request *req, const struct pa_client_status *s, int pidfd)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	char err[PA_TUNNELD_ERRLEN > PA_CGROUP_ERRLEN ? PA_TUNNELD_ERRLEN : PA_CGROUP_ERRLEN];
	bool own;
	int rc;

	if (pa_tunnet_in_namespace(p.net)) {
		refuse(t, req, "a program in a network namespace has the public address (pubaddr exec --netns); wait for its end");
	} else if (pa_tunneld_after_namespace(t, err) < 0) {
		refuse(t, req, err);
	} else {
		rc = pa_cgroup_put(p.mark, p.conf->device, pa_request_pid(req), pa_request_uid(req), &own, err);
		if (rc == 0 && !pa_caller_alive(pidfd))
			refuse(t, req, "the process that asks has ended");
		else if (rc < 0 && own)
			pa_request_reply(req, PA_RESULT_ERROR, err, json_pack("{s:b, s:s}", "delegated", 1, "device", p.conf->device));
		else if (rc < 0)
			refuse(t, req, err);
		else
			reply_started(&p, req, s);
	}
}

static void start_netns(struct pa_tunneld *t, struct pa_request *req, const struct pa_client_status *s, int pidfd)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	char err[PA_TUNNELD_ERRLEN];

	if (!p.by_policy)
		refuse(t, req, "this host itself uses the public address; a namespace can have it only with the outbound mode \"policy\" "
			    "(tunneld.conf, or the broker's grant)");
	else if (pa_tunnet_in_namespace(p.net))
		refuse(t, req, "a program in another network namespace has the public address; start the second one from there");
	else if (pa_tunneld_give_namespace(t, pa_request_pid(req), err) < 0)
		refuse(t, req, err);
	else if (!pa_caller_alive(pidfd))
		refuse(t, req, "the process that asks has ended");
	else
		reply_started(&p, req, s);
}

static void on_address(void *ctx, int error, const struct pa_addr *addr, const char *why)
{
	struct start *start = ctx;
	struct pa_client_status s;

	(void)addr;
	if (error < 0) {
		refuse(start->t, start->req, why);
	} else {
		pa_client_status_get(pa_tunneld_parts_of(start->t).client, &s);
		start->fn(start->t, start->req, &s, start->pidfd);
	}
	close(start->pidfd);
	pa_tundemand_unwant(start->want); /* the program itself counts from now on */
	free(start);
}

/* Everything that must be right for both commands, at once; then the program is started, now or when there is an address. */
static void admit(struct pa_tunneld *t, struct pa_request *req,
		  void (*fn)(struct pa_tunneld *t, struct pa_request *req, const struct pa_client_status *s, int pidfd))
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct start *start;
	int fd;

	if (!pa_permit_allows(&p.conf->exec, req)) {
		refuse(t, req, "permission denied: only root, and whom \"exec\" in tunneld.conf names, may do this");
		return;
	}
	fd = pa_caller_hold(req);
	if (fd < 0) {
		refuse(t, req, "the process that connected cannot be found, or has ended");
		return;
	}
	start = calloc(1, sizeof(*start));
	if (start == NULL) {
		refuse(t, req, pa_strerror(PA_ENOMEM));
		close(fd);
		return;
	}
	*start = (struct start){.t = t, .req = req, .pidfd = fd, .fn = fn};
	if (pa_tundemand_want(p.demand, PA_TUNWANT_BOUND, on_address, start, &start->want) < 0) {
		refuse(t, req, pa_strerror(PA_ENOMEM));
		close(fd);
		free(start);
	}
}

void pa_tunneld_exec_cgroup(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);

	if (p.mark == NULL)
		refuse(t, req, p.no_mark);
	else
		admit(t, req, start_cgroup);
}

void pa_tunneld_exec_netns(struct pa_tunneld *t, struct pa_request *req)
{
	admit(t, req, start_netns);
}
