/* SPDX-License-Identifier: Apache-2.0 */
/* Damage on the disk loses the data in the damaged blocks.  The store can still be written, and all other space is
 * freed. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/node/large_value.h"
#include "tree/node/node_pack.h"
#include "tree/state/state.h"

#define LARGE 600 /* values, enough for a dead list of several pages */

static unsigned lines; /* reported lines */

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

/* Inverts a bit of a block; a second call repairs it. */
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

/* Verifies that the store can be written, now and after it was opened again. */
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

/* Returns the number of problems that the checker finds, beside leaked blocks; *ret_leaked: the number of these. */
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

/* A page of the live dead list cannot be read: the list continues in a new page. */
START_TEST(blocks_die_although_the_dead_list_is_damaged)
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
	damage(&fixture, page); /* repaired */
	ck_assert_uint_eq(count_problems(&fixture, NULL), 0);
	th_fixture_release(&fixture);
}
END_TEST

/* Deletes the third of four snapshots, whose damaged list is joined with that of the fourth.  Bit 0: the lists are
 * long; bit 1: that of the fourth is damaged, too. */
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
	if (!(variant & 2)) /* the blocks of only this snapshot are free */
		ck_assert_uint_lt(th_fixture_used(&fixture), used - count * 9 / 10);
	ck_assert_uint_ge(count_problems(&fixture, NULL), 1);
	th_ok(th_snapshot_delete(fixture.store, "two"));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	expect_writable(&fixture);
	/* The damaged pages are still parts of the list, so nothing is lost that can be read after the repair. */
	damage(&fixture, pages[0]);
	if (variant & 2)
		damage(&fixture, pages[1]);
	ck_assert_uint_eq(count_problems(&fixture, NULL), 0);
	th_fixture_release(&fixture);
}

START_TEST(snapshots_are_deleted_although_their_lists_are_damaged)
{
	for (unsigned variant = 0; variant < 4; variant++)
		join_damaged(variant);
}
END_TEST

/* --- abandoned heads --- */

/* The readable part of the list is freed, and the tree. */
START_TEST(abandoned_head_is_freed_despite_a_damaged_list)
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
	th_true(leaked >= 2 && leaked <= 20); /* the pages of the list */
	th_fixture_release(&fixture);
}
END_TEST

/* All is freed but one leaf, and the blocks that it names. */
START_TEST(abandoned_head_is_freed_despite_a_damaged_leaf)
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
	th_fixture_reopen(&fixture); /* no node is in memory any more */
	th_ok(th_store_rollback(fixture.store, "s"));
	expect_writable(&fixture);
	ck_assert_ptr_null(fixture.store->branches.abandoned);
	ck_assert_uint_gt(count_problems(&fixture, &leaked), 0);
	th_true(leaked > 10 && leaked < LARGE / 2);
	ck_assert_uint_le(th_fixture_used(&fixture), used + leaked + 20);
	th_fixture_release(&fixture);
}
END_TEST

/* A large value that names runs cannot be read: the runs are lost, its own blocks are not. */
START_TEST(abandoned_head_is_freed_despite_a_damaged_value)
{
	struct th_random random = { .state = th_test_seed("abandoned_head_is_freed_despite_a_damaged_value") };
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
		static uint8_t block[TH_BLOCK_SIZE] __attribute__((aligned(TH_BLOCK_SIZE)));

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

/* The range has a leaf that cannot be read, and values off-tree. */
START_TEST(range_with_a_damaged_leaf_is_deleted)
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

/* Replaying a synced transaction needs a leaf that cannot be read.  The store cannot be written, but everything can be
 * read as it was at the last checkpoint. */
START_TEST(store_with_unreplayable_log_opens_read_only)
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
	ck_assert_uint_ge(lines, 4); /* node and log, twice; and the state that is shown */
	th_ok(th_get(th_view_live(crashed.store), th_slice_of("key/000000"), &value));
	th_true(value.size == 50 && *(const char *)value.data == '1');
	th_value_release(&value);
	ck_assert_uint_ge(count_problems(&crashed, NULL), 2);
	th_fixture_close(&crashed);
	damage(&crashed, ptr.addr); /* repaired */
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

/* --- reading what is left --- */

/* Counts the entries of the live tree that can be read, and the holes. */
static unsigned count_readable(struct th_store *store, unsigned *ret_holes)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_range hole;
	struct th_key last = { 0 };
	unsigned count = 0;
	int next;

	*ret_holes = 0;
	th_ok(th_cursor_open(th_view_live(store), NULL, &cursor));
	while ((next = th_cursor_next(cursor, &entry)) != 1) {
		if (!next) {
			th_true(th_slice_compare(entry.key, th_key_slice(&last)) >= 0);
			th_key_set(&last, entry.key);
			count++;
			th_expect(th_cursor_skip(cursor, &hole), -EINVAL);
			continue;
		}
		th_expect(next, -EBADMSG);
		th_ok(th_cursor_skip(cursor, &hole));
		++*ret_holes;
		th_true(!hole.to.data || th_slice_compare(hole.from, hole.to) < 0);
		th_true(th_slice_compare(hole.from, th_key_slice(&last)) >= 0);
		if (hole.to.data)
			th_key_set(&last, hole.to);
	}
	th_cursor_close(cursor);
	return count;
}

