/* SPDX-License-Identifier: Apache-2.0 */
/* The records of file data: the current inode of `apply` is open, and has the type. */
#ifndef TH_FS_STREAM_APPLY_DATA_H
#define TH_FS_STREAM_APPLY_DATA_H

#include "fs/stream/apply.h"

/* Applies INLINE, DATA, HOLE, UNWRITTEN or CLONE.  Commits where one transaction would become too large.  Returns as
 * th_apply_record. */
int th_apply_data_record(struct th_apply *apply, const struct th_record *record);
/* Makes the blocks [from, to) of an inode a hole; commits as above.  *blocks is reduced by the freed ones. */
int th_apply_data_clear(struct th_apply *apply, uint64_t id, uint64_t from, uint64_t to, uint64_t *blocks);
/* Writes the data that waits and stages its extents.  Returns 0 or a write error. */
int th_apply_data_flush(struct th_apply *apply);
void th_apply_data_release(struct th_apply_data *data);

#endif
