/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills and empties a directory again and again.
 *
 * churn fill DIRECTORY KIND SEED [CYCLES]: fills the filesystem until it is full, and removes everything, CYCLES times
 * (0, the default: until the filesystem is gone).  Half of the time in the order of creation, else in random order.
 * Ends with 0, also when the filesystem is gone; and with 1 if a call fails that must succeed, as every removal must.
 *
 *   tiny       files of up to 600 bytes, 200 in a directory
 *   large      files of up to 8 MiB
 *   sparse     files with blocks at random places, some of them punched again
 *   snapshots  random places of one file are overwritten, with three snapshots at a time
 *   mmap       files that are written through mappings
 *   xattrs     files with many extended attributes
 *   blocks     one file is filled and every other block of it punched; then files of 500 bytes
 *
 * churn spool DIRECTORY COUNT: COUNT files of 500 bytes, each with a new name, of which never more than 2,000 exist:
 * the oldest is removed.  Prints "CREATED USED" 20 times, USED in KiB as df shows it, and removes the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/support/random.h"

#define BLOCK 4096u
#define BUFFER (1u << 20)
#define FILES_IN_DIRECTORY 200u
#define XATTRS_IN_FILE 40u
#define SNAPSHOTS 3u
#define SPOOL_FILES 2000u
#define SPOOL_REPORTS 20u

struct churn {
	struct th_random random;
	unsigned files, limit; /* made in this cycle; at most so many */
	unsigned snapshots; /* taken in this cycle */
	unsigned char buffer[BUFFER];
};

/* --- results of calls --- */

/* Ends with 0 if the call failed because the filesystem is gone.  A write that had to read a page reports that as
 * EIO. */
static void end_if_gone(void)
{
	int error = errno;
	struct statvfs stat;

	if (error == ENOTCONN || error == ECONNABORTED || error == ENODEV ||
	    (error == EIO && statvfs(".", &stat) < 0 && errno == ENOTCONN))
		exit(0);
	errno = error;
}

static void fail(const char *what, const char *name)
{
	end_if_gone();
	fprintf(stderr, "churn: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

/* Returns true if the call succeeded, false if the filesystem is full.  Anything else is a failure. */
static bool has_room(long result, const char *what, const char *name)
{
	if (result >= 0)
		return true;
	if (errno != ENOSPC)
		fail(what, name);
	return false;
}

/* --- files --- */

struct name {
	char text[40];
};

static struct name name_of(unsigned i)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "d%u/f%u", i / FILES_IN_DIRECTORY, i);
	return name;
}

/* Opens file i, made now.  Returns -1 if there is no room for it. */
static int make(struct churn *churn)
{
	struct name name = name_of(churn->files);
	char directory[40];
	int fd;

	snprintf(directory, sizeof(directory), "d%u", churn->files / FILES_IN_DIRECTORY);
	if (mkdir(directory, 0755) < 0 && errno != EEXIST && !has_room(-1, "mkdir", directory))
		return -1;
	fd = open(name.text, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (has_room(fd, "create", name.text))
		churn->files++;
	return fd;
}

/* Closes a file.  Returns whether there is room for more. */
static bool done(struct churn *churn, int fd, bool room)
{
	if (room && th_random_percent(&churn->random, 5))
		room = has_room(fsync(fd), "fsync", "");
	close(fd);
	return room;
}

static bool write_some(struct churn *churn, int fd, size_t size, off_t at)
{
	th_random_fill(&churn->random, churn->buffer, size < 64 ? size : 64);
	return has_room(pwrite(fd, churn->buffer, size, at), "write", "");
}

/* Writes `size` bytes.  Returns whether there was room for them. */
static bool write_all(struct churn *churn, int fd, size_t size)
{
	bool room = true;

	for (size_t at = 0; at < size && room; at += BUFFER)
		room = write_some(churn, fd, size - at < BUFFER ? size - at : BUFFER, (off_t)at);
	return room;
}

/* --- one step of filling: each returns false when the filesystem is full --- */

static bool fill_tiny(struct churn *churn)
{
	int fd = make(churn);

	return fd >= 0 && done(churn, fd, write_some(churn, fd, th_random_below(&churn->random, 600), 0));
}

static bool fill_large(struct churn *churn)
{
	int fd = make(churn);

	return fd >= 0 && done(churn, fd, write_all(churn, fd, th_random_below(&churn->random, 8 * BUFFER)));
}

static bool fill_sparse(struct churn *churn)
{
	int fd = make(churn);
	bool room = fd >= 0;

	for (unsigned i = th_random_below(&churn->random, 64); i > 0 && room; i--) {
		off_t at = (off_t)BLOCK * th_random_below(&churn->random, 1u << 18);

		room = write_some(churn, fd, th_random_between(&churn->random, 1, 3 * BLOCK), at);
		if (room && th_random_percent(&churn->random, 20) &&
		    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at + 100, 2 * BLOCK) < 0)
			fail("punch", "");
	}
	return fd >= 0 && done(churn, fd, room);
}

