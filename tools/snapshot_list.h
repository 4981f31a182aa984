/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommand `snapshot list`. */
#ifndef TH_TOOLS_SNAPSHOT_LIST_H
#define TH_TOOLS_SNAPSHOT_LIST_H

#include "tools/target.h"

/* Prints all snapshots; there are no names.  Returns an exit code. */
int th_snapshot_list_print(struct th_target *target, bool json, int count, char **names);

#endif
