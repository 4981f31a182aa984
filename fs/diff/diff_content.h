/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the content of one file differs between two views, from the extent keys that differ.
 *
 * What is the same extent in both views covers the same blocks in both, and so nothing that a differing extent covers
 * in either.  The blocks to compare are therefore just those of the differing extents, and where one of the two views
 * has none of these, it has a hole.  Blocks are compared by their checksums (what reads as zeros by that of a block of
 * zeros), so that data written again in another place, or moved, is no change and nothing is read from the data area.
 */
#ifndef TH_FS_DIFF_DIFF_CONTENT_H
#define TH_FS_DIFF_DIFF_CONTENT_H

#include <stdbool.h>

#include "fs/data/extent.h"
#include "fs/format/change_record.h"

#define TH_CONTENT_RANGES_MAX 65536
#define TH_CONTENT_VALUE_MAX (sizeof(struct th_extent_disk) + 4096)

struct th_fs;

struct th_diff_content_side {
	bool present; /* extent reaches behind what has been compared */
	struct th_extent extent; /* its bytes are in value */
	uint8_t value[TH_CONTENT_VALUE_MAX];
};

struct th_diff_content {
	uint64_t size; /* of the newer file: nothing is compared behind it */
	uint64_t at; /* blocks below are compared */
	uint64_t zeros; /* checksum of a block of zeros */
	bool differs;
	bool want_ranges;
	struct th_diff_content_side from, to;
	struct th_fs_change_range *ranges;
	size_t nranges, room;
	bool rough;
};

void th_diff_content_init(struct th_diff_content *content, bool want_ranges);
void th_diff_content_release(struct th_diff_content *content);

/* Begins with a file whose size in the newer view is given. */
void th_diff_content_begin(struct th_diff_content *content, uint64_t size);
/* One differing extent key, in the order of the keys; data NULL where a view has none.  -EUCLEAN with *ret_why. */
int th_diff_content_add(struct th_diff_content *content, uint64_t block, struct th_slice from, struct th_slice to,
			const char **ret_why);
/* After the last one: differs, ranges and rough are the answer. */
int th_diff_content_end(struct th_diff_content *content);

/* Instead of adding and ending, for a file that is new: all that it has in the view is compared with nothing. */
int th_diff_content_read(struct th_diff_content *content, struct th_fs *fs, struct th_view *view, uint64_t id);

#endif