/* Keeps the newest snapshots.  Returns whether there was room for one more. */
static bool next_snapshot(struct churn *churn)
{
	char name[40];

	snprintf(name, sizeof(name), ".snapshots/s%u", churn->snapshots);
	if (!has_room(mkdir(name, 0755), "snapshot", name))
		return false;
	churn->snapshots++;
	snprintf(name, sizeof(name), ".snapshots/s%u", churn->snapshots - SNAPSHOTS - 1);
	if (churn->snapshots > SNAPSHOTS && rmdir(name) < 0)
		fail("delete snapshot", name);
	return true;
}

static bool fill_snapshots(struct churn *churn)
{
	bool room = true;
	int fd = churn->files ? open("d0/f0", O_RDWR) : make(churn);

	if (fd < 0)
		return false;
	for (unsigned i = 0; i < 200 && room; i++)
		room = write_some(churn, fd, th_random_between(&churn->random, 1, 4 * BLOCK),
				  (off_t)BLOCK * th_random_below(&churn->random, 2048));
	room = done(churn, fd, room) && next_snapshot(churn);
	/* The file alone does not fill an image: the cycle ends after some snapshots. */
	return room && churn->snapshots < 20;
}

static sigjmp_buf mapping_failed;

static void on_bus_error(int signal)
{
	siglongjmp(mapping_failed, signal);
}

/* Stores into a mapping.  A store into a page for which there is no room, or no filesystem, raises SIGBUS. */
static bool store(struct churn *churn, unsigned char *map, unsigned pages)
{
	if (sigsetjmp(mapping_failed, 1))
		return false;
	for (unsigned i = 0; i < pages; i++)
		map[BLOCK * th_random_below(&churn->random, pages) + i] = (unsigned char)i;
	return true;
}

/* Through a mapping a full filesystem is reported by msync, as either error. */
static bool synced(struct churn *churn, unsigned char *map, size_t size)
{
	if (th_random_percent(&churn->random, 70) || msync(map, size, MS_SYNC) == 0)
		return true;
	end_if_gone();
	return errno != ENOSPC && errno != EIO ? has_room(-1, "msync", "") : false;
}

static bool fill_mmap(struct churn *churn)
{
	unsigned pages = th_random_between(&churn->random, 1, 200);
	size_t size = (size_t)pages * BLOCK;
	int fd = make(churn);
	unsigned char *map;
	bool room;

	if (fd < 0)
		return false;
	if (ftruncate(fd, (off_t)size) < 0)
		fail("truncate", "");
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail("mmap", "");
	room = store(churn, map, pages) && synced(churn, map, size);
	munmap(map, size);
	close(fd);
	return room;
}

static bool fill_xattrs(struct churn *churn)
{
	int fd = make(churn);
	bool room = fd >= 0;

	for (unsigned i = th_random_below(&churn->random, XATTRS_IN_FILE); i > 0 && room; i--) {
		size_t size = th_random_below(&churn->random, th_random_percent(&churn->random, 10) ? 20000 : 200);
		char name[40];

		snprintf(name, sizeof(name), "user.attribute%u", i);
		room = has_room(fsetxattr(fd, name, churn->buffer, size, 0), "setxattr", name);
		if (room && th_random_percent(&churn->random, 10) && fremovexattr(fd, name) < 0)
			fail("removexattr", name);
	}
	return fd >= 0 && done(churn, fd, room);
}

/* The first file takes all space; then every other block of it is free. */
static bool fill_blocks(struct churn *churn)
{
	unsigned blocks = 0;
	int fd = make(churn);

	if (fd < 0 || churn->files > 1)
		return fd >= 0 && done(churn, fd, write_some(churn, fd, 500, 0));
	while (write_some(churn, fd, 16 * BLOCK, (off_t)blocks * BLOCK))
		blocks += 16;
	if (fsync(fd) < 0)
		fail("fsync", "");
	for (unsigned i = 0; i < blocks; i += 2)
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)i * BLOCK, BLOCK) < 0)
			fail("punch", "");
	if (fsync(fd) < 0)
		fail("fsync after punching", "");
	close(fd);
	return true;
}

/* --- emptying --- */

static void remove_snapshots(struct churn *churn)
{
	unsigned from = churn->snapshots > SNAPSHOTS ? churn->snapshots - SNAPSHOTS : 0;

	for (; from < churn->snapshots; from++) {
		char name[40];

		snprintf(name, sizeof(name), ".snapshots/s%u", from);
		if (rmdir(name) < 0)
			fail("delete snapshot", name);
	}
	churn->snapshots = 0;
}

