/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trim: discards free blocks, so that the file or device below gets their space back.
 *
 * A block must never be discarded once it was handed out again.  So a run to discard is taken like one that is to be
 * written, discarded without the lock, and returned.  Meanwhile it counts as free; a caller that finds no other run
 * waits for it.  Blocks that are reused before their turn are not discarded at all.
 *
 * Blocks that checkpoints freed are discarded in whole units of TH_SPACE_TRIM_UNIT blocks: when the last used block of
 * a unit is freed.  Space in partly used units stays below until th_space_trim().
 */
#include <errno.h>

#include "journal/space/space_state.h"

/* Blocks of one discard, at most (128 MiB): an allocation may have to wait for one.  A segment of the map, so that it
 * needs no bitmap. */
#define TRIM_MAX TH_SPACE_SEGMENT_BLOCKS

void th_space_trim_enable(struct th_space *space, bool on)
{
	pthread_mutex_lock(&space->lock);
	space->trims = on;
	if (!on) {
		th_space_runs_release(&space->freed_units);
		th_space_runs_release(&space->due_units);
	}
	pthread_mutex_unlock(&space->lock);
}

void th_space_trim_note(struct th_space *space, uint64_t addr, uint32_t blocks)
{
	struct th_space_runs *units = &space->freed_units;
	uint64_t from = addr / TH_SPACE_TRIM_UNIT * TH_SPACE_TRIM_UNIT, to = addr + blocks;

	if (!space->trims)
		return;
	if (to % TH_SPACE_TRIM_UNIT)
		to += TH_SPACE_TRIM_UNIT - to % TH_SPACE_TRIM_UNIT;
	if (units->count) {
		const struct th_space_run *last = &units->runs[units->count - 1];

		if (from >= last->addr && from < last->addr + last->blocks)
			from = last->addr + last->blocks;
	}
	/* Without memory these units are not discarded until th_space_trim(). */
	if (from < to && to - from <= UINT32_MAX)
		th_space_runs_add(units, from, (uint32_t)(to - from));
}

/* Rounds the free run [*from, to) to whole units; the end of the map is the end of a unit.  Returns the new end. */
static uint64_t whole_units(const struct th_space *space, uint64_t *from, uint64_t to, uint32_t unit)
{
	if (*from % unit)
		*from += unit - *from % unit;
	return to == space->in_use.blocks ? to : to / unit * unit;
}

/* Takes the next free run to discard in [*from, to), in whole units, of at least `least` blocks.  Moves *from to its
 * start, or to `to` if there is none.  Returns its blocks or 0.  Requires the lock. */
static uint32_t take_free(struct th_space *space, uint64_t *from, uint64_t to, uint32_t unit, uint64_t least)
{
	while (*from < to) {
		uint64_t begin = *from, end, run;
		bool used;

		run = th_space_map_run(&space->in_use, begin, to - begin, &used);
		end = used ? begin : whole_units(space, &begin, begin + run, unit);
		if (begin < end && end - begin >= least) {
			run = end - begin < TRIM_MAX ? end - begin : TRIM_MAX;
			*from = begin;
			return th_space_map_set(&space->in_use, begin, run, true) ? 0 : (uint32_t)run;
		}
		*from += run;
	}
	return 0;
}

static void return_free(struct th_space *space, uint64_t addr, uint32_t blocks)
{
	pthread_mutex_lock(&space->lock);
	/* Without memory for a bitmap the blocks stay in use until the next mount, which is harmless. */
	th_space_map_set(&space->in_use, addr, blocks, false);
	space->trimming -= blocks;
	pthread_cond_broadcast(&space->trimmed);
	pthread_mutex_unlock(&space->lock);
}

/* Discards the next free run in [*from, to).  Moves *from after it and adds its blocks to *ret_blocks.  Returns 0, 1 if
 * there is none, or the error of th_disk_discard(). */
static int trim_next(struct th_space *space, struct th_disk *disk, uint64_t *from, uint64_t to, uint32_t unit,
		     uint64_t least, uint64_t *ret_blocks)
{
	uint32_t blocks;
	int err;

	pthread_mutex_lock(&space->lock);
	while (space->takers)
		pthread_cond_wait(&space->trimmed, &space->lock);
	if (to > space->in_use.blocks)
		to = space->in_use.blocks;
	blocks = take_free(space, from, to, unit, least);
	space->trimming += blocks;
	pthread_mutex_unlock(&space->lock);
	if (!blocks)
		return 1;
	err = th_disk_discard(disk, *from, blocks);
	return_free(space, *from, blocks);
	*from += blocks;
	if (!err)
		*ret_blocks += blocks;
	return err;
}

int th_space_trim(struct th_space *space, struct th_disk *disk, uint64_t from, uint64_t to, uint64_t least,
		  uint64_t *ret_blocks)
{
	int ret;

	*ret_blocks = 0;
	do
		ret = trim_next(space, disk, &from, to, 1, least, ret_blocks);
	while (ret == 0);
	return ret < 0 ? ret : 0;
}

/* Makes the units that were freed since the last time due, if none is due.  Returns whether units are due. */
static bool next_due(struct th_space *space)
{
	if (space->due_at < space->due_units.count)
		return true;
	th_space_runs_release(&space->due_units);
	space->due_units = space->freed_units;
	space->freed_units = (struct th_space_runs){ 0 };
	space->due_at = 0;
	space->due_from = 0;
	return false;
}

/* Returns the due run at due_at, or an empty one if there is none. */
static struct th_space_run due_run(struct th_space *space)
{
	struct th_space_run run = { 0 };

	pthread_mutex_lock(&space->lock);
	if (space->due_at < space->due_units.count)
		run = space->due_units.runs[space->due_at];
	pthread_mutex_unlock(&space->lock);
	return run;
}

int th_space_trim_freed(struct th_space *space, struct th_disk *disk, unsigned most)
{
	bool due;

	pthread_mutex_lock(&space->lock);
	due = next_due(space);
	pthread_mutex_unlock(&space->lock);
	while (due && most > 0) {
		struct th_space_run run = due_run(space);
		uint64_t from = space->due_from > run.addr ? space->due_from : run.addr, discarded = 0;
		int ret;

		if (!run.blocks)
			break;
		ret = trim_next(space, disk, &from, run.addr + run.blocks, TH_SPACE_TRIM_UNIT, 1, &discarded);
		if (ret < 0)
			return ret;
		space->due_from = ret == 1 ? 0 : from;
		if (ret == 1)
			space->due_at++;
		most--;
	}
	return due && most == 0;
}
