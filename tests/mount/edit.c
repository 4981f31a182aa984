/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit DIRECTORY SEED COUNT [FILES]: makes COUNT random changes below DIRECTORY, the same ones for the same seed and
 * tree.  It creates, writes, maps, truncates, punches, copies, renames, exchanges, links and unlinks files, changes
 * their modes, owners, times, flags and extended attributes, and creates and removes symlinks, fifos and
 * directories.  The number of files stays near FILES (400).
 *
 * Refusals that are part of random changes (the name is taken, the directory is not empty) are no failures; any other
 * error is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/mount/tree.h"
#include "tests/support/random.h"

#define FILE_BYTES (256u << 10) /* most files stay below this */
#define PATH_BYTES 1200

struct list {
	char **paths;
	size_t count, room;
};

struct editor {
	struct th_random random;
	struct list files, dirs; /* files: everything but directories */
	size_t usual_files;
	unsigned char *buffer; /* FILE_BYTES */
	unsigned next_name;
	char picked[4][PATH_BYTES]; /* copies of the paths picked last: the lists change under them */
	unsigned picks;
};

static unsigned below(struct editor *editor, size_t limit)
{
	return th_random_below(&editor->random, (uint32_t)limit);
}

static bool percent(struct editor *editor, unsigned part)
{
	return th_random_percent(&editor->random, part);
}

/* --- the lists --- */

static void list_add(struct list *list, const char *path)
{
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 256;
		list->paths = realloc(list->paths, list->room * sizeof(*list->paths));
	}
	if (!list->paths || !(list->paths[list->count++] = strdup(path))) {
		fprintf(stderr, "edit: no memory\n");
		exit(1);
	}
}

static void list_release(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
}

static void list_remove(struct list *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->paths[i], path))
			continue;
		free(list->paths[i]);
		list->paths[i] = list->paths[--list->count];
		return;
	}
}

/* Moves all paths below `from` to below `to`. */
static void list_move(struct list *list, const char *from, const char *to)
{
	size_t size = strlen(from);

	for (size_t i = 0; i < list->count; i++) {
		char *path = list->paths[i], *moved;

		if (strncmp(path, from, size) || (path[size] && path[size] != '/'))
			continue;
		if (asprintf(&moved, "%s%s", to, path + size) < 0)
			exit(1);
		free(path);
		list->paths[i] = moved;
	}
}

static const char *pick(struct editor *editor, const struct list *list)
{
	char *path = editor->picked[editor->picks++ % 4];

	snprintf(path, PATH_BYTES, "%s", list->paths[below(editor, list->count)]);
	return path;
}

static const char *any_file(struct editor *editor)
{
	return editor->files.count ? pick(editor, &editor->files) : NULL;
}

static const char *any_dir(struct editor *editor)
{
	return pick(editor, &editor->dirs);
}

/* Returns a directory other than the top, or NULL. */
static const char *any_subdir(struct editor *editor)
{
	const char *dir = any_dir(editor);

	return strcmp(dir, ".") ? dir : NULL;
}

/* Makes a new name in some directory.  Some have unusual characters. */
static void new_path(struct editor *editor, char *path)
{
	static const char *const shapes[] = { "%s/%x",       "%s/name %x", "%s/n\303\244me-%x",
					      "%s/a\tb\n%x", "%s/\"q\\%x", "%s/.%x" };
	const char *dir = any_dir(editor);

	while (strlen(dir) > PATH_BYTES - 300)
		dir = any_dir(editor);
	unsigned number = editor->next_name++ << 8 | below(editor, 256);
	const char *shape = shapes[percent(editor, 80) ? 0 : below(editor, sizeof(shapes) / sizeof(shapes[0]))];

	if (percent(editor, 3))
		snprintf(path, PATH_BYTES, "%s/%0255x", dir, number);
	else
		snprintf(path, PATH_BYTES, shape, dir, number);
}

/* --- the changes; each returns 0, or -1 with errno --- */

static unsigned random_size(struct editor *editor)
{
	if (percent(editor, 30))
		return below(editor, 1500);
	if (percent(editor, 80))
		return below(editor, 20000);
	return below(editor, FILE_BYTES);
}

static const void *random_bytes(struct editor *editor, unsigned size)
{
	th_random_fill(&editor->random, editor->buffer, size);
	if (percent(editor, 10))
		memset(editor->buffer, 0, size);
	return editor->buffer;
}

static int finish(int fd, int result)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return result < 0 ? -1 : 0;
}

static int edit_create(struct editor *editor)
{
	unsigned size = random_size(editor);
	char path[PATH_BYTES];
	int fd, result;

	new_path(editor, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0640);
	if (fd < 0)
		return -1;
	list_add(&editor->files, path);
	result = (int)pwrite(fd, random_bytes(editor, size), size, percent(editor, 10) ? below(editor, 1u << 22) : 0);
	return finish(fd, result);
}

static int open_any(struct editor *editor, int flags, struct stat *stat)
{
	const char *path = any_file(editor);
	int fd;

	errno = ENOENT;
	if (!path || lstat(path, stat) || !S_ISREG(stat->st_mode))
		return -1;
	fd = open(path, flags | O_NOFOLLOW);
	if (fd >= 0)
		fstat(fd, stat);
	return fd;
}

