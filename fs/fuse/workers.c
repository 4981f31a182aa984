/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fs/fuse/place.h"
#include "fs/fuse/request.h"
#include "fs/fuse/turns.h"
#include "journal/base/thread.h"

#define FOLLOWERS_MAX 16
#define RELIEFS 14 /* each may wait for an fsync; enough others must be left to answer */
#define LOOK_EVERY 16 /* requests of a follower between its looks at the client's core */
#define SPREAD (-1)
/* Whenever the watcher has looked and sleeps again, its core looks for something to do, and may take the client over:
 * with a tick of 1 ms a request took twice as long as with this one. */
#define TICK_NS 10000000
#define STUCK_TICKS 2 /* in one request, before a follower is freed */
#define BEHIND 10 /* requests served in a tick, with others waiting at its end: not more than this is too slow */
#define FREE_TICKS_MIN 6 /* that followers are free for */
#define FREE_TICKS_MAX 100
#define QUIET_TICKS 4 /* without requests, before the watch sleeps */
#define REST_MS 10000 /* without requests, before memory that is not in use is given back */
#define ALERT_MS 20 /* without anything to take, before reliefs leave it to the followers again */

struct follower {
	struct workers *workers;
	pthread_t thread;
	unsigned index;
	int fd;
	_Atomic pid_t tid; /* 0: does not run yet */
	_Atomic unsigned busy_tick; /* when it took the request that it is answering; 0: none */
	_Atomic bool free; /* runs as any thread, on any core */
	int core; /* where it is bound to; -1: anywhere */
	unsigned requests;
	struct th_place_watch client;
};

struct workers {
	struct fuse_session *session;
	sem_t finish;
	cpu_set_t cores; /* allowed to us */
	bool idle; /* followers may be under SCHED_IDLE */
	_Atomic unsigned tick; /* from 1 on */
	_Atomic unsigned free_until; /* tick */
	unsigned free_ticks; /* how long next time; the watcher's */
	_Atomic unsigned served; /* requests, by followers */
	_Atomic uint64_t last; /* the client that was looked at last, and its core */
	_Atomic int place; /* the core where followers shall be; SPREAD: each in its own */
	_Atomic bool waited; /* one of them, for a disk or another thread, since the last look */
	struct th_turns turns; /* of followers: one while their client is served best by one, else all */

	struct follower follower[FOLLOWERS_MAX];
	unsigned followers;

	pthread_t relief[RELIEFS];
	unsigned reliefs;
	int relief_fd; /* does not block */
	int stop_fd; /* an eventfd: wakes the watcher at the end */
	pthread_mutex_t watch; /* the watcher's role */
	bool alert; /* the watcher's */
	struct timespec alert_until;
};

/* --- the device --- */

/* What this thread reads from and answers to; 0: the session's own descriptor. */
static _Thread_local int channel;

int th_fuse_channel(void)
{
	return channel;
}

void th_fuse_set_channel(int which)
{
	channel = which;
}

static ssize_t channel_read(int fd, void *buf, size_t size, void *userdata)
{
	(void)userdata;
	return read(channel ? channel : fd, buf, size);
}

static ssize_t channel_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)userdata;
	th_fuse_request_reply(iov, count);
	return writev(channel ? channel : fd, iov, count);
}

/* Another descriptor of the session's connection. */
static int clone_channel(struct fuse_session *session, int flags)
{
	uint32_t session_fd = (uint32_t)fuse_session_fd(session);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | flags), r;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FUSE_DEV_IOC_CLONE, &session_fd) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void process(const struct workers *workers, const struct fuse_buf *buf)
{
	th_fuse_request_begin(buf->mem, buf->size);
	fuse_session_process_buf(workers->session, buf);
	th_fuse_request_begin(NULL, 0);
}

/* --- where followers run --- */

/* Follower number `index`'s own, when there are several clients. */
static int home_core(const struct workers *workers, unsigned index)
{
	unsigned left = index % (unsigned)CPU_COUNT(&workers->cores);
	int core = 0;

	while (!CPU_ISSET(core, &workers->cores) || left-- > 0)
		core++;
	return core;
}

