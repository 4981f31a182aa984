/* SPDX-License-Identifier: Apache-2.0 */
/* Checking values: the blocks that visible values name are claimed, hidden ones are not, and broken ones are
 * reported. */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tests/tree/check/check_lines.h"
#include "tests/tree/nodes.h"
#include "tree/check/check.h"
#include "tree/node/large_value.h"
#include "tree/node/message_apply.h"

#define LARGE_BYTES (TH_INLINE_MAX + 100)

static struct th_check_lines lines;
static struct th_disk *disk;
static struct th_store store; /* only its disk is used */
static struct th_check check;
static struct th_check_tree tree;
static struct th_node *root, *leaf;
static struct th_check_walk walk;

/* The tests' own format of a value that names a run: "addr blocks". */
static int runs(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg), void *arg)
{
	unsigned long addr;
	unsigned blocks;
	char text[64] = "";

	(void)key;
	memcpy(text, value.data, value.size < sizeof(text) ? value.size : sizeof(text) - 1);
	if (text[0] == '-')
		return 0; /* it names none */
	if (sscanf(text, "%lu %u", &addr, &blocks) != 2)
		return -EUCLEAN;
	return each(&(struct th_run){ addr, 5, blocks }, arg);
}

static void begin(enum th_check_kind kind)
{
	lines.count = 0;
	th_ok(th_disk_memory_new(2000, &disk));
	store.disk = disk;
	check = (struct th_check){
		.store = &store,
		.options = { .runs = runs, .problem = th_check_lines_take, .arg = &lines },
		.super = { .blocks = disk->blocks },
	};
	tree = (struct th_check_tree){ .kind = kind, .name = "the tree", .generation = 10 };
	root = th_node_new(1, TH_SLICE_EMPTY, 1);
	leaf = th_node_new(0, TH_SLICE_EMPTY, 1);
	walk = (struct th_check_walk){
		.check = &check, .tree = &tree, .first = true, .depth = 2, .path = { root, leaf }
	};
}

static void end(void)
{
	th_node_unref(leaf);
	th_node_unref(root);
	free(check.claims.event);
	free(check.claims.snapshot);
	free(check.values.slot);
	free(check.holes);
	th_disk_close(disk);
}

static void record(const struct th_entry *entry)
{
	bool exact;
	struct th_slice key = { th_entry_key(entry), th_entry_key_size(entry) };
	unsigned i = th_slab_find(leaf, &leaf->base, key, &exact);

	ck_assert(!exact);
	th_ok(th_slab_insert(leaf, &leaf->base, i, entry));
}

/* Writes a large value of one run, which begins with `text`, and returns its record. */
static const struct th_entry *large(const char *key, uint64_t addr, const char *text)
{
	uint8_t descriptor[TH_LARGE_VALUE_DISK_MAX], *bytes = th_disk_buffer(2 * TH_BLOCK_SIZE);
	struct th_large_value value = { .size = LARGE_BYTES, .runs = 1, .run = { { addr, 5, 1 } } };
	struct th_entry *entry;

	memset(bytes, 0, 2 * TH_BLOCK_SIZE);
	strcpy((char *)bytes, text);
	th_ok(th_disk_write(disk, addr, 1, bytes));
	value.checksum = th_checksum(bytes, LARGE_BYTES);
	free(bytes);
	entry = th_message_put_large(th_slice_of(key), TH_SLICE_EMPTY,
				     (struct th_slice){ descriptor, th_large_value_pack(&value, descriptor) });
	ck_assert_ptr_nonnull(entry);
	return entry;
}

static void damage(uint64_t addr)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	memset(block, 0xa5, TH_BLOCK_SIZE);
	th_ok(th_disk_write(disk, addr, 1, block));
	free(block);
}

static int64_t claims_of(enum th_claim claim, uint64_t block)
{
	int64_t count = 0;

	for (size_t i = 0; i < check.claims.count; i++)
		if (check.claims.event[i].claim == claim && check.claims.event[i].at <= block)
			count += check.claims.event[i].count;
	return count;
}

START_TEST(the_runs_of_values_are_claimed)
{
	begin(TH_CHECK_LIVE);
	record(th_test_put("a", "100 4", 0));
	record(th_test_put("b", "-", 0));
	record(large("c", 200, "300 2"));
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 0);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 103), 1);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 104), 0);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 200), 1); /* the value's own block */
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 301), 1); /* and the run that it names */
	ck_assert_uint_eq(check.result.runs, 3);
	end();
}
END_TEST

/* A value that a pending message replaces names no runs any more; the blocks of a large value are its own until it is
 * dropped. */