static int edit_write(struct editor *editor)
{
	struct stat stat;
	int fd = open_any(editor, O_WRONLY | (percent(editor, 20) ? O_APPEND : 0), &stat), result = fd;
	unsigned size = random_size(editor);

	if (fd >= 0)
		result = (int)pwrite(fd, random_bytes(editor, size), size, below(editor, (size_t)stat.st_size + 5000));
	return finish(fd, result);
}

static int edit_map(struct editor *editor)
{
	struct stat stat;
	int fd = open_any(editor, O_RDWR, &stat);
	unsigned char *map;

	if (fd < 0 || !stat.st_size)
		return finish(fd, fd);
	map = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return finish(fd, -1);
	for (int i = 0; i < 3; i++)
		map[below(editor, (size_t)stat.st_size)] ^= 0x55;
	munmap(map, (size_t)stat.st_size);
	return finish(fd, 0);
}

static int edit_truncate(struct editor *editor)
{
	struct stat stat;
	int fd = open_any(editor, O_WRONLY, &stat), result = fd;

	if (fd >= 0)
		result = ftruncate(fd, percent(editor, 20) ? 0 : below(editor, 2 * (size_t)stat.st_size + 3000));
	return finish(fd, result);
}

static int edit_allocate(struct editor *editor)
{
	static const int modes[] = {
		0,
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
	};
	struct stat stat;
	int fd = open_any(editor, O_WRONLY, &stat), result = fd;

	if (fd >= 0)
		result = fallocate(fd, modes[below(editor, 4)], below(editor, (size_t)stat.st_size + 1),
				   1 + below(editor, 30000));
	return finish(fd, result);
}

/* Copies a part of one file into another, which shares its blocks. */
static int edit_copy(struct editor *editor)
{
	struct stat from_stat, to_stat;
	int from = open_any(editor, O_RDONLY, &from_stat), to = -1, result = -1;
	loff_t from_at = 0, to_at = 0;

	if (from >= 0)
		to = open_any(editor, O_WRONLY, &to_stat);
	if (to >= 0 && from_stat.st_ino == to_stat.st_ino)
		result = 0;
	else if (to >= 0)
		result = (int)copy_file_range(from, &from_at, to, &to_at, (size_t)from_stat.st_size + 1, 0);
	finish(to, 0);
	return finish(from, result);
}

static int edit_mkdir(struct editor *editor)
{
	char path[PATH_BYTES];

	new_path(editor, path);
	if (mkdir(path, 0755))
		return -1;
	list_add(&editor->dirs, path);
	return 0;
}

static int edit_rmdir(struct editor *editor)
{
	const char *path = any_subdir(editor);

	if (!path)
		return 0;
	if (rmdir(path))
		return -1;
	list_remove(&editor->dirs, path);
	return 0;
}

static int edit_unlink(struct editor *editor)
{
	const char *path = any_file(editor);

	if (!path)
		return 0;
	if (unlink(path))
		return -1;
	list_remove(&editor->files, path);
	return 0;
}

static int edit_rename(struct editor *editor)
{
	const char *path = any_file(editor);
	char to[PATH_BYTES];

	if (!path)
		return 0;
	new_path(editor, to);
	if (rename(path, to))
		return -1;
	list_move(&editor->files, path, to);
	return 0;
}

/* Renames a file over another. */
static int edit_replace(struct editor *editor)
{
	const char *path = any_file(editor), *to = any_file(editor);
	struct stat a, b;

	if (!path || path == to || lstat(path, &a) || lstat(to, &b) || a.st_ino == b.st_ino)
		return 0;
	if (rename(path, to))
		return -1;
	list_remove(&editor->files, path);
	return 0;
}

static int edit_exchange(struct editor *editor)
{
	const char *path = any_file(editor), *to = any_file(editor);

	return path && path != to ? renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_EXCHANGE) : 0;
}

static int edit_move_dir(struct editor *editor)
{
	const char *path = any_subdir(editor);
	char from[PATH_BYTES], to[PATH_BYTES];

	new_path(editor, to);
	if (!path)
		return 0;
	snprintf(from, sizeof(from), "%s", path);
	/* Paths must stay short enough for the files below. */
	if (strlen(to) > 400)
		return 0;
	if (rename(from, to))
		return -1;
	list_move(&editor->dirs, from, to);
	list_move(&editor->files, from, to);
	return 0;
}

static int edit_link(struct editor *editor)
{
	const char *path = any_file(editor);
	char to[PATH_BYTES];

	if (!path)
		return 0;
	new_path(editor, to);
	if (link(path, to))
		return -1;
	list_add(&editor->files, to);
	return 0;
}

static int edit_symlink(struct editor *editor)
{
	char path[PATH_BYTES], target[PATH_BYTES];

	new_path(editor, path);
	new_path(editor, target);
	if (symlink(target, path))
		return -1;
	list_add(&editor->files, path);
	return 0;
}

