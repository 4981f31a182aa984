/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an error means to somebody who uses an image: the words for the tool's and the daemon's messages.
 */
#ifndef TH_FS_FORMAT_ERROR_TEXT_H
#define TH_FS_FORMAT_ERROR_TEXT_H

#include <stddef.h>

#define TH_EXPLAIN_MAX 4352 /* enough for a path and some words */

/* err is an errno, either sign.  Valid until the thread's next call. */
const char *th_error_text(int err);
/* Why that image cannot be had; if it is in use, who has it.  Fills and returns text[TH_EXPLAIN_MAX]. */
const char *th_error_text_image(const char *path, int err, char *text);

#endif
