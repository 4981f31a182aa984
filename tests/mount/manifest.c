/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest [-p | -pp] DIRECTORY: prints a line for each name below it, with everything that a program can see of the
 * file.  Two trees are equal when their manifests are.
 *
 * -p omits differences that are legitimate between two filesystems or between a tree and its copy: inode numbers, the
 * line of the root, sizes and link counts of directories, flags.  Hard links are still shown, by the first of their
 * names.  -pp omits the times of directories too.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "tests/mount/tree.h"

/* Escapes newlines, so that each name takes one line. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == '\\')
			printf("\\%03o", (unsigned char)*text);
		else
			putchar(*text);
	}
}

static void print_entry(const struct tree_entry *entry, const struct tree_entry *first, int portable)
{
	const struct stat *stat = &entry->stat;
	bool directory = S_ISDIR(stat->st_mode);

	print_escaped(entry->path);
	printf("\t%o\t%u:%u", stat->st_mode, stat->st_uid, stat->st_gid);
	if (!directory || portable < 2)
		printf("\t%" PRId64 ".%09ld", (int64_t)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec);
	if (!directory || !portable)
		printf("\tlinks=%" PRIu64 "\tsize=%" PRId64, (uint64_t)stat->st_nlink, (int64_t)stat->st_size);
	if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode))
		printf("\tdevice=%u:%u", major(stat->st_rdev), minor(stat->st_rdev));
	printf("\txattrs=%" PRIx64 "\tcontent=%" PRIx64, entry->xattrs, entry->content);
	if (!portable)
		printf("\tinode=%" PRIu64 "\tflags=%x", entry->inode, entry->flags);
	if (first != entry) {
		printf("\t=");
		print_escaped(first->path);
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	int portable = argc == 3 && !strcmp(argv[1], "-p") ? 1 : argc == 3 && !strcmp(argv[1], "-pp") ? 2 : 0;
	const struct tree_entry **first;
	struct tree tree;

	if (argc != 2 + !!portable) {
		fprintf(stderr, "usage: manifest [-p | -pp] DIRECTORY\n");
		return 2;
	}
	if (tree_read(argv[argc - 1], 0, &tree))
		return 1;
	first = tree_first_names(&tree);
	for (size_t i = !!portable; first && i < tree.count; i++)
		print_entry(&tree.entries[i], first[i], portable);
	free(first);
	tree_release(&tree);
	return !fflush(stdout) && !ferror(stdout) ? 0 : 1;
}
