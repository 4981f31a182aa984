/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/state/state.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "journal/base/report.h"

void th_store_report(struct th_store *store, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(store->options.report, store->options.arg, format, args);
	va_end(args);
}

int th_store_fail(struct th_store *store, int error, const char *what)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&store->failed, &none, -error))
		th_store_report(store, "%s: %s failed: %s; writes are refused until the store is opened again",
				store->disk->name, what, strerror(-error));
	return error;
}

int th_store_failure(const struct th_store *store)
{
	return atomic_load(&store->failed);
}

int th_store_writable(struct th_store *store)
{
	bool refused = store->read_only || atomic_load(&store->failed) || th_heartbeat_is_lost(store->heartbeat);

	return refused ? -EROFS : 0;
}

bool th_store_lenient(const struct th_store *store, int err)
{
	return store->read_only && (err == -EBADMSG || err == -EUCLEAN || err == -EIO);
}

void th_store_lose(struct th_store *store, enum th_lost part)
{
	unsigned before = store->lost;

	store->lost |= part;
	if (store->lost == before)
		return;
	if (part == TH_LOST_SPACE)
		th_store_report(store, "%s: the map of free space cannot be read; free space is not known",
				store->disk->name);
	else if (part == TH_LOST_LIVE)
		th_store_report(store, "%s: the root of the live tree cannot be read; snapshots may be whole",
				store->disk->name);
	else
		th_store_report(store, "%s: the list of snapshots and branches is damaged; some may be missing",
				store->disk->name);
}

/* Blocks for all copies of nodes, whatever the fragmentation. */
static uint64_t blocks_for(const struct th_store *store, uint64_t node_bytes)
{
	return th_store_scattered(node_bytes) / TH_BLOCK_SIZE * store->copies;
}

static uint64_t unwritten(struct th_store *store)
{
	return atomic_load(&store->dirty_bytes) + atomic_load(&store->writing_bytes) +
	       atomic_load(&store->merging_bytes);
}

int th_store_quiesce(struct th_store *store)
{
	return store->options.quiesce ? store->options.quiesce(store->options.arg) : 0;
}

void th_store_resume(struct th_store *store)
{
	if (store->options.resume)
		store->options.resume(store->options.arg);
}

void th_store_budget(struct th_store *store)
{
	pthread_mutex_lock(&store->budget_lock); /* else an older value could overwrite a newer one */
	th_cache_reserve(store->cache, th_cache_outside(store->cache));
	th_space_pledge(store->space, blocks_for(store, unwritten(store)));
	pthread_mutex_unlock(&store->budget_lock);
}

void th_store_written(struct th_store *store, size_t bytes)
{
	pthread_mutex_lock(&store->checkpointer_lock);
	atomic_fetch_sub(&store->writing_bytes, bytes);
	pthread_cond_broadcast(&store->progress);
	pthread_mutex_unlock(&store->checkpointer_lock);
	th_store_budget(store);
}

/* A merge may make so many bytes dirty by work that can wait; at most half of the room beyond its worst case.  With
 * less, deletes wait longer in overlays, and push-downs of large trees move fewer messages at a time. */
#define TH_MERGE_OPTIONAL ((size_t)16 << 20)

/* Returns how many free blocks must be left. */
static uint64_t floor_of(const struct th_space_stat *stat, enum th_room room)
{
	if (room == TH_ROOM_NORMAL)
		return stat->emergency;
	return room == TH_ROOM_FREEING ? stat->emergency * 3 / 8 : stat->emergency / 4;
}

int th_store_room_now(struct th_store *store, uint64_t bytes, enum th_room room)
{
	struct th_space_stat stat;
	uint64_t pending = blocks_for(store, unwritten(store)) + bytes / TH_BLOCK_SIZE * store->copies;

	th_space_stat(store->space, &stat);
	return stat.free > floor_of(&stat, room) + stat.reserved + pending ? 0 : -ENOSPC;
}

/* Returns how many bytes of nodes there is room for, in addition to those that are not written yet. */
static size_t node_room(struct th_store *store, uint64_t floor)
{
	struct th_space_stat stat;
	uint64_t used = floor + blocks_for(store, unwritten(store));

	th_space_stat(store->space, &stat);
	return stat.free > used ? (stat.free - used) / store->copies * TH_BLOCK_SIZE / 3 * 2 : 0;
}

int th_store_merge_begin(struct th_store *store, size_t worst, enum th_room room)
{
	size_t dirty = store->live.dirty_bytes, fits, optional = 0;
	struct th_space_stat stat;
	uint64_t floor;
	int err = -ENOSPC;

	th_space_stat(store->space, &stat);
	floor = floor_of(&stat, room);
	pthread_mutex_lock(&store->budget_lock);
	fits = node_room(store, floor);
	if (fits >= worst) {
		optional = (fits - worst) / 2 < TH_MERGE_OPTIONAL ? (fits - worst) / 2 : TH_MERGE_OPTIONAL;
		err = th_space_try_pledge(store->space, blocks_for(store, unwritten(store) + worst + optional), floor);
	}
	if (!err)
		atomic_store(&store->merging_bytes, worst + optional);
	pthread_mutex_unlock(&store->budget_lock);
	store->live.dirty_limit = err ? 0 : dirty + optional;
	return err;
}

void th_store_merge_end(struct th_store *store)
{
	size_t before = atomic_load(&store->dirty_bytes), now = store->live.dirty_bytes;

	store->live.dirty_limit = SIZE_MAX;
	atomic_store(&store->merged_bytes, now > before ? now - before : 0);
	atomic_store(&store->dirty_bytes, now);
	atomic_store(&store->merging_bytes, 0);
	th_store_budget(store);
}

void th_store_count_up(struct th_store *store, enum th_super_counter counter, uint64_t blocks)
{
	store->super.counters[counter] += blocks;
}

void th_store_count_down(struct th_store *store, enum th_super_counter counter, uint64_t blocks)
{
	uint64_t *count = &store->super.counters[counter];

	*count -= blocks < *count ? blocks : *count;
}
