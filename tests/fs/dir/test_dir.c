/* SPDX-License-Identifier: Apache-2.0 */
/* Names with equal hashes, and walks through a directory that changes. */
#include "fs/dir/dir.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fs/scene.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

static struct th_scene scene;

/* Four hashes for all names. */
static uint64_t poor_hash(const void *name, size_t size)
{
	return size ? (uint64_t)(((const uint8_t *)name)[size - 1] & 3) << 62 : 0;
}

static uint64_t one_hash(const void *name, size_t size)
{
	(void)name;
	(void)size;
	return UINT64_MAX;
}

static void open_with(uint64_t (*hash)(const void *, size_t))
{
	th_scene_open(&scene, &(struct th_fs_options){ .name_hash = hash });
}

static int make(unsigned n)
{
	char path[32];

	snprintf(path, sizeof(path), "/d/%u", n);
	return th_scene_make(&scene, path, S_IFREG | 0644);
}

static int unmake(unsigned n)
{
	char path[32];

	snprintf(path, sizeof(path), "/d/%u", n);
	return th_scene_unlink(&scene, path);
}

#define NAMES 4096

struct seen {
	uint8_t times[NAMES];
	uint64_t last; /* cookie */
	unsigned room; /* names before the walk is interrupted */
};

static int see(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct seen *seen = arg;
	char text[16] = "";

	if (!seen->room--)
		return 1;
	ck_assert_uint_lt(name.size, sizeof(text));
	memcpy(text, name.data, name.size);
	ck_assert_uint_gt(next, seen->last);
	ck_assert_uint_gt(next, TH_DIR_COOKIE_MAX);
	ck_assert_uint_le(next, INT64_MAX);
	ck_assert_uint_gt(entry->id, TH_ROOT_ID);
	seen->last = next;
	seen->times[strtoul(text, NULL, 10)]++;
	return 0;
}

START_TEST(names_with_equal_hash_are_distinct)
{
	open_with(poor_hash);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < 600; i++)
		ck_assert_int_eq(make(i), 0);
	ck_assert_int_eq(make(7), -EEXIST);
	th_scene_reopen(&scene);
	for (unsigned i = 0; i < 600; i += 2)
		ck_assert_int_eq(unmake(i), 0);
	struct th_inode *dir = th_scene_get(&scene, "/d");
	struct seen seen = { .room = NAMES };

	ck_assert_int_eq(th_dir_walk(dir, 0, see, &seen), 0);
	for (unsigned i = 0; i < 600; i++)
		ck_assert_uint_eq(seen.times[i], i % 2);
	th_inode_put(dir);
	th_scene_close(&scene);
}
END_TEST

START_TEST(too_many_names_with_equal_hash_are_refused)
{
	open_with(one_hash);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < TH_NAME_TWINS; i++)
		ck_assert_int_eq(make(i), 0);
	ck_assert_int_eq(make(TH_NAME_TWINS), -ENOSPC);
	ck_assert_int_eq(make(0), -EEXIST);
	ck_assert_int_eq(unmake(100), 0);
	ck_assert_int_eq(make(TH_NAME_TWINS), 0);
	ck_assert_int_eq(make(100), -ENOSPC);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").size, TH_NAME_TWINS);
	th_scene_close(&scene);
}
END_TEST

/* Names below 1000 do not change and must be seen exactly once, wherever the walk is interrupted.  Others are created
 * and removed during the walk. */
static void walk_while_changing(struct th_random *random)
{
	struct th_inode *dir = th_scene_get(&scene, "/d");
	struct seen seen = { 0 };
	int err;

	do {
		seen.room = th_random_between(random, 1, 50);
		err = th_dir_walk(dir, seen.last, see, &seen);
		for (unsigned i = 0; i < 5; i++) {
			unsigned n = th_random_between(random, 1000, 1400);

			if (make(n) == -EEXIST)
				ck_assert_int_eq(unmake(n), 0);
		}
	} while (err == 1);
	ck_assert_int_eq(err, 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(seen.times[i], i < 700);
	th_inode_put(dir);
}

START_TEST(walk_sees_unchanged_names_exactly_once)
{
	struct th_random random = { th_test_seed("dir") };

	open_with(_i ? poor_hash : NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < 700; i++)
		ck_assert_int_eq(make(i), 0);
	for (unsigned i = 0; i < 20; i++)
		walk_while_changing(&random);
	th_scene_close(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dir");
	TCase *tcase = tcase_create("hashes");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, names_with_equal_hash_are_distinct);
	tcase_add_test(tcase, too_many_names_with_equal_hash_are_refused);
	tcase_add_loop_test(tcase, walk_sees_unchanged_names_exactly_once, 0, 2);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