static void bind_to(struct follower *follower, int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		follower->core = core;
}

/* One client on one core, wherever that is now: all go there.  Another client on another core: they spread.  A client
 * that was moved must not pass for two, for spread followers would have it moved again and again. */
static void look(struct follower *follower, uint32_t client)
{
	struct workers *workers = follower->workers;
	int core = th_place_core_of(&follower->client, (pid_t)client);
	uint64_t last;

	if (core < 0 || core >= CPU_SETSIZE)
		return;
	last = atomic_exchange(&workers->last, (uint64_t)client << 32 | (uint32_t)core);
	if ((last >> 32 != client && (uint32_t)last != (uint32_t)core) || !CPU_ISSET(core, &workers->cores))
		core = SPREAD;
	atomic_store(&workers->place, core);
	th_turns_open(&workers->turns, atomic_exchange(&workers->waited, false) || core == SPREAD ? TH_TURNS_ALL : 1);
}

static void follow(struct follower *follower, uint32_t client)
{
	struct workers *workers = follower->workers;
	int core;

	/* Of those that say who asks.  Not every so many of all: a release says nothing, and may always be the one. */
	if (client && follower->requests++ % LOOK_EVERY == 0)
		look(follower, client);
	core = atomic_load(&workers->place);
	if (core == SPREAD)
		core = home_core(workers, follower->index);
	if (core != follower->core)
		bind_to(follower, core);
}

/* By the watcher. */
static void set_free(struct follower *follower)
{
	pid_t tid = atomic_load(&follower->tid);

	if (!tid || atomic_exchange(&follower->free, true))
		return;
	th_place_policy(tid, SCHED_OTHER);
	sched_setaffinity(tid, sizeof(follower->workers->cores), &follower->workers->cores);
}

/* Signed, since ticks begin anew some day. */
static bool still_free(const struct workers *workers)
{
	return (int)(atomic_load(&workers->free_until) - atomic_load(&workers->tick)) > 0;
}

/* By the follower itself. */
static void follow_again(struct follower *follower)
{
	atomic_store(&follower->free, false);
	th_place_policy(0, SCHED_IDLE);
	if (follower->core >= 0)
		bind_to(follower, follower->core);
}

/* --- followers --- */

/* Waits for a request; this is where a thread may be cancelled. */
static int receive(struct fuse_session *session, struct fuse_buf *buf)
{
	int n, unused;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &unused);
	n = fuse_session_receive_buf(session, buf);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
	return n;
}

static void free_buf(void *arg)
{
	free(((struct fuse_buf *)arg)->mem);
}

static void answer(struct follower *follower, const struct fuse_buf *buf)
{
	struct workers *workers = follower->workers;
	const struct fuse_in_header *header = buf->mem;

	if (atomic_load(&follower->free)) {
		if (!still_free(workers))
			follow_again(follower);
	} else if (workers->idle) {
		follow(follower, header->pid);
	}
	atomic_store(&follower->busy_tick, atomic_load(&workers->tick));
	process(workers, buf);
	atomic_store(&follower->busy_tick, 0);
	atomic_fetch_add(&workers->served, 1);
}

/* Called by a follower that is about to wait: others read meanwhile, and the next requests, of which some may wait,
 * too. */
static void waits(void *arg)
{
	struct workers *workers = arg;

	if (atomic_load_explicit(&workers->waited, memory_order_relaxed))
		return;
	atomic_store(&workers->waited, true);
	th_turns_open(&workers->turns, TH_TURNS_ALL);
}

static void *follower_run(void *arg)
{
	struct follower *follower = arg;
	struct workers *workers = follower->workers;
	struct fuse_buf buf = { 0 };
	bool mine = false;
	int n = 0;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &n);
	pthread_cleanup_push(free_buf, &buf);
	channel = follower->fd;
	if (workers->idle)
		th_place_policy(0, SCHED_IDLE);
	atomic_store(&follower->tid, gettid());
	th_thread_on_wait(waits, workers);
	while (th_turn_take(&workers->turns, &mine) && !fuse_session_exited(workers->session)) {
		n = receive(workers->session, &buf);
		if (n > 0)
			answer(follower, &buf);
		else if (n != -EINTR && n != -EAGAIN)
			break;
	}
	pthread_cleanup_pop(true);
	fuse_session_exit(workers->session);
	sem_post(&workers->finish);
	return NULL;
}

