/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of block lists: packing, and verifying what was read. */
#include "journal/space/blocklist_page.h"

#include <errno.h>
#include <inttypes.h>

#include "journal/base/checksum.h"

void th_blocklist_pack(const struct th_blocklist *list, struct th_blocklist_disk *ret)
{
	ret->head = th_le64(list->head);
	ret->mirror = th_le64(list->mirror);
	ret->head_checksum = th_le64(list->head_checksum);
	ret->entries = th_le64(list->entries);
	ret->blocks = th_le64(list->blocks);
	ret->max_birth = th_le64(list->max_birth);
	ret->pages = th_le64(list->pages);
}

static struct th_blocklist unpack_unchecked(const struct th_blocklist_disk *disk)
{
	return (struct th_blocklist){
		.head = th_get_le64(disk->head),
		.mirror = th_get_le64(disk->mirror),
		.head_checksum = th_get_le64(disk->head_checksum),
		.entries = th_get_le64(disk->entries),
		.blocks = th_get_le64(disk->blocks),
		.max_birth = th_get_le64(disk->max_birth),
		.pages = th_get_le64(disk->pages),
	};
}

int th_blocklist_unpack(const struct th_blocklist_disk *disk, struct th_blocklist *ret)
{
	struct th_blocklist list = unpack_unchecked(disk);

	if (list.head == 0) {
		if (list.mirror || list.head_checksum || list.entries || list.blocks || list.max_birth || list.pages)
			return -EUCLEAN;
	} else {
		if (list.mirror == list.head || list.pages == 0 || list.entries == 0 || list.blocks < list.entries ||
		    list.entries / TH_BLOCKLIST_PAGE_RUNS > list.pages)
			return -EUCLEAN;
	}
	*ret = list;
	return 0;
}

enum th_blocklist_kind th_blocklist_page_kind(const struct th_blocklist_page *page)
{
	return th_get_le16(page->kind) == TH_BLOCKLIST_RUNS ? TH_BLOCKLIST_RUNS : TH_BLOCKLIST_MEMBERS;
}

unsigned th_blocklist_page_count(const struct th_blocklist_page *page)
{
	return th_get_le16(page->count);
}

struct th_blocklist th_blocklist_page_prev(const struct th_blocklist_page *page)
{
	return unpack_unchecked(&page->prev);
}

struct th_blockrun th_blocklist_page_run(const struct th_blocklist_page *page, unsigned i)
{
	const struct th_blockrun_disk *run = &page->runs[i];

	return (struct th_blockrun){
		.addr = th_get_le64(run->addr),
		.birth = th_get_le64(run->birth),
		.blocks = th_get_le32(run->blocks),
		.tag = th_get_le32(run->tag),
	};
}

struct th_blocklist th_blocklist_page_member(const struct th_blocklist_page *page, unsigned i)
{
	return unpack_unchecked(&page->members[i]);
}

int th_blocklist_sum(struct th_blocklist *a, const struct th_blocklist *b)
{
	if (__builtin_add_overflow(a->entries, b->entries, &a->entries) ||
	    __builtin_add_overflow(a->blocks, b->blocks, &a->blocks) ||
	    __builtin_add_overflow(a->pages, b->pages, &a->pages))
		return -EOVERFLOW;
	if (a->max_birth < b->max_birth)
		a->max_birth = b->max_birth;
	return 0;
}

static int sum_runs(const struct th_disk *disk, const struct th_blocklist_page *page, struct th_blocklist *sum)
{
	for (unsigned i = 0; i < th_blocklist_page_count(page); i++) {
		struct th_blockrun run = th_blocklist_page_run(page, i);
		struct th_blocklist one = { .entries = 1, .blocks = run.blocks, .max_birth = run.birth };

		if (run.blocks == 0 || run.blocks > disk->blocks || run.addr > disk->blocks - run.blocks ||
		    th_blocklist_sum(sum, &one))
			return -EUCLEAN;
	}
	return 0;
}

static int sum_members(const struct th_blocklist_page *page, struct th_blocklist *sum)
{
	for (unsigned i = 0; i < th_blocklist_page_count(page); i++) {
		struct th_blocklist member;

		if (th_blocklist_unpack(&page->members[i], &member) || member.head == 0 ||
		    th_blocklist_sum(sum, &member))
			return -EUCLEAN;
	}
	return 0;
}

