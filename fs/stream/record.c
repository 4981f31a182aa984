/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/attr/xattr.h"
#include "fs/data/extent.h"
#include "journal/base/array.h"

#define KNOWN_FLAGS (TH_STREAM_INCREMENTAL | TH_STREAM_RESUMED | TH_STREAM_BRANCH)

/* --- beginning and end of a stream --- */

size_t th_stream_begin_encode(const struct th_stream_info *info, void *content)
{
	struct th_stream_begin begin = {
		.version = th_le32(TH_STREAM_VERSION),
		.flags = th_le32(info->flags),
		.created_ns = th_le64(info->created_ns),
		.position = { th_le64(info->position.inode), th_le64(info->position.block) },
		.name_size = (uint8_t)strlen(info->name),
		.base_name_size = (uint8_t)strlen(info->base_name),
		.branch_size = (uint8_t)strlen(info->branch),
	};
	char *at = (char *)content + sizeof(begin);

	memcpy(begin.magic, TH_STREAM_MAGIC, sizeof(begin.magic));
	memcpy(begin.source, info->source, sizeof(begin.source));
	memcpy(begin.identity, info->identity, sizeof(begin.identity));
	memcpy(begin.base, info->base, sizeof(begin.base));
	memcpy(content, &begin, sizeof(begin));
	memcpy(at, info->name, begin.name_size);
	at += begin.name_size;
	memcpy(at, info->base_name, begin.base_name_size);
	at += begin.base_name_size;
	memcpy(at, info->branch, begin.branch_size);
	return sizeof(begin) + begin.name_size + begin.base_name_size + begin.branch_size;
}

/* Takes a name of a snapshot or branch.  Returns 0, or -EUCLEAN if it cannot be one. */
static int take_name(const char **at, size_t size, char *ret)
{
	memcpy(ret, *at, size);
	ret[size] = 0;
	*at += size;
	return memchr(ret, 0, size) || memchr(ret, '/', size) || !strcmp(ret, ".") || !strcmp(ret, "..") ? -EUCLEAN : 0;
}

int th_stream_begin_decode(struct th_slice content, struct th_stream_info *ret)
{
	static const uint8_t zeros[sizeof(((struct th_stream_begin *)0)->reserved)];
	struct th_stream_begin begin;
	const char *at = (const char *)content.data + sizeof(begin);

	if (content.size < sizeof(begin.magic) + sizeof(begin.version) || memcmp(content.data, TH_STREAM_MAGIC, 8))
		return -EUCLEAN;
	memcpy(&begin, content.data, content.size < sizeof(begin) ? content.size : sizeof(begin));
	if (th_get_le32(begin.version) != TH_STREAM_VERSION)
		return -EPROTONOSUPPORT;
	if (content.size < sizeof(begin) ||
	    content.size != sizeof(begin) + begin.name_size + begin.base_name_size + begin.branch_size)
		return -EUCLEAN;
	*ret = (struct th_stream_info){
		.flags = th_get_le32(begin.flags),
		.created_ns = th_get_le64(begin.created_ns),
		.position = { th_get_le64(begin.position.inode), th_get_le64(begin.position.block) },
	};
	memcpy(ret->source, begin.source, sizeof(ret->source));
	memcpy(ret->identity, begin.identity, sizeof(ret->identity));
	memcpy(ret->base, begin.base, sizeof(ret->base));
	if (ret->flags & ~(uint32_t)KNOWN_FLAGS)
		return -EPROTONOSUPPORT;
	if (!begin.name_size || memcmp(begin.reserved, zeros, sizeof(zeros)))
		return -EUCLEAN;
	if (take_name(&at, begin.name_size, ret->name) || take_name(&at, begin.base_name_size, ret->base_name))
		return -EUCLEAN;
	return take_name(&at, begin.branch_size, ret->branch);
}

struct th_stream_end th_stream_end_encode(const struct th_stream_totals *totals)
{
	return (struct th_stream_end){ th_le64(totals->inodes), th_le64(totals->names), th_le64(totals->removed),
				       th_le64(totals->bytes), th_le64(totals->shared_bytes) };
}

int th_stream_end_decode(struct th_slice content, struct th_stream_totals *ret)
{
	struct th_stream_end end;

	if (content.size != sizeof(end))
		return -EUCLEAN;
	memcpy(&end, content.data, sizeof(end));
	*ret = (struct th_stream_totals){ th_get_le64(end.inodes), th_get_le64(end.names), th_get_le64(end.removed),
					  th_get_le64(end.bytes), th_get_le64(end.shared_bytes) };
	return 0;
}

void th_record_count(const struct th_record *record, struct th_stream_totals *totals)
{
	totals->inodes += record->kind == TH_RECORD_INODE;
	totals->names += record->kind == TH_RECORD_LINK;
	totals->removed += record->kind == TH_RECORD_GONE;
	if (record->kind == TH_RECORD_DATA || record->kind == TH_RECORD_INLINE)
		totals->bytes += record->bytes.size;
	if (record->kind == TH_RECORD_CLONE || record->kind == TH_RECORD_CLONE_BASE)
		totals->shared_bytes += record->count << TH_BLOCK_SHIFT;
}

