/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "journal/space/blocklist_page.h"

/* Addresses of pages to be freed once everything else has succeeded. */
struct page_set {
	uint64_t *addrs;
	size_t count, room;
};

static int page_set_add(struct page_set *set, uint64_t addr)
{
	if (set->count == set->room) {
		size_t room = set->room ? 2 * set->room : 16;
		uint64_t *addrs = reallocarray(set->addrs, room, sizeof(*addrs));

		if (!addrs)
			return -ENOMEM;
		set->addrs = addrs;
		set->room = room;
	}
	set->addrs[set->count++] = addr;
	return 0;
}

static void page_set_free(const struct page_set *set, struct th_space *space)
{
	for (size_t i = 0; i < set->count; i++)
		th_space_note_free(space, TH_SPACE_CHECKPOINT, set->addrs[i], 1);
}

/* --- walking --- */

/* Pages that may be kept while what is before them is walked; further ones are read again when it is their turn. */
#define WALK_HELD_MAX 1024

/* What is still to be walked, the next on top: a list, or a page whose predecessors have been walked already. */
struct walk_item {
	struct th_blocklist list;
	bool is_page; /* just the newest page of list */
	struct th_blocklist_page *page; /* NULL: read it again */
};

/* A stack instead of recursion: neither long chains nor deep nesting may exhaust the program's own. */
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
	if (walk->count == walk->room) {
		size_t room = walk->room ? 2 * walk->room : 16;
		struct walk_item *items = reallocarray(walk->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		walk->items = items;
		walk->room = room;
	}
	walk->items[walk->count++] = *item;
	return 0;
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

/* Oldest first: what is before the newest page goes on top of that page. */
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

/* Takes the page of an item off the walk; the caller frees it. */
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

static int each_run(const struct th_blocklist_page *page, int (*each)(const struct th_blockrun *run, void *arg),
		    void *arg)
{
	int err = 0;

	for (unsigned i = 0; i < th_blocklist_page_count(page) && !err; i++) {
		struct th_blockrun run = th_blocklist_page_run(page, i);

		err = each(&run, arg);
	}
	return err;
}

static int each_in_page(struct walk *walk, struct walk_item *item,
			int (*each)(const struct th_blockrun *run, void *arg), void *arg)
{
	struct th_blocklist_page *page;
	int err;

	err = walk_page(walk, item, &page);
	if (err)
		return err;
	if (th_blocklist_page_kind(page) == TH_BLOCKLIST_MEMBERS)
		err = walk_push_members(walk, page);
	else if (each)
		err = each_run(page, each, arg);
	free(page);
	return err;
}

int th_blocklist_each(const struct th_blocklist *list, struct th_disk *disk,
		      int (*each)(const struct th_blockrun *run, void *arg), int (*each_page)(uint64_t addr, void *arg),
		      void *arg)
{
	struct walk walk = { .disk = disk };
	int err;

	err = walk_push_list(&walk, list);
	while (!err && walk.count) {
		struct walk_item item = walk.items[--walk.count];

		if (item.is_page) {
			err = each_in_page(&walk, &item, each, arg);
			continue;
		}
		err = walk_open(&walk, &item.list);
		if (!err && each_page)
			err = each_page(item.list.head, arg);
	}
	walk_release(&walk);
	return err;
}

/* --- changing --- */

/* A page that cannot be read, which the disk has told of, costs what it names, and not the list. */
static bool unreadable(int error)
{
	return error == -EIO || error == -EBADMSG || error == -EUCLEAN;
}

/* It is not given up for an error of the disk that passes. */
static int walk_read_twice(struct walk *walk, const struct th_blocklist *list, struct th_blocklist_page **ret)
{
	int err = walk_read(walk, list, ret);

	return err == -EIO ? walk_read(walk, list, ret) : err;
}

/* Goes on in the newest page, or, where it cannot be read, behind it. */
static int go_on(struct th_blocklist_writer *writer, enum th_blocklist_kind kind)
{
	int err = th_blocklist_writer_reopen(writer, kind);

	if (err == -EIO)
		err = th_blocklist_writer_reopen(writer, kind);
	return unreadable(err) ? 0 : err;
}

int th_blocklist_append(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
			const struct th_blockrun *runs, size_t nruns, struct th_blocklist_write *behind)
{
	struct th_blocklist_writer writer;
	int err;

	if (nruns == 0)
		return 0;
	err = th_blocklist_writer_init(&writer, disk, space, list);
	if (err)
		return err;
	writer.behind = behind;
	err = go_on(&writer, TH_BLOCKLIST_RUNS);
	writer.expect = th_blocklist_writer_pages(&writer, nruns);
	for (size_t i = 0; i < nruns && !err; i++)
		err = th_blocklist_writer_run(&writer, &runs[i]);
	if (!err)
		err = th_blocklist_writer_finish(&writer, list);
	if (!err && writer.replaced)
		th_space_note_free(space, TH_SPACE_CHECKPOINT, writer.replaced, 1);
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
	err = go_on(&writer, TH_BLOCKLIST_MEMBERS);
	if (!err)
		err = th_blocklist_writer_member(&writer, member);
	if (!err)
		err = th_blocklist_writer_finish(&writer, list);
	if (!err && writer.replaced)
		th_space_note_free(space, TH_SPACE_CHECKPOINT, writer.replaced, 1);
	th_blocklist_writer_release(&writer);
	return err;
}

/* A member of one page is not worth a page that names it: its runs are copied, if they can be read. */
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
		th_space_note_free(space, TH_SPACE_CHECKPOINT, member->head, 1);
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

/* What stays of a list: a list before it or a member as it is, or the runs left of a page. */
struct piece {
	struct th_blocklist list;
	struct th_blockrun *runs; /* NULL: the list */
	unsigned count;
};

struct filter {
	struct walk walk; /* what was not looked at yet; only lists, the newest on top */
	size_t unreadable; /* at the bottom of it: lists whose newest page cannot be read */
	struct piece *pieces; /* the newest first */
	size_t count, room;
	struct th_blockrun *off; /* split off: nobody is told before all else has succeeded */
	size_t noff, off_room;
	struct page_set old; /* pages that were taken apart */
	uint64_t than;
};

static void filter_release(struct filter *filter)
{
	for (size_t i = 0; i < filter->count; i++)
		free(filter->pieces[i].runs);
	free(filter->pieces);
	free(filter->off);
	free(filter->old.addrs);
	walk_release(&filter->walk);
}

static int filter_keep(struct filter *filter, const struct piece *piece)
{
	if (filter->count == filter->room) {
		size_t room = filter->room ? 2 * filter->room : 16;
		struct piece *pieces = reallocarray(filter->pieces, room, sizeof(*pieces));

		if (!pieces)
			return -ENOMEM;
		filter->pieces = pieces;
		filter->room = room;
	}
	filter->pieces[filter->count++] = *piece;
	return 0;
}

static int filter_off(struct filter *filter, const struct th_blockrun *run)
{
	if (filter->noff == filter->off_room) {
		size_t room = filter->off_room ? 2 * filter->off_room : 256;
		struct th_blockrun *off = reallocarray(filter->off, room, sizeof(*off));

		if (!off)
			return -ENOMEM;
		filter->off = off;
		filter->off_room = room;
	}
	filter->off[filter->noff++] = *run;
	return 0;
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

		if (run.birth > filter->than)
			err = filter_off(filter, &run);
		else
			left.runs[left.count++] = run;
	}
	if (!err && left.count)
		err = filter_keep(filter, &left);
	if (err || !left.count)
		free(left.runs);
	return err;
}

