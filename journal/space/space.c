/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator: hands out blocks, and keeps the sets of noted runs. */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/space/space_state.h"

/* The emergency reserve is 1/32 of the disk, within these bounds (2 MiB for each copy of metadata, and 1 GiB, in
 * blocks), but at most 1/8.  Deletions and a checkpoint fit into it; if it were too small, a full image could not be
 * emptied. */
#define EMERGENCY_MIN 512
/* Reserved data will need metadata: 8 bytes a block for its checksum, and up to some 100 for the record of a run of one
 * block.  With less set aside, filling an image with data eats into the emergency reserve, and the first files deleted
 * give nothing back. */
#define METADATA_PART 32
#define EMERGENCY_MAX (1u << (30 - TH_BLOCK_SHIFT))

static uint64_t emergency_for(uint64_t blocks, unsigned copies)
{
	uint64_t emergency = blocks / 32, least = (uint64_t)EMERGENCY_MIN * copies;

	if (emergency > EMERGENCY_MAX)
		emergency = EMERGENCY_MAX;
	if (emergency < least)
		emergency = least;
	return emergency < blocks / 8 ? emergency : blocks / 8;
}

int th_space_new(uint64_t blocks, struct th_space **ret)
{
	struct th_space *space = calloc(1, sizeof(*space));
	int err;

	if (!space)
		return -ENOMEM;
	err = th_space_map_init(&space->in_use, blocks);
	if (!err)
		err = th_space_map_init(&space->logged, blocks);
	if (err) {
		th_space_map_release(&space->in_use);
		free(space);
		return err;
	}
	pthread_mutex_init(&space->lock, NULL);
	pthread_cond_init(&space->trimmed, NULL);
	space->copies = 1;
	space->emergency = emergency_for(blocks, space->copies);
	*ret = space;
	return 0;
}

void th_space_set_copies(struct th_space *space, unsigned copies)
{
	pthread_mutex_lock(&space->lock);
	space->copies = copies;
	space->emergency = emergency_for(space->in_use.blocks, copies);
	pthread_mutex_unlock(&space->lock);
}

unsigned th_space_copies(struct th_space *space)
{
	unsigned copies;

	pthread_mutex_lock(&space->lock);
	copies = space->copies;
	pthread_mutex_unlock(&space->lock);
	return copies;
}

uint64_t th_space_far(struct th_space *space, uint64_t addr)
{
	uint64_t blocks;

	pthread_mutex_lock(&space->lock);
	blocks = space->in_use.blocks;
	pthread_mutex_unlock(&space->lock);
	return (addr + blocks / 2) % blocks;
}

void th_space_free(struct th_space *space)
{
	if (!space)
		return;
	for (int set = 0; set < 2; set++) {
		th_space_runs_release(&space->sets[set].allocated);
		th_space_runs_release(&space->sets[set].freed);
	}
	th_space_runs_release(&space->freed_now);
	th_space_runs_release(&space->freed_before);
	th_space_runs_release(&space->freed_units);
	th_space_runs_release(&space->due_units);
	th_space_map_release(&space->in_use);
	th_space_map_release(&space->logged);
	free(space->log_pages);
	pthread_mutex_destroy(&space->lock);
	pthread_cond_destroy(&space->trimmed);
	free(space);
}

int th_space_grow(struct th_space *space, uint64_t blocks, uint64_t tail)
{
	int err = -EINVAL;

	pthread_mutex_lock(&space->lock);
	if (blocks >= space->in_use.blocks + tail) {
		err = th_space_map_grow(&space->logged, blocks); /* larger than in_use does no harm */
		if (!err)
			err = th_space_map_grow(&space->in_use, blocks);
		if (!err)
			err = th_space_map_set(&space->in_use, blocks - tail, tail, true);
		space->emergency = emergency_for(space->in_use.blocks, space->copies);
	}
	pthread_mutex_unlock(&space->lock);
	return err;
}

/* --- runs --- */

bool th_space_run_merge(struct th_space_run *last, uint64_t addr, uint32_t blocks)
{
	if (blocks > UINT32_MAX - last->blocks)
		return false;
	if (addr + blocks == last->addr)
		last->addr = addr;
	else if (last->addr + last->blocks != addr)
		return false;
	last->blocks += blocks;
	return true;
}

