/* SPDX-License-Identifier: Apache-2.0 */
/* Errors about snapshots: what to do about them is often in the lists of holds and branches. */
#ifndef TH_TOOLS_SNAPSHOT_REPORT_H
#define TH_TOOLS_SNAPSHOT_REPORT_H

#include "tools/target.h"

/* Reports an error about the snapshot of this name.  Returns TH_EXIT_FAILED. */
int th_snapshot_report(struct th_target *target, const char *name, int err);
/* Reports why a term selects no snapshots: an error of th_select_term().  Returns TH_EXIT_FAILED. */
int th_snapshot_report_term(struct th_target *target, const char *term, int err);

#endif
