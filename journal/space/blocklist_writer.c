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

void th_blocklist_writer_release(struct th_blocklist_writer *writer)
{
	if (writer->space && writer->supply.blocks)
		th_space_give(writer->space, writer->supply.addr, writer->supply.blocks);
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
	writer->list = prev;
	return 0;
}

uint64_t th_blocklist_writer_pages(const struct th_blocklist_writer *writer, uint64_t runs)
{
	runs += th_blocklist_page_count(writer->page);
	return runs / TH_BLOCKLIST_PAGE_RUNS + (runs % TH_BLOCKLIST_PAGE_RUNS != 0);
}

static int supply_from_space(struct th_blocklist_writer *writer)
{
	uint32_t want = writer->expect < TH_BLOCKLIST_BATCH ? (uint32_t)writer->expect : TH_BLOCKLIST_BATCH;

	return th_space_take(writer->space, TH_SPACE_META, want ? want : 1, 1, NULL, &writer->supply.addr,
			     &writer->supply.blocks);
}

/* Takes an address for one page. */
static int supply_next(struct th_blocklist_writer *writer, uint64_t *ret)
{
	if (writer->supply.blocks == 0) {
		if (writer->space) {
			int err = supply_from_space(writer);

			if (err)
				return err;
		} else {
			if (writer->nmore == 0)
				return -ENOSPC;
			writer->supply = *writer->more++;
			writer->nmore--;
		}
	}
	*ret = writer->supply.addr++;
	writer->supply.blocks--;
	if (writer->expect)
		writer->expect--;
	if (writer->space)
		th_space_note_alloc(writer->space, TH_SPACE_CHECKPOINT, *ret, 1);
	return 0;
}

static int batch_write(struct th_blocklist_writer *writer)
{
	uint32_t pages = writer->batch_pages;

	writer->batch_pages = 0;
	return pages ? th_disk_write(writer->disk, writer->batch_addr, pages, writer->batch) : 0;
}

/* Starts to write the batch; its buffer belongs to the pending write. */
static void batch_write_pending(struct th_blocklist_writer *writer)
{
	struct th_blocklist_write *pending = writer->pending;

	pending->iov = (struct iovec){ writer->batch, writer->batch_pages * sizeof(*writer->page) };
	writer->batch = NULL;
	writer->batch_pages = 0;
	th_disk_save(writer->disk, writer->batch_addr, &pending->iov, 1, &pending->future);
}

int th_blocklist_wait(struct th_blocklist_write *pending)
{
	int err = 0;

	if (pending->iov.iov_base) {
		err = th_future_wait(&pending->future);
		free(pending->iov.iov_base);
	}
	*pending = (struct th_blocklist_write){ 0 };
	return err;
}

static int batch_add(struct th_blocklist_writer *writer, uint64_t addr)
{
	if (writer->batch_pages == TH_BLOCKLIST_BATCH || addr != writer->batch_addr + writer->batch_pages) {
		int err = batch_write(writer);

		if (err)
			return err;
	}
	if (writer->batch_pages == 0)
		writer->batch_addr = addr;
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
	err = supply_next(writer, &list.head);
	if (err)
		return err;
	writer->page->magic = th_le32(TH_BLOCKLIST_MAGIC);
	th_blocklist_pack(&writer->list, &writer->page->prev);
	list.pages++;
	list.head_checksum = th_checksum(writer->page, sizeof(*writer->page));
	err = batch_add(writer, list.head);
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
		batch_write_pending(writer);
	else if (!err)
		err = batch_write(writer);
	if (!err)
		*ret = writer->list;
	return err;
}
