/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_nft.h"
#include "tunnel/tunneld_flows.h"

struct pa_tuntable {
	struct pa_nft *nft;
	char name[PA_RULESET_NAMELEN];
	int watch_fd;
	bool unknown; /* what a former process left has not been looked at */
	bool damaged; /* somebody deleted something of it */
	char *text;   /* what the kernel has by us; NULL: nothing */
};

int pa_tuntable_new(const char *device, struct pa_tuntable **ret, char err[PA_TUNTABLE_ERRLEN])
{
	struct pa_tuntable *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL) {
		(void)snprintf(err, PA_TUNTABLE_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	rc = pa_nft_watch_open(&t->watch_fd);
	if (rc < 0)
		(void)snprintf(err, PA_TUNTABLE_ERRLEN, "cannot watch the packet filter: %s; it needs CAP_NET_ADMIN and the kernel module "
			       "nf_tables", strerror(errno));
	else
		rc = pa_nft_open(&t->nft, err);
	if (rc < 0) {
		if (t->watch_fd > 0)
			close(t->watch_fd);
		free(t);
		return rc;
	}
	t->unknown = true;
	(void)pa_ruleset_table(device, t->name);
	*ret = t;
	return 0;
}

void pa_tuntable_free(struct pa_tuntable *t)
{
	if (t == NULL)
		return;
	close(t->watch_fd);
	pa_nft_close(t->nft);
	free(t->text);
	free(t);
}

static void forget_news(struct pa_tuntable *t)
{
	(void)pa_nft_watch_drain(t->watch_fd, t->name);
	t->damaged = false;
}

int pa_tuntable_clear(struct pa_tuntable *t, char err[PA_TUNTABLE_ERRLEN])
{
	int rc = pa_nft_delete(t->nft, t->name, err);

	if (rc < 0)
		return rc;
	free(t->text);
	t->text = NULL;
	t->unknown = false;
	forget_news(t);
	return 0;
}

/* Somebody may have set up a table of our name in another way, which ours cannot be laid over: then it is made anew. */
static int load(struct pa_tuntable *t, const char *text, char err[PA_TUNTABLE_ERRLEN])
{
	int rc = pa_nft_load(t->nft, text, err);
	char *anew;
	size_t len;

	if (rc == 0)
		return 0;
	len = strlen(text) + 128;
	anew = malloc(len);
	if (anew == NULL)
		return PA_ENOMEM;
	(void)snprintf(anew, len, "add table ip %s\ndelete table ip %s\n%s", t->name, t->name, text);
	rc = pa_nft_load(t->nft, anew, err);
	free(anew);
	return rc;
}

static int put(struct pa_tuntable *t, const char *text, const char *elements, char err[PA_TUNTABLE_ERRLEN])
{
	size_t len = strlen(text) + (elements != NULL ? strlen(elements) : 0) + 1;
	char *all = malloc(len), *kept = strdup(text);
	int rc = all != NULL && kept != NULL ? 0 : PA_ENOMEM;

	if (rc == 0) {
		(void)snprintf(all, len, "%s%s", text, elements != NULL ? elements : "");
		rc = load(t, all, err);
	} else {
		(void)snprintf(err, PA_TUNTABLE_ERRLEN, "out of memory");
	}
	free(all);
	if (rc < 0) {
		free(kept);
		return rc;
	}
	free(t->text);
	t->text = kept;
	t->unknown = false;
	forget_news(t);
	return 0;
}

int pa_tuntable_set(struct pa_tuntable *t, const struct pa_ruleset_input *in, const char *elements, char err[PA_TUNTABLE_ERRLEN])
{
	struct pa_text text;
	char *buf;
	int rc;

	if (!pa_ruleset_wanted(in)) {
		rc = t->text != NULL || t->unknown ? pa_tuntable_clear(t, err) : 0;
		return t->text != NULL ? rc : 0; /* a kernel without nftables has nothing of ours */
	}
	buf = malloc(PA_RULESET_TEXT_MAX);
	if (buf == NULL) {
		(void)snprintf(err, PA_TUNTABLE_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	pa_text_init(&text, buf, PA_RULESET_TEXT_MAX);
	pa_ruleset_write(in, &text);
	(void)pa_tuntable_drain(t);
	if (text.full) {
		(void)snprintf(err, PA_TUNTABLE_ERRLEN, "the packet filter's table would be longer than %d bytes; shorten the lists of "
			       "ports", PA_RULESET_TEXT_MAX);
		rc = PA_ETRUNC;
	} else if (elements == NULL && !t->damaged && t->text != NULL && strcmp(t->text, buf) == 0) {
		rc = 0;
	} else {
		rc = put(t, buf, elements, err);
	}
	free(buf);
	return rc;
}

bool pa_tuntable_is_tracked(struct pa_tuntable *t)
{
	return pa_nft_has_set(t->nft, t->name, PA_RULESET_BEFORE_SET);
}

int pa_tuntable_known(struct pa_tuntable *t, struct pa_flow **ret, size_t *ret_n)
{
	static const char *const sets[] = {"tcp_tunnel", "tcp_direct", PA_RULESET_BEFORE_SET};
	struct pa_flow *all = NULL;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct pa_flow *more, *joined;
		size_t n_more;
		int rc = pa_nft_flows(t->nft, t->name, sets[i], &more, &n_more);

		joined = rc == 0 ? reallocarray(all, n + n_more + 1, sizeof(*all)) : NULL;
		if (joined == NULL) {
			if (rc == 0)
				free(more);
			free(all);
			return rc < 0 ? rc : PA_ENOMEM;
		}
		all = joined;
		memcpy(all + n, more, n_more * sizeof(*more));
		n += n_more;
		free(more);
	}
	pa_flows_sort(all, n);
	*ret = all;
	*ret_n = n;
	return 0;
}

int pa_tuntable_fd(const struct pa_tuntable *t)
{
	return t->watch_fd;
}

bool pa_tuntable_drain(struct pa_tuntable *t)
{
	if (pa_nft_watch_drain(t->watch_fd, t->name) && t->text != NULL)
		t->damaged = true;
	return t->damaged;
}
