/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creates files and moves data through system calls, for filesystems.sh, growth.sh and full.sh.
 *
 *   bench_files create DIRECTORY COUNT BYTES THREADS [fsync]      COUNT files in a hundred directories
 *   bench_files created DIRECTORY COUNT BYTES                     verifies these files and their data
 *   bench_files crowd DIRECTORY FROM COUNT                        COUNT empty files in one directory, from FROM on
 *   bench_files own DIRECTORY COUNT THREADS                       COUNT empty files; each thread creates its part in a
 *                                                                 directory of its own, and reads their attributes
 *   bench_files look DIRECTORY COUNT THREADS                      reads attributes of the first COUNT files of a crowd;
 *                                                                 each thread those of its part
 *   bench_files mix DIRECTORY COUNT BYTES                         creates, overwrites, renames and unlinks COUNT files,
 *                                                                 and prints the seconds of each of the four
 *   bench_files write FILE SIZE BLOCK TOTAL seq|random end|each   fsync at the end, or after each write
 *   bench_files written FILE SIZE BLOCK TOTAL seq|random          verifies the written data
 *   bench_files read FILE SIZE BLOCK TOTAL seq|random
 *
 * Sizes are in bytes.  Data is random, so that no filesystem can compress it, and follows from its offset, so that it
 * can be verified.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
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

static void *allocate(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		fail("memory");
	return p;
}

/* Fails unless the file has the data of this seed there. */
static void check_data(const char *path, int fd, uint64_t offset, size_t size, uint64_t seed)
{
	char *expected = allocate(size), *found = allocate(size);

	fill(expected, size, seed);
	if (pread(fd, found, size, (off_t)offset) != (ssize_t)size || memcmp(expected, found, size) != 0) {
		fprintf(stderr, "bench_files: %s: not what was written, at %llu\n", path, (unsigned long long)offset);
		exit(1);
	}
	free(expected);
	free(found);
}

/* --- creating --- */

struct maker {
	pthread_t thread;
	const char *directory;
	unsigned long from, to;
	size_t bytes;
	int sync;
};

static void make_directory(const char *path)
{
	if (mkdir(path, 0755) < 0)
		fail(path);
}

static void make_file(const char *path, char *buf, size_t bytes, int sync)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, buf, bytes) != (ssize_t)bytes || (sync && fsync(fd) < 0) || close(fd) < 0)
		fail(path);
}

static void name_file(char path[4096], const char *directory, unsigned long i)
{
	snprintf(path, 4096, "%s/%lu/%lu", directory, i % DIRECTORIES, i);
}

static void *make_files(void *arg)
{
	struct maker *maker = arg;
	char *buf = allocate(maker->bytes), path[4096];

	for (unsigned long i = maker->from; i < maker->to; i++) {
		fill(buf, maker->bytes, i);
		name_file(path, maker->directory, i);
		make_file(path, buf, maker->bytes, maker->sync);
	}
	free(buf);
	return NULL;
}

/* Works in a directory of this thread, which is named after its first file. */
static void *make_own(void *arg)
{
	struct maker *maker = arg;
	struct stat status;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%lu", maker->directory, maker->from);
	make_directory(path);
	for (unsigned long i = maker->from; i < maker->to; i++) {
		snprintf(path, sizeof(path), "%s/%lu/%lu", maker->directory, maker->from, i);
		make_file(path, path, 0, 0);
		if (stat(path, &status) < 0)
			fail(path);
	}
	return NULL;
}

/* Divides the files of `all` among the threads. */
static void run_makers(const struct maker *all, unsigned long threads, void *(*run)(void *))
{
	struct maker *makers = allocate(threads * sizeof(*makers));

	for (unsigned long i = 0; i < threads; i++) {
		makers[i] = *all;
		makers[i].from = all->to * i / threads;
		makers[i].to = all->to * (i + 1) / threads;
		errno = pthread_create(&makers[i].thread, NULL, run, &makers[i]);
		if (errno)
			fail("thread");
	}
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(makers[i].thread, NULL);
	free(makers);
}

static void create(const struct maker *all, unsigned long threads)
{
	char path[4096];

	make_directory(all->directory);
	for (int i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "%s/%d", all->directory, i);
		make_directory(path);
	}
	run_makers(all, threads, make_files);
}

static void check_created(const char *directory, unsigned long count, size_t bytes)
{
	struct stat status;
	char path[4096];

	for (unsigned long i = 0; i < count; i++) {
		name_file(path, directory, i);
		int fd = open(path, O_RDONLY);

		if (fd < 0 || fstat(fd, &status) < 0)
			fail(path);
		errno = EIO;
		if (status.st_size != (off_t)bytes)
			fail(path);
		check_data(path, fd, 0, bytes, i);
		close(fd);
	}
}

static void name_in_crowd(char path[4096], const char *directory, unsigned long i)
{
	snprintf(path, 4096, "%s/a file with the number %lu", directory, i);
}

static void *look_up(void *arg)
{
	const struct maker *maker = arg;
	struct stat status;
	char path[4096];

	for (unsigned long i = maker->from; i < maker->to; i++) {
		name_in_crowd(path, maker->directory, i + 1);
		if (stat(path, &status) < 0)
			fail(path);
	}
	return NULL;
}

/* The directory may exist already. */
static void crowd(const char *directory, unsigned long from, unsigned long count)
{
	char path[4096];

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		fail(directory);
	for (unsigned long i = from; i < from + count; i++) {
		name_in_crowd(path, directory, i);
		make_file(path, path, 0, 0);
	}
}

