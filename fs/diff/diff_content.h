/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the content of one file differs between two views, from its extent keys that differ.
 *
 * An extent that is the same in both views covers the same blocks in both, so no differing extent covers these blocks
 * in either view.  So only the blocks of differing extents are compared, and where one view has none of these, it has a
 * hole.  Blocks are compared by their checksums; those that read as zeros have the checksum of a block of zeros.  So
 * data that was rewritten or moved without a change is no difference, and no data is read from disk.
 */
#ifndef TH_FS_DIFF_DIFF_CONTENT_H
#define TH_FS_DIFF_DIFF_CONTENT_H

#include <stdbool.h>

#include "fs/data/extent.h"
#include "fs/format/change_record.h"

#define TH_DIFF_CONTENT_RANGES_MAX 65536
#define TH_DIFF_CONTENT_VALUE_MAX (sizeof(struct th_extent_disk) + 4096)

struct th_fs;

struct th_diff_content_side {
	bool present; /* extent is the last one added */
	struct th_extent extent; /* its bytes are in value */
	uint8_t value[TH_DIFF_CONTENT_VALUE_MAX];
};

struct th_diff_content {
	uint64_t size; /* bytes, of the newer file: only content before it is compared */
	uint64_t at; /* the blocks before this one have been compared */
	uint64_t zeros; /* checksum of a block of zeros */
	bool differs;
	bool want_ranges;
	struct th_diff_content_side from, to;
	struct th_fs_change_range *ranges;
	size_t nranges, capacity;
	bool rough; /* too many ranges: the last one covers unchanged bytes too */
};

void th_diff_content_init(struct th_diff_content *content, bool want_ranges);
void th_diff_content_release(struct th_diff_content *content);

/* Begins a file; size is that in the newer view. */
void th_diff_content_begin(struct th_diff_content *content, uint64_t size);
/* Adds the extent key of `block`, which differs, in the order of keys.  from, to: its values; data is NULL in a view
 * without the key.  Returns 0, or -EUCLEAN or -ENOMEM with the reason in *ret_why. */
int th_diff_content_add(struct th_diff_content *content, uint64_t block, struct th_slice from, struct th_slice to,
			const char **ret_why);
/* Compares the rest, after the last key: then differs, ranges and rough are the result.  Returns 0 or -ENOMEM. */
int th_diff_content_end(struct th_diff_content *content);

/* For a file that is new, in place of _add and _end: all of its data is a difference.  Returns 0 or an error. */
int th_diff_content_read(struct th_diff_content *content, struct th_fs *fs, struct th_view *view, uint64_t id);

#endif
