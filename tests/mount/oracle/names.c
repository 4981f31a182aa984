/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names: create, link, rename, remove, list */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"
#include "tests/mount/oracle/pick.h"
#include "tests/mount/oracle/watch.h"

/* Writes the file that a path leads to. */
static void say_place(struct actor *actor, const struct place *place)
{
	struct stat stat;

	if (fstatat(place->dir, place->path, &stat, AT_SYMLINK_NOFOLLOW))
		say_result(actor, -1);
	else
		say_stat(actor, &stat);
}

static void name_mkdir(struct actor *actor)
{
	struct place place;
	struct watch parent;

	pick_place(actor, PICK_DIRECTORY, &place);
	watch_parent(&parent, &place);
	if (say_result(actor, mkdirat(place.dir, place.path, pick_mode(actor))) == 0)
		say_place(actor, &place);
	watch_say(actor, &parent);
}

/* The removed file is watched only sometimes, because a watch keeps its inode in use. */
static void name_remove(struct actor *actor, enum pick_kind kind, int flags)
{
	struct watch parent, removed = { .fd = -1 };
	struct place place;

	pick_place(actor, kind, &place);
	watch_parent(&parent, &place);
	if (percent(actor, 40))
		watch_place(&removed, &place, AT_SYMLINK_NOFOLLOW);
	say_result(actor, unlinkat(place.dir, place.path, flags));
	watch_say(actor, &parent);
	watch_say(actor, &removed);
}

static void name_rmdir(struct actor *actor)
{
	name_remove(actor, PICK_DIRECTORY, AT_REMOVEDIR);
}

static void name_unlink(struct actor *actor)
{
	name_remove(actor, PICK_FILE, 0);
}

static void name_rename(struct actor *actor)
{
	static const unsigned kinds[] = { RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE,
					  RENAME_EXCHANGE | RENAME_NOREPLACE };
	unsigned flags = percent(actor, 65) ? 0 : kinds[below(actor, sizeof(kinds) / sizeof(kinds[0]))];
	enum pick_kind kind = percent(actor, 40) ? PICK_FILE : percent(actor, 50) ? PICK_DIRECTORY : PICK_ANY;
	struct watch parents[2], moved, replaced = { .fd = -1 };
	struct place from, to;

	pick_place(actor, kind, &from);
	pick_place(actor, kind, &to);
	watch_parent(&parents[0], &from);
	watch_parent(&parents[1], &to);
	watch_place(&moved, &from, AT_SYMLINK_NOFOLLOW);
	if (percent(actor, 40))
		watch_place(&replaced, &to, AT_SYMLINK_NOFOLLOW);
	say(actor, " flags %u", flags);
	say_result(actor, renameat2(from.dir, from.path, to.dir, to.path, flags));
	watch_say(actor, &parents[0]);
	watch_say(actor, &parents[1]);
	watch_say(actor, &moved);
	watch_say(actor, &replaced);
}

static void name_link(struct actor *actor)
{
	int flags = percent(actor, 20) ? AT_SYMLINK_FOLLOW : 0;
	struct watch parent, linked;
	struct place from, to;

	pick_place(actor, PICK_FILE, &from);
	pick_place(actor, PICK_FILE, &to);
	watch_parent(&parent, &to);
	watch_place(&linked, &from, flags ? 0 : AT_SYMLINK_NOFOLLOW);
	say(actor, flags ? " followed" : "");
	say_result(actor, linkat(from.dir, from.path, to.dir, to.path, flags));
	watch_say(actor, &parent);
	watch_say(actor, &linked);
}

/* A file without names can be linked only if it was created without one. */
static void name_link_open(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	struct place to;
	char number[16];

	pick_place(actor, PICK_FILE, &to);
	snprintf(number, sizeof(number), "%d", file->fd);
	if (say_result(actor, linkat(actor->descriptors, number, to.dir, to.path, AT_SYMLINK_FOLLOW)) == 0)
		say_place(actor, &to);
}

static void name_symlink(struct actor *actor)
{
	static char target[5000];
	struct watch parent;
	struct place place;

	if (percent(actor, 10)) {
		size_t size = percent(actor, 50) ? 4095 : below(actor, 4098);

		memset(target, 'x', size);
		target[size] = 0;
		say(actor, " %zu bytes", size);
	} else {
		pick_path(actor, percent(actor, 50) ? PICK_FILE : PICK_DIRECTORY, target);
	}
	pick_place(actor, PICK_FILE, &place);
	watch_parent(&parent, &place);
	if (say_result(actor, symlinkat(target, place.dir, place.path)) == 0)
		say_place(actor, &place);
	watch_say(actor, &parent);
}

