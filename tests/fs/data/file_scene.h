/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem on a disk in memory, for tests of file data.  Checkpoints happen only when a test asks for one.  A
 * helper that fails aborts the test.
 */
#ifndef TH_TESTS_FS_DATA_FILE_SCENE_H
#define TH_TESTS_FS_DATA_FILE_SCENE_H

#include "fs/data/extent.h"
#include "fs/fs.h"
#include "fs/inode/inode.h"

struct th_file_scene {
	struct th_disk *disk; /* stays open when the filesystem is closed; tests may write to it */
	struct th_fs *fs;
	struct th_fs_options options;
};

/* Makes and opens a filesystem of that many blocks. */
void th_file_scene_open(struct th_file_scene *scene, uint64_t blocks, size_t cache_bytes);
/* Closes and opens it; no inode may be referenced. */
void th_file_scene_reopen(struct th_file_scene *scene);
/* Writes everything back and expects the checker to find no problem, in data too. */
void th_file_scene_check(struct th_file_scene *scene);
/* Checks and closes it. */
void th_file_scene_close(struct th_file_scene *scene);

/* Files in the root directory; the caller puts the inode. */
struct th_inode *th_file_scene_make(struct th_file_scene *scene, const char *name);
struct th_inode *th_file_scene_find(struct th_file_scene *scene, const char *name);
void th_file_scene_unlink(struct th_file_scene *scene, const char *name);

/* Writes `size` bytes of one value. */
void th_file_scene_write(struct th_inode *inode, uint64_t off, uint8_t value, size_t size);
/* Expects all of these bytes to exist and to have that value. */
void th_file_scene_expect(struct th_inode *inode, uint64_t off, uint8_t value, size_t size);
void th_file_scene_writeback(struct th_inode *inode);
/* Sets the size of a file. */
void th_file_scene_truncate(struct th_inode *inode, uint64_t size);

/* The extents that the store has of the file, at most `max` of them, without their bytes.  Returns their number. */
unsigned th_file_scene_extents(struct th_inode *inode, struct th_extent *list, unsigned max);
struct th_store_info th_file_scene_info(struct th_file_scene *scene);

#endif
