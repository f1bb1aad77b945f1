/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddrctl's commands that need no broker, and what it says when there is none. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/ctl.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/hex.h"
#include "test/unit/tempdir.h"

static char dir[TEMPDIR_MAX], master[TEMPDIR_MAX + 16], gateway[TEMPDIR_MAX + 16];
static char *out, *err;
static size_t out_len, err_len;
static struct pa_ctl ctl;

static void open_streams(void)
{
	ctl.out = open_memstream(&out, &out_len);
	ctl.err = open_memstream(&err, &err_len);
}

static void close_streams(void)
{
	fclose(ctl.out);
	fclose(ctl.err);
	free(out);
	free(err);
}

static void setup(void)
{
	cr_assert_eq(pa_cred_init(), 0);
	tempdir_make(dir);
	(void)snprintf(master, sizeof(master), "%s/master.key", dir);
	(void)snprintf(gateway, sizeof(gateway), "%s/gateway.key", dir);
	ctl.socket = "/nonexistent/broker.sock";
	ctl.json = false;
	open_streams();
}

static void teardown(void)
{
	close_streams();
	tempdir_remove(dir);
}

TestSuite(ctl, .init = setup, .fini = teardown);

/* What was printed since the last call. */
static const char *printed(FILE *f)
{
	fflush(f);
	return f == ctl.out ? out : err;
}

static void again(void)
{
	close_streams();
	open_streams();
}

static struct pa_keyring *load(const char *path)
{
	char text[PA_FILE_ERRLEN] = "";
	struct pa_keyring *ring = NULL;

	cr_assert_eq(pa_keyring_load(path, &ring, text), 0, "%s", text);
	return ring;
}

Test(ctl, master_key_is_made_once)
{
	struct stat st;
	struct pa_keyring *a, *b;

	cr_assert_eq(pa_ctl_key_new(&ctl, master), PA_CTL_OK);
	cr_assert_eq(stat(master, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600u);
	a = load(master);
	cr_assert_eq(pa_keyring_count(a), 1u);
	cr_assert_eq(pa_keyring_at(a, 0)->kind, PA_KEY_MASTER);
	cr_assert_eq(pa_ctl_key_new(&ctl, master), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "never overwritten") != NULL, "%s", err);
	b = load(master);
	cr_assert_arr_eq(pa_keyring_at(a, 0)->key, pa_keyring_at(b, 0)->key, PA_KEY_LEN);
	pa_keyring_free(a);
	pa_keyring_free(b);
}

Test(ctl, gateway_key_prints_its_public_half_only)
{
	char public_hex[2 * PA_KEY_LEN + 1], secret_hex[2 * PA_KEY_LEN + 1];
	uint8_t public_key[PA_KEY_LEN];
	struct pa_keyring *ring;

	cr_assert_eq(pa_ctl_key_new_gateway(&ctl, gateway), PA_CTL_OK);
	ring = load(gateway);
	pa_keypair_public(pa_keyring_at(ring, 0)->key, public_key);
	pa_hex_encode(public_key, PA_KEY_LEN, public_hex);
	pa_hex_encode(pa_keyring_at(ring, 0)->key, PA_KEY_LEN, secret_hex);
	cr_assert(strncmp(printed(ctl.out), public_hex, 2 * PA_KEY_LEN) == 0);
	cr_assert(strstr(out, secret_hex) == NULL && strstr(printed(ctl.err), secret_hex) == NULL);
	again();
	cr_assert_eq(pa_ctl_key_public(&ctl, gateway), PA_CTL_OK);
	cr_assert(strncmp(printed(ctl.out), public_hex, 2 * PA_KEY_LEN) == 0);
	pa_keyring_free(ring);
}

Test(ctl, pool_keys_are_derived_and_added_once)
{
	const struct pa_key *k;
	struct pa_keyring *m, *g;
	uint8_t want[PA_KEY_LEN];

	cr_assert_eq(pa_ctl_key_new(&ctl, master), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_new_gateway(&ctl, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, master, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 8, -1, master, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, master, gateway), PA_CTL_OK);
	cr_assert(strstr(printed(ctl.out), "has already") != NULL);
	m = load(master);
	g = load(gateway);
	cr_assert_eq(pa_keyring_count(g), 3u);
	k = pa_keyring_find(g, PA_KEY_POOL, 1, 7);
	pa_derive_pool_key(pa_keyring_at(m, 0)->key, 1, 7, want);
	cr_assert_arr_eq(k->key, want, PA_KEY_LEN);
	pa_keyring_free(m);
	pa_keyring_free(g);
}

Test(ctl, pool_key_of_another_master_is_not_mixed_in)
{
	char other[TEMPDIR_MAX + 16];

	(void)snprintf(other, sizeof(other), "%s/other.key", dir);
	cr_assert_eq(pa_ctl_key_new(&ctl, master), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_new(&ctl, other), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_new_gateway(&ctl, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, master, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, other, gateway), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "another key of pool 7") != NULL, "%s", err);
}

/* The master key id that signs, or a pool key's. */
static int first_id(const char *path, enum pa_key_kind kind)
{
	struct pa_keyring *ring = load(path);
	const struct pa_key *k = pa_keyring_first(ring, kind);
	int id = k != NULL ? k->key_id : -1;

	pa_keyring_free(ring);
	return id;
}

