/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A picture of a filesystem as one snapshot has it: every name, found by walking down from the root, and what a user
 * can see of its inode.  For comparing with what the diff says, which finds names the other way round.
 */
#ifndef TH_TESTS_FS_PICTURE_H
#define TH_TESTS_FS_PICTURE_H

#include "fs/inode/inode.h"

struct th_picture_name {
	char *path;
	uint64_t parent;
	uint64_t id;
	struct th_attr attr; /* its name is not kept */
	uint8_t *content; /* of a regular file */
	size_t size;
	uint64_t xattrs; /* a hash over names and values */
};

struct th_picture {
	struct th_picture_name *names; /* in the order of their paths, the root first */
	size_t count;
};

/* Fails the test where the filesystem cannot be read. */
struct th_picture th_picture_take(struct th_fs *fs, const char *snapshot);
void th_picture_release(struct th_picture *picture);
const struct th_picture_name *th_picture_find(const struct th_picture *picture, const char *path);

#endif