static void name_readlink(struct actor *actor)
{
	struct place place;

	pick_place(actor, PICK_ANY, &place);
	ssize_t size = readlinkat(place.dir, place.path, (char *)actor->buffer, percent(actor, 90) ? ACTOR_BUFFER : 3);

	if (say_result(actor, size) > 0)
		say_bytes(actor, actor->buffer, (size_t)size);
}

static void name_mknod(struct actor *actor)
{
	static const struct {
		mode_t type;
		unsigned major, minor;
	} kinds[] = {
		{ S_IFIFO, 0, 0 }, { S_IFIFO, 0, 0 }, { S_IFSOCK, 0, 0 },        { S_IFCHR, 1, 3 },
		{ S_IFREG, 0, 0 }, { 0, 0, 0 },       { S_IFBLK, 259, 0xfffff }, { S_IFCHR, 0xfff, 0xfffff },
	};
	unsigned kind = below(actor, sizeof(kinds) / sizeof(kinds[0]));
	struct watch parent;
	struct place place;

	pick_place(actor, PICK_FILE, &place);
	say(actor, " %o", kinds[kind].type);
	mode_t mode = kinds[kind].type | pick_mode(actor);
	dev_t device = makedev(kinds[kind].major, kinds[kind].minor);

	watch_parent(&parent, &place);
	if (say_result(actor, mknodat(place.dir, place.path, mode, device)) == 0)
		say_place(actor, &place);
	watch_say(actor, &parent);
}

static void name_chdir(struct actor *actor)
{
	char path[PLACE_BYTES];

	if (percent(actor, 20)) {
		say_result(actor, fchdir(pick_file(actor)->fd));
		return;
	}
	/* Leaves a removed directory after a while. */
	if (percent(actor, 30)) {
		say_result(actor, chdir("/"));
		return;
	}
	pick_path(actor, PICK_DIRECTORY, path);
	say_result(actor, chdir(path));
}

/* Writes the paths of the working directory and of an open file from the kernel. */
static void name_where(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);
	char path[4097] = "", number[16];

	say(actor, " ");
	if (syscall(SYS_getcwd, path, sizeof(path) - 1) < 0)
		say_result(actor, -1);
	else
		say_path(actor, path);
	if (file->fd < 0 || file->nameless)
		return;
	snprintf(number, sizeof(number), "%d", file->fd);
	ssize_t size = readlinkat(actor->descriptors, number, path, sizeof(path) - 1);

	path[size < 0 ? 0 : size] = 0;
	if (say_result(actor, size) > 0) {
		say(actor, " ");
		say_path(actor, path);
	}
}

static void name_umask(struct actor *actor)
{
	static const mode_t masks[] = { 0, 0, 0, 022, 022, 027, 0707, 077 };

	say_result(actor, umask(masks[below(actor, sizeof(masks) / sizeof(masks[0]))]));
}

/* --- listing --- */

struct listing {
	char *names[4000];
	off_t after[4000]; /* the position after the name */
	size_t count;
};

static void listing_release(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		free(listing->names[i]);
	listing->count = 0;
}

static int listing_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds an entry: its type, then its name.  Its listed number must be that of the inode. */
static void listing_add(struct actor *actor, struct listing *listing, int fd, const struct dirent *entry)
{
	struct stat stat;
	char *name;

	if (listing->count == sizeof(listing->names) / sizeof(listing->names[0]) ||
	    asprintf(&name, "%d%s", entry->d_type, entry->d_name) < 0) {
		complain(actor, "too many names");
		return;
	}
	listing->after[listing->count] = entry->d_off;
	listing->names[listing->count++] = name;
	if (!strcmp(entry->d_name, ".."))
		return; /* the directory may have been removed; ".." of the root is outside */
	if (!fstatat(fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) &&
	    (stat.st_ino != entry->d_ino || IFTODT(stat.st_mode) != entry->d_type))
		complain(actor, "%s is listed as another inode", entry->d_name);
}

