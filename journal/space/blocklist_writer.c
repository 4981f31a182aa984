/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of block lists.  See blocklist_page.h. */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "journal/space/blocklist_page.h"

static void page_start(struct th_blocklist_writer *writer)
{
	memset(writer->page, 0, sizeof(*writer->page));
	memset(&writer->own, 0, sizeof(writer->own));
}

/* Gives unused blocks back to the space, if they are from it. */
static void supplies_give(const struct th_blocklist_writer *writer, const struct th_blocklist_supplies *supplies)
{
	if (writer->space && supplies->now.blocks)
		th_space_give(writer->space, supplies->now.addr, supplies->now.blocks);
}

void th_blocklist_writer_release(struct th_blocklist_writer *writer)
{
	supplies_give(writer, &writer->first);
	supplies_give(writer, &writer->second);
	free(writer->page);
	free(writer->batch);
	*writer = (struct th_blocklist_writer){ 0 };
}

int th_blocklist_writer_init(struct th_blocklist_writer *writer, struct th_disk *disk, struct th_space *space,
			     const struct th_blocklist *list)
{
	*writer = (struct th_blocklist_writer){ .disk = disk, .space = space, .list = *list };
	writer->page = th_disk_buffer(sizeof(*writer->page));
	writer->batch = th_disk_buffer(TH_BLOCKLIST_BATCH * sizeof(*writer->page));
	if (!writer->page || !writer->batch) {
		th_blocklist_writer_release(writer);
		return -ENOMEM;
	}
	page_start(writer);
	return 0;
}

static unsigned page_limit(enum th_blocklist_kind kind)
{
	return kind == TH_BLOCKLIST_RUNS ? TH_BLOCKLIST_PAGE_RUNS : TH_BLOCKLIST_PAGE_MEMBERS;
}

static bool page_has_room(const struct th_blocklist_page *page, enum th_blocklist_kind kind)
{
	return th_blocklist_page_kind(page) == kind && th_blocklist_page_count(page) < page_limit(kind);
}

int th_blocklist_writer_reopen(struct th_blocklist_writer *writer, enum th_blocklist_kind kind)
{
	struct th_blocklist prev;
	int err;

	if (writer->list.head == 0)
		return 0;
	err = th_blocklist_page_read(writer->disk, &writer->list, writer->page);
	if (err) {
		page_start(writer);
		return err;
	}
	if (!page_has_room(writer->page, kind)) {
		page_start(writer);
		return 0;
	}
	prev = th_blocklist_page_prev(writer->page);
	for (unsigned i = 0; i < th_blocklist_page_count(writer->page); i++) {
		struct th_blocklist entry;

		if (kind == TH_BLOCKLIST_MEMBERS) {
			entry = th_blocklist_page_member(writer->page, i);
		} else {
			struct th_blockrun run = th_blocklist_page_run(writer->page, i);

			entry = (struct th_blocklist){ .entries = 1, .blocks = run.blocks, .max_birth = run.birth };
		}
		err = th_blocklist_sum(&writer->own, &entry);
		if (err)
			return err;
	}
	writer->replaced = writer->list.head;
	writer->replaced_mirror = writer->list.mirror;
	writer->list = prev;
	return 0;
}

uint64_t th_blocklist_writer_pages(const struct th_blocklist_writer *writer, uint64_t runs)
{
	runs += th_blocklist_page_count(writer->page);
	return runs / TH_BLOCKLIST_PAGE_RUNS + (runs % TH_BLOCKLIST_PAGE_RUNS != 0);
}

/* Takes blocks for first copies, or for second ones, which begin half a disk after the first. */
static int supply_from_space(struct th_blocklist_writer *writer, bool second, struct th_blocklist_supply *ret)
{
	uint32_t want = writer->expect < TH_BLOCKLIST_BATCH ? (uint32_t)writer->expect : TH_BLOCKLIST_BATCH;
	uint64_t hint = second ? th_space_far(writer->space, writer->first.now.addr) : 0;

	return th_space_take(writer->space, second ? TH_SPACE_MIRROR : TH_SPACE_META, want ? want : 1, 1, &hint,
			     &ret->addr, &ret->blocks);
}

/* Makes sure that there is an address for one copy of a page. */
static int supply_need(struct th_blocklist_writer *writer, bool second)
{
	struct th_blocklist_supplies *supplies = second ? &writer->second : &writer->first;

	if (supplies->now.blocks)
		return 0;
	if (writer->space)
		return supply_from_space(writer, second, &supplies->now);
	if (supplies->nmore == 0)
		return -ENOSPC;
	supplies->now = *supplies->more++;
	supplies->nmore--;
	return 0;
}

static uint64_t supply_take(struct th_blocklist_writer *writer, struct th_blocklist_supply *supply)
{
	supply->blocks--;
	if (writer->space)
		th_space_note_alloc(writer->space, TH_SPACE_CHECKPOINT, supply->addr, 1);
	return supply->addr++;
}

static bool has_two_copies(const struct th_blocklist_writer *writer)
{
	return writer->space ? th_space_copies(writer->space) > 1 : writer->second.now.blocks || writer->second.nmore;
}

/* Takes addresses for the copies of one page. */
static int supply_next(struct th_blocklist_writer *writer, uint64_t *ret, uint64_t *ret_mirror)
{
	bool two = has_two_copies(writer);
	int err = supply_need(writer, false);

	if (!err && two)
		err = supply_need(writer, true);
	if (err)
		return err;
	*ret = supply_take(writer, &writer->first.now);
	*ret_mirror = two ? supply_take(writer, &writer->second.now) : 0;
	if (writer->expect)
		writer->expect--;
	return 0;
}

