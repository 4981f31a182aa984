/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of streams: docs/stream.md.
 *
 * A stream is a sequence of pieces: one TH_PIECE_BEGIN, any number of TH_PIECE_RECORDS, and one TH_PIECE_END.  Another
 * stream may follow.  A piece has the checksum of its bytes and that of the piece before it, so a missing, repeated or
 * exchanged piece shows.
 *
 * Records name inodes by numbers of the sender.  The receiver knows the root (1), and the inodes that the base snapshot
 * has from a BIND record.  Any other number stands for a new inode.  Records of inodes come in ascending order of these
 * numbers, and those of data in ascending order of blocks.
 */
#ifndef TH_FS_STREAM_STREAM_FORMAT_H
#define TH_FS_STREAM_STREAM_FORMAT_H

#include "fs/format/format.h"
#include "tree/thunderhead.h"

#define TH_STREAM_MAGIC "THSTREAM"
#define TH_STREAM_VERSION 1u
#define TH_PIECE_MAGIC "thpc"

enum th_piece_kind {
	TH_PIECE_BEGIN = 1, /* struct th_stream_begin and three names */
	TH_PIECE_RECORDS = 2, /* whole records */
	TH_PIECE_END = 3, /* struct th_stream_end */
};

enum th_piece_compression {
	TH_PIECE_PLAIN = 0,
	TH_PIECE_ZSTD = 1,
};

struct th_piece_head {
	struct th_le64 checksum; /* XXH3 of all bytes of the piece after this field */
	uint8_t magic[4];
	uint8_t kind, compression;
	struct th_le16 reserved; /* 0 */
	struct th_le64 before; /* checksum of the piece before it in its stream; 0: it is the first */
	struct th_le32 stored; /* bytes that follow */
	struct th_le32 size; /* bytes of content, when decompressed */
	/* content */
};
static_assert(sizeof(struct th_piece_head) == 32, "stream.md: piece");

enum th_stream_flags {
	TH_STREAM_INCREMENTAL = 1 << 0, /* the changes since the snapshot `base` */
	TH_STREAM_RESUMED = 1 << 1, /* only the records from `position` on */
	TH_STREAM_BRANCH = 1 << 2, /* the receiver uses a branch of the sender's name (send --all) */
};

/* A place in the order of records: before those of that inode's blocks.  0 0: the beginning. */
struct th_position_disk {
	struct th_le64 inode, block;
};

struct th_stream_begin {
	uint8_t magic[8];
	struct th_le32 version, flags;
	uint8_t source[16]; /* uuid of the filesystem */
	uint8_t identity[TH_SNAPSHOT_IDENTITY]; /* of the snapshot */
	uint8_t base[TH_SNAPSHOT_IDENTITY]; /* of that before it; zero: none */
	struct th_le64 created_ns; /* when the snapshot was taken */
	struct th_position_disk position;
	uint8_t name_size, base_name_size, branch_size;
	uint8_t reserved[5];
	/* the name of the snapshot, of the base, and of the sender's branch */
};
static_assert(sizeof(struct th_stream_begin) == 96, "stream.md: begin");

/* Totals of the records of this stream. */
struct th_stream_end {
	struct th_le64 inodes, names, removed, bytes, shared_bytes;
};
static_assert(sizeof(struct th_stream_end) == 40, "stream.md: end");

enum th_record_kind {
	TH_RECORD_BIND = 1, /* inode; then le64 parent and a name: where the base has it */
	TH_RECORD_ATIME = 2, /* inode; then struct th_time_disk: it was read; no other change */
	TH_RECORD_INODE = 3, /* inode; then le32 links and the value of its INODE key, with the sender's numbers */
	TH_RECORD_GONE = 4, /* inode: it does not exist any more */
	TH_RECORD_UNLINK = 5, /* inode; then le64 parent and a name that it lost */
	TH_RECORD_LINK = 6, /* inode; then le64 parent and a name that it got */
	TH_RECORD_XATTR = 7, /* inode; then u8 size of the name, the name, and the value */
	TH_RECORD_XATTR_GONE = 8, /* inode; then the name */
	TH_RECORD_INLINE = 9, /* inode; then all data of a small file, or the target of a symlink */
	TH_RECORD_DATA = 10, /* inode; then le64 block and the bytes from there on */
	TH_RECORD_HOLE = 11, /* inode; then struct th_blocks_disk */
	TH_RECORD_UNWRITTEN = 12, /* the same: allocated blocks that read as zeros */
	TH_RECORD_CLONE = 13, /* the same, then le64 inode and le64 block: shares blocks that came earlier */
	TH_RECORD_CLONE_BASE = 14, /* the same: shares blocks that the base has there */
};

struct th_record_head {
	struct th_le32 size; /* of the record, this head included */
	uint8_t kind;
	uint8_t reserved[3]; /* 0 */
	struct th_le64 inode;
};
static_assert(sizeof(struct th_record_head) == 16, "stream.md: record");

struct th_blocks_disk {
	struct th_le64 block, count;
};

#define TH_RECORD_DATA_MAX ((size_t)1 << 20) /* bytes of data in one record */
#define TH_RECORD_SIZE_MAX (TH_RECORD_DATA_MAX + 64)
#define TH_PIECE_SIZE_MAX (TH_RECORD_SIZE_MAX + ((size_t)1 << 18)) /* bytes of content of a piece */

#endif
