/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/heartbeat.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal/base/checksum.h"
#include "journal/base/clock.h"
#include "journal/base/format.h"
#include "journal/base/thread.h"
#include "journal/super.h"

#define HEARTBEAT_MAGIC UINT64_C(0x0a54414542485444) /* "DTHBEAT\n" */
#define NS_PER_MS UINT64_C(1000000)
/* How often another writer's block is read in one of its intervals, while it is watched. */
#define LOOKS_PER_INTERVAL 4
/* The longest interval that a block is believed to have: a damaged one may name any. */
#define INTERVAL_MAX_MS 60000
/* After a writer took the disk it looks again: later than the write of any writer that found the disk free before.
 * Such a write follows the read as fast as the disk allows, so the pause is this many times the time of this writer's
 * own read and write, and at least the second number.  A shorter one could miss a second writer; a longer one delays
 * each mount. */
#define SETTLE_FACTOR 10
#define SETTLE_MIN_NS (20 * NS_PER_MS)

enum state {
	STATE_FREE, /* closed, or its writer keeps no heartbeat */
	STATE_TAKEN,
};

/* docs/format.md, "Heartbeat". */
struct heartbeat_disk {
	struct th_le64 magic;
	struct th_le64 state;
	struct th_le64 sequence; /* a random number at first, so that it differs from any earlier writer's */
	struct th_le64 interval_ms;
	struct th_le64 time_ns; /* for messages */
	struct th_le64 host, boot, pid, started, namespace;
	char name[TH_HEARTBEAT_NAME_MAX];
	uint8_t reserved[TH_BLOCK_SIZE - 10 * 8 - TH_HEARTBEAT_NAME_MAX - 8];
	struct th_le64 checksum;
};
static_assert(offsetof(struct heartbeat_disk, name) == 80, "format.md: heartbeat");
static_assert(offsetof(struct heartbeat_disk, checksum) == TH_BLOCK_SIZE - 8, "format.md: heartbeat");
static_assert(sizeof(struct heartbeat_disk) == TH_BLOCK_SIZE, "format.md: heartbeat");

struct th_heartbeat {
	struct th_disk *disk;
	unsigned interval_ms;
	struct th_heartbeat_host here;
	pthread_t thread;
	_Atomic uint64_t beat_ns; /* when the write of the last beat began, on CLOCK_BOOTTIME */
	atomic_bool lost;
	pthread_mutex_t lock; /* held over transfers of the block */
	pthread_cond_t cond;
	struct heartbeat_disk *block, *found; /* lock; as written last, and a buffer for reading */
	bool stop; /* lock */
};

/* --- this host --- */

static uint64_t hash_file(const char *path, uint64_t hash)
{
	char text[256];
	FILE *file = fopen(path, "re");
	size_t size = file ? fread(text, 1, sizeof(text), file) : 0;

	if (file)
		fclose(file);
	return size ? th_checksum(text, size) ^ (hash << 1 | hash >> 63) : hash;
}

/* The 22nd field of the process's line of status, after its name in brackets. */
static uint64_t start_of(uint64_t pid)
{
	char path[64], text[1024], *at;
	unsigned long long started = 0;
	FILE *file;
	size_t size;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = 0;
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			  &started) != 1)
		return 0;
	return started;
}

void th_heartbeat_here(struct th_heartbeat_host *ret)
{
	struct stat namespace;

	*ret = (struct th_heartbeat_host){ .pid = (uint64_t)getpid() };
	if (gethostname(ret->name, sizeof(ret->name) - 1) < 0)
		ret->name[0] = 0;
	ret->host = hash_file("/etc/machine-id", 0);
	if (ret->host) /* else it is unknown */
		ret->host =
			hash_file("/proc/sys/kernel/hostname", hash_file("/sys/class/dmi/id/product_uuid", ret->host));
	ret->boot = hash_file("/proc/sys/kernel/random/boot_id", 0);
	ret->started = start_of(ret->pid);
	if (stat("/proc/self/ns/pid", &namespace) == 0)
		ret->namespace = namespace.st_ino;
}

