/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/stream_print.h"

#include <inttypes.h>
#include <stdio.h>

#include "journal/base/size.h"
#include "tools/name_print.h"

void th_stream_print_totals(void *arg, enum th_receive_event event, const struct th_stream_info *info,
			    const char *branch, const struct th_stream_totals *totals)
{
	char data[TH_SIZE_TEXT], shared[TH_SIZE_TEXT];

	(void)arg;
	(void)branch;
	if (event != TH_RECEIVE_DONE)
		return;
	printf("snapshot ");
	th_name_print(stdout, info->name);
	if (info->flags & TH_STREAM_INCREMENTAL) {
		printf(" since ");
		th_name_print(stdout, info->base_name);
	}
	printf(": %" PRIu64 " files new or changed, %" PRIu64 " removed, %" PRIu64 " new names, %s (%" PRIu64
	       " bytes) of data, %s shared\n",
	       totals->inodes, totals->removed, totals->names, th_size_format(totals->bytes, data), totals->bytes,
	       th_size_format(totals->shared_bytes, shared));
}
