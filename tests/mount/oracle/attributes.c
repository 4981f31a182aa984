/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on mode, owner, times, flags and extended attributes */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"
#include "tests/mount/oracle/pick.h"
#include "tests/mount/oracle/watch.h"

static void say_place(struct actor *actor, const struct place *place, int flags)
{
	struct stat stat;

	if (fstatat(place->dir, place->path, &stat, flags))
		say_result(actor, -1);
	else
		say_stat(actor, &stat);
}

static void attribute_stat(struct actor *actor)
{
	struct place place;

	pick_place(actor, PICK_ANY, &place);
	say_place(actor, &place, percent(actor, 50) ? AT_SYMLINK_NOFOLLOW : 0);
}

/* A change of an inode.  Its times are watched, because ctime moves even if the change has no effect. */
struct change {
	struct place place;
	struct actor_file *file; /* NULL: by name */
	int flags; /* for the calls that take names */
	struct watch watch;
};

static void change_begin(struct actor *actor, struct change *change)
{
	change->file = percent(actor, 35) ? pick_file(actor) : NULL;
	change->flags = percent(actor, 15) ? AT_SYMLINK_NOFOLLOW : 0;
	if (!change->file)
		pick_place(actor, PICK_ANY, &change->place);
	say(actor, change->flags ? " not followed" : "");
	if (change->file)
		watch_file(&change->watch, change->file->fd);
	else
		watch_place(&change->watch, &change->place, change->flags);
}

static void change_end(struct actor *actor, struct change *change, int result)
{
	say_result(actor, result);
	watch_say(actor, &change->watch);
}

static void attribute_mode(struct actor *actor)
{
	struct change change;

	change_begin(actor, &change);
	mode_t mode = pick_mode(actor);

	change_end(actor, &change,
		   change.file ? fchmod(change.file->fd, mode)
			       : fchmodat(change.place.dir, change.place.path, mode, 0));
}

static void attribute_owner(struct actor *actor)
{
	static const uid_t ids[] = { 0, 1001, 1001, 1002, 1003, (uid_t)-1, (uid_t)-1 };
	uid_t uid = ids[below(actor, 7)];
	gid_t gid = ids[below(actor, 7)];
	struct change change;

	/* chown() of an executable with set-id bits to no new owner or group: ext4 refuses it to users other than
	 * the owner.  A FUSE daemon cannot distinguish it from the clearing of these bits before a write, and accepts
	 * it. */
	if (geteuid() && uid == (uid_t)-1 && gid == (gid_t)-1)
		uid = geteuid();
	change_begin(actor, &change);
	say(actor, " to %d:%d", (int)uid, (int)gid);
	change_end(actor, &change,
		   change.file ? fchown(change.file->fd, uid, gid)
			       : fchownat(change.place.dir, change.place.path, uid, gid, change.flags));
}

static void attribute_times(struct actor *actor)
{
	struct timespec times[2];
	struct change change;

	change_begin(actor, &change);
	for (unsigned i = 0; i < 2; i++) {
		unsigned kind = below(actor, 10);

		times[i] = pick_time(actor);
		if (kind < 4)
			times[i].tv_nsec = kind < 2 ? UTIME_NOW : UTIME_OMIT;
		if (kind == 4 && percent(actor, 10))
			times[i].tv_nsec = 1000000000;
		say(actor, " %jd.%09ld", (intmax_t)times[i].tv_sec, times[i].tv_nsec);
	}
	change_end(actor, &change,
		   change.file ? futimens(change.file->fd, times)
			       : utimensat(change.place.dir, change.place.path, times, change.flags));
}

/* Flags of chattr(1) that both sides keep.  Without append-only and immutable: the kernel enforces them early for other
 * filesystems and leaves them to the daemon for FUSE, so that the errors may differ. */
#define FLAGS (FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL)

