/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libfuse does not pass on of a request, read from its bytes: the thread that answers it says which it is.
 *
 * FUSE_HANDLE_KILLPRIV_V2, unknown to libfuse before 3.16, makes clearing of set-id bits our part when files are
 * written, truncated or change owners; each such request says whether its client lacks CAP_FSETID.  Without it the
 * kernel asks for an attribute with every write and for the mode before each chown: a fifth of all requests of
 * unpacking an archive.
 *
 * FUSE_TMPFILE (O_TMPFILE) and FUSE_STATX (the time of birth), unknown before 3.17 and 3.18, reach the handlers of
 * FUSE_CREATE and FUSE_GETATTR, whose arguments theirs begin with; these ask which it is.
 */
#ifndef TH_FS_FUSE_REQUEST_H
#define TH_FS_FUSE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "fs/fuse/session.h"

/* This thread answers the request in these bytes, which may be changed for libfuse, until the next call.  NULL: none.
 */
void th_fuse_request_begin(void *bytes, size_t size);
/* The file to be created gets no name. */
bool th_fuse_request_is_tmpfile(void);
/* What getattr is asked for is to be told by th_fuse_request_reply_statx. */
bool th_fuse_request_is_statx(void);
int th_fuse_request_reply_statx(fuse_req_t req, const struct statx *statx, double timeout);
/* The request wants set-id bits cleared. */
bool th_fuse_request_kills(void);
/* To be called with every reply: takes the offer of FUSE_HANDLE_KILLPRIV_V2 in the reply to INIT. */
void th_fuse_request_reply(const struct iovec *iov, int count);

#endif
