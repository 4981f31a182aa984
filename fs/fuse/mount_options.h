/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of mount -o.
 *
 * One table has all options of this filesystem: they are parsed by it, `thunderhead mount --help` is printed from it,
 * and a test compares the manual page with it.  Options that are not in it go to libfuse, which refuses those that it
 * does not know.  A new option needs a line in the table and a paragraph in docs/thunderhead.8.
 */
#ifndef TH_FS_FUSE_MOUNT_OPTIONS_H
#define TH_FS_FUSE_MOUNT_OPTIONS_H

#include <stdbool.h>

#include "fs/fs.h"
#include "fs/fuse/mount.h"

struct th_mount_parsed {
	struct th_fs_options fs; /* its strings point into text */
	char *text; /* a copy of the options, cut up */
	char *fuse; /* comma-separated, for libfuse */
	unsigned max_read; /* bytes; also in fuse, since libfuse needs it in both places; 0: not given */
	bool block; /* mount by a block device, if possible */
	bool exports; /* file handles outlive the kernel's caches */
	bool no_seccomp; /* do not restrict the daemon's system calls */
	bool remount; /* change the flags of an existing mount */
};

struct th_mount_option {
	const char *name;
	const char *argument; /* as the help names it; the option is name=value; NULL: takes none */
	const char *help; /* one line; NULL: the option is accepted and has no effect */
	const char *expects; /* for the error about a wrong value */
	/* Takes the value over.  Returns 0 or -EINVAL.  NULL: no effect. */
	int (*parse)(struct th_mount_parsed *parsed, const struct th_mount_option *option, const char *value);
	int mode; /* for parse */
	bool for_fuse; /* goes to libfuse, too */
};

extern const struct th_mount_option th_mount_option_table[]; /* ends with an option without a name */

/* Parses options->options; of options that contradict each other the last one counts.  The caller releases *ret after
 * 0.  Returns 0, -ENOMEM, or -EINVAL after reporting on stderr which option is wrong. */
int th_mount_parse(const struct th_mount_options *options, struct th_mount_parsed *ret);
/* Returns the options for libfuse to mount by this block device, which the caller frees; NULL: no memory. */
char *th_mount_device_options(const struct th_mount_parsed *parsed, const char *device);
void th_mount_parsed_release(struct th_mount_parsed *parsed);

#endif
