/* SPDX-License-Identifier: Apache-2.0 */
/* Superblocks: packing, checking, and finding the newest valid slot. */
#include "journal/super.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/base/checksum.h"

#define SUPER_MAGIC UINT64_C(0x0a4452444e554854) /* "THUNDRD\n" */

struct scrub_disk {
	struct th_le64 generation, begun_ns, ended_ns, snapshot, head, walking, at, bytes;
	struct th_le32 damaged, healed;
	uint8_t paused, reserved[7];
};
static_assert(sizeof(struct scrub_disk) == 80, "format.md: superblock");

/* docs/format.md, "Superblock". */
struct super_disk {
	struct th_le64 magic;
	struct th_le32 version;
	struct th_le32 block_size;
	uint8_t uuid[16];
	char label[TH_LABEL_MAX + 1];
	struct th_le64 compat, ro_compat, incompat;
	struct th_le64 blocks;
	struct th_le64 log_first, log_blocks, log_mirror;
	struct th_le64 generation, sequence;
	struct th_le64 mount_count;
	struct th_le64 next_snapshot_id;
	struct th_le64 created_ns, checkpoint_ns;
	struct th_log_position_disk log_tail;
	struct th_blocklist_disk space_log, dead, strays;
	uint8_t live_root[TH_SUPER_ROOT_SIZE], meta_root[TH_SUPER_ROOT_SIZE];
	struct th_le64 counters[8];
	struct scrub_disk scrub;
	uint8_t clean;
	uint8_t copies;
	struct th_le16 carried_size;
	uint8_t carried[TH_SUPER_CARRIED_BYTES];
	struct th_le64 checksum; /* XXH3 of everything before it */
};
static_assert(offsetof(struct super_disk, uuid) == 16, "format.md: superblock");
static_assert(offsetof(struct super_disk, label) == 32, "format.md: superblock");
static_assert(offsetof(struct super_disk, compat) == 96, "format.md: superblock");
static_assert(offsetof(struct super_disk, generation) == 152, "format.md: superblock");
static_assert(offsetof(struct super_disk, log_tail) == 200, "format.md: superblock");
static_assert(offsetof(struct super_disk, space_log) == 224, "format.md: superblock");
static_assert(offsetof(struct super_disk, live_root) == 392, "format.md: superblock");
static_assert(offsetof(struct super_disk, counters) == 520, "format.md: superblock");
static_assert(offsetof(struct super_disk, scrub) == 584, "format.md: superblock");
static_assert(offsetof(struct super_disk, clean) == 664, "format.md: superblock");
static_assert(offsetof(struct super_disk, carried) == 668, "format.md: superblock");
static_assert(offsetof(struct super_disk, checksum) == TH_BLOCK_SIZE - 8, "format.md: superblock");
static_assert(sizeof(struct super_disk) == TH_BLOCK_SIZE, "format.md: superblock");

