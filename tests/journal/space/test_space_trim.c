/* SPDX-License-Identifier: Apache-2.0 */
/* Trim: which blocks are discarded and when, and that no block is discarded once it was handed out again. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/journal/space/new_space.h"

#define UNIT TH_SPACE_TRIM_UNIT
#define BLOCKS 4096u

/* A disk that only counts the discards of each block.  While its gate is shut a discard does not return. */
struct gate_disk {
	struct th_disk disk;
	struct th_space *space;
	_Atomic unsigned discarded[BLOCKS];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool shut, waiting;
	int result;
};

static int gate_discard(struct th_disk *base, uint64_t addr, uint64_t blocks)
{
	struct gate_disk *disk = (struct gate_disk *)base;

	th_check(th_space_in_use(disk->space, addr, blocks)); /* so that no other thread can take them */
	for (uint64_t i = 0; i < blocks; i++)
		disk->discarded[addr + i]++;
	pthread_mutex_lock(&disk->lock);
	disk->waiting = disk->shut;
	pthread_cond_broadcast(&disk->changed);
	while (disk->shut)
		pthread_cond_wait(&disk->changed, &disk->lock);
	disk->waiting = false;
	pthread_mutex_unlock(&disk->lock);
	return disk->result;
}

struct world {
	struct th_space *space;
	struct th_disk *memory; /* of the space log */
	struct gate_disk gate;
	struct th_blocklist log;
};

static void world_init(struct world *world)
{
	static const struct th_disk_ops ops = { .discard = gate_discard };

	*world = (struct world){ .space = th_test_space(BLOCKS) };
	world->gate.disk.ops = &ops;
	world->gate.disk.blocks = BLOCKS;
	world->gate.space = world->space;
	pthread_mutex_init(&world->gate.lock, NULL);
	pthread_cond_init(&world->gate.changed, NULL);
	th_ok(th_disk_memory_new(BLOCKS, &world->memory));
	th_space_trim_enable(world->space, true);
}

static void world_release(struct world *world)
{
	pthread_mutex_destroy(&world->gate.lock);
	pthread_cond_destroy(&world->gate.changed);
	th_space_free(world->space);
	th_disk_close(world->memory);
}

static void checkpoint(struct world *world)
{
	th_space_freeze(world->space);
	th_ok(th_space_checkpoint(world->space, world->memory, &world->log));
	th_space_checkpointed(world->space);
}

/* Allocates a run of data right at addr. */
static void allocate(struct world *world, uint64_t addr, uint32_t blocks)
{
	uint64_t hint = addr, found;
	uint32_t got;

	th_ok(th_space_take(world->space, TH_SPACE_USER, blocks, blocks, &hint, &found, &got));
	ck_assert_uint_eq(found, addr);
	th_space_note_alloc(world->space, TH_SPACE_LIVE, addr, blocks);
}

static void free_run(struct world *world, uint64_t addr, uint32_t blocks)
{
	th_space_note_free(world->space, TH_SPACE_LIVE, addr, blocks);
}

/* Frees a run.  Its blocks can be used again after the second checkpoint (S3). */
static void make_free(struct world *world, uint64_t addr, uint32_t blocks)
{
	free_run(world, addr, blocks);
	checkpoint(world);
	checkpoint(world);
}

/* Discards everything that was freed up to now. */
static void trim_freed(struct world *world)
{
	for (int i = 0; i < 3; i++)
		th_ok(th_space_trim_freed(world->space, &world->gate.disk, UINT32_MAX));
}

/* Checks that the run was discarded `times` times, and the block before it and the one after it never. */
static void check_discarded(struct world *world, uint64_t addr, uint32_t blocks, unsigned times)
{
	ck_assert_uint_eq(world->gate.discarded[addr - 1], 0);
	ck_assert_uint_eq(world->gate.discarded[addr + blocks], 0);
	for (uint32_t i = 0; i < blocks; i++)
		ck_assert_uint_eq(world->gate.discarded[addr + i], times);
}

START_TEST(freed_blocks_are_discarded_when_they_are_free)
{
	struct world world;

	world_init(&world);
	allocate(&world, 64 * UNIT, 8 * UNIT);
	checkpoint(&world);
	free_run(&world, 65 * UNIT, 4 * UNIT);
	checkpoint(&world);
	trim_freed(&world);
	ck_assert_uint_eq(world.gate.disk.discards, 0); /* S3: the checkpoint before still names them */
	checkpoint(&world);
	trim_freed(&world);
	check_discarded(&world, 65 * UNIT, 4 * UNIT, 1);
	ck_assert_uint_eq(world.gate.disk.discards, 1);
	checkpoint(&world);
	trim_freed(&world);
	ck_assert_uint_eq(world.gate.disk.discards, 1);
	world_release(&world);
}
END_TEST

