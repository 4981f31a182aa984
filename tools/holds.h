/* SPDX-License-Identifier: Apache-2.0 */
/* Holds on snapshots, for the commands that put and list them, or find that something is held. */
#ifndef TH_TOOLS_HOLDS_H
#define TH_TOOLS_HOLDS_H

#include "tools/target.h"

/* Does the snapshot have that tag? */
bool th_holds_has(const struct th_control_held *holds, size_t count, const struct th_control_snapshot *snapshot,
		  const char *tag);
/* Says that the snapshot, called `what`, is held, and by which tags; answers TH_EXIT_FAILED. */
int th_holds_say(struct th_target *target, const struct th_control_snapshot *snapshot, const char *what, ...)
	__attribute__((format(printf, 3, 4)));
/* Prints the holds of some snapshots, or of all if there are no names; answers an exit code. */
int th_holds_list(struct th_target *target, bool json, int count, char **names);

#endif
