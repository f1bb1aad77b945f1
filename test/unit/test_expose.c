/* SPDX-License-Identifier: MPL-2.0 */
/* What `pubaddr expose` adds: who may take it back, when it ends, what the file brings back, and what the grant leaves of it. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/expose.h"

TestSuite(expose, .timeout = 60);

static struct pa_exposed entry(const char *rule, uint64_t until_ms, uint32_t uid)
{
	struct pa_exposed e = {.until_ms = until_ms, .uid = uid};

	cr_assert_eq(pa_inrule_parse(rule, &e.rule), 0, "%s", rule);
	return e;
}

static int add(struct pa_expose *x, const char *rule, uint64_t until_ms, uint32_t uid)
{
	struct pa_exposed e = entry(rule, until_ms, uid);

	return pa_expose_add(x, &e);
}

static int take(struct pa_expose *x, const char *rule, uint32_t uid)
{
	struct pa_exposed e = entry(rule, 0, uid);

	return pa_expose_remove(x, &e.rule, uid);
}

Test(expose, owners)
{
	struct pa_expose x = {.n = 0};

	cr_assert_eq(add(&x, "5060/udp", 0, 1000), 0);
	cr_assert_eq(add(&x, "80/tcp", 0, 0), 0);
	cr_assert_eq(add(&x, "5060/udp", 9, 1001), PA_EDENIED, "another user's");
	cr_assert_eq(x.items[0].until_ms, 0);
	cr_assert_eq(add(&x, "5060/udp", 9, 1000), 0);
	cr_assert_eq(x.n, 2);
	cr_assert_eq(x.items[0].until_ms, 9);
	cr_assert_eq(take(&x, "5060/udp", 1001), PA_EDENIED);
	cr_assert_eq(take(&x, "80/tcp", 1000), PA_EDENIED, "root's");
	cr_assert_eq(take(&x, "5060/tcp", 1000), PA_ENOTFOUND);
	cr_assert_eq(take(&x, "5060/udp", 1000), 0);
	cr_assert_eq(take(&x, "80/tcp", 0), 0);
	cr_assert_eq(x.n, 0);
	cr_assert_eq(add(&x, "5060/udp", 0, 1000), 0);
	cr_assert_eq(take(&x, "5060/udp", 0), 0, "root may");
}

Test(expose, limit)
{
	struct pa_expose x = {.n = 0};
	struct pa_exposed e = {.rule = {.proto = 6}};

	for (unsigned i = 1; i <= PA_EXPOSED_MAX; i++) {
		e.rule.lo = e.rule.hi = (uint16_t)i;
		cr_assert_eq(pa_expose_add(&x, &e), 0);
	}
	e.rule.lo = e.rule.hi = 9999;
	cr_assert_eq(pa_expose_add(&x, &e), PA_ENOMEM);
	e.rule.lo = e.rule.hi = 1;
	cr_assert_eq(pa_expose_add(&x, &e), 0, "it is there already");
}

Test(expose, nobody_takes_all_the_places)
{
	struct pa_expose x = {.n = 0};
	struct pa_exposed e = {.rule = {.proto = 6}};
	unsigned port = 0;

	for (uint32_t uid = 1000; uid < 1003; uid++) {
		e.uid = uid;
		for (unsigned i = 0; i < PA_EXPOSED_SHARE; i++) {
			e.rule.lo = e.rule.hi = (uint16_t)++port;
			cr_assert_eq(pa_expose_add(&x, &e), 0);
		}
		cr_assert_eq(pa_expose_add(&x, &e), 0, "the same again");
		e.rule.lo = e.rule.hi = 9999;
		cr_assert_eq(pa_expose_add(&x, &e), PA_ELIMIT);
	}
	e.uid = 1003;
	cr_assert_eq(pa_expose_add(&x, &e), PA_ELIMIT, "what is left is root's");
	e.uid = 0;
	for (unsigned i = 0; i < PA_EXPOSED_SHARE; i++) {
		e.rule.lo = e.rule.hi = (uint16_t)++port;
		cr_assert_eq(pa_expose_add(&x, &e), 0);
	}
	cr_assert_eq(x.n, PA_EXPOSED_MAX);
	cr_assert_eq(take(&x, "1/tcp", 1000), 0);
	e.uid = 1000;
	e.rule.lo = e.rule.hi = 9999;
	cr_assert_eq(pa_expose_add(&x, &e), 0, "a place of his is free again");
}

Test(expose, ends)
{
	struct pa_expose x = {.n = 0};

	cr_assert_eq(pa_expose_next(&x), UINT64_MAX);
	cr_assert_eq(add(&x, "1/udp", 300, 0), 0);
	cr_assert_eq(add(&x, "2/udp", 0, 0), 0);
	cr_assert_eq(add(&x, "3/udp", 200, 0), 0);
	cr_assert_eq(pa_expose_next(&x), 200);
	cr_assert(!pa_expose_expire(&x, 199));
	cr_assert(pa_expose_expire(&x, 200));
	cr_assert_eq(pa_expose_next(&x), 300);
	cr_assert(pa_expose_expire(&x, 1000));
	cr_assert(x.n == 1 && x.items[0].rule.lo == 2);
	cr_assert_eq(pa_expose_next(&x), UINT64_MAX);
}

Test(expose, host_policy)
{
	struct pa_inpolicy conf = {.kind = PA_IN_CLOSED}, p;
	struct pa_expose x = {.n = 0};

	cr_assert_eq(pa_expose_host(&x, &conf, &p), 0);
	cr_assert_eq(p.kind, PA_IN_CLOSED);
	cr_assert_eq(add(&x, "5060/udp", 0, 0), 0);
	cr_assert_eq(pa_expose_host(&x, &conf, &p), 0);
	cr_assert(pa_inpolicy_passes(&p, 17, 5060, 1) && !pa_inpolicy_passes(&p, 17, 5061, 1));
	conf.kind = PA_IN_OPEN;
	cr_assert_eq(pa_expose_host(&x, &conf, &p), 0);
	cr_assert_eq(p.kind, PA_IN_OPEN);
	conf = p;
	conf.kind = PA_IN_LIST;
	for (conf.n = 0; conf.n < PA_INRULES_MAX; conf.n++)
		conf.rules[conf.n] = (struct pa_inrule){.proto = 6, .lo = (uint16_t)(1 + conf.n), .hi = (uint16_t)(1 + conf.n)};
	cr_assert_eq(pa_expose_host(&x, &conf, &p), PA_ENOMEM);
	cr_assert_eq(p.kind, PA_IN_OPEN, "touched on failure");
}

Test(expose, extent)
{
	struct pa_inpolicy p = {.kind = PA_IN_OPEN};
	struct pa_exposed e = entry("5000-5100/udp", 0, 0), grant = entry("5060/udp from 192.0.2.0/24", 0, 0);

	cr_assert_eq(pa_expose_extent_of(&p, &e.rule), PA_EXPOSE_ALL);
	p.kind = PA_IN_CLOSED;
	cr_assert_eq(pa_expose_extent_of(&p, &e.rule), PA_EXPOSE_NONE);
	p.kind = PA_IN_LIST;
	cr_assert_eq(pa_expose_extent_of(&p, &e.rule), PA_EXPOSE_NONE);
	cr_assert_eq(pa_inpolicy_add(&p, &grant.rule), 0);
	cr_assert_eq(pa_expose_extent_of(&p, &e.rule), PA_EXPOSE_PART);
	e = entry("5060/udp from 192.0.2.7", 0, 0);
	cr_assert_eq(pa_expose_extent_of(&p, &e.rule), PA_EXPOSE_ALL);
	e = entry("5060/tcp", 0, 0);
	cr_assert_eq(pa_expose_extent_of(&p, &e.rule), PA_EXPOSE_NONE);
}

Test(expose, file)
{
	static const char *const wrong[] = {
		"[]", "{}", "{\"version\":2,\"boot-id\":\"b\",\"exposed\":[]}", "{\"version\":1,\"exposed\":[]}",
		"{\"version\":1,\"boot-id\":\"b\",\"exposed\":{}}", "{\"version\":1,\"boot-id\":\"b\",\"exposed\":[{}]}",
		"{\"version\":1,\"boot-id\":\"b\",\"exposed\":[{\"rule\":\"x\",\"until\":0,\"uid\":0}]}",
		"{\"version\":1,\"boot-id\":\"b\",\"exposed\":[{\"rule\":\"tcp\",\"until\":-1,\"uid\":0}]}",
		"{\"version\":1,\"boot-id\":\"b\",\"exposed\":[{\"rule\":\"tcp\",\"until\":0,\"uid\":-1}]}"};
	struct pa_expose x = {.n = 0}, back = {.n = 99};
	json_t *v;

	cr_assert_eq(add(&x, "5060/udp from 192.0.2.0/24", 500, 1000), 0);
	cr_assert_eq(add(&x, "gre", 0, 0), 0);
	v = pa_expose_json(&x, "b");
	cr_assert_eq(pa_expose_read(v, "c", 0, &back), PA_EEXPIRED);
	cr_assert_eq(back.n, 99);
	cr_assert_eq(pa_expose_read(v, "b", 0, &back), 0);
	cr_assert_eq(back.n, 2);
	cr_assert(pa_inrule_eq(&back.items[0].rule, &x.items[0].rule) && back.items[0].until_ms == 500 && back.items[0].uid == 1000);
	cr_assert_eq(pa_expose_read(v, "b", 500, &back), 0);
	cr_assert_eq(back.n, 1, "what has ended does not come back");
	json_decref(v);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		v = json_loads(wrong[i], 0, NULL);
		cr_assert_eq(pa_expose_read(v, "b", 0, &back), PA_EFORMAT, "%s", wrong[i]);
		json_decref(v);
	}
	cr_assert_eq(pa_expose_read(NULL, "b", 0, &back), PA_EFORMAT);
}

Test(expose, durations)
{
	static const char *const wrong[] = {"", "0", "m", "-1", "1.5h", "1hm", "1 h", "9999999999", "367d", "99999999h"};
	uint64_t s = 0;

	cr_assert(pa_duration_parse("90", &s) == 0 && s == 90);
	cr_assert(pa_duration_parse("90s", &s) == 0 && s == 90);
	cr_assert(pa_duration_parse("10m", &s) == 0 && s == 600);
	cr_assert(pa_duration_parse("2h", &s) == 0 && s == 7200);
	cr_assert(pa_duration_parse("366d", &s) == 0 && s == UINT64_C(366) * 86400);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(pa_duration_parse(wrong[i], &s), PA_EFORMAT, "%s", wrong[i]);
}