/* It stays where it does not keep anybody from what can be read. */
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

/* Looks at a list's newest page, and leaves what is before it for later. */
static int filter_list(struct filter *filter, const struct th_blocklist *list, size_t *budget)
{
	struct th_blocklist_page *page;
	struct th_blocklist prev;
	unsigned count;
	int err;

	if (list->max_birth <= filter->than)
		return filter_keep(filter, &(struct piece){ .list = *list });
	err = walk_read_twice(&filter->walk, list, &page);
	if (unreadable(err))
		return filter_set_aside(filter, list);
	if (err)
		return err;
	prev = th_blocklist_page_prev(page);
	count = th_blocklist_page_count(page);
	err = page_set_add(&filter->old, list->head);
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

/* A list of what stays. */
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

/* Behind the oldest list that was not looked at: the others, and, so that it is passed by next time, what stays. */
static int filter_join(struct filter *filter, struct th_blocklist_writer *writer, struct th_blocklist_writer *stays,
		       struct th_blocklist *ret)
{
	struct th_blocklist list;
	int err = go_on(writer, TH_BLOCKLIST_MEMBERS);

	if (!err)
		err = filter_gather(filter, stays, &list);
	for (size_t i = 1; i < filter->walk.count && !err; i++)
		err = th_blocklist_writer_member(writer, &filter->walk.items[i].list);
	if (!err && list.head)
		err = th_blocklist_writer_member(writer, &list);
	if (!err && writer->replaced)
		err = page_set_add(&filter->old, writer->replaced);
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

int th_blocklist_filter(struct th_blocklist *list, struct th_disk *disk, struct th_space *space, uint64_t than,
			size_t *budget, int (*each)(const struct th_blockrun *run, void *arg), void *arg)
{
	struct filter filter = { .walk = { .disk = disk }, .than = than };
	bool changes;
	int err;

	if (list->max_birth <= than || *budget == 0)
		return 0;
	err = walk_push_list(&filter.walk, list);
	while (!err && filter.walk.count > filter.unreadable && *budget > 0) {
		struct walk_item item = filter.walk.items[--filter.walk.count];

		err = filter_list(&filter, &item.list, budget);
	}
	changes = filter.noff || filter.walk.count != filter.unreadable || !filter.unreadable;
	if (!err && changes)
		err = filter_finish(&filter, space, list);
	if (!err && changes)
		page_set_free(&filter.old, space);
	for (size_t i = 0; i < filter.noff && !err; i++)
		err = each(&filter.off[i], arg);
	filter_release(&filter);
	return err;
}
