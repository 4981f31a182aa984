/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/oracle/watch.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* True if a change now may get the time `time`, because the clock has not advanced since.  A time further in the future
 * was set by utimensat(). */
static bool in_this_tick(struct timespec time, struct timespec now)
{
	return (time.tv_sec == now.tv_sec && time.tv_nsec >= now.tv_nsec) || time.tv_sec == now.tv_sec + 1;
}

/* Two changes within a tick of the kernel's coarse clock, some milliseconds, may get the same time, so that the second
 * one moves none; kernels from 6.13 on avoid that for some filesystems.  Waits for the next tick, so that the result
 * does not depend on the speed of the machine. */
static void wait_for_tick(const struct stat *stat)
{
	struct timespec now;

	while (!clock_gettime(CLOCK_REALTIME_COARSE, &now) &&
	       (in_this_tick(stat->st_mtim, now) || in_this_tick(stat->st_ctim, now)))
		usleep(500);
}

void watch_file(struct watch *watch, int fd)
{
	*watch = (struct watch){ .fd = fd };
	watch->known = !fstat(fd, &watch->before);
	if (watch->known)
		wait_for_tick(&watch->before);
}

static void watch_path(struct watch *watch, int dir, const char *path, int flags)
{
	watch_file(watch, openat(dir, path, flags | O_PATH | O_CLOEXEC));
	watch->own = watch->fd >= 0;
}

void watch_parent(struct watch *watch, const struct place *place)
{
	char path[PLACE_BYTES];
	char *slash = strrchr(strcpy(path, place->path), '/');

	if (slash)
		slash[1] = 0;
	watch_path(watch, place->dir, slash ? path : ".", O_DIRECTORY);
}

void watch_place(struct watch *watch, const struct place *place, int flags)
{
	watch_path(watch, place->dir, place->path, flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
}

static void say_moved(struct actor *actor, char which, struct timespec before, struct timespec after)
{
	if (before.tv_sec != after.tv_sec || before.tv_nsec != after.tv_nsec)
		say(actor, " %c moved", which);
}

void watch_say(struct actor *actor, struct watch *watch)
{
	struct stat after;

	if (watch->known && fstat(watch->fd, &after)) {
		complain(actor, "the watched file is gone: %m");
	} else if (watch->known) {
		say_stat(actor, &after);
		/* The times of a fifo are not compared: see say_stat. */
		if (!S_ISFIFO(after.st_mode)) {
			say_moved(actor, 'm', watch->before.st_mtim, after.st_mtim);
			say_moved(actor, 'c', watch->before.st_ctim, after.st_ctim);
		}
	}
	if (watch->own)
		close(watch->fd);
}
