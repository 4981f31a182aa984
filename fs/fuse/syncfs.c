/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/syncfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/fuse/channel.h"
#include "fs/fuse/reply.h"
#include "journal/base/thread.h"

struct waiter {
	struct waiter *next;
	fuse_req_t req;
	int channel;
};

struct th_fuse_syncer {
	struct th_fuse *fuse;
	pthread_t thread;
	atomic_int asking; /* the thread's own id, while it asks the kernel */
	atomic_bool answered; /* the kernel passes syncfs on */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct waiter *waiters; /* lock */
	bool stop; /* lock */
};

static void reply_all(struct waiter *waiters, int err)
{
	for (struct waiter *next; waiters; waiters = next) {
		next = waiters->next;
		th_fuse_set_channel(waiters->channel);
		th_fuse_error(waiters->req, err);
		free(waiters);
	}
	th_fuse_set_channel(0);
}

/* Calls syncfs(2) on the mount.  Its request must not wait for this thread. */
static void ask(struct th_fuse_syncer *syncer)
{
	int fd = open(syncer->fuse->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return; /* the mount has ended already */
	atomic_store(&syncer->asking, gettid());
	syncfs(fd);
	atomic_store(&syncer->asking, 0);
	close(fd);
}

static void *syncer_run(void *arg)
{
	struct th_fuse_syncer *syncer = arg;
	struct th_fuse *fuse = syncer->fuse;

	ask(syncer);
	fuse->syncs = atomic_load(&syncer->answered);
	if (fuse->ready)
		fuse->ready(fuse);
	pthread_mutex_lock(&syncer->lock);
	while (!syncer->stop || syncer->waiters) {
		struct waiter *waiters = syncer->waiters;

		if (!waiters) {
			pthread_cond_wait(&syncer->cond, &syncer->lock);
			continue;
		}
		syncer->waiters = NULL;
		pthread_mutex_unlock(&syncer->lock);
		reply_all(waiters, th_fs_sync(fuse->fs));
		pthread_mutex_lock(&syncer->lock);
	}
	pthread_mutex_unlock(&syncer->lock);
	return NULL;
}

void th_fuse_syncfs(fuse_req_t req)
{
	struct th_fuse_syncer *syncer = th_fuse_of(req)->syncer;
	struct waiter *waiter;
	int asking;

	if (!syncer) {
		th_fuse_error(req, -ENOSYS);
		return;
	}
	atomic_store(&syncer->answered, true);
	asking = atomic_load(&syncer->asking);
	if (asking && fuse_req_ctx(req)->pid == asking) { /* a caller in another pid namespace has the number 0 */
		th_fuse_error(req, 0);
		return;
	}
	waiter = malloc(sizeof(*waiter));
	if (!waiter) {
		th_fuse_error(req, -ENOMEM);
		return;
	}
	waiter->req = req;
	waiter->channel = th_fuse_channel();
	pthread_mutex_lock(&syncer->lock);
	waiter->next = syncer->waiters;
	syncer->waiters = waiter;
	pthread_cond_signal(&syncer->cond);
	pthread_mutex_unlock(&syncer->lock);
}

static void syncer_free(struct th_fuse_syncer *syncer)
{
	pthread_mutex_destroy(&syncer->lock);
	pthread_cond_destroy(&syncer->cond);
	free(syncer);
}

int th_fuse_syncer_start(struct th_fuse *fuse)
{
	struct th_fuse_syncer *syncer = calloc(1, sizeof(*syncer));
	int err;

	if (!syncer)
		return -ENOMEM;
	syncer->fuse = fuse;
	pthread_mutex_init(&syncer->lock, NULL);
	pthread_cond_init(&syncer->cond, NULL);
	fuse->syncer = syncer;
	err = th_thread_start(&syncer->thread, syncer_run, syncer);
	if (err) {
		fuse->syncer = NULL;
		syncer_free(syncer);
	}
	return err;
}

void th_fuse_syncer_stop(struct th_fuse *fuse)
{
	struct th_fuse_syncer *syncer = fuse->syncer;

	if (!syncer)
		return;
	pthread_mutex_lock(&syncer->lock);
	syncer->stop = true;
	pthread_cond_signal(&syncer->cond);
	pthread_mutex_unlock(&syncer->lock);
	pthread_join(syncer->thread, NULL);
	fuse->syncer = NULL;
	syncer_free(syncer);
}
