/* SPDX-License-Identifier: Apache-2.0 */
/* Two copies of each node: the store reads whatever copy is right, frees both, and reports and heals the one that is
 * wrong, where it reads it and in a scrub. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/node/node_pack.h"
#include "tree/scrub/scrub.h"
#include "tree/state/state.h"

#define KEYS 20000
#define MIB 32

static unsigned problems; /* lines that the checker reported */

static void count_problem(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	problems++;
}

static void ignore_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .report = ignore_line };

static void init(struct th_fixture *fixture)
{
	struct th_disk *disk, *lent;

	th_ok(th_disk_memory_new(MIB << (20 - TH_BLOCK_SHIFT), &disk));
	th_fixture_adopt(fixture, disk, &options);
	lent = th_disk_lend(fixture->disk);
	th_ok(th_store_format(lent, &(struct th_format_options){ .metadata_copies = 2 }));
	th_disk_close(lent);
	th_ok(th_disk_fault_reset(fixture->disk));
	th_fixture_open(fixture);
}

/* Puts keys with values that fill some hundred nodes, with a snapshot in between, so that messages wait and old nodes
 * stay. */
static void fill(struct th_fixture *fixture, struct th_model *model)
{
	struct th_random random = { .state = 4711 };
	char key[32], value[100];

	for (unsigned round = 0; round < 3; round++) {
		struct th_txn *txn;

		th_ok(th_txn_begin(fixture->store, &txn));
		for (unsigned i = 0; i < KEYS; i++) {
			snprintf(key, sizeof(key), "key/%06u", th_random_below(&random, KEYS));
			snprintf(value, sizeof(value), "%080u", th_random_below(&random, 1000000));
			th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(value)));
			th_model_put(model, th_slice_of(key), th_slice_of(value));
		}
		th_ok(th_txn_commit(txn));
		if (round == 1)
			th_ok(th_snapshot_create(fixture->store, "s", NULL));
	}
	th_ok(th_store_checkpoint(fixture->store));
}

static bool is_node(struct th_disk *disk, uint64_t addr, uint8_t *block)
{
	struct th_node_disk node;

	th_ok(th_disk_read(disk, addr, 1, block));
	memcpy(&node, block, sizeof(node));
	return th_get_le32(node.magic) == TH_NODE_MAGIC;
}

static uint64_t check(struct th_fixture *fixture)
{
	struct th_check_options check = { .problem = count_problem };
	struct th_check_result result;

	problems = 0;
	th_ok(th_store_check(fixture->store, &check, &result));
	return result.problems;
}

/* Opens a copy of the image in which the first blocks of some nodes are wrong: of those in [from, to). */
static unsigned open_damaged(struct th_fixture *fixture, uint64_t from, uint64_t to, struct th_fixture *ret)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_disk *image;
	unsigned damaged = 0;

	ck_assert_ptr_nonnull(block);
	th_ok(th_disk_fault_crash_image(fixture->disk, th_disk_fault_events(fixture->disk), 1, &image));
	for (uint64_t addr = from; addr < to; addr++) {
		if (!is_node(image, addr, block))
			continue;
		block[TH_BLOCK_SIZE / 2] ^= 1;
		block[40] ^= 1;
		th_ok(th_disk_write(image, addr, 1, block));
		damaged++;
	}
	free(block);
	th_fixture_adopt(ret, image, &fixture->options);
	return damaged;
}

START_TEST(any_one_copy_is_enough)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, damaged;
	uint64_t half = (MIB << (20 - TH_BLOCK_SHIFT)) / 2;
	unsigned first, second;

	init(&fixture);
	fill(&fixture, model);
	th_fixture_close(&fixture);
	first = open_damaged(&fixture, TH_SUPER_FIRST_FREE + 256, half, &damaged);
	th_fixture_open(&damaged);
	th_verify_scan(th_view_live(damaged.store), model, NULL);
	ck_assert_uint_gt(check(&damaged), 0);
	th_fixture_release(&damaged);

	second = open_damaged(&fixture, half, 2 * half - TH_SUPER_TAIL_BLOCKS, &damaged);
	th_fixture_open(&damaged);
	th_verify_scan(th_view_live(damaged.store), model, NULL);
	ck_assert_uint_gt(check(&damaged), 0);
	th_fixture_release(&damaged);

	/* Each half has a copy of every node. */
	ck_assert_uint_gt(first, 50);
	ck_assert_uint_gt(second, 50);
	open_damaged(&fixture, TH_SUPER_FIRST_FREE + 256, 2 * half - TH_SUPER_TAIL_BLOCKS, &damaged);
	th_expect(th_store_open(damaged.disk, &options, &damaged.store), -EBADMSG);
	th_disk_close(damaged.disk);
	fixture.store = NULL;
	th_disk_close(fixture.disk);
	th_model_unref(model);
}
END_TEST