/* --- reliefs --- */

/* Is there a request to be taken?  Waits for one, or for the end. */
static bool waiting(const struct workers *workers, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = workers->relief_fd, .events = POLLIN },
				{ .fd = workers->stop_fd, .events = POLLIN } };

	return poll(fds, 2, timeout_ms) > 0 && fds[0].revents;
}

/* Frees those who are stuck; false if no follower has anything to do. */
static bool look_after(struct workers *workers)
{
	unsigned tick = atomic_load(&workers->tick);
	bool any = false;

	for (unsigned i = 0; i < workers->followers; i++) {
		struct follower *follower = &workers->follower[i];
		unsigned since = atomic_load(&follower->busy_tick);

		if (!since)
			continue;
		any = true;
		if (tick - since >= STUCK_TICKS) {
			set_free(follower);
			th_turns_open(&workers->turns, TH_TURNS_ALL);
		}
	}
	return any;
}

/* Frees all followers; false if they are free. */
static bool free_all(struct workers *workers)
{
	unsigned tick = atomic_load(&workers->tick);
	unsigned ended = tick - atomic_load(&workers->free_until);

	if (still_free(workers))
		return false;
	workers->free_ticks = ended < workers->free_ticks ? 2 * workers->free_ticks : FREE_TICKS_MIN;
	if (workers->free_ticks > FREE_TICKS_MAX)
		workers->free_ticks = FREE_TICKS_MAX;
	atomic_store(&workers->free_until, tick + workers->free_ticks);
	th_turns_open(&workers->turns, TH_TURNS_ALL);
	for (unsigned i = 0; i < workers->followers; i++)
		set_free(&workers->follower[i]);
	return true;
}

/* Waits for a request.  What the heap keeps it keeps for the next ones; but not for ever. */
static void rest(const struct workers *workers)
{
	if (waiting(workers, REST_MS) || fuse_session_exited(workers->session))
		return;
	malloc_trim(0);
	waiting(workers, -1);
}

/* As long as the followers do the work.  Returns when they do not keep up, free as they are; or at the end. */
static void watch_followers(struct workers *workers)
{
	unsigned before = atomic_load(&workers->served), quiet = 0;

	while (!fuse_session_exited(workers->session)) {
		unsigned served;
		bool busy;

		if (quiet >= QUIET_TICKS) {
			rest(workers);
			quiet = 0;
		}
		nanosleep(&(struct timespec){ .tv_nsec = TICK_NS }, NULL);
		if (atomic_fetch_add(&workers->tick, 1) == UINT_MAX)
			atomic_store(&workers->tick, 1); /* 0 means not busy */
		busy = look_after(workers);
		served = atomic_load(&workers->served);
		quiet = busy || served != before ? 0 : quiet + 1;
		if (served - before <= BEHIND && waiting(workers, 0) && !free_all(workers))
			return;
		before = served;
	}
}

static struct timespec in_ms(long ms)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	time.tv_nsec += ms * 1000000;
	time.tv_sec += time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

static bool past(const struct timespec *time)
{
	struct timespec now = in_ms(0);

	return now.tv_sec > time->tv_sec || (now.tv_sec == time->tv_sec && now.tv_nsec > time->tv_nsec);
}

/* With the watcher's role: until there is a request for us.  As receive; 0 at the end. */
static int watch(struct workers *workers, struct fuse_buf *buf)
{
	while (!fuse_session_exited(workers->session)) {
		int n;

		if (!workers->alert) {
			watch_followers(workers);
			workers->alert = true;
			workers->alert_until = in_ms(ALERT_MS);
		}
		n = waiting(workers, ALERT_MS) ? fuse_session_receive_buf(workers->session, buf) : -EAGAIN;
		if (n > 0)
			workers->alert_until = in_ms(ALERT_MS);
		if (n != -EAGAIN && n != -EINTR)
			return n;
		look_after(workers);
		if (past(&workers->alert_until))
			workers->alert = false;
	}
	return 0;
}

