/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which all snapshots of a filesystem are sent, and what each continues from. */
#ifndef TH_TOOLS_STREAM_PLAN_H
#define TH_TOOLS_STREAM_PLAN_H

#include "tools/target.h"

struct th_stream_plan {
	struct th_stream_step {
		struct th_control_snapshot snapshot;
		const struct th_control_snapshot *base; /* in the plan, or NULL: all of it is sent */
	} * steps;
	size_t count;
	size_t left_out; /* snapshots of detached branches, which have no name to be received under */
};

/* Plans all snapshots, oldest first.  Each continues from the one before on its branch, or from that where the branch
 * begins.  The caller releases the plan.  Returns 0 or -errno; reports nothing. */
int th_stream_plan_make(struct th_target *target, struct th_stream_plan *ret);
void th_stream_plan_release(struct th_stream_plan *plan);

#endif
