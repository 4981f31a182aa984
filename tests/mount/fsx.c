/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes random file operations by system calls and compares with a copy in memory, on any mounted filesystem (after
 * Apple's fsx).  This tests the kernel's part between a program and the daemon too, above all the page cache.
 *
 *   fsx FILE [OPERATIONS [SEED]]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/random.h"

#define FILE_MAX (1u << 20)
#define PAGE 4096u

static struct th_random rnd;
static const char *path;
static int fd;
static uint8_t *model, *scratch; /* FILE_MAX each; the model is zero past its size */
static size_t size;
static unsigned long operation;

static void fail(const char *what)
{
	fprintf(stderr, "fsx: %s: operation %lu: %s (%s)\n", path, operation, what, strerror(errno));
	exit(1);
}

static void expect(bool right, const char *what)
{
	if (!right)
		fail(what);
}

static void file_open(void)
{
	fd = open(path, O_RDWR | O_CREAT, 0644);
	expect(fd >= 0, "open");
}

static void file_size(void)
{
	struct stat stat;

	expect(!fstat(fd, &stat), "fstat");
	expect((size_t)stat.st_size == size, "wrong size");
}

static void same(const uint8_t *data, size_t off, size_t length, const char *what)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] == model[off + i])
			continue;
		fprintf(stderr, "fsx: %s: byte %zu is %02x, expected %02x\n", what, off + i, data[i], model[off + i]);
		fail(what);
	}
}

static size_t pick_offset(void)
{
	size_t off = th_random_below(&rnd, FILE_MAX);

	return th_random_percent(&rnd, 40) ? off & ~(size_t)(PAGE - 1) : off;
}

static size_t pick_length(size_t off)
{
	size_t length = 1 + th_random_below(&rnd, th_random_percent(&rnd, 50) ? 9000 : 200000);

	return length < FILE_MAX - off ? length : FILE_MAX - off;
}

static void grown(size_t to)
{
	if (to > size)
		size = to;
}

static void op_read(size_t off, size_t length)
{
	size_t expected = off >= size ? 0 : size - off < length ? size - off : length;

	expect(pread(fd, scratch, length, off) == (ssize_t)expected, "read: wrong length");
	same(scratch, off, expected, "read");
}

static void op_write(size_t off, size_t length)
{
	th_random_fill(&rnd, scratch, length);
	expect(pwrite(fd, scratch, length, off) == (ssize_t)length, "write");
	memcpy(model + off, scratch, length);
	grown(off + length);
}

static void op_truncate(size_t to)
{
	expect(!ftruncate(fd, to), "truncate");
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

static void op_fallocate(size_t off, size_t length)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[th_random_below(&rnd, 5)];

	expect(!fallocate(fd, mode, off, length), "fallocate");
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(model + off, 0, length);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grown(off + length);
}

static void op_copy(size_t off, size_t length)
{
	loff_t from = th_random_percent(&rnd, 50) ? pick_offset() : (pick_offset() & ~(PAGE - 1)) + off % PAGE;
	loff_t to = off;
	ssize_t done;

	if ((size_t)from + length > FILE_MAX)
		return;
	done = copy_file_range(fd, &from, fd, &to, length, 0);
	if (done < 0 && errno == EINVAL)
		return;
	expect(done >= 0, "copy_file_range");
	memmove(model + off, model + from - done, done);
	if (done)
		grown(off + done);
}

static void op_map_read(size_t off, size_t length)
{
	size_t start = off & ~(size_t)(PAGE - 1);
	uint8_t *map;

	if (off >= size)
		return;
	if (length > size - off)
		length = size - off;
	map = mmap(NULL, off + length - start, PROT_READ, MAP_SHARED, fd, start);
	expect(map != MAP_FAILED, "mmap");
	same(map + off - start, off, length, "mapped read");
	munmap(map, off + length - start);
}

static void op_map_write(size_t off, size_t length)
{
	size_t start = off & ~(size_t)(PAGE - 1);
	uint8_t *map;

	if (off + length > size)
		op_truncate(off + length);
	map = mmap(NULL, off + length - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
	expect(map != MAP_FAILED, "mmap");
	th_random_fill(&rnd, map + off - start, length);
	memcpy(model + off, map + off - start, length);
	expect(!msync(map, off + length - start, MS_SYNC), "msync");
	munmap(map, off + length - start);
}

/* Holes that SEEK_HOLE reports read as zeros. */
static void op_seek(void)
{
	off_t at = 0, data;

	while ((size_t)at < size) {
		data = lseek(fd, at, SEEK_DATA);
		if (data < 0)
			expect(errno == ENXIO, "SEEK_DATA");
		for (size_t i = at; i < (data < 0 ? size : (size_t)data); i++)
			expect(!model[i], "data in a hole");
		if (data < 0)
			break;
		at = lseek(fd, data, SEEK_HOLE);
		expect(at > data, "SEEK_HOLE");
	}
}

static void op_reopen(void)
{
	expect(!close(fd), "close");
	file_open();
}

static void one(void)
{
	size_t off = pick_offset(), length = pick_length(off);
	unsigned what = th_random_below(&rnd, 100);

	if (what < 25)
		op_write(off, length);
	else if (what < 45)
		op_read(off, length);
	else if (what < 53)
		op_truncate(pick_offset());
	else if (what < 65)
		op_fallocate(off, length);
	else if (what < 75)
		op_copy(off, length);
	else if (what < 82)
		op_map_read(off, length);
	else if (what < 90)
		op_map_write(off, length);
	else if (what < 94)
		op_seek();
	else if (what < 97)
		op_reopen();
	else
		expect(!fsync(fd), "fsync");
	file_size();
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;

	if (argc < 2) {
		fprintf(stderr, "usage: fsx FILE [OPERATIONS [SEED]]\n");
		return 2;
	}
	path = argv[1];
	rnd.state = argc > 3 ? strtoull(argv[3], NULL, 0) : th_test_seed("fsx");
	model = calloc(1, FILE_MAX);
	scratch = malloc(FILE_MAX);
	expect(model && scratch, "memory");
	file_open();
	op_truncate(0);
	for (operation = 0; operation < count; operation++)
		one();
	op_read(0, FILE_MAX);
	close(fd);
	free(model);
	free(scratch);
	return 0;
}
