/* SPDX-License-Identifier: Apache-2.0 */
/* Files and block devices: opening and locking them, and transfers by system calls on the calling thread. */
#include "journal/disk/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Moves the descriptor above those of the standard streams: if one of these is closed, open() reuses its number, and
 * the program would print onto the disk. */
static int keep_off_streams(int fd)
{
	int higher, err;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	err = errno;
	close(fd);
	errno = err;
	return higher;
}

static int open_path(const char *path, bool read_only)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	fd = keep_off_streams(open(path, O_CLOEXEC | O_NOCTTY | (read_only ? O_RDONLY : O_RDWR)));
	return fd < 0 ? -errno : fd;
}

static int size_blocks(int fd, uint64_t *ret, bool *ret_is_device)
{
	struct stat st;
	uint64_t bytes;

	if (fstat(fd, &st) < 0)
		return -errno;
	bytes = (uint64_t)st.st_size;
	*ret_is_device = S_ISBLK(st.st_mode);
	if (*ret_is_device && ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	*ret = bytes >> TH_BLOCK_SHIFT;
	return 0;
}

/* Sets O_DIRECT if it works.  Some filesystems refuse the flag, others the first transfer; these use the page cache. */
static void try_direct(int fd, uint64_t blocks)
{
	int flags = fcntl(fd, F_GETFL);
	void *probe;

	if (flags < 0 || blocks == 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return;
	probe = th_disk_buffer(TH_BLOCK_SIZE);
	if (!probe || pread(fd, probe, TH_BLOCK_SIZE, 0) != (ssize_t)TH_BLOCK_SIZE)
		fcntl(fd, F_SETFL, flags);
	free(probe);
}

int th_disk_file_open(struct th_disk_file *file, const char *path, const char *name, unsigned flags)
{
	bool read_only = flags & TH_DISK_READ_ONLY;
	int fd, err;

	fd = open_path(path, read_only);
	if (fd < 0)
		return fd;
	err = th_disk_lock_take(&file->lock, fd, read_only, !(flags & TH_DISK_UNCLAIMED));
	if (err) {
		close(fd);
		return err;
	}
	err = size_blocks(fd, &file->disk.blocks, &file->is_device);
	if (err)
		goto out;
	file->name = strdup(name);
	if (!file->name) {
		err = -ENOMEM;
		goto out;
	}
	if (!(flags & TH_DISK_BUFFERED))
		try_direct(fd, file->disk.blocks);
	file->disk.name = file->name;
	file->disk.sparse = !file->is_device;
	file->disk.shared = th_disk_lock_is_shared(&file->lock);
	file->fd = fd;
	file->read_only = read_only;
out:
	if (err) {
		th_disk_lock_release(&file->lock);
		close(fd);
	}
	return err;
}

/* Unlocks explicitly: the kernel may still hold a reference to the open file, of a transfer that has completed. */
void th_disk_file_release(struct th_disk_file *file)
{
	th_disk_lock_release(&file->lock);
	close(file->fd);
	free(file->name);
}

/* Does one system call for one buffer, from byte `done` of it on. */
static ssize_t run_part(const struct th_disk_file *file, const struct th_transfer *transfer, const struct iovec *part,
			size_t done, off_t offset)
{
	char *buf = (char *)part->iov_base + done;
	size_t size = part->iov_len - done;

	if (transfer->kind == TH_TRANSFER_GET)
		return pread(file->fd, buf, size, offset);
	return pwrite(file->fd, buf, size, offset);
}

/* Finishes a transfer of which `done` bytes are done: after a short read or write. */
static int run_rest(const struct th_disk_file *file, const struct th_transfer *transfer, size_t done)
{
	int iovcnt;
	const struct iovec *iov = th_transfer_iov(transfer, &iovcnt);
	off_t offset = (off_t)(transfer->addr << TH_BLOCK_SHIFT);

	for (int i = 0; i < iovcnt; i++) {
		size_t in_part = done < iov[i].iov_len ? done : iov[i].iov_len;

		done -= in_part;
		while (in_part < iov[i].iov_len) {
			ssize_t n = run_part(file, transfer, &iov[i], in_part, offset + (off_t)in_part);

			if (n < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -EIO;
			in_part += (size_t)n;
		}
		offset += (off_t)iov[i].iov_len;
	}
	return 0;
}

static int run_flush(const struct th_disk_file *file)
{
	return fdatasync(file->fd) < 0 ? -errno : 0;
}

int th_disk_file_run(const struct th_disk_file *file, const struct th_transfer *transfer, size_t done)
{
	off_t offset = (off_t)(transfer->addr << TH_BLOCK_SHIFT);
	const struct iovec *iov;
	int iovcnt;
	ssize_t n;

	if (transfer->kind == TH_TRANSFER_FLUSH)
		return run_flush(file);
	if (done)
		return run_rest(file, transfer, done);
	iov = th_transfer_iov(transfer, &iovcnt);
	if (transfer->kind == TH_TRANSFER_GET)
		n = preadv(file->fd, iov, iovcnt, offset);
	else
		n = pwritev(file->fd, iov, iovcnt, offset);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return -errno;
	return run_rest(file, transfer, n > 0 ? (size_t)n : 0);
}

int th_disk_file_now(struct th_disk *disk, const struct th_transfer *transfer)
{
	const struct th_disk_file *file = (const struct th_disk_file *)disk;

	if (transfer->kind == TH_TRANSFER_SAVE && file->read_only)
		return -EROFS;
	return th_disk_file_run(file, transfer, 0);
}

int th_disk_file_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	const struct th_disk_file *file = (const struct th_disk_file *)disk;
	uint64_t range[2] = { addr << TH_BLOCK_SHIFT, blocks << TH_BLOCK_SHIFT };
	int ret;

	if (file->read_only)
		return -EROFS;
	do {
		ret = file->is_device ? ioctl(file->fd, BLKDISCARD, range)
				      : fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)range[0],
						  (off_t)range[1]);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return errno == ENOTTY || errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return 0;
}

int th_disk_file_grow(struct th_disk *disk, uint64_t blocks, uint64_t *ret_blocks)
{
	const struct th_disk_file *file = (const struct th_disk_file *)disk;
	bool is_device;
	int err;

	err = size_blocks(file->fd, ret_blocks, &is_device);
	if (err || blocks <= *ret_blocks)
		return err;
	if (file->read_only)
		return -EROFS;
	if (is_device || blocks > INT64_MAX >> TH_BLOCK_SHIFT)
		return -EFBIG;
	*ret_blocks = blocks;
	return ftruncate(file->fd, (off_t)(blocks << TH_BLOCK_SHIFT)) < 0 ? -errno : 0;
}

int th_disk_file_hold(struct th_disk *disk, enum th_disk_hold hold)
{
	return th_disk_lock_hold(&((struct th_disk_file *)disk)->lock, hold);
}