/* --- encoding --- */

/* The largest part of a record that is no name, value or data. */
#define FIXED_MAX (sizeof(struct th_le32) + TH_INODE_VALUE_MAX)

/* Encodes the part after the head and before name and bytes.  Returns its size. */
static size_t encode_fixed(const struct th_record *record, uint8_t *to)
{
	struct th_le64 numbers[4] = { th_le64(record->block), th_le64(record->count), th_le64(record->source),
				      th_le64(record->source_block) };
	struct th_le64 parent = th_le64(record->parent);
	struct th_le32 links = th_le32(record->links);
	struct th_time_disk time = th_atime_encode(record->attr.atime);
	size_t size = 0;

	switch (record->kind) {
	case TH_RECORD_BIND:
	case TH_RECORD_LINK:
	case TH_RECORD_UNLINK:
		memcpy(to, &parent, size = sizeof(parent));
		return size;
	case TH_RECORD_ATIME:
		memcpy(to, &time, size = sizeof(time));
		return size;
	case TH_RECORD_INODE:
		memcpy(to, &links, sizeof(links));
		return sizeof(links) + th_inode_encode(&record->attr, to + sizeof(links));
	case TH_RECORD_XATTR:
		*to = (uint8_t)record->name.size;
		return 1;
	case TH_RECORD_DATA:
		size = sizeof(numbers[0]);
		break;
	case TH_RECORD_HOLE:
	case TH_RECORD_UNWRITTEN:
		size = 2 * sizeof(numbers[0]);
		break;
	case TH_RECORD_CLONE:
	case TH_RECORD_CLONE_BASE:
		size = sizeof(numbers);
		break;
	case TH_RECORD_GONE:
	case TH_RECORD_XATTR_GONE:
	case TH_RECORD_INLINE:
		return 0;
	}
	memcpy(to, numbers, size);
	return size;
}

static void put(struct th_records *records, const void *bytes, size_t size)
{
	if (size)
		memcpy(records->bytes + records->size, bytes, size);
	records->size += size;
}

int th_record_append(struct th_records *records, const struct th_record *record)
{
	uint8_t fixed[FIXED_MAX];
	size_t fixed_size = encode_fixed(record, fixed);
	struct th_record_head head = { .kind = (uint8_t)record->kind, .inode = th_le64(record->inode) };
	size_t size = sizeof(head) + fixed_size + record->name.size + record->bytes.size;

	if (th_grow(records->bytes, records->capacity, records->size + size))
		return -ENOMEM;
	head.size = th_le32((uint32_t)size);
	put(records, &head, sizeof(head));
	put(records, fixed, fixed_size);
	put(records, record->name.data, record->name.size);
	put(records, record->bytes.data, record->bytes.size);
	return 0;
}

/* --- decoding --- */

static bool inode_possible(uint64_t id)
{
	return id && id <= TH_ID_MAX;
}

static bool take(struct th_slice *rest, void *to, size_t size)
{
	if (rest->size < size)
		return false;
	memcpy(to, rest->data, size);
	*rest = (struct th_slice){ (const uint8_t *)rest->data + size, rest->size - size };
	return true;
}

static bool take_number(struct th_slice *rest, uint64_t *ret)
{
	struct th_le64 number;

	if (!take(rest, &number, sizeof(number)))
		return false;
	*ret = th_get_le64(number);
	return true;
}

/* Takes a parent directory and the name in it, which is the rest. */
static bool take_place(struct th_slice rest, struct th_record *record)
{
	if (!take_number(&rest, &record->parent) || !inode_possible(record->parent))
		return false;
	record->name = rest;
	return !th_fs_name_check(rest);
}

static bool take_inode(struct th_slice rest, struct th_record *record)
{
	struct th_le32 links;

	if (!take(&rest, &links, sizeof(links)))
		return false;
	record->links = th_get_le32(links);
	if (record->links > TH_LINK_MAX || th_inode_decode(rest.data, rest.size, (int32_t)record->links, &record->attr))
		return false;
	if (record->inode == TH_ROOT_ID)
		return S_ISDIR(record->attr.mode) && !record->attr.parent && !record->links;
	return record->attr.parent && (S_ISDIR(record->attr.mode) ? record->links == 1 : record->links > 0);
}

static bool attribute_name_possible(struct th_slice name)
{
	return name.size && name.size <= TH_NAME_MAX && !memchr(name.data, 0, name.size);
}

static bool take_attribute(struct th_slice rest, struct th_record *record)
{
	uint8_t size;

	if (!take(&rest, &size, sizeof(size)) || rest.size < size)
		return false;
	record->name = (struct th_slice){ rest.data, size };
	record->bytes = (struct th_slice){ (const uint8_t *)rest.data + size, rest.size - size };
	return attribute_name_possible(record->name) && record->bytes.size <= TH_XATTR_SIZE_MAX;
}

