/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libfuse does not pass on of a request, read from its bytes: the thread that answers it says which it is.
 *
 * FUSE_HANDLE_KILLPRIV_V2, unknown to libfuse before 3.16, makes clearing of set-id bits our part when files are
 * written, truncated or change owners; each such request says whether its client lacks CAP_FSETID.  Without it the
 * kernel asks for an attribute with every write and for the mode before each chown: a fifth of all requests of
 * unpacking an archive.
 */
#ifndef TH_FUSE_RAW_H
#define TH_FUSE_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* This thread answers the request in these bytes until the next call.  NULL: none. */
void th_fuse_raw_begin(const void *bytes, size_t size);
/* The request wants set-id bits cleared. */
bool th_fuse_raw_kills(void);
/* To be called with every reply: takes the offer of FUSE_HANDLE_KILLPRIV_V2 in the reply to INIT. */
void th_fuse_raw_reply(const struct iovec *iov, int count);

#endif
