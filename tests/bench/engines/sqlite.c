/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite: one table without rowid, write-ahead log. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/engines/engine.h"

#define WAL_PAGES 16384 /* between checkpoints: 64 MiB */

extern const struct engine engine_sqlite;

struct store {
	sqlite3 *db;
	sqlite3_stmt *put, *get, *range;
	bool durable;
};

static void check(struct store *s, int status, const char *what)
{
	if (status != SQLITE_OK && status != SQLITE_DONE && status != SQLITE_ROW)
		engine_fail(&engine_sqlite, what, sqlite3_errmsg(s->db));
}

static void run(struct store *s, const char *statement)
{
	check(s, sqlite3_exec(s->db, statement, NULL, NULL, NULL), statement);
}

static void prepare(struct store *s, const char *text, sqlite3_stmt **ret)
{
	check(s, sqlite3_prepare_v2(s->db, text, -1, ret, NULL), text);
}

static void *create(const char *path, size_t cache_bytes)
{
	struct store *s = calloc(1, sizeof(*s));
	char text[4096];

	if (!s)
		engine_fail(&engine_sqlite, "memory", "none left");
	snprintf(text, sizeof(text), "%s/data.sqlite", path);
	check(s, sqlite3_open(text, &s->db), text);
	snprintf(text, sizeof(text),
		 "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-%zu; "
		 "PRAGMA wal_autocheckpoint=%d; PRAGMA locking_mode=EXCLUSIVE",
		 cache_bytes / 1024, WAL_PAGES);
	run(s, text);
	run(s, "CREATE TABLE record (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
	prepare(s, "INSERT OR REPLACE INTO record VALUES (?, ?)", &s->put);
	prepare(s, "SELECT value FROM record WHERE key = ?", &s->get);
	prepare(s, "SELECT key, value FROM record WHERE key >= ? ORDER BY key LIMIT ?", &s->range);
	return s;
}

static void close_store(void *store)
{
	struct store *s = store;

	sqlite3_finalize(s->put);
	sqlite3_finalize(s->get);
	sqlite3_finalize(s->range);
	check(s, sqlite3_close(s->db), "close");
	free(s);
}

static void begin(void *store)
{
	run(store, "BEGIN IMMEDIATE");
}

static void bind(struct store *s, sqlite3_stmt *statement, int i, struct th_slice bytes)
{
	check(s, sqlite3_bind_blob(statement, i, bytes.data ? bytes.data : "", (int)bytes.size, SQLITE_STATIC), "bind");
}

static void put(void *store, struct th_slice key, struct th_slice value, bool ascending)
{
	struct store *s = store;

	(void)ascending;
	bind(s, s->put, 1, key);
	bind(s, s->put, 2, value);
	check(s, sqlite3_step(s->put), "insert");
	check(s, sqlite3_reset(s->put), "insert");
}

static void commit(void *store, bool durable)
{
	struct store *s = store;

	run(s, "COMMIT");
	if (durable == s->durable)
		return;
	/* Takes effect with the next transaction, which misses only the first of a run. */
	run(s, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
	s->durable = durable;
}

static void sync_store(void *store)
{
	struct store *s = store;

	check(s, sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), "checkpoint");
}

static void read_begin(void *store)
{
	run(store, "BEGIN");
}

static void read_end(void *store)
{
	run(store, "COMMIT");
}

static bool get(void *store, struct th_slice key, engine_visit *visit, void *arg)
{
	struct store *s = store;
	int status;

	bind(s, s->get, 1, key);
	status = sqlite3_step(s->get);
	check(s, status, "select");
	if (status == SQLITE_ROW)
		visit(arg, key,
		      (struct th_slice){ sqlite3_column_blob(s->get, 0), (size_t)sqlite3_column_bytes(s->get, 0) });
	check(s, sqlite3_reset(s->get), "select");
	return status == SQLITE_ROW;
}

static void range(void *store, struct th_slice from, uint64_t limit, engine_visit *visit, void *arg)
{
	struct store *s = store;
	int status;

	bind(s, s->range, 1, from);
	check(s, sqlite3_bind_int64(s->range, 2, limit > INT64_MAX ? INT64_MAX : (int64_t)limit), "bind");
	while ((status = sqlite3_step(s->range)) == SQLITE_ROW)
		visit(arg,
		      (struct th_slice){ sqlite3_column_blob(s->range, 0), (size_t)sqlite3_column_bytes(s->range, 0) },
		      (struct th_slice){ sqlite3_column_blob(s->range, 1), (size_t)sqlite3_column_bytes(s->range, 1) });
	check(s, status, "select");
	check(s, sqlite3_reset(s->range), "select");
}

const struct engine engine_sqlite = {
	.name = "sqlite",
	.create = create,
	.close = close_store,
	.begin = begin,
	.put = put,
	.commit = commit,
	.sync = sync_store,
	.settle = sync_store,
	.read_begin = read_begin,
	.read_end = read_end,
	.get = get,
	.range = range,
};