START_TEST(units_in_part_use_wait_for_their_last_block)
{
	struct world world;

	world_init(&world);
	allocate(&world, 64 * UNIT, 4 * UNIT);
	checkpoint(&world);
	make_free(&world, 64 * UNIT + 1, 2 * UNIT); /* one whole unit, and parts of two */
	trim_freed(&world);
	check_discarded(&world, 65 * UNIT, UNIT, 1);
	make_free(&world, 66 * UNIT + 1, UNIT - 1);
	trim_freed(&world);
	check_discarded(&world, 65 * UNIT, 2 * UNIT, 1);
	world_release(&world);
}
END_TEST

START_TEST(blocks_taken_again_are_not_discarded)
{
	struct world world;

	world_init(&world);
	allocate(&world, 64 * UNIT, 6 * UNIT);
	checkpoint(&world);
	make_free(&world, 64 * UNIT, 6 * UNIT);
	allocate(&world, 66 * UNIT, 1);
	trim_freed(&world);
	check_discarded(&world, 64 * UNIT, 2 * UNIT, 1);
	check_discarded(&world, 67 * UNIT, 3 * UNIT, 1);
	world_release(&world);
}
END_TEST

START_TEST(blocks_are_due_one_turn_later)
{
	unsigned calls = 0;
	struct world world;

	world_init(&world);
	allocate(&world, 64 * UNIT, 6 * UNIT);
	checkpoint(&world);
	free_run(&world, 64 * UNIT, UNIT);
	make_free(&world, 68 * UNIT, UNIT);
	th_ok(th_space_trim_freed(world.space, &world.gate.disk, 1));
	ck_assert_uint_eq(world.gate.disk.discards, 0);
	while (th_space_trim_freed(world.space, &world.gate.disk, 1) == 1)
		calls++;
	ck_assert_uint_ge(calls, 2); /* a look at a page of the space log needs calls, too */
	check_discarded(&world, 64 * UNIT, UNIT, 1);
	check_discarded(&world, 68 * UNIT, UNIT, 1);
	world_release(&world);
}
END_TEST

START_TEST(nothing_is_noted_while_trim_is_off)
{
	struct world world;

	world_init(&world);
	allocate(&world, 64 * UNIT, 6 * UNIT);
	checkpoint(&world);
	free_run(&world, 64 * UNIT, 6 * UNIT);
	checkpoint(&world);
	th_space_trim_enable(world.space, false);
	checkpoint(&world);
	th_space_trim_enable(world.space, true);
	trim_freed(&world);
	ck_assert_uint_eq(world.gate.disk.discards, 0);
	world_release(&world);
}
END_TEST

START_TEST(all_free_runs_of_a_part_are_discarded)
{
	uint64_t blocks;
	struct world world;

	world_init(&world);
	allocate(&world, 1000, 23);
	th_space_give(world.space, 1010, 3);
	th_ok(th_space_trim(world.space, &world.gate.disk, 995, 1030, 1, &blocks));
	ck_assert_uint_eq(blocks, 5 + 3 + 7);
	check_discarded(&world, 995, 5, 1);
	check_discarded(&world, 1010, 3, 1);
	check_discarded(&world, 1023, 7, 1);
	th_ok(th_space_trim(world.space, &world.gate.disk, 995, 1030, 6, &blocks));
	ck_assert_uint_eq(blocks, 7);
	th_ok(th_space_trim(world.space, &world.gate.disk, 0, UINT64_MAX, 1, &blocks));
	ck_assert_uint_eq(blocks, BLOCKS - 2 * TH_TEST_FIXED - 20);
	ck_assert_uint_eq(world.gate.discarded[0], 0);
	ck_assert_uint_eq(world.gate.discarded[BLOCKS - 1], 0);
	th_ok(th_space_trim(world.space, &world.gate.disk, BLOCKS, UINT64_MAX, 1, &blocks));
	ck_assert_uint_eq(blocks, 0);
	world_release(&world);
}
END_TEST

START_TEST(an_error_leaves_the_blocks_free)
{
	struct th_space_stat before, after;
	uint64_t blocks;
	struct world world;

	world_init(&world);
	th_space_stat(world.space, &before);
	world.gate.result = -EIO;
	ck_assert_int_eq(th_space_trim(world.space, &world.gate.disk, 0, UINT64_MAX, 1, &blocks), -EIO);
	ck_assert_uint_eq(blocks, 0);
	th_space_stat(world.space, &after);
	ck_assert_uint_eq(before.free, after.free);
	ck_assert(!th_space_in_use(world.space, TH_TEST_FIXED, 1));
	world_release(&world);
}
END_TEST

