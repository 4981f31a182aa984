/* SPDX-License-Identifier: Apache-2.0 */
/* The structural checker: the order of its passes, and the pass over live entries. */
#include "tree/check/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree/state/state.h"
#include "tree/view/cursor.h"

/* --- trees --- */

static bool unpack_root(struct th_check *check, const char *name, const uint8_t *bytes, struct th_ptr *ret)
{
	struct th_ptr_disk disk;

	memcpy(&disk, bytes, sizeof(disk));
	if (th_ptr_unpack(&disk, ret) == 0)
		return true;
	th_check_problem(check, "superblock of generation %" PRIu64 ": its pointer to the %s is broken",
			 check->super.generation, name);
	check->incomplete = true;
	return false;
}

static int check_meta_tree(struct th_check *check)
{
	struct th_check_tree tree = {
		.kind = TH_CHECK_META,
		.name = "meta tree",
		.generation = check->super.generation,
		.sequence = check->super.sequence,
		.owned = UINT64_MAX,
		.at = TH_SLICE_EMPTY,
	};

	return unpack_root(check, tree.name, check->super.meta_root, &tree.root) ? th_check_tree(check, &tree) : 0;
}

static int check_snapshots(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->snapshots_count && !err; i++) {
		const struct th_check_snapshot *snapshot = &check->snapshots[i];
		const struct th_check_branch *branch = th_check_branch(check, snapshot->branch);
		char name[sizeof(snapshot->name) + 40];
		struct th_check_tree tree = {
			.kind = TH_CHECK_SNAPSHOT,
			.name = name,
			.root = snapshot->root,
			.generation = snapshot->generation,
			.sequence = snapshot->sequence,
			.owned = UINT64_MAX,
			.at = TH_SLICE_EMPTY,
		};

		/* it takes the place of the head of a detached branch */
		if (branch && branch->detached &&
		    th_check_newest(check, branch->id, check->snapshots_count) == snapshot)
			tree.owned = branch->origin_generation;
		snprintf(name, sizeof(name), "snapshot %" PRIu64 " '%s'", snapshot->id, snapshot->name);
		err = th_check_tree(check, &tree);
		check->result.snapshots++;
	}
	return err;
}

/* Checks the head of a branch; that of the branch on which the store was opened is the live tree. */
static int check_head(struct th_check *check, const struct th_check_branch *branch)
{
	bool live = branch->id == check->store->branch;
	char name[sizeof(branch->name) + 20];
	struct th_check_tree tree = {
		.kind = live ? TH_CHECK_LIVE : TH_CHECK_SNAPSHOT,
		.name = live ? "live tree" : name,
		.root = branch->root,
		.generation = check->super.generation,
		.sequence = branch->sequence,
		.owned = branch->origin_generation,
		.at = TH_SLICE_EMPTY,
	};

	snprintf(name, sizeof(name), "branch '%s'", branch->name);
	if (branch->has_head)
		return th_check_tree(check, &tree);
	tree.sequence = check->super.sequence;
	return unpack_root(check, tree.name, check->super.live_root, &tree.root) ? th_check_tree(check, &tree) : 0;
}

static int check_heads(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->branches_count && !err; i++) {
		if (check->branches[i].has_head || check->branches[i].id == check->super.counters[TH_SUPER_BRANCH])
			err = check_head(check, &check->branches[i]);
		check->result.branches += !check->branches[i].detached;
	}
	return err;
}

/* Checks the rest of abandoned heads. */
static int check_abandoned(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->abandoned_count && !err; i++) {
		const struct th_check_abandoned *abandoned = &check->abandoned[i];
		struct th_check_tree tree = {
			.kind = TH_CHECK_ABANDONED,
			.name = "abandoned head",
			.root = abandoned->root,
			.generation = check->super.generation,
			.sequence = check->super.sequence,
			.owned = abandoned->than,
			.at = th_key_slice(&abandoned->at),
		};

		err = th_check_tree(check, &tree);
	}
	return err;
}

/* --- live entries --- */

static void visit_entry(struct th_check *check, const struct th_cursor_entry *entry)
{
	check->result.entries++;
	if (check->options.entry && check->options.entry(check->options.arg, th_view_live(check->store), entry) != 0)
		check->result.problems++;
}

