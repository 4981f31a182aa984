/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/stream_read.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int begin(struct th_target *target, const struct th_stream_request *request, uint64_t *ret)
{
	struct th_control_send_begin begin = { .flags = th_le32(request->flags) };
	int err = request->snapshot ? th_target_name(request->snapshot, &begin.snapshot) : 0;

	if (!err && request->base)
		err = th_target_name(request->base, &begin.base);
	if (!err && request->resume && strlen(request->resume) >= sizeof(begin.resume))
		err = -EINVAL;
	if (!err && request->resume)
		strcpy(begin.resume, request->resume);
	if (!err)
		err = th_target_ask(target, TH_CONTROL_SEND_BEGIN, &begin);
	*ret = th_get_le64(begin.session);
	return err;
}

static int read_session(struct th_target *target, uint64_t session, th_stream_take *take, void *arg)
{
	struct th_control_diff_next *next = malloc(sizeof(*next));
	bool ended = false;
	int err = next ? 0 : -ENOMEM;

	while (!err && !ended) {
		size_t bytes;

		memset(next, 0, offsetof(struct th_control_diff_next, stream));
		next->session = th_le64(session);
		err = th_target_ask(target, TH_CONTROL_DIFF_NEXT, next);
		bytes = err ? 0 : th_get_le32(next->bytes);
		if (bytes > sizeof(next->stream))
			err = -EPROTO;
		if (!err)
			err = take(arg, next->stream, bytes);
		ended = !err && th_get_le32(next->ended);
	}
	free(next);
	return err;
}

int th_stream_read(struct th_target *target, const struct th_stream_request *request, th_stream_take *take, void *arg)
{
	struct th_control_diff_end end = { 0 };
	uint64_t session;
	int err = begin(target, request, &session);

	if (err)
		return err;
	err = read_session(target, session, take, arg);
	end.session = th_le64(session);
	th_target_ask(target, TH_CONTROL_DIFF_END, &end); /* an error has ended it already */
	return err;
}
