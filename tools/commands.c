/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/commands.h"

const struct th_command *const th_commands[] = {
	&th_cmd_mkfs,      &th_cmd_mount, &th_cmd_snapshot, &th_cmd_branch, &th_cmd_rollback,
	&th_cmd_restore,   &th_cmd_cp,    &th_cmd_diff,     &th_cmd_send,   &th_cmd_receive,
	&th_cmd_replicate, &th_cmd_check, &th_cmd_scrub,    &th_cmd_rescue, &th_cmd_info,
	&th_cmd_resize,    &th_cmd_trim,  &th_cmd_kv,       NULL,
};
