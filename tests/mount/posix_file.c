/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of a single file: data, attributes, flags */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/mount/posix.h"
#include "tests/support/random.h"

static int open_new(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd >= 0);
	return fd;
}

static struct stat status_of(int fd)
{
	struct stat status;

	must(!fstat(fd, &status));
	return status;
}

/* --- the data of a file --- */

/* The expected content of a file */
struct model {
	uint8_t *bytes;
	size_t size, room;
};

static struct model model_new(size_t room)
{
	struct model model = { .bytes = calloc(1, room), .room = room };

	must(model.bytes);
	return model;
}

static void expect_model(int fd, const struct model *model)
{
	uint8_t *found = malloc(model->room + 1);

	must(found);
	must((size_t)status_of(fd).st_size == model->size);
	must(pread(fd, found, model->room + 1, 0) == (ssize_t)model->size);
	must(!memcmp(found, model->bytes, model->size));
	free(found);
}

static void fill(int fd, struct model *model, size_t size, struct th_random *random)
{
	th_random_fill(random, model->bytes, size);
	model->size = size;
	must(pwrite(fd, model->bytes, size, 0) == (ssize_t)size);
}

static void probe_fallocate(void)
{
	struct th_random random = { th_test_seed("fallocate") };
	struct model model = model_new(4 << 20);
	int fd = open_new("fallocate");

	fill(fd, &model, 100000, &random);
	must(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
	must(status_of(fd).st_blocks >= 1 << 11);
	expect_model(fd, &model);
	must(!fallocate(fd, 0, 150001, 100));
	model.size = 150101;
	expect_model(fd, &model);
	must(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4097, 50000));
	memset(model.bytes + 4097, 0, 50000);
	expect_model(fd, &model);
	must(!fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 60001, 1 << 20));
	memset(model.bytes + 60001, 0, model.size - 60001);
	expect_model(fd, &model);
	must(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 1000, 199000));
	memset(model.bytes + 1000, 0, 199000);
	model.size = 200000;
	expect_model(fd, &model);
	must_fail(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	must_fail(EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
	must_fail(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	must_fail(EINVAL, fallocate(fd, 0, 0, 0));
	must_fail(EFBIG, fallocate(fd, 0, INT64_MAX, 1));
	must_fail(ENOSPC, fallocate(fd, 0, 0, INT64_C(1) << 45));
	expect_model(fd, &model);
	close(fd);
	free(model.bytes);
	fd = open_new("set_aside");
	must(!fallocate(fd, 0, 4095, 2) && status_of(fd).st_blocks == 16);
	must(pwrite(fd, "ab", 2, 4095) == 2 && status_of(fd).st_blocks == 16);
	close(fd);
}

/* Copies at any alignment, from one file to another and inside one; source and target do not overlap. */
static void probe_copy_file_range(void)
{
	struct th_random random = { th_test_seed("copy_file_range") };
	struct model from = model_new(3 << 20), to = model_new(3 << 20);
	int source = open_new("copy.from"), target = open_new("copy.to");

	fill(source, &from, (2 << 20) + 12345, &random);
	fill(target, &to, 700001, &random);
	for (unsigned i = 0; i < th_test_rounds(60); i++) {
		size_t size = th_random_percent(&random, 50) ? th_random_below(&random, 9000)
							     : th_random_below(&random, 600000);
		loff_t off = th_random_below(&random, (uint32_t)(from.size - size));
		loff_t at = th_random_below(&random, (uint32_t)(to.room - size));
		size_t done = 0;

		if (th_random_percent(&random, 30)) {
			off &= ~4095;
			at &= ~4095;
		}
		if ((size_t)at + size > to.size && size)
			to.size = (size_t)at + size;
		memcpy(to.bytes + at, from.bytes + off, size);
		while (done < size) {
			ssize_t n = copy_file_range(source, &off, target, &at, size - done, 0);

			must(n > 0);
			done += (size_t)n;
		}
		expect_model(target, &to);
	}
	expect_model(source, &from);
	loff_t off = 0, at = 1 << 20;

	must(copy_file_range(source, &off, source, &at, 300001, 0) == 300001);
	memcpy(from.bytes + (1 << 20), from.bytes, 300001);
	expect_model(source, &from);
	off = 0;
	at = 100;
	must_fail(EINVAL, copy_file_range(source, &off, source, &at, 5000, 0));
	off = (loff_t)from.size;
	must(copy_file_range(source, &off, target, &at, 5000, 0) == 0);
	close(source);
	close(target);
	free(from.bytes);
	free(to.bytes);
}

static void expect_seek(int fd, off_t from, int whence, off_t to)
{
	must(lseek(fd, from, whence) == to);
}

static void probe_seek(void)
{
	int fd = open_new("seek");
	char block[4096];

	memset(block, 'x', sizeof(block));
	must(pwrite(fd, block, 4096, 16384) == 4096);
	must(pwrite(fd, block, 4096, 65536) == 4096);
	must(!ftruncate(fd, 100000));
	for (unsigned i = 0; i < 2; i++) {
		expect_seek(fd, 0, SEEK_DATA, 16384);
		expect_seek(fd, 0, SEEK_HOLE, 0);
		expect_seek(fd, 16384, SEEK_HOLE, 20480);
		expect_seek(fd, 17000, SEEK_DATA, 17000);
		expect_seek(fd, 20480, SEEK_DATA, 65536);
		expect_seek(fd, 65536, SEEK_HOLE, 69632);
		expect_seek(fd, 99999, SEEK_HOLE, 99999);
		must_fail(ENXIO, lseek(fd, 69632, SEEK_DATA));
		must_fail(ENXIO, lseek(fd, 100000, SEEK_HOLE));
		must_fail(ENXIO, lseek(fd, 100000, SEEK_DATA));
		must(!fsync(fd)); /* the same from disk */
	}
	must(!fallocate(fd, 0, 20480, 8192));
	expect_seek(fd, 20480, SEEK_DATA, 65536);
	must(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 4096));
	must_fail(ENXIO, lseek(fd, 20480, SEEK_DATA));
	close(fd);
}

/* --- attributes --- */

static void expect_time(const char *name, struct timespec time)
{
	struct stat status;

	must(!stat(name, &status));
	must(status.st_mtim.tv_sec == time.tv_sec && status.st_mtim.tv_nsec == time.tv_nsec);
	must(status.st_atim.tv_sec == time.tv_sec && status.st_atim.tv_nsec == time.tv_nsec);
}

static void probe_times(void)
{
	static const int64_t seconds[] = { 0,
					   1,
					   -1,
					   INT32_MAX,
					   INT32_MIN,
					   UINT32_MAX,
					   1LL << 33,
					   -(1LL << 33),
					   1LL << 60,
					   -(1LL << 60),
					   INT64_MAX - 1,
					   INT64_MIN + 1 };

	close(open_new("times"));
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		struct timespec time = { .tv_sec = seconds[i], .tv_nsec = i % 2 ? 999999999 : 1 };
		struct timespec both[2] = { time, time };

		must(!utimensat(AT_FDCWD, "times", both, 0));
		expect_time("times", time);
	}
}

