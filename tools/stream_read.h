/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the stream of a snapshot from a target. */
#ifndef TH_TOOLS_STREAM_READ_H
#define TH_TOOLS_STREAM_READ_H

#include "tools/target.h"

/* What is sent; `snapshot` or `resume` is NULL. */
struct th_stream_request {
	const char *snapshot, *base; /* base NULL: all of it */
	const char *resume; /* a token */
	uint32_t flags; /* enum th_control_send_flags */
};

/* Takes the next bytes of a stream.  Returns 0 to go on, or an error, which ends it. */
typedef int th_stream_take(void *arg, const void *bytes, size_t size);

/* Reads a stream to its end.  Returns 0; the error of take(); -ENOENT or -ENXIO if there is no such snapshot or base;
 * -EINVAL if they are the same, or the token is none;
 * -ESTALE if the filesystem was rolled back, or the reader idle for an hour; or another -errno.  Reports nothing. */
int th_stream_read(struct th_target *target, const struct th_stream_request *request, th_stream_take *take, void *arg);

#endif
