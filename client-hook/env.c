/* SPDX-License-Identifier: MPL-2.0 */
#include "client-hook/env.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/hex.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* -1 for what is no hex digit. Not isxdigit: that one asks the locale. */
static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "1:0:ff", each byte of one or two digits. */
static int decode_colons(const char *s, uint8_t *dst, size_t cap)
{
	size_t n = 0;

	for (;;) {
		int hi = hex_digit(s[0]), lo;

		if (hi < 0)
			return PA_EFORMAT;
		lo = hex_digit(s[1]);
		if (n == cap)
			return PA_ETRUNC;
		dst[n++] = (uint8_t)(lo < 0 ? hi : hi << 4 | lo);
		s += lo < 0 ? 1 : 2;
		if (*s == '\0')
			return (int)n;
		if (*s++ != ':')
			return PA_EFORMAT;
	}
}

/* dhclient's text: a backslash stands before three octal digits or before a character that a shell would mind. */
static int decode_text(const char *s, uint8_t *dst, size_t cap)
{
	size_t n = 0;

	while (*s != '\0') {
		unsigned v = (unsigned char)*s++;

		if (v == '\\' && is_digit(s[0]) && is_digit(s[1]) && is_digit(s[2])) {
			if (s[0] > '3' || s[1] > '7' || s[2] > '7')
				return PA_EFORMAT;
			v = (unsigned)(s[0] - '0') << 6 | (unsigned)(s[1] - '0') << 3 | (unsigned)(s[2] - '0');
			s += 3;
		} else if (v == '\\') {
			if (*s == '\0')
				return PA_EFORMAT;
			v = (unsigned char)*s++;
		}
		if (n == cap)
			return PA_ETRUNC;
		dst[n++] = (uint8_t)v;
	}
	return (int)n;
}

int pa_dhcp_value_decode(const char *s, uint8_t *dst, size_t cap)
{
	int rc;

	if (*s == '\0')
		return PA_ETRUNC;
	rc = decode_colons(s, dst, cap);
	if (rc == PA_EFORMAT)
		rc = pa_hex_decode(s, dst, cap);
	if (rc == PA_EFORMAT)
		rc = decode_text(s, dst, cap);
	return rc;
}

static const char *lookup(char *const envp[], const char *name)
{
	size_t len = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return *envp + len + 1;
	return NULL;
}

/* The variable of an option: "pubaddr-grant" is in new_pubaddr_grant, "224" in opt224. */
static const char *lookup_option(char *const envp[], const char *option)
{
	char name[80];

	if (option[strspn(option, "0123456789")] == '\0')
		(void)snprintf(name, sizeof(name), "opt%.70s", option);
	else
		(void)snprintf(name, sizeof(name), "new_%.70s", option);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	return lookup(envp, name);
}

static void read_grant(struct pa_dhcp_env *env, char *const envp[], const char *option)
{
	char code[8];
	const char *value;
	int rc;

	if (option != NULL) {
		value = lookup_option(envp, option);
	} else {
		(void)snprintf(code, sizeof(code), "%d", PA_OPTION_CODE_DEFAULT);
		value = lookup_option(envp, PA_DHCP_OPTION_DEFAULT);
		if (value == NULL)
			value = lookup_option(envp, code);
	}
	if (value == NULL)
		return;
	rc = pa_dhcp_value_decode(value, env->grant, sizeof(env->grant));
	if (rc < 0)
		env->grant_error = rc;
	else
		env->grant_len = (size_t)rc;
}

/* dhclient sets requested_NAME=1 for each option that it asked for. Other clients do not tell. */
static void read_asked(struct pa_dhcp_env *env, char *const envp[], const char *option)
{
	static const char prefix[] = "requested_";
	char name[80];

	if (option == NULL)
		option = PA_DHCP_OPTION_DEFAULT;
	(void)snprintf(name, sizeof(name), "%s%.60s", prefix, option);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	env->asked = lookup(envp, name) != NULL;
	for (; *envp != NULL; envp++)
		if (strncmp(*envp, prefix, sizeof(prefix) - 1) == 0)
			env->asked_known = true;
}

