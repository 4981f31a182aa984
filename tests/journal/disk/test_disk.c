/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of disk must behave the same. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/journal/suite.h"

#define DISK_BLOCKS 4096u

enum kind { URING, URING_BUFFERED, THREADS, THREADS_BUFFERED, MEMORY, FAULT, KINDS };

static char path[64];

static void make_file(uint64_t size)
{
	int fd;

	snprintf(path, sizeof(path), "test_disk.%d.img", (int)getpid());
	fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	th_ok(ftruncate(fd, (off_t)size));
	close(fd);
}

static void remove_file(void)
{
	if (*path)
		unlink(path);
}

static struct th_disk *open_disk(int kind)
{
	unsigned flags = kind == THREADS || kind == THREADS_BUFFERED ? TH_DISK_THREADS : 0;
	struct th_disk *disk = NULL, *memory;

	if (kind == MEMORY) {
		th_ok(th_disk_memory_new(DISK_BLOCKS, &disk));
	} else if (kind == FAULT) {
		th_ok(th_disk_memory_new(DISK_BLOCKS, &memory));
		th_ok(th_disk_fault_new(memory, &disk));
	} else {
		if (kind == URING_BUFFERED || kind == THREADS_BUFFERED)
			flags |= TH_DISK_BUFFERED;
		make_file((uint64_t)DISK_BLOCKS * TH_BLOCK_SIZE + 100);
		th_ok(th_disk_open(path, flags, &disk));
	}
	ck_assert_uint_eq(disk->blocks, DISK_BLOCKS);
	return disk;
}

START_TEST(disk_reads_what_was_written)
{
	struct th_disk *disk = open_disk(_i);
	char *block = th_test_block(0x11), *other = th_test_block(0xff);
	static const char zeros[TH_BLOCK_SIZE];

	th_ok(th_disk_read(disk, 7, 1, other));
	ck_assert_mem_eq(other, zeros, TH_BLOCK_SIZE);
	th_ok(th_disk_write(disk, DISK_BLOCKS - 1, 1, block));
	th_ok(th_disk_sync(disk));
	th_ok(th_disk_read(disk, DISK_BLOCKS - 1, 1, other));
	ck_assert_mem_eq(other, block, TH_BLOCK_SIZE);
	ck_assert_uint_eq(disk->reads, 2);
	ck_assert_uint_eq(disk->writes, 1);
	ck_assert_uint_eq(disk->flushes, 1);
	ck_assert_uint_eq(disk->bytes_read, 2 * TH_BLOCK_SIZE);
	ck_assert_uint_eq(disk->bytes_written, TH_BLOCK_SIZE);
	free(block);
	free(other);
	th_disk_close(disk);
}
END_TEST

static int get_and_wait(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf)
{
	struct th_future future;

	th_disk_get(disk, addr, blocks, buf, &future);
	return th_future_wait(&future);
}

static int save_and_wait(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt)
{
	struct th_future future;

	th_disk_save(disk, addr, iov, iovcnt, &future);
	return th_future_wait(&future);
}

