/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk on a pool of threads, for kernels that have no io_uring or forbid it.  When the queue is full the caller
 * carries out its transfer itself: that slows down the callers that queue too much, and cannot deadlock.
 */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/thread.h"
#include "journal/disk/disk_file.h"

#define POOL_THREADS 8 /* as many transfers at once; fewer threads still work, if the system refuses more */
#define POOL_DEPTH 1024 /* transfers in the queue, as URING_DEPTH */

struct job {
	struct job *next;
	struct th_transfer transfer;
	struct th_future *future;
};

struct threads_disk {
	struct th_disk_file file;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t more;
	struct job *first, **last;
	unsigned queued, idle;
	bool stop;
	unsigned nthreads;
	pthread_t threads[POOL_THREADS];
};

/* Waits for a job.  Returns NULL when the pool stops and the queue is empty. */
static struct job *pool_take(struct threads_disk *disk)
{
	struct job *job;

	pthread_mutex_lock(&disk->lock);
	disk->idle++;
	while (!disk->first && !disk->stop)
		pthread_cond_wait(&disk->more, &disk->lock);
	disk->idle--;
	job = disk->first;
	if (job) {
		disk->first = job->next;
		if (!disk->first)
			disk->last = &disk->first;
		disk->queued--;
	}
	pthread_mutex_unlock(&disk->lock);
	return job;
}

static void *pool_run(void *arg)
{
	struct threads_disk *disk = arg;
	struct job *job;

	while ((job = pool_take(disk)) != NULL) {
		struct th_future *future = job->future;
		int err = th_disk_file_run(&disk->file, &job->transfer, 0);

		free(job);
		th_future_complete(future, err);
	}
	return NULL;
}

/* Returns false if the queue is full or there is no memory. */
static bool pool_put(struct threads_disk *disk, const struct th_transfer *transfer, struct th_future *future)
{
	struct job *job = malloc(sizeof(*job));
	bool put;

	if (!job)
		return false;
	*job = (struct job){ .transfer = *transfer, .future = future };
	pthread_mutex_lock(&disk->lock);
	put = disk->queued < POOL_DEPTH;
	if (put) {
		*disk->last = job;
		disk->last = &job->next;
		disk->queued++;
		if (disk->idle)
			pthread_cond_signal(&disk->more);
	}
	pthread_mutex_unlock(&disk->lock);
	if (!put)
		free(job);
	return put;
}

static void threads_start(struct th_disk *base, const struct th_transfer *transfer, struct th_future *future)
{
	struct threads_disk *disk = (struct threads_disk *)base;

	th_future_init(future, NULL, NULL);
	if (transfer->kind == TH_TRANSFER_SAVE && disk->file.read_only)
		th_future_complete(future, -EROFS);
	else if (!pool_put(disk, transfer, future))
		th_future_complete(future, th_disk_file_run(&disk->file, transfer, 0));
}

static void threads_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	struct th_transfer transfer = th_transfer_get(addr, blocks, buf);

	threads_start(disk, &transfer, future);
}

static void threads_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
			 struct th_future *future)
{
	struct th_transfer transfer = th_transfer_save(addr, iov, iovcnt);

	threads_start(disk, &transfer, future);
}

static void threads_flush(struct th_disk *disk, struct th_future *future)
{
	struct th_transfer transfer = th_transfer_flush();

	threads_start(disk, &transfer, future);
}

/* Stops the pool and frees the disk, but not the file. */
static void threads_free(struct threads_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->stop = true;
	pthread_cond_broadcast(&disk->more);
	pthread_mutex_unlock(&disk->lock);
	for (unsigned i = 0; i < disk->nthreads; i++)
		pthread_join(disk->threads[i], NULL);
	pthread_cond_destroy(&disk->more);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static void threads_close(struct th_disk *base)
{
	struct threads_disk *disk = (struct threads_disk *)base;
	struct th_disk_file file = disk->file;

	threads_free(disk);
	th_disk_file_release(&file);
}

static const struct th_disk_ops threads_ops = {
	.get = threads_get,
	.save = threads_save,
	.flush = threads_flush,
	.discard = th_disk_file_discard,
	.grow = th_disk_file_grow,
	.hold = th_disk_file_hold,
	.now = th_disk_file_now,
	.close = threads_close,
};

int th_disk_threads_new(const struct th_disk_file *file, struct th_disk **ret)
{
	struct threads_disk *disk = calloc(1, sizeof(*disk));
	int err = 0;

	if (!disk)
		return -ENOMEM;
	disk->file = *file;
	disk->file.disk.ops = &threads_ops;
	disk->last = &disk->first;
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->more, NULL);
	while (!err && disk->nthreads < POOL_THREADS) {
		err = th_thread_start(&disk->threads[disk->nthreads], pool_run, disk);
		if (!err)
			disk->nthreads++;
	}
	if (disk->nthreads == 0) {
		threads_free(disk);
		return err;
	}
	*ret = &disk->file.disk;
	return 0;
}
