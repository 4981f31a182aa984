/* SPDX-License-Identifier: Apache-2.0 */
/* The space compared with one byte per block, through checkpoints, loads and crashes. */
#include <pthread.h>
#include <stdatomic.h>

#include "journal/space/blocklist_page.h"
#include "journal/space/space.h"
#include "tests/journal/space/new_space.h"
#include "tests/journal/suite.h"

#define FIXED TH_TEST_FIXED

enum block { FREE, FIXED_AREA, TAKEN, ALLOCATED, WAITING, LOG_PAGE };

/* The state that one checkpoint left on disk. */
struct state {
	struct th_blocklist log;
	uint64_t number;
	uint8_t *used; /* allocated, pages of the log included */
	uint8_t *pages; /* pages of the log */
	uint8_t *freed; /* freed by this checkpoint */
};

struct world {
	uint64_t blocks;
	struct th_random random;
	struct th_disk *disk;
	struct th_space *space;
	uint8_t *now; /* enum block */
	uint64_t *freed_in; /* of a waiting block: number of the checkpoint that frees it */
	uint64_t number; /* of the checkpoint that the live set will be part of */
	uint64_t reserved, emergency;
	unsigned copies; /* of pages */
	unsigned pins;
	struct state states[3]; /* newest durable, the one before it, and the one being written */
};

/* --- the model --- */

static void state_init(struct state *state, uint64_t blocks)
{
	state->used = calloc(blocks, 1);
	state->pages = calloc(blocks, 1);
	state->freed = calloc(blocks, 1);
}

static void state_release(struct state *state)
{
	free(state->used);
	free(state->pages);
	free(state->freed);
}

static struct th_space *new_space(const struct world *world)
{
	struct th_space *space = th_test_space(world->blocks);

	th_space_set_copies(space, world->copies);
	return space;
}

static void world_init(struct world *world, uint64_t blocks, uint64_t seed)
{
	struct th_space_stat stat;

	*world = (struct world){ .blocks = blocks, .random = { seed }, .number = 1 };
	th_ok(th_disk_memory_new(blocks, &world->disk));
	world->copies = 1 + th_random_below(&world->random, 2);
	world->space = new_space(world);
	world->now = calloc(blocks, 1);
	world->freed_in = calloc(blocks, sizeof(*world->freed_in));
	memset(world->now, FIXED_AREA, FIXED);
	memset(world->now + blocks - FIXED, FIXED_AREA, FIXED);
	for (int i = 0; i < 3; i++)
		state_init(&world->states[i], blocks);
	th_space_stat(world->space, &stat);
	world->emergency = stat.emergency;
}

static void world_release(struct world *world)
{
	for (int i = 0; i < 3; i++)
		state_release(&world->states[i]);
	free(world->now);
	free(world->freed_in);
	th_space_free(world->space);
	th_disk_close(world->disk);
}

static uint64_t count(const struct world *world, enum block what)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < world->blocks; i++)
		n += world->now[i] == what;
	return n;
}

static void check_stat(const struct world *world)
{
	struct th_space_stat stat;

	th_space_stat(world->space, &stat);
	th_check(stat.blocks == world->blocks);
	th_check(stat.free == count(world, FREE));
	th_check(stat.waiting == count(world, WAITING));
	th_check(stat.reserved == world->reserved);
	th_check(stat.emergency == world->emergency);
}

/* --- taking --- */

/* Returns whether there is a free run for this class.  Data without a reservation stays out of the last blocks. */
static bool run_exists(const struct world *world, enum th_space_class class, uint32_t blocks)
{
	uint64_t run = 0, end = world->blocks - (class == TH_SPACE_USER ? world->emergency : 0);

	for (uint64_t i = 0; i < world->blocks && i - run < end; i++) {
		run = world->now[i] == FREE ? run + 1 : 0;
		if (run >= blocks)
			return true;
	}
	return false;
}

static uint64_t may_take(const struct world *world, enum th_space_class class)
{
	uint64_t free = count(world, FREE), waiting = count(world, WAITING), most = world->emergency / 4;
	uint64_t kept = world->reserved + world->reserved / 32 + world->emergency;

	if (class == TH_SPACE_META)
		return free;
	if (class == TH_SPACE_RESERVED)
		return world->reserved < free ? world->reserved : free;
	free += waiting < most ? waiting : most;
	return free > kept ? free - kept : 0;
}