START_TEST(disk_refuses_nonsense)
{
	struct th_disk *disk = open_disk(_i);
	char *block = th_test_block(0);
	struct iovec iov = { .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	struct iovec odd = { .iov_base = block, .iov_len = 100 }, empty = { .iov_base = block };
	struct iovec askew = { .iov_base = block + 8, .iov_len = TH_BLOCK_SIZE };
	struct iovec many[TH_DISK_IOV_MAX + 1];

	for (int i = 0; i <= TH_DISK_IOV_MAX; i++)
		many[i] = iov;
	ck_assert_int_eq(th_disk_read(disk, DISK_BLOCKS, 1, block), -EINVAL);
	ck_assert_int_eq(th_disk_read(disk, UINT64_MAX, 1, block), -EINVAL);
	ck_assert_int_eq(get_and_wait(disk, DISK_BLOCKS - 1, 2, block), -EINVAL);
	ck_assert_int_eq(get_and_wait(disk, 0, UINT32_MAX, block), -EINVAL);
	ck_assert_int_eq(get_and_wait(disk, 0, 0, block), -EINVAL);
	ck_assert_int_eq(get_and_wait(disk, 0, 1, block + 8), -EINVAL);
	ck_assert_int_eq(th_disk_write(disk, DISK_BLOCKS, 1, block), -EINVAL);
	ck_assert_int_eq(save_and_wait(disk, UINT64_MAX, &iov, 1), -EINVAL);
	ck_assert_int_eq(save_and_wait(disk, 0, &iov, 0), -EINVAL);
	ck_assert_int_eq(save_and_wait(disk, 0, &odd, 1), -EINVAL);
	ck_assert_int_eq(save_and_wait(disk, 0, &empty, 1), -EINVAL);
	ck_assert_int_eq(save_and_wait(disk, 0, &askew, 1), -EINVAL);
	ck_assert_int_eq(save_and_wait(disk, 0, many, TH_DISK_IOV_MAX + 1), -EINVAL);
	th_ok(save_and_wait(disk, 0, many, TH_DISK_IOV_MAX));
	ck_assert_uint_eq(disk->writes, 1);
	free(block);
	th_disk_close(disk);
}
END_TEST

/* --- many threads --- */

#define WORKERS 6
#define WORKER_BLOCKS (DISK_BLOCKS / WORKERS)
#define WORKER_SLOTS 16
#define WORKER_SAVE_MAX 8

/* A transfer under way; its blocks are nobody else's until it is complete. */
struct slot {
	struct th_future future;
	enum { SLOT_FREE, SLOT_GET, SLOT_SAVE, SLOT_FLUSH } state;
	bool continued; /* done is posted by a continuation */
	sem_t done;
	uint32_t first, blocks;
	char *buf;
	struct iovec iov[WORKER_SAVE_MAX];
};

struct worker {
	struct th_disk *disk;
	uint64_t base;
	struct th_random random;
	unsigned rounds;
	uint64_t stamps[WORKER_BLOCKS]; /* what each block was filled with last; 0: never written */
	bool busy[WORKER_BLOCKS];
	struct slot slots[WORKER_SLOTS];
	pthread_t thread;
};

static void stamp_block(char *block, uint64_t stamp)
{
	for (size_t i = 0; i < TH_BLOCK_SIZE; i += sizeof(stamp))
		memcpy(block + i, &stamp, sizeof(stamp));
}

static void check_block(const char *block, uint64_t stamp)
{
	for (size_t i = 0; i < TH_BLOCK_SIZE; i += sizeof(stamp))
		th_check(memcmp(block + i, &stamp, sizeof(stamp)) == 0);
}

static void post(struct th_future *future, void *arg)
{
	(void)future;
	sem_post(arg);
}

static void finish_slot(struct worker *worker, struct slot *slot)
{
	if (slot->state == SLOT_FREE)
		return;
	if (slot->continued)
		while (sem_wait(&slot->done) < 0)
			;
	th_ok(slot->continued ? slot->future.result : th_future_wait(&slot->future));
	for (uint32_t i = 0; i < slot->blocks; i++) {
		if (slot->state == SLOT_GET)
			check_block(slot->buf + (size_t)i * TH_BLOCK_SIZE, worker->stamps[slot->first + i]);
		worker->busy[slot->first + i] = false;
	}
	slot->state = SLOT_FREE;
}

/* Some blocks that no transfer of this worker is about; their number, or 0. */
static uint32_t pick_blocks(struct worker *worker, uint32_t *ret_first)
{
	uint32_t first = th_random_below(&worker->random, WORKER_BLOCKS), blocks = 0;
	uint32_t most = 1 + th_random_below(&worker->random, WORKER_SAVE_MAX);

	while (blocks < most && first + blocks < WORKER_BLOCKS && !worker->busy[first + blocks])
		worker->busy[first + blocks++] = true;
	*ret_first = first;
	return blocks;
}

static void start_save(struct worker *worker, struct slot *slot)
{
	int iovcnt = 0;

	for (uint32_t i = 0; i < slot->blocks; i++) {
		char *block = slot->buf + (size_t)i * TH_BLOCK_SIZE;

		worker->stamps[slot->first + i] = th_random_next(&worker->random);
		stamp_block(block, worker->stamps[slot->first + i]);
		if (iovcnt && th_random_percent(&worker->random, 50))
			slot->iov[iovcnt - 1].iov_len += TH_BLOCK_SIZE;
		else
			slot->iov[iovcnt++] = (struct iovec){ .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	}
	th_disk_save(worker->disk, worker->base + slot->first, slot->iov, iovcnt, &slot->future);
}

static void start_slot(struct worker *worker, struct slot *slot)
{
	slot->blocks = 0;
	if (th_random_percent(&worker->random, 3)) {
		slot->state = SLOT_FLUSH;
		th_disk_flush(worker->disk, &slot->future);
	} else {
		slot->blocks = pick_blocks(worker, &slot->first);
		if (slot->blocks == 0)
			return;
		slot->state = th_random_percent(&worker->random, 50) ? SLOT_GET : SLOT_SAVE;
		if (slot->state == SLOT_SAVE)
			start_save(worker, slot);
		else
			th_disk_get(worker->disk, worker->base + slot->first, slot->blocks, slot->buf, &slot->future);
	}
	slot->continued = th_random_percent(&worker->random, 40);
	if (slot->continued)
		th_future_then(&slot->future, post, &slot->done);
}

static void work_at_once(struct worker *worker, char *block)
{
	uint32_t at = th_random_below(&worker->random, WORKER_BLOCKS);

	if (worker->busy[at])
		return;
	th_ok(th_disk_read(worker->disk, worker->base + at, 1, block));
	check_block(block, worker->stamps[at]);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	char *block = th_test_block(0);

	for (int i = 0; i < WORKER_SLOTS; i++) {
		worker->slots[i].buf = th_disk_buffer(WORKER_SAVE_MAX * TH_BLOCK_SIZE);
		sem_init(&worker->slots[i].done, 0, 0);
	}
	for (unsigned round = 0; round < worker->rounds; round++) {
		struct slot *slot = &worker->slots[th_random_below(&worker->random, WORKER_SLOTS)];

		finish_slot(worker, slot);
		start_slot(worker, slot);
		if (th_random_percent(&worker->random, 20))
			work_at_once(worker, block);
	}
	for (int i = 0; i < WORKER_SLOTS; i++) {
		finish_slot(worker, &worker->slots[i]);
		free(worker->slots[i].buf);
		sem_destroy(&worker->slots[i].done);
	}
	free(block);
	return NULL;
}

START_TEST(disk_serves_many_threads)
{
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	struct th_disk *disk = open_disk(_i);
	uint64_t seed = th_test_seed("disk_serves_many_threads");

	for (int i = 0; i < WORKERS; i++) {
		workers[i].disk = disk;
		workers[i].base = (uint64_t)i * WORKER_BLOCKS;
		workers[i].random.state = seed + (uint64_t)i;
		workers[i].rounds = th_test_rounds(400);
		th_ok(pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	th_disk_close(disk);
	free(workers);
}
END_TEST

/* --- continuations --- */

struct chain {
	struct th_disk *disk;
	struct th_future future;
	char *block;
	unsigned left;
	sem_t done;
};

/* Each continuation starts the next transfer. */
static void go_on(struct th_future *future, void *arg)
{
	struct chain *chain = arg;

	if (future->result || chain->left-- == 0) {
		sem_post(&chain->done);
		return;
	}
	th_disk_get(chain->disk, chain->left, 1, chain->block, &chain->future);
	th_future_then(&chain->future, go_on, chain);
}

START_TEST(disk_completes_what_nobody_waits_for)
{
	struct chain chain = { .disk = open_disk(_i), .block = th_test_block(0), .left = 300 };

	sem_init(&chain.done, 0, 0);
	th_disk_flush(chain.disk, &chain.future);
	th_future_then(&chain.future, go_on, &chain);
	while (sem_wait(&chain.done) < 0)
		;
	ck_assert_int_eq(chain.future.result, 0);
	ck_assert_uint_eq(chain.disk->reads, 300);
	sem_destroy(&chain.done);
	free(chain.block);
	th_disk_close(chain.disk);
}
END_TEST

struct driven_chain {
	struct chain chain;
	struct th_future end; /* complete when the chain is */
	pthread_t thread; /* that each continuation ran on */
	unsigned elsewhere; /* how many ran on another */
};

static void go_on_driven(struct th_future *future, void *arg)
{
	struct driven_chain *driven = arg;
	struct chain *chain = &driven->chain;

	driven->elsewhere += !pthread_equal(pthread_self(), driven->thread);
	if (future->result || chain->left-- == 0) {
		th_future_complete(&driven->end, future->result);
		return;
	}
	th_disk_get(chain->disk, chain->left, 1, chain->block, &chain->future);
	th_future_then_driven(&chain->future, go_on_driven, driven);
}

/* A chain of transfers ends for whoever waits for what its last continuation completes: where the disk needs somebody
 * to reap, all on his thread. */
START_TEST(disk_is_reaped)
{
	struct driven_chain driven = {
		.chain = { .disk = open_disk(_i), .block = th_test_block(0), .left = 300 },
		.thread = pthread_self(),
	};
	struct chain *chain = &driven.chain;

	th_future_init(&driven.end, NULL, NULL);
	th_disk_flush(chain->disk, &chain->future);
	th_future_then_driven(&chain->future, go_on_driven, &driven);
	th_disk_reap(chain->disk, NULL);
	th_disk_reap(chain->disk, &driven.end);
	ck_assert(th_future_poll(&driven.end));
	ck_assert_int_eq(driven.end.result, 0);
	ck_assert_uint_eq(chain->disk->reads, 300);
	if (chain->disk->ops->reap)
		ck_assert_uint_eq(driven.elsewhere, 0);
	free(chain->block);
	th_disk_close(chain->disk);
}
END_TEST

/* The same with nobody who waits for the disk. */
/* A future that is completed by another thread, and driven by reaping a disk that completes all by itself. */
static unsigned drives;

static void drive_by_reaping(struct th_future *future)
{
	ck_assert_uint_lt(drives++, 1); /* each time within the one before it, until the stack ends */
	th_disk_reap(future->owner, future);
	drives--;
}

static void *complete_later(void *arg)
{
	usleep(20000); /* the other thread is to wait: without that, nothing is tried */
	th_future_complete(arg, 7);
	return NULL;
}

START_TEST(disk_without_reaping_is_not_driven)
{
	struct th_disk *disk, *lent;
	struct th_future future;
	pthread_t thread;

	drives = 0;
	th_ok(th_disk_memory_new(16, &disk));
	lent = th_disk_lend(disk);
	ck_assert_ptr_nonnull(lent);
	th_future_init(&future, drive_by_reaping, lent);
	th_ok(pthread_create(&thread, NULL, complete_later, &future));
	ck_assert_int_eq(th_future_wait(&future), 7);
	pthread_join(thread, NULL);
	th_disk_close(lent);
	th_disk_close(disk);
}
END_TEST

START_TEST(disk_is_watched)
{
	struct driven_chain driven = {
		.chain = { .disk = open_disk(_i), .block = th_test_block(0), .left = 300 },
	};
	struct chain *chain = &driven.chain;

	th_future_init(&driven.end, NULL, NULL);
	th_disk_watch(chain->disk, true);
	th_disk_flush(chain->disk, &chain->future);
	th_future_then_driven(&chain->future, go_on_driven, &driven);
	ck_assert_int_eq(th_future_wait(&driven.end), 0);
	th_disk_watch(chain->disk, false);
	ck_assert_uint_eq(chain->disk->reads, 300);
	free(chain->block);
	th_disk_close(chain->disk);
}
END_TEST

#define FLOOD 5000

static void post_and_free(struct th_future *future, void *arg)
{
	if (future->result == 0)
		sem_post(arg);
	free(future);
}

/* More than any queue holds. */
START_TEST(disk_stands_a_flood)
{
	struct th_disk *disk = open_disk(_i);
	char *buf = th_disk_buffer((size_t)FLOOD * TH_BLOCK_SIZE);
	sem_t done;

	sem_init(&done, 0, 0);
	for (int i = 0; i < FLOOD; i++) {
		struct th_future *future = malloc(sizeof(*future));

		th_disk_get(disk, (uint64_t)i % DISK_BLOCKS, 1, buf + (size_t)i * TH_BLOCK_SIZE, future);
		th_future_then(future, post_and_free, &done);
	}
	for (int i = 0; i < FLOOD; i++)
		while (sem_wait(&done) < 0)
			;
	sem_destroy(&done);
	free(buf);
	th_disk_close(disk);
}
END_TEST

struct leaver {
	struct th_disk *disk;
	struct iovec iov;
	struct th_future futures[64];
};

static void *save_and_leave(void *arg)
{
	struct leaver *leaver = arg;

	for (uint64_t i = 0; i < 64; i++)
		th_disk_save(leaver->disk, i, &leaver->iov, 1, &leaver->futures[i]);
	return NULL;
}

/* The kernel cancels what an exiting thread had queued; the disk must not. */
START_TEST(disk_finishes_for_a_thread_that_left)
{
	struct leaver leaver = { .disk = open_disk(_i) };
	char *block = th_test_block(0x77), *other = th_test_block(0);
	pthread_t thread;

	leaver.iov = (struct iovec){ .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	for (int round = 0; round < 10; round++) {
		th_ok(pthread_create(&thread, NULL, save_and_leave, &leaver));
		pthread_join(thread, NULL);
		for (int i = 0; i < 64; i++)
			th_ok(th_future_wait(&leaver.futures[i]));
	}
	for (uint64_t i = 0; i < 64; i++) {
		th_ok(th_disk_read(leaver.disk, i, 1, other));
		th_check(memcmp(other, block, TH_BLOCK_SIZE) == 0);
	}
	free(block);
	free(other);
	th_disk_close(leaver.disk);
}
END_TEST

/* --- opening --- */

START_TEST(disk_lock)
{
	struct th_disk *first, *second;

	make_file(TH_BLOCK_SIZE * 8);
	th_ok(th_disk_open(path, 0, &first));
	ck_assert_int_eq(th_disk_open(path, 0, &second), -EBUSY);
	ck_assert_int_eq(th_disk_open(path, TH_DISK_READ_ONLY, &second), -EBUSY);
	th_disk_close(first);
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY, &first));
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY, &second));
	th_disk_close(first);
	ck_assert_int_eq(th_disk_open(path, 0, &first), -EBUSY);
	th_disk_close(second);
	th_ok(th_disk_open(path, 0, &first));
	th_disk_close(first);
	th_disk_close(NULL);
}
END_TEST

/* Nothing is printed onto a disk, though a stream's place was free when it was opened. */
START_TEST(disk_is_no_stream)
{
	int saved = dup(STDIN_FILENO);
	struct th_disk *disk;
	char found[PATH_MAX];

	make_file(TH_BLOCK_SIZE * 8);
	close(STDIN_FILENO);
	th_ok(th_disk_open(path, _i ? TH_DISK_THREADS : 0, &disk));
	ck_assert(!realpath("/proc/self/fd/0", found) || !strstr(found, path));
	th_disk_close(disk);
	if (saved >= 0)
		dup2(saved, STDIN_FILENO);
}
END_TEST

START_TEST(disk_read_only)
{
	char *block = th_test_block(1);
	struct iovec iov = { .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	struct th_disk *disk;

	make_file(TH_BLOCK_SIZE * 8);
	th_ok(chmod(path, 0400));
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY | (_i ? TH_DISK_THREADS : 0), &disk));
	ck_assert_str_eq(disk->name, path);
	ck_assert_int_eq(th_disk_write(disk, 0, 1, block), -EROFS);
	ck_assert_int_eq(save_and_wait(disk, 0, &iov, 1), -EROFS);
	th_ok(th_disk_read(disk, 0, 1, block));
	th_ok(th_disk_sync(disk));
	th_disk_close(disk);
	free(block);
}
END_TEST

