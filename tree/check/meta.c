/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the entries of the meta tree: snapshots, holds, branches, abandoned heads and block references. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/check/check.h"

static void meta_problem(struct th_check *check, struct th_slice key, const char *what)
{
	char text[TH_CHECK_KEY_TEXT];

	th_check_problem(check, "meta tree: key %s: %s", th_check_key(key, text), what);
	check->incomplete = true;
}

/* --- shares --- */

static int take_share(struct th_check *check, struct th_slice key, struct th_slice value)
{
	uint64_t addr = th_meta_number(key.data);
	struct th_block_refs_disk disk;
	uint32_t blocks, count;
	int err;

	if (value.size != sizeof(disk)) {
		meta_problem(check, key, "a share of the wrong size");
		return 0;
	}
	memcpy(&disk, value.data, sizeof(disk));
	blocks = th_get_le32(disk.blocks);
	count = th_get_le32(disk.count);
	if (!th_check_inside(check, addr, blocks) || count == 0 || count > INT32_MAX) {
		th_check_problem(check, "block references: %u blocks from %" PRIu64 " on, count %u: out of range",
				 blocks, addr, count);
		check->incomplete = true;
		return 0;
	}
	err = th_check_claim(check, TH_CLAIM_SHARE, addr, blocks, 1);
	return err ? err : th_check_claim(check, TH_CLAIM_SHARED, addr, blocks, count);
}

/* --- snapshots --- */

