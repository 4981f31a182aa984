/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space log: a block list whose runs are records, "allocated" or "freed", with the number of their checkpoint.
 *
 * The log records its own pages, both copies of them, like any others.  How many pages a checkpoint needs depends on
 * its records, and each run of pages costs one more record.  So pages are taken until they have room for all records,
 * those of the pages included.  A page has room for 168 records, and each run taken is at least one page and adds one
 * record, or two if pages have two copies: the need grows far slower than the supply, so this ends.  Replaced pages are
 * freed by records of the checkpoint that replaces them.
 *
 * A condensed log begins with the blocks in use at the previous checkpoint, as allocations, and continues with the
 * records of this checkpoint like any other.
 *
 * A block freed by the newest checkpoint may belong to the tree of the superblock before it (S3): when a log is loaded,
 * frees with the newest checkpoint's number wait for one more checkpoint.
 *
 * Every record must change the state of its blocks: allocate free ones, free allocated ones.  A log that does not is
 * damaged, and a checkpoint that does not is refused before it is written.
 *
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/space/blocklist_page.h"
#include "journal/space/space_state.h"

/* Pages: a shorter log is never condensed.  A larger number saves one write of a page or two for each time that so many
 * pages were appended; a smaller one keeps the log of a small image short. */
#define CONDENSE_MIN 16

enum space_log_tag { SPACE_LOG_ALLOC = 1, SPACE_LOG_FREE = 2 };

static int log_pages_add(struct th_space *space, struct th_space_page page)
{
	return th_append(space->log_pages, space->log_pages_room, space->nlog_pages, page);
}

/* --- loading --- */

struct loading {
	struct th_space *space;
	struct th_disk *disk;
	uint64_t newest; /* number of the newest checkpoint in the log */
};

static int load_alloc(struct th_space *space, const struct th_blockrun *run)
{
	int err;

	if (!th_space_map_all(&space->in_use, run->addr, run->blocks, false) ||
	    !th_space_map_all(&space->logged, run->addr, run->blocks, false))
		return -EUCLEAN;
	err = th_space_map_set(&space->logged, run->addr, run->blocks, true);
	if (!err)
		err = th_space_map_set(&space->in_use, run->addr, run->blocks, true);
	th_space_reached(space, run->addr, run->addr + run->blocks);
	return err;
}

static int load_free(struct th_space *space, const struct th_blockrun *run, bool wait)
{
	int err;

	if (!th_space_map_all(&space->logged, run->addr, run->blocks, true))
		return -EUCLEAN;
	err = th_space_map_set(&space->logged, run->addr, run->blocks, false);
	if (err)
		return err;
	if (!wait)
		return th_space_map_set(&space->in_use, run->addr, run->blocks, false);
	err = th_space_runs_add(&space->freed_before, run->addr, run->blocks);
	if (!err)
		space->waiting += run->blocks;
	return err;
}

static void report_record(struct th_disk *disk, const char *where, const struct th_blockrun *run)
{
	const char *what = run->tag == SPACE_LOG_ALLOC  ? "allocated, but not all free"
			   : run->tag == SPACE_LOG_FREE ? "freed, but not all allocated"
							: "of an unknown kind";

	th_disk_report(disk, "%s: %" PRIu32 " blocks at %" PRIu64 " %s", where, run->blocks, run->addr, what);
}

static int load_record(const struct th_blockrun *run, void *arg)
{
	struct loading *loading = arg;
	int err = -EUCLEAN;

	if (th_space_map_inside(&loading->space->in_use, run->addr, run->blocks)) {
		if (run->tag == SPACE_LOG_ALLOC)
			err = load_alloc(loading->space, run);
		else if (run->tag == SPACE_LOG_FREE)
			err = load_free(loading->space, run, run->birth == loading->newest);
	}
	if (err == -EUCLEAN)
		report_record(loading->disk, "space log", run);
	return err;
}

static int load_page(const struct th_blocklist *list, void *arg)
{
	struct loading *loading = arg;

	return log_pages_add(loading->space, (struct th_space_page){ list->head, list->mirror });
}

