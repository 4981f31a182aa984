/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/format/inode_record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/format/key.h"
#include "journal/base/clock.h"

struct th_time th_time_of_ns(uint64_t ns)
{
	return (struct th_time){ (int64_t)(ns / TH_NS_PER_S), (uint32_t)(ns % TH_NS_PER_S) };
}

struct th_time th_time_now(void)
{
	return th_time_of_ns(th_now_ns());
}

static struct th_time_disk time_encode(struct th_time time)
{
	return (struct th_time_disk){ th_le64((uint64_t)time.seconds), th_le32(time.nanoseconds) };
}

static struct th_time time_decode(struct th_time_disk time)
{
	return (struct th_time){ (int64_t)th_get_le64(time.seconds), th_get_le32(time.nanoseconds) };
}

size_t th_inode_encode(const struct th_attr *attr, void *value)
{
	struct th_inode_disk disk = {
		.mode = th_le32(attr->mode),
		.uid = th_le32(attr->uid),
		.gid = th_le32(attr->gid),
		.flags = th_le32(attr->flags),
		.size = th_le64(attr->size),
		.blocks = th_le64(attr->blocks),
		.rdev = th_le64(attr->rdev),
		.subdirs = th_le32(S_ISDIR(attr->mode) && attr->nlink > 2 ? attr->nlink - 2 : 0),
		.generation = th_le32(attr->generation),
		.atime = time_encode(attr->atime),
		.mtime = time_encode(attr->mtime),
		.ctime = time_encode(attr->ctime),
		.btime = time_encode(attr->btime),
		.parent = th_le64(attr->parent),
	};

	memcpy(value, &disk, sizeof(disk));
	if (attr->name_size)
		memcpy((char *)value + sizeof(disk), attr->name, attr->name_size);
	return sizeof(disk) + attr->name_size;
}

static bool mode_valid(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return !(mode & ~(uint32_t)(S_IFMT | 07777));
	default:
		return false;
	}
}

static bool time_valid(struct th_time time)
{
	return time.nanoseconds < 1000000000;
}

/* An inode has its first name, or none. */
static bool name_valid(const struct th_attr *attr)
{
	return attr->parent ? !th_fs_name_check((struct th_slice){ attr->name, attr->name_size }) : !attr->name_size;
}

struct th_time_disk th_atime_encode(struct th_time time)
{
	return time_encode(time);
}

int th_atime_decode(struct th_slice value, struct th_time *ret)
{
	struct th_time_disk disk;

	if (value.size != sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, value.data, sizeof(disk));
	*ret = time_decode(disk);
	return time_valid(*ret) ? 0 : -EUCLEAN;
}

static bool attr_valid(const struct th_attr *attr)
{
	return mode_valid(attr->mode) && time_valid(attr->atime) && time_valid(attr->mtime) &&
	       time_valid(attr->ctime) && time_valid(attr->btime) && attr->size <= INT64_MAX &&
	       attr->parent <= TH_ID_MAX && attr->nlink <= INT32_MAX && name_valid(attr);
}

/* Returns the link count, or UINT32_MAX, which attr_valid refuses, if refs is negative.  A directory counts its name,
 * its "." and the ".." of each subdirectory. */
static uint32_t nlink_decode(const struct th_inode_disk *disk, int32_t refs)
{
	if (refs < 0)
		return UINT32_MAX;
	if (!S_ISDIR(th_get_le32(disk->mode)))
		return (uint32_t)refs;
	return 2 + th_get_le32(disk->subdirs);
}

int th_inode_decode(const void *value, size_t size, int32_t refs, struct th_attr *ret)
{
	struct th_inode_disk disk;

	if (size < sizeof(disk) || size > TH_INODE_VALUE_MAX)
		return -EUCLEAN;
	memcpy(&disk, value, sizeof(disk));
	*ret = (struct th_attr){
		.mode = th_get_le32(disk.mode),
		.uid = th_get_le32(disk.uid),
		.gid = th_get_le32(disk.gid),
		.flags = th_get_le32(disk.flags),
		.generation = th_get_le32(disk.generation),
		.nlink = nlink_decode(&disk, refs),
		.size = th_get_le64(disk.size),
		.blocks = th_get_le64(disk.blocks),
		.rdev = th_get_le64(disk.rdev),
		.atime = time_decode(disk.atime),
		.mtime = time_decode(disk.mtime),
		.ctime = time_decode(disk.ctime),
		.btime = time_decode(disk.btime),
		.parent = th_get_le64(disk.parent),
		.name = (const char *)value + sizeof(disk),
		.name_size = (uint16_t)(size - sizeof(disk)),
	};
	return attr_valid(ret) ? 0 : -EUCLEAN;
}
