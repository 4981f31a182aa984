/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/scrub/scrubber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/scrub/file_data.h"
#include "journal/base/clock.h"
#include "journal/base/thread.h"

/* Bytes of a part.  Checkpoints wait for the end of a part: some tens of milliseconds on a hard disk. */
#define PART_BYTES (UINT64_C(2) << 20)
#define PAUSE_MS 1 /* between parts without a limit, in which a checkpoint gets its turn */

struct th_scrubber {
	struct th_fs *fs;
	pthread_mutex_t request_lock; /* one request at a time; before `lock` */
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t wake;
	pthread_t thread;
	bool started; /* the thread is to be joined; request_lock */
	bool running; /* the thread has not ended */
	bool end; /* the thread is to end */
	uint64_t rate;
};

int th_scrubber_new(struct th_fs *fs, struct th_scrubber **ret)
{
	struct th_scrubber *scrubber = calloc(1, sizeof(*scrubber));
	pthread_condattr_t attr;

	if (!scrubber)
		return -ENOMEM;
	scrubber->fs = fs;
	pthread_mutex_init(&scrubber->request_lock, NULL);
	pthread_mutex_init(&scrubber->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&scrubber->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = scrubber;
	return 0;
}

/* Waits for `ms`, or until the thread is to end.  Returns whether it is. */
static bool wait_ms(struct th_scrubber *scrubber, uint64_t ms)
{
	struct timespec until = th_clock_after_ms(CLOCK_MONOTONIC, ms);
	bool end;

	pthread_mutex_lock(&scrubber->lock);
	while (!scrubber->end && pthread_cond_timedwait(&scrubber->wake, &scrubber->lock, &until) == 0)
		;
	end = scrubber->end;
	pthread_mutex_unlock(&scrubber->lock);
	return end;
}

static uint64_t wait_after_part(const struct th_scrubber *scrubber, uint64_t bytes)
{
	uint64_t ms = scrubber->rate ? bytes * 1000 / scrubber->rate : 0;

	return ms > PAUSE_MS ? ms : PAUSE_MS;
}

static void *scrub_thread(void *arg)
{
	struct th_scrubber *scrubber = arg;
	struct th_scrub_file_data data = { .fs = scrubber->fs };
	uint64_t part = scrubber->rate && scrubber->rate < PART_BYTES ? scrubber->rate : PART_BYTES;
	int ret = th_scrub_new(scrubber->fs->store, th_scrub_file_value, &data, &data.scrub);

	while (!ret) {
		ret = th_scrub_step(data.scrub, part);
		if (!ret && wait_ms(scrubber, wait_after_part(scrubber, part)))
			break;
	}
	if (ret < 0)
		th_fs_report(scrubber->fs, "scrub: ended early: %s; the next mount continues it", strerror(-ret));
	th_scrub_free(data.scrub);
	pthread_mutex_lock(&scrubber->lock);
	scrubber->running = false;
	pthread_mutex_unlock(&scrubber->lock);
	return NULL;
}

static bool is_running(struct th_scrubber *scrubber)
{
	bool running;

	pthread_mutex_lock(&scrubber->lock);
	running = scrubber->running;
	pthread_mutex_unlock(&scrubber->lock);
	return running;
}

/* Ends the thread and waits for it.  request_lock is held. */
static void end_thread(struct th_scrubber *scrubber)
{
	if (!scrubber->started)
		return;
	pthread_mutex_lock(&scrubber->lock);
	scrubber->end = true;
	pthread_cond_signal(&scrubber->wake);
	pthread_mutex_unlock(&scrubber->lock);
	pthread_join(scrubber->thread, NULL);
	scrubber->started = scrubber->end = false;
}

static int start_thread(struct th_scrubber *scrubber, uint64_t rate)
{
	int err;

	scrubber->rate = rate;
	scrubber->running = true;
	err = th_thread_start(&scrubber->thread, scrub_thread, scrubber);
	scrubber->started = scrubber->running = !err;
	return err;
}

void th_scrubber_free(struct th_scrubber *scrubber)
{
	if (!scrubber)
		return;
	end_thread(scrubber);
	pthread_cond_destroy(&scrubber->wake);
	pthread_mutex_destroy(&scrubber->lock);
	pthread_mutex_destroy(&scrubber->request_lock);
	free(scrubber);
}

int th_scrubber_start(struct th_scrubber *scrubber, uint64_t rate)
{
	int err = -EALREADY;

	pthread_mutex_lock(&scrubber->request_lock);
	if (!is_running(scrubber)) {
		end_thread(scrubber);
		th_scrub_begin(scrubber->fs->store);
		err = start_thread(scrubber, rate);
	}
	pthread_mutex_unlock(&scrubber->request_lock);
	return err;
}

int th_scrubber_resume(struct th_scrubber *scrubber)
{
	struct th_super_scrub state;

	th_scrub_state(scrubber->fs->store, &state);
	return state.generation && !state.paused ? th_scrubber_start(scrubber, TH_SCRUB_RATE) : 0;
}

/* Ends the thread of a scrub that is not complete, and lets `then` note why. */
static int end_scrub(struct th_scrubber *scrubber, void (*then)(struct th_store *store))
{
	struct th_super_scrub state;
	int err = 0;

	pthread_mutex_lock(&scrubber->request_lock);
	end_thread(scrubber);
	th_scrub_state(scrubber->fs->store, &state);
	if (state.generation)
		then(scrubber->fs->store);
	else
		err = -ESRCH;
	pthread_mutex_unlock(&scrubber->request_lock);
	return err;
}

int th_scrubber_pause(struct th_scrubber *scrubber)
{
	return end_scrub(scrubber, th_scrub_pause);
}

int th_scrubber_stop(struct th_scrubber *scrubber)
{
	return end_scrub(scrubber, th_scrub_abandon);
}

void th_scrubber_status(struct th_scrubber *scrubber, struct th_scrubber_status *ret)
{
	struct th_store_info info;

	th_scrub_state(scrubber->fs->store, &ret->scrub);
	ret->running = is_running(scrubber);
	th_store_info(scrubber->fs->store, &info);
	ret->bytes_total = (info.blocks - info.blocks_free - info.blocks_waiting) * info.block_size;
}
