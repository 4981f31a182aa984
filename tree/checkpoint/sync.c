/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sync by leader: the first thread that syncs takes all queued records, writes them as one log record, and flushes the
 * disk once; others wait for it.
 *
 * The data that the transactions refer to is already in its final blocks, or on its way there.  One flush covers data
 * and record, so a crash may leave the record without the data.  Replay checks for that (txn/replay.c).
 */
#include <errno.h>

#include "journal/base/thread.h"
#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/io/chunk.h"

static int log_pending(struct th_store *store, const struct th_pending *list)
{
	struct iovec parts[TH_LOG_RECORD_PARTS];
	size_t bytes = 0;
	int n = 0, err;

	for (; list; list = list->next) {
		parts[n++] = (struct iovec){ (void *)(uintptr_t)list->bytes, list->size };
		bytes += list->size;
	}
	th_chunk_wait_all(store);
	err = th_store_writable(store);
	if (!err) {
		pthread_mutex_lock(&store->log_lock);
		err = th_log_append(store->log, parts, n);
		pthread_mutex_unlock(&store->log_lock);
	}
	if (!err)
		err = th_disk_sync(store->disk);
	if (!err) {
		atomic_fetch_add(&store->log_records, 1);
		atomic_fetch_add(&store->log_bytes, bytes);
	}
	return err;
}

/* Notes that transactions up to seq are durable in the log. */
static void log_done(struct th_store *store, uint64_t seq)
{
	pthread_mutex_lock(&store->sync_lock);
	store->log_head = th_log_head(store->log);
	if (store->synced_seq < seq)
		store->synced_seq = seq;
	pthread_mutex_unlock(&store->sync_lock);
}

/* Writes the queue to the log, as the leader.  sync_lock is held, and dropped during the writes. */
static int lead(struct th_store *store)
{
	struct th_pending *list;
	uint64_t seq = 0;
	int count, err;

	store->syncing = true;
	list = th_log_queue_take(store, &seq, &count);
	pthread_mutex_unlock(&store->sync_lock);
	err = list ? log_pending(store, list) : -ENOSPC;
	th_pending_free(list);
	if (err == -ENOSPC || err == -EFBIG)
		err = th_checkpoint(store, NULL, NULL, 0); /* makes room, and the transactions durable */
	else if (err)
		th_store_fail(store, err, "writing the intent log");
	else
		log_done(store, seq);
	pthread_mutex_lock(&store->sync_lock);
	store->syncing = false;
	pthread_cond_broadcast(&store->sync_done);
	return err;
}

int th_store_sync(struct th_store *store)
{
	uint64_t target = __atomic_load_n(&store->seq, __ATOMIC_ACQUIRE);
	int err = store->read_only ? -EROFS : 0;

	atomic_fetch_add(&store->syncs, 1);
	if (!err && th_reclaim_unnoted(store)) /* the log has no record of deletions of snapshots */
		err = th_checkpoint(store, NULL, NULL, 0);
	pthread_mutex_lock(&store->sync_lock);
	while (!err && store->synced_seq < target) {
		if (store->syncing) {
			th_thread_waits();
			pthread_cond_wait(&store->sync_done, &store->sync_lock);
			err = th_store_writable(store);
		} else if (store->overflow_seq) {
			pthread_mutex_unlock(&store->sync_lock);
			err = th_checkpoint(store, NULL, NULL, 0);
			pthread_mutex_lock(&store->sync_lock);
		} else {
			err = lead(store);
		}
	}
	pthread_mutex_unlock(&store->sync_lock);
	return err;
}
