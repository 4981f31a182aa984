/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommand `snapshot list`. */
#ifndef TH_TOOLS_SNAPSHOT_LIST_H
#define TH_TOOLS_SNAPSHOT_LIST_H

#include "tools/command.h"

extern const struct th_option th_snapshot_list_options[];

int th_snapshot_list_run(const struct th_command *command, int argc, char **argv);

#endif