static bool rest_is_zero(const struct th_blocklist_page *page)
{
	size_t entry =
		th_blocklist_page_kind(page) == TH_BLOCKLIST_RUNS ? sizeof(page->runs[0]) : sizeof(page->members[0]);
	const uint8_t *end = (const uint8_t *)(page + 1);

	for (const uint8_t *byte = (const uint8_t *)page->runs + entry * th_blocklist_page_count(page); byte < end;
	     byte++) {
		if (*byte)
			return false;
	}
	return true;
}

/* Checks that the page's entries and its `prev` add up to the totals of the list.  Returns 0 or -EUCLEAN. */
static int verify(const struct th_disk *disk, const struct th_blocklist *list, const struct th_blocklist_page *page)
{
	unsigned kind = th_get_le16(page->kind), count = th_get_le16(page->count);
	struct th_blocklist sum;

	if (th_get_le32(page->magic) != TH_BLOCKLIST_MAGIC || count == 0 || th_blocklist_unpack(&page->prev, &sum))
		return -EUCLEAN;
	if (!(kind == TH_BLOCKLIST_RUNS && count <= TH_BLOCKLIST_PAGE_RUNS) &&
	    !(kind == TH_BLOCKLIST_MEMBERS && count <= TH_BLOCKLIST_PAGE_MEMBERS))
		return -EUCLEAN;
	if (kind == TH_BLOCKLIST_RUNS ? sum_runs(disk, page, &sum) : sum_members(page, &sum))
		return -EUCLEAN;
	if (sum.entries != list->entries || sum.blocks != list->blocks || sum.max_birth != list->max_birth ||
	    sum.pages != list->pages - 1 || !rest_is_zero(page))
		return -EUCLEAN;
	return 0;
}

/* Reads one copy of the newest page.  Returns 0, -EBADMSG or a read error. */
static int read_copy(struct th_disk *disk, const struct th_blocklist *list, uint64_t addr,
		     struct th_blocklist_page *ret)
{
	int err = th_disk_read(disk, addr, 1, ret);

	return !err && th_checksum(ret, sizeof(*ret)) != list->head_checksum ? -EBADMSG : err;
}

static const char *fault(int err)
{
	return err == -EBADMSG ? "wrong checksum" : "cannot be read";
}

/* Reads the second copy, after `err` of the first, and writes it over the first.  The list refers to both, so nothing
 * else is there: its owner frees them together, later than this.  Returns 0, or err if the second copy is not right. */
static int read_second(struct th_disk *disk, const struct th_blocklist *list, int err, struct th_blocklist_page *ret)
{
	bool healed;

	if (!list->mirror || read_copy(disk, list, list->mirror, ret))
		return err;
	healed = disk->heals && th_disk_write(disk, list->head, 1, ret) == 0;
	if (healed)
		th_disk_report(disk, "block list page %" PRIu64 ": %s; healed from its copy at block %" PRIu64,
			       list->head, fault(err), list->mirror);
	else
		th_disk_report(disk, "block list page %" PRIu64 ": %s; its copy at block %" PRIu64 " is used",
			       list->head, fault(err), list->mirror);
	return 0;
}

static bool outside(const struct th_disk *disk, const struct th_blocklist *list)
{
	return list->head == 0 || list->head >= disk->blocks || list->mirror >= disk->blocks || list->pages == 0 ||
	       list->pages > disk->blocks;
}

int th_blocklist_page_read(struct th_disk *disk, const struct th_blocklist *list, struct th_blocklist_page *ret)
{
	int err;

	if (outside(disk, list)) {
		th_disk_report(disk, "block list at %" PRIu64 " of %" PRIu64 " pages: the disk has %" PRIu64 " blocks",
			       list->head, list->pages, disk->blocks);
		return -EUCLEAN;
	}
	err = read_copy(disk, list, list->head, ret);
	if (err)
		err = read_second(disk, list, err, ret);
	if (err == -EBADMSG)
		th_disk_report(disk, "block list page %" PRIu64 ": %s", list->head, fault(err));
	if (err)
		return err;
	err = verify(disk, list, ret);
	if (err)
		th_disk_report(disk,
			       "block list page %" PRIu64 ": its content does not add up to %" PRIu64
			       " runs of %" PRIu64 " blocks",
			       list->head, list->entries, list->blocks);
	return err;
}
