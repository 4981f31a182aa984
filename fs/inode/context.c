/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/context.h"

#include <errno.h>
#include <stdarg.h>

#include "journal/base/report.h"

void th_fs_report(struct th_fs *fs, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(fs->options.report ? fs->options.report : th_report_to_stderr, fs->options.report_arg, format,
			  args);
	va_end(args);
}

bool th_fs_lenient(const struct th_fs *fs, int err)
{
	return fs->read_only && (err == -EBADMSG || err == -EUCLEAN || err == -EIO);
}

int th_fs_writable(const struct th_fs *fs)
{
	return fs->read_only ? -EROFS : 0;
}
