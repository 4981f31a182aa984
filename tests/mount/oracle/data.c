/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on the data of files */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"
#include "tests/mount/oracle/pick.h"
#include "tests/mount/oracle/watch.h"

#define PAGE 4096

static void say_position(struct actor *actor, const struct actor_file *file)
{
	say(actor, " at");
	say_result(actor, lseek(file->fd, 0, SEEK_CUR));
}

/* --- reading and writing --- */

static void data_read(struct actor *actor)
{
	struct actor_file *file = pick_buffered(actor);
	size_t length = pick_length(actor);

	ssize_t size = read(file->fd, actor->buffer, length);

	say(actor, " +%zu", length);
	if (say_result(actor, size) > 0)
		say_bytes(actor, actor->buffer, (size_t)size);
	say_position(actor, file);
}

static void data_write(struct actor *actor)
{
	struct watch watch;
	struct actor_file *file = pick_buffered(actor);
	size_t length = pick_length(actor);

	th_random_fill(&actor->random, actor->buffer, length);
	watch_file(&watch, file->fd);
	say(actor, " +%zu", length);
	say_result(actor, write(file->fd, actor->buffer, length));
	say_position(actor, file);
	watch_say(actor, &watch);
}

static void data_pread(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	size_t length;
	off_t offset;

	pick_span(actor, file, &offset, &length);
	ssize_t size = pread(file->fd, actor->buffer, length, offset);

	if (say_result(actor, size) > 0)
		say_bytes(actor, actor->buffer, (size_t)size);
}

static void data_pwrite(struct actor *actor)
{
	struct watch watch;
	struct actor_file *file = pick_file(actor);
	size_t length;
	off_t offset;

	pick_span(actor, file, &offset, &length);
	watch_file(&watch, file->fd);
	th_random_fill(&actor->random, actor->buffer, length);
	say_result(actor, pwrite(file->fd, actor->buffer, length, offset));
	watch_say(actor, &watch);
}

/* Cuts the buffer into pieces, some of them empty. */
static int pick_pieces(struct actor *actor, struct iovec *pieces, int most, size_t length)
{
	int count = 1 + (int)below(actor, (unsigned)most);
	size_t at = 0;

	for (int i = 0; i < count; i++) {
		size_t size = i == count - 1 ? length - at : below(actor, (unsigned)(length - at) + 1);

		pieces[i] = (struct iovec){ actor->buffer + at, size };
		at += size;
	}
	say(actor, " in %d", count);
	return count;
}

static void data_readv(struct actor *actor)
{
	struct actor_file *file = pick_buffered(actor);
	size_t length = pick_length(actor);
	struct iovec pieces[8];

	int count = pick_pieces(actor, pieces, 8, length);
	ssize_t size = percent(actor, 50) ? readv(file->fd, pieces, count)
					  : preadv(file->fd, pieces, count, pick_offset(actor));

	say(actor, " +%zu", length);
	if (say_result(actor, size) > 0)
		say_bytes(actor, actor->buffer, (size_t)size);
	say_position(actor, file);
}

static void data_writev(struct actor *actor)
{
	static const int kinds[] = { 0, 0, RWF_APPEND, RWF_DSYNC, RWF_SYNC, RWF_APPEND | RWF_DSYNC };
	struct watch watch;
	int flags = kinds[below(actor, sizeof(kinds) / sizeof(kinds[0]))];
	struct actor_file *file = pick_buffered(actor);
	size_t length = pick_length(actor);
	struct iovec pieces[8];

	int count = pick_pieces(actor, pieces, 8, length);
	off_t offset = percent(actor, 50) ? -1 : pick_offset(actor);

	watch_file(&watch, file->fd);
	th_random_fill(&actor->random, actor->buffer, length);
	say(actor, " @%jd+%zu flags %x", (intmax_t)offset, length, flags);
	say_result(actor, pwritev2(file->fd, pieces, count, offset, flags));
	say_position(actor, file);
	watch_say(actor, &watch);
}

/* --- sizes and holes --- */

static void data_truncate(struct actor *actor)
{
	char path[PLACE_BYTES];
	off_t size = percent(actor, 20) ? 0 : pick_offset(actor);

	pick_path(actor, PICK_FILE, path);
	say(actor, " to %jd", (intmax_t)size);
	say_result(actor, truncate(path, size));
}

static void data_ftruncate(struct actor *actor)
{
	struct watch watch;
	struct actor_file *file = pick_file(actor);
	off_t size = percent(actor, 2) ? -1 : percent(actor, 10) ? 0 : pick_offset(actor);

	watch_file(&watch, file->fd);
	say(actor, " to %jd", (intmax_t)size);
	say_result(actor, ftruncate(file->fd, size));
	watch_say(actor, &watch);
}

static void data_allocate(struct actor *actor)
{
	static const int modes[] = { 0,
				     FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE,
				     0x4000 };
	struct watch watch;
	int mode = modes[below(actor, sizeof(modes) / sizeof(modes[0]))];
	struct actor_file *file = pick_file(actor);
	off_t offset = pick_near_offset(actor);
	off_t length = (off_t)pick_length(actor);

	watch_file(&watch, file->fd);
	say(actor, " mode %x @%jd+%jd", mode, (intmax_t)offset, (intmax_t)length);
	say_result(actor, fallocate(file->fd, mode, offset, length));
	watch_say(actor, &watch);
}