static bool name_possible(const char *name, size_t size)
{
	return size > 0 && strlen(name) == size && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* Returns NULL, or the fault of the entry. */
static const char *unpack_snapshot(struct th_slice key, struct th_slice value, struct th_check_snapshot *ret)
{
	static const uint8_t zeros[sizeof(((struct th_snapshot_disk *)0)->reserved)];
	struct th_snapshot_disk disk;
	size_t name_size;

	if (value.size < sizeof(disk) || value.size - sizeof(disk) > TH_SNAPSHOT_NAME_MAX)
		return "a snapshot of the wrong size";
	memcpy(&disk, value.data, sizeof(disk));
	name_size = value.size - sizeof(disk);
	*ret = (struct th_check_snapshot){
		.id = th_meta_number(key.data),
		.generation = th_get_le64(disk.generation),
		.sequence = th_get_le64(disk.sequence),
		.branch = th_get_le64(disk.branch),
		.deleting = disk.deleting,
	};
	memcpy(ret->name, (const char *)value.data + sizeof(disk), name_size);
	if (disk.deleting > 1 || memcmp(disk.reserved, zeros, sizeof(zeros)) != 0)
		return "unknown flags of a snapshot";
	if (!name_possible(ret->name, name_size))
		return "a snapshot's name is malformed";
	if (th_ptr_unpack(&disk.root, &ret->root) < 0)
		return "a snapshot's root pointer is broken";
	if (th_blocklist_unpack(&disk.dead, &ret->dead) < 0)
		return "a snapshot's dead list is broken";
	return th_blocklist_unpack(&disk.strays, &ret->strays) < 0 ? "a snapshot's list of strays is broken" : NULL;
}

static int take_snapshot(struct th_check *check, struct th_slice key, struct th_slice value)
{
	struct th_check_snapshot snapshot;
	const char *why = unpack_snapshot(key, value, &snapshot);

	if (why) {
		meta_problem(check, key, why);
		return 0;
	}
	return th_append(check->snapshots, check->snapshots_capacity, check->snapshots_count, snapshot);
}

/* --- holds: a fault of one leaves no claims unknown --- */

static int take_hold(struct th_check *check, struct th_slice key, struct th_slice value)
{
	struct th_check_hold hold = { .id = th_meta_number(key.data) };
	struct th_hold_disk disk;
	size_t tag_size = value.size - sizeof(disk);

	if (value.size <= sizeof(disk) || tag_size > TH_HOLD_TAG_MAX) {
		th_check_problem(check, "hold %" PRIu64 ": of the wrong size", hold.id);
		return 0;
	}
	memcpy(&disk, value.data, sizeof(disk));
	memcpy(hold.tag, (const char *)value.data + sizeof(disk), tag_size);
	hold.snapshot = th_get_le64(disk.snapshot);
	if (strlen(hold.tag) != tag_size)
		th_check_problem(check, "hold %" PRIu64 ": its tag is malformed", hold.id);
	return th_append(check->holds, check->holds_capacity, check->holds_count, hold);
}

/* --- branches --- */

/* Returns NULL, or the fault of the entry. */
static const char *unpack_branch(struct th_slice key, struct th_slice value, struct th_check_branch *ret)
{
	static const uint8_t zeros[sizeof(struct th_branch_disk)];
	struct th_branch_disk disk;
	size_t name_size;

	if (value.size < sizeof(disk) || value.size - sizeof(disk) > TH_BRANCH_NAME_MAX)
		return "a branch of the wrong size";
	memcpy(&disk, value.data, sizeof(disk));
	name_size = value.size - sizeof(disk);
	*ret = (struct th_check_branch){
		.id = th_meta_number(key.data),
		.origin = th_get_le64(disk.origin),
		.sequence = th_get_le64(disk.sequence),
		.detached = disk.detached,
		.has_head = memcmp(&disk.root, zeros, sizeof(disk.root)) != 0,
	};
	memcpy(ret->name, (const char *)value.data + sizeof(disk), name_size);
	if (disk.detached > 1 || memcmp(disk.reserved, zeros, sizeof(disk.reserved)) != 0)
		return "unknown flags of a branch";
	if (!name_possible(ret->name, name_size))
		return "a branch's name is malformed";
	if (!ret->has_head)
		return NULL;
	if (th_ptr_unpack(&disk.root, &ret->root) < 0)
		return "a branch's root pointer is broken";
	if (th_blocklist_unpack(&disk.dead, &ret->dead) < 0)
		return "a branch's dead list is broken";
	return th_blocklist_unpack(&disk.strays, &ret->strays) < 0 ? "a branch's list of strays is broken" : NULL;
}

static int take_branch(struct th_check *check, struct th_slice key, struct th_slice value)
{
	struct th_check_branch branch;
	const char *why = unpack_branch(key, value, &branch);

	if (why) {
		meta_problem(check, key, why);
		return 0;
	}
	return th_append(check->branches, check->branches_capacity, check->branches_count, branch);
}

static int take_abandoned(struct th_check *check, struct th_slice key, struct th_slice value)
{
	struct th_check_abandoned abandoned;
	struct th_abandoned_disk disk;

	if (value.size < sizeof(disk) || value.size - sizeof(disk) > sizeof(abandoned.at.data)) {
		meta_problem(check, key, "an abandoned head of the wrong size");
		return 0;
	}
	memcpy(&disk, value.data, sizeof(disk));
	abandoned.than = th_get_le64(disk.than);
	th_key_set(&abandoned.at,
		   (struct th_slice){ (const char *)value.data + sizeof(disk), value.size - sizeof(disk) });
	abandoned.id = th_meta_number(key.data);
	if (abandoned.id == 0 || abandoned.id > check->super.counters[TH_SUPER_ABANDONED])
		th_check_problem(check, "abandoned head %" PRIu64 ": its id was never assigned (last: %" PRIu64 ")",
				 abandoned.id, check->super.counters[TH_SUPER_ABANDONED]);
	if (th_ptr_unpack(&disk.root, &abandoned.root) < 0) {
		meta_problem(check, key, "an abandoned head's root pointer is broken");
		return 0;
	}
	if (th_blocklist_unpack(&disk.dead, &abandoned.dead) < 0 ||
	    th_blocklist_unpack(&disk.strays, &abandoned.strays) < 0) {
		meta_problem(check, key, "an abandoned head's lists are broken");
		return 0;
	}
	return th_append(check->abandoned, check->abandoned_capacity, check->abandoned_count, abandoned);
}

int th_check_meta_entry(struct th_check *check, struct th_slice key, struct th_slice value)
{
	uint8_t kind = key.size == sizeof(struct th_meta_key) ? *(const uint8_t *)key.data : 0;

	if (kind == TH_META_SHARE)
		return take_share(check, key, value);
	if (kind == TH_META_SNAPSHOT)
		return take_snapshot(check, key, value);
	if (kind == TH_META_HOLD)
		return take_hold(check, key, value);
	if (kind == TH_META_BRANCH)
		return take_branch(check, key, value);
	if (kind == TH_META_ABANDONED)
		return take_abandoned(check, key, value);
	meta_problem(check, key, "of a kind that is not defined");
	return 0;
}

static int take_carried(void *arg, struct th_slice key, struct th_slice value)
{
	return value.data ? th_check_meta_entry(arg, key, value) : 0;
}

int th_check_carried(struct th_check *check)
{
	int err = th_carried_each(&check->super, take_carried, check);

	if (err == -EUCLEAN) {
		th_check_problem(check, "meta tree: the messages in the superblock are malformed");
		check->incomplete = true;
		err = 0;
	}
	return err;
}

/* --- all snapshots together --- */

static int compare_ids(const void *a, const void *b)
{
	const struct th_check_snapshot *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int compare_names(const void *a, const void *b)
{
	const struct th_check_snapshot *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Checks that every name is unique, except that a deleted snapshot's may be in use again. */
static int check_names(struct th_check *check)
{
	const struct th_check_snapshot **named;
	size_t count = 0;

	named = calloc(check->snapshots_count + 1, sizeof(*named));
	if (!named)
		return -ENOMEM;
	for (size_t i = 0; i < check->snapshots_count; i++)
		if (!check->snapshots[i].deleting)
			named[count++] = &check->snapshots[i];
	qsort(named, count, sizeof(*named), compare_names);
	for (size_t i = 1; i < count; i++)
		if (strcmp(named[i - 1]->name, named[i]->name) == 0)
			th_check_problem(check, "snapshots %" PRIu64 " and %" PRIu64 " are both named '%s'",
					 named[i - 1]->id, named[i]->id, named[i]->name);
	free(named);
	return 0;
}

/* Checks that each snapshot is newer than the one before, and none is newer than the store. */
static void check_order(struct th_check *check)
{
	uint64_t generation = 0, sequence = 0;

	for (size_t i = 0; i < check->snapshots_count; i++) {
		const struct th_check_snapshot *snapshot = &check->snapshots[i];

		if (snapshot->id == 0 || snapshot->id >= check->super.next_snapshot_id)
			th_check_problem(check,
					 "snapshot %" PRIu64 " '%s': its id was never assigned (next: %" PRIu64 ")",
					 snapshot->id, snapshot->name, check->super.next_snapshot_id);
		if (snapshot->generation <= generation || snapshot->generation > check->super.generation ||
		    snapshot->sequence < sequence || snapshot->sequence > check->super.sequence)
			th_check_problem(check,
					 "snapshot %" PRIu64 " '%s': generation %" PRIu64 ", message %" PRIu64
					 ": expected after (%" PRIu64 ", %" PRIu64 ") and up to (%" PRIu64 ", %" PRIu64
					 ")",
					 snapshot->id, snapshot->name, snapshot->generation, snapshot->sequence,
					 generation, sequence, check->super.generation, check->super.sequence);
		generation = snapshot->generation;
		sequence = snapshot->sequence;
	}
}

/* --- holds and their snapshots --- */

static int compare_holds(const void *a, const void *b)
{
	const struct th_check_hold *x = a, *y = b;

	if (x->snapshot != y->snapshot)
		return (x->snapshot > y->snapshot) - (x->snapshot < y->snapshot);
	return strcmp(x->tag, y->tag);
}

static void check_hold(struct th_check *check, const struct th_check_hold *hold)
{
	const struct th_check_snapshot wanted = { .id = hold->snapshot }, *snapshot = NULL;

	if (check->snapshots_count > 0)
		snapshot = bsearch(&wanted, check->snapshots, check->snapshots_count, sizeof(wanted), compare_ids);
	if (hold->id == 0 || hold->id > check->super.counters[TH_SUPER_HOLD])
		th_check_problem(check, "hold %" PRIu64 " '%s': its id was never assigned (last: %" PRIu64 ")",
				 hold->id, hold->tag, check->super.counters[TH_SUPER_HOLD]);
	if (!snapshot)
		th_check_problem(check, "hold %" PRIu64 " '%s': its snapshot %" PRIu64 " does not exist", hold->id,
				 hold->tag, hold->snapshot);
	else if (snapshot->deleting)
		th_check_problem(check, "hold %" PRIu64 " '%s': its snapshot %" PRIu64 " '%s' is being deleted",
				 hold->id, hold->tag, hold->snapshot, snapshot->name);
}

static void check_holds(struct th_check *check)
{
	if (check->holds_count > 0)
		qsort(check->holds, check->holds_count, sizeof(*check->holds), compare_holds);
	for (size_t i = 0; i < check->holds_count; i++) {
		check_hold(check, &check->holds[i]);
		if (i > 0 && compare_holds(&check->holds[i - 1], &check->holds[i]) == 0)
			th_check_problem(check, "snapshot %" PRIu64 " is held by '%s' twice", check->holds[i].snapshot,
					 check->holds[i].tag);
	}
}

/* --- branches and their snapshots --- */

static int compare_branch_ids(const void *a, const void *b)
{
	const struct th_check_branch *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

const struct th_check_branch *th_check_branch(const struct th_check *check, uint64_t id)
{
	for (size_t i = 0; i < check->branches_count; i++)
		if (check->branches[i].id == id)
			return &check->branches[i];
	return NULL;
}

const struct th_check_snapshot *th_check_newest(const struct th_check *check, uint64_t branch, size_t count)
{
	while (count > 0 && check->snapshots[count - 1].branch != branch)
		count--;
	return count > 0 ? &check->snapshots[count - 1] : NULL;
}

static void check_branch(struct th_check *check, struct th_check_branch *branch)
{
	bool current = branch->id == check->super.counters[TH_SUPER_BRANCH];
	const struct th_check_snapshot *origin = NULL;

	if (branch->id == 0 || branch->id >= check->super.counters[TH_SUPER_NEXT_BRANCH])
		th_check_problem(check, "branch %" PRIu64 " '%s': its id was never assigned (next: %" PRIu64 ")",
				 branch->id, branch->name, check->super.counters[TH_SUPER_NEXT_BRANCH]);
	if (branch->has_head == (current || branch->detached) || (current && branch->detached))
		th_check_problem(check, "branch %" PRIu64 " '%s': %s", branch->id, branch->name,
				 branch->has_head ? "has two heads" : "has no head");
	if (branch->detached && !th_check_newest(check, branch->id, check->snapshots_count))
		th_check_problem(check, "branch %" PRIu64 " '%s': has neither a head nor snapshots", branch->id,
				 branch->name);
	for (size_t i = 0; i < check->snapshots_count && !origin; i++)
		if (check->snapshots[i].id == branch->origin)
			origin = &check->snapshots[i];
	if (branch->origin && (!origin || origin->branch == branch->id)) {
		th_check_problem(check, "branch %" PRIu64 " '%s': cannot begin from snapshot %" PRIu64, branch->id,
				 branch->name, branch->origin);
		check->incomplete = true;
	}
	branch->origin_generation = origin ? origin->generation : 0;
}

static void check_branches(struct th_check *check)
{
	qsort(check->branches, check->branches_count, sizeof(*check->branches), compare_branch_ids);
	for (size_t i = 0; i < check->branches_count; i++) {
		check_branch(check, &check->branches[i]);
		for (size_t k = 0; k < i; k++)
			if (!check->branches[i].detached && !check->branches[k].detached &&
			    strcmp(check->branches[i].name, check->branches[k].name) == 0)
				th_check_problem(check, "branches %" PRIu64 " and %" PRIu64 " are both named '%s'",
						 check->branches[k].id, check->branches[i].id, check->branches[i].name);
	}
	if (!th_check_branch(check, check->super.counters[TH_SUPER_BRANCH]))
		th_check_problem(check, "the current branch %" PRIu64 " does not exist",
				 check->super.counters[TH_SUPER_BRANCH]);
	for (size_t i = 0; i < check->snapshots_count; i++)
		if (!th_check_branch(check, check->snapshots[i].branch)) {
			th_check_problem(check, "snapshot %" PRIu64 " '%s': its branch %" PRIu64 " does not exist",
					 check->snapshots[i].id, check->snapshots[i].name, check->snapshots[i].branch);
			check->incomplete = true;
		}
}

int th_check_catalogue(struct th_check *check)
{
	int err = 0;

	if (check->snapshots_count > 0) {
		qsort(check->snapshots, check->snapshots_count, sizeof(*check->snapshots), compare_ids);
		check_order(check);
		err = check_names(check);
	}
	check_holds(check);
	if (check->branches_count > 0)
		check_branches(check);
	else
		th_check_problem(check, "there is no branch");
	return err;
}
