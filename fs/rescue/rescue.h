/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rescue: writes all files of a damaged tree that can be read below a directory of another filesystem.
 *
 *   - A name whose inode is lost becomes a file or directory with the data that is left, without attributes.
 *   - An inode without a name that leads to the root is written as lost+found/#ID, with the names below it.
 *   - Data that cannot be read becomes a hole of the file.
 *
 * Each loss is reported by its path.  The image is only read.
 */
#ifndef TH_FS_RESCUE_RESCUE_H
#define TH_FS_RESCUE_RESCUE_H

#include "fs/inode/context.h"

struct th_rescue_result {
	uint64_t directories, files, other, bytes; /* written; other: symlinks and special files; bytes: of data */
	uint64_t lost; /* losses that were reported */
	uint64_t failed; /* names and attributes that could not be written */
};

/* Writes the files of a view.
 *
 * to: an empty directory.  report: takes a line, without a newline, for each loss and failure.
 * Returns 0, whatever was lost; -ENOMEM; an error after which nothing can be read; or -errno if the directory cannot be
 * written at all. */
int th_rescue(struct th_fs *fs, struct th_view *view, const char *to, void (*report)(void *arg, const char *line),
	      void *arg, struct th_rescue_result *ret);

#endif