static uint64_t checksum(const struct super_disk *disk)
{
	return th_checksum(disk, offsetof(struct super_disk, checksum));
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
	return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Returns whether the second copy of the log, if there is one, is between the first and the end ring. */
static bool mirror_plausible(const struct th_super *super, uint64_t end)
{
	return super->log_mirror == 0 || (super->log_mirror >= super->log_first + super->log_blocks &&
					  super->log_mirror < end && super->log_blocks <= end - super->log_mirror);
}

/* Returns whether the fields can be those of a store, on a disk of any size. */
static bool plausible(const struct th_super *super)
{
	uint64_t end = super->blocks - TH_SUPER_TAIL_BLOCKS;

	return super->blocks > TH_SUPER_FIRST_FREE + TH_SUPER_TAIL_BLOCKS &&
	       super->blocks <= UINT64_MAX >> TH_BLOCK_SHIFT && super->log_first >= TH_SUPER_FIRST_FREE &&
	       super->log_first < end && super->log_blocks > 0 && super->log_blocks <= end - super->log_first &&
	       mirror_plausible(super, end) && super->log_tail.block < super->log_blocks && super->clean <= 1 &&
	       (super->copies == 1 || super->copies == 2) && super->carried_size <= TH_SUPER_CARRIED_BYTES &&
	       memchr(super->label, 0, sizeof(super->label));
}

static void pack_scrub(const struct th_super_scrub *scrub, struct scrub_disk *ret)
{
	ret->generation = th_le64(scrub->generation);
	ret->begun_ns = th_le64(scrub->begun_ns);
	ret->ended_ns = th_le64(scrub->ended_ns);
	ret->snapshot = th_le64(scrub->snapshot);
	ret->head = th_le64(scrub->head);
	ret->walking = th_le64(scrub->walking);
	ret->at = th_le64(scrub->at);
	ret->bytes = th_le64(scrub->bytes);
	ret->damaged = th_le32(scrub->damaged);
	ret->healed = th_le32(scrub->healed);
	ret->paused = scrub->paused;
}

/* Returns whether the reserved bytes are zero and the flag is one. */
static bool unpack_scrub(const struct scrub_disk *disk, struct th_super_scrub *ret)
{
	*ret = (struct th_super_scrub){
		.generation = th_get_le64(disk->generation),
		.begun_ns = th_get_le64(disk->begun_ns),
		.ended_ns = th_get_le64(disk->ended_ns),
		.snapshot = th_get_le64(disk->snapshot),
		.head = th_get_le64(disk->head),
		.walking = th_get_le64(disk->walking),
		.at = th_get_le64(disk->at),
		.bytes = th_get_le64(disk->bytes),
		.damaged = th_get_le32(disk->damaged),
		.healed = th_get_le32(disk->healed),
		.paused = disk->paused,
	};
	return disk->paused <= 1 && all_zero(disk->reserved, sizeof(disk->reserved));
}

static void pack(const struct th_super *super, struct super_disk *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->magic = th_le64(SUPER_MAGIC);
	ret->version = th_le32(TH_FORMAT_VERSION);
	ret->block_size = th_le32(TH_BLOCK_SIZE);
	memcpy(ret->uuid, super->uuid, sizeof(ret->uuid));
	strcpy(ret->label, super->label);
	ret->compat = th_le64(super->compat);
	ret->ro_compat = th_le64(super->ro_compat);
	ret->incompat = th_le64(super->incompat);
	ret->blocks = th_le64(super->blocks);
	ret->log_first = th_le64(super->log_first);
	ret->log_blocks = th_le64(super->log_blocks);
	ret->log_mirror = th_le64(super->log_mirror);
	ret->generation = th_le64(super->generation);
	ret->sequence = th_le64(super->sequence);
	ret->mount_count = th_le64(super->mount_count);
	ret->next_snapshot_id = th_le64(super->next_snapshot_id);
	ret->created_ns = th_le64(super->created_ns);
	ret->checkpoint_ns = th_le64(super->checkpoint_ns);
	ret->log_tail.block = th_le64(super->log_tail.block);
	ret->log_tail.sequence = th_le64(super->log_tail.sequence);
	ret->log_tail.checksum = th_le64(super->log_tail.checksum);
	th_blocklist_pack(&super->space_log, &ret->space_log);
	th_blocklist_pack(&super->dead, &ret->dead);
	th_blocklist_pack(&super->strays, &ret->strays);
	memcpy(ret->live_root, super->live_root, sizeof(ret->live_root));
	memcpy(ret->meta_root, super->meta_root, sizeof(ret->meta_root));
	for (size_t i = 0; i < 8; i++)
		ret->counters[i] = th_le64(super->counters[i]);
	pack_scrub(&super->scrub, &ret->scrub);
	ret->clean = super->clean;
	ret->copies = super->copies;
	ret->carried_size = th_le16(super->carried_size);
	memcpy(ret->carried, super->carried, super->carried_size);
	ret->checksum = th_le64(checksum(ret));
}

/* Returns 0, -ENOMSG if there is no magic number, -EUCLEAN if the slot is not valid, or -EPROTONOSUPPORT if it has a
 * right checksum and an unknown version or feature. */
static int unpack(const struct super_disk *disk, unsigned slot, struct th_super *ret)
{
	struct th_super super = { 0 };

	if (th_get_le64(disk->magic) != SUPER_MAGIC)
		return -ENOMSG;
	if (th_get_le64(disk->checksum) != checksum(disk))
		return -EUCLEAN;
	if (th_get_le32(disk->version) != TH_FORMAT_VERSION)
		return -EPROTONOSUPPORT;
	memcpy(super.uuid, disk->uuid, sizeof(super.uuid));
	memcpy(super.label, disk->label, sizeof(super.label));
	super.compat = th_get_le64(disk->compat);
	super.ro_compat = th_get_le64(disk->ro_compat);
	super.incompat = th_get_le64(disk->incompat);
	super.blocks = th_get_le64(disk->blocks);
	super.log_first = th_get_le64(disk->log_first);
	super.log_blocks = th_get_le64(disk->log_blocks);
	super.log_mirror = th_get_le64(disk->log_mirror);
	super.generation = th_get_le64(disk->generation);
	super.sequence = th_get_le64(disk->sequence);
	super.mount_count = th_get_le64(disk->mount_count);
	super.next_snapshot_id = th_get_le64(disk->next_snapshot_id);
	super.created_ns = th_get_le64(disk->created_ns);
	super.checkpoint_ns = th_get_le64(disk->checkpoint_ns);
	super.log_tail.block = th_get_le64(disk->log_tail.block);
	super.log_tail.sequence = th_get_le64(disk->log_tail.sequence);
	super.log_tail.checksum = th_get_le64(disk->log_tail.checksum);
	memcpy(super.live_root, disk->live_root, sizeof(super.live_root));
	memcpy(super.meta_root, disk->meta_root, sizeof(super.meta_root));
	for (size_t i = 0; i < 8; i++)
		super.counters[i] = th_get_le64(disk->counters[i]);
	super.clean = disk->clean;
	super.copies = disk->copies;
	super.carried_size = th_get_le16(disk->carried_size);
	memcpy(super.carried, disk->carried, sizeof(super.carried));
	*ret = super;
	if (super.incompat || super.ro_compat)
		return -EPROTONOSUPPORT;
	if (th_get_le32(disk->block_size) != TH_BLOCK_SIZE || super.generation % TH_SUPER_SLOTS != slot ||
	    !plausible(&super) || !unpack_scrub(&disk->scrub, &ret->scrub) ||
	    !all_zero(disk->carried + super.carried_size, sizeof(disk->carried) - super.carried_size) ||
	    th_blocklist_unpack(&disk->space_log, &ret->space_log) || th_blocklist_unpack(&disk->dead, &ret->dead) ||
	    th_blocklist_unpack(&disk->strays, &ret->strays))
		return -EUCLEAN;
	return 0;
}

/* Writes to both rings at the same time. */
static int write_copies(struct th_disk *disk, const struct th_super *super, struct super_disk *block)
{
	uint64_t slot = super->generation % TH_SUPER_SLOTS;
	struct iovec iov = { block, sizeof(*block) };
	struct th_future future;
	int err, front_err;

	th_disk_save(disk, slot, &iov, 1, &future);
	err = th_disk_write(disk, super->blocks - TH_SUPER_TAIL_BLOCKS + slot, 1, block);
	front_err = th_future_wait(&future);
	return front_err ? front_err : err;
}

int th_super_write(struct th_disk *disk, const struct th_super *super)
{
	uint64_t slot = super->generation % TH_SUPER_SLOTS;
	struct super_disk *block;
	struct th_super check;
	int err;

	if (!plausible(super) || super->blocks > disk->blocks)
		return -EINVAL;
	block = th_disk_buffer(sizeof(*block));
	if (!block)
		return -ENOMEM;
	pack(super, block);
	err = unpack(block, (unsigned)slot, &check) ? -EINVAL : 0;
	if (!err)
		err = write_copies(disk, super, block);
	free(block);
	return err;
}

int th_super_copy(struct th_disk *disk, uint64_t blocks)
{
	void *ring;
	int err;

	if (blocks > disk->blocks || blocks < 2 * TH_SUPER_SLOTS)
		return -EINVAL;
	ring = th_disk_buffer(TH_SUPER_SLOTS * TH_BLOCK_SIZE);
	if (!ring)
		return -ENOMEM;
	err = th_disk_read(disk, 0, TH_SUPER_SLOTS, ring);
	if (!err)
		err = th_disk_write(disk, blocks - TH_SUPER_TAIL_BLOCKS, TH_SUPER_SLOTS, ring);
	if (!err)
		err = th_disk_sync(disk);
	free(ring);
	return err;
}

/* --- reading --- */

struct search {
	struct th_disk *disk;
	struct super_disk *ring; /* owned; buffer for one ring */
	struct th_super newest;
	bool found; /* newest is valid */
	bool seen; /* a slot has the magic number */
	int unsupported; /* -EPROTONOSUPPORT if a slot has a right checksum and an unknown version or feature */
	int read_err; /* of a ring that could not be read */
	bool wants_all; /* collects all valid slots */
	struct th_super *list; /* these; owned by the caller */
	size_t count, capacity;
	int list_err; /* -ENOMEM: some are missing */
};

/* Adds a valid slot to the list, unless the other ring has the same generation. */
static int list_add(struct search *search, const struct th_super *super)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].generation == super->generation)
			return 0;
	return th_append(search->list, search->capacity, search->count, *super);
}

