/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What identifies a file: handles, inode numbers, directory cookies and the time of birth.
 *
 *   identity save FILE PATH...         stores the file handles of the paths
 *   identity open FILE DIRECTORY       opens them on the filesystem of the directory, and prints for each: ok, or the
 *   error identity widths DIRECTORY...       fails if an inode number has more than 32 bits, or a cookie more than 31
 *   identity numbers DIRECTORY...      prints the inode number and the name of each entry, sorted by name
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDLE_BYTES 128

struct record {
	struct file_handle head;
	unsigned char bytes[HANDLE_BYTES];
};

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int save(int count, char **paths, FILE *file)
{
	for (int i = 0; i < count; i++) {
		struct record record = { .head.handle_bytes = HANDLE_BYTES };
		int mount;

		if (name_to_handle_at(AT_FDCWD, paths[i], &record.head, &mount, 0))
			return fail(paths[i]);
		if (fwrite(&record, sizeof(record), 1, file) != 1)
			return fail("write");
	}
	return 0;
}

static int open_all(const char *directory, FILE *file)
{
	int mount = open(directory, O_RDONLY | O_DIRECTORY);
	struct record record;

	if (mount < 0)
		return fail(directory);
	while (fread(&record, sizeof(record), 1, file) == 1) {
		int fd = open_by_handle_at(mount, &record.head, O_RDONLY);

		puts(fd < 0 ? strerrorname_np(errno) : "ok");
		if (fd >= 0)
			close(fd);
	}
	close(mount);
	return 0;
}

static int each_entry(const char *path, bool print)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);

	if (count < 0)
		return fail(path);
	for (int i = 0; i < count; i++) {
		if (print) {
			printf("%ju %s\n", (uintmax_t)entries[i]->d_ino, entries[i]->d_name);
		} else if (entries[i]->d_ino > UINT32_MAX || entries[i]->d_off > INT32_MAX) {
			fprintf(stderr, "%s/%s: inode number %ju, cookie %jd\n", path, entries[i]->d_name,
				(uintmax_t)entries[i]->d_ino, (intmax_t)entries[i]->d_off);
			return 1;
		}
		free(entries[i]);
	}
	free(entries);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	int result = 0;

	if (!strcmp(verb, "save") || (!strcmp(verb, "open") && argc == 4)) {
		FILE *file = fopen(argv[2], *verb == 's' ? "wb" : "rb");

		if (!file)
			return fail(argv[2]);
		result = *verb == 's' ? save(argc - 3, argv + 3, file) : open_all(argv[3], file);
		return fclose(file) ? fail(argv[2]) : result;
	}
	if (strcmp(verb, "widths") && strcmp(verb, "numbers")) {
		fprintf(stderr, "usage: identity save|open|widths|numbers ...\n");
		return 2;
	}
	for (int i = 2; i < argc && !result; i++)
		result = each_entry(argv[i], *verb == 'n');
	return result;
}