Test(ctl, rotation_from_the_new_key_to_the_end_of_the_old)
{
	struct stat st;
	struct pa_keyring *g;

	cr_assert_eq(pa_ctl_key_new(&ctl, master), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_new_gateway(&ctl, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, master, gateway), PA_CTL_OK);
	again();
	cr_assert_eq(pa_ctl_key_rotate(&ctl, master), PA_CTL_OK, "%s", printed(ctl.err));
	cr_assert(strstr(printed(ctl.out), "new master key, id 2") != NULL && strstr(out, "--key 1 FILE") != NULL, "%s", out);
	cr_assert_eq(stat(master, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600u);
	cr_assert_eq(first_id(master, PA_KEY_MASTER), 2);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, 2, master, gateway), PA_CTL_OK);
	g = load(gateway);
	cr_assert_eq(pa_keyring_count(g), 3u);
	cr_assert_not_null(pa_keyring_find(g, PA_KEY_POOL, 1, 7));
	cr_assert_not_null(pa_keyring_find(g, PA_KEY_POOL, 2, 7));
	pa_keyring_free(g);
	again();
	cr_assert_eq(pa_ctl_key_retire(&ctl, 2, master), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "is the one that signs") != NULL, "%s", err);
	cr_assert_eq(pa_ctl_key_retire(&ctl, 9, gateway), PA_CTL_EMPTY);
	cr_assert_eq(pa_ctl_key_retire(&ctl, 1, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_retire(&ctl, 1, master), PA_CTL_OK);
	g = load(gateway);
	cr_assert_eq(pa_keyring_count(g), 2u);
	cr_assert_eq(first_id(gateway, PA_KEY_POOL), 2);
	cr_assert_not_null(pa_keyring_first(g, PA_KEY_GATEWAY), "its own key stays");
	pa_keyring_free(g);
	g = load(master);
	cr_assert_eq(pa_keyring_count(g), 1u);
	pa_keyring_free(g);
	again();
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, 1, master, NULL), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "no master key of id 1") != NULL, "%s", err);
}

Test(ctl, rotation_keeps_comments_and_owner)
{
	static const char text[] = "# made by hand\nmaster 255 " /* the last number, so the first free one follows */
				   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
	char detail[PA_FILE_ERRLEN], *got;
	struct stat st;
	size_t len;

	cr_assert_eq(pa_file_create(master, text, sizeof(text) - 1, 0600, detail), 0);
	if (geteuid() == 0)
		cr_assert_eq(chown(master, 65534, 65534), 0);
	cr_assert_eq(pa_ctl_key_rotate(&ctl, master), PA_CTL_OK, "%s", printed(ctl.err));
	cr_assert_eq(stat(master, &st), 0);
	cr_assert_eq(st.st_uid, geteuid() == 0 ? 65534u : geteuid());
	cr_assert_eq(pa_file_read_as(master, st.st_uid, &got, &len, detail), 0, "%s", detail);
	cr_assert_eq(strncmp(got, "master 1 ", 9), 0);
	cr_assert_not_null(strstr(got, text));
	free(got);
	if (geteuid() == 0)
		cr_assert_eq(chown(master, 0, 0), 0);
}

Test(ctl, pool_key_can_be_printed)
{
	cr_assert_eq(pa_ctl_key_new(&ctl, master), PA_CTL_OK);
	again();
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, master, NULL), PA_CTL_OK);
	cr_assert(strncmp(printed(ctl.out), "pool 1 7 ", 9) == 0, "%s", out);
}

Test(ctl, key_files_must_be_private_and_of_the_right_kind)
{
	cr_assert_eq(pa_ctl_key_new_gateway(&ctl, gateway), PA_CTL_OK);
	cr_assert_eq(pa_ctl_key_pool(&ctl, 7, -1, gateway, NULL), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "no master key") != NULL, "%s", err);
	again();
	cr_assert_eq(chmod(gateway, 0644), 0);
	cr_assert_eq(pa_ctl_key_public(&ctl, gateway), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "chmod 600") != NULL, "%s", err);
}

Test(ctl, no_broker)
{
	cr_assert_eq(pa_ctl_status(&ctl), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.err), "is the daemon running to which this socket belongs?") != NULL, "%s", err);
	again();
	ctl.json = true;
	cr_assert_eq(pa_ctl_lease_list(&ctl), PA_CTL_ERROR);
	cr_assert(strstr(printed(ctl.out), "\"result\":1") != NULL, "%s", out);
}

Test(ctl, tables_have_straight_columns)
{
	static const char *const heads[] = {"A", "LONGER", "C"};
	json_t *rows = json_pack("[[s, s, s], [s, s, s]]", "wide cell", "x", "1", "y", "z", "2");

	pa_ctl_table(ctl.out, heads, 3, rows);
	cr_assert_str_eq(printed(ctl.out), "A          LONGER  C\n"
					   "wide cell  x       1\n"
					   "y          z       2\n");
	json_decref(rows);
}

Test(ctl, another_daemon_is_called_by_its_name)
{
	json_t *status = json_pack("{s:s, s:s, s:i, s:[s, s], s:b, s:i, s:{s:i}, s:{s:i}, s:[{s:i}]}", "daemon", "pubaddr-relayd", "version",
				   "1.2", "uptime", 7, "listen", "a:1", "b:2", "gateway", 0, "clients", 3, "counters", "calls", 5,
				   "traffic", "in", 1, "pools", "id", 1);

	cr_assert_not(pa_ctl_is_broker(status));
	pa_ctl_print_daemon(ctl.out, status);
	cr_assert_str_eq(printed(ctl.out), "pubaddr-relayd 1.2, up 7 s\n"
					   "listen                   a:1 b:2\n"
					   "gateway                  no\n"
					   "clients                  3\n"
					   "calls                    5\n"
					   "with --json also         traffic, pools\n");
	(void)json_object_set_new(status, "daemon", json_string("pubaddr-brokerd"));
	cr_assert(pa_ctl_is_broker(status));
	json_decref(status);
}
