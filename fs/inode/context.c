/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/context.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void th_fs_report(struct th_fs *fs, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (fs->options.report)
		fs->options.report(fs->options.report_arg, line);
	else
		fprintf(stderr, "thunderhead: %s\n", line);
}

int th_fs_writable(const struct th_fs *fs)
{
	return fs->read_only ? -EROFS : 0;
}
