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
#include <time.h>
#include <unistd.h>

#include "fs/fuse/barrier.h"
#include "fs/fuse/channel.h"
#include "fs/fuse/place.h"
#include "fs/fuse/request.h"
#include "fs/fuse/turns.h"
#include "journal/base/clock.h"
#include "journal/base/thread.h"

#define FOLLOWERS_MAX 16
/* Each relief may wait for an fsync.  With too few of them, no thread is left for other requests. */
#define RELIEFS 14
/* Requests of a follower between two looks at its client's core.  More often costs a read of /proc; less often leaves
 * the follower on the wrong core for longer. */
#define LOOK_EVERY 16
#define SPREAD (-1)
/* The watcher's period.  Whenever the watcher goes to sleep, the scheduler looks for another thread for that core, and
 * may move the client there: with 1 ms a request took twice as long as with 10. */
#define TICK_NS 10000000
/* Ticks in one request, after which a follower counts as stuck and is freed. */
#define STUCK_TICKS 2
/* Requests.  Followers that serve no more than this in a tick, with others waiting at its end, are too slow. */
#define SLOW_REQUESTS 10
/* Ticks for which followers are freed: the first time, and at most. */
#define FREE_TICKS_MIN 6
#define FREE_TICKS_MAX 100
/* Ticks without requests, after which the watcher sleeps until the next one. */
#define QUIET_TICKS 4
/* Time without requests, after which unused memory is returned to the system. */
#define REST_MS 10000
/* Time without waiting requests, after which reliefs leave them to the followers again. */
#define ALERT_MS 20
#define NS_PER_MS UINT64_C(1000000)
#define MEMORY_WAIT_NS 100000000 /* until memory for a buffer is asked for again */

struct follower {
	struct workers *workers;
	pthread_t thread;
	unsigned index;
	int fd; /* its channel */
	_Atomic pid_t tid; /* 0: not yet running */
	_Atomic unsigned busy_tick; /* when it took its current request; 0: none */
	_Atomic bool free; /* runs with normal priority, on any core */
	int core; /* that it is bound to; -1: none */
	unsigned requests;
	struct th_place_watch client;
};

struct workers {
	struct fuse_session *session;
	struct th_barrier *barrier;
	struct th_fuse_end *end;
	sem_t finish;
	_Atomic int error; /* that ended the session; 0: it was unmounted, or ended by a signal */
	cpu_set_t cores; /* that this process may use */
	bool idle; /* followers run under SCHED_IDLE */
	_Atomic unsigned tick; /* from 1 on */
	_Atomic unsigned free_until; /* a tick: the end of the time for which followers are freed */
	unsigned free_ticks; /* the watcher's: for how long they are freed next time */
	_Atomic unsigned served; /* requests, by followers */
	_Atomic uint64_t last; /* the client that was looked at last, and its core */
	_Atomic int place; /* the core on which followers run; SPREAD: each on its own */
	_Atomic bool waited; /* a follower waited for a disk or another thread since the last look */
	struct th_turns turns; /* of followers: one if a single client is served best by one, else all */

	struct follower follower[FOLLOWERS_MAX];
	unsigned followers;

	pthread_t relief[RELIEFS];
	unsigned reliefs;
	int relief_fd; /* their channel, non-blocking */
	int stop_fd; /* an eventfd that wakes the watcher at the end */
	pthread_mutex_t watch; /* held by the relief that is the watcher */
	bool alert; /* watch: reliefs serve requests, too */
	uint64_t alert_until_ns; /* watch */
};

/* Ends the session.  The reply is sent when the image is closed.  The kernel expects it on this channel, whose
 * descriptor is closed before. */
static void keep_destroy(const struct workers *workers, const struct fuse_in_header *header)
{
	int channel = th_fuse_channel();

	workers->end->destroy_unique = header->unique;
	workers->end->destroy_fd =
		fcntl(channel ? channel : fuse_session_fd(workers->session), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	fuse_session_exit(workers->session);
}

static void process(const struct workers *workers, const struct fuse_buf *buf)
{
	const struct fuse_in_header *header = buf->mem;

	if (buf->size >= sizeof(*header) && header->opcode == FUSE_DESTROY) {
		keep_destroy(workers, header);
		return;
	}
	th_barrier_enter(workers->barrier);
	th_fuse_request_begin(buf->mem, buf->size);
	fuse_session_process_buf(workers->session, buf);
	th_fuse_request_begin(NULL, 0);
	th_barrier_leave(workers->barrier);
}

/* --- the cores of followers --- */

/* Returns the core of follower number `index` when there are several clients. */
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

/* Looks where the client runs.  One client on one core: all followers move there.  Another client on another core: they
 * spread.  One client that has moved must not count as two, because followers that are spread would make the scheduler
 * move it again and again. */
static void look_at_client(struct follower *follower, uint32_t client)
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

/* Moves this follower to the core that serves the client best. */
static void follow(struct follower *follower, uint32_t client)
{
	struct workers *workers = follower->workers;
	int core;

	/* Counts only requests that name their client: a release does not, and might be every sixteenth of all. */
	if (client && follower->requests++ % LOOK_EVERY == 0)
		look_at_client(follower, client);
	core = atomic_load(&workers->place);
	if (core == SPREAD)
		core = home_core(workers, follower->index);
	if (core != follower->core)
		bind_to(follower, core);
}

/* Lets a follower run with normal priority on any core.  Called by the watcher. */
static void set_free(struct follower *follower)
{
	pid_t tid = atomic_load(&follower->tid);

	if (!tid || atomic_exchange(&follower->free, true))
		return;
	th_place_policy(tid, SCHED_OTHER);
	sched_setaffinity(tid, sizeof(follower->workers->cores), &follower->workers->cores);
}

/* Returns whether followers are still freed.  The difference is signed because ticks wrap around. */
static bool still_free(const struct workers *workers)
{
	return (int)(atomic_load(&workers->free_until) - atomic_load(&workers->tick)) > 0;
}

/* Makes a freed follower follow its client again; called by the follower itself. */
static void follow_again(struct follower *follower)
{
	atomic_store(&follower->free, false);
	th_place_policy(0, SCHED_IDLE);
	if (follower->core >= 0)
		bind_to(follower, follower->core);
}

/* --- followers --- */

/* Waits for a request.  Only here a thread can be cancelled. */
static int receive(struct fuse_session *session, struct fuse_buf *buf)
{
	int n, unused;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &unused);
	n = fuse_session_receive_buf(session, buf);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
	return n;
}

