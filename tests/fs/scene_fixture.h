/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that begin with an empty filesystem: the scene, the fixture's functions, and short names for its use. */
#ifndef TH_TESTS_FS_SCENE_FIXTURE_H
#define TH_TESTS_FS_SCENE_FIXTURE_H

#include <check.h>
#include <errno.h>

#include "tests/fs/scene.h"

static struct th_scene scene;

static inline void setup(void)
{
	th_scene_open(&scene, NULL);
}

static inline void teardown(void)
{
	th_scene_close(&scene);
}

static inline int make_file(const char *path)
{
	return th_scene_make(&scene, path, S_IFREG | 0644);
}

static inline int make_dir(const char *path)
{
	return th_scene_make(&scene, path, S_IFDIR | 0755);
}

/* Returns whether the path exists.  Any other error than -ENOENT fails the test. */
static inline bool is_there(const char *path)
{
	struct th_inode *inode;
	int err = th_scene_find(&scene, path, &inode);

	if (!err)
		th_inode_put(inode);
	else
		ck_assert_int_eq(err, -ENOENT);
	return !err;
}

#endif