/* The walk visits pages newest first. */
static void log_pages_reverse(struct th_space *space)
{
	for (size_t i = 0, j = space->nlog_pages; i + 1 < j; i++) {
		struct th_space_page page = space->log_pages[--j];

		space->log_pages[j] = space->log_pages[i];
		space->log_pages[i] = page;
	}
}

static bool is_logged(const struct th_space *space, uint64_t addr)
{
	return th_space_map_inside(&space->logged, addr, 1) && th_space_map_all(&space->logged, addr, 1, true);
}

/* Checks that the log allocates its own pages. */
static int log_pages_check(const struct th_space *space, struct th_disk *disk)
{
	for (size_t i = 0; i < space->nlog_pages; i++) {
		const struct th_space_page *page = &space->log_pages[i];

		if (!is_logged(space, page->addr) || (page->mirror && !is_logged(space, page->mirror))) {
			th_disk_report(disk, "space log: its page %" PRIu64 " is not allocated", page->addr);
			return -EUCLEAN;
		}
	}
	return 0;
}

int th_space_load(struct th_space *space, struct th_disk *disk, const struct th_blocklist *log)
{
	struct loading loading = { .space = space, .disk = disk, .newest = log->max_birth };
	int err;

	if (disk->blocks < space->in_use.blocks)
		return -EINVAL;
	pthread_mutex_lock(&space->lock);
	err = th_blocklist_each(log, disk, load_record, load_page, &loading);
	log_pages_reverse(space);
	if (!err)
		err = log_pages_check(space, disk);
	pthread_mutex_unlock(&space->lock);
	return err;
}

/* --- checkpoints --- */

/* Moves all runs.  Returns 0 or -ENOMEM; then some are lost. */
static int runs_move(struct th_space_runs *to, struct th_space_runs *from)
{
	int err = 0;

	if (to->count == 0) {
		th_space_runs_release(to);
		*to = *from;
		*from = (struct th_space_runs){ 0 };
		return 0;
	}
	for (size_t i = 0; i < from->count && !err; i++)
		err = th_space_runs_add(to, from->runs[i].addr, from->runs[i].blocks);
	th_space_runs_release(from);
	return err;
}

void th_space_freeze(struct th_space *space)
{
	struct th_space_changes *live = &space->sets[TH_SPACE_LIVE], *frozen = &space->sets[TH_SPACE_CHECKPOINT];

	pthread_mutex_lock(&space->lock);
	if (runs_move(&frozen->allocated, &live->allocated) || runs_move(&frozen->freed, &live->freed))
		space->broken = -ENOMEM;
	pthread_mutex_unlock(&space->lock);
}

/* Blocks that were taken for pages. */
struct taken {
	struct th_blocklist_supply *runs; /* owned */
	size_t count, room;
	uint64_t blocks; /* in all of them */
};

/* One checkpoint of the log. */
struct log_checkpoint {
	struct th_space *space;
	struct th_blocklist_writer writer;
	struct th_blockrun *records;
	size_t count, room;
	size_t skip; /* records at the start that repeat the logged map, in a condensed log */
	uint64_t number; /* of this checkpoint */
	bool condense;
	struct taken first, second; /* pages taken, for both copies; the second may be empty */
};

static int add_record(struct log_checkpoint *cp, uint64_t addr, uint32_t blocks, enum space_log_tag tag)
{
	int err = th_grow(cp->records, cp->room, cp->count + 1);

	if (err)
		return err;
	cp->records[cp->count++] =
		(struct th_blockrun){ .addr = addr, .birth = cp->number, .blocks = blocks, .tag = tag };
	return 0;
}