/* S3: neither of the two newest durable checkpoints may use the run. */
static void check_reusable(const struct world *world, uint64_t addr, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++) {
		th_check(world->now[addr + i] == FREE);
		th_check(!world->states[0].used[addr + i] && !world->states[1].used[addr + i]);
	}
}

static uint32_t take(struct world *world, enum th_space_class class, uint32_t want, uint32_t min, uint64_t *ret_addr)
{
	uint64_t hint = th_random_below(&world->random, (uint32_t)world->blocks + 10);
	uint64_t allowed = may_take(world, class);
	uint32_t got;
	int err = th_space_take(world->space, class, want, min, th_random_percent(&world->random, 50) ? &hint : NULL,
				ret_addr, &got);

	th_check(err == 0 || err == -ENOSPC);
	th_check((err == 0) == (allowed >= min && run_exists(world, class, min)));
	if (err)
		return 0;
	th_check(got >= min && got <= want && got <= allowed && *ret_addr + got <= world->blocks);
	check_reusable(world, *ret_addr, got);
	memset(world->now + *ret_addr, TAKEN, got);
	if (class == TH_SPACE_RESERVED)
		world->reserved -= got;
	return got;
}

/* Picks a run of blocks in some state.  Returns its length, or 0. */
static uint32_t pick(struct world *world, enum block what, uint64_t *ret_addr)
{
	uint64_t addr = th_random_below(&world->random, (uint32_t)world->blocks);
	uint32_t most = 1 + th_random_below(&world->random, 60), blocks = 0;

	for (unsigned i = 0; i < 5000 && world->now[addr] != what; i++)
		addr = (addr + 1) % world->blocks;
	while (blocks < most && addr + blocks < world->blocks && world->now[addr + blocks] == what)
		blocks++;
	*ret_addr = addr;
	return blocks;
}

static void note_alloc(struct world *world, enum th_space_set set, uint64_t addr, uint32_t blocks)
{
	th_space_note_alloc(world->space, set, addr, blocks);
	memset(world->now + addr, ALLOCATED, blocks);
}

static void note_free(struct world *world, enum th_space_set set, uint64_t addr, uint32_t blocks, uint64_t number)
{
	th_space_note_free(world->space, set, addr, blocks);
	memset(world->now + addr, WAITING, blocks);
	for (uint32_t i = 0; i < blocks; i++)
		world->freed_in[addr + i] = number;
}

static void reserve_some(struct world *world)
{
	uint32_t blocks = th_random_below(&world->random, 200);
	bool may = may_take(world, TH_SPACE_USER) >= blocks;
	int err;

	if (th_random_percent(&world->random, 30)) {
		blocks = blocks < world->reserved ? blocks : (uint32_t)world->reserved;
		th_space_unreserve(world->space, blocks);
		world->reserved -= blocks;
		return;
	}
	err = th_space_reserve(world->space, blocks);
	th_check(err == (may ? 0 : -ENOSPC));
	if (!err)
		world->reserved += blocks;
}

static void live_step(struct world *world)
{
	unsigned what = th_random_below(&world->random, 100);
	uint32_t min = 1 + th_random_below(&world->random, 1u << th_random_below(&world->random, 6)), blocks;
	uint64_t addr;

	if (what < 45) {
		blocks = take(world, (enum th_space_class)th_random_below(&world->random, 3),
			      min + th_random_below(&world->random, 256), min, &addr);
		if (blocks && th_random_percent(&world->random, 90))
			note_alloc(world, TH_SPACE_LIVE, addr, blocks);
	} else if (what < 80) {
		blocks = pick(world, ALLOCATED, &addr);
		if (blocks)
			note_free(world, TH_SPACE_LIVE, addr, blocks, world->number);
	} else if (what < 90) {
		blocks = pick(world, TAKEN, &addr);
		if (blocks) {
			th_space_give(world->space, addr, blocks);
			memset(world->now + addr, FREE, blocks);
		}
	} else {
		reserve_some(world);
	}
}

/* --- checkpoints --- */

static int mark(uint64_t addr, uint64_t blocks, void *arg)
{
	memset((uint8_t *)arg + addr, 1, blocks);
	return 0;
}

static int mark_page(const struct th_blocklist *list, void *arg)
{
	uint8_t *pages = arg;

	th_check(!pages[list->head]);
	pages[list->head] = 1;
	if (!list->mirror)
		return 0;
	th_check(!pages[list->mirror]);
	pages[list->mirror] = 1;
	return 0;
}