static void *trim_all(void *arg)
{
	struct world *world = arg;
	uint64_t blocks;

	th_ok(th_space_trim(world->space, &world->gate.disk, 0, UINT64_MAX, 1, &blocks));
	return NULL;
}

static void *open_gate(void *arg)
{
	struct gate_disk *gate = arg;

	pthread_mutex_lock(&gate->lock);
	gate->shut = false;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
	return NULL;
}

/* All free blocks are being discarded: they count as free, and an allocation gets them afterwards. */
START_TEST(allocation_waits_for_the_only_free_blocks)
{
	struct th_space_stat before, during;
	pthread_t trimmer, opener;
	uint64_t addr;
	uint32_t blocks;
	struct world world;

	world_init(&world);
	th_space_stat(world.space, &before);
	world.gate.shut = true;
	th_ok(pthread_create(&trimmer, NULL, trim_all, &world));
	pthread_mutex_lock(&world.gate.lock);
	while (!world.gate.waiting)
		pthread_cond_wait(&world.gate.changed, &world.gate.lock);
	pthread_mutex_unlock(&world.gate.lock);
	th_space_stat(world.space, &during);
	ck_assert_uint_eq(before.free, during.free);
	/* More than there is: refused without waiting. */
	ck_assert_int_eq(th_space_take(world.space, TH_SPACE_USER, BLOCKS, BLOCKS, NULL, &addr, &blocks), -ENOSPC);
	th_ok(pthread_create(&opener, NULL, open_gate, &world.gate));
	th_ok(th_space_take(world.space, TH_SPACE_USER, 100, 100, NULL, &addr, &blocks));
	pthread_join(opener, NULL);
	pthread_join(trimmer, NULL);
	th_space_stat(world.space, &during);
	ck_assert_uint_eq(before.free - 100, during.free);
	world_release(&world);
}
END_TEST

/* Threads take, fill and give back runs while all free space is discarded again and again.  A block that a thread holds
 * keeps its count of discards. */
struct taker {
	struct world *world;
	struct th_random random;
	pthread_t thread;
};

static void *take_and_give(void *arg)
{
	struct taker *taker = arg;
	struct world *world = taker->world;

	for (int round = 0; round < 2000; round++) {
		uint32_t want = 1 + th_random_below(&taker->random, 300), blocks;
		unsigned seen[300];
		uint64_t addr;

		th_ok(th_space_take(world->space, TH_SPACE_USER, want, 1, NULL, &addr, &blocks));
		for (uint32_t i = 0; i < blocks; i++)
			seen[i] = world->gate.discarded[addr + i];
		sched_yield();
		for (uint32_t i = 0; i < blocks; i++)
			th_check(seen[i] == world->gate.discarded[addr + i]);
		th_space_give(world->space, addr, blocks);
	}
	return NULL;
}

START_TEST(blocks_in_use_are_never_discarded)
{
	struct th_random random = { th_test_seed("blocks_in_use_are_never_discarded") };
	struct taker takers[3];
	struct th_space_stat before, after;
	uint64_t blocks;
	struct world world;

	world_init(&world);
	th_space_stat(world.space, &before);
	for (int i = 0; i < 3; i++) {
		takers[i] = (struct taker){ .world = &world, .random = { th_random_next(&random) } };
		th_ok(pthread_create(&takers[i].thread, NULL, take_and_give, &takers[i]));
	}
	for (int round = 0; round < 300; round++)
		th_ok(th_space_trim(world.space, &world.gate.disk, 0, UINT64_MAX, 1, &blocks));
	for (int i = 0; i < 3; i++)
		pthread_join(takers[i].thread, NULL);
	th_space_stat(world.space, &after);
	ck_assert_uint_eq(before.free, after.free);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space_trim");
	TCase *tcase = tcase_create("space_trim");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, freed_blocks_are_discarded_when_they_are_free);
	tcase_add_test(tcase, units_in_part_use_wait_for_their_last_block);
	tcase_add_test(tcase, blocks_taken_again_are_not_discarded);
	tcase_add_test(tcase, blocks_are_due_one_turn_later);
	tcase_add_test(tcase, nothing_is_noted_while_trim_is_off);
	tcase_add_test(tcase, all_free_runs_of_a_part_are_discarded);
	tcase_add_test(tcase, an_error_leaves_the_blocks_free);
	tcase_add_test(tcase, allocation_waits_for_the_only_free_blocks);
	tcase_add_test(tcase, blocks_in_use_are_never_discarded);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
