/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: each of the rules A1 to A4 (tree/check/check.h), broken in turn, and its report of it. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/check/check_lines.h"
#include "tests/tree/extents.h"
#include "tree/catalogue/dead_list.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

static struct th_check_result check(struct th_store *store, struct th_check_lines *report)
{
	struct th_check_options check_options = {
		.read_data = true, .runs = th_extents_runs, .problem = th_check_lines_take, .arg = report
	};
	struct th_check_result result;

	report->count = 0;
	th_ok(th_store_check(store, &check_options, &result));
	ck_assert_uint_eq(result.problems, report->count);
	return result;
}

/* Makes a store with nodes, data, a snapshot and a dead list. */
static void make_store(struct th_fixture *fixture)
{
	struct th_random random = { .state = 1 };
	struct th_txn *txn;
	uint64_t hint = 0;

	th_fixture_init(fixture, 32, &options);
	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < 2000; i++) {
		char key[16], value[100] = "value";

		snprintf(key, sizeof(key), "key %u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	for (unsigned i = 0; i < 3; i++) {
		struct th_extents file = { .count = 1 };
		uint8_t value[sizeof(file)];
		char key[16];

		snprintf(key, sizeof(key), "file %u", i);
		th_ok(th_extent_write(txn, &random, 4, false, &hint, &file.extents[0]));
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, th_extents_pack(&file, value) }));
	}
	th_ok(th_txn_commit(txn));
	th_ok(th_snapshot_create(fixture->store, "s", NULL));
	th_extents_drop(fixture, "file 0");
	th_ok(th_store_checkpoint(fixture->store));
}

START_TEST(a_sound_store_has_no_problems)
{
	static struct th_check_lines report;
	struct th_check_result result;
	struct th_fixture fixture;

	make_store(&fixture);
	result = check(fixture.store, &report);
	ck_assert_uint_eq(result.problems, 0);
	ck_assert_uint_eq(result.leaked_blocks, 0);
	ck_assert_uint_eq(result.entries, 2002);
	ck_assert_uint_eq(result.runs, 2);
	ck_assert_uint_eq(result.snapshots, 1);
	ck_assert_uint_eq(result.branches, 1);
	ck_assert_uint_gt(result.nodes, 10);
	th_fixture_release(&fixture);
}
END_TEST

static int leak_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	uint64_t hint = 0, addr;
	uint32_t blocks;
	int err = th_space_take(store->space, TH_SPACE_META, 5, 5, &hint, &addr, &blocks);

	(void)state;
	(void)arg;
	if (!err)
		th_space_note_alloc(store->space, TH_SPACE_CHECKPOINT, addr, blocks);
	return err;
}

/* A1 */
START_TEST(blocks_without_an_owner_are_reported)
{
	static struct th_check_lines report;
	struct th_check_result result;
	struct th_fixture fixture;

	make_store(&fixture);
	th_ok(th_checkpoint(fixture.store, leak_step, NULL, 0));
	result = check(fixture.store, &report);
	ck_assert_uint_eq(result.problems, 1);
	ck_assert_uint_eq(result.leaked_blocks, 5);
	th_check_lines_expect(&report, "5 blocks from");
	th_check_lines_expect(&report, "used in the space map, but not referred to");
	th_fixture_release(&fixture);
}
END_TEST

static int free_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	(void)arg;
	th_space_note_free(store->space, TH_SPACE_CHECKPOINT, state->live_root.addr, state->live_root.blocks);
	return 0;
}

/* A1 */
START_TEST(free_blocks_with_an_owner_are_reported)
{
	static struct th_check_lines report;
	struct th_fixture fixture;

	make_store(&fixture);
	th_ok(th_checkpoint(fixture.store, free_step, NULL, 0));
	check(fixture.store, &report);
	th_check_lines_expect(&report, "free in the space map, but in use");
	th_fixture_release(&fixture);
}
END_TEST

/* A2 */
START_TEST(a_node_among_data_is_reported)
{
	static struct th_check_lines report;
	struct th_extents file = { .count = 1 };
	struct th_fixture fixture;
	uint8_t value[sizeof(file)];
	struct th_ptr_disk disk;
	struct th_ptr root;
	struct th_txn *txn;

	make_store(&fixture);
	th_fixture_put(&fixture, "key 5", "changed");
	th_ok(th_snapshot_create(fixture.store, "t", NULL)); /* keeps the root */
	memcpy(&disk, fixture.store->super.live_root, sizeof(disk));
	th_ok(th_ptr_unpack(&disk, &root));
	file.extents[0].run = (struct th_run){ root.addr, root.birth, 1 };
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_put(txn, th_slice_of("file x"), (struct th_slice){ value, th_extents_pack(&file, value) }));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	check(fixture.store, &report);
	th_check_lines_expect(&report, "expected one owner");
	th_fixture_release(&fixture);
}
END_TEST

