/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/diff_content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"
#include "journal/disk/disk.h"
#include "tree/chunk.h"

void th_diff_content_init(struct th_diff_content *content, bool want_ranges)
{
	static const uint8_t zeros[TH_BLOCK_SIZE];

	memset(content, 0, sizeof(*content));
	content->want_ranges = want_ranges;
	content->zeros = th_chunk_checksum(zeros);
}

void th_diff_content_release(struct th_diff_content *content)
{
	free(content->ranges);
	content->ranges = NULL;
}

void th_diff_content_begin(struct th_diff_content *content, uint64_t size)
{
	content->size = size;
	content->at = 0;
	content->differs = content->rough = false;
	content->from.present = content->to.present = false;
	content->nranges = 0;
}

static uint64_t extent_end(const struct th_extent *extent)
{
	return extent->block + extent->blocks;
}

/* Returns whether the block `at` of this side has data.  Lowers *ret_until to the block where that may change. */
static bool side_covers(const struct th_diff_content_side *side, uint64_t at, uint64_t *ret_until)
{
	bool covers = side->present && extent_end(&side->extent) > at;

	if (covers && side->extent.block > at) {
		if (side->extent.block < *ret_until)
			*ret_until = side->extent.block;
		return false;
	}
	if (covers && extent_end(&side->extent) < *ret_until)
		*ret_until = extent_end(&side->extent);
	return covers && side->extent.kind != TH_EXTENT_UNWRITTEN;
}

static uint64_t block_checksum(const struct th_diff_content *content, const struct th_diff_content_side *side,
			       uint64_t block)
{
	uint64_t until = UINT64_MAX, checksum;
	uint8_t padded[TH_BLOCK_SIZE];

	if (!side_covers(side, block, &until))
		return content->zeros;
	if (side->extent.kind == TH_EXTENT_INLINE) {
		memset(padded, 0, sizeof(padded));
		memcpy(padded, side->extent.bytes, side->extent.size);
		return th_chunk_checksum(padded);
	}
	th_extent_checksums(&side->extent, (uint32_t)(block - side->extent.block), 1, &checksum);
	return checksum;
}

/* Appends a range, or extends the last one if they are adjacent or there are too many. */
static int add_range(struct th_diff_content *content, uint64_t offset, uint64_t length)
{
	struct th_fs_change_range *last = content->nranges ? &content->ranges[content->nranges - 1] : NULL;

	if (last && (last->offset + last->length == offset || content->nranges == TH_DIFF_CONTENT_RANGES_MAX)) {
		content->rough |= last->offset + last->length != offset;
		last->length = offset + length - last->offset;
		return 0;
	}
	return th_append(content->ranges, content->capacity, content->nranges,
			 (struct th_fs_change_range){ offset, length });
}

static int compare_block(struct th_diff_content *content, uint64_t block)
{
	uint64_t offset = block << TH_BLOCK_SHIFT, length = TH_BLOCK_SIZE;

	if (block_checksum(content, &content->from, block) == block_checksum(content, &content->to, block))
		return 0;
	content->differs = true;
	if (!content->want_ranges)
		return 0;
	if (length > content->size - offset)
		length = content->size - offset;
	return add_range(content, offset, length);
}

/* Compares the blocks up to `until`, or to the end of the file. */
static int compare_until(struct th_diff_content *content, uint64_t until)
{
	uint64_t end = (content->size + TH_BLOCK_SIZE - 1) >> TH_BLOCK_SHIFT;
	int err = 0;

	if (until > end)
		until = end;
	while (content->at < until && !err) {
		uint64_t next = until;
		bool from = side_covers(&content->from, content->at, &next);
		bool to = side_covers(&content->to, content->at, &next);

		for (; (from || to) && content->at < next && !err; content->at++)
			err = compare_block(content, content->at);
		content->at = next;
	}
	return err;
}

/* Takes the next extent of one side.  The one before it has been compared up to `block` and must not reach further. */
static int side_take(struct th_diff_content_side *side, uint64_t block, struct th_slice value, const char **ret_why)
{
	if (!value.data)
		return 0;
	*ret_why = "extents overlap";
	if (side->present && extent_end(&side->extent) > block)
		return -EUCLEAN;
	*ret_why = "extent value too long";
	if (value.size > sizeof(side->value))
		return -EUCLEAN;
	memcpy(side->value, value.data, value.size);
	side->present = true;
	return th_extent_decode(block, (struct th_slice){ side->value, value.size }, &side->extent, ret_why);
}

int th_diff_content_add(struct th_diff_content *content, uint64_t block, struct th_slice from, struct th_slice to,
			const char **ret_why)
{
	int err = compare_until(content, block);

	*ret_why = "no memory";
	if (!err)
		err = side_take(&content->from, block, from, ret_why);
	if (!err)
		err = side_take(&content->to, block, to, ret_why);
	return err;
}

int th_diff_content_end(struct th_diff_content *content)
{
	return compare_until(content, UINT64_MAX);
}

int th_diff_content_read(struct th_diff_content *content, struct th_fs *fs, struct th_view *view, uint64_t id)
{
	struct th_extents extents;
	int err = th_extents_open(fs, view, id, 0, TH_EXTENT_END, &extents);

	if (err)
		return err;
	while (!(err = th_extents_next(&extents, &content->to.extent))) {
		content->to.present = true;
		err = compare_until(content, extent_end(&content->to.extent));
		if (err)
			break;
	}
	content->to.present = false;
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}
