/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of errors for users of an image, in the messages of the tool and of the daemon. */
#ifndef TH_FS_FORMAT_ERROR_TEXT_H
#define TH_FS_FORMAT_ERROR_TEXT_H

#include <stddef.h>

#define TH_ERROR_TEXT_MAX 4352 /* bytes: a path and a sentence */

/* Returns the text of an errno of either sign.  It is valid until the thread's next call. */
const char *th_error_text(int err);
/* Returns why the image at `path` cannot be opened; if it is in use, by which mount or process.  Fills and returns
 * text[TH_ERROR_TEXT_MAX]. */
const char *th_error_text_image(const char *path, int err, char *text);

#endif
