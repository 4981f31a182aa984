/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem for tests of names: on an image file, so that it can be closed and opened again, with operations by path
 * ("/a/b", from the root).  The functions that return int return 0 or -errno; all others fail the test on an error.
 */
#ifndef TH_TESTS_FS_SCENE_H
#define TH_TESTS_FS_SCENE_H

#include "fs/fs.h"
#include "fs/inode/inode.h"

struct th_scene {
	struct th_fs *fs;
	struct th_fs_options options;
	char image[64];
};

/* Formats and opens a filesystem.  options NULL: all zero. */
void th_scene_open(struct th_scene *scene, const struct th_fs_options *options);
/* Closes the filesystem and opens it again with scene->options. */
void th_scene_reopen(struct th_scene *scene);
/* Copies the image in its present state, as a crash would leave it.  th_scene_crash closes the filesystem and opens the
 * copy in its place. */
void th_scene_remember(struct th_scene *scene);
void th_scene_crash(struct th_scene *scene);
/* Closes the filesystem and removes the image. */
void th_scene_close(struct th_scene *scene);

struct th_slice th_scene_slice(const char *name);
/* Finds an inode, also through .snapshots.  The caller puts it. */
int th_scene_find(struct th_scene *scene, const char *path, struct th_inode **ret);
struct th_inode *th_scene_get(struct th_scene *scene, const char *path);
/* Returns the directory of the path's last part, which the caller puts, and that part. */
struct th_inode *th_scene_parent(struct th_scene *scene, const char *path, struct th_slice *ret_name);
/* Returns a copy of the attributes, without the name. */
struct th_attr th_scene_attr(struct th_scene *scene, const char *path);
uint64_t th_scene_id(struct th_scene *scene, const char *path);

int th_scene_make(struct th_scene *scene, const char *path, uint32_t mode);
int th_scene_symlink(struct th_scene *scene, const char *target, const char *path);
int th_scene_link(struct th_scene *scene, const char *from, const char *to);
int th_scene_unlink(struct th_scene *scene, const char *path);
int th_scene_rmdir(struct th_scene *scene, const char *path);
int th_scene_rename(struct th_scene *scene, const char *from, const char *to, unsigned flags);
void th_scene_write(struct th_scene *scene, const char *path, const char *text);
/* Fails the test unless this is the whole content. */
void th_scene_expect(struct th_scene *scene, const char *path, const char *text);
/* Stores a key without the checks of the filesystem, to damage a record. */
void th_scene_put(struct th_scene *scene, const struct th_fs_key *key, const void *value, size_t size);

#endif
