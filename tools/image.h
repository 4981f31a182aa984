/* SPDX-License-Identifier: Apache-2.0 */
/* Opening images that are not mounted, and reporting why one cannot be opened. */
#ifndef TH_TOOLS_IMAGE_H
#define TH_TOOLS_IMAGE_H

#include "fs/fs.h"

/* Reports errors of one image, and counts them. */
struct th_image_reporter {
	const char *path;
	unsigned lines;
};
/* Reports a line.  For th_fs_options.report and similar callbacks, with a reporter as the argument. */
void th_image_report(void *reporter, const char *line);

/* Opens the filesystem in the image reporter->path.  branch NULL: the current one.  The reporter must outlive the filesystem.
 * Returns 0, or -errno after reporting why. */
int th_image_open(struct th_image_reporter *reporter, bool read_only, const char *branch, struct th_fs **ret);
/* The same for the store in the image, with or without a filesystem. */
int th_image_open_store(struct th_image_reporter *reporter, bool read_only, struct th_store **ret);
/* Reports why the image cannot be opened; if it is in use, by which process or mount.  Returns err. */
int th_image_error(const char *path, int err);

#endif
