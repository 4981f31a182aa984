/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk/disk_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* --- what lies below a loop device --- */

/* Reads the first line of a file of sysfs.  Returns whether there is one. */
static bool read_line(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	bool found = file && fgets(ret, (int)size, file);

	if (file)
		fclose(file);
	if (found)
		ret[strcspn(ret, "\n")] = 0;
	return found;
}

/* Finds the backing file of a loop device or of a partition of one.  *ret_start: bytes before the partition.  Returns
 * false if the device is none of these. */
static bool loop_backing(dev_t device, char path[PATH_MAX], uint64_t *ret_start)
{
	char name[96], text[32];
	unsigned long long start = 0;

	*ret_start = 0;
	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/loop/backing_file", major(device), minor(device));
	if (read_line(name, path, PATH_MAX))
		return true;
	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/start", major(device), minor(device));
	if (!read_line(name, text, sizeof(text)) || sscanf(text, "%llu", &start) != 1)
		return false;
	*ret_start = (uint64_t)start * 512;
	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/../loop/backing_file", major(device), minor(device));
	return read_line(name, path, PATH_MAX);
}

/* Opens the backing file if fd is of a loop device.  Adds the place where the device begins in it to *begin.  The file
 * may have been renamed or lie in another mount namespace: then it cannot be opened, and what a file of its name would
 * lock is not this image.  Returns a descriptor, or -1: nothing to lock below. */
static int open_below(int fd, bool read_only, uint64_t *begin)
{
	struct loop_info64 info;
	struct stat status;
	char path[PATH_MAX];
	uint64_t start;
	int below;

	if (fstat(fd, &status) < 0 || !S_ISBLK(status.st_mode) || !loop_backing(status.st_rdev, path, &start) ||
	    ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return -1;
	below = open(path, (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (below >= 0 &&
	    (fstat(below, &status) < 0 || status.st_dev != info.lo_device || status.st_ino != info.lo_inode)) {
		close(below);
		return -1;
	}
	if (below >= 0)
		*begin += start + info.lo_offset;
	return below;
}

int th_disk_lock_bottom(const char *path, struct stat *ret)
{
	char below[PATH_MAX];
	uint64_t start;

	if (stat(path, ret) < 0)
		return -errno;
	for (int level = 1; level < TH_DISK_LOCK_LEVELS && S_ISBLK(ret->st_mode); level++) {
		struct stat status;

		if (!loop_backing(ret->st_rdev, below, &start) || stat(below, &status) < 0)
			break;
		*ret = status;
	}
	return 0;
}

/* --- locking --- */

/* A process that was killed a moment ago holds the lock until the kernel has finished its transfers, usually a few
 * milliseconds.  If a quarter of a second is too short, the caller gets -EBUSY and can retry. */
#define BUSY_TRIES 25
/* A daemon without a mount writes back its cache and a checkpoint, which takes seconds, on a very slow disk a minute.
 * The limit is for one that hangs. */
#define LEAVING_TRIES 30000
#define BUSY_PAUSE_NS 10000000

static int bottom(const struct th_disk_lock *lock)
{
	int level = TH_DISK_LOCK_LEVELS - 1;

	while (level > 0 && lock->fd[level] < 0)
		level--;
	return level;
}

static struct flock range_of(short type, uint64_t start, uint64_t size)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)size };
}

static int set_mark(const struct th_disk_lock *lock)
{
	int level = bottom(lock);
	struct flock mark = range_of(F_RDLCK, lock->begin[level], 1);

	return fcntl(lock->fd[level], F_OFD_SETLK, &mark) < 0 ? -errno : 0;
}

/* Returns whether the holder of the image has the mark. */
static bool is_being_left(const struct th_disk_lock *lock)
{
	int level = bottom(lock);
	struct flock mark = range_of(F_WRLCK, lock->begin[level], 1);

	return fcntl(lock->fd[level], F_OFD_GETLK, &mark) == 0 && mark.l_type != F_UNLCK;
}

static int result_of(int locked)
{
	if (locked == 0)
		return 0;
	return errno == EWOULDBLOCK || errno == EACCES ? -EBUSY : -errno;
}

static int lock_level(const struct th_disk_lock *lock, int level, bool read_only)
{
	uint64_t begin = lock->begin[level];
	bool shared = read_only || begin;
	struct flock bytes = range_of(read_only ? F_RDLCK : F_WRLCK, begin + 1, lock->size - 1); /* but for the mark */
	int err = result_of(flock(lock->fd[level], (shared ? LOCK_SH : LOCK_EX) | LOCK_NB));

	return err || !begin ? err : result_of(fcntl(lock->fd[level], F_OFD_SETLK, &bytes));
}

