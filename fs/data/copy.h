/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying inside one filesystem, for copy_file_range(2): whole blocks are shared, and only partially covered blocks are
 * read and written.
 */
#ifndef TH_FS_DATA_COPY_H
#define TH_FS_DATA_COPY_H

#include "fs/inode/inode.h"

/* Copies up to len bytes; src may be an inode of a snapshot, or be dst.  *ret_copied: the bytes copied, fewer than len
 * at the end of src or where a call has done enough.  Returns 0, -EROFS, -EPERM if the flags of dst forbid it, -EFBIG,
 * -EINVAL if the ranges overlap in one file, or an error of reading or writing.  An error after a first part was copied
 * is not returned.  Takes both inode locks (L3). */
int th_file_copy_range(struct th_inode *src, uint64_t src_off, struct th_inode *dst, uint64_t dst_off, uint64_t len,
		       uint64_t *ret_copied);

#endif
