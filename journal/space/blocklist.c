/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on whole block lists: walking, appending, joining and filtering. */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/space/blocklist_page.h"

/* Addresses of pages to be freed once everything else has succeeded. */
struct page_set {
	uint64_t *addrs;
	size_t count, room;
};

static int page_set_add(struct page_set *set, uint64_t addr)
{
	return th_append(set->addrs, set->room, set->count, addr);
}

/* Adds both copies of the newest page of a list. */
static int page_set_add_head(struct page_set *set, const struct th_blocklist *list)
{
	int err = page_set_add(set, list->head);

	return err || !list->mirror ? err : page_set_add(set, list->mirror);
}

static void page_set_free(const struct page_set *set, struct th_space *space)
{
	for (size_t i = 0; i < set->count; i++)
		th_space_note_free(space, TH_SPACE_CHECKPOINT, set->addrs[i], 1);
}

/* --- walking --- */

/* Pages (4 MiB) that a walk keeps while it visits older pages.  Pages beyond that are read a second time. */
#define WALK_HELD_MAX 1024

/* One step of a walk: a list to open, or a page whose predecessors have been visited. */
struct walk_item {
	struct th_blocklist list;
	bool is_page; /* only the newest page of list */
	struct th_blocklist_page *page; /* owned; NULL: read it again */
};

/* Steps still to do, the next on top.  A stack in memory: long chains and deep nesting would exhaust the thread's. */
struct walk {
	struct th_disk *disk;
	struct walk_item *items;
	size_t count, room;
	size_t held;
};

static void walk_release(struct walk *walk)
{
	for (size_t i = 0; i < walk->count; i++)
		free(walk->items[i].page);
	free(walk->items);
}

static int walk_push(struct walk *walk, const struct walk_item *item)
{
	return th_append(walk->items, walk->room, walk->count, *item);
}

static int walk_push_list(struct walk *walk, const struct th_blocklist *list)
{
	struct walk_item item = { .list = *list };

	return list->head ? walk_push(walk, &item) : 0;
}

static int walk_read(struct walk *walk, const struct th_blocklist *list, struct th_blocklist_page **ret)
{
	struct th_blocklist_page *page = th_disk_buffer(sizeof(*page));
	int err;

	if (!page)
		return -ENOMEM;
	err = th_blocklist_page_read(walk->disk, list, page);
	if (err) {
		free(page);
		return err;
	}
	*ret = page;
	return 0;
}

/* Pushes the newest page of a list, and on top of it the older pages, so that these are visited first. */
static int walk_open(struct walk *walk, const struct th_blocklist *list)
{
	struct walk_item item = { .list = *list, .is_page = true };
	struct th_blocklist_page *page;
	struct th_blocklist prev;
	int err;

	err = walk_read(walk, list, &page);
	if (err)
		return err;
	prev = th_blocklist_page_prev(page);
	if (walk->held < WALK_HELD_MAX)
		item.page = page;
	err = walk_push(walk, &item);
	if (err || !item.page)
		free(page);
	else
		walk->held++;
	return err ? err : walk_push_list(walk, &prev);
}

/* Returns the page of an item, which the caller frees. */
static int walk_page(struct walk *walk, struct walk_item *item, struct th_blocklist_page **ret)
{
	if (!item->page)
		return walk_read(walk, &item->list, ret);
	walk->held--;
	*ret = item->page;
	return 0;
}

static int walk_push_members(struct walk *walk, const struct th_blocklist_page *page)
{
	int err = 0;

	for (unsigned i = th_blocklist_page_count(page); i-- > 0 && !err;) {
		struct th_blocklist member = th_blocklist_page_member(page, i);

		err = walk_push_list(walk, &member);
	}
	return err;
}

static int visit_runs(const struct th_blocklist_page *page, th_blocklist_visit *visit, void *arg)
{
	int err = 0;

	for (unsigned i = 0; i < th_blocklist_page_count(page) && !err; i++) {
		struct th_blockrun run = th_blocklist_page_run(page, i);

		err = visit(&run, arg);
	}
	return err;
}

