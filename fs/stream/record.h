/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a stream, and its beginning and end: encoding and checked decoding. */
#ifndef TH_FS_STREAM_RECORD_H
#define TH_FS_STREAM_RECORD_H

#include <stdbool.h>

#include "fs/format/inode_record.h"
#include "fs/stream/stream_format.h"

struct th_position {
	uint64_t inode, block;
};

/* The content of TH_PIECE_BEGIN. */
struct th_stream_info {
	uint32_t flags; /* enum th_stream_flags */
	uint8_t source[16], identity[TH_SNAPSHOT_IDENTITY], base[TH_SNAPSHOT_IDENTITY];
	uint64_t created_ns;
	struct th_position position;
	char name[TH_SNAPSHOT_NAME_MAX + 1], base_name[TH_SNAPSHOT_NAME_MAX + 1], branch[TH_BRANCH_NAME_MAX + 1];
};

#define TH_STREAM_BEGIN_MAX (sizeof(struct th_stream_begin) + 3 * TH_SNAPSHOT_NAME_MAX)

/* Encodes into TH_STREAM_BEGIN_MAX bytes.  Returns the bytes used. */
size_t th_stream_begin_encode(const struct th_stream_info *info, void *content);
/* Returns 0, -EPROTONOSUPPORT for another version, or -EUCLEAN. */
int th_stream_begin_decode(struct th_slice content, struct th_stream_info *ret);

/* Numbers about a stream. */
struct th_stream_totals {
	uint64_t inodes; /* that are new or have changed */
	uint64_t names; /* that were added */
	uint64_t removed; /* inodes that were removed */
	uint64_t bytes; /* of data, uncompressed */
	uint64_t shared_bytes; /* that are shared with other data and not in the stream */
};

struct th_stream_end th_stream_end_encode(const struct th_stream_totals *totals);
/* Returns 0 or -EUCLEAN. */
int th_stream_end_decode(struct th_slice content, struct th_stream_totals *ret);

/* A record.  The fields that its kind does not have are 0. */
struct th_record {
	enum th_record_kind kind;
	uint64_t inode;
	uint64_t parent; /* BIND, LINK, UNLINK */
	struct th_slice name; /* these, and those of attributes */
	struct th_slice bytes; /* INLINE, DATA; the value of an attribute */
	struct th_attr attr; /* INODE; the time of ATIME */
	uint32_t links; /* INODE: references to its key */
	uint64_t block, count; /* data: blocks */
	uint64_t source, source_block; /* CLONE */
};

/* The bytes of records. */
struct th_records {
	uint8_t *bytes;
	size_t size, capacity;
};

/* Appends a record.  Returns 0 or -ENOMEM. */
int th_record_append(struct th_records *records, const struct th_record *record);
/* Decodes the first record of a piece, and checks it by itself; slices point into it.  Returns 0 and its size, 1 at the
 * end, or -EUCLEAN. */
int th_record_decode(struct th_slice records, struct th_record *ret, size_t *ret_size);
/* Adds a record to the totals. */
void th_record_count(const struct th_record *record, struct th_stream_totals *totals);
/* The end of a batch of records that fits a piece: returns the bytes of the first whole records that are at most
 * TH_PIECE_SIZE_MAX. */
size_t th_records_fit(const struct th_records *records, size_t from);

/* A position and the snapshots it belongs to, as a line of text that `send --resume` takes. */
#define TH_STREAM_TOKEN_SIZE 97
void th_stream_token_format(const struct th_stream_info *info, struct th_position position,
			    char ret[TH_STREAM_TOKEN_SIZE]);
/* Sets identity, base and position.  Returns 0, or -EINVAL if it is no token. */
int th_stream_token_parse(const char *token, struct th_stream_info *ret);

#endif
