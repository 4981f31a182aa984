/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of names: links, directories, renames, inotify */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/mount/posix.h"

#define LINKS 66000 /* more than ext4 has */
#define LEVELS 4096
#define ENTRIES 500

static void make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	must(fd >= 0);
	close(fd);
}

static ino_t number_of(const char *name)
{
	struct stat status;

	must(!lstat(name, &status));
	return status.st_ino;
}

static void probe_names(void)
{
	char name[257];
	DIR *dir;
	unsigned seen = 0;

	must(!mkdir("names", 0755) && !chdir("names"));
	for (unsigned byte = 1; byte < 256; byte++) {
		if (byte == '/')
			continue;
		memset(name, (int)byte, 255);
		name[255] = 0;
		make_file(name);
	}
	memset(name, 'n', 256);
	name[256] = 0;
	must_fail(ENAMETOOLONG, open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	dir = opendir(".");
	must(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[1] == '.' || !entry->d_name[1])
			continue;
		must(strlen(entry->d_name) == 255 && number_of(entry->d_name) == entry->d_ino);
		seen++;
	}
	must(seen == 253); /* not '/', and 255 dots are skipped with . and .. */
	closedir(dir);
	must(!chdir(".."));
}

static void probe_symlinks(void)
{
	static const size_t sizes[] = { 1, 255, 1024, 4094, 4095 };
	char target[4097], found[4097], name[32];

	memset(target, 't', sizeof(target));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "symlink.%zu", sizes[i]);
		target[sizes[i]] = 0;
		must(!symlink(target, name));
		must(readlink(name, found, sizeof(found)) == (ssize_t)sizes[i] && !memcmp(found, target, sizes[i]));
		target[sizes[i]] = 't';
	}
	target[4096] = 0;
	must_fail(ENAMETOOLONG, symlink(target, "symlink.4096"));
	must_fail(ENOENT, symlink("", "symlink.0"));
}

static void probe_renameat2(void)
{
	struct stat status;
	ino_t a, b;

	make_file("rename.a");
	make_file("rename.b");
	must(!mkdir("rename.d", 0755) && !mkdir("rename.d/below", 0755));
	a = number_of("rename.a");
	b = number_of("rename.b");
	must_fail(EEXIST, renameat2(AT_FDCWD, "rename.a", AT_FDCWD, "rename.b", RENAME_NOREPLACE));
	must(!renameat2(AT_FDCWD, "rename.a", AT_FDCWD, "rename.c", RENAME_NOREPLACE));
	must(number_of("rename.c") == a);
	must(!renameat2(AT_FDCWD, "rename.c", AT_FDCWD, "rename.b", RENAME_EXCHANGE));
	must(number_of("rename.b") == a && number_of("rename.c") == b);
	must(!renameat2(AT_FDCWD, "rename.b", AT_FDCWD, "rename.d", RENAME_EXCHANGE));
	must(number_of("rename.d") == a && !access("rename.b/below", F_OK));
	must_fail(ENOENT, renameat2(AT_FDCWD, "rename.b", AT_FDCWD, "rename.none", RENAME_EXCHANGE));
	must_fail(EINVAL, renameat2(AT_FDCWD, "rename.b", AT_FDCWD, "rename.b/below/x", 0));
	must_fail(EINVAL, renameat2(AT_FDCWD, "rename.b", AT_FDCWD, "rename.c", RENAME_EXCHANGE | RENAME_NOREPLACE));
	must_fail(EINVAL, renameat2(AT_FDCWD, "rename.b", AT_FDCWD, "rename.c", RENAME_WHITEOUT | RENAME_EXCHANGE));
	must(!renameat2(AT_FDCWD, "rename.c", AT_FDCWD, "rename.e", RENAME_WHITEOUT | RENAME_NOREPLACE));
	must(number_of("rename.e") == b && !lstat("rename.c", &status));
	must(status.st_mode == S_IFCHR && status.st_rdev == 0 && status.st_nlink == 1);
}

