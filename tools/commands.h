/* SPDX-License-Identifier: Apache-2.0 */
/* All commands, in the order in which the help lists them. */
#ifndef TH_TOOLS_COMMANDS_H
#define TH_TOOLS_COMMANDS_H

#include "tools/command.h"

extern const struct th_command th_cmd_mkfs, th_cmd_mount, th_cmd_snapshot, th_cmd_branch, th_cmd_rollback,
	th_cmd_restore, th_cmd_cp, th_cmd_diff, th_cmd_send, th_cmd_receive, th_cmd_replicate, th_cmd_check,
	th_cmd_scrub, th_cmd_rescue, th_cmd_info, th_cmd_resize, th_cmd_trim, th_cmd_kv;

extern const struct th_command *const th_commands[]; /* ends with NULL */

/* mount.thunderhead and fsck.thunderhead, with the arguments and exit codes of mount(8) and fsck(8). */
int th_mount_helper(int argc, char **argv);
int th_fsck_helper(int argc, char **argv);

#endif
