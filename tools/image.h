/* SPDX-License-Identifier: Apache-2.0 */
/* Opening images that are not mounted, and reporting why one cannot be opened. */
#ifndef TH_TOOLS_IMAGE_H
#define TH_TOOLS_IMAGE_H

#include "fs/fs.h"

/* What th_image_report() needs: the path, which begins each line, and how many lines it has reported. */
struct th_image_reporter {
	const char *path;
	unsigned lines;
};
/* Prints a line on stderr, with the path in front unless it begins with that.  For th_fs_options.report and similar
 * callbacks, whose argument is a struct th_image_reporter. */
void th_image_report(void *reporter, const char *line);

/* Opens the filesystem in the image reporter->path.  branch NULL: the current one.  The reporter must outlive the
 * filesystem.  Returns 0, or -errno after reporting why. */
int th_image_open(struct th_image_reporter *reporter, bool read_only, const char *branch, struct th_fs **ret);
/* Opens a damaged image, to read what is left: the newest generation that has its roots, or the one with this number
 * (0: any).  Returns 0, or -errno after reporting why. */
int th_image_open_rescue(struct th_image_reporter *reporter, uint64_t generation, struct th_fs **ret);
/* The same for the store in the image, with or without a filesystem. */
int th_image_open_store(struct th_image_reporter *reporter, bool read_only, struct th_store **ret);
/* Reports why the image cannot be opened; if it is in use, by which process or mount.  Returns err. */
int th_image_error(const char *path, int err);

#endif