/* Reads a list of addresses separated by blanks; returns how many were stored. */
static size_t read_list(struct pa_dhcp_env *env, const char *value, struct pa_addr *dst, size_t cap)
{
	size_t n = 0;

	while (value != NULL && *(value += strspn(value, " \t")) != '\0') {
		size_t len = strcspn(value, " \t");
		char word[PA_ADDR_STRLEN];
		struct pa_addr a;

		(void)snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word)), value);
		if (n < cap && len < sizeof(word) && pa_addr_parse(word, &a) == 0)
			dst[n++] = a;
		else
			env->n_skipped++;
		value += len;
	}
	return n;
}

static uint32_t read_seconds(struct pa_dhcp_env *env, const char *value)
{
	unsigned long long v;
	char *end;

	if (value == NULL)
		return 0;
	errno = 0;
	v = strtoull(value, &end, 10);
	if (!is_digit(*value) || *end != '\0' || errno != 0 || v > UINT32_MAX) {
		env->n_skipped++;
		return 0;
	}
	return (uint32_t)v;
}

/* The names that the kernel allows (dev_valid_name), and no control characters. */
static bool is_interface_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len >= PA_DHCP_IFNAME_LEN || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '/' || *s == ':')
			return false;
	return true;
}

static int read_event(struct pa_dhcp_env *env, char *const envp[], const struct pa_dhcp_source *src,
		      char err[PA_DHCP_ERRLEN])
{
	const char *reason = src->reason != NULL ? src->reason : lookup(envp, "reason");
	const char *interface = src->interface != NULL ? src->interface : lookup(envp, "interface");

	if (reason == NULL || *reason == '\0') {
		(void)snprintf(err, PA_DHCP_ERRLEN, "$reason is not set; a DHCP client sets it, by hand give --reason");
		return PA_EINVAL;
	}
	if (interface == NULL) {
		(void)snprintf(err, PA_DHCP_ERRLEN,
			       "$interface is not set; a DHCP client sets it, by hand give --interface");
		return PA_EINVAL;
	}
	if (!is_interface_name(interface)) {
		(void)snprintf(err, PA_DHCP_ERRLEN,
			       "\"%.40s\" is no interface name: 1 to %d characters, no slash, colon or blank", interface,
			       PA_DHCP_IFNAME_LEN - 1);
		return PA_EINVAL;
	}
	(void)snprintf(env->reason, sizeof(env->reason), "%s", reason);
	(void)snprintf(env->interface, sizeof(env->interface), "%s", interface);
	return 0;
}

int pa_dhcp_env_parse(char *const envp[], const struct pa_dhcp_source *src, struct pa_dhcp_env *ret,
		      char err[PA_DHCP_ERRLEN])
{
	static const char *const usual[] = {"new_ip_address", "new_dhcp_server_identifier", "new_dhcp_lease_time",
					    "new_routers", "new_domain_name_servers"};
	static const char *const udhcpc[] = {"ip", "serverid", "lease", "router", "dns"};
	const char *const *names = lookup(envp, usual[0]) != NULL ? usual : udhcpc;
	struct pa_dhcp_env env;
	int rc;

	memset(&env, 0, sizeof(env));
	rc = read_event(&env, envp, src, err);
	if (rc < 0)
		return rc;
	read_grant(&env, envp, src->option);
	read_asked(&env, envp, src->option);
	(void)read_list(&env, lookup(envp, names[0]), &env.address, 1);
	(void)read_list(&env, lookup(envp, names[1]), &env.server, 1);
	env.lease_time = read_seconds(&env, lookup(envp, names[2]));
	env.n_routers = read_list(&env, lookup(envp, names[3]), env.routers, PA_DHCP_LIST_MAX);
	env.n_resolvers = read_list(&env, lookup(envp, names[4]), env.resolvers, PA_DHCP_LIST_MAX);
	*ret = env;
	pa_dhcp_env_wipe(&env);
	return 0;
}

void pa_dhcp_env_wipe(struct pa_dhcp_env *env)
{
	pa_wipe(env, sizeof(*env));
}