static void read_pages(struct world *world, const struct th_blocklist *log, uint8_t *pages)
{
	memset(pages, 0, world->blocks);
	th_ok(th_blocklist_each(log, world->disk, NULL, mark_page, pages));
}

/* The logged map, and a map loaded from the log, match the model. */
static void check_logged(struct world *world, const struct state *state)
{
	uint8_t *used = calloc(world->blocks, 1);
	struct th_space *loaded = new_space(world);
	struct th_space_stat stat;
	uint64_t n = 0, waiting = 0;

	th_ok(th_space_each_used(world->space, mark, used));
	th_check(memcmp(used, state->used, world->blocks) == 0);
	th_ok(th_space_load(loaded, world->disk, &state->log));
	memset(used, 0, world->blocks);
	th_ok(th_space_each_used(loaded, mark, used));
	th_check(memcmp(used, state->used, world->blocks) == 0);
	for (uint64_t i = 0; i < world->blocks; i++) {
		n += used[i];
		waiting += state->freed[i];
		th_check(!used[i] || th_space_in_use(loaded, i, 1));
	}
	th_space_stat(loaded, &stat);
	th_check(stat.waiting == waiting);
	th_check(stat.free == world->blocks - 2 * FIXED - n - waiting);
	th_space_free(loaded);
	free(used);
}

/* Notes the pages of the log that are new, and those that were replaced. */
static void take_over_pages(struct world *world, struct state *next, const struct state *last)
{
	read_pages(world, &next->log, next->pages);
	for (uint64_t i = 0; i < world->blocks; i++) {
		if (next->pages[i] && !last->pages[i]) {
			th_check(world->now[i] == FREE && !world->states[0].used[i] && !world->states[1].used[i]);
			world->now[i] = LOG_PAGE;
		}
		if (last->pages[i] && !next->pages[i]) {
			world->now[i] = WAITING;
			world->freed_in[i] = next->number;
		}
		next->used[i] |= next->pages[i];
	}
	for (uint64_t i = 0; i < world->blocks; i++)
		next->freed[i] = world->now[i] == WAITING && world->freed_in[i] == next->number;
}

static void checkpoint_step(struct world *world, struct state *next)
{
	uint64_t addr;
	uint32_t blocks;

	if (th_random_percent(&world->random, 50)) {
		blocks = take(world, TH_SPACE_META, 16, 1, &addr);
		if (blocks) {
			note_alloc(world, TH_SPACE_CHECKPOINT, addr, blocks);
			memset(next->used + addr, 1, blocks);
		}
		return;
	}
	blocks = pick(world, ALLOCATED, &addr);
	for (uint32_t i = 0; i < blocks; i++) {
		if (next->used[addr + i]) {
			note_free(world, TH_SPACE_CHECKPOINT, addr + i, 1, next->number);
			next->used[addr + i] = 0;
		}
	}
}

static void release_waiting(struct world *world, uint64_t number)
{
	for (uint64_t i = 0; i < world->blocks; i++) {
		if (world->now[i] == WAITING && world->freed_in[i] < number)
			world->now[i] = FREE;
	}
}

static void checkpointed(struct world *world)
{
	struct state spare = world->states[1];

	th_space_checkpointed(world->space);
	world->states[1] = world->states[0];
	world->states[0] = world->states[2];
	world->states[2] = spare;
	if (world->pins == 0)
		release_waiting(world, world->states[0].number);
}

static void pin_or_unpin(struct world *world)
{
	if (world->pins && th_random_percent(&world->random, 60)) {
		th_space_unpin(world->space);
		world->pins--;
	} else if (th_random_percent(&world->random, 10)) {
		th_space_pin(world->space);
		world->pins++;
	}
}

/* Returns false if there was no room for the pages of the log. */
static bool checkpoint(struct world *world)
{
	struct state *next = &world->states[2];
	int err;

	next->log = world->states[0].log;
	next->number = world->number++;
	th_space_freeze(world->space);
	for (uint64_t i = 0; i < world->blocks; i++)
		next->used[i] = world->now[i] == ALLOCATED;
	for (unsigned i = 0; i < 3; i++) {
		live_step(world);
		checkpoint_step(world, next);
	}
	err = th_space_checkpoint(world->space, world->disk, &next->log);
	th_check(err == 0 || (err == -ENOSPC && count(world, FREE) < 64));
	if (err)
		return false;
	take_over_pages(world, next, &world->states[0]);
	/* Without changes the log stays as it was: when it is loaded, the same blocks wait. */
	if (memcmp(&next->log, &world->states[0].log, sizeof(next->log)) == 0)
		memcpy(next->freed, world->states[0].freed, world->blocks);
	if (th_random_percent(&world->random, 20))
		check_logged(world, next);
	return true;
}

