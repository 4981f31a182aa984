/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making an image: what the commands that make one have in common.  They differ in what they write into it.
 *
 * What may be dear to somebody is not overwritten, and a file that was created or grown for nothing is undone.
 */
#ifndef TH_TOOLS_MAKE_H
#define TH_TOOLS_MAKE_H

#include "tools/command.h"
#include "tree/thunderhead.h"

/* Writes the new content; the disk stays the caller's.  0 or -errno. */
typedef int th_make_format(struct th_disk *disk, const struct th_format_options *options);

/* The arguments of such a command, for its usage line, and its options. */
#define TH_MAKE_ARGUMENTS "[--size SIZE] [--label LABEL] [--force] IMAGE"
#define TH_MAKE_HELP                                                                                                   \
	"  -s, --size SIZE    create the file, or let it grow, to that size (512M, 10G)\n"                             \
	"  -L, --label LABEL  a name for it, up to 63 bytes\n"                                                         \
	"  -f, --force        overwrite what the image holds\n"

/* Runs the command. */
int th_make_run(const struct th_command *command, th_make_format *format, int argc, char **argv);

#endif