static void *relief_run(void *arg)
{
	struct workers *workers = arg;
	struct fuse_buf buf = { 0 };
	int n;

	channel = workers->relief_fd;
	do {
		pthread_mutex_lock(&workers->watch);
		n = watch(workers, &buf);
		pthread_mutex_unlock(&workers->watch);
		if (n > 0)
			process(workers, &buf);
	} while (n > 0);
	free(buf.mem);
	fuse_session_exit(workers->session);
	sem_post(&workers->finish);
	return NULL;
}

/* --- beginning and ending --- */

static int start_follower(struct workers *workers)
{
	struct follower *follower = &workers->follower[workers->followers];
	int err;

	*follower = (struct follower){ .workers = workers, .index = workers->followers, .core = -1 };
	follower->fd = clone_channel(workers->session, 0);
	if (follower->fd < 0)
		return follower->fd;
	err = th_thread_start(&follower->thread, follower_run, follower);
	if (err < 0)
		close(follower->fd);
	else
		workers->followers++;
	return err;
}

static int start_all(struct workers *workers)
{
	unsigned followers = FOLLOWERS_MAX, reliefs = 0;
	pthread_t trial;
	int err = th_thread_start(&trial, th_place_try, &workers->idle);

	if (err < 0)
		return err;
	pthread_join(trial, NULL);
	if (sched_getaffinity(0, sizeof(workers->cores), &workers->cores) < 0)
		workers->idle = false; /* more cores than a cpu_set_t has */
	if (workers->idle) {
		followers = (unsigned)CPU_COUNT(&workers->cores);
		followers = followers < FOLLOWERS_MAX ? followers : FOLLOWERS_MAX;
		reliefs = RELIEFS;
		workers->relief_fd = clone_channel(workers->session, O_NONBLOCK);
		if (workers->relief_fd < 0)
			return workers->relief_fd;
		workers->stop_fd = eventfd(0, EFD_CLOEXEC);
		if (workers->stop_fd < 0)
			return -errno;
	}
	while (err == 0 && workers->followers < followers)
		err = start_follower(workers);
	while (err == 0 && workers->reliefs < reliefs) {
		err = th_thread_start(&workers->relief[workers->reliefs], relief_run, workers);
		workers->reliefs += err == 0;
	}
	return err;
}

static void stop_all(struct workers *workers)
{
	for (unsigned i = 0; i < workers->followers; i++)
		pthread_cancel(workers->follower[i].thread);
	fuse_session_exit(workers->session);
	th_turns_end(&workers->turns);
	if (workers->stop_fd >= 0)
		eventfd_write(workers->stop_fd, 1);
	for (unsigned i = 0; i < workers->followers; i++) {
		pthread_join(workers->follower[i].thread, NULL);
		th_place_watch_release(&workers->follower[i].client);
		close(workers->follower[i].fd);
	}
	for (unsigned i = 0; i < workers->reliefs; i++)
		pthread_join(workers->relief[i], NULL);
	if (workers->relief_fd >= 0)
		close(workers->relief_fd);
	if (workers->stop_fd >= 0)
		close(workers->stop_fd);
}

int th_fuse_serve(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .read = channel_read, .writev = channel_writev };
	struct workers *workers = calloc(1, sizeof(*workers));
	int err;

	if (!workers)
		return -ENOMEM;
	workers->session = session;
	workers->relief_fd = workers->stop_fd = -1;
	workers->place = SPREAD;
	workers->tick = 1;
	workers->free_ticks = FREE_TICKS_MIN;
	sem_init(&workers->finish, 0, 0);
	pthread_mutex_init(&workers->watch, NULL);
	th_turns_init(&workers->turns);
	err = fuse_session_custom_io(session, &io, fuse_session_fd(session));
	if (err == 0)
		err = start_all(workers);
	while (err == 0 && !fuse_session_exited(session))
		sem_wait(&workers->finish); /* a signal interrupts it */
	stop_all(workers);
	th_turns_release(&workers->turns);
	pthread_mutex_destroy(&workers->watch);
	sem_destroy(&workers->finish);
	free(workers);
	return err;
}