/* Starts to write the batch; its buffer belongs to the pending write. */
static void batch_write_pending(struct th_blocklist_writer *writer, struct th_blocklist_write *pending)
{
	pending->iov = (struct iovec){ writer->batch, writer->batch_pages * sizeof(*writer->page) };
	pending->copies = writer->batch_mirror ? 2 : 1;
	th_disk_save(writer->disk, writer->batch_addr, &pending->iov, 1, &pending->future[0]);
	if (writer->batch_mirror)
		th_disk_save(writer->disk, writer->batch_mirror, &pending->iov, 1, &pending->future[1]);
	writer->batch = NULL;
	writer->batch_pages = 0;
}

static int wait_copies(struct th_blocklist_write *pending)
{
	int err = 0;

	for (unsigned i = 0; i < pending->copies; i++) {
		int one = th_future_wait(&pending->future[i]);

		err = err ? err : one;
	}
	return err;
}

/* Writes the batch and waits for it. */
static int batch_write(struct th_blocklist_writer *writer)
{
	struct th_blocklist_write write = { 0 };
	int err;

	if (writer->batch_pages == 0)
		return 0;
	batch_write_pending(writer, &write);
	err = wait_copies(&write);
	writer->batch = write.iov.iov_base;
	return err;
}

int th_blocklist_wait(struct th_blocklist_write *pending)
{
	int err = 0;

	if (pending->iov.iov_base) {
		err = wait_copies(pending);
		free(pending->iov.iov_base);
	}
	*pending = (struct th_blocklist_write){ 0 };
	return err;
}

/* Returns whether a page with these addresses continues the batch. */
static bool batch_continues(const struct th_blocklist_writer *writer, uint64_t addr, uint64_t mirror)
{
	return writer->batch_pages < TH_BLOCKLIST_BATCH && addr == writer->batch_addr + writer->batch_pages &&
	       mirror == (writer->batch_mirror ? writer->batch_mirror + writer->batch_pages : 0);
}

static int batch_add(struct th_blocklist_writer *writer, uint64_t addr, uint64_t mirror)
{
	if (writer->batch_pages && !batch_continues(writer, addr, mirror)) {
		int err = batch_write(writer);

		if (err)
			return err;
	}
	if (writer->batch_pages == 0) {
		writer->batch_addr = addr;
		writer->batch_mirror = mirror;
	}
	memcpy(writer->batch + (size_t)writer->batch_pages++ * sizeof(*writer->page), writer->page,
	       sizeof(*writer->page));
	return 0;
}

/* Makes the open page the head of the list, because it is full or the last. */
static int page_seal(struct th_blocklist_writer *writer)
{
	struct th_blocklist list = writer->list;
	int err;

	err = th_blocklist_sum(&list, &writer->own);
	if (err)
		return err;
	err = supply_next(writer, &list.head, &list.mirror);
	if (err)
		return err;
	writer->page->magic = th_le32(TH_BLOCKLIST_MAGIC);
	th_blocklist_pack(&writer->list, &writer->page->prev);
	list.pages++;
	list.head_checksum = th_checksum(writer->page, sizeof(*writer->page));
	err = batch_add(writer, list.head, list.mirror);
	if (err)
		return err;
	writer->list = list;
	page_start(writer);
	return 0;
}

/* Makes room for one more entry of this kind, with totals `sum`, in the open page.  *ret is its index. */
static int page_slot(struct th_blocklist_writer *writer, enum th_blocklist_kind kind, const struct th_blocklist *sum,
		     unsigned *ret)
{
	unsigned count = th_blocklist_page_count(writer->page);
	int err;

	if (count && !page_has_room(writer->page, kind)) {
		err = page_seal(writer);
		if (err)
			return err;
		count = 0;
	}
	err = th_blocklist_sum(&writer->own, sum);
	if (err)
		return err;
	writer->page->kind = th_le16((uint16_t)kind);
	writer->page->count = th_le16((uint16_t)(count + 1));
	*ret = count;
	return 0;
}

int th_blocklist_writer_run(struct th_blocklist_writer *writer, const struct th_blockrun *run)
{
	struct th_blocklist sum = { .entries = 1, .blocks = run->blocks, .max_birth = run->birth };
	unsigned slot;
	int err;

	if (run->blocks == 0)
		return -EINVAL;
	err = page_slot(writer, TH_BLOCKLIST_RUNS, &sum, &slot);
	if (err)
		return err;
	writer->page->runs[slot] = (struct th_blockrun_disk){
		.addr = th_le64(run->addr),
		.birth = th_le64(run->birth),
		.blocks = th_le32(run->blocks),
		.tag = th_le32(run->tag),
	};
	return 0;
}

int th_blocklist_writer_member(struct th_blocklist_writer *writer, const struct th_blocklist *member)
{
	unsigned slot;
	int err;

	err = page_slot(writer, TH_BLOCKLIST_MEMBERS, member, &slot);
	if (!err)
		th_blocklist_pack(member, &writer->page->members[slot]);
	return err;
}

int th_blocklist_writer_finish(struct th_blocklist_writer *writer, struct th_blocklist *ret)
{
	int err = 0;

	if (th_blocklist_page_count(writer->page))
		err = page_seal(writer);
	if (!err && writer->pending && writer->batch_pages)
		batch_write_pending(writer, writer->pending);
	else if (!err)
		err = batch_write(writer);
	if (!err)
		*ret = writer->list;
	return err;
}