static int dead_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	const struct th_ptr *root = &state->live_root;
	struct th_blockrun run = { root->addr, 1, root->blocks, TH_DEAD_NODE };

	(void)arg;
	return th_blocklist_append(&store->super.dead, store->disk, store->space, &run, 1, NULL);
}

/* A3 */
START_TEST(a_live_node_on_a_dead_list_is_reported)
{
	static struct th_check_lines report;
	struct th_fixture fixture;

	make_store(&fixture);
	th_fixture_put(&fixture, "key 5", "changed"); /* so that the root is newer than the snapshot */
	th_ok(th_checkpoint(fixture.store, dead_step, NULL, 0));
	check(fixture.store, &report);
	th_check_lines_expect(&report, "on a dead list, but a head owns them");
	th_fixture_release(&fixture);
}
END_TEST

/* A4 */
START_TEST(references_beyond_the_count_are_reported)
{
	static struct th_check_lines report;
	struct th_fixture fixture;
	struct th_value value;
	struct th_txn *txn;

	make_store(&fixture);
	th_ok(th_get(th_view_live(fixture.store), th_slice_of("file 1"), &value));
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_put(txn, th_slice_of("file 1, copied without th_chunk_share()"),
			 (struct th_slice){ value.data, value.size }));
	th_ok(th_txn_commit(txn));
	th_value_release(&value);
	th_ok(th_store_checkpoint(fixture.store));
	check(fixture.store, &report);
	th_check_lines_expect(&report, "4 blocks from");
	th_check_lines_expect(&report, "the references do not match the table of block references");
	th_fixture_release(&fixture);
}
END_TEST

static void flip_byte(struct th_disk *disk, uint64_t addr, size_t at)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	th_ok(th_disk_read(disk, addr, 1, block));
	block[at] ^= 0xff;
	th_ok(th_disk_write(disk, addr, 1, block));
	free(block);
}

/* Its blocks are not reported as leaked: the owners below it are not known. */
START_TEST(a_damaged_node_is_reported_once)
{
	static struct th_check_lines report;
	struct th_check_result result;
	struct th_fixture fixture;
	struct th_ptr_disk disk;
	struct th_ptr root;

	make_store(&fixture);
	memcpy(&disk, fixture.store->super.live_root, sizeof(disk));
	th_ok(th_ptr_unpack(&disk, &root));
	flip_byte(fixture.disk, root.addr, 100);
	result = check(fixture.store, &report);
	th_check_lines_expect(&report, "wrong checksum");
	ck_assert_uint_eq(result.problems, 1);
	ck_assert_uint_eq(result.leaked_blocks, 0);
	flip_byte(fixture.disk, root.addr, 100);
	ck_assert_uint_eq(check(fixture.store, &report).problems, 0);
	th_fixture_release(&fixture);
}
END_TEST

static int find_problem(void *arg, struct th_view *view, const struct th_cursor_entry *entry)
{
	(void)view;
	return ++*(unsigned *)arg % 1000 == 0 && entry->key.size > 0;
}

START_TEST(problems_of_entries_are_counted)
{
	unsigned entries = 0;
	struct th_check_options counting = { .only_entries = true, .entry = find_problem, .arg = &entries };
	struct th_check_result result;
	struct th_fixture fixture;

	make_store(&fixture);
	th_ok(th_store_check(fixture.store, &counting, &result));
	ck_assert_uint_eq(entries, 2002);
	ck_assert_uint_eq(result.entries, 2002);
	ck_assert_uint_eq(result.problems, 2);
	ck_assert_uint_eq(result.nodes, 0); /* nothing else was checked */
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_sound_store_has_no_problems,          blocks_without_an_owner_are_reported,
		free_blocks_with_an_owner_are_reported, a_node_among_data_is_reported,
		a_live_node_on_a_dead_list_is_reported, references_beyond_the_count_are_reported,
		a_damaged_node_is_reported_once,        problems_of_entries_are_counted,
	};

	return th_tests_run("check", tests, sizeof(tests) / sizeof(tests[0]));
}