/* A crash: loads the durable state, and resets the model to it. */
static void crash(struct world *world)
{
	const struct state *last = &world->states[0];

	th_space_free(world->space);
	world->space = new_space(world);
	th_ok(th_space_load(world->space, world->disk, &last->log));
	for (uint64_t i = 0; i < world->blocks; i++) {
		if (world->now[i] == FIXED_AREA)
			continue;
		world->now[i] = last->pages[i] ? LOG_PAGE : last->used[i] ? ALLOCATED : FREE;
		if (last->freed[i]) {
			th_check(!last->used[i]);
			world->now[i] = WAITING;
			world->freed_in[i] = last->number;
		}
	}
	world->reserved = 0;
	world->pins = 0;
	world->number = last->number + 1;
	check_stat(world);
}

/* Claims a run, as for a replayed intent log. */
static void replay(struct world *world)
{
	uint64_t addr;
	uint32_t blocks = pick(world, FREE, &addr);

	if (blocks == 0)
		return;
	th_ok(th_space_claim(world->space, addr, blocks));
	th_check(th_space_claim(world->space, addr, blocks) == -EUCLEAN);
	note_alloc(world, TH_SPACE_LIVE, addr, blocks);
}

START_TEST(random_operations_match_a_byte_per_block_through_crashes)
{
	static const uint64_t sizes[] = { 600, 5000, 3 * 32768 + 777 };
	struct world world;

	world_init(&world, sizes[_i], th_test_seed("random_operations_match_a_byte_per_block_through_crashes"));
	for (unsigned round = 0; round < th_test_rounds(_i == 2 ? 60 : 250); round++) {
		unsigned steps = th_random_below(&world.random, 40);
		bool done;

		for (unsigned i = 0; i < steps; i++)
			live_step(&world);
		done = checkpoint(&world);
		if (done && th_random_percent(&world.random, 90))
			checkpointed(&world);
		else {
			crash(&world);
			replay(&world);
		}
		pin_or_unpin(&world);
		check_stat(&world);
	}
	world_release(&world);
}
END_TEST

/* --- single properties --- */

/* Only nodes get pledged blocks. */
START_TEST(pledged_blocks_are_kept_for_nodes)
{
	struct th_space_stat before, after;
	struct th_space *space;
	uint64_t addr;
	uint32_t got;

	th_ok(th_space_new(65536, &space));
	th_space_stat(space, &before);
	th_space_pledge(space, 1000);
	th_space_stat(space, &after);
	ck_assert_uint_eq(after.available, before.available - 1000);
	ck_assert_int_eq(th_space_reserve(space, (uint32_t)before.available), -ENOSPC);
	ck_assert_int_eq(th_space_reserve_emergency(space, (uint32_t)(before.free - before.emergency / 2)), -ENOSPC);
	ck_assert_int_eq(th_space_try_pledge(space, before.free, 1), -ENOSPC); /* and changes nothing */
	th_space_stat(space, &after);
	ck_assert_uint_eq(after.available, before.available - 1000);
	th_ok(th_space_try_pledge(space, before.free - 1, 1));
	th_space_stat(space, &after);
	ck_assert_uint_eq(after.available, 0);
	th_ok(th_space_take(space, TH_SPACE_META, 16, 16, NULL, &addr, &got));
	th_space_pledge(space, 0);
	th_ok(th_space_reserve(space, 1000));
	th_space_free(space);
}
END_TEST

START_TEST(emergency_reserve_is_a_part_of_the_disk)
{
	static const uint64_t sizes[][3] = {
		{ 4096, 512, 512 }, /* 16 MiB; with one and with two copies of metadata */
		{ 1000, 125, 125 },
		{ 16384, 512, 1024 },
		{ UINT64_C(1) << 28, 262144, 262144 },
	};
	struct th_space_stat stat;
	struct th_space *space;

	for (size_t i = 0; i < 4; i++) {
		th_ok(th_space_new(sizes[i][0], &space));
		th_space_stat(space, &stat);
		ck_assert_uint_eq(stat.emergency, sizes[i][1]);
		th_space_set_copies(space, 2);
		th_space_stat(space, &stat);
		ck_assert_uint_eq(stat.emergency, sizes[i][2]);
		th_space_free(space);
	}
	ck_assert_int_eq(th_space_new(0, &space), -EINVAL);
	th_space_free(NULL);
}
END_TEST