static int visit_item(struct walk *walk, struct walk_item *item, th_blocklist_visit *visit, void *arg)
{
	struct th_blocklist_page *page;
	int err;

	err = walk_page(walk, item, &page);
	if (err)
		return err;
	if (th_blocklist_page_kind(page) == TH_BLOCKLIST_MEMBERS)
		err = walk_push_members(walk, page);
	else if (visit)
		err = visit_runs(page, visit, arg);
	free(page);
	return err;
}

int th_blocklist_each(const struct th_blocklist *list, struct th_disk *disk, th_blocklist_visit *visit,
		      th_blocklist_visit_page *visit_page, void *arg)
{
	struct walk walk = { .disk = disk };
	int err;

	err = walk_push_list(&walk, list);
	while (!err && walk.count) {
		struct walk_item item = walk.items[--walk.count];

		if (item.is_page) {
			err = visit_item(&walk, &item, visit, arg);
			continue;
		}
		err = walk_open(&walk, &item.list);
		if (!err && visit_page)
			err = visit_page(&item.list, arg);
	}
	walk_release(&walk);
	return err;
}

/* --- changing --- */

/* Returns whether an error means a page that cannot be read.  The disk has reported it.  It costs the entries of that
 * page and of older ones, not the whole list. */
static bool unreadable(int err)
{
	return err == -EIO || err == -EBADMSG || err == -EUCLEAN;
}

static void note_page_free(struct th_space *space, uint64_t addr, uint64_t mirror)
{
	if (addr)
		th_space_note_free(space, TH_SPACE_CHECKPOINT, addr, 1);
	if (mirror)
		th_space_note_free(space, TH_SPACE_CHECKPOINT, mirror, 1);
}

/* Reads a second time after -EIO, so that a transient error of the disk loses nothing. */
static int walk_read_twice(struct walk *walk, const struct th_blocklist *list, struct th_blocklist_page **ret)
{
	int err = walk_read(walk, list, ret);

	return err == -EIO ? walk_read(walk, list, ret) : err;
}

/* Continues in the newest page, or in a new page after it if it cannot be read. */
static int writer_continue(struct th_blocklist_writer *writer, enum th_blocklist_kind kind)
{
	int err = th_blocklist_writer_reopen(writer, kind);

	if (err == -EIO)
		err = th_blocklist_writer_reopen(writer, kind);
	return unreadable(err) ? 0 : err;
}

int th_blocklist_append(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
			const struct th_blockrun *runs, size_t nruns, struct th_blocklist_write *pending)
{
	struct th_blocklist_writer writer;
	int err;

	if (nruns == 0)
		return 0;
	err = th_blocklist_writer_init(&writer, disk, space, list);
	if (err)
		return err;
	writer.pending = pending;
	err = writer_continue(&writer, TH_BLOCKLIST_RUNS);
	writer.expect = th_blocklist_writer_pages(&writer, nruns);
	for (size_t i = 0; i < nruns && !err; i++)
		err = th_blocklist_writer_run(&writer, &runs[i]);
	if (!err)
		err = th_blocklist_writer_finish(&writer, list);
	if (!err)
		note_page_free(space, writer.replaced, writer.replaced_mirror);
	th_blocklist_writer_release(&writer);
	return err;
}

static int join_member(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
		       const struct th_blocklist *member)
{
	struct th_blocklist_writer writer;
	int err;

	err = th_blocklist_writer_init(&writer, disk, space, list);
	if (err)
		return err;
	err = writer_continue(&writer, TH_BLOCKLIST_MEMBERS);
	if (!err)
		err = th_blocklist_writer_member(&writer, member);
	if (!err)
		err = th_blocklist_writer_finish(&writer, list);
	if (!err)
		note_page_free(space, writer.replaced, writer.replaced_mirror);
	th_blocklist_writer_release(&writer);
	return err;
}

/* Copies the runs of a member of one page, which is cheaper than a page that refers to it.  If they cannot be read, the
 * member is joined like a large one. */
