/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/journal/disk/disks.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char path[64];

const char *th_test_file(uint64_t size)
{
	int fd;

	snprintf(path, sizeof(path), "test_disk.%d.img", (int)getpid());
	fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	th_ok(ftruncate(fd, (off_t)size));
	close(fd);
	return path;
}

void th_test_file_remove(void)
{
	if (*path)
		unlink(path);
}

struct th_disk *th_test_disk(int kind)
{
	unsigned flags = kind == TH_TEST_THREADS || kind == TH_TEST_THREADS_BUFFERED ? TH_DISK_THREADS : 0;
	struct th_disk *disk = NULL, *memory;

	if (kind == TH_TEST_MEMORY) {
		th_ok(th_disk_memory_new(TH_TEST_DISK_BLOCKS, &disk));
	} else if (kind == TH_TEST_FAULT) {
		th_ok(th_disk_memory_new(TH_TEST_DISK_BLOCKS, &memory));
		th_ok(th_disk_fault_new(memory, &disk));
	} else {
		if (kind == TH_TEST_URING_BUFFERED || kind == TH_TEST_THREADS_BUFFERED)
			flags |= TH_DISK_BUFFERED;
		/* A part of a block at the end is not used. */
		th_ok(th_disk_open(th_test_file((uint64_t)TH_TEST_DISK_BLOCKS * TH_BLOCK_SIZE + 100), flags, &disk));
	}
	ck_assert_uint_eq(disk->blocks, TH_TEST_DISK_BLOCKS);
	return disk;
}

int th_test_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf)
{
	struct th_future future;

	th_disk_get(disk, addr, blocks, buf, &future);
	return th_future_wait(&future);
}

int th_test_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt)
{
	struct th_future future;

	th_disk_save(disk, addr, iov, iovcnt, &future);
	return th_future_wait(&future);
}

void th_test_forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	th_ok(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	th_ok(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}
