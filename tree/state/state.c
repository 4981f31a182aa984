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

int th_store_writable(struct th_store *store)
{
	return store->read_only || atomic_load(&store->failed) ? -EROFS : 0;
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

void th_store_budget(struct th_store *store)
{
	pthread_mutex_lock(&store->budget_lock); /* else an older value could overwrite a newer one */
	th_cache_reserve(store->cache, th_cache_outside(store->cache));
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

/* Blocks that a small merge may make dirty besides those of its messages: copies of nodes from the root to a leaf, and of
 * neighbours that are split or joined.  A merge that takes more eats into the rest of the emergency reserve. */
#define TH_MERGE_BLOCKS 96

/* S4.  keep_reserved: blocks that callers have reserved are not available. */
static int check_free(struct th_store *store, uint64_t bytes, bool emergency, bool keep_reserved)
{
	struct th_space_stat stat;
	uint64_t dirty = atomic_load(&store->dirty_bytes) + atomic_load(&store->writing_bytes);
	uint64_t scattered = dirty + dirty / 2; /* a scattered node of two blocks takes three */
	uint64_t pending = (scattered + bytes) / TH_BLOCK_SIZE * store->copies;
	uint64_t floor, merge = (uint64_t)TH_MERGE_BLOCKS * store->copies;

	th_space_stat(store->space, &stat);
	floor = stat.emergency;
	if (emergency)
		floor = floor / 4 > merge ? floor / 4 : merge;
	if (keep_reserved)
		floor += stat.reserved;
	return stat.free > floor + pending ? 0 : -ENOSPC;
}

int th_store_room_now(struct th_store *store, uint64_t bytes, bool emergency)
{
	return check_free(store, bytes, emergency, true);
}

int th_store_room_reserved(struct th_store *store, uint64_t bytes, bool emergency)
{
	return check_free(store, bytes, emergency, false);
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