static void probe_xattrs(void)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 65535, 65536 };
	static char value[65537], found[65536];
	char name[64];

	close(open_new("xattrs"));
	memset(value, 'v', sizeof(value));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "user.%zu", sizes[i]);
		value[sizes[i] / 2] = (char)i;
		must(!setxattr("xattrs", name, value, sizes[i], XATTR_CREATE));
		must(getxattr("xattrs", name, NULL, 0) == (ssize_t)sizes[i]);
		must(getxattr("xattrs", name, found, sizeof(found)) == (ssize_t)sizes[i]);
		must(!memcmp(found, value, sizes[i]));
	}
	must_fail(ERANGE, getxattr("xattrs", "user.4096", found, 4095));
	must_fail(E2BIG, setxattr("xattrs", "user.more", value, 65537, 0));
	memset(name, 'n', sizeof(name));
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "user.many-of-them.%u", i);
		must(!setxattr("xattrs", name, name, strlen(name), 0));
	}
	must(listxattr("xattrs", found, sizeof(found)) > 300 * 18);
}

/* --- access times --- */

/* Reads the file without the kernel's cache.  Returns true if its access time changed. */
static bool read_touches(const char *name, int flags)
{
	struct stat before, after;
	char byte;
	int fd = open(name, O_RDONLY | O_CLOEXEC | flags);

	must(fd >= 0 && !fstat(fd, &before));
	must(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	must(pread(fd, &byte, 1, 0) == 1);
	must(!fstat(fd, &after));
	close(fd);
	must(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
	return before.st_atim.tv_sec != after.st_atim.tv_sec || before.st_atim.tv_nsec != after.st_atim.tv_nsec;
}

static void write_byte(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	must(fd >= 0 && write(fd, "x", 1) == 1 && !fsync(fd));
	close(fd);
}

static void set_atime(const char *name, time_t seconds_ago)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - seconds_ago }, { .tv_nsec = UTIME_OMIT } };

	must(!utimensat(AT_FDCWD, name, times, 0));
}

