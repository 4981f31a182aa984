/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filesystem that a command works on: a mounted one, named by any of its directories, or one that is not mounted,
 * named by its image.  Both answer the requests of fs/control/control.h: the mounted one by ioctl, the other in this
 * process.
 */
#ifndef TH_TOOLS_TARGET_H
#define TH_TOOLS_TARGET_H

#include <stdbool.h>

#include "fs/control/control.h"

struct th_target;

/* Opens a target; read_only: an image is opened without changing it.  path must outlive it.  Returns 0, or -errno after
 * reporting why. */
int th_target_open(const char *path, bool read_only, struct th_target **ret);
/* Closes a target; NULL is allowed.  In an image that was opened for writing the changes become durable.  Returns 0, or
 * -errno after reporting it. */
int th_target_close(struct th_target *target);

const char *th_target_path(const struct th_target *target);
bool th_target_mounted(const struct th_target *target);
/* Makes the kernel write its dirty pages to the mounted filesystem, so that the next request sees them.  Returns 0, or
 * -errno after reporting it. */
int th_target_sync(struct th_target *target);

/* Makes one request.  `data` is the structure that belongs to cmd; its version is filled in here, and it becomes the
 * answer.  Returns 0 or -errno; reports nothing. */
int th_target_ask(struct th_target *target, unsigned cmd, void *data);

/* Copies a name into a request.  Returns 0 or -ENAMETOOLONG. */
int th_target_name(const char *name, struct th_control_name *ret);

/* Return all snapshots, holds or branches, oldest first; the caller frees *ret.  Return 0 or -errno; report nothing. */
int th_target_snapshots(struct th_target *target, struct th_control_snapshot **ret, size_t *ret_count);
int th_target_holds(struct th_target *target, struct th_control_held **ret, size_t *ret_count);
int th_target_branches(struct th_target *target, struct th_control_branch **ret, size_t *ret_count);

#endif