START_TEST(each_damaged_copy_is_reported_once_and_harms_nothing)
{
	struct th_model *model = th_model_new();
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_fixture fixture, damaged;
	unsigned nodes = 0;

	ck_assert_ptr_nonnull(block);
	init(&fixture);
	fill(&fixture, model);
	ck_assert_uint_eq(check(&fixture), 0);
	th_fixture_close(&fixture);
	for (uint64_t addr = 0; addr < fixture.disk->blocks; addr++) {
		if (!is_node(fixture.disk, addr, block) || nodes++ % 7)
			continue;
		open_damaged(&fixture, addr, addr + 1, &damaged);
		th_fixture_open(&damaged);
		th_verify_scan(th_view_live(damaged.store), model, NULL);
		ck_assert_uint_le(check(&damaged), 1); /* none if the node is of an older generation, and free */
		th_fixture_put(&damaged, "more", "data");
		th_ok(th_store_checkpoint(damaged.store));
		th_fixture_release(&damaged);
	}
	ck_assert_uint_gt(nodes, 100);
	free(block);
	th_disk_close(fixture.disk);
	th_model_unref(model);
}
END_TEST

static unsigned healed; /* lines about that */

static void count_healed(void *arg, const char *line)
{
	(void)arg;
	healed += strstr(line, "healed from its copy") != NULL;
}

/* The first copies of all nodes are damaged.  Reading heals them; then the second copies can be lost. */
START_TEST(reading_heals_the_first_copies)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, damaged, again;
	uint64_t half = (MIB << (20 - TH_BLOCK_SHIFT)) / 2;
	unsigned rounds = 0;

	init(&fixture);
	fill(&fixture, model);
	th_fixture_close(&fixture);
	open_damaged(&fixture, TH_SUPER_FIRST_FREE + 256, half, &damaged);
	damaged.options.report = count_healed;
	do {
		healed = 0;
		th_fixture_open(&damaged);
		th_verify_scan(th_view_live(damaged.store), model, NULL);
		th_fixture_close(&damaged);
		ck_assert_uint_lt(rounds++, 20);
	} while (healed);
	ck_assert_uint_gt(rounds, 1);
	open_damaged(&damaged, half, 2 * half - TH_SUPER_TAIL_BLOCKS, &again);
	th_fixture_open(&again);
	th_verify_scan(th_view_live(again.store), model, NULL);
	th_fixture_release(&again);
	th_disk_close(damaged.disk);
	th_disk_close(fixture.disk);
	th_model_unref(model);
}
END_TEST

/* Only a store that is open for writing heals, and it reports a node once. */
START_TEST(a_reader_changes_nothing)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, damaged;
	uint64_t half = (MIB << (20 - TH_BLOCK_SHIFT)) / 2, writes;

	init(&fixture);
	fill(&fixture, model);
	th_fixture_close(&fixture);
	open_damaged(&fixture, TH_SUPER_FIRST_FREE + 256, half, &damaged);
	damaged.options.report = count_healed;
	damaged.options.read_only = true;
	healed = 0;
	writes = damaged.disk->writes;
	th_fixture_open(&damaged);
	th_verify_scan(th_view_live(damaged.store), model, NULL);
	th_fixture_close(&damaged);
	ck_assert_uint_eq(damaged.disk->writes, writes);
	ck_assert_uint_eq(healed, 0);
	th_disk_close(damaged.disk);
	th_disk_close(fixture.disk);
	th_model_unref(model);
}
END_TEST

static int no_value(void *arg, const char *tree, struct th_slice key, struct th_slice value)
{
	(void)arg;
	(void)tree;
	(void)key;
	(void)value;
	return 0;
}

/* Scrubs in steps, and opens the store again after some of them.  Returns what it found. */
static struct th_super_scrub scrub(struct th_fixture *fixture, uint64_t step, unsigned reopen_after)
{
	struct th_super_scrub state;
	struct th_scrub *scrub;
	unsigned steps = 0;
	int ret = 0;

	th_scrub_begin(fixture->store);
	th_ok(th_scrub_new(fixture->store, no_value, NULL, &scrub));
	while (!ret) {
		ret = th_scrub_step(scrub, step);
		ck_assert_int_ge(ret, 0);
		if (ret || ++steps != reopen_after)
			continue;
		th_scrub_free(scrub);
		th_fixture_reopen(fixture);
		th_ok(th_scrub_new(fixture->store, no_value, NULL, &scrub));
	}
	ck_assert(!reopen_after || steps > reopen_after);
	th_scrub_free(scrub);
	th_scrub_state(fixture->store, &state);
	ck_assert_uint_eq(state.generation, 0);
	ck_assert_uint_gt(state.ended_ns, 0);
	return state;
}