/* --- the block --- */

static uint64_t checksum(const struct heartbeat_disk *block)
{
	return th_checksum(block, offsetof(struct heartbeat_disk, checksum));
}

static void pack(const struct th_heartbeat *heartbeat, enum state state, uint64_t sequence, struct heartbeat_disk *ret)
{
	const struct th_heartbeat_host *here = &heartbeat->here;

	memset(ret, 0, sizeof(*ret));
	ret->magic = th_le64(HEARTBEAT_MAGIC);
	ret->state = th_le64(state);
	ret->sequence = th_le64(sequence);
	ret->interval_ms = th_le64(heartbeat->interval_ms);
	ret->time_ns = th_le64(th_now_ns());
	ret->host = th_le64(here->host);
	ret->boot = th_le64(here->boot);
	ret->pid = th_le64(here->pid);
	ret->started = th_le64(here->started);
	ret->namespace = th_le64(here->namespace);
	memcpy(ret->name, here->name, sizeof(ret->name));
	ret->checksum = th_le64(checksum(ret));
}

static bool is_valid(const struct heartbeat_disk *block)
{
	return th_get_le64(block->magic) == HEARTBEAT_MAGIC && th_get_le64(block->checksum) == checksum(block) &&
	       th_get_le64(block->state) <= STATE_TAKEN && memchr(block->name, 0, sizeof(block->name));
}

static bool is_blank(const struct heartbeat_disk *block)
{
	const uint8_t *bytes = (const uint8_t *)block;

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, sizeof(*block) - 1) == 0;
}

/* Returns whether the writer of the block cannot be alive. */
static bool is_gone(const struct heartbeat_disk *block, const struct th_heartbeat_host *here)
{
	uint64_t pid = th_get_le64(block->pid), host = th_get_le64(block->host), boot = th_get_le64(block->boot);

	if (is_blank(block))
		return true;
	if (!is_valid(block))
		return false; /* a torn write of an unknown writer */
	if (th_get_le64(block->state) == STATE_FREE)
		return true;
	if (!boot || boot != here->boot)
		return host && host == here->host && boot && here->boot; /* booted since */
	/* In another pid namespace the number means another process. */
	return th_get_le64(block->namespace) == here->namespace && here->namespace &&
	       start_of(pid) != th_get_le64(block->started);
}

/* --- transfers; the lock is held, or there is no thread yet --- */

static int read_block(struct th_heartbeat *heartbeat, struct heartbeat_disk *ret)
{
	return th_disk_read(heartbeat->disk, TH_HEARTBEAT_BLOCK, 1, ret);
}

static int write_block(struct th_heartbeat *heartbeat, enum state state, uint64_t sequence)
{
	uint64_t begin_ns = th_clock_ns(CLOCK_BOOTTIME);
	int err;

	pack(heartbeat, state, sequence, heartbeat->block);
	err = th_disk_write(heartbeat->disk, TH_HEARTBEAT_BLOCK, 1, heartbeat->block);
	if (!err)
		atomic_store(&heartbeat->beat_ns, begin_ns);
	return err;
}

static bool is_own(const struct th_heartbeat *heartbeat)
{
	return memcmp(heartbeat->found, heartbeat->block, sizeof(*heartbeat->block)) == 0;
}

/* --- taking the disk --- */

static void pause_ns(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / 1000 / NS_PER_MS),
				 .tv_nsec = (long)(ns % (1000 * NS_PER_MS)) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* Reports which writer has the disk.  Returns -EADDRINUSE. */
static int report_used(struct th_heartbeat *heartbeat)
{
	const struct heartbeat_disk *found = heartbeat->found;

	if (is_valid(found))
		th_disk_report(heartbeat->disk, "process %" PRIu64 " on host '%s' is using it, as its heartbeat shows",
			       th_get_le64(found->pid), found->name);
	else
		th_disk_report(heartbeat->disk, "another machine is writing to the block of the heartbeat");
	return -EADDRINUSE;
}