START_TEST(cursor_skips_damaged_nodes)
{
	struct th_fixture fixture;
	struct th_ptr ptr;
	unsigned slots, holes;

	init(&fixture);
	put_values(&fixture, 0, 4000, 50, '1');
	th_ok(th_store_checkpoint(fixture.store));
	slots = fixture.store->live.root->base.count;
	ck_assert_uint_ge(slots, 3);
	for (unsigned i = 0; i < slots; i += 2) { /* the first leaf, and at times the last one */
		th_ok(th_node_child_ptr(fixture.store->live.root, i, &ptr));
		damage(&fixture, ptr.addr);
	}
	th_fixture_reopen(&fixture);
	th_true(count_readable(fixture.store, &holes) >= 4000 / slots * (slots / 2) - 4000 / slots);
	ck_assert_uint_eq(holes, (slots + 1) / 2);
	th_fixture_release(&fixture);
}
END_TEST

/* Returns the first block of the large value of an entry in the root, which is a leaf. */
static uint64_t value_block(struct th_fixture *fixture, unsigned i)
{
	const struct th_node *root = fixture->store->live.root;
	struct th_large_value large;

	ck_assert_uint_eq(root->level, 0);
	th_ok(th_large_value_unpack(th_entry_value(th_slab_entry(&root->base, i)), &large));
	return large.run[0].addr;
}

/* A large value costs its own key only. */
START_TEST(cursor_skips_a_damaged_value)
{
	struct th_cursor_entry entry;
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_range hole;
	unsigned holes;

	init(&fixture);
	put_large(&fixture, 10, '1');
	th_ok(th_store_checkpoint(fixture.store));
	th_fixture_reopen(&fixture);
	ck_assert_uint_eq(count_readable(fixture.store, &holes), 10);
	damage(&fixture, value_block(&fixture, 3));
	ck_assert_uint_eq(count_readable(fixture.store, &holes), 9);
	ck_assert_uint_eq(holes, 1);
	th_ok(th_cursor_open(th_view_live(fixture.store), NULL, &cursor));
	for (unsigned i = 0; i < 3; i++)
		th_ok(th_cursor_next(cursor, &entry));
	th_expect(th_cursor_next(cursor, &entry), -EBADMSG);
	th_ok(th_cursor_skip(cursor, &hole));
	th_true(th_slice_compare(hole.from, th_slice_of("key/000003")) == 0);
	th_ok(th_cursor_next(cursor, &entry));
	th_true(th_slice_compare(entry.key, th_slice_of("key/000004")) == 0);
	th_cursor_close(cursor);
	th_fixture_release(&fixture);
}
END_TEST

static uint64_t root_block(const uint8_t *bytes)
{
	struct th_ptr_disk disk;
	struct th_ptr ptr;

	memcpy(&disk, bytes, sizeof(disk));
	th_ok(th_ptr_unpack(&disk, &ptr));
	return ptr.addr;
}

/* Damages the block of a closed store.  Opens the store for writing, which must fail, and then read-only.  Returns the
 * parts that are lost. */
static unsigned open_damaged(struct th_fixture *fixture, uint64_t block)
{
	struct th_disk *lent = th_disk_lend(fixture->disk);
	struct th_store_info info;
	struct th_store *store;

	damage(fixture, block);
	th_expect(th_store_open(lent, &fixture->options, &store), -EBADMSG);
	th_disk_close(lent);
	fixture->options.read_only = true;
	th_fixture_open(fixture);
	fixture->options.read_only = false;
	th_store_info(fixture->store, &info);
	return info.lost;
}

/* The live root, the meta tree and the space log are damaged in turn; a snapshot that the superblock carries, and one
 * in the meta tree, can be read if they do not need the block. */
