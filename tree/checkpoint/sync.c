/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sync by leader: the first thread that syncs quiesces the callers, takes all queued records, writes them as one log
 * record, and flushes the
 * disk once; others wait for it.
 *
 * The data that the transactions refer to is already in its final blocks, or on its way there.  One flush covers data
 * and record, so a crash may leave the record without the data.  Replay checks for that (txn/replay.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/thread.h"
#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/io/chunk.h"

/* Lists the parts of the log record.  The caller frees them.  Returns their number or -ENOMEM; *ret_bytes: their
 * size. */
static int list_parts(const struct th_pending *list, struct iovec **ret, size_t *ret_bytes)
{
	size_t n = 0;

	for (const struct th_pending *pending = list; pending; pending = pending->next)
		n++;
	*ret = calloc(n, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	*ret_bytes = 0;
	n = 0;
	for (; list; list = list->next) {
		(*ret)[n++] = (struct iovec){ (void *)(uintptr_t)list->bytes, list->size };
		*ret_bytes += list->size;
	}
	return (int)n;
}

static int log_pending(struct th_store *store, const struct th_pending *list)
{
	struct iovec *parts;
	size_t bytes;
	int n = list_parts(list, &parts, &bytes), err;

	if (n < 0)
		return n;
	th_chunk_wait_all(store);
	err = th_store_writable(store);
	if (!err) {
		pthread_mutex_lock(&store->log_lock);
		err = th_log_append(store->log, parts, n);
		pthread_mutex_unlock(&store->log_lock);
	}
	free(parts);
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

/* Takes the queue at a moment of the callers.  A change that could not be committed is missing from it; the sync of
 * that change reports it.  Returns 0, 1 if the queue is empty, or -ENOSPC if it does not fit the log. */
static int take_moment(struct th_store *store, struct th_pending **ret, uint64_t *ret_seq)
{
	int err = 0;

	(void)th_store_quiesce(store);
	pthread_mutex_lock(&store->sync_lock);
	*ret = th_log_queue_take(store, ret_seq);
	if (!*ret)
		err = store->pending || store->overflow_seq ? -ENOSPC : 1;
	pthread_mutex_unlock(&store->sync_lock);
	th_store_resume(store);
	return err;
}

/* Makes a moment durable, as the leader.  sync_lock is held, and dropped in between. */
static int lead(struct th_store *store)
{
	struct th_pending *list;
	uint64_t moment = ++store->moments, seq = 0;
	int err;

	store->syncing = true;
	pthread_mutex_unlock(&store->sync_lock);
	err = take_moment(store, &list, &seq);
	if (!err)
		err = log_pending(store, list);
	th_pending_free(list);
	/* A checkpoint makes room, and the transactions durable. */
	if (err == -ENOSPC || err == -EFBIG || err == -ENOMEM)
		err = th_checkpoint(store, NULL, NULL, 0);
	else if (err < 0)
		th_store_fail(store, err, "writing the intent log");
	else if (!err)
		log_done(store, seq);
	pthread_mutex_lock(&store->sync_lock);
	store->syncing = false;
	if (err >= 0)
		store->moment_durable = moment;
	pthread_cond_broadcast(&store->sync_done);
	return err < 0 ? err : 0;
}

/* Waits until a moment that began after the call is durable. */
int th_store_sync(struct th_store *store)
{
	int err = th_store_writable(store);
	uint64_t moment;

	atomic_fetch_add(&store->syncs, 1);
	if (!err && th_reclaim_unnoted(store)) /* the log has no record of deletions of snapshots */
		err = th_checkpoint(store, NULL, NULL, 0);
	pthread_mutex_lock(&store->sync_lock);
	moment = store->moments + 1;
	while (!err && store->moment_durable < moment) {
		if (store->syncing) {
			th_thread_waits();
			pthread_cond_wait(&store->sync_done, &store->sync_lock);
			err = th_store_writable(store);
		} else {
			err = lead(store);
		}
	}
	pthread_mutex_unlock(&store->sync_lock);
	return err;
}
