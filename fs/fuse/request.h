/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a request that libfuse does not pass on, read from its bytes.  Each worker thread has one current request.
 *
 * FUSE_HANDLE_KILLPRIV_V2, unknown to libfuse before 3.16, leaves it to the daemon to clear set-id bits when files are
 * written, truncated or change owners; each such request says whether the caller lacks CAP_FSETID.  Without it the
 * kernel asks for an attribute before every write and for the mode before each chown: a fifth of all requests while an
 * archive is unpacked.
 *
 * FUSE_PARALLEL_DIROPS lets the kernel send LOOKUP and READDIR of one directory while others wait for their replies.
 * libfuse 3.14 offers the capability, and leaves it out of the reply.
 *
 * FUSE_TMPFILE (O_TMPFILE) and FUSE_STATX (the time of birth), unknown before 3.17 and 3.18, are passed to the handlers
 * of FUSE_CREATE and FUSE_GETATTR, whose arguments are a prefix of theirs.  FUSE_SYNCFS, unknown to all versions so
 * far, is passed to the handler of FUSE_STATFS, which has no arguments.  These handlers ask which request it is.
 */
#ifndef TH_FS_FUSE_REQUEST_H
#define TH_FS_FUSE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "fs/fuse/session.h"

/* Makes these bytes this thread's current request, until the next call; NULL: none.  Changes the bytes to a request
 * that libfuse knows. */
void th_fuse_request_begin(void *bytes, size_t size);
/* Returns whether CREATE is a TMPFILE: the file gets no name. */
bool th_fuse_request_is_tmpfile(void);
/* Returns whether GETATTR is a STATX, which is answered by th_fuse_request_reply_statx. */
bool th_fuse_request_is_statx(void);
/* Returns whether STATFS is a SYNCFS. */
bool th_fuse_request_is_syncfs(void);
/* Replies to STATX; the kernel may cache the attributes for `timeout` seconds.  Returns 0 or -errno. */
int th_fuse_request_reply_statx(fuse_req_t req, const struct statx *statx, double timeout);
/* Returns whether the request must clear set-id bits. */
bool th_fuse_request_kills(void);
/* Called with every reply before it is sent: accepts FUSE_HANDLE_KILLPRIV_V2 and FUSE_PARALLEL_DIROPS in the reply to
 * INIT, if they are offered. */
void th_fuse_request_reply(const struct iovec *iov, int count);

#endif