/* Reads with a small buffer, so that changes can happen in between.  limit: number of calls. */
static void listing_read(struct actor *actor, struct listing *listing, int fd, unsigned limit)
{
	alignas(struct dirent) char bytes[512];
	ssize_t size = 1;

	while (limit-- && (size = getdents64(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < size; at += ((struct dirent *)(bytes + at))->d_reclen)
			listing_add(actor, listing, fd, (struct dirent *)(bytes + at));
	}
	if (size < 0)
		say_result(actor, -1);
}

static void listing_say(struct actor *actor, struct listing *listing)
{
	qsort(listing->names, listing->count, sizeof(listing->names[0]), listing_compare);
	say(actor, " {");
	for (size_t i = 0; i < listing->count; i++) {
		say(actor, " ");
		say_path(actor, listing->names[i]);
	}
	say(actor, " }");
}

static int open_listing(struct actor *actor)
{
	struct place place;

	pick_place(actor, PICK_DIRECTORY, &place);
	int fd = openat(place.dir, place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		say_result(actor, -1);
	return fd;
}

/* From the position after any name the same names follow as before. */
static void check_position(struct actor *actor, const struct listing *listing, int fd)
{
	static struct listing rest;
	size_t from = below(actor, (unsigned)listing->count);

	lseek(fd, listing->after[from], SEEK_SET);
	listing_read(actor, &rest, fd, -1u);
	if (rest.count != listing->count - from - 1)
		complain(actor, "%zu names after that of %zu of %zu", rest.count, from, listing->count);
	for (size_t i = 0; i < rest.count && from + i + 1 < listing->count; i++) {
		if (strcmp(rest.names[i], listing->names[from + i + 1]))
			complain(actor, "%s in the place of %s", rest.names[i], listing->names[from + i + 1]);
	}
	listing_release(&rest);
}

static void name_list(struct actor *actor)
{
	static struct listing listing;
	int fd = open_listing(actor);

	if (fd < 0)
		return;
	listing_read(actor, &listing, fd, -1u);
	if (listing.count)
		check_position(actor, &listing, fd);
	listing_say(actor, &listing);
	listing_release(&listing);
	close(fd);
}

/* Creates or removes some names in the directory. */
static void change_names(struct actor *actor, int fd, unsigned count)
{
	bool make = percent(actor, 50);
	char name[300];

	for (unsigned i = 0; i < count; i++) {
		pick_name(actor, PICK_FILE, name);
		say_result(actor, make ? mknodat(fd, name, S_IFREG | 0666, 0) : unlinkat(fd, name, 0));
	}
}

static unsigned times_listed(const struct listing *listing, const char *name)
{
	unsigned times = 0;

	for (size_t i = 0; i < listing->count; i++)
		times += !strcmp(listing->names[i], name);
	return times;
}

/* A name that stays is listed once, however the directory changes during the listing; one that is added or removed may
 * be listed or not. */
static void name_list_changing(struct actor *actor)
{
	static struct listing before, during, after;
	int fd = open_listing(actor);

	if (fd < 0)
		return;
	listing_read(actor, &before, fd, -1u);
	lseek(fd, 0, SEEK_SET);
	listing_read(actor, &during, fd, 1 + below(actor, 3));
	change_names(actor, fd, 1 + below(actor, 6));
	listing_read(actor, &during, fd, -1u);
	lseek(fd, 0, SEEK_SET);
	listing_read(actor, &after, fd, -1u);
	for (size_t i = 0; i < before.count; i++) {
		unsigned times = times_listed(&during, before.names[i]);

		if (times_listed(&after, before.names[i]) == 1 && times != 1)
			complain(actor, "%s was listed %u times", before.names[i], times);
	}
	listing_say(actor, &after);
	listing_release(&before);
	listing_release(&during);
	listing_release(&after);
	close(fd);
}

const struct operation name_operations[] = {
	{ "mkdir", name_mkdir, 40 },
	{ "rmdir", name_rmdir, 16 },
	{ "unlink", name_unlink, 45 },
	{ "rename", name_rename, 50 },
	{ "link", name_link, 25 },
	{ "link open", name_link_open, 10 },
	{ "symlink", name_symlink, 12 },
	{ "readlink", name_readlink, 5 },
	{ "mknod", name_mknod, 12 },
	{ "chdir", name_chdir, 5 },
	{ "where", name_where, 8 },
	{ "umask", name_umask, 2 },
	{ "list", name_list, 15 },
	{ "list changing", name_list_changing, 6 },
	{ NULL, NULL, 0 },
};
