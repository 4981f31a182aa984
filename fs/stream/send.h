/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sender: makes the stream of a snapshot, of all of it or of the changes since another one, piece by piece.
 *
 * The records follow the keys of the tree, or the keys that differ between the two snapshots.  So the cost of an
 * incremental stream follows the changes.  A block is the same in both snapshots exactly where it has the same address,
 * because neither snapshot's blocks are reused; so unchanged data is not read.
 */
#ifndef TH_FS_STREAM_SEND_H
#define TH_FS_STREAM_SEND_H

#include "fs/inode/context.h"
#include "fs/stream/record.h"

struct th_send;

struct th_send_options {
	const char *snapshot; /* NULL: that of `resume` */
	const char *base; /* NULL: the whole snapshot is sent */
	const char *resume; /* a token: continues the stream from there; NULL: from the beginning */
	bool compress;
	bool to_branch; /* TH_STREAM_BRANCH */
};

/* Opens the stream of a snapshot of fs, which must outlive it.  The snapshots may be deleted in the meantime.  Returns
 * 0, -ENOENT if there is no such snapshot, -ENXIO if there is no such base, -EINVAL if they are the same, or the token
 * is none; or a read error. */
int th_send_open(struct th_fs *fs, const struct th_send_options *options, struct th_send **ret);
/* Makes the next piece, valid until the next call; an empty one means that much was read and nothing is to be sent yet.
 * Returns 0, 1 after the last piece, or a read error. */
int th_send_next(struct th_send *send, struct th_slice *ret);
const struct th_stream_info *th_send_info(const struct th_send *send);
const struct th_stream_totals *th_send_totals(const struct th_send *send);
void th_send_close(struct th_send *send); /* NULL is fine */

#endif