static int compare_runs(const void *a, const void *b)
{
	const struct th_space_run *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Sorts runs by address, so that many merge. */
static void runs_sort(struct th_space_runs *runs)
{
	size_t count = 0;

	if (runs->count)
		qsort(runs->runs, runs->count, sizeof(*runs->runs), compare_runs);
	for (size_t i = 0; i < runs->count; i++) {
		struct th_space_run run = runs->runs[i];

		if (count == 0 || !th_space_run_merge(&runs->runs[count - 1], run.addr, run.blocks))
			runs->runs[count++] = run;
	}
	runs->count = count;
}

static int add_runs(struct log_checkpoint *cp, const struct th_space_runs *runs, enum space_log_tag tag)
{
	int err = 0;

	for (size_t i = 0; i < runs->count && !err; i++)
		err = add_record(cp, runs->runs[i].addr, runs->runs[i].blocks, tag);
	return err;
}

static uint64_t count_runs(const struct th_space_map *map)
{
	uint64_t addr = 0, blocks = 0, count = 0;

	while (th_space_map_next_used(map, addr + blocks, &addr, &blocks))
		count++;
	return count;
}

/* Returns whether the log is more than twice as long as a condensed one.  Counting walks the whole map, so it is done
 * only when the log has grown by a quarter since the last time: a log may get a quarter longer than that before it is
 * condensed. */
static bool worth_condensing(struct th_space *space, const struct th_blocklist *log)
{
	uint64_t need;

	if (log->pages <= CONDENSE_MIN || log->pages < space->condense_at)
		return false;
	need = count_runs(&space->logged) / TH_BLOCKLIST_PAGE_RUNS + 1;
	if (log->pages > 2 * need)
		return true;
	space->condense_at = log->pages + log->pages / 4;
	return false;
}

/* Adds the logged map as allocations.  Requires the lock. */
static int add_logged(struct log_checkpoint *cp)
{
	const struct th_space_map *map = &cp->space->logged;
	uint64_t addr = 0, blocks = 0;
	int err = 0;

	while (!err && th_space_map_next_used(map, addr + blocks, &addr, &blocks)) {
		if (blocks > UINT32_MAX)
			blocks = UINT32_MAX;
		err = add_record(cp, addr, (uint32_t)blocks, SPACE_LOG_ALLOC);
	}
	cp->skip = cp->count;
	return err;
}

/* Takes blocks until there are `need`. */
static int take_blocks(struct log_checkpoint *cp, struct taken *taken, uint64_t need)
{
	enum th_space_class class = taken == &cp->first ? TH_SPACE_META : TH_SPACE_MIRROR;
	uint64_t hint = taken == &cp->first ? 0 : th_space_far(cp->space, cp->first.runs[0].addr);
	int err = 0;

	while (!err && taken->blocks < need) {
		uint64_t left = need - taken->blocks;
		struct th_blocklist_supply run;

		err = th_grow(taken->runs, taken->room, taken->count + 1);
		if (!err)
			err = th_space_take(cp->space, class, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX, 1, &hint,
					    &run.addr, &run.blocks);
		if (err)
			return err;
		taken->runs[taken->count++] = run;
		taken->blocks += run.blocks;
	}
	return err;
}

/* Takes pages for `records` records and for those of the pages themselves. */
static int take_pages(struct log_checkpoint *cp, size_t records)
{
	bool two = th_space_copies(cp->space) > 1;
	uint64_t need;
	int err = 0;

	while (!err) {
		need = th_blocklist_writer_pages(&cp->writer, records + cp->first.count + cp->second.count);
		if (need == cp->first.blocks)
			break;
		err = take_blocks(cp, &cp->first, need);
		if (!err && two)
			err = take_blocks(cp, &cp->second, need);
	}
	return err;
}

static void give_pages(struct log_checkpoint *cp, const struct taken *taken)
{
	for (size_t i = 0; i < taken->count; i++)
		th_space_give(cp->space, taken->runs[i].addr, taken->runs[i].blocks);
}

static int free_old_page(const struct th_space_page *page, struct th_space_runs *freed)
{
	int err = page->addr ? th_space_runs_add(freed, page->addr, 1) : 0;

	return err || !page->mirror ? err : th_space_runs_add(freed, page->mirror, 1);
}

/* Adds the pages that this checkpoint replaces to the runs that it frees. */
static int free_old_pages(struct log_checkpoint *cp, struct th_space_runs *freed)
{
	const struct th_space *space = cp->space;
	int err = 0;

	if (!cp->condense)
		return free_old_page(&(struct th_space_page){ cp->writer.replaced, cp->writer.replaced_mirror }, freed);
	for (size_t i = 0; i < space->nlog_pages && !err; i++)
		err = free_old_page(&space->log_pages[i], freed);
	return err;
}

static int add_taken(struct log_checkpoint *cp, const struct taken *taken)
{
	int err = 0;

	for (size_t i = 0; i < taken->count && !err; i++)
		err = add_record(cp, taken->runs[i].addr, taken->runs[i].blocks, SPACE_LOG_ALLOC);
	return err;
}

static int build_records(struct log_checkpoint *cp, struct th_space_changes *set)
{
	int err;

	runs_sort(&set->allocated);
	runs_sort(&set->freed);
	err = add_runs(cp, &set->allocated, SPACE_LOG_ALLOC);
	/* Without any record there is one page with the record of itself, for the checkpoint's number. */
	if (!err)
		err = take_pages(cp, cp->count + set->freed.count ? cp->count + set->freed.count : 1);
	if (!err)
		err = add_taken(cp, &cp->first);
	if (!err)
		err = add_taken(cp, &cp->second);
	if (!err)
		err = add_runs(cp, &set->freed, SPACE_LOG_FREE);
	return err;
}

static int apply_record(struct th_space *space, const struct th_blockrun *run, bool undo)
{
	bool used = (run->tag == SPACE_LOG_ALLOC) != undo;

	if (!th_space_map_inside(&space->logged, run->addr, run->blocks) ||
	    !th_space_map_all(&space->logged, run->addr, run->blocks, !used))
		return -EUCLEAN;
	return th_space_map_set(&space->logged, run->addr, run->blocks, used);
}

/* Applies the records to the logged map, all or none.  Requires the lock. */
static int apply_records(const struct log_checkpoint *cp)
{
	struct th_space *space = cp->space;
	size_t i = cp->skip;
	int err = 0;

	for (; i < cp->count && !err; i++)
		err = apply_record(space, &cp->records[i], false);
	if (!err)
		return 0;
	if (err == -EUCLEAN)
		report_record(cp->writer.disk, "checkpoint", &cp->records[i - 1]);
	if (err == -ENOMEM)
		space->broken = err;
	for (i--; i > cp->skip; i--)
		apply_record(space, &cp->records[i - 1], true);
	return err;
}

static void undo_records(const struct log_checkpoint *cp)
{
	for (size_t i = cp->count; i > cp->skip; i--)
		apply_record(cp->space, &cp->records[i - 1], true);
}

static int write_records(struct log_checkpoint *cp, struct th_blocklist *ret)
{
	int err = 0;

	cp->writer.first = (struct th_blocklist_supplies){ .more = cp->first.runs, .nmore = cp->first.count };
	cp->writer.second = (struct th_blocklist_supplies){ .more = cp->second.runs, .nmore = cp->second.count };
	for (size_t i = 0; i < cp->count && !err; i++)
		err = th_blocklist_writer_run(&cp->writer, &cp->records[i]);
	return err ? err : th_blocklist_writer_finish(&cp->writer, ret);
}

/* A place in the taken blocks: a run, and a block of it. */
struct place {
	size_t run;
	uint32_t block;
};

/* Returns the block at the place, which moves on; 0 at the end. */
static uint64_t next_block(const struct taken *taken, struct place *at)
{
	uint64_t block;

	if (at->run == taken->count)
		return 0;
	block = taken->runs[at->run].addr + at->block++;
	if (at->block == taken->runs[at->run].blocks)
		*at = (struct place){ .run = at->run + 1 };
	return block;
}

static int remember_pages(struct log_checkpoint *cp)
{
	struct th_space *space = cp->space;
	struct place first = { 0 }, second = { 0 };
	int err = 0;

	if (cp->condense)
		space->nlog_pages = 0;
	else if (cp->writer.replaced)
		space->nlog_pages--;
	for (uint64_t i = 0; i < cp->first.blocks && !err; i++) {
		struct th_space_page page = { .addr = next_block(&cp->first, &first) };

		page.mirror = next_block(&cp->second, &second);
		err = log_pages_add(space, page);
	}
	return err;
}

static int prepare(struct log_checkpoint *cp, struct th_disk *disk, const struct th_blocklist *log)
{
	struct th_space *space = cp->space;
	const struct th_blocklist empty = { 0 };
	int err;

	pthread_mutex_lock(&space->lock);
	err = space->broken;
	cp->condense = worth_condensing(space, log);
	if (!err && cp->condense)
		err = add_logged(cp);
	pthread_mutex_unlock(&space->lock);
	if (err)
		return err;
	err = th_blocklist_writer_init(&cp->writer, disk, NULL, cp->condense ? &empty : log);
	if (err)
		return err;
	return th_blocklist_writer_reopen(&cp->writer, TH_BLOCKLIST_RUNS);
}

/* The runs freed by the set, with the old pages, now wait for the next checkpoint. */
static void set_written(struct log_checkpoint *cp, struct th_space_changes *set)
{
	struct th_space *space = cp->space;

	th_space_runs_release(&set->allocated);
	th_space_runs_release(&space->freed_now);
	space->freed_now = set->freed;
	set->freed = (struct th_space_runs){ 0 };
	if (cp->condense)
		space->condense_at = 0;
	if (remember_pages(cp))
		space->broken = -ENOMEM;
}

static int checkpoint_set(struct log_checkpoint *cp, struct th_space_changes *set, struct th_blocklist *log)
{
	struct th_space *space = cp->space;
	uint64_t before = set->freed.blocks;
	int err;

	err = free_old_pages(cp, &set->freed);
	pthread_mutex_lock(&space->lock);
	space->waiting += set->freed.blocks - before;
	pthread_mutex_unlock(&space->lock);
	if (!err)
		err = build_records(cp, set);
	if (err)
		return err;
	pthread_mutex_lock(&space->lock);
	err = apply_records(cp);
	pthread_mutex_unlock(&space->lock);
	if (err)
		return err;
	err = write_records(cp, log);
	pthread_mutex_lock(&space->lock);
	if (err)
		undo_records(cp);
	else
		set_written(cp, set);
	pthread_mutex_unlock(&space->lock);
	return err;
}

int th_space_checkpoint(struct th_space *space, struct th_disk *disk, struct th_blocklist *log)
{
	struct th_space_changes *set = &space->sets[TH_SPACE_CHECKPOINT];
	struct log_checkpoint cp = { .space = space, .number = log->max_birth + 1 };
	int err;

	err = prepare(&cp, disk, log);
	/* Even a checkpoint without changes ends the wait of the runs that the previous one freed; the log must show it
	 * (S3). */
	if (!err && (set->allocated.count || set->freed.count || space->freed_before.count))
		err = checkpoint_set(&cp, set, log);
	if (err) {
		give_pages(&cp, &cp.first);
		give_pages(&cp, &cp.second);
	}
	th_blocklist_writer_release(&cp.writer);
	free(cp.first.runs);
	free(cp.second.runs);
	free(cp.records);
	return err;
}

/* Keeps the waiting runs while there are pins, and adds those freed last. */
static void keep_waiting(struct th_space *space)
{
	if (runs_move(&space->freed_before, &space->freed_now))
		space->broken = -ENOMEM;
}

void th_space_checkpointed(struct th_space *space)
{
	pthread_mutex_lock(&space->lock);
	if (space->pins > 0) {
		keep_waiting(space);
	} else {
		for (size_t i = 0; i < space->freed_before.count; i++) {
			struct th_space_run run = space->freed_before.runs[i];

			th_space_map_set(&space->in_use, run.addr, run.blocks, false);
			th_space_trim_note(space, run.addr, run.blocks);
		}
		space->waiting -= space->freed_before.blocks;
		th_space_runs_release(&space->freed_before);
		space->freed_before = space->freed_now;
		space->freed_now = (struct th_space_runs){ 0 };
	}
	pthread_mutex_unlock(&space->lock);
}

void th_space_pin(struct th_space *space)
{
	pthread_mutex_lock(&space->lock);
	space->pins++;
	pthread_mutex_unlock(&space->lock);
}

void th_space_unpin(struct th_space *space)
{
	pthread_mutex_lock(&space->lock);
	space->pins--;
	pthread_mutex_unlock(&space->lock);
}
