/* SPDX-License-Identifier: Apache-2.0 */
/* What is damaged on the disk costs what it held, and neither the store's writing nor what else was to be freed. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/node/node_pack.h"
#include "tree/state/state.h"

#define LARGE 600 /* values: some pages of a list name them when they have died */

static unsigned lines; /* that were reported */

static void count_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	lines++;
}

static const struct th_store_options options = {
	.checkpoint_interval_ms = 3600 * 1000,
	.runs = th_extents_runs,
	.report = count_line,
};

static void init(struct th_fixture *fixture)
{
	lines = 0;
	th_fixture_init(fixture, 64, &options);
}

/* Changes a byte in the midst of a block. */
static void damage(struct th_fixture *fixture, uint64_t addr)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_ptr_nonnull(block);
	ck_assert_uint_ne(addr, 0);
	th_ok(th_disk_read(fixture->disk, addr, 1, block));
	block[1000] ^= 0x10;
	th_ok(th_disk_write(fixture->disk, addr, 1, block));
	free(block);
}

static void snapshot(struct th_fixture *fixture, const char *name)
{
	th_ok(th_snapshot_create(fixture->store, name, NULL));
}

static void put_values(struct th_fixture *fixture, unsigned from, unsigned to, size_t size, char what)
{
	static char value[TH_INLINE_MAX + 1];
	struct th_txn *txn;
	char key[32];

	memset(value, what, sizeof(value));
	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "key/%06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, size }));
	}
	th_ok(th_txn_commit(txn));
}

static void put_large(struct th_fixture *fixture, unsigned count, char what)
{
	put_values(fixture, 0, count, TH_INLINE_MAX + 1, what);
}

/* The store can be written, now and after it was opened anew. */
static void expect_writable(struct th_fixture *fixture)
{
	struct th_store_info info;

	for (unsigned i = 0; i < 2; i++) {
		th_fixture_put(fixture, "k", "v");
		th_ok(th_store_checkpoint(fixture->store));
		th_fixture_put(fixture, "k", "w");
		th_ok(th_store_checkpoint(fixture->store));
		while (th_store_reclaim(fixture->store) == 0)
			;
		th_store_info(fixture->store, &info);
		th_true(!info.read_only);
		th_fixture_reopen(fixture);
	}
}

/* What the checker finds but for blocks that are lost; *ret_leaked: how many these are. */
static uint64_t count_problems(struct th_fixture *fixture, uint64_t *ret_leaked)
{
	struct th_check_options check = th_extents_check;
	struct th_check_result result;
	unsigned before = lines;

	check.problem = count_line;
	th_ok(th_store_check(fixture->store, &check, &result));
	if (ret_leaked)
		*ret_leaked = result.leaked_blocks;
	ck_assert_uint_eq(lines > before, result.problems > 0);
	return result.problems;
}

static const struct th_snapshot_record *find(struct th_fixture *fixture, const char *name)
{
	const struct th_snapshot_table *catalogue = &fixture->store->catalogue;

	for (size_t i = 0; i < catalogue->count; i++)
		if (!strcmp(catalogue->record[i]->info.name, name))
			return catalogue->record[i];
	ck_abort_msg("no snapshot '%s'", name);
	return NULL;
}

/* --- dead lists --- */

/* Blocks die behind a page that cannot be read: the live list goes on in another one. */
START_TEST(damage_live_list)
{
	struct th_fixture fixture;
	uint64_t page;

	init(&fixture);
	put_large(&fixture, 10, '1');
	snapshot(&fixture, "s");
	put_large(&fixture, 5, '2');
	th_ok(th_store_checkpoint(fixture.store));
	page = fixture.store->super.dead.head;
	damage(&fixture, page);
	put_large(&fixture, 10, '3');
	expect_writable(&fixture);
	ck_assert_uint_gt(lines, 0);
	ck_assert_uint_eq(count_problems(&fixture, NULL), 1); /* the page */
	damage(&fixture, page); /* back */
	ck_assert_uint_eq(count_problems(&fixture, NULL), 0);
	th_fixture_release(&fixture);
}
END_TEST

/* Four snapshots: the third one is deleted, and its list is joined with the fourth one's.  Bit 0: it is a long list;
 * bit 1: that of the fourth is damaged too. */
