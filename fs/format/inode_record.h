/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of an inode, and their encoding in the store (struct th_inode_disk in format.h). */
#ifndef TH_FS_FORMAT_INODE_RECORD_H
#define TH_FS_FORMAT_INODE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "fs/format/format.h"
#include "tree/thunderhead.h"

struct th_time {
	int64_t seconds; /* since 1970, UTC; may be negative */
	uint32_t nanoseconds;
};

struct th_attr {
	uint32_t mode, uid, gid;
	uint32_t flags; /* FS_*_FL */
	uint32_t generation;
	uint32_t nlink; /* of a directory 2 + subdirectories, otherwise the store's reference count */
	uint64_t size; /* bytes; of a directory: entries */
	uint64_t blocks; /* 4 KiB blocks, including those reserved for delayed writes */
	uint64_t rdev;
	struct th_time atime, mtime, ctime, btime;
	/* The primary name, which diff shows, and which gives "..".  The inode owns the bytes (struct th_inode.attr);
	 * copies of the attributes only refer to them. */
	uint64_t parent; /* id of the directory; 0: root, or no name left */
	const char *name;
	uint16_t name_size;
};

/* Converts nanoseconds since 1970. */
struct th_time th_time_of_ns(uint64_t ns);
/* Returns the present time. */
struct th_time th_time_now(void);

/* Encodes a time of access, and decodes the value of its record.  Returns 0, or -EUCLEAN if that is none. */
struct th_time_disk th_atime_encode(struct th_time time);
int th_atime_decode(struct th_slice value, struct th_time *ret);

#define TH_INODE_VALUE_MAX (sizeof(struct th_inode_disk) + TH_NAME_MAX)

/* Encodes the attributes and the name into a buffer of TH_INODE_VALUE_MAX bytes.  Returns the bytes used. */
size_t th_inode_encode(const struct th_attr *attr, void *value);
/* Decodes a value of `size` bytes whose key has `refs` references.  ret->name points into the value.  Returns 0, or
 * -EUCLEAN if it is no valid inode; ret is then undefined. */
int th_inode_decode(const void *value, size_t size, int32_t refs, struct th_attr *ret);

#endif
