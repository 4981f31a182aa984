/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/engines/thunderhead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/disk/disk.h"

struct store {
	struct th_store *store;
	struct th_txn *txn;
	struct th_cursor *cursor;
};

static void check(int err, const char *what)
{
	if (err < 0)
		engine_fail(&engine_thunderhead, what, strerror(-err));
}

static void *create_on(const char *path, size_t cache_bytes, unsigned disk_flags)
{
	struct th_format_options format = { .force = true };
	/* The log makes transactions durable; a checkpoint is written only when there is much to write. */
	struct th_store_options options = { .cache_bytes = cache_bytes, .checkpoint_interval_ms = 600000 };
	struct store *s = calloc(1, sizeof(*s));
	struct th_disk *disk;

	check(s ? th_disk_open(path, disk_flags, &disk) : -ENOMEM, path);
	check(th_store_format(disk, &format), "format");
	check(th_store_open(disk, &options, &s->store), "open");
	return s;
}

static void *create(const char *path, size_t cache_bytes)
{
	return create_on(path, cache_bytes, 0);
}

static void *create_buffered(const char *path, size_t cache_bytes)
{
	return create_on(path, cache_bytes, TH_DISK_BUFFERED);
}

static void close_store(void *store)
{
	struct store *s = store;

	check(th_store_close(s->store), "close");
	free(s);
}

static void begin(void *store)
{
	struct store *s = store;

	check(th_txn_begin(s->store, &s->txn), "begin");
}

static void put(void *store, struct th_slice key, struct th_slice value, bool ascending)
{
	struct store *s = store;

	(void)ascending;
	check(th_txn_put(s->txn, key, value), "put");
}

static void commit(void *store, bool durable)
{
	struct store *s = store;

	check(th_txn_commit(s->txn), "merge");
	if (durable)
		check(th_store_sync(s->store), "sync");
}

static void sync_store(void *store)
{
	struct store *s = store;

	check(th_store_sync(s->store), "sync");
}

static void settle(void *store)
{
	thunderhead_commit(store, NULL);
}

static bool get(void *store, struct th_slice key, engine_visit *visit, void *arg)
{
	struct store *s = store;
	struct th_value value;
	int err = th_get(th_view_live(s->store), key, &value);

	if (err == -ENOENT)
		return false;
	check(err, "get");
	visit(arg, key, (struct th_slice){ value.data, value.size });
	th_value_release(&value);
	return true;
}

static void read_begin(void *store)
{
	static const struct th_range all = { 0 };
	struct store *s = store;

	check(th_cursor_open(th_view_live(s->store), &all, &s->cursor), "cursor");
}

static void read_end(void *store)
{
	struct store *s = store;

	th_cursor_close(s->cursor);
}

static void range(void *store, struct th_slice from, uint64_t limit, engine_visit *visit, void *arg)
{
	struct store *s = store;
	struct th_cursor_entry entry;
	int end = th_cursor_seek(s->cursor, from);

	while (end == 0 && limit-- > 0 && (end = th_cursor_next(s->cursor, &entry)) == 0)
		visit(arg, entry.key, entry.value);
	check(end, "range");
}

struct th_get *thunderhead_get_begin(void *store, struct th_slice key)
{
	struct store *s = store;
	struct th_get *get;

	check(th_get_async(th_view_live(s->store), key, &get), "get");
	return get;
}

bool thunderhead_get_end(struct th_get *get, struct th_slice key, engine_visit *visit, void *arg)
{
	struct th_value value;
	int err = th_get_finish(get, &value);

	if (err == -ENOENT)
		return false;
	check(err, "get");
	visit(arg, key, (struct th_slice){ value.data, value.size });
	th_value_release(&value);
	return true;
}

void thunderhead_commit(void *store, const char *snapshot)
{
	struct store *s = store;

	if (snapshot)
		check(th_snapshot_create(s->store, snapshot, NULL), "snapshot");
	else
		check(th_store_checkpoint(s->store), "commit");
}

static struct th_view *open_snapshot(struct store *s, const char *name)
{
	struct th_snapshot snapshot;
	struct th_view *view;

	check(th_snapshot_find(s->store, name, &snapshot), name);
	check(th_view_snapshot(s->store, snapshot.id, &view), name);
	return view;
}

uint64_t thunderhead_diff(void *store, const char *from, const char *to, uint64_t *ret_nodes_read)
{
	struct th_view *older = open_snapshot(store, from), *newer = open_snapshot(store, to);
	struct th_diff_stats stats;
	struct th_change change;
	struct th_diff *diff;
	uint64_t changes = 0;
	int end;

	check(th_diff_open(older, newer, NULL, &diff), "diff");
	while ((end = th_diff_next(diff, &change)) == 0)
		changes++;
	check(end, "diff");
	th_diff_stats(diff, &stats);
	*ret_nodes_read = stats.nodes_read;
	th_diff_close(diff);
	th_view_close(older);
	th_view_close(newer);
	return changes;
}

#define COMMON                                                                                                         \
	.close = close_store, .begin = begin, .put = put, .commit = commit, .sync = sync_store, .settle = settle,      \
	.read_begin = read_begin, .read_end = read_end, .get = get, .range = range

const struct engine engine_thunderhead = { .name = "thunderhead", .create = create, COMMON };
const struct engine engine_thunderhead_buffered = { .name = "thunderhead-buffered", .create = create_buffered, COMMON };