static void look_at_slot(struct search *search, unsigned slot)
{
	struct th_super super;
	int err = unpack(&search->ring[slot], slot, &super);

	if (err != -ENOMSG)
		search->seen = true;
	if (err == -EPROTONOSUPPORT)
		search->unsupported = err;
	if (!err && search->wants_all && list_add(search, &super))
		search->list_err = -ENOMEM;
	if (err || (search->found && super.generation <= search->newest.generation))
		return;
	search->newest = super;
	search->found = true;
}

static void look_at_ring(struct search *search, uint64_t first)
{
	int err;

	if (search->disk->blocks < TH_SUPER_SLOTS || first > search->disk->blocks - TH_SUPER_SLOTS)
		return;
	err = th_disk_read(search->disk, first, TH_SUPER_SLOTS, search->ring);
	if (err) {
		search->read_err = err;
		return;
	}
	for (unsigned slot = 0; slot < TH_SUPER_SLOTS; slot++)
		look_at_slot(search, slot);
}

/* Searches both rings.  The end ring is at the end of the image as the first ring has it, or at the end of the disk if
 * the first ring is damaged.  A copy there may be older than the ring at the end of the image (th_super_copy()). */
static int search_run(struct search *search, struct th_disk *disk, bool wants_all)
{
	uint64_t end = disk->blocks;

	*search = (struct search){ .disk = disk,
				   .wants_all = wants_all,
				   .ring = th_disk_buffer(TH_SUPER_SLOTS * sizeof(struct super_disk)) };
	if (!search->ring)
		return -ENOMEM;
	look_at_ring(search, 0);
	if (search->found && search->newest.blocks < end)
		end = search->newest.blocks;
	if (end >= 2 * TH_SUPER_SLOTS)
		look_at_ring(search, end - TH_SUPER_TAIL_BLOCKS);
	if (search->found && search->newest.blocks < end && search->newest.blocks >= 2 * TH_SUPER_SLOTS)
		look_at_ring(search, search->newest.blocks - TH_SUPER_TAIL_BLOCKS);
	free(search->ring);
	return 0;
}

