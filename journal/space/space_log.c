/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space log: a block list whose runs say "allocated" or "freed", each with the number of the commit that said so.
 *
 * The log names its own pages like any others.  How many a commit needs depends on its records, and each run of pages
 * costs one more record; so pages are taken until they hold what is to be written including the records that name them.
 * A page holds 168 records, and each run taken is at least one page and adds one record: the need grows far slower than
 * what is taken, and that ends.  Pages that are replaced are freed by records of the commit that replaces them.
 *
 * A condensed log begins with what the commit before it had in use, as allocations, and goes on with the records of
 * this commit like any other.
 *
 * A block freed by the newest commit may belong to the tree of the superblock before it (S3): when a log is loaded,
 * frees that carry the newest commit's number wait for one more commit.
 *
 * Every record must change what it is about: allocate what is free, free what is allocated.  A log that does not is
 * broken, and a commit whose changes do not is refused before it is written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/space/blocklist_page.h"
#include "journal/space/space_state.h"

#define CONDENSE_MIN 64 /* pages */

enum space_log_tag { SPACE_LOG_ALLOC = 1, SPACE_LOG_FREE = 2 };

static bool log_pages_add(struct th_space *space, uint64_t addr)
{
	if (space->nlog_pages == space->log_pages_room) {
		size_t room = space->log_pages_room ? 2 * space->log_pages_room : 64;
		uint64_t *pages = reallocarray(space->log_pages, room, sizeof(*pages));

		if (!pages)
			return false;
		space->log_pages = pages;
		space->log_pages_room = room;
	}
	space->log_pages[space->nlog_pages++] = addr;
	return true;
}

/* --- loading --- */

