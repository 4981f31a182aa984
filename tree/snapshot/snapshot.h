/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots. */
#ifndef TH_TREE_SNAPSHOT_SNAPSHOT_H
#define TH_TREE_SNAPSHOT_SNAPSHOT_H

int th_snapshot_check_name(const char *name);

#endif