/* Called by a thread that has no memory for its buffer.  Others, which have theirs, take the requests in the
 * meantime. */
static void wait_for_memory(struct workers *workers)
{
	th_turns_open(&workers->turns, TH_TURNS_ALL);
	nanosleep(&(struct timespec){ .tv_nsec = MEMORY_WAIT_NS }, NULL);
}

/* Notes the result of a read that ends a thread: 0 after unmounting, or an error of the session. */
static void note_end(struct workers *workers, int result)
{
	if (result < 0)
		atomic_store(&workers->error, result);
}

static void free_buf(void *arg)
{
	free(((struct fuse_buf *)arg)->mem);
}

static void serve(struct follower *follower, const struct fuse_buf *buf)
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

/* Called by a follower that is about to wait: lets the other followers read the next requests, which may wait, too. */
static void before_wait(void *arg)
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
	bool turn = false;
	int n = 0;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &n);
	pthread_cleanup_push(free_buf, &buf);
	th_fuse_set_channel(follower->fd);
	if (workers->idle)
		th_place_policy(0, SCHED_IDLE);
	atomic_store(&follower->tid, gettid());
	th_thread_on_wait(before_wait, workers);
	while (th_turns_take(&workers->turns, &turn) && !fuse_session_exited(workers->session)) {
		n = receive(workers->session, &buf);
		if (n > 0)
			serve(follower, &buf);
		else if (n == -ENOMEM)
			wait_for_memory(workers);
		else if (n != -EINTR && n != -EAGAIN)
			break;
	}
	pthread_cleanup_pop(true);
	if (n != -EINTR && n != -EAGAIN && n != -ENOMEM)
		note_end(workers, n);
	fuse_session_exit(workers->session);
	sem_post(&workers->finish);
	return NULL;
}

/* --- reliefs --- */

/* Waits for a request, or for the end.  Returns whether there is a request. */
static bool request_waits(const struct workers *workers, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = workers->relief_fd, .events = POLLIN },
				{ .fd = workers->stop_fd, .events = POLLIN } };

	return poll(fds, 2, timeout_ms) > 0 && fds[0].revents;
}

/* Frees stuck followers.  Returns whether any follower serves a request. */
static bool free_stuck(struct workers *workers)
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

/* Frees all followers.  Returns false if they are free already. */
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

/* Waits for a request.  The heap keeps freed memory for the next requests, but not beyond REST_MS. */
static void rest(const struct workers *workers)
{
	if (request_waits(workers, REST_MS) || fuse_session_exited(workers->session))
		return;
	malloc_trim(0);
	request_waits(workers, -1);
}

/* Watches while the followers serve all requests.  Returns when they do not keep up although they are free, or at the
 * end. */
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
			atomic_store(&workers->tick, 1); /* 0 means that a follower has no request */
		busy = free_stuck(workers);
		served = atomic_load(&workers->served);
		quiet = busy || served != before ? 0 : quiet + 1;
		if (served - before <= SLOW_REQUESTS && request_waits(workers, 0) && !free_all(workers))
			return;
		before = served;
	}
}

/* A coarse clock suffices and costs no system call or register read. */
static uint64_t coarse_ns(void)
{
	return th_clock_ns(CLOCK_MONOTONIC_COARSE);
}

/* Watches until there is a request for this relief, which is the watcher.  Returns its size, 0 at the end, or
 * -errno. */
