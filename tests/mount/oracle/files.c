/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files: open, close, lock, sync, stat */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"
#include "tests/mount/oracle/pick.h"
#include "tests/mount/oracle/watch.h"

/* Puts the file into a free slot of the table or, if there is none, into a random one, and closes the file there. */
static void keep(struct actor *actor, int fd, int flags, bool nameless)
{
	struct actor_file *file = &actor->files[below(actor, ACTOR_FILES)];

	for (unsigned i = 0; i < ACTOR_FILES && file->fd >= 0; i++)
		file = &actor->files[(file - actor->files + 1) % ACTOR_FILES];
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct actor_file){ fd, flags & O_DIRECT, nameless };
	say(actor, " as fd%td", file - actor->files);
	say_file(actor, fd);
}

/* Never blocks on the other end of a fifo. */
static int pick_flags(struct actor *actor)
{
	static const int access[] = { O_RDONLY, O_RDONLY, O_RDWR, O_RDWR, O_RDWR, O_WRONLY, O_ACCMODE };
	static const struct {
		int flag;
		unsigned percent;
	} others[] = {
		{ O_CREAT, 55 },   { O_EXCL, 12 }, { O_TRUNC, 10 },  { O_APPEND, 10 }, { O_DIRECTORY, 6 },
		{ O_NOFOLLOW, 8 }, { O_PATH, 4 },  { O_NOATIME, 3 }, { O_SYNC, 2 },    { O_DSYNC, 2 },
	};
	int flags = access[below(actor, percent(actor, 3) ? 7 : 6)] | O_NONBLOCK | O_CLOEXEC;
	unsigned direct = 0;

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (percent(actor, others[i].percent))
			flags |= others[i].flag;
	}
	/* Appending is rarely aligned, and one such file is enough. */
	for (unsigned i = 0; i < ACTOR_FILES; i++)
		direct += actor->files[i].direct;
	if (!(flags & O_APPEND) && !direct && percent(actor, 10))
		flags |= O_DIRECT;
	say(actor, " flags %x", flags);
	return flags;
}

static void file_open(struct actor *actor)
{
	int flags = pick_flags(actor);
	struct watch parent, opened;
	struct place place;

	pick_place(actor, PICK_FILE, &place);
	watch_parent(&parent, &place);
	watch_place(&opened, &place, 0);
	int fd = openat(place.dir, place.path, flags, pick_mode(actor));

	if (fd < 0)
		say_result(actor, fd);
	else
		keep(actor, fd, flags, false);
	watch_say(actor, &parent);
	watch_say(actor, &opened);
}

static void file_tmpfile(struct actor *actor)
{
	int flags =
		O_TMPFILE | O_CLOEXEC | (percent(actor, 80) ? O_RDWR : O_WRONLY) | (percent(actor, 15) ? O_EXCL : 0);
	struct place place;

	if (!(actor->features & ACTOR_TMPFILE)) {
		say(actor, " is not for these");
		return;
	}
	pick_place(actor, PICK_DIRECTORY, &place);
	say(actor, " flags %x", flags);
	int fd = openat(place.dir, place.path, flags, pick_mode(actor));

	if (fd < 0)
		say_result(actor, fd);
	else
		keep(actor, fd, flags, true);
}

/* Opens the same inode again through /proc, whether it has a name or not. */
static void file_reopen(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	int flags = pick_flags(actor) & ~(O_CREAT | O_EXCL | O_NOFOLLOW);
	char number[16];

	snprintf(number, sizeof(number), "%d", file->fd);
	int fd = openat(actor->descriptors, number, flags);

	if (fd < 0)
		say_result(actor, fd);
	else
		keep(actor, fd, flags, file->nameless);
}

static struct actor_handle *pick_handle(struct actor *actor)
{
	unsigned at = below(actor, ACTOR_HANDLES);

	say(actor, " handle%u", at);
	return &actor->handles[at];
}

static void file_handle(struct actor *actor)
{
	struct actor_handle *handle = pick_handle(actor);
	struct place place;
	int mount;

	pick_place(actor, PICK_ANY, &place);
	handle->handle.handle_bytes = MAX_HANDLE_SZ;
	if (say_result(actor, name_to_handle_at(place.dir, place.path, &handle->handle, &mount,
						percent(actor, 50) ? AT_SYMLINK_FOLLOW : 0)))
		handle->handle.handle_bytes = 0;
}

