/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of a file between two views of a filesystem, and how it travels from the daemon to the tool.
 *
 * There is one change for each name that is there in one view only ('+', '-', or 'R' where an inode lost one name and
 * got another), and one for each name that stayed and whose inode differs ('M').  So every name of a file with several
 * is told; links in `from` and `to` tell how many it had.
 */
#ifndef TH_FS_FORMAT_CHANGE_RECORD_H
#define TH_FS_FORMAT_CHANGE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum th_fs_change_kind {
	TH_CHANGE_ADDED = '+',
	TH_CHANGE_REMOVED = '-',
	TH_CHANGE_MODIFIED = 'M',
	TH_CHANGE_RENAMED = 'R',
};

/* What differs in an inode that is in both views.  The times of access and of change of status do not count. */
enum th_fs_change_what {
	TH_CHANGED_CONTENT = 1 << 0, /* bytes below the new end of the file */
	TH_CHANGED_SIZE = 1 << 1, /* of a directory: the number of entries */
	TH_CHANGED_MODE = 1 << 2,
	TH_CHANGED_OWNER = 1 << 3, /* or group */
	TH_CHANGED_MTIME = 1 << 4,
	TH_CHANGED_LINKS = 1 << 5,
	TH_CHANGED_XATTR = 1 << 6,
	TH_CHANGED_FLAGS = 1 << 7, /* as chattr(1) sets */
	TH_CHANGED_DEVICE = 1 << 8,
	TH_CHANGED_ALL = (1 << 9) - 1,
};

/* An inode as one view has it; all zero if it is not there. */
struct th_fs_change_side {
	uint32_t mode, uid, gid, links;
	uint64_t size;
	int64_t mtime_seconds;
	uint32_t mtime_nanoseconds;
};

struct th_fs_change_range {
	uint64_t offset, length; /* bytes */
};

struct th_fs_change {
	enum th_fs_change_kind kind;
	uint32_t what; /* enum th_fs_change_what */
	uint64_t inode; /* its number in the live tree */
	struct th_fs_change_side from, to;
	/* In the newer view; of a removed name in the older one.  Begins with '/', the root of the filesystem. */
	char *path;
	char *old_path; /* in the older view, where that is another; else NULL */
	/* Where the content differs, in whole blocks up to the new end of the file: with these copied, an old copy that
	 * was cut or grown (with zeros) to the new size is the new file. */
	struct th_fs_change_range *ranges;
	size_t nranges;
	bool rough; /* there were too many ranges to keep: the last ones cover unchanged bytes too */
};

/* Frees what the change owns, not the change. */
void th_fs_change_release(struct th_fs_change *change);
/* Is one of its paths `directory` (which has no '/' at its end; "" is everything) or below it? */
bool th_fs_change_below(const struct th_fs_change *change, const char *directory);

/* The change as bytes, appended one after another to a stream.  The first four bytes are the record's size. */
size_t th_fs_change_packed_size(const struct th_fs_change *change);
void th_fs_change_pack(const struct th_fs_change *change, void *record);
/* Takes the first record of a stream.  1: more bytes are needed; -EUCLEAN: this is no record; -ENOMEM.  After 0 the
 * caller releases the change. */
int th_fs_change_unpack(const void *stream, size_t size, struct th_fs_change *ret, size_t *ret_size);

#endif