int th_super_read(struct th_disk *disk, struct th_super *ret)
{
	struct search search;
	int err = search_run(&search, disk, false);

	if (err)
		return err;
	if (search.unsupported) {
		th_disk_report(disk, "superblock: its version or a feature is unknown to this program");
		return search.unsupported;
	}
	if (!search.found) {
		if (search.read_err)
			return search.read_err;
		if (search.seen)
			th_disk_report(disk, "superblock: all 16 copies are damaged");
		return search.seen ? -EUCLEAN : -EMEDIUMTYPE;
	}
	if (search.newest.blocks > disk->blocks) {
		th_disk_report(disk, "superblock: the image has %" PRIu64 " blocks, the disk only %" PRIu64,
			       search.newest.blocks, disk->blocks);
		return -EUCLEAN;
	}
	*ret = search.newest;
	return 0;
}

static int compare_generations(const void *a, const void *b)
{
	const struct th_super *x = a, *y = b;

	return (x->generation < y->generation) - (x->generation > y->generation);
}

int th_super_list(struct th_disk *disk, struct th_super **ret, size_t *ret_count)
{
	struct search search;
	int err = search_run(&search, disk, true);

	if (!err)
		err = search.list_err;
	if (!err && !search.count)
		err = search.read_err;
	if (err) {
		free(search.list);
		return err;
	}
	if (search.count)
		qsort(search.list, search.count, sizeof(*search.list), compare_generations);
	*ret = search.list;
	*ret_count = search.count;
	return 0;
}

/* --- comparing the rings --- */

enum slot_state { SLOT_EMPTY, SLOT_DAMAGED, SLOT_VALID };

