/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands that delete snapshots: `snapshot delete` those that the user names, `snapshot prune` those that no
 * rule keeps (fs/snapshot/prune.h). */
#ifndef TH_TOOLS_SNAPSHOT_DELETE_H
#define TH_TOOLS_SNAPSHOT_DELETE_H

#include "tools/command.h"

extern const struct th_option th_snapshot_delete_options[], th_snapshot_prune_options[];

int th_snapshot_delete_run(const struct th_command *command, int argc, char **argv);
int th_snapshot_prune_run(const struct th_command *command, int argc, char **argv);

#endif