/* linkat() of a file without names fails. */
static void probe_link_unlinked(void)
{
	char path[64];
	int fd = open("unlinked", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	must(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(!linkat(AT_FDCWD, path, AT_FDCWD, "unlinked.2", AT_SYMLINK_FOLLOW));
	must(!unlink("unlinked") && !unlink("unlinked.2"));
	must_fail(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "unlinked.3", AT_SYMLINK_FOLLOW));
	if (!geteuid())
		must_fail(ENOENT, linkat(fd, "", AT_FDCWD, "unlinked.3", AT_EMPTY_PATH));
	must(write(fd, "still", 5) == 5);
	must_fail(ENOENT, access("unlinked.3", F_OK));
	close(fd);
}

static void probe_links(void)
{
	struct stat status;
	char name[32];

	must(!mkdir("links", 0755));
	make_file("links.file");
	for (unsigned i = 0; i < LINKS; i++) {
		snprintf(name, sizeof(name), "links/%u", i);
		must(!link("links.file", name));
	}
	must(!stat("links.file", &status) && status.st_nlink == LINKS + 1);
	must(!unlink("links.file") && !unlink("links/17"));
	must(!stat("links/65999", &status) && status.st_nlink == LINKS - 1);
}

/* --- directories --- */

/*
 * POSIX leaves open whether a name that was added or removed after opendir() is returned.  So the probe judges the
 * names that stay: each is returned exactly once, by a whole listing and from any position that telldir() returned.
 * The kernel answers from its cached listing, which it drops when it reclaims memory; both ways are probed.
 */
struct stream {
	DIR *dir;
	unsigned count;
	char names[ENTRIES + 2][32];
	long positions[ENTRIES + 2];
};

static void drop_cached_listing(DIR *dir)
{
	must(!posix_fadvise(dirfd(dir), 0, 0, POSIX_FADV_DONTNEED));
}

/* Returns the number of a name that stays, or -1. */
static int stable_number(const char *name)
{
	unsigned number;

	return sscanf(name, "entry.%u", &number) == 1 && number % 2 ? (int)number : -1;
}

/* Reads the whole directory, with the position before each name. */
static void read_positions(struct stream *stream)
{
	for (struct dirent *entry;; stream->count++) {
		long position = telldir(stream->dir);

		entry = readdir(stream->dir);
		if (!entry)
			break;
		must(stream->count < ENTRIES + 2 && strlen(entry->d_name) < sizeof(stream->names[0]));
		strcpy(stream->names[stream->count], entry->d_name);
		stream->positions[stream->count] = position;
	}
	must(stream->count == ENTRIES + 2);
}

/* Reads on: of the names that stay, those from index `from` of the first listing must follow, each once. */
static void expect_stable_from(const struct stream *stream, unsigned from)
{
	unsigned seen[ENTRIES] = { 0 };
	int number;

	for (struct dirent *entry; (entry = readdir(stream->dir));) {
		number = stable_number(entry->d_name);
		if (number >= 0)
			seen[number]++;
	}
	for (unsigned i = 0; i < stream->count; i++) {
		number = stable_number(stream->names[i]);
		if (number >= 0)
			must(seen[number] == (i >= from));
	}
}

/* From the end back, since the kernel replaces an outdated listing when a reader begins at the beginning. */
static void expect_positions(const struct stream *stream, bool cached)
{
	for (unsigned i = stream->count; i-- > 0;) {
		if (!cached)
			drop_cached_listing(stream->dir);
		seekdir(stream->dir, stream->positions[i]);
		expect_stable_from(stream, i);
	}
}

static void probe_telldir(void)
{
	static struct stream stream;
	char name[32];

	must(!mkdir("telldir", 0755) && !chdir("telldir"));
	for (unsigned i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "entry.%u", i);
		make_file(name);
	}
	stream.dir = opendir(".");
	must(stream.dir);
	read_positions(&stream);
	for (unsigned i = 0; i < ENTRIES; i += 2) {
		snprintf(name, sizeof(name), "entry.%u", i);
		must(!unlink(name));
		snprintf(name, sizeof(name), "new.%u", i);
		make_file(name);
	}
	expect_positions(&stream, true);
	expect_positions(&stream, false);
	rewinddir(stream.dir);
	expect_stable_from(&stream, 0);
	closedir(stream.dir);
	must(!chdir(".."));
}

/* A path of 4,096 levels, down and up; it stays, for the check of the image. */
static void probe_deep(void)
{
	struct stat top, status;
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(fd >= 0 && !fstat(fd, &top));
	for (unsigned i = 0; i < LEVELS; i++) {
		must(!mkdirat(fd, "deep", 0755));
		int below = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		must(below >= 0);
		close(fd);
		fd = below;
	}
	for (unsigned i = 0; i < LEVELS; i++) {
		int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		must(above >= 0);
		close(fd);
		fd = above;
		if (i)
			must_fail(ENOTEMPTY, unlinkat(fd, "deep", AT_REMOVEDIR));
	}
	must(!fstat(fd, &status) && status.st_ino == top.st_ino);
	close(fd);
}

/* --- inotify --- */

static uint32_t events_of(int fd, const char *name)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint32_t seen = 0;

	while (poll(&ready, 1, 0) > 0) {
		ssize_t size = read(fd, buffer, sizeof(buffer));

		must(size > 0);
		for (char *at = buffer; at < buffer + size;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			if (event->len && !strcmp(event->name, name))
				seen |= event->mask;
			at += sizeof(*event) + event->len;
		}
	}
	return seen;
}

static void probe_inotify(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), file;

	must(fd >= 0 && !mkdir("watched", 0755));
	must(inotify_add_watch(fd, "watched", IN_ALL_EVENTS) >= 0);
	file = open("watched/a", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	must(file >= 0 && write(file, "x", 1) == 1 && !fchmod(file, 0600));
	close(file);
	must((events_of(fd, "a") & (IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE)) ==
	     (IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE));
	must(!rename("watched/a", "watched/b") && (events_of(fd, "b") & IN_MOVED_TO));
	must(!unlink("watched/b") && (events_of(fd, "b") & IN_DELETE));
	close(fd);
}

const struct posix_probe posix_name_probes[] = {
	{ "names", probe_names },
	{ "symlinks", probe_symlinks },
	{ "renameat2", probe_renameat2 },
	{ "link_unlinked", probe_link_unlinked },
	{ "links", probe_links },
	{ "telldir", probe_telldir },
	{ "deep", probe_deep },
	{ "inotify", probe_inotify },
	{ NULL, NULL },
};