int th_space_runs_add(struct th_space_runs *runs, uint64_t addr, uint32_t blocks)
{
	if (runs->count == 0 || !th_space_run_merge(&runs->runs[runs->count - 1], addr, blocks)) {
		int err = th_grow(runs->runs, runs->room, runs->count + 1);

		if (err)
			return err;
		runs->runs[runs->count++] = (struct th_space_run){ .addr = addr, .blocks = blocks };
	}
	runs->blocks += blocks;
	return 0;
}

void th_space_runs_release(struct th_space_runs *runs)
{
	free(runs->runs);
	*runs = (struct th_space_runs){ 0 };
}

/* --- taking --- */

/* Blocks that are being discarded count as free. */
static uint64_t used_blocks(const struct th_space *space)
{
	return space->in_use.used - space->trimming;
}

static uint64_t free_blocks(const struct th_space *space)
{
	return space->in_use.blocks - used_blocks(space);
}

/* Returns how many blocks this class may take. */
static uint64_t available(const struct th_space *space, enum th_space_class class)
{
	uint64_t free = free_blocks(space);
	uint64_t kept = space->reserved + space->reserved / METADATA_PART + space->emergency + space->pledged;
	uint64_t coming = space->waiting < space->emergency / 4 ? space->waiting : space->emergency / 4;

	if (class == TH_SPACE_META || class == TH_SPACE_MIRROR)
		return free;
	if (class == TH_SPACE_RESERVED)
		return space->reserved < free ? space->reserved : free;
	/* Waiting blocks are as good as free: up to a quarter of the emergency reserve stands in until they are. */
	return free + coming > kept ? free + coming - kept : 0;
}

/* Second copies begin in the middle, and do not count until the blocks before them are used up. */
void th_space_reached(struct th_space *space, uint64_t addr, uint64_t end)
{
	uint64_t middle = space->in_use.blocks / 2;

	if (space->high < end && (addr < middle || space->high >= middle))
		space->high = end;
}

/* While a quarter of the blocks that were ever used is free, blocks that were never used are not taken: an image in a
 * sparse file stays small, and the filesystem below need not allocate.  If a quarter is wrong, the image grows early,
 * or runs get shorter. */
static uint64_t search_limit(const struct th_space *space, enum th_space_class class)
{
	uint64_t used = used_blocks(space);

	if (class != TH_SPACE_MIRROR && used < space->high && space->high - used >= space->high / 4)
		return space->high;
	return space->in_use.blocks;
}

/* Finds a run that begins before `end`, which is the end of the map or of the part for data.  A length that was not
 * found is remembered for each of the two. */
static bool search(struct th_space *space, enum th_space_class class, uint64_t from, uint64_t end, uint32_t least,
		   uint64_t *ret)
{
	uint32_t *longest = &space->in_use.longest[end == space->in_use.blocks];
	uint64_t limit = search_limit(space, class);

	if (limit > end)
		limit = end;
	if (*longest < least)
		return false;
	if (th_space_map_find(&space->in_use, from, limit, least, ret) ||
	    th_space_map_find(&space->in_use, 0, from < limit ? from : limit, least, ret) ||
	    th_space_map_find(&space->in_use, limit, end, least, ret))
		return true;
	*longest = least - 1;
	return false;
}

/* Finds a run right at `from`, where the writer is.  Down to an eighth of the wanted length it is better than a longer
 * one elsewhere, as it continues the previous run. */
static bool search_here(const struct th_space *space, enum th_space_class class, uint64_t from, uint32_t want,
			uint32_t min, uint64_t *ret)
{
	uint32_t least = want / 8 > min ? want / 8 : min;
	bool used;

	*ret = from;
	return from < search_limit(space, class) && th_space_map_run(&space->in_use, from, least, &used) == least &&
	       !used;
}

