/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the meta tree's entries: the snapshot catalogue and the share table. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tree/check.h"
#include "tree/meta.h"
#include "tree/meta_format.h"

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
	struct th_share_disk disk;
	uint32_t blocks, count;
	int r;

	if (value.size != sizeof(disk)) {
		meta_problem(check, key, "a share of the wrong size");
		return 0;
	}
	memcpy(&disk, value.data, sizeof(disk));
	blocks = th_get_le32(disk.blocks);
	count = th_get_le32(disk.count);
	if (!th_check_inside(check, addr, blocks) || count == 0 || count > INT32_MAX) {
		th_check_problem(check, "share table: %u blocks from %" PRIu64 " on, count %u: not possible", blocks,
				 addr, count);
		check->incomplete = true;
		return 0;
	}
	r = th_check_claim(check, TH_CLAIM_SHARE, addr, blocks, 1);
	return r < 0 ? r : th_check_claim(check, TH_CLAIM_SHARED, addr, blocks, count);
}

/* --- snapshots --- */

/* NULL, or what is wrong. */
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
		.deleting = disk.deleting,
	};
	memcpy(ret->name, (const char *)value.data + sizeof(disk), name_size);
	if (disk.deleting > 1 || memcmp(disk.reserved, zeros, sizeof(zeros)) != 0)
		return "unknown flags of a snapshot";
	if (name_size == 0 || strlen(ret->name) != name_size || strchr(ret->name, '/') || strcmp(ret->name, ".") == 0 ||
	    strcmp(ret->name, "..") == 0)
		return "a snapshot's name is malformed";
	if (th_ptr_unpack(&disk.root, &ret->root) < 0)
		return "a snapshot's root pointer is broken";
	return th_blocklist_unpack(&disk.dead, &ret->dead) < 0 ? "a snapshot's dead list is broken" : NULL;
}

static int take_snapshot(struct th_check *check, struct th_slice key, struct th_slice value)
{
	struct th_check_snapshot snapshot;
	const char *why = unpack_snapshot(key, value, &snapshot);
	int r;

	if (why) {
		meta_problem(check, key, why);
		return 0;
	}
	r = th_check_grow(&check->snapshots, check->snapshots_count, &check->snapshots_capacity,
			  sizeof(*check->snapshots));
	if (r == 0)
		check->snapshots[check->snapshots_count++] = snapshot;
	return r;
}

int th_check_meta_entry(struct th_check *check, struct th_slice key, struct th_slice value)
{
	uint8_t kind = key.size == sizeof(struct th_meta_key) ? *(const uint8_t *)key.data : 0;

	if (kind == TH_META_SHARE)
		return take_share(check, key, value);
	if (kind == TH_META_SNAPSHOT)
		return take_snapshot(check, key, value);
	meta_problem(check, key, "of a kind that is not defined");
	return 0;
}

static int take_carried(void *arg, struct th_slice key, struct th_slice value)
{
	return value.data ? th_check_meta_entry(arg, key, value) : 0;
}

int th_check_carried(struct th_check *check)
{
	int r = th_carried_each(&check->super, take_carried, check);

	if (r == -EUCLEAN) {
		th_check_problem(check, "meta tree: the messages in the superblock are malformed");
		check->incomplete = true;
		r = 0;
	}
	return r;
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

/* Every name once, but that a deleted snapshot's may be in use again. */
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

/* Each is newer than the one before, and none newer than the store itself. */
static void check_order(struct th_check *check)
{
	uint64_t generation = 0, sequence = 0;

	for (size_t i = 0; i < check->snapshots_count; i++) {
		const struct th_check_snapshot *snapshot = &check->snapshots[i];

		if (snapshot->id == 0 || snapshot->id >= check->super.next_snapshot_id)
			th_check_problem(check,
					 "snapshot %" PRIu64 " '%s': its id was never given out (next: %" PRIu64 ")",
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

int th_check_catalogue(struct th_check *check)
{
	if (check->snapshots_count == 0)
		return 0;
	qsort(check->snapshots, check->snapshots_count, sizeof(*check->snapshots), compare_ids);
	check_order(check);
	return check_names(check);
}
