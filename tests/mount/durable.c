/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durable write DIRECTORY RECORD SEED [COUNT]: changes files below DIRECTORY and makes each change durable.  The file
 * RECORD, on another filesystem, gets a line before each change and one when the system has reported it durable.  Ends
 * with 0 after COUNT changes (0: never), and with 3 when a call fails, as it does when the filesystem is gone.
 *
 * durable verify DIRECTORY RECORD: verifies that every change that was reported durable is there, and none that was
 * never begun.
 *
 * Versions count up, across runs too.  The durable state of each thing is the newest version reported durable; a
 * later one that was begun may be there instead, whole or (for blocks written in place) in part.
 *
 *   place    blocks of one file are overwritten, then fdatasync
 *   append   a record is added to the end of a file, then fsync
 *   replace  a file is written, fsynced and renamed over the old one, and its directory is fsynced
 *   exist    an empty file is made or removed, and its directory is fsynced
 *   group    several small files are written with O_SYNC and renamed, and their directory is fsynced
 *
 * syncfs and sync are not among them: the kernel does not pass them on to FUSE filesystems without a block device.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/random.h"

#define THINGS 6 /* of each kind */
#define BLOCK 4096
#define BLOCKS 16 /* in a file written in place */
#define RECORD_BYTES 100 /* appended at a time */
#define REPLACE_BYTES 20000
#define PARTS 5 /* files in a group */

enum kind { PLACE, APPEND, REPLACE, EXIST, GROUP, KINDS };
static const char *const kind_names[] = { "place", "append", "replace", "exist", "group" };

struct thing {
	uint64_t begun, done;
	/* of PLACE: the same for each block */
	uint64_t block_begun[BLOCKS], block_done[BLOCKS];
};

struct run {
	const char *directory;
	int record, dir;
	struct th_random random;
	struct thing things[KINDS][THINGS];
};

/* The content of every block and record of a version */
struct stamp {
	uint64_t version, thing, block, check;
};

static struct stamp stamp_make(uint64_t version, uint64_t thing, uint64_t block)
{
	return (struct stamp){ version, thing, block, (version * 31 + thing) * 31 + block + 0x7457 };
}

/* Fills a buffer with stamps: the version, and where it belongs. */
static void fill(unsigned char *bytes, size_t size, uint64_t version, uint64_t thing, uint64_t block)
{
	struct stamp stamp = stamp_make(version, thing, block);

	for (size_t at = 0; at < size; at += sizeof(stamp))
		memcpy(bytes + at, &stamp, size - at < sizeof(stamp) ? size - at : sizeof(stamp));
}

/* Returns the version of the bytes, or 0 if they are not one version whole. */
static uint64_t version_of(const unsigned char *bytes, size_t size, uint64_t thing, uint64_t block)
{
	unsigned char expected[REPLACE_BYTES];
	struct stamp stamp;

	if (size < sizeof(stamp) || size > sizeof(expected))
		return 0;
	memcpy(&stamp, bytes, sizeof(stamp));
	fill(expected, size, stamp.version, thing, block);
	return memcmp(bytes, expected, size) ? 0 : stamp.version;
}

/* --- the record --- */

static void record(struct run *run, enum kind kind, unsigned number, uint64_t version, unsigned mask, bool done)
{
	char line[100];
	int size = snprintf(line, sizeof(line), "%s %u %" PRIu64 " %x %s\n", kind_names[kind], number, version, mask,
			    done ? "done" : "begun");

	if (write(run->record, line, (size_t)size) != size) {
		perror("record");
		exit(1);
	}
}

static void apply(struct run *run, enum kind kind, unsigned number, uint64_t version, unsigned mask, bool done)
{
	struct thing *thing = &run->things[kind][number];

	*(done ? &thing->done : &thing->begun) = version;
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (mask & 1u << i)
			(done ? thing->block_done : thing->block_begun)[i] = version;
	}
}

static int load(struct run *run, const char *path)
{
	FILE *stream = fopen(path, "r");
	char kind_name[16], state[16];
	uint64_t version;
	unsigned number, mask;

	if (!stream)
		return errno == ENOENT ? 0 : -1;
	while (fscanf(stream, "%15s %u %" SCNu64 " %x %15s", kind_name, &number, &version, &mask, state) == 5) {
		for (enum kind kind = 0; kind < KINDS; kind++) {
			if (!strcmp(kind_name, kind_names[kind]) && number < THINGS)
				apply(run, kind, number, version, mask, !strcmp(state, "done"));
		}
	}
	fclose(stream);
	return 0;
}

/* --- writing --- */

static void path_of(char *path, size_t size, enum kind kind, unsigned number, unsigned part)
{
	snprintf(path, size, kind == GROUP ? "%s.%u.%u" : "%s.%u", kind_names[kind], number, part);
}

static int close_after(int fd, int result)
{
	int error = errno;

	close(fd);
	errno = error;
	return result;
}