static void shuffle(struct churn *churn, unsigned *order)
{
	for (unsigned i = churn->files; i > 1; i--) {
		unsigned j = th_random_below(&churn->random, i), other = order[i - 1];

		order[i - 1] = order[j];
		order[j] = other;
	}
}

static void remove_files(struct churn *churn)
{
	unsigned *order = calloc(churn->files + 1, sizeof(*order));

	if (!order)
		fail("memory", "");
	for (unsigned i = 0; i < churn->files; i++)
		order[i] = i;
	if (th_random_percent(&churn->random, 50))
		shuffle(churn, order);
	for (unsigned i = 0; i < churn->files; i++) {
		struct name name = name_of(order[i]);

		if (unlink(name.text) < 0)
			fail("unlink", name.text);
	}
	free(order);
}

/* The last directory may be one for which there was no file any more. */
static void remove_directories(struct churn *churn)
{
	for (unsigned i = 0; i <= churn->files / FILES_IN_DIRECTORY; i++) {
		char name[40];

		snprintf(name, sizeof(name), "d%u", i);
		if (rmdir(name) < 0 && (errno != ENOENT || i < churn->files / FILES_IN_DIRECTORY))
			fail("rmdir", name);
	}
}

/* --- filling --- */

static const struct kind {
	const char *name;
	bool (*fill)(struct churn *churn);
	unsigned files; /* of one cycle: enough to fill an image of some 50 MiB, and not much more */
} kinds[] = {
	{ "tiny", fill_tiny, 200000 },      { "large", fill_large, 1000 }, { "sparse", fill_sparse, 10000 },
	{ "snapshots", fill_snapshots, 1 }, { "mmap", fill_mmap, 1000 },   { "xattrs", fill_xattrs, 20000 },
	{ "blocks", fill_blocks, 200000 },
};

static void cycle(struct churn *churn, const struct kind *kind)
{
	churn->files = 0;
	while (kind->fill(churn) && (churn->files < kind->files || kind->files == 1))
		;
	remove_files(churn);
	remove_snapshots(churn);
	remove_directories(churn);
}

static int fill(const char *name, uint64_t seed, unsigned long cycles)
{
	static struct churn churn;

	signal(SIGBUS, on_bus_error);
	churn.random.state = seed;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(name, kinds[i].name) != 0)
			continue;
		for (unsigned long done = 0; cycles == 0 || done < cycles; done++)
			cycle(&churn, &kinds[i]);
		return 0;
	}
	fprintf(stderr, "churn: %s: no such kind\n", name);
	return 2;
}

/* --- the spool --- */

static unsigned long used_kilobytes(void)
{
	struct statvfs stat;

	if (statvfs(".", &stat) < 0)
		fail("statfs", "");
	return (stat.f_blocks - stat.f_bfree) * stat.f_frsize / 1024;
}

static void spool_make(unsigned long i)
{
	static const char text[500] = "x";
	char name[40];
	int fd;

	snprintf(name, sizeof(name), "message.%lu", i);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, text, sizeof(text)) != sizeof(text))
		fail("create", name);
	close(fd);
}

static void spool_remove(unsigned long i)
{
	char name[40];

	snprintf(name, sizeof(name), "message.%lu", i);
	if (unlink(name) < 0)
		fail("unlink", name);
}

static int spool(unsigned long count)
{
	unsigned long next = 0;

	for (unsigned long i = 0; i < count; i++) {
		spool_make(i);
		if (i >= SPOOL_FILES)
			spool_remove(i - SPOOL_FILES);
		if (i + 1 < (next + 1) * count / SPOOL_REPORTS)
			continue;
		printf("%lu %lu\n", i + 1, used_kilobytes());
		fflush(stdout);
		next++;
	}
	for (unsigned long i = count > SPOOL_FILES ? count - SPOOL_FILES : 0; i < count; i++)
		spool_remove(i);
	return 0;
}

int main(int argc, char **argv)
{
	bool filling = argc >= 5 && argc <= 6 && strcmp(argv[1], "fill") == 0;

	if (!filling && (argc != 4 || strcmp(argv[1], "spool") != 0)) {
		fprintf(stderr, "usage: churn fill DIRECTORY KIND SEED [CYCLES] | churn spool DIRECTORY COUNT\n");
		return 2;
	}
	if (chdir(argv[2]) < 0)
		fail("directory", argv[2]);
	if (!filling)
		return spool(strtoul(argv[3], NULL, 10));
	return fill(argv[3], strtoull(argv[4], NULL, 10), argc > 5 ? strtoul(argv[5], NULL, 10) : 0);
}
