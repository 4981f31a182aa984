/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what a stream holds. */
#ifndef TH_TOOLS_STREAM_PRINT_H
#define TH_TOOLS_STREAM_PRINT_H

#include "fs/stream/receive.h"

/* For th_receive_options.event: prints a line on stdout at the end of a stream. */
void th_stream_print_totals(void *arg, enum th_receive_event event, const struct th_stream_info *info,
			    const char *branch, const struct th_stream_totals *totals);

#endif