/* Looks at a slot.  An empty one has no magic number.  *ret_generation: of a valid one. */
static enum slot_state slot_state(const struct super_disk *disk, unsigned slot, uint64_t *ret_generation)
{
	struct th_super super;
	int err = unpack(disk, slot, &super);

	*ret_generation = err ? 0 : super.generation;
	return err == -ENOMSG ? SLOT_EMPTY : err ? SLOT_DAMAGED : SLOT_VALID;
}

/* Reads a ring slot by slot, so that an unreadable block costs one.  Such a block is made damaged, not empty. */
static void read_slots(struct th_disk *disk, uint64_t first, struct super_disk *ring)
{
	if (th_disk_read(disk, first, TH_SUPER_SLOTS, ring) == 0)
		return;
	for (unsigned slot = 0; slot < TH_SUPER_SLOTS; slot++) {
		if (th_disk_read(disk, first + slot, 1, &ring[slot]) == 0)
			continue;
		memset(&ring[slot], 0, sizeof(ring[slot]));
		ring[slot].magic = th_le64(SUPER_MAGIC);
	}
}

struct rings {
	struct th_disk *disk;
	struct super_disk *ring[2]; /* owned */
	uint64_t first[2]; /* their addresses */
	struct th_super_rings *found;
};

/* Compares the two copies of a slot, and rewrites a damaged one from a valid one. */
static void mend_slot(struct rings *rings, unsigned slot)
{
	uint64_t generation[2];
	enum slot_state state[2];
	unsigned good;

	for (unsigned i = 0; i < 2; i++)
		state[i] = slot_state(&rings->ring[i][slot], slot, &generation[i]);
	if (state[0] == state[1] && state[0] != SLOT_DAMAGED && generation[0] == generation[1])
		return;
	rings->found->slots++;
	good = generation[1] > generation[0];
	if (state[good] != SLOT_VALID) { /* neither is valid */
		rings->found->damaged += 2;
		return;
	}
	rings->found->damaged++;
	if (rings->disk->heals &&
	    th_disk_write(rings->disk, rings->first[1 - good] + slot, 1, &rings->ring[good][slot]) == 0)
		rings->found->mended++;
}

int th_super_mend(struct th_disk *disk, const struct th_super *newest, struct th_super_rings *ret)
{
	struct rings rings = { .disk = disk, .first = { 0, newest->blocks - TH_SUPER_TAIL_BLOCKS }, .found = ret };
	int err = 0;

	*ret = (struct th_super_rings){ 0 };
	for (unsigned i = 0; i < 2; i++) {
		rings.ring[i] = th_disk_buffer(TH_SUPER_SLOTS * sizeof(struct super_disk));
		if (!rings.ring[i])
			err = -ENOMEM;
		else
			read_slots(disk, rings.first[i], rings.ring[i]);
	}
	for (unsigned slot = 0; slot < TH_SUPER_SLOTS && !err; slot++)
		mend_slot(&rings, slot);
	if (ret->mended && th_disk_sync(disk))
		ret->mended = 0;
	free(rings.ring[0]);
	free(rings.ring[1]);
	return err;
}

bool th_super_present(struct th_disk *disk)
{
	struct search search;

	return search_run(&search, disk, false) == 0 && (search.found || search.unsupported);
}

static int erase_ring(struct th_disk *disk, uint64_t first)
{
	void *zeros = th_disk_buffer(TH_SUPER_SLOTS * TH_BLOCK_SIZE);
	int err;

	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, TH_SUPER_SLOTS * TH_BLOCK_SIZE);
	err = th_disk_write(disk, first, TH_SUPER_SLOTS, zeros);
	free(zeros);
	return err;
}

int th_super_erase(struct th_disk *disk)
{
	struct search search;
	int err = search_run(&search, disk, false);

	if (err)
		return err;
	if (disk->blocks < 2 * TH_SUPER_SLOTS)
		return -EINVAL;
	if (search.found && search.newest.blocks < disk->blocks && search.newest.blocks >= 2 * TH_SUPER_SLOTS)
		err = erase_ring(disk, search.newest.blocks - TH_SUPER_TAIL_BLOCKS);
	if (!err)
		err = erase_ring(disk, disk->blocks - TH_SUPER_TAIL_BLOCKS);
	if (!err)
		err = erase_ring(disk, 0);
	return err;
}