static void probe_relatime(void)
{
	write_byte("relatime");
	must(read_touches("relatime", 0));
	must(!read_touches("relatime", 0));
	write_byte("relatime");
	must(!read_touches("relatime", O_NOATIME));
	must(read_touches("relatime", 0));
	must(!read_touches("relatime", 0));
	set_atime("relatime", 1000); /* which changes its ctime */
	must(read_touches("relatime", 0));
}

static void probe_noatime(void)
{
	write_byte("noatime");
	set_atime("noatime", 1000000);
	must(!read_touches("noatime", 0));
}

static void probe_strictatime(void)
{
	write_byte("strictatime");
	must(read_touches("strictatime", 0));
	must(read_touches("strictatime", 0));
	must(!read_touches("strictatime", O_NOATIME));
}

/* --- flags --- */

static uint32_t flags_of(int fd)
{
	uint32_t flags = 0;

	must(!ioctl(fd, FS_IOC_GETFLAGS, &flags));
	return flags;
}

static void probe_flags(void)
{
	struct fsxattr extended = { 0 };
	int fd = open_new("flags");
	uint32_t flags = FS_NODUMP_FL | FS_NOATIME_FL;

	must(flags_of(fd) == 0);
	must(!ioctl(fd, FS_IOC_SETFLAGS, &flags));
	must(!ioctl(fd, FS_IOC_FSGETXATTR, &extended));
	must(extended.fsx_xflags == (FS_XFLAG_NODUMP | FS_XFLAG_NOATIME));
	must(write(fd, "x", 1) == 1 && !read_touches("flags", 0));
	extended.fsx_xflags = FS_XFLAG_SYNC;
	must(!ioctl(fd, FS_IOC_FSSETXATTR, &extended));
	must(flags_of(fd) == FS_SYNC_FL);
	flags = FS_COMPR_FL;
	must_fail(EOPNOTSUPP, ioctl(fd, FS_IOC_SETFLAGS, &flags));
	extended.fsx_projid = 7;
	must(ioctl(fd, FS_IOC_FSSETXATTR, &extended) < 0);
	must(flags_of(fd) == FS_SYNC_FL);
	close(fd);
}