static int join_small(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
		      const struct th_blocklist *member)
{
	struct th_blockrun runs[TH_BLOCKLIST_PAGE_RUNS];
	struct walk walk = { .disk = disk };
	struct th_blocklist_page *page;
	unsigned count;
	int err;

	err = walk_read_twice(&walk, member, &page);
	if (unreadable(err))
		return join_member(list, disk, space, member);
	if (err)
		return err;
	count = th_blocklist_page_count(page);
	for (unsigned i = 0; i < count; i++)
		runs[i] = th_blocklist_page_run(page, i);
	free(page);
	err = th_blocklist_append(list, disk, space, runs, count, NULL);
	if (!err)
		note_page_free(space, member->head, member->mirror);
	return err;
}

int th_blocklist_join(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
		      struct th_blocklist *member)
{
	int err = 0;

	if (member->head == 0)
		return 0;
	if (list->head == 0)
		*list = *member;
	else if (member->pages == 1)
		err = join_small(list, disk, space, member);
	else
		err = join_member(list, disk, space, member);
	if (!err)
		memset(member, 0, sizeof(*member));
	return err;
}

/* --- filtering --- */

/* A part that stays in the list: a list as it is, or the runs left of a page. */
struct piece {
	struct th_blocklist list;
	struct th_blockrun *runs; /* owned; NULL: the list */
	unsigned count;
};

struct filter {
	struct walk walk; /* lists still to be looked at, the newest on top */
	size_t unreadable; /* lists at the bottom of the walk whose newest page cannot be read */
	struct piece *pieces; /* newest first */
	size_t count, room;
	struct th_blockrun *removed; /* visited only after everything else has succeeded */
	size_t nremoved, removed_room;
	struct page_set old; /* pages whose entries are in `pieces`, `removed` and `walk` now */
	uint64_t keep_birth;
};

static void filter_release(struct filter *filter)
{
	for (size_t i = 0; i < filter->count; i++)
		free(filter->pieces[i].runs);
	free(filter->pieces);
	free(filter->removed);
	free(filter->old.addrs);
	walk_release(&filter->walk);
}

static int filter_keep(struct filter *filter, const struct piece *piece)
{
	return th_append(filter->pieces, filter->room, filter->count, *piece);
}

static int filter_remove(struct filter *filter, const struct th_blockrun *run)
{
	return th_append(filter->removed, filter->removed_room, filter->nremoved, *run);
}

static int filter_members(struct filter *filter, const struct th_blocklist_page *page)
{
	int err = 0;

	for (unsigned i = 0; i < th_blocklist_page_count(page) && !err; i++) {
		struct th_blocklist member = th_blocklist_page_member(page, i);

		err = walk_push_list(&filter->walk, &member);
	}
	return err;
}

static int filter_runs(struct filter *filter, const struct th_blocklist_page *page)
{
	struct piece left = { .runs = calloc(th_blocklist_page_count(page), sizeof(*left.runs)) };
	int err = left.runs ? 0 : -ENOMEM;

	for (unsigned i = 0; i < th_blocklist_page_count(page) && !err; i++) {
		struct th_blockrun run = th_blocklist_page_run(page, i);

		if (run.birth > filter->keep_birth)
			err = filter_remove(filter, &run);
		else
			left.runs[left.count++] = run;
	}
	if (!err && left.count)
		err = filter_keep(filter, &left);
	if (err || !left.count)
		free(left.runs);
	return err;
}

/* Moves an unreadable list to the bottom of the walk, out of the way of readable ones. */
static int filter_set_aside(struct filter *filter, const struct th_blocklist *list)
{
	const struct walk_item item = { .list = *list };
	int err = walk_push(&filter->walk, &item);
	struct walk_item *at;

	if (err)
		return err;
	at = &filter->walk.items[filter->unreadable];
	memmove(at + 1, at, (filter->walk.count - 1 - filter->unreadable) * sizeof(*at));
	*at = item;
	filter->unreadable++;
	return 0;
}