static int write_place(struct run *run, unsigned number, uint64_t version, unsigned mask)
{
	unsigned char bytes[BLOCK];
	char path[64];
	int fd, result = 0;

	path_of(path, sizeof(path), PLACE, number, 0);
	fd = openat(run->dir, path, O_WRONLY | O_CREAT, 0644);
	if (fd < 0)
		return -1;
	for (unsigned i = 0; i < BLOCKS && !result; i++) {
		fill(bytes, sizeof(bytes), version, number, i);
		if (mask & 1u << i && pwrite(fd, bytes, sizeof(bytes), (off_t)i * BLOCK) != sizeof(bytes))
			result = -1;
	}
	return close_after(fd, result ? result : fdatasync(fd));
}

/* The version is also the number of records: those that an earlier run began without end are written again. */
static int write_append(struct run *run, unsigned number, uint64_t version)
{
	unsigned char bytes[RECORD_BYTES];
	char path[64];
	int fd, result = 0;

	path_of(path, sizeof(path), APPEND, number, 0);
	fd = openat(run->dir, path, O_WRONLY | O_CREAT, 0644);
	if (fd < 0)
		return -1;
	for (uint64_t i = run->things[APPEND][number].done; i < version && !result; i++) {
		fill(bytes, sizeof(bytes), i + 1, number, i);
		if (pwrite(fd, bytes, sizeof(bytes), (off_t)i * RECORD_BYTES) != sizeof(bytes))
			result = -1;
	}
	return close_after(fd, result ? result : fsync(fd));
}

static int write_file(struct run *run, const char *path, uint64_t version, unsigned number, size_t size, int flags)
{
	unsigned char bytes[REPLACE_BYTES];
	int fd = openat(run->dir, path, O_WRONLY | O_CREAT | O_TRUNC | flags, 0644), result = 0;

	if (fd < 0)
		return -1;
	fill(bytes, size, version, number, 0);
	if (write(fd, bytes, size) != (ssize_t)size || (!flags && fsync(fd)))
		result = -1;
	return close_after(fd, result);
}

static int write_replace(struct run *run, unsigned number, uint64_t version)
{
	char path[64];

	path_of(path, sizeof(path), REPLACE, number, 0);
	if (write_file(run, "replace.new", version, number, REPLACE_BYTES, 0) ||
	    renameat(run->dir, "replace.new", run->dir, path))
		return -1;
	return fsync(run->dir);
}

/* The file exists in odd versions. */
static int write_exist(struct run *run, unsigned number, uint64_t version)
{
	char path[64];
	int fd;

	path_of(path, sizeof(path), EXIST, number, 0);
	if (version % 2) {
		fd = openat(run->dir, path, O_WRONLY | O_CREAT, 0644);
		if (fd < 0)
			return -1;
		close(fd);
	} else if (unlinkat(run->dir, path, 0) && errno != ENOENT) {
		return -1;
	}
	return fsync(run->dir);
}

static int write_group(struct run *run, unsigned number, uint64_t version)
{
	char path[64];

	for (unsigned part = 0; part < PARTS; part++) {
		path_of(path, sizeof(path), GROUP, number, part);
		if (write_file(run, "group.new", version, number, 500 + 1000 * part, O_SYNC) ||
		    renameat(run->dir, "group.new", run->dir, path))
			return -1;
	}
	return fsync(run->dir);
}

static int write_next(struct run *run)
{
	enum kind kind = th_random_below(&run->random, KINDS);
	unsigned number = th_random_below(&run->random, THINGS);
	uint64_t version = run->things[kind][number].begun + 1;
	unsigned mask = kind != PLACE ? 0 : version == 1 ? 0xffff : 1 + th_random_below(&run->random, 0xffff);
	int result;

	record(run, kind, number, version, mask, false);
	apply(run, kind, number, version, mask, false);
	if (kind == PLACE)
		result = write_place(run, number, version, mask);
	else if (kind == APPEND)
		result = write_append(run, number, version);
	else if (kind == REPLACE)
		result = write_replace(run, number, version);
	else if (kind == EXIST)
		result = write_exist(run, number, version);
	else
		result = write_group(run, number, version);
	if (!result)
		record(run, kind, number, version, mask, true);
	return result;
}

static int write_all(struct run *run, unsigned long count)
{
	for (unsigned long i = 0; !count || i < count; i++) {
		if (write_next(run)) {
			fprintf(stderr, "durable: %s\n", strerror(errno));
			return 3;
		}
	}
	return 0;
}

/* --- verifying --- */

static bool complain(enum kind kind, unsigned number, unsigned part, const char *what, uint64_t found, uint64_t done,
		     uint64_t begun)
{
	printf("%s %u, part %u: %s %" PRIu64 "; version %" PRIu64 " was durable, %" PRIu64 " begun\n", kind_names[kind],
	       number, part, what, found, done, begun);
	return false;
}