static int visit_range(struct th_check *check, const struct th_range *range)
{
	struct th_cursor *cursor;
	char text[TH_CHECK_KEY_TEXT];
	int end = 0, err = th_cursor_open(th_view_live(check->store), range, &cursor);

	if (err)
		return err;
	while (end == 0) {
		struct th_cursor_entry entry = { 0 };

		end = th_cursor_next(cursor, &entry);
		if (end == 0) {
			visit_entry(check, &entry);
		} else if (end < 0 && end != -ENOMEM && entry.key.data) {
			th_check_problem(check, "value of key %s: %s", th_check_key(entry.key, text), strerror(-end));
			end = 0; /* the cursor has moved on: only this value is damaged */
		}
	}
	th_cursor_close(cursor);
	if (end == -ENOMEM)
		return end;
	if (end < 0)
		th_check_problem(check, "live tree: entries from key %s on cannot be read: %s",
				 th_check_key(range->from, text), strerror(-end));
	return 0;
}

static int compare_holes(const void *a, const void *b)
{
	const struct th_check_hole *x = a, *y = b;

	return th_slice_compare(th_key_slice(&x->from), th_key_slice(&y->from));
}

/* Visits all live entries outside the holes, which cannot be read. */
static int visit_entries(struct th_check *check)
{
	struct th_range range = { .from = TH_SLICE_EMPTY };
	int err = 0;

	if (check->holes_count > 0)
		qsort(check->holes, check->holes_count, sizeof(*check->holes), compare_holes);
	for (size_t i = 0; i < check->holes_count && !err; i++) {
		const struct th_check_hole *hole = &check->holes[i];

		range.to = th_key_slice(&hole->from);
		if (th_slice_compare(range.from, range.to) < 0)
			err = visit_range(check, &range);
		if (hole->open)
			return err;
		if (th_slice_compare(range.from, th_key_slice(&hole->to)) < 0)
			range.from = th_key_slice(&hole->to);
	}
	range.to = (struct th_slice){ NULL, 0 };
	return err ? err : visit_range(check, &range);
}

/* Reports copies of superblocks that are damaged, unless a crash explains it. */
static void check_rings(struct th_check *check)
{
	struct th_super_rings rings;

	if (th_super_mend(check->store->disk, &check->super, &rings) == 0 && rings.slots > 1)
		th_check_problem(check, "superblock: %u of 16 copies are damaged", rings.damaged);
}

/* --- public --- */

static int run(struct th_check *check)
{
	int err = th_super_read(check->store->disk, &check->super);

	if (!err && check->options.only_entries)
		return visit_entries(check);
	check_rings(check);
	if (check->store->log_lost)
		th_check_problem(check, "the intent log cannot be replayed, so the transactions in it are not checked");
	if (check->store->log_stranded)
		th_check_problem(check,
				 "the intent log is damaged: %" PRIu64 " records after the damage are not replayed",
				 check->store->log_stranded);
	if (!err)
		err = check_meta_tree(check);
	if (!err)
		err = th_check_carried(check);
	if (!err)
		err = th_check_catalogue(check);
	if (!err)
		err = check_snapshots(check);
	if (!err)
		err = check_heads(check);
	if (!err)
		err = check_abandoned(check);
	if (!err)
		err = th_check_space(check);
	if (!err)
		err = th_check_blocks(check);
	return err ? err : visit_entries(check);
}

int th_store_check(struct th_store *store, const struct th_check_options *options, struct th_check_result *ret)
{
	struct th_check check = { .store = store };
	int err;

	if (options)
		check.options = *options;
	pthread_mutex_lock(&store->checkpoint_lock);
	err = run(&check);
	pthread_mutex_unlock(&store->checkpoint_lock);
	free(check.snapshots);
	free(check.branches);
	free(check.holds);
	free(check.abandoned);
	free(check.claims.event);
	free(check.claims.snapshot);
	free(check.nodes.slot);
	free(check.values.slot);
	free(check.holes);
	if (ret)
		*ret = check.result;
	return err;
}
