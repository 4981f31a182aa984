/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys and values of files and directories in the store (docs/format.md, "Filesystem").
 *
 *   key                     value
 *   id INODE                struct th_inode_disk, then the name; its reference count is the link count
 *   id XATTR name           the attribute's bytes
 *   id LINK parent-id name  empty: another name of this inode, besides the primary one in its inode value
 *   id EXTENT offset        struct th_extent_disk: file data that begins at that block
 *   id ENTRY hash name      struct th_dirent_disk: a name in this directory; a reference to the target's inode key
 *   0  NEXT_ID              le64: this id and larger ones were never used
 *   0  ORPHAN id            empty: an inode without a name that is or was in use; the next mount deletes it
 *   0  ATIME id              struct th_time_disk: when the inode was read last (inode/atime_record.h)
 *   0  RECEIVE              struct th_receive_disk: the branch is being received (snapshot/unfinished.h)
 *   0  RECEIVED_ID id       le64: this tree's id of an inode that the sender knows by `id`
 *   0  NAME_KEY             16 random bytes from mkfs: the secret key of the hash of names (name_hash.h)
 *
 * id, parent-id, hash and offset are 8 bytes, big-endian, so that keys sort by them.  Kinds are one byte.  The keys of
 * an inode are adjacent, and a directory is one key range.  The rename of a directory moves one key, not its contents.
 *
 * The names of a directory sort by a 23-bit hash first.  The readdir cookie is (hash << 8 | twin), where the twin
 * number distinguishes names with the same hash.  So a cookie is unique, does not change when other names are created
 * or removed, needs no state, and fits the off_t of 32-bit programs.  Eight million names have one name for each hash
 * on average, and a user who wants one more with a certain hash has to create as many, since the key is secret.  Names
 * with twin numbers that have more than 8 bits have a longer cookie (dir.c).
 */
#ifndef TH_FS_FORMAT_FORMAT_H
#define TH_FS_FORMAT_FORMAT_H

#include "journal/base/format.h"

#define TH_ROOT_ID 1u
#define TH_ID_BITS 40
#define TH_ID_MAX ((UINT64_C(1) << TH_ID_BITS) - 1)
#define TH_NAME_MAX 255
#define TH_NAME_HASH_BITS 23
#define TH_NAME_TWIN_BITS 23
#define TH_NAME_TWINS (1u << TH_NAME_TWIN_BITS) /* limit of names with the same hash in one directory */
#define TH_SYMLINK_MAX 4095
#define TH_LINK_MAX 1000000
#define TH_FILE_INLINE_MAX 1024 /* bytes; a smaller file is stored in the tree */

enum th_fs_key_kind {
	TH_FS_KEY_INODE = 1,
	TH_FS_KEY_XATTR = 2,
	TH_FS_KEY_LINK = 3,
	TH_FS_KEY_EXTENT = 4,
	TH_FS_KEY_ENTRY = 5,
	TH_FS_KEY_NEXT_ID = 16,
	TH_FS_KEY_ORPHAN = 17,
	TH_FS_KEY_NAME_KEY = 18,
	TH_FS_KEY_ATIME = 19,
	TH_FS_KEY_RECEIVE = 20,
	TH_FS_KEY_RECEIVED_ID = 21,
};

struct th_time_disk {
	struct th_le64 seconds; /* two's complement */
	struct th_le32 nanoseconds;
};

struct th_inode_disk {
	struct th_le32 mode; /* type and permissions, as st_mode */
	struct th_le32 uid, gid;
	struct th_le32 flags; /* FS_*_FL that chattr may set */
	struct th_le64 size; /* bytes; of a directory: number of entries */
	struct th_le64 blocks; /* 4 KiB blocks that its extents hold (inline data: 0) */
	struct th_le64 rdev;
	struct th_le32 subdirs; /* of a directory: its link count is 2 + subdirs */
	struct th_le32 generation;
	struct th_time_disk atime, mtime, ctime, btime;
	struct th_le64 parent; /* directory of the name that follows; 0 if there is none (root, unlinked) */
	/* name: 0 to 255 bytes, the rest of the value.  A symlink's target is its inline extent. */
};
static_assert(sizeof(struct th_inode_disk) == 104, "format.md: inode");

/* A snapshot that is being received: this branch has a part of it. */
struct th_receive_disk {
	uint8_t identity[16]; /* of the snapshot */
	uint8_t base[16]; /* of the snapshot before it, which the branch had; zero: none */
	struct th_le64 inode,
		block; /* the position in its stream up to which all is applied (stream/stream_format.h) */
	uint8_t created; /* 1: the branch was created for it */
	uint8_t reserved[7];
	/* name of the branch that was the current one before; empty: this one */
};
static_assert(sizeof(struct th_receive_disk) == 56, "format.md: receive");

struct th_dirent_disk {
	struct th_le64 target; /* inode id */
	struct th_le32 twin; /* below TH_NAME_TWINS, unique among the names of this directory with the same hash */
	uint8_t type; /* DT_* */
};
static_assert(sizeof(struct th_dirent_disk) == 13, "format.md: directory entry");

enum th_extent_kind {
	/* The bytes follow.  Only at offset 0, as the only extent of the file.  Also the target of a symlink. */
	TH_EXTENT_INLINE = 1,
	TH_EXTENT_RUN = 2, /* blocks; an XXH3 of each follows */
	TH_EXTENT_UNWRITTEN = 3, /* blocks allocated by fallocate, which read as zeros; no checksums */
};

/* Key offset and lengths count 4 KiB blocks. */
struct th_extent_disk {
	uint8_t kind;
	uint8_t compression; /* 0: none; other values are refused */
	struct th_le16 blocks; /* 1 to TH_RUN_MAX; 0 for inline */
	struct th_le32 reserved;
	struct th_le64 addr;
	struct th_le64 birth;
	/* inline: the bytes; run: blocks x le64 checksum */
};
static_assert(sizeof(struct th_extent_disk) == 24, "format.md: extent");

#endif
