/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A picture of a filesystem, live or in one snapshot: every name, found by a walk from the root, with the visible state
 * of its inode.  Tests compare two pictures with the result of the diff, which finds names from the changed inodes
 * upwards, or with each other.
 */
#ifndef TH_TESTS_FS_PICTURE_H
#define TH_TESTS_FS_PICTURE_H

#include "fs/inode/inode.h"

struct th_picture_name {
	char *path;
	uint64_t parent;
	uint64_t id;
	struct th_attr attr; /* without its name */
	uint8_t *content; /* of a regular file, or the target of a symlink */
	size_t size;
	uint64_t xattrs; /* a hash over names and values */
};

struct th_picture {
	struct th_picture_name *names; /* sorted by path, the root first */
	size_t count;
};

/* Takes a picture of a snapshot; NULL: of the live tree.  Fails the test if the filesystem cannot be read. */
struct th_picture th_picture_take(struct th_fs *fs, const char *snapshot);
void th_picture_release(struct th_picture *picture);
/* Compares all but times of access and counts of blocks.  Returns NULL if the pictures are the same, or the path of a
 * difference; *ret_what: what differs there. */
const char *th_picture_compare(const struct th_picture *a, const struct th_picture *b, const char **ret_what);
const struct th_picture_name *th_picture_find(const struct th_picture *picture, const char *path);

#endif
