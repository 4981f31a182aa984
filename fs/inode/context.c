/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/context.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "journal/base/checksum.h"
#include "journal/base/report.h"

/* Passes a line on, unless it is one of those passed on lately: damage is met by each read of it. */
static void report_once(void *arg, const char *line)
{
	struct th_fs *fs = arg;
	uint64_t hash = th_checksum(line, strlen(line)) | 1;
	_Atomic uint64_t *slot = &fs->reported[hash >> 8 & (TH_REPORTED - 1)];

	if (atomic_exchange(slot, hash) != hash)
		(fs->options.report ? fs->options.report : th_report_to_stderr)(fs->options.report_arg, line);
}

void th_fs_report(struct th_fs *fs, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(report_once, fs, format, args);
	va_end(args);
}

bool th_fs_lenient(const struct th_fs *fs, int err)
{
	return fs->read_only && (err == -EBADMSG || err == -EUCLEAN || err == -EIO);
}

int th_fs_writable(const struct th_fs *fs)
{
	return fs->read_only || (fs->store && th_store_failure(fs->store)) ? -EROFS : 0;
}