START_TEST(hidden_values_name_nothing)
{
	struct th_drops drops = { 0 };

	begin(TH_CHECK_LIVE);
	record(th_test_put("a", "100 4", 0));
	record(large("c", 200, "300 2"));
	record(th_test_put("d", "400 1", 0));
	th_ok(th_message_insert(root, th_test_delete("a", 7), &drops));
	th_ok(th_message_insert(root, th_test_put("c", "-", 8), &drops));
	th_ok(th_message_insert(root, th_test_add_refs("d", 1, 9), &drops)); /* hides nothing */
	th_ok(th_check_values(&walk));
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 100), 0);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 200), 1);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 300), 0);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 400), 1);
	ck_assert_uint_eq(lines.count, 0);
	end();
}
END_TEST

START_TEST(what_a_head_shares_counts_as_data_of_snapshots)
{
	begin(TH_CHECK_LIVE);
	tree.owned = 5; /* the runs were born in generation 5 */
	record(th_test_put("a", "100 4", 0));
	th_ok(th_check_values(&walk));
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 100), 0);
	ck_assert_uint_eq(check.claims.snapshot_count, 1);
	ck_assert_uint_eq(check.claims.snapshot[0].addr, 100);
	end();
}
END_TEST

START_TEST(runs_that_are_not_possible_are_reported)
{
	begin(TH_CHECK_LIVE);
	record(th_test_put("a", "1999 2", 0));
	record(th_test_put("b", "nonsense", 0));
	tree.generation = 4;
	record(th_test_put("c", "100 1", 0));
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 3);
	ck_assert_str_eq(lines.text[0], "the tree: key a: 2 blocks from 1999 on are not inside the image");
	ck_assert_str_eq(lines.text[1], "the tree: key b: its value of 8 bytes is malformed");
	th_check_lines_expect(&lines, "key c: blocks at 100 were born in generation 5, expected at most 4");
	ck_assert(check.incomplete);
	end();
}
END_TEST

/* The same node again, in another tree: its faults are known. */
START_TEST(faults_are_reported_once)
{
	begin(TH_CHECK_LIVE);
	record(th_test_put("a", "1999 2", 0));
	record(th_test_put("b", "nonsense", 0));
	walk.first = false;
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 0);
	ck_assert(check.incomplete);
	end();
}
END_TEST

START_TEST(a_broken_descriptor_is_a_hole)
{
	struct th_entry *broken = th_message_put_large(th_slice_of("a"), TH_SLICE_EMPTY, th_slice_of("broken"));

	begin(TH_CHECK_LIVE);
	record(broken);
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 1);
	th_check_lines_expect(&lines, "key a: the descriptor of its value is broken");
	ck_assert_uint_eq(check.holes_count, 1);
	ck_assert(th_slice_compare(th_key_slice(&check.holes[0].from), th_slice_of("a")) == 0);
	ck_assert(th_slice_compare(th_key_slice(&check.holes[0].to), th_slice_of("b")) < 0);
	end();
}
END_TEST

/* Of several snapshots and the live tree: the value is read once for all snapshots, and once more for the live tree,
 * which has a hole there. */
START_TEST(a_damaged_large_value_is_reported_once)
{
	begin(TH_CHECK_SNAPSHOT);
	record(large("c", 200, "-"));
	damage(200);
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 1);
	th_check_lines_expect(&lines, "key c: its value of 3172 bytes at block 200: wrong checksum");
	ck_assert_uint_eq(check.holes_count, 0);
	th_ok(th_check_values(&walk));
	tree.kind = TH_CHECK_LIVE;
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 1);
	ck_assert_uint_eq(check.holes_count, 1);
	end();
}
END_TEST

/* Snapshots share most values: without a need for its content, none is read for them. */
START_TEST(large_values_of_snapshots_are_read_only_if_needed)
{
	begin(TH_CHECK_SNAPSHOT);
	record(large("c", 200, "-"));
	damage(200);
	check.options.runs = NULL;
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 0);
	check.options.read_data = true;
	th_ok(th_check_values(&walk));
	ck_assert_uint_eq(lines.count, 1);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { the_runs_of_values_are_claimed,
				       hidden_values_name_nothing,
				       what_a_head_shares_counts_as_data_of_snapshots,
				       runs_that_are_not_possible_are_reported,
				       faults_are_reported_once,
				       a_broken_descriptor_is_a_hole,
				       a_damaged_large_value_is_reported_once,
				       large_values_of_snapshots_are_read_only_if_needed };

	return th_tests_run("check_value", tests, sizeof(tests) / sizeof(tests[0]));
}