static void data_seek(struct actor *actor)
{
	static const int origins[] = { SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END };
	int origin = origins[below(actor, 4)];
	struct actor_file *file = pick_file(actor);
	off_t offset = origin == SEEK_SET ? pick_offset(actor) : pick_near_offset(actor) - 3000;
	struct stat stat;

	/* The block count of a directory depends on the filesystem. */
	if (!fstat(file->fd, &stat) && S_ISDIR(stat.st_mode))
		offset = 0, origin = SEEK_SET;
	say(actor, " %d %jd", origin, (intmax_t)offset);
	say_result(actor, lseek(file->fd, offset, origin));
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
	return !size || (!bytes[0] && !memcmp(bytes, bytes + 1, size - 1));
}

static void check_hole(struct actor *actor, const struct actor_file *file, off_t from, off_t to)
{
	if (to - from > ACTOR_BUFFER)
		to = from + ACTOR_BUFFER;
	size_t length = file->direct ? ACTOR_BUFFER : (size_t)(to - from);
	ssize_t size = pread(file->fd, actor->buffer, length, from);

	if (size < to - from || !is_zero(actor->buffer, (size_t)(to - from)))
		complain(actor, "there is data in the hole %jd-%jd", (intmax_t)from, (intmax_t)to);
}

/* A filesystem may report holes as data, but a reported hole must read as zeros, the end of the file is a hole, and
 * there is nothing past it. */
static void check_holes(struct actor *actor, const struct actor_file *file, off_t size)
{
	off_t at = 0, data;

	for (unsigned i = 0; i < 100 && at < size; i++) {
		data = lseek(file->fd, at, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			complain(actor, "SEEK_DATA: %m");
		if (data != at)
			check_hole(actor, file, at, data < 0 ? size : data);
		if (data < 0)
			break;
		at = lseek(file->fd, data, SEEK_HOLE);
		if (at <= data || at > size) {
			complain(actor, "the hole after %jd begins at %jd of %jd", (intmax_t)data, (intmax_t)at,
				 (intmax_t)size);
			break;
		}
	}
}

static void data_holes(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	int flags = fcntl(file->fd, F_GETFL);
	off_t offset = pick_offset(actor);
	struct stat stat;

	if (flags < 0 || (flags & O_PATH) || fstat(file->fd, &stat) || !S_ISREG(stat.st_mode)) {
		say(actor, " is not for this");
		return;
	}
	if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_ACCMODE) == O_RDWR)
		check_holes(actor, file, stat.st_size);
	say(actor, " %jd %s %s", (intmax_t)offset, lseek(file->fd, offset, SEEK_HOLE) < 0 ? strerrorname_np(errno) : "",
	    offset >= stat.st_size && lseek(file->fd, offset, SEEK_DATA) < 0 ? strerrorname_np(errno) : "");
	say_result(actor, lseek(file->fd, offset, SEEK_SET));
}

/* --- from file to file --- */

static void data_copy(struct actor *actor)
{
	struct watch watch;
	struct actor_file *from = pick_buffered(actor), *to = pick_buffered(actor);
	off_t from_offset = pick_near_offset(actor), to_offset = pick_offset(actor);
	bool from_position = percent(actor, 30), to_position = percent(actor, 30);
	size_t length = pick_length(actor);

	if (percent(actor, 50))
		to_offset = (to_offset & ~(off_t)(PAGE - 1)) + from_offset % PAGE; /* as blocks can be shared */
	watch_file(&watch, to->fd);
	say(actor, " @%jd @%jd +%zu %d%d", (intmax_t)from_offset, (intmax_t)to_offset, length, from_position,
	    to_position);
	say_result(actor, copy_file_range(from->fd, from_position ? NULL : &from_offset, to->fd,
					  to_position ? NULL : &to_offset, length, 0));
	say(actor, " @%jd @%jd", (intmax_t)from_offset, (intmax_t)to_offset);
	say_position(actor, from);
	say_position(actor, to);
	watch_say(actor, &watch);
}

/* A fifo that was filled without a copy shares the file's pages, and may or may not show later writes to them,
 * depending on the filesystem (splice(2)). */
static bool is_fifo(int fd)
{
	struct stat stat;

	return !fstat(fd, &stat) && S_ISFIFO(stat.st_mode);
}

static void data_sendfile(struct actor *actor)
{
	struct watch watch;
	struct actor_file *from = pick_buffered(actor), *to = pick_buffered(actor);
	off_t offset = pick_near_offset(actor);
	size_t length = pick_length(actor);

	if (is_fifo(to->fd))
		return;
	watch_file(&watch, to->fd);
	say(actor, " @%jd+%zu", (intmax_t)offset, length);
	say_result(actor, sendfile(to->fd, from->fd, percent(actor, 70) ? &offset : NULL, length));
	say(actor, " @%jd", (intmax_t)offset);
	say_position(actor, to);
	watch_say(actor, &watch);
}

