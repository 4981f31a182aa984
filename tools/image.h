/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are not mounted: opening them, and saying well why one cannot be opened.
 */
#ifndef TH_TOOLS_IMAGE_H
#define TH_TOOLS_IMAGE_H

#include "fs/fs.h"

/* Who speaks of an image's trouble: says each line once, and knows whether it said any. */
struct th_image_voice {
	const char *path;
	unsigned lines;
};
/* For th_fs_options.report and the like, with a voice as the argument. */
void th_image_report(void *voice, const char *line);

/* Opens the filesystem in voice->path, which the voice (it must outlive the filesystem) reports for, or says why not
 * and answers -errno.  branch NULL: the current one. */
int th_image_open(struct th_image_voice *voice, bool read_only, const char *branch, struct th_fs **ret);
/* The same for the store in the image, whatever that holds. */
int th_image_open_store(struct th_image_voice *voice, bool read_only, struct th_store **ret);
/* Says why the image cannot be had, and where that is because it is in use: by whom.  Answers result. */
int th_image_error(const char *path, int result);

#endif