static int change_flags(struct actor *actor, int fd, int to)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return -1;
	say(actor, " from %x to %x", flags & FLAGS, to);
	flags = (flags & ~FLAGS) | to;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static void attribute_flags(struct actor *actor)
{
	static const int kinds[] = { 0, FS_NODUMP_FL, FS_SYNC_FL | FS_NOATIME_FL };
	int to = kinds[below(actor, sizeof(kinds) / sizeof(kinds[0]))], fd;
	struct change change;

	change_begin(actor, &change);
	if (change.file) {
		change_end(actor, &change, change_flags(actor, change.file->fd, to));
		return;
	}
	fd = openat(change.place.dir, change.place.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	change_end(actor, &change, fd < 0 ? -1 : change_flags(actor, fd, to));
	if (fd >= 0)
		close(fd);
}

/* --- extended attributes --- */

#define VALUE_MAX 65536

static void pick_attribute(struct actor *actor, char name[300])
{
	static const char *const names[] = { "user.a",      "user.a",      "user.a",    "user.b",     "user.b",
					     "user.c",      "trusted.a",   "trusted.b", "security.a", "user.",
					     "system.none", "other.none",  "user.*249", "user.*250",  "user.*251",
					     "user.d",      "trusted.*200" };
	const char *picked = names[below(actor, sizeof(names) / sizeof(names[0]))], *star = strchr(picked, '*');

	strcpy(name, picked);
	if (star) { /* this many letters */
		size_t count = strtoul(star + 1, NULL, 10);

		memset(name + (star - picked), 'x', count);
		name[star - picked + (ptrdiff_t)count] = 0;
	}
	say(actor, " %s", picked);
}

/* The file: by name, with or without following symlinks, or open */
struct holder {
	struct actor_file *file;
	char path[PLACE_BYTES];
	bool follow;
};

static void pick_holder(struct actor *actor, struct holder *ret)
{
	ret->file = percent(actor, 35) ? pick_file(actor) : NULL;
	ret->follow = percent(actor, 60);
	if (!ret->file)
		pick_path(actor, PICK_ANY, ret->path);
	say(actor, ret->follow ? "" : " not followed");
}

static void attribute_set(struct actor *actor)
{
	static const int kinds[] = { 0, 0, 0, 0, XATTR_CREATE, XATTR_REPLACE, XATTR_CREATE | XATTR_REPLACE };
	int flags = kinds[below(actor, sizeof(kinds) / sizeof(kinds[0]))];
	unsigned kind = below(actor, 100);
	/* All small values fit into ext4's one block; it stores large ones elsewhere. */
	unsigned size = kind < 10   ? 0
			: kind < 97 ? 1 + below(actor, kind < 70 ? 100 : 300)
				    : VALUE_MAX - below(actor, VALUE_MAX - 5000);
	struct holder holder;
	char name[300];
	int result;

	pick_holder(actor, &holder);
	pick_attribute(actor, name);
	th_random_fill(&actor->random, actor->buffer, size);
	if (holder.file)
		result = fsetxattr(holder.file->fd, name, actor->buffer, size, flags);
	else
		result = (holder.follow ? setxattr : lsetxattr)(holder.path, name, actor->buffer, size, flags);
	say(actor, " +%u %x", size, flags);
	say_result(actor, result);
}

static void attribute_get(struct actor *actor)
{
	static const size_t sizes[] = { VALUE_MAX, VALUE_MAX, VALUE_MAX, 0, 10, 100 };
	size_t size = sizes[below(actor, sizeof(sizes) / sizeof(sizes[0]))];
	struct holder holder;
	ssize_t result;
	char name[300];

	pick_holder(actor, &holder);
	pick_attribute(actor, name);
	if (holder.file)
		result = fgetxattr(holder.file->fd, name, actor->buffer, size);
	else
		result = (holder.follow ? getxattr : lgetxattr)(holder.path, name, actor->buffer, size);
	say(actor, " +%zu", size);
	if (say_result(actor, result) > 0 && size)
		say_bytes(actor, actor->buffer, (size_t)result);
}

static void attribute_remove(struct actor *actor)
{
	struct holder holder;
	char name[300];

	pick_holder(actor, &holder);
	pick_attribute(actor, name);
	if (holder.file)
		say_result(actor, fremovexattr(holder.file->fd, name));
	else
		say_result(actor, (holder.follow ? removexattr : lremovexattr)(holder.path, name));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Writes a list without regard to its order. */
static void say_list(struct actor *actor, const char *list, size_t size)
{
	const char *names[64];
	size_t count = 0;

	for (size_t at = 0; at < size && count < 64; at += strlen(list + at) + 1)
		names[count++] = list + at;
	qsort(names, count, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < count; i++)
		say(actor, " %.12s..%zu", names[i], strlen(names[i]));
}

static void attribute_list(struct actor *actor)
{
	static const size_t sizes[] = { VALUE_MAX, VALUE_MAX, 0, 10 };
	size_t size = sizes[below(actor, sizeof(sizes) / sizeof(sizes[0]))];
	struct holder holder;
	ssize_t result;

	pick_holder(actor, &holder);
	if (holder.file)
		result = flistxattr(holder.file->fd, (char *)actor->buffer, size);
	else
		result = (holder.follow ? listxattr : llistxattr)(holder.path, (char *)actor->buffer, size);
	say(actor, " +%zu", size);
	if (say_result(actor, result) > 0 && size)
		say_list(actor, (const char *)actor->buffer, (size_t)result);
}

const struct operation attribute_operations[] = {
	{ "stat", attribute_stat, 30 },
	{ "mode", attribute_mode, 28 },
	{ "owner", attribute_owner, 22 },
	{ "times", attribute_times, 20 },
	{ "chattr", attribute_flags, 6 },
	{ "set attribute", attribute_set, 25 },
	{ "get attribute", attribute_get, 15 },
	{ "remove attribute", attribute_remove, 10 },
	{ "list attributes", attribute_list, 10 },
	{ NULL, NULL, 0 },
};