/* Although other runs are taken elsewhere in between. */
START_TEST(runs_with_a_hint_are_consecutive)
{
	uint64_t hint = 50000, elsewhere, addr, next = 50000;
	struct th_space *space = th_test_space(100000);
	uint32_t blocks;

	th_ok(th_space_take(space, TH_SPACE_USER, 90000, 90000, NULL, &addr, &blocks));
	th_space_give(space, addr, blocks);
	for (int i = 0; i < 100; i++) {
		th_ok(th_space_take(space, TH_SPACE_USER, 16, 16, &hint, &addr, &blocks));
		th_check(blocks == 16 && addr == next);
		next = addr + 16;
		th_check(hint == next);
		elsewhere = 0;
		th_ok(th_space_take(space, TH_SPACE_USER, 16, 1, &elsewhere, &addr, &blocks));
		th_check(elsewhere == addr + blocks);
	}
	ck_assert_int_eq(th_space_take(space, TH_SPACE_USER, 0, 0, NULL, &addr, &blocks), -EINVAL);
	ck_assert_int_eq(th_space_take(space, TH_SPACE_USER, 3, 4, NULL, &addr, &blocks), -EINVAL);
	th_space_free(space);
}
END_TEST

/* While there are many used ones.  An image in a sparse file stays small. */
START_TEST(used_blocks_are_taken_again_before_fresh_ones)
{
	struct th_space *space = th_test_space(1 << 20);
	uint64_t addr, highest = 0;
	uint32_t blocks;

	for (int i = 0; i < 20000; i++) {
		th_ok(th_space_take(space, TH_SPACE_META, 16, 1, NULL, &addr, &blocks));
		if (highest < addr + blocks)
			highest = addr + blocks;
		th_space_give(space, addr, blocks);
	}
	ck_assert_uint_le(highest, 200);
	th_space_free(space);
}
END_TEST

START_TEST(claims_outside_the_map_or_in_use_are_refused)
{
	struct th_space *space = th_test_space(1000);

	ck_assert_int_eq(th_space_claim(space, 0, 1), -EUCLEAN);
	ck_assert_int_eq(th_space_claim(space, 7, 2), -EUCLEAN);
	ck_assert_int_eq(th_space_claim(space, 999, 2), -EUCLEAN);
	ck_assert_int_eq(th_space_claim(space, 1000, 1), -EUCLEAN);
	ck_assert_int_eq(th_space_claim(space, UINT64_MAX, 2), -EUCLEAN);
	ck_assert_int_eq(th_space_claim(space, 2, UINT64_MAX), -EUCLEAN);
	ck_assert_int_eq(th_space_claim(space, 100, 0), -EUCLEAN);
	ck_assert(!th_space_in_use(space, 8, 1));
	ck_assert(!th_space_in_use(space, 7, 2));
	ck_assert(!th_space_in_use(space, 1000, 1));
	ck_assert(!th_space_in_use(space, 0, 0));
	ck_assert(!th_space_in_use(space, UINT64_MAX, UINT64_MAX));
	ck_assert(th_space_in_use(space, 0, 8));
	th_ok(th_space_claim(space, 8, 5));
	ck_assert(th_space_in_use(space, 7, 6));
	th_space_free(space);
}
END_TEST

/* --- many threads --- */

#define TAKERS 4

struct shared {
	struct th_space *space;
	_Atomic uint8_t *owned;
	unsigned rounds;
	_Atomic bool stop;
	_Atomic unsigned running;
};

struct taker {
	struct shared *shared;
	struct th_random random;
	pthread_t thread;
	uint64_t addrs[64];
	uint32_t blocks[64];
};

static void own(struct shared *shared, uint64_t addr, uint32_t blocks, uint8_t from, uint8_t to)
{
	for (uint32_t i = 0; i < blocks; i++)
		th_check(atomic_exchange(&shared->owned[addr + i], to) == from);
}