static void set_flags(int fd, uint32_t flags)
{
	must(!ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

/* An immutable file refuses changes by descriptors that were open before, too. */
static void probe_immutable(void)
{
	int fd = open_new("immutable"), other = open_new("immutable.from");
	struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };

	must(write(fd, "content", 7) == 7);
	must(write(other, "content", 7) == 7);
	set_flags(fd, FS_IMMUTABLE_FL);
	must_fail(EPERM, pwrite(fd, "x", 1, 0));
	must_fail(EPERM, ftruncate(fd, 0));
	must_fail(EPERM, fallocate(fd, 0, 0, 10000));
	must_fail(EPERM, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10000));
	must_fail(EPERM, copy_file_range(other, &(loff_t){ 0 }, fd, &(loff_t){ 0 }, 7, 0));
	must_fail(EPERM, open("immutable", O_WRONLY | O_CLOEXEC));
	must_fail(EPERM, fchmod(fd, 0600));
	must_fail(EPERM, fchown(fd, 1, 1));
	must_fail(EPERM, futimens(fd, now));
	must_fail(EPERM, fsetxattr(fd, "user.a", "1", 1, 0));
	must_fail(EPERM, link("immutable", "immutable.link"));
	must_fail(EPERM, rename("immutable", "immutable.other"));
	must_fail(EPERM, unlink("immutable"));
	must(status_of(fd).st_size == 7);
	set_flags(fd, 0);
	must(!unlink("immutable"));
	close(fd);
	close(other);
}

/* An append-only file keeps its data, however a descriptor was opened. */
static void probe_append_only(void)
{
	int fd = open_new("append"), appender;
	struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	char found[32];

	must(write(fd, "one", 3) == 3);
	set_flags(fd, FS_APPEND_FL);
	must_fail(EPERM, open("append", O_WRONLY | O_CLOEXEC));
	must_fail(EPERM, open("append", O_WRONLY | O_APPEND | O_TRUNC | O_CLOEXEC));
	appender = open("append", O_WRONLY | O_APPEND | O_CLOEXEC);
	must(appender >= 0);
	must(write(appender, "two", 3) == 3);
	must_fail(EPERM, pwrite(fd, "x", 1, 0));
	must(!fcntl(appender, F_SETFL, 0));
	must_fail(EPERM, pwrite(appender, "x", 1, 1));
	must_fail(EPERM, ftruncate(fd, 0));
	must_fail(EPERM, fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 3));
	must_fail(EPERM, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3));
	must_fail(EPERM, unlink("append"));
	must_fail(EPERM, rename("append", "append.other"));
	must_fail(EPERM, fchmod(fd, 0600));
	must(!futimens(fd, now));
	must(pread(fd, found, sizeof(found), 0) == 6 && !memcmp(found, "onetwo", 6));
	set_flags(fd, 0);
	must(!unlink("append"));
	close(appender);
	close(fd);
}

/* --- a file without a name --- */

static void probe_tmpfile(void)
{
	char path[64], found[8];
	struct stat status;
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);

	must_or_cannot(fd >= 0);
	must(status_of(fd).st_nlink == 0 && (status_of(fd).st_mode & 07777) == 0640);
	must(write(fd, "content", 7) == 7);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(!linkat(AT_FDCWD, path, AT_FDCWD, "tmpfile", AT_SYMLINK_FOLLOW));
	must(!stat("tmpfile", &status) && status.st_nlink == 1 && status.st_ino == status_of(fd).st_ino);
	must(!linkat(AT_FDCWD, path, AT_FDCWD, "tmpfile.2", AT_SYMLINK_FOLLOW));
	close(fd);
	fd = open("tmpfile", O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && read(fd, found, sizeof(found)) == 7 && !memcmp(found, "content", 7));
	must(status_of(fd).st_nlink == 2);
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	must(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must_fail(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "tmpfile.3", AT_SYMLINK_FOLLOW));
	close(fd);
	must(!mkdir("removed", 0700));
	fd = open("removed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0 && !rmdir("removed"));
	must_fail(EPERM, openat(fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	close(fd);
}

/* A file has a time of birth, which never changes. */
static void probe_birth(void)
{
	struct statx before, after;
	int fd = open_new("birth");

	must(!statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_BASIC_STATS, &before));
	if (!(before.stx_mask & STATX_BTIME)) {
		errno = 0;
		posix_cannot(__FILE__, __LINE__, "STATX_BTIME");
	}
	must(before.stx_btime.tv_sec == before.stx_ctime.tv_sec &&
	     before.stx_btime.tv_nsec == before.stx_ctime.tv_nsec);
	must(write(fd, "x", 1) == 1 && !fchmod(fd, 0600));
	must(!statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_BASIC_STATS, &after));
	must(!memcmp(&before.stx_btime, &after.stx_btime, sizeof(before.stx_btime)));
	must(after.stx_size == 1 && (after.stx_mode & 07777) == 0600);
	close(fd);
}

