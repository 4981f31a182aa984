/* SPDX-License-Identifier: Apache-2.0 */
/* The table of block references, against an array of counters. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/block_refs.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

#define FIRST 2000 /* blocks of the test */
#define BLOCKS 300

/* References of each block; a block with 0 has been freed. */
static unsigned expected[BLOCKS], freed[BLOCKS];

static int free_part(struct th_store *store, uint64_t addr, uint32_t blocks)
{
	(void)store;
	for (uint32_t i = 0; i < blocks; i++)
		freed[addr - FIRST + i]++;
	return 0;
}

static int change_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct th_random *random = arg;
	int err = 0;

	(void)state;
	for (unsigned i = 0; i < 20 && !err; i++) {
		uint32_t from = th_random_below(random, BLOCKS), blocks = th_random_between(random, 1, 40);
		bool add = th_random_percent(random, 55), drop = !add;

		if (blocks > BLOCKS - from)
			blocks = BLOCKS - from;
		for (uint32_t b = from; b < from + blocks; b++)
			if (expected[b] == 0) /* freed: neither can happen any more */
				blocks = b - from;
		if (blocks == 0)
			continue;
		err = add ? th_block_refs_add(store, FIRST + from, blocks)
			  : th_block_refs_drop(store, FIRST + from, blocks, free_part);
		for (uint32_t b = from; b < from + blocks; b++)
			expected[b] += add ? 1 : -1u;
		for (uint32_t b = from; b < from + blocks && drop; b++)
			ck_assert_uint_eq(freed[b], expected[b] == 0);
	}
	return err;
}

static unsigned table[BLOCKS];
static uint64_t table_end;

static int read_run(uint64_t addr, uint32_t blocks, uint32_t count, void *arg)
{
	++*(unsigned *)arg;
	ck_assert_uint_ge(addr, table_end); /* disjoint, and in order */
	table_end = addr + blocks;
	for (uint32_t i = 0; i < blocks; i++)
		table[addr - FIRST + i] = count;
	return 0;
}

static void verify_table(struct th_store *store)
{
	uint64_t shared = 0;
	unsigned runs = 0;

	memset(table, 0, sizeof(table));
	table_end = 0;
	th_ok(th_block_refs_each(store, read_run, &runs));
	for (unsigned i = 0; i < BLOCKS; i++) {
		ck_assert_uint_eq(table[i], expected[i] > 1 ? expected[i] - 1 : 0);
		shared += table[i] > 0;
	}
	ck_assert_uint_eq(store->shared_blocks, shared);
}

START_TEST(references_are_counted_block_by_block)
{
	struct th_random random = { .state = th_test_seed("block_refs") };
	struct th_fixture fixture;

	for (unsigned i = 0; i < BLOCKS; i++)
		expected[i] = 1;
	th_fixture_init(&fixture, 64, &options);
	for (unsigned round = 0; round < th_test_rounds(60); round++) {
		th_ok(th_checkpoint(fixture.store, change_step, &random, 0));
		verify_table(fixture.store);
		if (round % 10 == 9) {
			th_fixture_reopen(&fixture);
			verify_table(fixture.store);
		}
	}
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		references_are_counted_block_by_block,
	};

	return th_tests_run("block_refs", tests, sizeof(tests) / sizeof(tests[0]));
}