static void report_watch(struct th_heartbeat *heartbeat, const struct heartbeat_disk *other, uint64_t ms)
{
	const char *name = is_valid(other) ? other->name : "unknown";

	th_disk_report(heartbeat->disk,
		       "was not closed by host '%s'; waiting up to %" PRIu64 " s for a sign that it is in use", name,
		       ms / 1000 + 1);
}

/* Watches whether the other writer's block changes.  Returns 0, -EADDRINUSE or a read error. */
static int watch_other(struct th_heartbeat *heartbeat, const struct heartbeat_disk *other)
{
	uint64_t interval = is_valid(other) ? th_get_le64(other->interval_ms) : TH_HEARTBEAT_DEFAULT_MS;
	unsigned looks = 2 * LOOKS_PER_INTERVAL + 1;
	int err = 0;

	if (interval < heartbeat->interval_ms)
		interval = heartbeat->interval_ms;
	if (interval > INTERVAL_MAX_MS)
		interval = INTERVAL_MAX_MS;
	report_watch(heartbeat, other, interval * looks / LOOKS_PER_INTERVAL);
	for (unsigned i = 0; i < looks && !err; i++) {
		pause_ns((interval / LOOKS_PER_INTERVAL + 1) * NS_PER_MS);
		err = read_block(heartbeat, heartbeat->found);
		if (!err && memcmp(heartbeat->found, other, sizeof(*other)) != 0)
			err = is_gone(heartbeat->found, &heartbeat->here) ? 1 : report_used(heartbeat);
	}
	return err < 0 ? err : 0;
}

/* Makes sure that no other writer took the disk at the same moment.  begin_ns: before this one read the block. */
static int settle(struct th_heartbeat *heartbeat, uint64_t begin_ns)
{
	uint64_t pause = (th_monotonic_ns() - begin_ns) * SETTLE_FACTOR;
	int err;

	pause_ns(pause > SETTLE_MIN_NS ? pause : SETTLE_MIN_NS);
	err = read_block(heartbeat, heartbeat->found);
	if (err)
		return err;
	return is_own(heartbeat) ? 0 : report_used(heartbeat);
}

/* Writes the first block of a writer. */
static int begin(struct th_heartbeat *heartbeat)
{
	uint64_t sequence, begin_ns = th_monotonic_ns();
	int err;

	if (getrandom(&sequence, sizeof(sequence), 0) != sizeof(sequence))
		return -EIO;
	err = read_block(heartbeat, heartbeat->found);
	/* Another one may have begun during the wait for a third. */
	if (!err && memcmp(heartbeat->found, heartbeat->block, sizeof(*heartbeat->block)) != 0 &&
	    !is_gone(heartbeat->found, &heartbeat->here))
		err = report_used(heartbeat);
	if (!err)
		err = write_block(heartbeat, STATE_TAKEN, sequence);
	return err ? err : settle(heartbeat, begin_ns);
}

static int take(struct th_heartbeat *heartbeat)
{
	int err = read_block(heartbeat, heartbeat->block);

	if (!err && !is_gone(heartbeat->block, &heartbeat->here))
		err = watch_other(heartbeat, heartbeat->block);
	if (err)
		return err;
	if (heartbeat->interval_ms)
		return begin(heartbeat);
	return is_blank(heartbeat->block) ? 0 : write_block(heartbeat, STATE_FREE, 0);
}

/* --- beating --- */

/* Looks whether the block is still this writer's, and writes it.  Returns 0, -EBUSY, or a read or write error.  The
 * lock is held. */
static int beat(struct th_heartbeat *heartbeat)
{
	int err;

	if (heartbeat->lost)
		return -EBUSY;
	err = read_block(heartbeat, heartbeat->found);
	if (err)
		return err;
	if (is_own(heartbeat))
		return write_block(heartbeat, STATE_TAKEN, th_get_le64(heartbeat->block->sequence) + 1);
	heartbeat->lost = true;
	th_disk_report(heartbeat->disk,
		       "host '%s' has taken the disk, since this one was silent for too long; writes are refused here",
		       is_valid(heartbeat->found) ? heartbeat->found->name : "unknown");
	return -EBUSY;
}