static void join_damaged(unsigned variant)
{
	const struct th_snapshot_record *deleted, *next;
	unsigned count = variant & 1 ? LARGE : 10;
	struct th_fixture fixture;
	uint64_t pages[2], used;

	init(&fixture);
	put_large(&fixture, count, '1');
	snapshot(&fixture, "one");
	put_large(&fixture, count, '2');
	snapshot(&fixture, "two");
	put_large(&fixture, count, '3');
	snapshot(&fixture, "three");
	put_large(&fixture, count, '4');
	snapshot(&fixture, "four");
	deleted = find(&fixture, "three");
	next = find(&fixture, "four");
	ck_assert_uint_eq(deleted->dead.pages > 1, variant & 1);
	pages[0] = deleted->dead.head;
	pages[1] = next->dead.head;
	damage(&fixture, pages[0]);
	if (variant & 2)
		damage(&fixture, pages[1]);
	used = th_fixture_used(&fixture);
	th_ok(th_snapshot_delete(fixture.store, "three"));
	expect_writable(&fixture);
	if (!(variant & 2)) /* what only it had comes back */
		ck_assert_uint_lt(th_fixture_used(&fixture), used - count * 9 / 10);
	ck_assert_uint_ge(count_problems(&fixture, NULL), 1);
	th_ok(th_snapshot_delete(fixture.store, "two"));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	expect_writable(&fixture);
	/* What is damaged is a part of the list still: nothing is lost that may be read yet. */
	damage(&fixture, pages[0]);
	if (variant & 2)
		damage(&fixture, pages[1]);
	ck_assert_uint_eq(count_problems(&fixture, NULL), 0);
	th_fixture_release(&fixture);
}

START_TEST(damage_joined_list)
{
	for (unsigned variant = 0; variant < 4; variant++)
		join_damaged(variant);
}
END_TEST

/* --- heads that are given up --- */

/* Of a list what can be read is freed, and the tree. */
START_TEST(damage_given_up_list)
{
	struct th_fixture fixture;
	uint64_t used, leaked;

	init(&fixture);
	put_large(&fixture, LARGE, '1');
	snapshot(&fixture, "s");
	used = th_fixture_used(&fixture);
	put_large(&fixture, LARGE, '2');
	th_ok(th_store_rollback(fixture.store, "s"));
	ck_assert_uint_gt(fixture.store->branches.abandoned->head->dead.pages, 2);
	damage(&fixture, fixture.store->branches.abandoned->head->dead.head);
	th_expect(th_store_reclaim(fixture.store), 1);
	ck_assert_uint_eq(lines, 1);
	expect_writable(&fixture);
	ck_assert_uint_eq(lines, 1);
	ck_assert_ptr_null(fixture.store->branches.abandoned);
	ck_assert_uint_le(th_fixture_used(&fixture), used + 20);
	ck_assert_uint_gt(count_problems(&fixture, &leaked), 0);
	th_true(leaked >= 2 && leaked <= 20); /* the list's pages */
	th_fixture_release(&fixture);
}
END_TEST

/* All but one leaf, and what that names. */
START_TEST(damage_given_up_leaf)
{
	struct th_fixture fixture;
	uint64_t used, leaked;
	struct th_node *root;
	struct th_ptr ptr;

	init(&fixture);
	snapshot(&fixture, "s");
	used = th_fixture_used(&fixture);
	put_large(&fixture, LARGE, '1');
	th_ok(th_store_checkpoint(fixture.store));
	root = fixture.store->live.root;
	ck_assert_uint_eq(root->level, 1);
	th_ok(th_node_child_ptr(root, 1, &ptr));
	damage(&fixture, ptr.addr);
	th_fixture_reopen(&fixture); /* nothing is in memory any more */
	th_ok(th_store_rollback(fixture.store, "s"));
	expect_writable(&fixture);
	ck_assert_ptr_null(fixture.store->branches.abandoned);
	ck_assert_uint_gt(count_problems(&fixture, &leaked), 0);
	th_true(leaked > 10 && leaked < LARGE / 2);
	ck_assert_uint_le(th_fixture_used(&fixture), used + leaked + 20);
	th_fixture_release(&fixture);
}
END_TEST

/* A large value that names runs: these are lost, its own blocks are not. */
START_TEST(damage_given_up_value)
{
	struct th_random random = { .state = th_test_seed("damage_given_up_value") };
	static uint8_t value[sizeof(struct th_extents)];
	struct th_extents file = { .count = 3 };
	struct th_fixture fixture;
	uint64_t used, leaked, hint = 0;
	struct th_value found;
	struct th_txn *txn;
	size_t size;

	init(&fixture);
	snapshot(&fixture, "s");
	used = th_fixture_used(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < file.count; i++)
		th_ok(th_extent_write(txn, &random, 200, false, &hint, &file.extents[i]));
	size = th_extents_pack(&file, value);
	ck_assert_uint_gt(size, TH_INLINE_MAX);
	th_ok(th_txn_put(txn, th_slice_of("file/large"), (struct th_slice){ value, size }));
	th_ok(th_txn_commit(txn));
	put_large(&fixture, 100, '1');
	th_ok(th_store_checkpoint(fixture.store));
	for (uint64_t addr = 1; addr < fixture.store->disk->blocks; addr++) {
		uint8_t block[TH_BLOCK_SIZE] __attribute__((aligned(TH_BLOCK_SIZE)));

		th_ok(th_disk_read(fixture.disk, addr, 1, block));
		if (memcmp(block, value, TH_BLOCK_SIZE) == 0)
			damage(&fixture, addr);
	}
	th_expect(th_get(th_view_live(fixture.store), th_slice_of("file/large"), &found), -EBADMSG);
	th_ok(th_store_rollback(fixture.store, "s"));
	expect_writable(&fixture);
	ck_assert_ptr_null(fixture.store->branches.abandoned);
	ck_assert_uint_gt(count_problems(&fixture, &leaked), 0);
	ck_assert_uint_eq(leaked, 600);
	ck_assert_uint_le(th_fixture_used(&fixture), used + leaked + 20);
	th_fixture_release(&fixture);
}
END_TEST