static int find_run(struct th_space *space, enum th_space_class class, uint64_t from, uint64_t end, uint32_t want,
		    uint32_t min, uint64_t *ret_addr, uint32_t *ret_blocks)
{
	uint32_t least = want;
	bool found, used;

	if (from >= end)
		from = 0;
	found = want <= end - from && search_here(space, class, from, want, min, ret_addr);
	while (!found) {
		found = search(space, class, from, end, least, ret_addr);
		if (!found && least == min)
			return -ENOSPC;
		least = least / 2 > min ? least / 2 : min;
	}
	if (want > end - *ret_addr && min <= end - *ret_addr)
		want = (uint32_t)(end - *ret_addr);
	*ret_blocks = (uint32_t)th_space_map_run(&space->in_use, *ret_addr, want, &used);
	return 0;
}

/*
 * Data stays out of the last `emergency` blocks.  So however full and fragmented the rest is, nodes, which need runs,
 * find them there.  Nodes use that part only when there is no run elsewhere; reserved data does too, if nodes have used
 * up the rest.
 */
static int find_run_for(struct th_space *space, enum th_space_class class, uint64_t from, uint32_t want, uint32_t min,
			uint64_t *ret_addr, uint32_t *ret_blocks)
{
	uint64_t blocks = space->in_use.blocks;
	int err = find_run(space, class, from, blocks - space->emergency, want, min, ret_addr, ret_blocks);

	if (err == -ENOSPC && class != TH_SPACE_USER)
		err = find_run(space, class, from, blocks, want, min, ret_addr, ret_blocks);
	return err;
}

static void move_cursor(struct th_space *space, enum th_space_class class, uint64_t *hint, uint64_t addr,
			uint32_t blocks)
{
	uint64_t *cursor = &space->cursors[class == TH_SPACE_META];

	if (class != TH_SPACE_MIRROR && (!hint || *hint == 0 || *cursor - addr < blocks))
		*cursor = addr + blocks;
	if (hint)
		*hint = addr + blocks;
}

static int take(struct th_space *space, enum th_space_class class, uint32_t want, uint32_t min, uint64_t *hint,
		uint64_t *ret_addr, uint32_t *ret_blocks)
{
	uint64_t limit = available(space, class);
	uint64_t from = hint && *hint ? *hint : space->cursors[class == TH_SPACE_META];
	int err;

	if (limit < min)
		return -ENOSPC;
	if (want > limit)
		want = (uint32_t)limit;
	err = find_run_for(space, class, from, want, min, ret_addr, ret_blocks);
	if (!err)
		err = th_space_map_set(&space->in_use, *ret_addr, *ret_blocks, true);
	if (err)
		return err;
	if (class == TH_SPACE_RESERVED)
		space->reserved -= *ret_blocks;
	th_space_reached(space, *ret_addr, *ret_addr + *ret_blocks);
	move_cursor(space, class, hint, *ret_addr, *ret_blocks);
	return 0;
}

/* Retries after each discard: blocks that are being discarded are free, but cannot be taken. */
static int take_trimmed(struct th_space *space, enum th_space_class class, uint32_t want, uint32_t min, uint64_t *hint,
			uint64_t *ret_addr, uint32_t *ret_blocks)
{
	int err = -ENOSPC;

	space->takers++;
	while (err == -ENOSPC && space->trimming && available(space, class) >= min) {
		pthread_cond_wait(&space->trimmed, &space->lock);
		err = take(space, class, want, min, hint, ret_addr, ret_blocks);
	}
	if (--space->takers == 0)
		pthread_cond_broadcast(&space->trimmed);
	return err;
}

int th_space_take(struct th_space *space, enum th_space_class class, uint32_t want, uint32_t min, uint64_t *hint,
		  uint64_t *ret_addr, uint32_t *ret_blocks)
{
	int err;

	if (min == 0 || want < min)
		return -EINVAL;
	pthread_mutex_lock(&space->lock);
	err = take(space, class, want, min, hint, ret_addr, ret_blocks);
	if (err == -ENOSPC && space->trimming)
		err = take_trimmed(space, class, want, min, hint, ret_addr, ret_blocks);
	pthread_mutex_unlock(&space->lock);
	return err;
}

void th_space_give(struct th_space *space, uint64_t addr, uint32_t blocks)
{
	pthread_mutex_lock(&space->lock);
	/* Without memory for a bitmap the blocks stay in use until the next mount, which is harmless. */
	if (th_space_map_inside(&space->in_use, addr, blocks))
		th_space_map_set(&space->in_use, addr, blocks, false);
	pthread_mutex_unlock(&space->lock);
}