static int edit_special(struct editor *editor)
{
	char path[PATH_BYTES];

	new_path(editor, path);
	if (mknod(path, percent(editor, 50) || geteuid() ? S_IFIFO | 0600 : S_IFCHR | 0600, 0x0103))
		return -1;
	list_add(&editor->files, path);
	return 0;
}

static const char *any_path(struct editor *editor)
{
	return editor->files.count && percent(editor, 70) ? any_file(editor) : any_dir(editor);
}

static int edit_mode(struct editor *editor)
{
	const char *path = any_path(editor);
	struct stat stat;

	if (lstat(path, &stat) || S_ISLNK(stat.st_mode))
		return 0;
	return chmod(path, 0700 | below(editor, 0100));
}

static int edit_owner(struct editor *editor)
{
	return geteuid() ? 0 : lchown(any_path(editor), below(editor, 3), below(editor, 3));
}

static int edit_times(struct editor *editor)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
				     { 1000000000 + below(editor, 700000000), below(editor, 1000000000) } };

	return utimensat(AT_FDCWD, any_path(editor), times, AT_SYMLINK_NOFOLLOW);
}

static int edit_xattr(struct editor *editor)
{
	const char *path = any_path(editor);
	struct stat stat;
	char name[32];

	if (lstat(path, &stat) || (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode)))
		return 0;
	snprintf(name, sizeof(name), "user.%u", below(editor, 4));
	if (percent(editor, 30))
		return removexattr(path, name) && errno != ENODATA ? -1 : 0;
	return setxattr(path, name, random_bytes(editor, 1000), below(editor, 1000), 0);
}

static int edit_flags(struct editor *editor)
{
	struct stat stat;
	int fd = open_any(editor, O_RDONLY, &stat), flags = 0, result = fd;

	if (fd >= 0)
		result = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	if (!result) {
		flags ^= FS_NODUMP_FL;
		result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	return finish(fd, result);
}

/* --- a run --- */

static const struct {
	int (*edit)(struct editor *editor);
	unsigned weight;
} edits[] = {
	{ edit_create, 16 }, { edit_write, 20 },   { edit_map, 4 },      { edit_truncate, 6 }, { edit_allocate, 5 },
	{ edit_copy, 4 },    { edit_mkdir, 5 },    { edit_rmdir, 4 },    { edit_unlink, 12 },  { edit_rename, 10 },
	{ edit_replace, 3 }, { edit_exchange, 2 }, { edit_move_dir, 3 }, { edit_link, 5 },     { edit_symlink, 3 },
	{ edit_special, 2 }, { edit_mode, 5 },     { edit_owner, 3 },    { edit_times, 4 },    { edit_xattr, 6 },
	{ edit_flags, 2 },
};

static int edit_any(struct editor *editor)
{
	unsigned total = 0, choice;

	/* A small tree grows, a large one shrinks. */
	if (editor->files.count < editor->usual_files / 2)
		return edit_create(editor);
	if (editor->files.count > 2 * editor->usual_files)
		return edit_unlink(editor);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++)
		total += edits[i].weight;
	choice = below(editor, total);
	for (size_t i = 0;; i++) {
		if (choice < edits[i].weight)
			return edits[i].edit(editor);
		choice -= edits[i].weight;
	}
}

static bool is_refusal(int error)
{
	return error == EEXIST || error == ENOENT || error == ENOTEMPTY || error == EINVAL || error == ENAMETOOLONG ||
	       error == EMLINK || error == ENOSPC || error == EOPNOTSUPP || error == ENOTTY || error == EXDEV;
}

/* Paths begin with ".", because the editor works in the directory. */
static int load(struct editor *editor)
{
	struct tree tree;
	char path[8192];
	int err = tree_read(".", TREE_NAMES, &tree);

	if (err)
		return err;
	for (size_t i = 0; i < tree.count; i++) {
		snprintf(path, sizeof(path), ".%s", i ? tree.entries[i].path : "");
		list_add(S_ISDIR(tree.entries[i].stat.st_mode) ? &editor->dirs : &editor->files, path);
	}
	tree_release(&tree);
	return 0;
}

int main(int argc, char **argv)
{
	struct editor editor = { .buffer = malloc(FILE_BYTES), .usual_files = 400 };
	unsigned long count;
	bool failed;

	if (argc < 4 || argc > 5 || !editor.buffer) {
		fprintf(stderr, "usage: edit DIRECTORY SEED COUNT [FILES]\n");
		return 2;
	}
	editor.random.state = strtoull(argv[2], NULL, 10);
	editor.next_name = (unsigned)th_random_next(&editor.random) & 0xffff;
	count = strtoul(argv[3], NULL, 10);
	if (argc == 5)
		editor.usual_files = strtoul(argv[4], NULL, 10);
	failed = chdir(argv[1]) || load(&editor);
	for (unsigned long i = 0; i < count && !failed; i++) {
		failed = edit_any(&editor) && !is_refusal(errno);
		if (failed)
			fprintf(stderr, "edit: change %lu of seed %s: %s\n", i, argv[2], strerror(errno));
	}
	list_release(&editor.dirs);
	list_release(&editor.files);
	free(editor.buffer);
	return failed;
}
