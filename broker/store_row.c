/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A lease as a row of the store. Each row has a checksum over all of it, its address too: SQLite notices when the structure of its
 * file is damaged, but not when a number in it is another one.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store_int.h"
#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"

#define ROW_MAX (2 * 16 + 1 + PA_REALM_MAX + 1 + 1 + PA_IDENT_ID_MAX + 16 * 8 + PA_FINGERPRINT_LEN)

const char pa_row_select[] =
	"SELECT address, pool_id, realm, client_kind, client, subnet_id, dhcp_address, serial, epoch, granted, expires,"
	" highest, ended, lifetime, xid, fingerprint, state, revoked, bound, sum FROM lease";

const char pa_row_replace[] =
	"INSERT OR REPLACE INTO lease (address, pool_id, realm, client_kind, client, subnet_id, dhcp_address, serial,"
	" epoch, granted, expires, highest, ended, lifetime, xid, fingerprint, state, revoked, bound, sum)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";

/* What it says is no secret; the key keeps it apart from other checksums. */
static void row_sum(const struct pa_lease *row, uint8_t ret[PA_MAC_LEN])
{
	static const uint8_t key[PA_KEY_LEN] = "pubaddr lease row";
	const uint64_t numbers[] = {row->pool_id, row->subnet_id, row->serial, row->epoch, row->granted, row->expires, row->highest,
				    row->ended, row->lifetime, row->has_xid, row->has_xid ? row->xid : 0, (uint64_t)row->state, row->revoked, row->bound};
	const char *realm = pa_ident_realm(row->ident);
	uint8_t buf[ROW_MAX];
	struct pa_writer w;
	size_t id_len;
	const uint8_t *id = pa_ident_id(row->ident, &id_len);

	pa_writer_init(&w, buf, sizeof(buf));
	pa_put_bytes(&w, row->addr.b, sizeof(row->addr.b));
	pa_put_bytes(&w, row->dhcp_addr.b, sizeof(row->dhcp_addr.b));
	pa_put_bytes(&w, (const uint8_t *)realm, strlen(realm) + 1);
	pa_put_u8(&w, (uint8_t)pa_ident_kind(row->ident));
	pa_put_u8(&w, (uint8_t)id_len);
	pa_put_bytes(&w, id, id_len);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		pa_put_u64(&w, numbers[i]);
	pa_put_bytes(&w, row->fingerprint, sizeof(row->fingerprint));
	PA_REQUIRE(!w.failed);
	pa_mac(key, buf, w.len, ret);
}

int pa_row_bind(sqlite3_stmt *st, const struct pa_lease *row)
{
	char addr[PA_ADDR_STRLEN], dhcp[PA_ADDR_STRLEN];
	uint8_t sum[PA_MAC_LEN];
	size_t id_len;
	const uint8_t *id = pa_ident_id(row->ident, &id_len);
	const char *realm = pa_ident_realm(row->ident);
	bool ok;

	pa_addr_format(&row->addr, addr);
	pa_addr_format(&row->dhcp_addr, dhcp);
	row_sum(row, sum);
	ok = sqlite3_bind_text(st, 1, addr, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int(st, 2, row->pool_id) == SQLITE_OK &&
	     sqlite3_bind_text(st, 3, realm, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int(st, 4, (int)pa_ident_kind(row->ident)) == SQLITE_OK &&
	     sqlite3_bind_blob(st, 5, id, (int)id_len, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 6, row->subnet_id) == SQLITE_OK &&
	     sqlite3_bind_text(st, 7, dhcp, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 8, (sqlite3_int64)row->serial) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 9, (sqlite3_int64)row->epoch) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 10, (sqlite3_int64)row->granted) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 11, (sqlite3_int64)row->expires) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 12, (sqlite3_int64)row->highest) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 13, (sqlite3_int64)row->ended) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 14, row->lifetime) == SQLITE_OK &&
	     (row->has_xid ? sqlite3_bind_int64(st, 15, row->xid) : sqlite3_bind_null(st, 15)) == SQLITE_OK &&
	     sqlite3_bind_blob(st, 16, row->fingerprint, PA_FINGERPRINT_LEN, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_text(st, 17, pa_lease_state_name(row->state), -1, SQLITE_STATIC) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 18, (sqlite3_int64)row->revoked) == SQLITE_OK &&
	     sqlite3_bind_int(st, 19, row->bound) == SQLITE_OK &&
	     sqlite3_bind_blob(st, 20, sum, sizeof(sum), SQLITE_TRANSIENT) == SQLITE_OK;
	return ok ? SQLITE_OK : SQLITE_NOMEM;
}

