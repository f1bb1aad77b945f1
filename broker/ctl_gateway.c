/* SPDX-License-Identifier: MPL-2.0 */
/* What pubaddrctl has to say to gateways, by the broker or at their own socket. */
#include <string.h>
#include <time.h>

#include "broker/ctl.h"

#define HEARD_MS 10000
#define POLL_MS 100

/* The broker's word of a gateway: 1 it is being emptied, 0 not; -1 it does not answer. */
static int is_drained(const struct pa_ctl *ctl, const char *name)
{
	const json_t *item;
	json_t *reply;
	size_t i;
	int ret = -1;

	if (pa_ctl_ask(ctl, "status-get", NULL, &reply) != PA_CTL_OK)
		return -1;
	json_array_foreach (json_object_get(reply, "gateways"), i, item) {
		const char *s = json_string_value(json_object_get(item, "name"));

		if (s != NULL && strcmp(s, name) == 0)
			ret = json_is_true(json_object_get(item, "drained")) ? 1 : 0;
	}
	json_decref(reply);
	return ret;
}

int pa_ctl_gateway_drain(const struct pa_ctl *ctl, const char *gateway, bool drain)
{
	struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	json_t *reply;
	const char *name;
	int rc = pa_ctl_ask(ctl, "gateway-drain", json_pack("{s:s, s:b}", "gateway", gateway, "drain", (int)drain), &reply), now;

	if (rc != PA_CTL_OK)
		return rc;
	name = json_string_value(json_object_get(reply, "name")); /* only the broker's answer has one */
	now = json_is_true(json_object_get(reply, "drained")) ? 1 : 0;
	for (int left = HEARD_MS; name != NULL && now >= 0 && now != (drain ? 1 : 0); left -= POLL_MS) {
		if (left <= 0) {
			json_decref(reply);
			return pa_ctl_fail(ctl, "the gateway was told, but has not done it within 10 s; its log says why");
		}
		(void)nanosleep(&pause, NULL);
		now = is_drained(ctl, name);
	}
	if (ctl->json)
		fprintf(ctl->out, "{\"result\":0}\n");
	else
		fprintf(ctl->out, drain ? "%s is drained: clients are moved to other gateways\n" : "%s takes clients again\n",
			name != NULL ? name : gateway);
	json_decref(reply);
	return now < 0 ? PA_CTL_ERROR : PA_CTL_OK;
}