START_TEST(disk_opens_only_files_and_devices)
{
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_open("/dev/null", 0, &disk), -ENOTBLK);
	ck_assert_int_eq(th_disk_open(".", 0, &disk), -EISDIR);
	ck_assert_int_eq(th_disk_open("no-such-file.img", 0, &disk), -ENOENT);
	make_file(100);
	th_ok(th_disk_open(path, 0, &disk));
	ck_assert_uint_eq(disk->blocks, 0);
	th_disk_close(disk);
	ck_assert_int_eq(th_disk_memory_new(0, &disk), -EINVAL);
	ck_assert_int_eq(th_disk_memory_new(UINT64_MAX, &disk), -EINVAL);
}
END_TEST

START_TEST(disk_shortened_behind_our_back)
{
	struct th_disk *disk = open_disk(_i);
	char *buf = th_disk_buffer(8 * TH_BLOCK_SIZE);

	th_ok(truncate(path, 4 * TH_BLOCK_SIZE));
	ck_assert_int_eq(th_disk_read(disk, 100, 1, buf), -EIO);
	ck_assert_int_eq(get_and_wait(disk, 100, 1, buf), -EIO);
	ck_assert_int_eq(get_and_wait(disk, 0, 8, buf), -EIO);
	th_ok(get_and_wait(disk, 0, 4, buf));
	free(buf);
	th_disk_close(disk);
}
END_TEST