static bool blocks_possible(uint64_t block, uint64_t count)
{
	return block < TH_EXTENT_END && count && count <= TH_EXTENT_END - block;
}

static bool take_data(struct th_slice rest, struct th_record *record)
{
	if (!take_number(&rest, &record->block))
		return false;
	record->bytes = rest;
	record->count = (rest.size + TH_BLOCK_SIZE - 1) >> TH_BLOCK_SHIFT;
	return rest.size <= TH_RECORD_DATA_MAX && blocks_possible(record->block, record->count);
}

/* Takes the range of a record that has no data, and the source of a clone. */
static bool take_range(struct th_slice rest, struct th_record *record)
{
	if (!take_number(&rest, &record->block) || !take_number(&rest, &record->count) ||
	    !blocks_possible(record->block, record->count))
		return false;
	if ((record->kind == TH_RECORD_CLONE || record->kind == TH_RECORD_CLONE_BASE) &&
	    (!take_number(&rest, &record->source) || !take_number(&rest, &record->source_block) ||
	     !inode_possible(record->source) || !blocks_possible(record->source_block, record->count)))
		return false;
	return !rest.size;
}

static bool take_time(struct th_slice rest, struct th_record *record)
{
	return !th_atime_decode(rest, &record->attr.atime);
}

static bool take_body(struct th_slice rest, struct th_record *record)
{
	switch (record->kind) {
	case TH_RECORD_BIND:
	case TH_RECORD_LINK:
	case TH_RECORD_UNLINK:
		return record->inode != TH_ROOT_ID && take_place(rest, record);
	case TH_RECORD_ATIME:
		return take_time(rest, record);
	case TH_RECORD_INODE:
		return take_inode(rest, record);
	case TH_RECORD_GONE:
		return record->inode != TH_ROOT_ID && !rest.size;
	case TH_RECORD_XATTR:
		return take_attribute(rest, record);
	case TH_RECORD_XATTR_GONE:
		record->name = rest;
		return attribute_name_possible(rest);
	case TH_RECORD_INLINE:
		record->bytes = rest;
		record->count = 1;
		return rest.size && rest.size <= TH_SYMLINK_MAX;
	case TH_RECORD_DATA:
		return take_data(rest, record);
	case TH_RECORD_HOLE:
	case TH_RECORD_UNWRITTEN:
	case TH_RECORD_CLONE:
	case TH_RECORD_CLONE_BASE:
		return take_range(rest, record);
	}
	return false;
}

int th_record_decode(struct th_slice records, struct th_record *ret, size_t *ret_size)
{
	static const uint8_t zeros[sizeof(((struct th_record_head *)0)->reserved)];
	struct th_slice rest = records;
	struct th_record_head head;

	if (!records.size)
		return 1;
	if (!take(&rest, &head, sizeof(head)))
		return -EUCLEAN;
	*ret_size = th_get_le32(head.size);
	if (*ret_size < sizeof(head) || *ret_size > records.size || memcmp(head.reserved, zeros, sizeof(zeros)))
		return -EUCLEAN;
	rest.size = *ret_size - sizeof(head);
	*ret = (struct th_record){ .kind = head.kind, .inode = th_get_le64(head.inode) };
	return inode_possible(ret->inode) && take_body(rest, ret) ? 0 : -EUCLEAN;
}

size_t th_records_fit(const struct th_records *records, size_t from)
{
	size_t at = from;

	while (at < records->size) {
		struct th_record_head head;

		memcpy(&head, records->bytes + at, sizeof(head));
		if (at > from && at + th_get_le32(head.size) - from > TH_PIECE_SIZE_MAX)
			break;
		at += th_get_le32(head.size);
	}
	return at - from;
}

/* --- tokens --- */

static const char digits[] = "0123456789abcdef";

static char *put_hex(char *to, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	return to;
}

void th_stream_token_format(const struct th_stream_info *info, struct th_position position,
			    char ret[TH_STREAM_TOKEN_SIZE])
{
	struct th_position_disk disk = { th_le64(position.inode), th_le64(position.block) };
	char *at = put_hex(ret, info->identity, sizeof(info->identity));

	at = put_hex(at, info->base, sizeof(info->base));
	*put_hex(at, (const uint8_t *)&disk, sizeof(disk)) = 0;
}

static bool take_hex(const char **at, void *to, size_t size)
{
	uint8_t *bytes = to;

	for (size_t i = 0; i < 2 * size; i++, (*at)++) {
		const char *digit = **at ? strchr(digits, **at) : NULL;

		if (!digit)
			return false;
		bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | (digit - digits));
	}
	return true;
}

int th_stream_token_parse(const char *token, struct th_stream_info *ret)
{
	struct th_position_disk disk;

	if (!take_hex(&token, ret->identity, sizeof(ret->identity)) ||
	    !take_hex(&token, ret->base, sizeof(ret->base)) || !take_hex(&token, &disk, sizeof(disk)) || *token)
		return -EINVAL;
	ret->position = (struct th_position){ th_get_le64(disk.inode), th_get_le64(disk.block) };
	return 0;
}