/* Either half of the disk is damaged in turn: a scrub heals all nodes and lists, those of snapshots too. */
START_TEST(scrub_heals_every_copy)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, damaged, again;
	uint64_t half = (MIB << (20 - TH_BLOCK_SHIFT)) / 2;
	struct th_super_scrub found;

	init(&fixture);
	fill(&fixture, model);
	th_fixture_close(&fixture);
	open_damaged(&fixture, TH_SUPER_FIRST_FREE + 256, half, &damaged);
	th_fixture_open(&damaged);
	found = scrub(&damaged, 100000, 10);
	ck_assert_uint_gt(found.healed, 50);
	ck_assert_uint_eq(found.damaged, 0);
	ck_assert_uint_eq(check(&damaged), 0);
	th_fixture_close(&damaged);
	open_damaged(&damaged, half, 2 * half - TH_SUPER_TAIL_BLOCKS, &again);
	th_fixture_open(&again);
	th_verify_scan(th_view_live(again.store), model, NULL);
	found = scrub(&again, 1 << 20, 0);
	ck_assert_uint_gt(found.healed, 50);
	ck_assert_uint_eq(found.damaged, 0);
	ck_assert_uint_eq(check(&again), 0);
	found = scrub(&again, UINT64_MAX, 0);
	ck_assert_uint_eq(found.healed + found.damaged, 0);
	th_fixture_release(&again);
	th_disk_close(damaged.disk);
	th_disk_close(fixture.disk);
	th_model_unref(model);
}
END_TEST

/* A scrub reads each copy of each node once, however many trees have it, and goes on among changes. */
START_TEST(scrub_reads_each_block_once)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_store_info info;
	struct th_super_scrub found;
	struct th_scrub *scrubbing;
	char name[16];

	init(&fixture);
	fill(&fixture, model);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "more%u", i);
		th_ok(th_snapshot_create(fixture.store, name, NULL));
	}
	th_store_info(fixture.store, &info);
	found = scrub(&fixture, 1 << 20, 0);
	ck_assert_uint_ge(found.bytes, info.blocks_metadata * TH_BLOCK_SIZE / 2);
	ck_assert_uint_le(found.bytes, (info.blocks_metadata + info.blocks_snapshots) * TH_BLOCK_SIZE);
	th_scrub_begin(fixture.store);
	th_ok(th_scrub_new(fixture.store, no_value, NULL, &scrubbing));
	for (unsigned i = 0; th_scrub_step(scrubbing, 100000) == 0; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		th_fixture_put(&fixture, name, name);
		th_ok(th_store_checkpoint(fixture.store));
		ck_assert_uint_lt(i, 10000);
	}
	th_scrub_free(scrubbing);
	th_scrub_state(fixture.store, &found);
	ck_assert_uint_eq(found.healed + found.damaged, 0);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(both_copies_are_freed)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_txn *txn;
	uint64_t fresh;

	init(&fixture);
	fresh = th_fixture_used(&fixture);
	for (unsigned round = 0; round < 4; round++) {
		fixture.store->scatter_one_in = round;
		fill(&fixture, model);
		th_ok(th_snapshot_delete(fixture.store, "s"));
		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_txn_delete_range(txn, (struct th_range){ TH_SLICE_EMPTY, th_slice_of("l") }));
		th_ok(th_txn_commit(txn));
		th_ok(th_store_checkpoint(fixture.store));
		ck_assert_uint_le(th_fixture_used(&fixture), fresh + 16);
		ck_assert_uint_eq(check(&fixture), 0);
	}
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(more_than_two_copies_are_refused)
{
	struct th_disk *disk;

	th_ok(th_disk_memory_new(MIB << (20 - TH_BLOCK_SHIFT), &disk));
	th_expect(th_store_format(disk, &(struct th_format_options){ .metadata_copies = 3 }), -EINVAL);
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		any_one_copy_is_enough,         each_damaged_copy_is_reported_once_and_harms_nothing,
		both_copies_are_freed,          more_than_two_copies_are_refused,
		reading_heals_the_first_copies, a_reader_changes_nothing,
		scrub_heals_every_copy,         scrub_reads_each_block_once
	};

	return th_tests_run("copies", tests, sizeof(tests) / sizeof(tests[0]));
}