static void file_open_handle(struct actor *actor)
{
	struct actor_handle *handle = pick_handle(actor);
	int flags = pick_flags(actor) & ~(O_CREAT | O_EXCL), root;

	if (!handle->handle.handle_bytes)
		return;
	root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = open_by_handle_at(root, &handle->handle, flags);

	if (fd < 0)
		say_result(actor, fd);
	else
		keep(actor, fd, flags, true);
	close(root);
}

static void file_close(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);

	say_result(actor, close(file->fd));
	*file = (struct actor_file){ .fd = -1 };
}

static void file_stat(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	struct stat by_path;
	char number[16];

	say_file(actor, file->fd);
	snprintf(number, sizeof(number), "%d", file->fd);
	if (fstatat(actor->descriptors, number, &by_path, 0))
		say_result(actor, -1);
	else
		say_stat(actor, &by_path);
}

/* Compares the file that a name leads to with the open file. */
static void file_same(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	struct stat open, named;
	struct place place;

	pick_place(actor, PICK_FILE, &place);
	if (fstat(file->fd, &open) || fstatat(place.dir, place.path, &named, 0))
		say_result(actor, -1);
	else
		say(actor, open.st_ino == named.st_ino ? " same" : " other");
}

static void file_sync(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	unsigned how = below(actor, 20);

	if (how < 10)
		say_result(actor, fsync(file->fd));
	else if (how < 18)
		say_result(actor, fdatasync(file->fd));
	else if (how < 19)
		say_result(actor, sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	else
		say_result(actor, syncfs(file->fd));
}

/* Drops the file's clean pages from the kernel's cache, so that they are read again. */
static void file_forget(struct actor *actor)
{
	say_result(actor, posix_fadvise(pick_file(actor)->fd, 0, 0, POSIX_FADV_DONTNEED));
}

static void file_flags(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	int flags = fcntl(file->fd, F_GETFL);

	if (flags < 0 || file->direct || (flags & O_PATH))
		return;
	say(actor, " %x", flags);
	say_result(actor, fcntl(file->fd, F_SETFL, flags ^ O_APPEND));
}

static void file_lock(struct actor *actor)
{
	static const int kinds[] = { LOCK_SH, LOCK_EX, LOCK_UN };
	static const short ranges[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	struct actor_file *file = pick_file(actor);
	unsigned kind = below(actor, 3);

	if (percent(actor, 50)) {
		say(actor, " whole %u", kind);
		say_result(actor, flock(file->fd, kinds[kind] | LOCK_NB));
		return;
	}
	struct flock lock = { .l_type = ranges[kind], .l_start = below(actor, 10), .l_len = below(actor, 10) };

	say(actor, " %u %jd+%jd", kind, (intmax_t)lock.l_start, (intmax_t)lock.l_len);
	say_result(actor, fcntl(file->fd, F_OFD_SETLK, &lock));
	lock.l_type = F_WRLCK;
	lock.l_pid = 0;
	if (say_result(actor, fcntl(file->fd, F_OFD_GETLK, &lock)) == 0)
		say(actor, " %d %jd+%jd", lock.l_type, (intmax_t)lock.l_start, (intmax_t)lock.l_len);
}

/* The numbers differ between filesystems, but must be consistent. */
static void file_statfs(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	struct statvfs stat;

	if (say_result(actor, fstatvfs(file->fd, &stat)))
		return;
	if (stat.f_namemax != 255 || !stat.f_bsize || !stat.f_frsize || !stat.f_blocks ||
	    stat.f_bfree > stat.f_blocks || stat.f_bavail > stat.f_bfree || stat.f_ffree > stat.f_files)
		complain(actor, "names %lu blocks of %lu, %ju %ju %ju files %ju %ju", stat.f_namemax, stat.f_frsize,
			 (uintmax_t)stat.f_blocks, (uintmax_t)stat.f_bfree, (uintmax_t)stat.f_bavail,
			 (uintmax_t)stat.f_files, (uintmax_t)stat.f_ffree);
}

const struct operation file_operations[] = {
	{ "open", file_open, 100 },
	{ "tmpfile", file_tmpfile, 10 },
	{ "reopen", file_reopen, 12 },
	{ "handle", file_handle, 10 },
	{ "open handle", file_open_handle, 12 },
	{ "close", file_close, 14 },
	{ "stat open", file_stat, 15 },
	{ "same", file_same, 8 },
	{ "sync", file_sync, 12 },
	{ "forget", file_forget, 15 },
	{ "flags", file_flags, 4 },
	{ "lock", file_lock, 12 },
	{ "statfs", file_statfs, 2 },
	{ NULL, NULL, 0 },
};