static void taker_step(struct taker *taker)
{
	struct shared *shared = taker->shared;
	unsigned i = th_random_below(&taker->random, 64);

	if (taker->blocks[i]) {
		own(shared, taker->addrs[i], taker->blocks[i], 1, 0);
		th_space_note_free(shared->space, TH_SPACE_LIVE, taker->addrs[i], taker->blocks[i]);
		taker->blocks[i] = 0;
		return;
	}
	if (th_space_take(shared->space, TH_SPACE_USER, 1 + th_random_below(&taker->random, 16), 1, NULL,
			  &taker->addrs[i], &taker->blocks[i])) {
		taker->blocks[i] = 0;
		return;
	}
	own(shared, taker->addrs[i], taker->blocks[i], 0, 1);
	if (th_random_percent(&taker->random, 10)) {
		own(shared, taker->addrs[i], taker->blocks[i], 1, 0);
		th_space_give(shared->space, taker->addrs[i], taker->blocks[i]);
		taker->blocks[i] = 0;
		return;
	}
	th_space_note_alloc(shared->space, TH_SPACE_LIVE, taker->addrs[i], taker->blocks[i]);
}

static void *taker_run(void *arg)
{
	struct taker *taker = arg;

	for (unsigned i = 0; i < taker->shared->rounds; i++)
		taker_step(taker);
	taker->shared->running--;
	return NULL;
}

START_TEST(blocks_taken_by_many_threads_are_distinct)
{
	struct shared shared = { .space = th_test_space(20000), .rounds = th_test_rounds(20000), .running = TAKERS };
	struct taker takers[TAKERS] = { 0 };
	uint8_t *used = calloc(20000, 1), *pages = calloc(20000, 1);
	uint64_t seed = th_test_seed("blocks_taken_by_many_threads_are_distinct");
	struct th_blocklist log = { 0 };
	struct th_disk *disk;

	th_ok(th_disk_memory_new(20000, &disk));
	shared.owned = calloc(20000, sizeof(*shared.owned));
	for (unsigned i = 0; i < TAKERS; i++) {
		takers[i].shared = &shared;
		takers[i].random.state = seed + i;
		th_ok(pthread_create(&takers[i].thread, NULL, taker_run, &takers[i]));
	}
	for (bool last = false; !last;) {
		last = shared.running == 0;
		th_space_freeze(shared.space);
		th_ok(th_space_checkpoint(shared.space, disk, &log));
		th_space_checkpointed(shared.space);
	}
	for (unsigned i = 0; i < TAKERS; i++)
		pthread_join(takers[i].thread, NULL);
	th_ok(th_space_each_used(shared.space, mark, used));
	th_ok(th_blocklist_each(&log, disk, NULL, mark_page, pages));
	for (unsigned i = 0; i < 20000; i++)
		th_check(used[i] == (shared.owned[i] | pages[i]));
	free(used);
	free(pages);
	free((void *)shared.owned);
	th_space_free(shared.space);
	th_disk_close(disk);
}
END_TEST

START_TEST(grown_space_hands_out_the_new_blocks_but_not_its_tail)
{
	struct th_space *space = th_test_space(1000);
	struct th_space_stat before, after;
	uint64_t addr, hint = 1000;
	uint32_t blocks;

	th_space_stat(space, &before);
	ck_assert_int_eq(th_space_grow(space, 1007, 8), -EINVAL);
	ck_assert_int_eq(th_space_grow(space, 900, 8), -EINVAL);
	th_ok(th_space_grow(space, 3000, 8));
	th_space_stat(space, &after);
	ck_assert_uint_eq(after.blocks, 3000);
	ck_assert_uint_eq(after.free, before.free + 2000 - 8);
	ck_assert(th_space_in_use(space, 2992, 8));
	ck_assert(th_space_in_use(space, 992, 8)); /* the old tail, until the caller gives it */
	th_ok(th_space_take(space, TH_SPACE_META, 1500, 1500, &hint, &addr, &blocks));
	ck_assert_uint_ge(addr, 1000);
	ck_assert_uint_le(addr + blocks, 2992);
	th_space_free(space);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space");
	TCase *tcase = tcase_create("space");

	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, random_operations_match_a_byte_per_block_through_crashes, 0, 3);
	tcase_add_test(tcase, pledged_blocks_are_kept_for_nodes);
	tcase_add_test(tcase, emergency_reserve_is_a_part_of_the_disk);
	tcase_add_test(tcase, runs_with_a_hint_are_consecutive);
	tcase_add_test(tcase, used_blocks_are_taken_again_before_fresh_ones);
	tcase_add_test(tcase, claims_outside_the_map_or_in_use_are_refused);
	tcase_add_test(tcase, blocks_taken_by_many_threads_are_distinct);
	tcase_add_test(tcase, grown_space_hands_out_the_new_blocks_but_not_its_tail);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