static void *heartbeat_run(void *arg)
{
	struct th_heartbeat *heartbeat = arg;

	pthread_mutex_lock(&heartbeat->lock);
	while (!heartbeat->stop && !heartbeat->lost) {
		struct timespec until = th_clock_after_ms(CLOCK_MONOTONIC, heartbeat->interval_ms);

		if (pthread_cond_timedwait(&heartbeat->cond, &heartbeat->lock, &until) == ETIMEDOUT && !heartbeat->stop)
			beat(heartbeat); /* after an error the next beat retries; other transfers report it */
	}
	pthread_mutex_unlock(&heartbeat->lock);
	return NULL;
}

int th_heartbeat_check(struct th_heartbeat *heartbeat)
{
	int err;

	if (!heartbeat)
		return 0;
	if (heartbeat->lost)
		return -EBUSY;
	if (th_clock_ns(CLOCK_BOOTTIME) - heartbeat->beat_ns <= 2 * NS_PER_MS * heartbeat->interval_ms)
		return 0;
	pthread_mutex_lock(&heartbeat->lock);
	err = beat(heartbeat);
	pthread_mutex_unlock(&heartbeat->lock);
	return err;
}

bool th_heartbeat_is_lost(const struct th_heartbeat *heartbeat)
{
	return heartbeat && heartbeat->lost;
}

/* --- beginning and end --- */

static void heartbeat_free(struct th_heartbeat *heartbeat)
{
	pthread_mutex_destroy(&heartbeat->lock);
	pthread_cond_destroy(&heartbeat->cond);
	free(heartbeat->block);
	free(heartbeat->found);
	free(heartbeat);
}

int th_heartbeat_start(struct th_disk *disk, const struct th_heartbeat_host *here, unsigned interval_ms,
		       struct th_heartbeat **ret)
{
	struct th_heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));
	pthread_condattr_t monotonic;
	int err;

	*ret = NULL;
	if (!heartbeat)
		return -ENOMEM;
	heartbeat->disk = disk;
	heartbeat->interval_ms = interval_ms;
	heartbeat->here = *here;
	heartbeat->block = th_disk_buffer(TH_BLOCK_SIZE);
	heartbeat->found = th_disk_buffer(TH_BLOCK_SIZE);
	pthread_mutex_init(&heartbeat->lock, NULL);
	/* A step of the wall clock must not delay a beat. */
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&heartbeat->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	err = heartbeat->block && heartbeat->found ? take(heartbeat) : -ENOMEM;
	if (!err && interval_ms)
		err = th_thread_start(&heartbeat->thread, heartbeat_run, heartbeat);
	if (err || !interval_ms)
		heartbeat_free(heartbeat);
	else
		*ret = heartbeat;
	return err;
}

void th_heartbeat_stop(struct th_heartbeat *heartbeat, bool release)
{
	if (!heartbeat)
		return;
	pthread_mutex_lock(&heartbeat->lock);
	heartbeat->stop = true;
	pthread_cond_signal(&heartbeat->cond);
	pthread_mutex_unlock(&heartbeat->lock);
	pthread_join(heartbeat->thread, NULL);
	/* Not the block of another writer, which may have taken the disk since the last beat. */
	if (release && !heartbeat->lost && read_block(heartbeat, heartbeat->found) == 0 && is_own(heartbeat))
		write_block(heartbeat, STATE_FREE, th_get_le64(heartbeat->block->sequence) + 1);
	heartbeat_free(heartbeat);
}

int th_heartbeat_erase(struct th_disk *disk)
{
	void *zeros = th_disk_buffer(TH_BLOCK_SIZE);
	int err = zeros ? 0 : -ENOMEM;

	if (!err) {
		memset(zeros, 0, TH_BLOCK_SIZE);
		err = th_disk_write(disk, TH_HEARTBEAT_BLOCK, 1, zeros);
	}
	free(zeros);
	return err;
}
