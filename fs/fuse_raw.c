/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse_raw.h"

#include <linux/fuse.h>
#include <stdint.h>

static _Thread_local const struct fuse_in_header *request;
static _Thread_local size_t request_size;

void th_fuse_raw_begin(const void *bytes, size_t size)
{
	request = bytes;
	request_size = size;
}

/* The argument of the request, or NULL if it is of another kind. */
static const void *argument(uint32_t opcode, size_t size)
{
	if (!request || request_size < sizeof(*request) + size || request->opcode != opcode)
		return NULL;
	return request + 1;
}

bool th_fuse_raw_kills(void)
{
	const struct fuse_write_in *write = argument(FUSE_WRITE, sizeof(*write));
	const struct fuse_setattr_in *setattr = argument(FUSE_SETATTR, sizeof(*setattr));
	const struct fuse_open_in *open = argument(FUSE_OPEN, sizeof(*open));

	return (write && write->write_flags & FUSE_WRITE_KILL_SUIDGID) ||
	       (setattr && setattr->valid & FATTR_KILL_SUIDGID) || (open && open->open_flags & FUSE_OPEN_KILL_SUIDGID);
}

void th_fuse_raw_reply(const struct iovec *iov, int count)
{
	const struct fuse_init_in *offer = argument(FUSE_INIT, sizeof(*offer));
	struct fuse_init_out *answer;

	if (!offer || !(offer->flags & FUSE_HANDLE_KILLPRIV_V2) || count < 2 ||
	    iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
		return;
	answer = iov[1].iov_base;
	answer->flags |= FUSE_HANDLE_KILLPRIV_V2;
}