/* --- a mix of changes --- */

static void mix_create(const char *path, char *buf, size_t bytes)
{
	make_file(path, buf, bytes, 0);
}

static void mix_overwrite(const char *path, char *buf, size_t bytes)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || pwrite(fd, buf, bytes, 0) != (ssize_t)bytes || close(fd) < 0)
		fail(path);
}

static void mix_rename(const char *path, char *buf, size_t bytes)
{
	(void)bytes;
	snprintf(buf, 4096, "%s.new", path);
	if (rename(path, buf) < 0)
		fail(path);
}

static void mix_unlink(const char *path, char *buf, size_t bytes)
{
	(void)bytes;
	snprintf(buf, 4096, "%s.new", path);
	if (unlink(buf) < 0)
		fail(buf);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Each kind ends with an fsync of the directory, which makes it durable. */
static void mix(const char *directory, unsigned long count, size_t bytes)
{
	void (*const kinds[])(const char *path, char *buf, size_t bytes) = { mix_create, mix_overwrite, mix_rename,
									     mix_unlink };
	char *buf = allocate(bytes > 4096 ? bytes : 4096), path[4096];
	int fd = open(directory, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		fail(directory);
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		double from = seconds_now();

		for (unsigned long i = 0; i < count; i++) {
			snprintf(path, sizeof(path), "%s/mix.%lu", directory, i);
			if (kind < 2)
				fill(buf, bytes, i * 2 + kind);
			kinds[kind](path, buf, bytes);
		}
		if (fsync(fd) < 0)
			fail(directory);
		printf("%.4f%c", seconds_now() - from, kind == 3 ? '\n' : ' ');
	}
	close(fd);
	free(buf);
}

/* --- data of one file --- */

struct job {
	const char *path;
	uint64_t size, block, total;
	int random, sync_each, write;
};

/* The offsets and the data depend on the total too, so that two jobs of a comparison differ. */
static struct th_random places_of(const struct job *job)
{
	return (struct th_random){ .state = job->total };
}

static uint64_t next_place(const struct job *job, struct th_random *places, uint64_t done)
{
	return job->random ? th_random_next(places) % (job->size / job->block) : done / job->block;
}

static uint64_t seed_of(const struct job *job, uint64_t done)
{
	return job->total + done;
}

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
	char *buf = allocate(job->block);
	struct th_random places = places_of(job);

	if (fd < 0)
		fail(job->path);
	for (uint64_t done = 0; done < job->total; done += job->block) {
		uint64_t place = next_place(job, &places, done);

		if (job->write)
			fill(buf, job->block, seed_of(job, done));
		transfer(job, fd, buf, place * job->block);
	}
	if (job->write && fsync(fd) < 0)
		fail(job->path);
	close(fd);
	free(buf);
}

/* Of several writes to one offset the last one is expected. */
static void check_written(const struct job *job)
{
	uint64_t blocks = job->size / job->block, *seeds = allocate(blocks * sizeof(*seeds)); /* 0: not written */
	struct th_random places = places_of(job);
	int fd = open(job->path, O_RDONLY);

	if (fd < 0)
		fail(job->path);
	for (uint64_t done = 0; done < job->total; done += job->block)
		seeds[next_place(job, &places, done)] = seed_of(job, done);
	for (uint64_t i = 0; i < blocks; i++) {
		if (seeds[i])
			check_data(job->path, fd, i * job->block, job->block, seeds[i]);
	}
	close(fd);
	free(seeds);
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

static int files(int argc, char **argv)
{
	const char *what = argv[1];
	struct maker all = { .directory = argv[2] };

	if (strcmp(what, "create") == 0 && (argc == 6 || argc == 7)) {
		all.to = number(argv[3]);
		all.bytes = number(argv[4]);
		all.sync = argc == 7;
		create(&all, number(argv[5]));
	} else if (strcmp(what, "created") == 0 && argc == 5) {
		check_created(argv[2], number(argv[3]), number(argv[4]));
	} else if (strcmp(what, "crowd") == 0 && argc == 5) {
		crowd(argv[2], number(argv[3]), number(argv[4]));
	} else if (strcmp(what, "look") == 0 && argc == 5) {
		all.to = number(argv[3]);
		run_makers(&all, number(argv[4]), look_up);
	} else if (strcmp(what, "mix") == 0 && argc == 5) {
		mix(argv[2], number(argv[3]), number(argv[4]));
	} else if (strcmp(what, "own") == 0 && argc == 5) {
		all.to = number(argv[3]);
		make_directory(argv[2]);
		run_makers(&all, number(argv[4]), make_own);
	} else {
		return 2;
	}
	return 0;
}

static int data(int argc, char **argv)
{
	const char *what = argv[1];
	struct job job = { .path = argv[2] };

	if (argc < 7)
		return 2;
	job.size = number(argv[3]);
	job.block = number(argv[4]);
	job.total = number(argv[5]);
	job.random = strcmp(argv[6], "random") == 0;
	job.write = strcmp(what, "write") == 0;
	if (argc == (job.write ? 8 : 7) && (job.write || strcmp(what, "read") == 0)) {
		job.sync_each = job.write && strcmp(argv[7], "each") == 0;
		move_data(&job);
	} else if (strcmp(what, "written") == 0 && argc == 7) {
		check_written(&job);
	} else {
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || (files(argc, argv) == 2 && data(argc, argv) == 2)) {
		fputs("bench_files: see the head of bench_files.c\n", stderr);
		return 2;
	}
	return 0;
}
