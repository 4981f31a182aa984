/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB.  Its cache is the page cache, so that the size is ignored. */
#include <lmdb.h>
#include <stdlib.h>

#include "tests/bench/engines/engine.h"

#define MAP_BYTES (UINT64_C(64) << 30)

extern const struct engine engine_lmdb;

struct store {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn;
	MDB_cursor *cursor;
};

static void check(int err, const char *what)
{
	if (err)
		engine_fail(&engine_lmdb, what, mdb_strerror(err));
}

static void *create(const char *path, size_t cache_bytes)
{
	struct store *s = calloc(1, sizeof(*s));

	(void)cache_bytes;
	if (!s)
		engine_fail(&engine_lmdb, "memory", "none left");
	check(mdb_env_create(&s->env), "create");
	check(mdb_env_set_mapsize(s->env, MAP_BYTES), "map size");
	/* Without MDB_NOSYNC: the flag is set only during a commit that need not be durable. */
	check(mdb_env_open(s->env, path, MDB_NORDAHEAD, 0644), "open");
	check(mdb_txn_begin(s->env, NULL, 0, &s->txn), "begin");
	check(mdb_dbi_open(s->txn, NULL, 0, &s->dbi), "open");
	check(mdb_txn_commit(s->txn), "commit");
	return s;
}

static void close_store(void *store)
{
	struct store *s = store;

	mdb_env_close(s->env);
	free(s);
}

static void begin(void *store)
{
	struct store *s = store;

	check(mdb_txn_begin(s->env, NULL, 0, &s->txn), "begin");
}

static void put(void *store, struct th_slice key, struct th_slice value, bool ascending)
{
	struct store *s = store;
	MDB_val k = { key.size, (void *)(uintptr_t)key.data }, v = { value.size, (void *)(uintptr_t)value.data };

	check(mdb_put(s->txn, s->dbi, &k, &v, ascending ? MDB_APPEND : 0), "put");
}

static void commit(void *store, bool durable)
{
	struct store *s = store;

	check(mdb_env_set_flags(s->env, MDB_NOSYNC, !durable), "flags");
	check(mdb_txn_commit(s->txn), "commit");
}

static void sync_store(void *store)
{
	struct store *s = store;

	check(mdb_env_sync(s->env, 1), "sync");
}

static void nothing(void *store)
{
	(void)store;
}

static void read_begin(void *store)
{
	struct store *s = store;

	check(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn), "begin");
	check(mdb_cursor_open(s->txn, s->dbi, &s->cursor), "cursor");
}

static void read_end(void *store)
{
	struct store *s = store;

	mdb_cursor_close(s->cursor);
	mdb_txn_abort(s->txn);
}

static bool get(void *store, struct th_slice key, engine_visit *visit, void *arg)
{
	struct store *s = store;
	MDB_val k = { key.size, (void *)(uintptr_t)key.data }, v;
	int err = mdb_get(s->txn, s->dbi, &k, &v);

	if (err == MDB_NOTFOUND)
		return false;
	check(err, "get");
	visit(arg, key, (struct th_slice){ v.mv_data, v.mv_size });
	return true;
}

static void range(void *store, struct th_slice from, uint64_t limit, engine_visit *visit, void *arg)
{
	struct store *s = store;
	MDB_val k = { from.size, (void *)(uintptr_t)from.data }, v;
	int err = mdb_cursor_get(s->cursor, &k, &v, from.size ? MDB_SET_RANGE : MDB_FIRST);

	while (!err && limit-- > 0) {
		visit(arg, (struct th_slice){ k.mv_data, k.mv_size }, (struct th_slice){ v.mv_data, v.mv_size });
		if (limit)
			err = mdb_cursor_get(s->cursor, &k, &v, MDB_NEXT);
	}
	if (err != MDB_NOTFOUND)
		check(err, "next");
}

const struct engine engine_lmdb = {
	.name = "lmdb",
	.create = create,
	.close = close_store,
	.begin = begin,
	.put = put,
	.commit = commit,
	.sync = sync_store,
	.settle = nothing,
	.read_begin = read_begin,
	.read_end = read_end,
	.get = get,
	.range = range,
};