/* --- noting --- */

void th_space_note_alloc(struct th_space *space, enum th_space_set set, uint64_t addr, uint32_t blocks)
{
	pthread_mutex_lock(&space->lock);
	if (th_space_runs_add(&space->sets[set].allocated, addr, blocks))
		space->broken = -ENOMEM;
	pthread_mutex_unlock(&space->lock);
}

void th_space_note_free(struct th_space *space, enum th_space_set set, uint64_t addr, uint32_t blocks)
{
	pthread_mutex_lock(&space->lock);
	if (th_space_runs_add(&space->sets[set].freed, addr, blocks))
		space->broken = -ENOMEM;
	else
		space->waiting += blocks;
	pthread_mutex_unlock(&space->lock);
}

int th_space_reserve(struct th_space *space, uint32_t blocks)
{
	int err = 0;

	pthread_mutex_lock(&space->lock);
	if (available(space, TH_SPACE_USER) < blocks)
		err = -ENOSPC;
	else
		space->reserved += blocks;
	pthread_mutex_unlock(&space->lock);
	return err;
}

int th_space_reserve_emergency(struct th_space *space, uint32_t blocks)
{
	uint64_t free, kept;
	int err = 0;

	pthread_mutex_lock(&space->lock);
	free = free_blocks(space);
	kept = space->reserved + space->emergency / 2 + space->pledged;
	if (free < kept || free - kept < blocks)
		err = -ENOSPC;
	else
		space->reserved += blocks;
	pthread_mutex_unlock(&space->lock);
	return err;
}

void th_space_unreserve(struct th_space *space, uint32_t blocks)
{
	pthread_mutex_lock(&space->lock);
	space->reserved -= blocks < space->reserved ? blocks : space->reserved;
	pthread_mutex_unlock(&space->lock);
}

void th_space_pledge(struct th_space *space, uint64_t blocks)
{
	pthread_mutex_lock(&space->lock);
	space->pledged = blocks;
	pthread_mutex_unlock(&space->lock);
}

int th_space_try_pledge(struct th_space *space, uint64_t blocks, uint64_t keep)
{
	int err = 0;

	pthread_mutex_lock(&space->lock);
	if (free_blocks(space) < keep + blocks)
		err = -ENOSPC;
	else
		space->pledged = blocks;
	pthread_mutex_unlock(&space->lock);
	return err;
}

int th_space_claim(struct th_space *space, uint64_t addr, uint64_t blocks)
{
	int err = -EUCLEAN;

	pthread_mutex_lock(&space->lock);
	if (th_space_map_inside(&space->in_use, addr, blocks) && th_space_map_all(&space->in_use, addr, blocks, false))
		err = th_space_map_set(&space->in_use, addr, blocks, true);
	pthread_mutex_unlock(&space->lock);
	return err;
}

bool th_space_in_use(struct th_space *space, uint64_t addr, uint64_t blocks)
{
	bool in_use;

	pthread_mutex_lock(&space->lock);
	in_use = th_space_map_inside(&space->in_use, addr, blocks) &&
		 th_space_map_all(&space->in_use, addr, blocks, true);
	pthread_mutex_unlock(&space->lock);
	return in_use;
}

void th_space_stat(struct th_space *space, struct th_space_stat *ret)
{
	pthread_mutex_lock(&space->lock);
	ret->blocks = space->in_use.blocks;
	ret->free = free_blocks(space);
	ret->waiting = space->waiting;
	ret->reserved = space->reserved;
	ret->emergency = space->emergency;
	ret->available = available(space, TH_SPACE_USER);
	pthread_mutex_unlock(&space->lock);
}

int th_space_each_used(struct th_space *space, th_space_visit *visit, void *arg)
{
	uint64_t addr = 0, blocks = 0;
	int err = 0;

	while (!err) {
		bool found;

		pthread_mutex_lock(&space->lock);
		found = th_space_map_next_used(&space->logged, addr + blocks, &addr, &blocks);
		pthread_mutex_unlock(&space->lock);
		if (!found)
			break;
		err = visit(addr, blocks, arg);
	}
	return err;
}
