/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/format/change_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/format.h"

struct side_record {
	struct th_le32 mode, uid, gid, links;
	struct th_le64 size, mtime_seconds;
	struct th_le32 mtime_nanoseconds;
};

struct change_record {
	struct th_le32 size; /* of the whole record: this head, both paths, the ranges */
	uint8_t kind, rough;
	struct th_le16 what;
	struct th_le64 inode;
	struct side_record from, to;
	struct th_le32 path_size, old_path_size; /* 0: none */
	struct th_le32 nranges;
};
static_assert(sizeof(struct change_record) == 100, "the tool and the daemon may be of different builds");

struct range_record {
	struct th_le64 offset, length;
};

void th_fs_change_release(struct th_fs_change *change)
{
	free(change->path);
	free(change->old_path);
	free(change->ranges);
	memset(change, 0, sizeof(*change));
}

static size_t path_size(const char *path)
{
	return path ? strlen(path) : 0;
}

size_t th_fs_change_packed_size(const struct th_fs_change *change)
{
	return sizeof(struct change_record) + path_size(change->path) + path_size(change->old_path) +
	       change->nranges * sizeof(struct range_record);
}

static struct side_record side_pack(const struct th_fs_change_side *side)
{
	return (struct side_record){
		.mode = th_le32(side->mode),
		.uid = th_le32(side->uid),
		.gid = th_le32(side->gid),
		.links = th_le32(side->links),
		.size = th_le64(side->size),
		.mtime_seconds = th_le64((uint64_t)side->mtime_seconds),
		.mtime_nanoseconds = th_le32(side->mtime_nanoseconds),
	};
}

static struct th_fs_change_side side_unpack(const struct side_record *record)
{
	return (struct th_fs_change_side){
		.mode = th_get_le32(record->mode),
		.uid = th_get_le32(record->uid),
		.gid = th_get_le32(record->gid),
		.links = th_get_le32(record->links),
		.size = th_get_le64(record->size),
		.mtime_seconds = (int64_t)th_get_le64(record->mtime_seconds),
		.mtime_nanoseconds = th_get_le32(record->mtime_nanoseconds),
	};
}

/* Copies a path without its NUL.  Returns the address after it. */
static uint8_t *append_path(uint8_t *at, const char *path, size_t size)
{
	if (size)
		memcpy(at, path, size);
	return at + size;
}

void th_fs_change_pack(const struct th_fs_change *change, void *record)
{
	struct change_record head = {
		.size = th_le32((uint32_t)th_fs_change_packed_size(change)),
		.kind = (uint8_t)change->kind,
		.rough = change->rough,
		.what = th_le16((uint16_t)change->what),
		.inode = th_le64(change->inode),
		.from = side_pack(&change->from),
		.to = side_pack(&change->to),
		.path_size = th_le32((uint32_t)path_size(change->path)),
		.old_path_size = th_le32((uint32_t)path_size(change->old_path)),
		.nranges = th_le32((uint32_t)change->nranges),
	};
	uint8_t *at = record;

	memcpy(at, &head, sizeof(head));
	at = append_path(at + sizeof(head), change->path, path_size(change->path));
	at = append_path(at, change->old_path, path_size(change->old_path));
	for (size_t i = 0; i < change->nranges; i++, at += sizeof(struct range_record)) {
		struct range_record range = { th_le64(change->ranges[i].offset), th_le64(change->ranges[i].length) };

		memcpy(at, &range, sizeof(range));
	}
}

static bool head_is_sound(const struct change_record *head)
{
	uint64_t size = sizeof(*head) + (uint64_t)th_get_le32(head->path_size) + th_get_le32(head->old_path_size) +
			(uint64_t)th_get_le32(head->nranges) * sizeof(struct range_record);

	return head->kind && strchr("+-MR", head->kind) && head->rough <= 1 &&
	       !(th_get_le16(head->what) & ~(unsigned)TH_CHANGED_ALL) && th_get_le32(head->path_size) &&
	       size == th_get_le32(head->size);
}

/* Decodes a path and advances *at.  *ret stays NULL if size is 0. */
static int unpack_path(const uint8_t **at, uint32_t size, char **ret)
{
	if (!size)
		return 0;
	if (memchr(*at, 0, size))
		return -EUCLEAN;
	*ret = strndup((const char *)*at, size);
	*at += size;
	return *ret ? 0 : -ENOMEM;
}

static int unpack_ranges(const uint8_t *at, uint32_t count, struct th_fs_change *ret)
{
	if (!count)
		return 0;
	ret->ranges = calloc(count, sizeof(*ret->ranges));
	if (!ret->ranges)
		return -ENOMEM;
	ret->nranges = count;
	for (uint32_t i = 0; i < count; i++, at += sizeof(struct range_record)) {
		struct range_record range;

		memcpy(&range, at, sizeof(range));
		ret->ranges[i].offset = th_get_le64(range.offset);
		ret->ranges[i].length = th_get_le64(range.length);
	}
	return 0;
}

int th_fs_change_unpack(const void *stream, size_t size, struct th_fs_change *ret, size_t *ret_size)
{
	struct change_record head;
	const uint8_t *at = stream;
	int err;

	if (size < sizeof(head))
		return 1;
	memcpy(&head, at, sizeof(head));
	if (!head_is_sound(&head))
		return -EUCLEAN;
	if (size < th_get_le32(head.size))
		return 1;
	at += sizeof(head);
	*ret = (struct th_fs_change){
		.kind = head.kind,
		.what = th_get_le16(head.what),
		.inode = th_get_le64(head.inode),
		.from = side_unpack(&head.from),
		.to = side_unpack(&head.to),
		.rough = head.rough,
	};
	err = unpack_path(&at, th_get_le32(head.path_size), &ret->path);
	if (!err)
		err = unpack_path(&at, th_get_le32(head.old_path_size), &ret->old_path);
	if (!err)
		err = unpack_ranges(at, th_get_le32(head.nranges), ret);
	if (err)
		th_fs_change_release(ret);
	else
		*ret_size = th_get_le32(head.size);
	return err;
}
