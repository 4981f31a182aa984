/* SPDX-License-Identifier: Apache-2.0 */
/* The behaviour that every kind of disk has. */
#include <pthread.h>
#include <semaphore.h>

#include "tests/journal/disk/disks.h"

#define DISK_BLOCKS TH_TEST_DISK_BLOCKS

START_TEST(get_sees_completed_saves)
{
	struct th_disk *disk = th_test_disk(_i);
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

START_TEST(transfers_outside_the_disk_or_unaligned_are_refused)
{
	struct th_disk *disk = th_test_disk(_i);
	char *block = th_test_block(0);
	struct iovec iov = { .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	struct iovec odd = { .iov_base = block, .iov_len = 100 }, empty = { .iov_base = block };
	struct iovec askew = { .iov_base = block + 8, .iov_len = TH_BLOCK_SIZE };
	struct iovec many[TH_DISK_IOV_MAX + 1];

	for (int i = 0; i <= TH_DISK_IOV_MAX; i++)
		many[i] = iov;
	ck_assert_int_eq(th_disk_read(disk, DISK_BLOCKS, 1, block), -EINVAL);
	ck_assert_int_eq(th_disk_read(disk, UINT64_MAX, 1, block), -EINVAL);
	ck_assert_int_eq(th_test_get(disk, DISK_BLOCKS - 1, 2, block), -EINVAL);
	ck_assert_int_eq(th_test_get(disk, 0, UINT32_MAX, block), -EINVAL);
	ck_assert_int_eq(th_test_get(disk, 0, 0, block), -EINVAL);
	ck_assert_int_eq(th_test_get(disk, 0, 1, block + 8), -EINVAL);
	ck_assert_int_eq(th_disk_write(disk, DISK_BLOCKS, 1, block), -EINVAL);
	ck_assert_int_eq(th_test_save(disk, UINT64_MAX, &iov, 1), -EINVAL);
	ck_assert_int_eq(th_test_save(disk, 0, &iov, 0), -EINVAL);
	ck_assert_int_eq(th_test_save(disk, 0, &odd, 1), -EINVAL);
	ck_assert_int_eq(th_test_save(disk, 0, &empty, 1), -EINVAL);
	ck_assert_int_eq(th_test_save(disk, 0, &askew, 1), -EINVAL);
	ck_assert_int_eq(th_test_save(disk, 0, many, TH_DISK_IOV_MAX + 1), -EINVAL);
	th_ok(th_test_save(disk, 0, many, TH_DISK_IOV_MAX));
	ck_assert_uint_eq(disk->writes, 1);
	free(block);
	th_disk_close(disk);
}
END_TEST

START_TEST(discarded_blocks_read_as_before_or_as_zeros)
{
	struct th_disk *disk = th_test_disk(_i);
	char *block = th_test_block(0x21), *found = th_test_block(0);
	static const char zeros[TH_BLOCK_SIZE];
	int err;

	for (uint64_t addr = 8; addr < 12; addr++)
		th_ok(th_disk_write(disk, addr, 1, block));
	err = th_disk_discard(disk, 9, 2);
	ck_assert(!err || err == -EOPNOTSUPP); /* not every filesystem can punch holes */
	for (uint64_t addr = 8; addr < 12; addr++) {
		bool discarded = addr == 9 || addr == 10;

		th_ok(th_disk_read(disk, addr, 1, found));
		ck_assert(!memcmp(found, block, TH_BLOCK_SIZE) || (discarded && !memcmp(found, zeros, TH_BLOCK_SIZE)));
	}
	th_ok(th_disk_write(disk, 9, 1, block));
	th_ok(th_disk_read(disk, 9, 1, found));
	ck_assert_mem_eq(found, block, TH_BLOCK_SIZE);
	ck_assert_uint_eq(disk->discards, !err);
	ck_assert_uint_eq(disk->bytes_discarded, err ? 0 : 2 * TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_discard(disk, DISK_BLOCKS, 1), -EINVAL);
	ck_assert_int_eq(th_disk_discard(disk, UINT64_MAX, 1), -EINVAL);
	ck_assert_int_eq(th_disk_discard(disk, 0, DISK_BLOCKS + 1), -EINVAL);
	ck_assert_int_eq(th_disk_discard(disk, 0, 0), -EINVAL);
	ck_assert(disk->sparse);
	free(block);
	free(found);
	th_disk_close(disk);
}
END_TEST

START_TEST(grown_disk_has_more_blocks)
{
	struct th_disk *disk = th_test_disk(_i);
	char *block = th_test_block(0x21), *found = th_test_block(0);

	th_ok(th_disk_write(disk, 5, 1, block));
	ck_assert_int_eq(th_disk_grow(disk, DISK_BLOCKS - 1), -EINVAL);
	th_ok(th_disk_grow(disk, 0));
	ck_assert_uint_eq(disk->blocks, DISK_BLOCKS);
	ck_assert_int_eq(th_disk_write(disk, DISK_BLOCKS, 1, block), -EINVAL);
	th_ok(th_disk_grow(disk, 2 * DISK_BLOCKS));
	ck_assert_uint_eq(disk->blocks, 2 * DISK_BLOCKS);
	th_ok(th_disk_write(disk, 2 * DISK_BLOCKS - 1, 1, block));
	th_ok(th_disk_read(disk, 2 * DISK_BLOCKS - 1, 1, found));
	ck_assert_mem_eq(found, block, TH_BLOCK_SIZE);
	th_ok(th_disk_read(disk, 5, 1, found));
	ck_assert_mem_eq(found, block, TH_BLOCK_SIZE);
	th_ok(th_disk_read(disk, DISK_BLOCKS, 1, found));
	ck_assert_int_eq(*found, 0);
	free(block);
	free(found);
	th_disk_close(disk);
}
END_TEST

/* A disk whose discard fails. */
static int discard_result;
static unsigned discard_calls;

static int failing_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	(void)disk;
	(void)addr;
	(void)blocks;
	discard_calls++;
	return discard_result;
}

START_TEST(disk_that_cannot_discard_is_asked_once)
{
	static const struct th_disk_ops none = { 0 }, failing = { .discard = failing_discard };
	struct th_disk disk = { .ops = &none, .blocks = 10 };

	ck_assert_int_eq(th_disk_discard(&disk, 0, 1), -EOPNOTSUPP);
	disk.ops = &failing;
	discard_calls = 0;
	discard_result = -EIO;
	ck_assert_int_eq(th_disk_discard(&disk, 0, 1), -EIO);
	ck_assert_int_eq(th_disk_discard(&disk, 0, 1), -EIO);
	ck_assert_uint_eq(discard_calls, 2);
	discard_result = -EOPNOTSUPP;
	ck_assert_int_eq(th_disk_discard(&disk, 0, 1), -EOPNOTSUPP);
	ck_assert_int_eq(th_disk_discard(&disk, 0, 1), -EOPNOTSUPP);
	ck_assert_uint_eq(discard_calls, 3);
	ck_assert_uint_eq(disk.discards, 0);
}
END_TEST

static int guard_result;

static int guard(void *arg, uint64_t addr)
{
	*(uint64_t *)arg = addr;
	return guard_result;
}

START_TEST(guard_refuses_saves_and_discards)
{
	struct th_disk *disk = th_test_disk(_i);
	char *block = th_test_block(1), *found = th_test_block(0);
	struct iovec iov = { .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	uint64_t asked = 0;

	disk->guard = guard;
	disk->guard_arg = &asked;
	guard_result = 0;
	th_ok(th_disk_write(disk, 5, 1, block));
	ck_assert_uint_eq(asked, 5);
	guard_result = -EBUSY;
	ck_assert_int_eq(th_disk_write(disk, 6, 1, block), -EBUSY);
	ck_assert_uint_eq(asked, 6);
	ck_assert_int_eq(th_test_save(disk, 7, &iov, 1), -EBUSY);
	ck_assert_int_lt(th_disk_discard(disk, 5, 1), 0);
	ck_assert_uint_eq(disk->writes, 1);
	th_ok(th_disk_read(disk, 5, 1, found));
	ck_assert_int_eq(memcmp(found, block, TH_BLOCK_SIZE), 0);
	for (uint64_t addr = 6; addr <= 7; addr++) {
		th_ok(th_disk_read(disk, addr, 1, found));
		ck_assert_int_eq(found[0], 0);
	}
	free(block);
	free(found);
	th_disk_close(disk);
}
END_TEST

/* --- many threads --- */

#define WORKERS 6
#define WORKER_BLOCKS (DISK_BLOCKS / WORKERS)
#define WORKER_SLOTS 16
#define WORKER_SAVE_MAX 8

/* A transfer under way.  No other transfer uses its blocks until it is complete. */
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
	uint64_t stamps[WORKER_BLOCKS]; /* the content of each block, repeated; 0: never written */
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

/* Reserves some consecutive blocks without a transfer.  Returns how many, or 0. */
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

START_TEST(many_threads_read_what_each_wrote)
{
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	struct th_disk *disk = th_test_disk(_i);
	uint64_t seed = th_test_seed("many_threads_read_what_each_wrote");

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

START_TEST(continuations_run_without_a_waiter)
{
	struct chain chain = { .disk = th_test_disk(_i), .block = th_test_block(0), .left = 300 };

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
	pthread_t thread; /* expected to run each continuation */
	unsigned elsewhere; /* continuations that ran on another */
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

/* The last continuation of a chain of transfers completes a future.  A thread that reaps until that is complete runs
 * the whole chain, and on a disk that needs reaping, on its own thread. */
START_TEST(reaping_completes_a_chain_of_transfers)
{
	struct driven_chain driven = {
		.chain = { .disk = th_test_disk(_i), .block = th_test_block(0), .left = 300 },
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

START_TEST(watched_disk_completes_by_itself)
{
	struct driven_chain driven = {
		.chain = { .disk = th_test_disk(_i), .block = th_test_block(0), .left = 300 },
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

/* More than URING_DEPTH and POOL_DEPTH. */
START_TEST(more_transfers_than_the_queue_holds_complete)
{
	struct th_disk *disk = th_test_disk(_i);
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

/* When a thread exits the kernel cancels the transfers it queued; the disk carries them out. */
START_TEST(transfers_outlive_the_thread_that_started_them)
{
	struct leaver leaver = { .disk = th_test_disk(_i) };
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

int main(void)
{
	Suite *suite = suite_create("disk");
	TCase *tcase = tcase_create("disk");

	tcase_set_timeout(tcase, 600);
	tcase_add_checked_fixture(tcase, NULL, th_test_file_remove);
	tcase_add_loop_test(tcase, get_sees_completed_saves, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, transfers_outside_the_disk_or_unaligned_are_refused, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, discarded_blocks_read_as_before_or_as_zeros, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, grown_disk_has_more_blocks, 0, TH_TEST_DISK_KINDS);
	tcase_add_test(tcase, disk_that_cannot_discard_is_asked_once);
	tcase_add_loop_test(tcase, guard_refuses_saves_and_discards, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, many_threads_read_what_each_wrote, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, continuations_run_without_a_waiter, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, reaping_completes_a_chain_of_transfers, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, watched_disk_completes_by_itself, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, more_transfers_than_the_queue_holds_complete, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, transfers_outlive_the_thread_that_started_them, 0, TH_TEST_DISK_KINDS);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