START_TEST(disk_memory_is_sparse)
{
	struct th_disk *disk;
	char *block = th_test_block(9), *other = th_test_block(0);
	uint64_t blocks = UINT64_C(1) << 24; /* 64 GiB */

	th_ok(th_disk_memory_new(blocks, &disk));
	th_ok(th_disk_write(disk, blocks - 1, 1, block));
	th_ok(th_disk_read(disk, blocks - 1, 1, other));
	ck_assert_mem_eq(block, other, TH_BLOCK_SIZE);
	th_disk_close(disk);
	free(block);
	free(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk");
	TCase *all = tcase_create("every kind"), *files = tcase_create("files");

	tcase_set_timeout(all, 600);
	tcase_add_checked_fixture(all, NULL, remove_file);
	tcase_add_loop_test(all, disk_reads_what_was_written, 0, KINDS);
	tcase_add_loop_test(all, disk_refuses_nonsense, 0, KINDS);
	tcase_add_loop_test(all, disk_serves_many_threads, 0, KINDS);
	tcase_add_loop_test(all, disk_completes_what_nobody_waits_for, 0, KINDS);
	tcase_add_loop_test(all, disk_is_reaped, 0, KINDS);
	tcase_add_loop_test(all, disk_is_watched, 0, KINDS);
	tcase_add_loop_test(all, disk_stands_a_flood, 0, KINDS);
	tcase_add_loop_test(all, disk_finishes_for_a_thread_that_left, 0, KINDS);
	suite_add_tcase(suite, all);
	tcase_set_timeout(files, 60);
	tcase_add_checked_fixture(files, NULL, remove_file);
	tcase_add_test(files, disk_lock);
	tcase_add_loop_test(files, disk_is_no_stream, 0, 2);
	tcase_add_loop_test(files, disk_read_only, 0, 2);
	tcase_add_test(files, disk_opens_only_files_and_devices);
	tcase_add_loop_test(files, disk_shortened_behind_our_back, 0, MEMORY);
	tcase_add_test(files, disk_memory_is_sparse);
	tcase_add_test(files, disk_without_reaping_is_not_driven);
	suite_add_tcase(suite, files);
	return th_suite_run(suite);
}