/* Moves the data of one call.  Returns false at the end. */
static bool splice_step(struct actor *actor, const int ends[2], const struct actor_file *from, off_t *from_offset,
			const struct actor_file *to, off_t *to_offset, size_t length)
{
	ssize_t in = splice(from->fd, from_offset, ends[1], NULL, length, 0);

	if (in <= 0) {
		say_result(actor, in);
		return false;
	}
	while (in > 0) {
		ssize_t out = splice(ends[0], NULL, to->fd, to_offset, (size_t)in, 0);

		if (out <= 0) {
			say_result(actor, out);
			return false;
		}
		in -= out;
	}
	return true;
}

/* The size of a single step depends on the pages in memory, so only the total is compared. */
static void data_splice(struct actor *actor)
{
	struct watch watch;
	struct actor_file *from = pick_buffered(actor), *to = pick_buffered(actor);
	off_t from_offset = pick_near_offset(actor), to_offset = pick_offset(actor), begin = from_offset;
	size_t length = pick_length(actor);
	struct stat stat;
	int ends[2];

	if (fstat(from->fd, &stat) || !S_ISREG(stat.st_mode) || from == to || is_fifo(to->fd) || pipe2(ends, O_CLOEXEC))
		return;
	watch_file(&watch, to->fd);
	say(actor, " @%jd @%jd +%zu", (intmax_t)from_offset, (intmax_t)to_offset, length);
	while (from_offset < begin + (off_t)length &&
	       splice_step(actor, ends, from, &from_offset, to, &to_offset, length - (size_t)(from_offset - begin))) {
	}
	say(actor, " @%jd", (intmax_t)to_offset);
	watch_say(actor, &watch);
	close(ends[0]);
	close(ends[1]);
}

/* --- in memory --- */

/* Maps the part of the span before the end of the file: touching pages past it is an error. */
static size_t map_span(struct actor *actor, const struct actor_file *file, off_t *ret_start, size_t *ret_skip)
{
	size_t length = 1 + below(actor, percent(actor, 70) ? 3 * PAGE : 60 * PAGE);
	off_t offset = pick_offset(actor);
	struct stat stat;

	if (fstat(file->fd, &stat) || !S_ISREG(stat.st_mode))
		return 0;
	if (stat.st_size && percent(actor, 60))
		offset %= stat.st_size;
	if (offset >= stat.st_size)
		return 0;
	if ((off_t)length > stat.st_size - offset)
		length = (size_t)(stat.st_size - offset);
	*ret_start = offset & ~(off_t)(PAGE - 1);
	*ret_skip = (size_t)(offset - *ret_start);
	return length;
}

static void data_map_read(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	size_t skip, length;
	off_t start;

	length = map_span(actor, file, &start, &skip);
	if (!length)
		return;
	unsigned char *map =
		mmap(NULL, skip + length, PROT_READ, percent(actor, 70) ? MAP_SHARED : MAP_PRIVATE, file->fd, start);

	say(actor, " @%jd+%zu", (intmax_t)start, skip + length);
	if (map == MAP_FAILED) {
		say_result(actor, -1);
		return;
	}
	say_bytes(actor, map, skip + length);
	say_result(actor, munmap(map, skip + length));
}

/* Writes through one mapping are seen by other mappings and by read(). */
static void data_map_write(struct actor *actor)
{
	struct watch watch;
	struct actor_file *file = pick_file(actor);
	size_t skip, length;
	off_t start;

	length = map_span(actor, file, &start, &skip);
	if (!length)
		return;
	unsigned char *map = mmap(NULL, skip + length, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, start);

	say(actor, " @%jd+%zu", (intmax_t)start, skip + length);
	if (map == MAP_FAILED) {
		say_result(actor, -1);
		return;
	}
	watch_file(&watch, file->fd);
	th_random_fill(&actor->random, map + skip, length);
	if (!file->direct && length <= ACTOR_BUFFER) {
		ssize_t size = pread(file->fd, actor->other, length, start + (off_t)skip);

		if (size != (ssize_t)length || memcmp(actor->other, map + skip, length))
			complain(actor, "read() does not return the data written in memory");
	}
	say_result(actor, msync(map, skip + length, MS_SYNC));
	say_result(actor, munmap(map, skip + length));
	watch_say(actor, &watch);
}

const struct operation data_operations[] = {
	{ "read", data_read, 25 },
	{ "write", data_write, 40 },
	{ "pread", data_pread, 30 },
	{ "pwrite", data_pwrite, 45 },
	{ "readv", data_readv, 8 },
	{ "writev", data_writev, 20 },
	{ "truncate", data_truncate, 15 },
	{ "ftruncate", data_ftruncate, 20 },
	{ "allocate", data_allocate, 20 },
	{ "seek", data_seek, 12 },
	{ "holes", data_holes, 10 },
	{ "copy", data_copy, 18 },
	{ "sendfile", data_sendfile, 8 },
	{ "splice", data_splice, 8 },
	{ "map read", data_map_read, 12 },
	{ "map write", data_map_write, 15 },
	{ NULL, NULL, 0 },
};
