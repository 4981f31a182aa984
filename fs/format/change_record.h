/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of a file between two views of a filesystem, and its encoding between daemon and tool.
 *
 * There is one change for each name that only one view has: '+', '-', or 'R' if an inode lost one name and got another.
 * And there is one for each name that both views have and whose inode differs: 'M'.  So each name of a file with
 * several names is reported; `links` in `from` and `to` is the number of its names.
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

/* The differences of an inode that both views have.  atime and ctime are not compared. */
enum th_fs_change_what {
	TH_CHANGED_CONTENT = 1 << 0, /* bytes before the new end of the file */
	TH_CHANGED_SIZE = 1 << 1, /* of a directory: the number of entries */
	TH_CHANGED_MODE = 1 << 2,
	TH_CHANGED_OWNER = 1 << 3, /* or group */
	TH_CHANGED_MTIME = 1 << 4,
	TH_CHANGED_LINKS = 1 << 5,
	TH_CHANGED_XATTR = 1 << 6,
	TH_CHANGED_FLAGS = 1 << 7, /* of chattr(1) */
	TH_CHANGED_DEVICE = 1 << 8,
	TH_CHANGED_ALL = (1 << 9) - 1,
};

/* The inode in one view; all zero if the view does not have it. */
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
	uint64_t
		replaced; /* the inode that had this name before, and to which `from` belongs; 0: none.  Only in a tool */
	struct th_fs_change_side from, to;
	/* In the newer view; the path of a removed name is that in the older one.  Begins with '/', the root of the
	 * filesystem. */
	char *path;
	/* In the older view, if it differs; otherwise NULL.  Of an added name, the path that it would have had there,
	 * if its directory had another path. */
	char *old_path;
	/* The ranges whose content differs, in whole blocks up to the new end of the file.  A copy of the old file, cut
	 * or extended with zeros to the new size, becomes the new file when these ranges are copied to it. */
	struct th_fs_change_range *ranges;
	size_t nranges;
	bool rough; /* the number of ranges was limited: the last ones cover unchanged bytes too */
};

/* Frees what the change owns, not the change. */
void th_fs_change_release(struct th_fs_change *change);

/* Returns the size in bytes of the record that th_fs_change_pack writes.  A stream is a sequence of records; each
 * begins with its size in four bytes. */
size_t th_fs_change_packed_size(const struct th_fs_change *change);
void th_fs_change_pack(const struct th_fs_change *change, void *record);
/* Decodes the first record of a stream and returns its size in *ret_size.  The caller releases the change.  Returns 0,
 * 1 if more bytes are needed, -EUCLEAN if this is no record, or -ENOMEM. */
int th_fs_change_unpack(const void *stream, size_t size, struct th_fs_change *ret, size_t *ret_size);

#endif