START_TEST(reader_does_without_damaged_parts)
{
	struct th_fixture fixture;
	struct th_view *view;
	struct th_value value;
	char name[16];

	for (unsigned part = TH_LOST_SPACE; part <= TH_LOST_CATALOGUE; part *= 2) {
		struct th_snapshot unused;
		struct th_super super;
		uint64_t block;

		init(&fixture);
		th_fixture_put(&fixture, "k", "1");
		for (unsigned i = 0; i < 25; i++) {
			snprintf(name, sizeof(name), "s%u", i);
			snapshot(&fixture, name);
			th_fixture_put(&fixture, "k", "2");
		}
		th_fixture_close(&fixture);
		th_ok(th_super_read(fixture.disk, &super));
		block = part == TH_LOST_SPACE  ? super.space_log.head
			: part == TH_LOST_LIVE ? root_block(super.live_root)
					       : root_block(super.meta_root);
		th_true(super.carried_size > 0);
		ck_assert_uint_eq(open_damaged(&fixture, block), part);
		th_expect(th_get(th_view_live(fixture.store), th_slice_of("k"), &value),
			  part == TH_LOST_LIVE ? -EBADMSG : 0);
		if (part != TH_LOST_LIVE)
			th_value_release(&value);
		th_expect(th_snapshot_find(fixture.store, "s0", &unused), part == TH_LOST_CATALOGUE ? -ENOENT : 0);
		th_ok(th_view_snapshot(fixture.store, find(&fixture, "s24")->info.id, &view));
		th_ok(th_get(view, th_slice_of("k"), &value));
		th_value_release(&value);
		th_view_close(view);
		ck_assert_uint_gt(count_problems(&fixture, NULL), 0);
		th_fixture_close(&fixture);
		damage(&fixture, block); /* repaired */
		th_fixture_open(&fixture);
		expect_writable(&fixture);
		th_fixture_release(&fixture);
	}
}
END_TEST

/* Opens a generation, which must show this value of the key; 0: the best one. */
static void expect_generation(struct th_fixture *fixture, uint64_t generation, char value)
{
	struct th_store_options rescue = options;
	struct th_disk *lent = th_disk_lend(fixture->disk);
	struct th_store *store;
	struct th_value found;

	rescue.rescue = rescue.read_only = true;
	rescue.generation = generation;
	th_ok(th_store_open(lent, &rescue, &store));
	th_ok(th_get(th_view_live(store), th_slice_of("k"), &found));
	ck_assert_int_eq(*(const char *)found.data, value);
	th_value_release(&found);
	th_ok(th_store_close(store));
}

START_TEST(rescue_takes_an_older_generation)
{
	struct th_store_options rescue = options;
	struct th_fixture fixture;
	struct th_super super;
	struct th_store *store;
	struct th_disk *lent;
	char value[2] = "a";

	init(&fixture);
	for (; *value < 'h'; ++*value) {
		th_fixture_put(&fixture, "k", value);
		th_ok(th_store_checkpoint(fixture.store));
	}
	th_fixture_close(&fixture);
	th_ok(th_super_read(fixture.disk, &super));
	expect_generation(&fixture, 0, 'g');
	expect_generation(&fixture, super.generation, 'g');
	damage(&fixture, root_block(super.live_root));
	expect_generation(&fixture, 0, 'f'); /* the root is that of several generations */
	expect_generation(&fixture, super.generation - 2, 'f');

	lent = th_disk_lend(fixture.disk);
	rescue.rescue = true;
	th_expect(th_store_open(lent, &rescue, &store), -EINVAL);
	rescue.read_only = true;
	rescue.generation = super.generation + 1;
	th_expect(th_store_open(lent, &rescue, &store), -ESRCH);
	th_disk_close(lent);
	damage(&fixture, root_block(super.live_root)); /* repaired */
	th_fixture_open(&fixture);
	expect_writable(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* A crafted image may have such a key. */
START_TEST(key_without_its_prefix_is_not_read_past_its_end)
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
	const TTest *const tests[] = { blocks_die_although_the_dead_list_is_damaged,
				       snapshots_are_deleted_although_their_lists_are_damaged,
				       abandoned_head_is_freed_despite_a_damaged_list,
				       abandoned_head_is_freed_despite_a_damaged_leaf,
				       abandoned_head_is_freed_despite_a_damaged_value,
				       range_with_a_damaged_leaf_is_deleted,
				       cursor_skips_damaged_nodes,
				       cursor_skips_a_damaged_value,
				       reader_does_without_damaged_parts,
				       rescue_takes_an_older_generation,
				       store_with_unreplayable_log_opens_read_only,
				       key_without_its_prefix_is_not_read_past_its_end };

	return th_tests_run("damage", tests, sizeof(tests) / sizeof(tests[0]));
}
