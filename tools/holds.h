/* SPDX-License-Identifier: Apache-2.0 */
/* Holds on snapshots, for the commands that list them or are refused because of them. */
#ifndef TH_TOOLS_HOLDS_H
#define TH_TOOLS_HOLDS_H

#include "tools/target.h"

/* Returns whether the snapshot has a hold with that tag, among the `count` holds of all snapshots. */
bool th_holds_has(const struct th_control_held *holds, size_t count, const struct th_control_snapshot *snapshot,
		  const char *tag);
/* Reports that the snapshot, which the printf-like text `what` names, has holds, and their tags.  Returns
 * TH_EXIT_FAILED. */
int th_holds_report(struct th_target *target, const struct th_control_snapshot *snapshot, const char *what, ...)
	__attribute__((format(printf, 3, 4)));
/* Prints the holds of these snapshots, or of all if there are no names.  Returns an exit code. */
int th_holds_list(struct th_target *target, bool json, int count, char **names);

#endif
