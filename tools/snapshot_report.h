/* SPDX-License-Identifier: Apache-2.0 */
/* Errors about snapshots: what to do about them is often in the lists of holds and branches. */
#ifndef TH_TOOLS_SNAPSHOT_REPORT_H
#define TH_TOOLS_SNAPSHOT_REPORT_H

#include "tools/target.h"

/* Reports an error about the snapshot of this name.  Returns TH_EXIT_FAILED. */
int th_snapshot_report(struct th_target *target, const char *name, int err);

#endif