static int watch(struct workers *workers, struct fuse_buf *buf)
{
	while (!fuse_session_exited(workers->session)) {
		int n;

		if (!workers->alert) {
			watch_followers(workers);
			workers->alert = true;
			workers->alert_until_ns = coarse_ns() + ALERT_MS * NS_PER_MS;
		}
		n = request_waits(workers, ALERT_MS) ? fuse_session_receive_buf(workers->session, buf) : -EAGAIN;
		if (n > 0)
			workers->alert_until_ns = coarse_ns() + ALERT_MS * NS_PER_MS;
		if (n == -ENOMEM)
			wait_for_memory(workers);
		else if (n != -EAGAIN && n != -EINTR)
			return n;
		free_stuck(workers);
		if (coarse_ns() > workers->alert_until_ns)
			workers->alert = false;
	}
	return 0;
}

static void *relief_run(void *arg)
{
	struct workers *workers = arg;
	struct fuse_buf buf = { 0 };
	int n;

	th_fuse_set_channel(workers->relief_fd);
	do {
		pthread_mutex_lock(&workers->watch);
		n = watch(workers, &buf);
		pthread_mutex_unlock(&workers->watch);
		if (n > 0)
			process(workers, &buf);
	} while (n > 0);
	free(buf.mem);
	note_end(workers, n);
	fuse_session_exit(workers->session);
	sem_post(&workers->finish);
	return NULL;
}

/* --- start and end --- */

static int start_follower(struct workers *workers)
{
	struct follower *follower = &workers->follower[workers->followers];
	int err;

	*follower = (struct follower){ .workers = workers, .index = workers->followers, .core = -1 };
	follower->fd = th_fuse_channel_open(workers->session, false);
	if (follower->fd < 0)
		return follower->fd;
	err = th_thread_start(&follower->thread, follower_run, follower);
	if (err)
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

	if (err)
		return err;
	pthread_join(trial, NULL);
	if (sched_getaffinity(0, sizeof(workers->cores), &workers->cores) < 0)
		workers->idle = false; /* more cores than a cpu_set_t has */
	if (workers->idle) {
		followers = (unsigned)CPU_COUNT(&workers->cores);
		followers = followers < FOLLOWERS_MAX ? followers : FOLLOWERS_MAX;
		reliefs = RELIEFS;
		workers->relief_fd = th_fuse_channel_open(workers->session, true);
		if (workers->relief_fd < 0)
			return workers->relief_fd;
		workers->stop_fd = eventfd(0, EFD_CLOEXEC);
		if (workers->stop_fd < 0)
			return -errno;
	}
	while (!err && workers->followers < followers)
		err = start_follower(workers);
	while (!err && workers->reliefs < reliefs) {
		err = th_thread_start(&workers->relief[workers->reliefs], relief_run, workers);
		workers->reliefs += !err;
	}
	return err;
}

static void join_all(struct workers *workers)
{
	for (unsigned i = 0; i < workers->followers; i++)
		pthread_cancel(workers->follower[i].thread);
	fuse_session_exit(workers->session);
	th_turns_end(&workers->turns);
	if (workers->stop_fd >= 0)
		eventfd_write(workers->stop_fd, 1);
	for (unsigned i = 0; i < workers->followers; i++)
		pthread_join(workers->follower[i].thread, NULL);
	for (unsigned i = 0; i < workers->reliefs; i++)
		pthread_join(workers->relief[i], NULL);
}

/* Closes the channels, which ends the requests that have no reply yet. */
static void close_channels(struct workers *workers)
{
	for (unsigned i = 0; i < workers->followers; i++) {
		th_place_watch_release(&workers->follower[i].client);
		close(workers->follower[i].fd);
	}
	if (workers->relief_fd >= 0)
		close(workers->relief_fd);
	if (workers->stop_fd >= 0)
		close(workers->stop_fd);
}

int th_fuse_serve(struct fuse_session *session, struct th_barrier *barrier, struct th_fuse_end *end)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	int err;

	end->destroy_fd = -1;
	if (!workers)
		return -ENOMEM;
	workers->session = session;
	workers->barrier = barrier;
	workers->end = end;
	workers->relief_fd = workers->stop_fd = -1;
	workers->place = SPREAD;
	workers->tick = 1;
	workers->free_ticks = FREE_TICKS_MIN;
	sem_init(&workers->finish, 0, 0);
	pthread_mutex_init(&workers->watch, NULL);
	th_turns_init(&workers->turns);
	err = th_fuse_channel_setup(session);
	if (!err)
		err = start_all(workers);
	while (!err && !fuse_session_exited(session))
		sem_wait(&workers->finish); /* a signal interrupts it */
	join_all(workers);
	if (end->stopped)
		end->stopped(end->arg);
	close_channels(workers);
	if (!err)
		err = atomic_load(&workers->error);
	th_turns_release(&workers->turns);
	pthread_mutex_destroy(&workers->watch);
	sem_destroy(&workers->finish);
	free(workers);
	return err;
}

void th_fuse_end_reply(struct th_fuse_end *end)
{
	struct fuse_out_header reply = { .len = sizeof(reply), .unique = end->destroy_unique };

	if (end->destroy_fd < 0)
		return;
	ssize_t n = write(end->destroy_fd, &reply, sizeof(reply));

	(void)n; /* it fails if the kernel does not wait any more */
	close(end->destroy_fd);
	end->destroy_fd = -1;
}