/* --- asynchronous writes with O_DIRECT --- */

#define AIO_SIZE (256 << 10)
#define AIO_ROUNDS 300

/* Writes the whole file, and reads pages of it during the write (not if fd < 0). */
static void write_and_read(aio_context_t context, int direct, int fd, const char *data)
{
	struct iocb write = { .aio_lio_opcode = IOCB_CMD_PWRITE,
			      .aio_fildes = (uint32_t)direct,
			      .aio_buf = (uintptr_t)data,
			      .aio_nbytes = AIO_SIZE },
		    *list = &write;
	struct io_event event;
	char page[4096];

	must(syscall(SYS_io_submit, context, 1L, &list) == 1);
	for (off_t off = AIO_SIZE - 4096; fd >= 0 && off >= 0; off -= 16384)
		must(pread(fd, page, sizeof(page), off) == sizeof(page));
	must(syscall(SYS_io_getevents, context, 1L, 1L, &event, NULL) == 1 && event.res == AIO_SIZE);
}

/* A write that is reported complete is seen by readers through the cache. */
static void probe_aio(void)
{
	char *data = aligned_alloc(4096, AIO_SIZE), *found = malloc(AIO_SIZE);
	aio_context_t context = 0;
	int fd = open_new("aio"), direct = open("aio", O_RDWR | O_DIRECT | O_CLOEXEC);

	must(data && found && direct >= 0 && !ftruncate(fd, AIO_SIZE));
	must(!syscall(SYS_io_setup, 1U, &context));
	for (int i = 0; i < AIO_ROUNDS; i++) {
		memset(data, i, AIO_SIZE);
		write_and_read(context, direct, fd, data);
		must(pread(fd, found, AIO_SIZE, 0) == AIO_SIZE && !memcmp(found, data, AIO_SIZE));
	}
	must(!syscall(SYS_io_destroy, context));
	close(direct);
	close(fd);
	free(found);
	free(data);
}

/* Leaves a file that is durable once the write is reported complete; posix.sh then kills the daemon. */
static void probe_aio_durable(void)
{
	char *data = aligned_alloc(4096, AIO_SIZE);
	aio_context_t context = 0;
	int fd = open_new("aio_durable"), direct = open("aio_durable", O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);

	must(data && direct >= 0 && !ftruncate(fd, AIO_SIZE) && !fsync(fd));
	must(!syscall(SYS_io_setup, 1U, &context));
	memset(data, 'd', AIO_SIZE);
	write_and_read(context, direct, -1, data);
	must(!syscall(SYS_io_destroy, context));
	close(direct);
	close(fd);
	free(data);
}

const struct posix_probe posix_file_probes[] = {
	{ "fallocate", probe_fallocate },
	{ "copy_file_range", probe_copy_file_range },
	{ "seek", probe_seek },
	{ "times", probe_times },
	{ "xattrs", probe_xattrs },
	{ "relatime", probe_relatime },
	{ "noatime", probe_noatime },
	{ "strictatime", probe_strictatime },
	{ "flags", probe_flags },
	{ "immutable", probe_immutable },
	{ "append_only", probe_append_only },
	{ "tmpfile", probe_tmpfile },
	{ "birth", probe_birth },
	{ "aio", probe_aio },
	{ "aio_durable", probe_aio_durable },
	{ NULL, NULL },
};
