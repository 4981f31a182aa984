/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files made and data moved through system calls, for filesystems.sh.
 *
 *   bench_files create DIRECTORY COUNT BYTES THREADS [fsync]      a hundred directories, COUNT files in all
 *   bench_files crowd DIRECTORY FROM COUNT                        COUNT empty files in one, named from FROM on
 *   bench_files write FILE SIZE BLOCK TOTAL seq|random end|each   fsync at the end or after each
 *   bench_files read FILE SIZE BLOCK TOTAL seq|random
 *
 * Sizes in bytes.  Data is random, so that no filesystem can shrink it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/random.h"

#define DIRECTORIES 100

static void fail(const char *what)
{
	fprintf(stderr, "bench_files: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void fill(char *buf, size_t size, uint64_t seed)
{
	th_random_fill(&(struct th_random){ .state = seed }, buf, size);
}

static char *new_buffer(size_t size)
{
	char *buf = malloc(size ? size : 1);

	if (!buf)
		fail("memory");
	memset(buf, 0, size);
	return buf;
}

/* --- creating --- */

struct maker {
	pthread_t thread;
	const char *directory;
	unsigned long from, to;
	size_t bytes;
	int sync;
};

static void make_file(const char *path, char *buf, size_t bytes, int sync)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, buf, bytes) != (ssize_t)bytes || (sync && fsync(fd) < 0) || close(fd) < 0)
		fail(path);
}

static void *make_files(void *arg)
{
	struct maker *maker = arg;
	char *buf = new_buffer(maker->bytes), path[4096];

	for (unsigned long i = maker->from; i < maker->to; i++) {
		fill(buf, maker->bytes, i);
		snprintf(path, sizeof(path), "%s/%lu/%lu", maker->directory, i % DIRECTORIES, i);
		make_file(path, buf, maker->bytes, maker->sync);
	}
	free(buf);
	return NULL;
}

static void create(const char *directory, unsigned long count, size_t bytes, unsigned long threads, int sync)
{
	struct maker *makers = calloc(threads, sizeof(*makers));
	char path[4096];

	if (!makers)
		fail("memory");
	if (mkdir(directory, 0755) < 0)
		fail(directory);
	for (int i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "%s/%d", directory, i);
		if (mkdir(path, 0755) < 0)
			fail(path);
	}
	for (unsigned long i = 0; i < threads; i++) {
		makers[i] = (struct maker){ .directory = directory,
					    .from = count * i / threads,
					    .to = count * (i + 1) / threads,
					    .bytes = bytes,
					    .sync = sync };
		errno = pthread_create(&makers[i].thread, NULL, make_files, &makers[i]);
		if (errno)
			fail("thread");
	}
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(makers[i].thread, NULL);
	free(makers);
}

/* The directory may be there. */
static void crowd(const char *directory, unsigned long from, unsigned long count)
{
	char path[4096];

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		fail(directory);
	for (unsigned long i = from; i < from + count; i++) {
		snprintf(path, sizeof(path), "%s/a file with the number %lu", directory, i);
		make_file(path, path, 0, 0);
	}
}

/* --- data of one file --- */

struct job {
	const char *path;
	uint64_t size, block, total;
	int random, sync_each, write;
};

static void transfer(const struct job *job, int fd, char *buf, uint64_t offset)
{
	ssize_t n = job->write ? pwrite(fd, buf, job->block, (off_t)offset) : pread(fd, buf, job->block, (off_t)offset);

	if (n != (ssize_t)job->block) {
		if (n >= 0)
			errno = EIO;
		fail(job->path);
	}
	if (job->sync_each && fdatasync(fd) < 0)
		fail(job->path);
}

static void move_data(const struct job *job)
{
	int fd = open(job->path, job->write ? O_RDWR | O_CREAT : O_RDONLY, 0644);
	char *buf = new_buffer(job->block);
	struct th_random random = { .state = 1 };

	if (fd < 0)
		fail(job->path);
	for (uint64_t done = 0; done < job->total; done += job->block) {
		uint64_t place = job->random ? th_random_next(&random) % (job->size / job->block) : done / job->block;

		if (job->write)
			fill(buf, job->block, done);
		transfer(job, fd, buf, place * job->block);
	}
	if (job->write && fsync(fd) < 0)
		fail(job->path);
	close(fd);
	free(buf);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!value || *end) {
		errno = EINVAL;
		fail(text);
	}
	return value;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int write = strcmp(what, "write") == 0;

	if (strcmp(what, "create") == 0 && (argc == 6 || argc == 7)) {
		create(argv[2], number(argv[3]), number(argv[4]), number(argv[5]), argc == 7);
	} else if (strcmp(what, "crowd") == 0 && argc == 5) {
		crowd(argv[2], number(argv[3]), number(argv[4]));
	} else if ((write && argc == 8) || (strcmp(what, "read") == 0 && argc == 7)) {
		move_data(&(struct job){ .path = argv[2],
					 .size = number(argv[3]),
					 .block = number(argv[4]),
					 .total = number(argv[5]),
					 .random = strcmp(argv[6], "random") == 0,
					 .sync_each = write && strcmp(argv[7], "each") == 0,
					 .write = write });
	} else {
		fputs("bench_files: see the head of bench_files.c\n", stderr);
		return 2;
	}
	return 0;
}