static void unlock(const struct th_disk_lock *lock)
{
	for (int level = 0; level < TH_DISK_LOCK_LEVELS && lock->fd[level] >= 0; level++) {
		struct flock bytes = range_of(F_UNLCK, lock->begin[level], lock->size);

		flock(lock->fd[level], LOCK_UN);
		if (lock->begin[level])
			fcntl(lock->fd[level], F_OFD_SETLK, &bytes);
	}
}

static int lock_levels(const struct th_disk_lock *lock, bool read_only)
{
	int err = 0;

	for (int level = 0; level < TH_DISK_LOCK_LEVELS && lock->fd[level] >= 0 && !err; level++)
		err = lock_level(lock, level, read_only);
	if (err)
		unlock(lock);
	return err;
}

/* Claims the image if it is a block device. */
static int claim(struct th_disk_lock *lock)
{
	struct stat status;
	char again[32];

	if (lock->claim >= 0)
		return 0;
	if (fstat(lock->fd[0], &status) < 0)
		return -errno;
	if (!S_ISBLK(status.st_mode))
		return 0;
	/* Its name could have been given to another device. */
	snprintf(again, sizeof(again), "/proc/self/fd/%d", lock->fd[0]);
	lock->claim = open(again, O_RDONLY | O_EXCL | O_CLOEXEC);
	return lock->claim < 0 ? -errno : 0;
}

static int take_once(struct th_disk_lock *lock, bool read_only, bool claimed)
{
	int err = lock_levels(lock, read_only);

	if (err)
		return err;
	err = read_only || !claimed ? 0 : claim(lock);
	if (err)
		unlock(lock);
	return err;
}

/* Opens the files below. */
static void open_levels(struct th_disk_lock *lock, int fd, bool read_only)
{
	*lock = (struct th_disk_lock){ .fd = { fd }, .claim = -1 };
	for (int level = 1; level < TH_DISK_LOCK_LEVELS; level++) {
		int above = lock->fd[level - 1];

		lock->begin[level] = lock->begin[level - 1];
		lock->fd[level] = above < 0 ? -1 : open_below(above, read_only, &lock->begin[level]);
	}
	if (ioctl(fd, BLKGETSIZE64, &lock->size) < 0 || lock->size < 2)
		lock->size = 2;
}

int th_disk_lock_take(struct th_disk_lock *lock, int fd, bool read_only, bool claimed)
{
	int tries = 0, leaving = 0, err;

	open_levels(lock, fd, read_only);
	err = take_once(lock, read_only, claimed);
	while (err == -EBUSY && tries < BUSY_TRIES && leaving < LEAVING_TRIES) {
		if (is_being_left(lock))
			leaving++;
		else
			tries++;
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_NS }, NULL);
		err = take_once(lock, read_only, claimed);
	}
	if (err)
		th_disk_lock_release(lock);
	return err;
}

void th_disk_lock_release(struct th_disk_lock *lock)
{
	unlock(lock);
	for (int level = 1; level < TH_DISK_LOCK_LEVELS; level++) {
		if (lock->fd[level] >= 0)
			close(lock->fd[level]);
	}
	if (lock->claim >= 0)
		close(lock->claim);
	*lock = (struct th_disk_lock){ .fd = { -1, -1, -1, -1 }, .claim = -1 };
}

/* Filesystems of networks, clusters and virtual machines.  That of FUSE is any of these, or a local one. */
static bool is_of_network(unsigned long type)
{
	static const uint32_t types[] = {
		0x01021997, /* 9p */
		0x00c36400, /* Ceph */
		0xff534d42, /* CIFS */
		0x73757245, /* Coda */
		0x65735546, /* FUSE, virtiofs */
		0x01161970, /* GFS2 */
		0x47504653, /* GPFS */
		0xbacbacbc, /* HGFS */
		0x0bd00bd0, /* Lustre */
		0x6969, /* NFS */
		0x7461636f, /* OCFS2 */
		0x5346414f, /* AFS */
		0xfe534d42, /* SMB2 */
		0x786f4256, /* vboxsf */
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i] == (uint32_t)type)
			return true;
	}
	return false;
}

bool th_disk_lock_is_shared(const struct th_disk_lock *lock)
{
	int fd = lock->fd[bottom(lock)];
	struct stat status;
	struct statfs filesystem;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return true;
	return fstatfs(fd, &filesystem) < 0 || is_of_network((unsigned long)filesystem.f_type);
}

int th_disk_lock_hold(struct th_disk_lock *lock, enum th_disk_hold hold)
{
	if (hold == TH_DISK_HOLD_LEAVING)
		return set_mark(lock);
	if (hold == TH_DISK_HOLD_CLAIMED)
		return claim(lock);
	if (lock->claim >= 0)
		close(lock->claim);
	lock->claim = -1;
	return 0;
}
