/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Non-blocking reads under a lock, and the retry (L6).
 *
 * A read of the store may wait for the disk.  A thread that waits with an inode lock held makes every thread that wants
 * the lock wait for the same disk.  So a read under a lock is non-blocking: if it needs the disk, it fails with
 * -EINPROGRESS.  The thread then drops all its locks, waits for the disk, and starts the whole attempt again.
 *
 * The mode is state of the thread (th_nowait_begin).  These macros are the only places in fs/ that begin such a
 * section.  Each
 * yields the result of `call`: an expression of type int that is 0, positive, or -errno, and that has changed nothing
 * when it is -EINPROGRESS.  After 32 attempts the reads of an attempt block, so each operation ends.
 */
#ifndef TH_FS_INODE_RETRY_H
#define TH_FS_INODE_RETRY_H

#include "fs/inode/inode.h"

/* Evaluates `call` with non-blocking reads.  Does not nest. */
#define TH_NOWAIT(call)                                                                                                \
	({                                                                                                             \
		th_nowait_begin();                                                                                     \
		int nowait_err_ = (call);                                                                              \
		th_nowait_end();                                                                                       \
		nowait_err_;                                                                                           \
	})

/* Evaluates `call`, which takes locks, reads within TH_NOWAIT and drops the locks, until it is not -EINPROGRESS. */
#define TH_RETRY(call)                                                                                                 \
	({                                                                                                             \
		int retry_err_;                                                                                        \
		do                                                                                                     \
			retry_err_ = (call);                                                                           \
		while (th_nowait_again(retry_err_));                                                                   \
		retry_err_;                                                                                            \
	})

/* Evaluates `call` with inode->lock held for writing and non-blocking reads, until it is not -EINPROGRESS. */
#define TH_RETRY_LOCKED(inode, call)                                                                                   \
	TH_RETRY(({                                                                                                    \
		pthread_rwlock_wrlock(&(inode)->lock);                                                                 \
		int locked_err_ = TH_NOWAIT(call);                                                                     \
		pthread_rwlock_unlock(&(inode)->lock);                                                                 \
		locked_err_;                                                                                           \
	}))

#endif
