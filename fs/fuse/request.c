/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/request.h"

#include <assert.h>
#include <linux/fuse.h>
#include <stdint.h>

#define STATX_OPCODE 52 /* FUSE_STATX, which the headers of Linux 6.1 do not have */
#define SYNCFS_OPCODE 50 /* FUSE_SYNCFS, for headers before Linux 5.14 */

/* What the reply to INIT accepts beside the flags that libfuse sets. */
#define ACCEPTED (FUSE_HANDLE_KILLPRIV_V2 | FUSE_PARALLEL_DIROPS)

static _Thread_local struct fuse_in_header *request;
static _Thread_local size_t request_size;
static _Thread_local uint32_t request_opcode; /* as the kernel sent it */

/* Replaces an opcode that older versions of libfuse do not know. */
static void translate(struct fuse_in_header *header)
{
	if (header->opcode == FUSE_TMPFILE)
		header->opcode = FUSE_CREATE;
	else if (header->opcode == STATX_OPCODE)
		header->opcode = FUSE_GETATTR;
	else if (header->opcode == SYNCFS_OPCODE)
		header->opcode = FUSE_STATFS;
}

void th_fuse_request_begin(void *bytes, size_t size)
{
	request = size >= sizeof(*request) ? bytes : NULL;
	request_size = size;
	request_opcode = request ? request->opcode : 0;
	if (request)
		translate(request);
}

bool th_fuse_request_is_tmpfile(void)
{
	return request_opcode == FUSE_TMPFILE;
}

bool th_fuse_request_is_statx(void)
{
	return request_opcode == STATX_OPCODE;
}

bool th_fuse_request_is_syncfs(void)
{
	return request_opcode == SYNCFS_OPCODE;
}

struct statx_reply {
	uint64_t valid_seconds;
	uint32_t valid_nanoseconds;
	uint32_t flags;
	uint64_t spare[2];
	struct statx statx; /* the kernel uses the same layout */
};
static_assert(sizeof(struct statx_reply) == 288, "struct fuse_statx_out");

int th_fuse_request_reply_statx(fuse_req_t req, const struct statx *statx, double timeout)
{
	struct statx_reply reply = { .valid_seconds = (uint64_t)timeout, .statx = *statx };

	return fuse_reply_buf(req, (const char *)&reply, sizeof(reply));
}

/* Returns the argument of the current request, of at least `size` bytes; or NULL if its opcode is another one. */
static const void *argument(uint32_t opcode, size_t size)
{
	if (!request || request_size < sizeof(*request) + size || request_opcode != opcode)
		return NULL;
	return request + 1;
}

bool th_fuse_request_kills(void)
{
	const struct fuse_write_in *write = argument(FUSE_WRITE, sizeof(*write));
	const struct fuse_setattr_in *setattr = argument(FUSE_SETATTR, sizeof(*setattr));
	const struct fuse_open_in *open = argument(FUSE_OPEN, sizeof(*open));

	return (write && write->write_flags & FUSE_WRITE_KILL_SUIDGID) ||
	       (setattr && setattr->valid & FATTR_KILL_SUIDGID) || (open && open->open_flags & FUSE_OPEN_KILL_SUIDGID);
}

void th_fuse_request_reply(const struct iovec *iov, int count)
{
	const struct fuse_init_in *offer = argument(FUSE_INIT, sizeof(*offer));
	struct fuse_init_out *answer;

	if (!offer || count < 2 || iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
		return;
	answer = iov[1].iov_base;
	answer->flags |= offer->flags & ACCEPTED;
}
