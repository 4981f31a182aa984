/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting an image: the common part of the commands that write a new image, mkfs and kv create.
 *
 * Existing data is overwritten only with --force.  If formatting fails, a file that was created is removed, and one
 * that was extended gets its former size back.
 */
#ifndef TH_TOOLS_IMAGE_FORMAT_H
#define TH_TOOLS_IMAGE_FORMAT_H

#include "tools/command.h"
#include "tree/thunderhead.h"

/* Writes the content of the new image; the disk stays the caller's.  Returns 0 or -errno. */
typedef int th_image_writer(struct th_disk *disk, const struct th_format_options *options);

/* The usage line and the options of such a command. */
#define TH_IMAGE_FORMAT_ARGUMENTS "[--size SIZE] [--label LABEL] [--metadata-copies 1|2] [--force] IMAGE"
extern const struct th_option th_image_format_options[];

/* Parses the arguments and formats the image.  Returns an exit code. */
int th_image_format_run(const struct th_command *command, th_image_writer *writer, int argc, char **argv);

#endif
