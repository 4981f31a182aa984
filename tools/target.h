/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command works on: a filesystem, mounted (named by any of its directories) or not (named by its image).
 *
 * Both answer the requests of fs/control.h: the mounted one by ioctl, the other one in this process.
 */
#ifndef TH_TOOLS_TARGET_H
#define TH_TOOLS_TARGET_H

#include <stdbool.h>

#include "fs/control/control.h"

struct th_target;

/* Opens it, or says why not (th_error) and answers -errno.  read_only: an image is opened without changing it. */
int th_target_open(const char *path, bool read_only, struct th_target **ret);
/* Closes it; an image that was opened for writing is committed.  Says what goes wrong.  NULL is fine. */
int th_target_close(struct th_target *target);

const char *th_target_path(const struct th_target *target);
bool th_target_mounted(const struct th_target *target);
/* Brings what the kernel holds back into the mounted filesystem.  Says what goes wrong. */
int th_target_sync(struct th_target *target);

/* Makes one request: `data` is the structure that belongs to cmd, whose version is filled in here, and becomes the
 * answer if there is one.  0 or -errno; nothing is said. */
int th_target_ask(struct th_target *target, unsigned cmd, void *data);

/* A name into a request.  -ENAMETOOLONG. */
int th_target_name(const char *name, struct th_control_name *ret);

/* All snapshots, oldest first.  The caller frees *ret. */
int th_target_snapshots(struct th_target *target, struct th_control_snapshot **ret, size_t *ret_count);
/* All holds and all branches likewise. */
int th_target_holds(struct th_target *target, struct th_control_held **ret, size_t *ret_count);
int th_target_branches(struct th_target *target, struct th_control_branch **ret, size_t *ret_count);

#endif