/* Takes apart the newest page of a list; the older pages stay on the walk. */
static int filter_list(struct filter *filter, const struct th_blocklist *list, size_t *budget)
{
	struct th_blocklist_page *page;
	struct th_blocklist prev;
	unsigned count;
	int err;

	if (list->max_birth <= filter->keep_birth)
		return filter_keep(filter, &(struct piece){ .list = *list });
	err = walk_read_twice(&filter->walk, list, &page);
	if (unreadable(err))
		return filter_set_aside(filter, list);
	if (err)
		return err;
	prev = th_blocklist_page_prev(page);
	count = th_blocklist_page_count(page);
	err = page_set_add_head(&filter->old, list);
	if (!err)
		err = walk_push_list(&filter->walk, &prev);
	if (!err && th_blocklist_page_kind(page) == TH_BLOCKLIST_MEMBERS)
		err = filter_members(filter, page);
	else if (!err)
		err = filter_runs(filter, page);
	free(page);
	*budget -= count < *budget ? count : *budget;
	return err;
}

/* Writes the pieces that stay as one list. */
static int filter_gather(struct filter *filter, struct th_blocklist_writer *writer, struct th_blocklist *ret)
{
	size_t i = filter->count;
	int err = 0;

	if (i > 0 && !filter->pieces[i - 1].runs)
		writer->list = filter->pieces[--i].list;
	while (i-- > 0 && !err) {
		const struct piece *piece = &filter->pieces[i];

		if (!piece->runs)
			err = th_blocklist_writer_member(writer, &piece->list);
		for (unsigned k = 0; k < piece->count && !err; k++)
			err = th_blocklist_writer_run(writer, &piece->runs[k]);
	}
	return err ? err : th_blocklist_writer_finish(writer, ret);
}

/* Appends to the oldest list that was not looked at: the other such lists, and the pieces that stay, as a member, which
 * the next call skips by its max_birth. */
static int filter_join(struct filter *filter, struct th_blocklist_writer *writer, struct th_blocklist_writer *stays,
		       struct th_blocklist *ret)
{
	struct th_blocklist list;
	int err = writer_continue(writer, TH_BLOCKLIST_MEMBERS);

	if (!err)
		err = filter_gather(filter, stays, &list);
	for (size_t i = 1; i < filter->walk.count && !err; i++)
		err = th_blocklist_writer_member(writer, &filter->walk.items[i].list);
	if (!err && list.head)
		err = th_blocklist_writer_member(writer, &list);
	if (!err && writer->replaced)
		err = page_set_add(&filter->old, writer->replaced);
	if (!err && writer->replaced_mirror)
		err = page_set_add(&filter->old, writer->replaced_mirror);
	return err ? err : th_blocklist_writer_finish(writer, ret);
}

static int filter_finish(struct filter *filter, struct th_space *space, struct th_blocklist *ret)
{
	const struct th_blocklist empty = { 0 };
	struct th_blocklist_writer writer = { 0 }, stays;
	int err = th_blocklist_writer_init(&stays, filter->walk.disk, space, &empty);

	if (!err && !filter->walk.count)
		err = filter_gather(filter, &stays, ret);
	else if (!err)
		err = th_blocklist_writer_init(&writer, filter->walk.disk, space, &filter->walk.items[0].list);
	if (!err && filter->walk.count)
		err = filter_join(filter, &writer, &stays, ret);
	th_blocklist_writer_release(&writer);
	th_blocklist_writer_release(&stays);
	return err;
}

int th_blocklist_filter(struct th_blocklist *list, struct th_disk *disk, struct th_space *space, uint64_t keep_birth,
			size_t *budget, th_blocklist_visit *visit, void *arg)
{
	struct filter filter = { .walk = { .disk = disk }, .keep_birth = keep_birth };
	bool changes;
	int err;

	if (list->max_birth <= keep_birth || *budget == 0)
		return 0;
	err = walk_push_list(&filter.walk, list);
	while (!err && filter.walk.count > filter.unreadable && *budget > 0) {
		struct walk_item item = filter.walk.items[--filter.walk.count];

		err = filter_list(&filter, &item.list, budget);
	}
	changes = filter.nremoved || filter.walk.count != filter.unreadable || !filter.unreadable;
	if (!err && changes)
		err = filter_finish(&filter, space, list);
	if (!err && changes)
		page_set_free(&filter.old, space);
	for (size_t i = 0; i < filter.nremoved && !err; i++)
		err = visit(&filter.removed[i], arg);
	filter_release(&filter);
	return err;
}
