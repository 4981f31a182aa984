/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem for tests of names: on an image file, so that it can be closed and opened again, with short ways to do
 * things by path ("/a/b", from the root).  What a helper cannot do that it must fails the test; what a test may expect
 * to fail answers 0 or -errno.
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

/* A new filesystem, opened.  options NULL: the usual ones. */
void th_scene_open(struct th_scene *scene, const struct th_fs_options *options);
/* Closes it and opens it again. */
void th_scene_reopen(struct th_scene *scene);
/* Remembers the image as a crash at this moment would leave it; th_scene_crash opens that one instead. */
void th_scene_remember(struct th_scene *scene);
void th_scene_crash(struct th_scene *scene);
/* Closes it and removes the image. */
void th_scene_close(struct th_scene *scene);

struct th_slice th_scene_slice(const char *name);
/* -ENOENT and so on; the caller puts it.  Goes through .snapshots too. */
int th_scene_find(struct th_scene *scene, const char *path, struct th_inode **ret);
struct th_inode *th_scene_get(struct th_scene *scene, const char *path);
/* The directory of the path's last part, and that part. */
struct th_inode *th_scene_parent(struct th_scene *scene, const char *path, struct th_slice *ret_name);
/* A copy of the attributes, without the name. */
struct th_attr th_scene_attr(struct th_scene *scene, const char *path);
uint64_t th_scene_id(struct th_scene *scene, const char *path);

int th_scene_make(struct th_scene *scene, const char *path, uint32_t mode);
int th_scene_symlink(struct th_scene *scene, const char *target, const char *path);
int th_scene_link(struct th_scene *scene, const char *from, const char *to);
int th_scene_unlink(struct th_scene *scene, const char *path);
int th_scene_rmdir(struct th_scene *scene, const char *path);
int th_scene_rename(struct th_scene *scene, const char *from, const char *to, unsigned flags);
void th_scene_write(struct th_scene *scene, const char *path, const char *text);
void th_scene_expect(struct th_scene *scene, const char *path, const char *text);

#endif