/* --- ranges --- */

/* A range is deleted that has a leaf which cannot be read, and values off-tree. */
START_TEST(damage_deleted_range)
{
	struct th_range all = { TH_SLICE_EMPTY, { NULL, 0 } };
	struct th_fixture fixture;
	struct th_txn *txn;
	struct th_ptr ptr;
	uint64_t leaked;

	init(&fixture);
	put_large(&fixture, LARGE, '1');
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_uint_eq(fixture.store->live.root->level, 1);
	th_ok(th_node_child_ptr(fixture.store->live.root, 1, &ptr));
	damage(&fixture, ptr.addr);
	th_fixture_reopen(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_delete_range(txn, all));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_sync(fixture.store));
	expect_writable(&fixture);
	ck_assert_uint_gt(count_problems(&fixture, &leaked), 0);
	th_true(leaked > 10 && leaked < LARGE / 2);
	th_fixture_release(&fixture);
}
END_TEST

/* --- the log --- */

/* What a sync made durable needs a leaf that cannot be read.  Nothing can be written, but all else be looked at, as it
 * was at the last commit. */
START_TEST(damage_replay)
{
	struct th_fixture fixture, crashed;
	struct th_disk *image, *lent;
	struct th_value value;
	struct th_ptr ptr;

	init(&fixture);
	put_values(&fixture, 0, 4000, 50, '1');
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_uint_ge(fixture.store->live.root->level, 1);
	th_ok(th_node_child_ptr(fixture.store->live.root, 1, &ptr));
	put_values(&fixture, 0, 4000, 50, '2');
	th_ok(th_store_sync(fixture.store));
	th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), 1, &image));
	th_fixture_adopt(&crashed, image, &options);
	damage(&crashed, ptr.addr);
	lent = th_disk_lend(crashed.disk);
	th_expect(th_store_open(lent, &crashed.options, &crashed.store), -EBADMSG);
	th_disk_close(lent);
	crashed.store = NULL;
	crashed.options.read_only = true;
	th_fixture_open(&crashed);
	ck_assert_uint_ge(lines, 4); /* twice the node and the log; what it is seen as */
	th_ok(th_get(th_view_live(crashed.store), th_slice_of("key/000000"), &value));
	th_true(value.size == 50 && *(const char *)value.data == '1');
	th_value_release(&value);
	ck_assert_uint_ge(count_problems(&crashed, NULL), 2);
	th_fixture_close(&crashed);
	damage(&crashed, ptr.addr); /* back */
	crashed.options.read_only = false;
	th_fixture_open(&crashed);
	th_ok(th_get(th_view_live(crashed.store), th_slice_of("key/000000"), &value));
	th_true(value.size == 50 && *(const char *)value.data == '2');
	th_value_release(&value);
	ck_assert_uint_eq(count_problems(&crashed, NULL), 0);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

/* A key that lacks its node's prefix, as it may come to a node of an image that was made to deceive, is not looked for
 * beyond its end. */
START_TEST(damage_prefix)
{
	struct th_slice prefix = th_slice_of("a long prefix"), key = th_slice_of("b");
	struct th_node *node = th_node_new(0, prefix, 1);
	const struct th_entry *e = th_entry_new(TH_ENTRY_VALUE, key, TH_SLICE_EMPTY, key);
	uint32_t size;
	void *blocks;

	ck_assert(node && e);
	th_ok(th_slab_insert(node, &node->base, 0, e));
	ck_assert_uint_eq(th_node_suffix(node, e).size, 0);
	th_ok(th_node_pack(node, 1, &blocks, &size));
	free(blocks);
	th_node_unref(node);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { damage_live_list,     damage_joined_list,    damage_given_up_list,
				       damage_given_up_leaf, damage_given_up_value, damage_deleted_range,
				       damage_replay,        damage_prefix };

	return th_tests_run("damage", tests, sizeof(tests) / sizeof(tests[0]));
}