struct loading {
	struct th_space *space;
	struct th_disk *disk;
	uint64_t newest; /* number of the commit that wrote the log last */
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
	th_space_reached(space, run->addr + run->blocks);
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
	if (!th_space_runs_add(&space->freed_before, run->addr, run->blocks))
		return -ENOMEM;
	space->waiting += run->blocks;
	return 0;
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

static int load_page(uint64_t addr, void *arg)
{
	struct loading *loading = arg;

	return log_pages_add(loading->space, addr) ? 0 : -ENOMEM;
}

/* They were told newest first. */
static void log_pages_reverse(struct th_space *space)
{
	for (size_t i = 0, j = space->nlog_pages; i + 1 < j; i++) {
		uint64_t page = space->log_pages[--j];

		space->log_pages[j] = space->log_pages[i];
		space->log_pages[i] = page;
	}
}

/* A log allocates its own pages. */
static int log_pages_check(const struct th_space *space, struct th_disk *disk)
{
	for (size_t i = 0; i < space->nlog_pages; i++) {
		if (!th_space_map_inside(&space->logged, space->log_pages[i], 1) ||
		    !th_space_map_all(&space->logged, space->log_pages[i], 1, true)) {
			th_disk_report(disk, "space log: its page %" PRIu64 " is not allocated", space->log_pages[i]);
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

/* --- committing --- */

static bool runs_move(struct th_space_runs *to, struct th_space_runs *from)
{
	bool moved = true;

	if (to->count == 0) {
		th_space_runs_release(to);
		*to = *from;
		*from = (struct th_space_runs){ 0 };
		return true;
	}
	for (size_t i = 0; i < from->count && moved; i++)
		moved = th_space_runs_add(to, from->runs[i].addr, from->runs[i].blocks);
	th_space_runs_release(from);
	return moved;
}

void th_space_freeze(struct th_space *space)
{
	struct th_space_changes *live = &space->sets[TH_SPACE_LIVE], *commit = &space->sets[TH_SPACE_CHECKPOINT];

	pthread_mutex_lock(&space->lock);
	if (!runs_move(&commit->allocated, &live->allocated) || !runs_move(&commit->freed, &live->freed))
		space->broken = -ENOMEM;
	pthread_mutex_unlock(&space->lock);
}

/* What one commit writes. */
struct committing {
	struct th_space *space;
	struct th_blocklist_writer writer;
	struct th_blockrun *records;
	size_t count, room;
	size_t skip; /* of the records: the condensed past, which changes nothing */
	uint64_t number;
	bool condense;
	struct th_blocklist_supply *supplies; /* pages taken */
	size_t nsupplies;
};

static int add_record(struct committing *committing, uint64_t addr, uint32_t blocks, enum space_log_tag tag)
{
	if (committing->count == committing->room) {
		size_t room = committing->room ? 2 * committing->room : 256;
		struct th_blockrun *records = reallocarray(committing->records, room, sizeof(*records));

		if (!records)
			return -ENOMEM;
		committing->records = records;
		committing->room = room;
	}
	committing->records[committing->count++] =
		(struct th_blockrun){ .addr = addr, .birth = committing->number, .blocks = blocks, .tag = tag };
	return 0;
}

static int compare_runs(const void *a, const void *b)
{
	const struct th_space_run *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* In the order of addresses many become one. */
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

static int add_runs(struct committing *committing, const struct th_space_runs *runs, enum space_log_tag tag)
{
	int err = 0;

	for (size_t i = 0; i < runs->count && !err; i++)
		err = add_record(committing, runs->runs[i].addr, runs->runs[i].blocks, tag);
	return err;
}

static uint64_t count_runs(const struct th_space_map *map)
{
	uint64_t addr = 0, blocks = 0, count = 0;

	while (th_space_map_next_used(map, addr + blocks, &addr, &blocks))
		count++;
	return count;
}

/* Is the log more than twice as long as it need be?  Counting walks the whole map, so it is done only when the log
 * has grown by a quarter since the last time. */
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

/* With the lock held. */
static int add_past(struct committing *committing)
{
	const struct th_space_map *map = &committing->space->logged;
	uint64_t addr = 0, blocks = 0;
	int err = 0;

	while (!err && th_space_map_next_used(map, addr + blocks, &addr, &blocks)) {
		if (blocks > UINT32_MAX)
			blocks = UINT32_MAX;
		err = add_record(committing, addr, (uint32_t)blocks, SPACE_LOG_ALLOC);
	}
	committing->skip = committing->count;
	return err;
}

/* Pages for `records` records and those that name the pages themselves. */
static int take_pages(struct committing *committing, size_t records)
{
	uint64_t have = 0, need;

	while ((need = th_blocklist_writer_pages(&committing->writer, records + committing->nsupplies)) > have) {
		struct th_blocklist_supply *supplies =
			reallocarray(committing->supplies, committing->nsupplies + 1, sizeof(*supplies));
		struct th_blocklist_supply *supply;
		uint32_t want = need - have < UINT32_MAX ? (uint32_t)(need - have) : UINT32_MAX;
		int err;

		if (!supplies)
			return -ENOMEM;
		committing->supplies = supplies;
		supply = &supplies[committing->nsupplies];
		err = th_space_take(committing->space, TH_SPACE_META, want, 1, NULL, &supply->addr, &supply->blocks);
		if (err)
			return err;
		committing->nsupplies++;
		have += supply->blocks;
	}
	return 0;
}

static void give_pages(struct committing *committing)
{
	for (size_t i = 0; i < committing->nsupplies; i++)
		th_space_give(committing->space, committing->supplies[i].addr, committing->supplies[i].blocks);
}

/* The pages that this commit replaces join what it frees. */
static int free_old_pages(struct committing *committing, struct th_space_runs *freed)
{
	const struct th_space *space = committing->space;

	if (!committing->condense) {
		if (committing->writer.replaced && !th_space_runs_add(freed, committing->writer.replaced, 1))
			return -ENOMEM;
		return 0;
	}
	for (size_t i = 0; i < space->nlog_pages; i++) {
		if (!th_space_runs_add(freed, space->log_pages[i], 1))
			return -ENOMEM;
	}
	return 0;
}

static int build_records(struct committing *committing, struct th_space_changes *set)
{
	int err;

	runs_sort(&set->allocated);
	runs_sort(&set->freed);
	err = add_runs(committing, &set->allocated, SPACE_LOG_ALLOC);
	/* where there is nothing to say, a page says that of itself: the number is what counts */
	if (!err)
		err = take_pages(committing,
				 committing->count + set->freed.count ? committing->count + set->freed.count : 1);
	for (size_t i = 0; i < committing->nsupplies && !err; i++)
		err = add_record(committing, committing->supplies[i].addr, committing->supplies[i].blocks,
				 SPACE_LOG_ALLOC);
	if (!err)
		err = add_runs(committing, &set->freed, SPACE_LOG_FREE);
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

/* With the lock held: all or nothing. */
static int apply_records(const struct committing *committing)
{
	struct th_space *space = committing->space;
	size_t i = committing->skip;
	int err = 0;

	for (; i < committing->count && !err; i++)
		err = apply_record(space, &committing->records[i], false);
	if (!err)
		return 0;
	if (err == -EUCLEAN)
		report_record(committing->writer.disk, "commit", &committing->records[i - 1]);
	if (err == -ENOMEM)
		space->broken = err;
	for (i--; i > committing->skip; i--)
		apply_record(space, &committing->records[i - 1], true);
	return err;
}

static void undo_records(const struct committing *committing)
{
	for (size_t i = committing->count; i > committing->skip; i--)
		apply_record(committing->space, &committing->records[i - 1], true);
}

static int write_records(struct committing *committing, struct th_blocklist *ret)
{
	int err = 0;

	committing->writer.more = committing->supplies;
	committing->writer.nmore = committing->nsupplies;
	for (size_t i = 0; i < committing->count && !err; i++)
		err = th_blocklist_writer_run(&committing->writer, &committing->records[i]);
	return err ? err : th_blocklist_writer_finish(&committing->writer, ret);
}

static int remember_pages(struct committing *committing)
{
	struct th_space *space = committing->space;

	if (committing->condense)
		space->nlog_pages = 0;
	else if (committing->writer.replaced)
		space->nlog_pages--;
	for (size_t i = 0; i < committing->nsupplies; i++) {
		for (uint32_t j = 0; j < committing->supplies[i].blocks; j++) {
			if (!log_pages_add(space, committing->supplies[i].addr + j))
				return -ENOMEM;
		}
	}
	return 0;
}

static int prepare(struct committing *committing, struct th_disk *disk, const struct th_blocklist *log)
{
	struct th_space *space = committing->space;
	const struct th_blocklist empty = { 0 };
	int err;

	pthread_mutex_lock(&space->lock);
	err = space->broken;
	committing->condense = worth_condensing(space, log);
	if (!err && committing->condense)
		err = add_past(committing);
	pthread_mutex_unlock(&space->lock);
	if (err)
		return err;
	err = th_blocklist_writer_init(&committing->writer, disk, NULL, committing->condense ? &empty : log);
	if (err)
		return err;
	return th_blocklist_writer_reopen(&committing->writer, TH_BLOCKLIST_RUNS);
}

/* The set's frees, with the old pages, now wait for the next commit. */
static void commit_set_done(struct committing *committing, struct th_space_changes *set)
{
	struct th_space *space = committing->space;

	th_space_runs_release(&set->allocated);
	th_space_runs_release(&space->freed_now);
	space->freed_now = set->freed;
	set->freed = (struct th_space_runs){ 0 };
	if (committing->condense)
		space->condense_at = 0;
	if (remember_pages(committing))
		space->broken = -ENOMEM;
}

static int commit_records(struct committing *committing, struct th_space_changes *set, struct th_blocklist *log)
{
	struct th_space *space = committing->space;
	uint64_t before = set->freed.blocks;
	int err;

	err = free_old_pages(committing, &set->freed);
	pthread_mutex_lock(&space->lock);
	space->waiting += set->freed.blocks - before;
	pthread_mutex_unlock(&space->lock);
	if (!err)
		err = build_records(committing, set);
	if (err)
		return err;
	pthread_mutex_lock(&space->lock);
	err = apply_records(committing);
	pthread_mutex_unlock(&space->lock);
	if (err)
		return err;
	err = write_records(committing, log);
	pthread_mutex_lock(&space->lock);
	if (err)
		undo_records(committing);
	else
		commit_set_done(committing, set);
	pthread_mutex_unlock(&space->lock);
	return err;
}

int th_space_checkpoint(struct th_space *space, struct th_disk *disk, struct th_blocklist *log)
{
	struct th_space_changes *set = &space->sets[TH_SPACE_CHECKPOINT];
	struct committing committing = { .space = space, .number = log->max_birth + 1 };
	int err;

	err = prepare(&committing, disk, log);
	/* Even a commit that changed nothing ends the waiting of what the one before freed; the log must tell (S3). */
	if (!err && (set->allocated.count || set->freed.count || space->freed_before.count))
		err = commit_records(&committing, set, log);
	if (err)
		give_pages(&committing);
	th_blocklist_writer_release(&committing.writer);
	free(committing.supplies);
	free(committing.records);
	return err;
}

/* What waits is not released while it is held; what was freed last joins it. */
static void keep_waiting(struct th_space *space)
{
	for (size_t i = 0; i < space->freed_now.count; i++)
		if (!th_space_runs_add(&space->freed_before, space->freed_now.runs[i].addr,
				       space->freed_now.runs[i].blocks))
			space->broken = -ENOMEM;
	th_space_runs_release(&space->freed_now);
}

void th_space_checkpointed(struct th_space *space)
{
	pthread_mutex_lock(&space->lock);
	if (space->holds > 0) {
		keep_waiting(space);
	} else {
		for (size_t i = 0; i < space->freed_before.count; i++)
			th_space_map_set(&space->in_use, space->freed_before.runs[i].addr,
					 space->freed_before.runs[i].blocks, false);
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
	space->holds++;
	pthread_mutex_unlock(&space->lock);
}

void th_space_unpin(struct th_space *space)
{
	pthread_mutex_lock(&space->lock);
	space->holds--;
	pthread_mutex_unlock(&space->lock);
}
