/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two filesystems, and streams between them.  `from` is open except while a test closes it; `to` is an image that is
 * opened to look at it.  A helper that fails aborts the test.
 */
#ifndef TH_TESTS_FS_STREAM_STREAM_SCENE_H
#define TH_TESTS_FS_STREAM_STREAM_SCENE_H

#include "fs/stream/receive.h"
#include "fs/stream/send.h"
#include "tests/fs/scene.h"
#include "tests/support/random.h"

struct th_bytes {
	uint8_t *data;
	size_t size;
};

/* Makes the whole stream.  The caller frees ret.data. */
struct th_bytes th_stream_make(struct th_fs *fs, const struct th_send_options *options);
/* The same of a snapshot, since `base` (NULL: all of it). */
struct th_bytes th_stream_of(struct th_fs *fs, const char *snapshot, const char *base);

/* Makes an empty image that is closed; its fs is NULL. */
void th_stream_target(struct th_scene *scene);
/* Opens, closes and removes such an image. */
void th_stream_target_open(struct th_scene *scene);
void th_stream_target_close(struct th_scene *scene);
void th_stream_target_remove(struct th_scene *scene);
/* Expects the checker to find no problem in it. */
void th_stream_target_check(struct th_scene *scene);

/* Feeds bytes to a receiver of the image, in parts of random sizes if random is not NULL, and ends it.  Returns the
 * first error. */
int th_stream_receive(const char *image, const struct th_receive_options *options, struct th_bytes bytes,
		      struct th_random *random);

/* Fails the test unless both snapshots have equal files: names, attributes, extended attributes, content, holes and
 * hard links. */
void th_stream_expect_equal(struct th_fs *a, struct th_fs *b, const char *snapshot);

/* Makes `count` random changes to the files of a filesystem. */
void th_stream_churn(struct th_scene *scene, struct th_random *random, unsigned count);

#endif
