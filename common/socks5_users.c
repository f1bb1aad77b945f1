/* SPDX-License-Identifier: MPL-2.0 */
#include "common/socks5_users.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

#define HASH_LEN 32
#define FIELD_MAX 255

struct user {
	uint8_t name[HASH_LEN];	 /* of the name alone: no name twice */
	uint8_t login[HASH_LEN]; /* of name and password */
};

struct pa_socks5_users {
	struct user list[PA_SOCKS5_USERS_MAX];
	size_t n;
};

/* The length before the name keeps "a", "bc" and "ab", "c" apart. */
static void hash(const uint8_t *name, uint8_t name_len, const uint8_t *password, uint8_t password_len, uint8_t ret[HASH_LEN])
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, NULL, 0, HASH_LEN);
	(void)crypto_generichash_update(&state, &name_len, 1);
	(void)crypto_generichash_update(&state, name, name_len);
	(void)crypto_generichash_update(&state, password, password_len);
	(void)crypto_generichash_final(&state, ret, HASH_LEN);
	pa_wipe(&state, sizeof(state));
}

static int fail(const char *file, unsigned number, const char *text, int rc, char err[PA_SOCKS5_USERS_ERRLEN])
{
	(void)snprintf(err, PA_SOCKS5_USERS_ERRLEN, "%.120s:%u: %s", file, number, text);
	return rc;
}

static int take_line(struct pa_socks5_users *users, const char *file, unsigned number, const char *line, size_t len,
		     char err[PA_SOCKS5_USERS_ERRLEN])
{
	const char *colon = memchr(line, ':', len);
	struct user *u = &users->list[users->n];
	size_t name_len = colon != NULL ? (size_t)(colon - line) : 0, password_len = colon != NULL ? len - name_len - 1 : 0;

	if (name_len == 0 || password_len == 0)
		return fail(file, number, "expected USER:PASSWORD, neither of them empty", PA_EFORMAT, err);
	if (name_len > FIELD_MAX || password_len > FIELD_MAX)
		return fail(file, number, "user name and password have at most 255 octets each", PA_EFORMAT, err);
	if (users->n == PA_SOCKS5_USERS_MAX)
		return fail(file, number, "there is room for 256 users; take some out", PA_EFORMAT, err);
	hash((const uint8_t *)line, (uint8_t)name_len, (const uint8_t *)"", 0, u->name);
	hash((const uint8_t *)line, (uint8_t)name_len, (const uint8_t *)colon + 1, (uint8_t)password_len, u->login);
	for (size_t i = 0; i < users->n; i++)
		if (memcmp(users->list[i].name, u->name, HASH_LEN) == 0)
			return fail(file, number, "this user stands above already; take one of the lines out", PA_EEXIST, err);
	users->n++;
	return 0;
}

static int take_text(struct pa_socks5_users *users, const char *file, const char *text, size_t len,
		     char err[PA_SOCKS5_USERS_ERRLEN])
{
	unsigned number = 0;
	int rc = 0;

	while (len > 0 && rc == 0) {
		const char *newline = memchr(text, '\n', len);
		size_t whole = newline != NULL ? (size_t)(newline - text) : len, n = whole;

		number++;
		if (n > 0 && text[n - 1] == '\r')
			n--;
		if (n > 0 && text[0] != '#')
			rc = take_line(users, file, number, text, n, err);
		whole += newline != NULL ? 1 : 0;
		text += whole;
		len -= whole;
	}
	if (rc == 0 && users->n == 0)
		rc = fail(file, number, "there is no user; write a line USER:PASSWORD for each", PA_EFORMAT, err);
	return rc;
}

int pa_socks5_users_parse(const char *file, const char *text, size_t len, struct pa_socks5_users **ret,
			  char err[PA_SOCKS5_USERS_ERRLEN])
{
	struct pa_socks5_users *users = calloc(1, sizeof(*users));
	int rc;

	if (users == NULL)
		return fail(file, 0, "out of memory", PA_ENOMEM, err);
	rc = take_text(users, file, text, len, err);
	if (rc < 0) {
		pa_socks5_users_free(users);
		return rc;
	}
	*ret = users;
	return 0;
}

void pa_socks5_users_free(struct pa_socks5_users *users)
{
	if (users == NULL)
		return;
	pa_wipe(users, sizeof(*users));
	free(users);
}

size_t pa_socks5_users_count(const struct pa_socks5_users *users)
{
	return users->n;
}

bool pa_socks5_users_check(void *ctx, const struct pa_socks5_login *login)
{
	const struct pa_socks5_users *users = ctx;
	uint8_t own[HASH_LEN];
	bool found = false;

	hash(login->user, login->user_len, login->password, login->password_len, own);
	for (size_t i = 0; i < users->n; i++)
		if (pa_secret_eq(users->list[i].login, own, HASH_LEN))
			found = true;
	pa_wipe(own, sizeof(own));
	return found;
}
