/* SPDX-License-Identifier: Apache-2.0 */
/* RocksDB with Bloom filters, without compression (the values are incompressible), with two background jobs */
#include <inttypes.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/engines/engine.h"

#define SETTLE_MS 50

extern const struct engine engine_rocksdb;

struct store {
	rocksdb_t *db;
	rocksdb_writebatch_t *batch;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_durable;
	rocksdb_iterator_t *iterator;
};

static void check(char *error, const char *what)
{
	if (error)
		engine_fail(&engine_rocksdb, what, error);
}

static rocksdb_options_t *options(size_t cache_bytes)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(cache_bytes));
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_max_open_files(o, -1);
	return o;
}

static void *create(const char *path, size_t cache_bytes)
{
	struct store *s = calloc(1, sizeof(*s));
	char *error = NULL;

	if (!s)
		engine_fail(&engine_rocksdb, "memory", "none left");
	s->db = rocksdb_open(options(cache_bytes), path, &error);
	check(error, "open");
	s->batch = rocksdb_writebatch_create();
	s->read = rocksdb_readoptions_create();
	s->write = rocksdb_writeoptions_create();
	s->write_durable = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(s->write_durable, 1);
	return s;
}

static void close_store(void *store)
{
	struct store *s = store;

	rocksdb_close(s->db);
	free(s);
}

static void begin(void *store)
{
	struct store *s = store;

	rocksdb_writebatch_clear(s->batch);
}

static void put(void *store, struct th_slice key, struct th_slice value, bool ascending)
{
	struct store *s = store;

	(void)ascending;
	rocksdb_writebatch_put(s->batch, key.data, key.size, value.data, value.size);
}

static void commit(void *store, bool durable)
{
	struct store *s = store;
	char *error = NULL;

	rocksdb_write(s->db, durable ? s->write_durable : s->write, s->batch, &error);
	check(error, "write");
}

static void sync_store(void *store)
{
	struct store *s = store;
	char *error = NULL;

	rocksdb_flush_wal(s->db, 1, &error);
	check(error, "sync");
}

static bool busy(struct store *s)
{
	static const char *const counts[] = { "rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes",
					      "rocksdb.compaction-pending", "rocksdb.num-running-compactions" };
	uint64_t n;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (!rocksdb_property_int(s->db, counts[i], &n) && n)
			return true;
	return false;
}

static void settle(void *store)
{
	struct store *s = store;
	rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_flush(s->db, flush, &error);
	check(error, "flush");
	rocksdb_flushoptions_destroy(flush);
	while (busy(s))
		usleep(SETTLE_MS * 1000);
}

static void read_begin(void *store)
{
	struct store *s = store;

	s->iterator = rocksdb_create_iterator(s->db, s->read);
}

static void read_end(void *store)
{
	struct store *s = store;

	rocksdb_iter_destroy(s->iterator);
}

static bool get(void *store, struct th_slice key, engine_visit *visit, void *arg)
{
	struct store *s = store;
	struct th_slice value;
	char *error = NULL;
	rocksdb_pinnableslice_t *found = rocksdb_get_pinned(s->db, s->read, key.data, key.size, &error);

	check(error, "get");
	if (!found)
		return false;
	value.data = rocksdb_pinnableslice_value(found, &value.size);
	visit(arg, key, value);
	rocksdb_pinnableslice_destroy(found);
	return true;
}

static void range(void *store, struct th_slice from, uint64_t limit, engine_visit *visit, void *arg)
{
	struct store *s = store;
	char *error = NULL;

	rocksdb_iter_seek(s->iterator, from.data ? from.data : "", from.size);
	for (; limit > 0 && rocksdb_iter_valid(s->iterator); limit--) {
		struct th_slice key, value;

		key.data = rocksdb_iter_key(s->iterator, &key.size);
		value.data = rocksdb_iter_value(s->iterator, &value.size);
		visit(arg, key, value);
		if (limit > 1)
			rocksdb_iter_next(s->iterator);
	}
	rocksdb_iter_get_error(s->iterator, &error);
	check(error, "next");
}

const struct engine engine_rocksdb = {
	.name = "rocksdb",
	.create = create,
	.close = close_store,
	.begin = begin,
	.put = put,
	.commit = commit,
	.sync = sync_store,
	.settle = settle,
	.read_begin = read_begin,
	.read_end = read_end,
	.get = get,
	.range = range,
};