static bool column_addr(sqlite3_stmt *st, int i, struct pa_addr *ret)
{
	const char *s = (const char *)sqlite3_column_text(st, i);

	return s != NULL && pa_addr_parse(s, ret) == 0;
}

bool pa_row_number(sqlite3_stmt *st, int i, uint64_t max, uint64_t *ret)
{
	sqlite3_int64 v = sqlite3_column_int64(st, i);

	if (sqlite3_column_type(st, i) != SQLITE_INTEGER || v < 0 || (uint64_t)v > max)
		return false;
	*ret = (uint64_t)v;
	return true;
}

static struct pa_ident *column_ident(sqlite3_stmt *st)
{
	const char *realm = (const char *)sqlite3_column_text(st, 2);
	const uint8_t *id = sqlite3_column_blob(st, 4);
	int len = sqlite3_column_bytes(st, 4);
	uint64_t kind;

	if (realm == NULL || id == NULL || !pa_row_number(st, 3, PA_IDENT_HW_ADDRESS, &kind))
		return NULL;
	return pa_ident_new(realm, (enum pa_ident_kind)kind, id, (size_t)len);
}

/* Rows of older versions have no sum until they are written again. */
static bool sum_fits(sqlite3_stmt *st, const struct pa_lease *row)
{
	const void *sum = sqlite3_column_blob(st, 19);
	uint8_t want[PA_MAC_LEN];

	if (sqlite3_column_type(st, 19) == SQLITE_NULL)
		return true;
	row_sum(row, want);
	return sum != NULL && sqlite3_column_bytes(st, 19) == PA_MAC_LEN && memcmp(sum, want, sizeof(want)) == 0;
}

bool pa_row_read(sqlite3_stmt *st, struct pa_lease *row)
{
	uint64_t bound;
	const char *state = (const char *)sqlite3_column_text(st, 16);
	const void *fingerprint = sqlite3_column_blob(st, 15);
	uint64_t pool, subnet, lifetime, xid = 0;
	int s = state != NULL ? pa_lease_state_parse(state) : PA_EINVAL;

	memset(row, 0, sizeof(*row));
	row->ident = column_ident(st);
	row->has_xid = sqlite3_column_type(st, 14) != SQLITE_NULL;
	if (row->ident == NULL || s < 0 || fingerprint == NULL || sqlite3_column_bytes(st, 15) != PA_FINGERPRINT_LEN ||
	    !column_addr(st, 0, &row->addr) || !column_addr(st, 6, &row->dhcp_addr) ||
	    !pa_row_number(st, 1, UINT16_MAX, &pool) || !pa_row_number(st, 5, UINT32_MAX, &subnet) ||
	    !pa_row_number(st, 7, INT64_MAX, &row->serial) || !pa_row_number(st, 8, INT64_MAX, &row->epoch) ||
	    !pa_row_number(st, 9, INT64_MAX, &row->granted) || !pa_row_number(st, 10, INT64_MAX, &row->expires) ||
	    !pa_row_number(st, 11, INT64_MAX, &row->highest) || !pa_row_number(st, 12, INT64_MAX, &row->ended) ||
	    !pa_row_number(st, 13, UINT32_MAX, &lifetime) || !pa_row_number(st, 17, INT64_MAX, &row->revoked) ||
	    !pa_row_number(st, 18, 1, &bound) ||
	    (row->has_xid && !pa_row_number(st, 14, UINT32_MAX, &xid)))
		return false;
	row->pool_id = (uint16_t)pool;
	row->subnet_id = (uint32_t)subnet;
	row->lifetime = (uint32_t)lifetime;
	row->xid = (uint32_t)xid;
	row->state = (enum pa_lease_state)s;
	row->bound = bound != 0;
	memcpy(row->fingerprint, fingerprint, PA_FINGERPRINT_LEN);
	return sum_fits(st, row);
}