/* Returns the size, or -1 if there is no such file.  The buffer is larger than the file should be. */
static ssize_t read_file(struct run *run, const char *path, unsigned char *bytes, size_t room)
{
	int fd = openat(run->dir, path, O_RDONLY);
	ssize_t size;

	if (fd < 0)
		return -1;
	size = read(fd, bytes, room);
	close(fd);
	return size;
}

static bool verify_place(struct run *run, unsigned number)
{
	const struct thing *thing = &run->things[PLACE][number];
	unsigned char bytes[BLOCKS * BLOCK];
	bool ok = true;
	char path[64];

	path_of(path, sizeof(path), PLACE, number, 0);
	ssize_t size = read_file(run, path, bytes, sizeof(bytes));

	if (thing->done && size != sizeof(bytes))
		return complain(PLACE, number, 0, "its size is", (uint64_t)size, thing->done, thing->begun);
	for (unsigned i = 0; thing->done && i < BLOCKS; i++) {
		uint64_t version = version_of(bytes + i * BLOCK, BLOCK, number, i);

		if (version < thing->block_done[i] || version > thing->block_begun[i])
			ok = complain(PLACE, number, i, "this block is of version", version, thing->block_done[i],
				      thing->block_begun[i]);
	}
	return ok;
}

static bool verify_append(struct run *run, unsigned number)
{
	const struct thing *thing = &run->things[APPEND][number];
	size_t room = (size_t)(thing->begun + 1) * RECORD_BYTES;
	unsigned char *bytes = malloc(room);
	bool ok = true;
	char path[64];

	if (!bytes)
		return false;
	path_of(path, sizeof(path), APPEND, number, 0);
	ssize_t size = read_file(run, path, bytes, room);
	uint64_t records = size < 0 ? 0 : (uint64_t)size / RECORD_BYTES;

	if (records < thing->done || records > thing->begun)
		ok = complain(APPEND, number, 0, "the number of records is", records, thing->done, thing->begun);
	for (uint64_t i = 0; ok && i < thing->done; i++) {
		uint64_t version = version_of(bytes + i * RECORD_BYTES, RECORD_BYTES, number, i);

		if (version != i + 1)
			ok = complain(APPEND, number, (unsigned)i, "this record is of version", version, i + 1, i + 1);
	}
	free(bytes);
	return ok;
}

/* Verifies a file that is only replaced as a whole. */
static bool verify_whole(struct run *run, enum kind kind, unsigned number, unsigned part, size_t expected)
{
	const struct thing *thing = &run->things[kind][number];
	unsigned char bytes[REPLACE_BYTES + 1];
	char path[64];

	path_of(path, sizeof(path), kind, number, part);
	ssize_t size = read_file(run, path, bytes, sizeof(bytes));
	uint64_t version = size == (ssize_t)expected ? version_of(bytes, expected, number, 0) : 0;

	if (version > thing->begun || (thing->done && version < thing->done))
		return complain(kind, number, part, "the file is of version", version, thing->done, thing->begun);
	return true;
}

static bool verify_exist(struct run *run, unsigned number)
{
	const struct thing *thing = &run->things[EXIST][number];
	char path[64];

	path_of(path, sizeof(path), EXIST, number, 0);
	bool there = !faccessat(run->dir, path, F_OK, 0);

	if (thing->done == thing->begun && there != (thing->done % 2 == 1))
		return complain(EXIST, number, 0, "there are files of this name:", there, thing->done, thing->begun);
	return true;
}

static int verify_all(struct run *run)
{
	uint64_t done = 0;
	bool ok = true;

	for (unsigned number = 0; number < THINGS; number++) {
		ok &= verify_place(run, number);
		ok &= verify_append(run, number);
		ok &= verify_whole(run, REPLACE, number, 0, REPLACE_BYTES);
		ok &= verify_exist(run, number);
		for (unsigned part = 0; part < PARTS; part++)
			ok &= verify_whole(run, GROUP, number, part, 500 + 1000 * part);
		for (enum kind kind = 0; kind < KINDS; kind++)
			done += run->things[kind][number].done;
	}
	printf("%" PRIu64 " changes were durable\n", done);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool verify = argc == 4 && !strcmp(argv[1], "verify");
	struct run *run = calloc(1, sizeof(*run));
	int status = 1;

	if (!run || (!verify && (argc < 5 || argc > 6 || strcmp(argv[1], "write")))) {
		fprintf(stderr, "usage: durable write DIRECTORY RECORD SEED [COUNT] | verify DIRECTORY RECORD\n");
		return 2;
	}
	run->dir = open(argv[2], O_RDONLY | O_DIRECTORY);
	run->record = open(argv[3], O_WRONLY | O_APPEND | O_CREAT, 0644);
	if (run->dir < 0 || run->record < 0 || load(run, argv[3]))
		perror(argv[2]);
	else if (verify)
		status = verify_all(run);
	else {
		run->random.state = strtoull(argv[4], NULL, 10);
		status = write_all(run, argc == 6 ? strtoul(argv[5], NULL, 10) : 0);
	}
	free(run);
	return status;
}
