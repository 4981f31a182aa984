/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of request handlers: a session on a filesystem with a file /f and a directory /d, and the fixture's
 * functions. */
#ifndef TH_TESTS_FS_FUSE_FUSE_FIXTURE_H
#define TH_TESTS_FS_FUSE_FUSE_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "tests/fs/fuse/fake_kernel.h"
#include "tests/support/suite.h"

#define STRANGER 1001
#define FILE_GROUP 5 /* of "/f"; no caller is in it but root */

static struct th_scene scene;
static struct th_inode *file, *dir; /* "/f", of TH_FAKE_USER, and "/d" */
static uint64_t f, d; /* their node ids */

static inline void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	th_fake_kernel_open(&scene);
	struct th_attr owner = { .uid = TH_FAKE_USER, .gid = FILE_GROUP };

	file = th_scene_get(&scene, "/f");
	dir = th_scene_get(&scene, "/d");
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_UID | TH_ATTR_GID, &owner), 0);
	f = th_fake_kernel_lookup(FUSE_ROOT_ID, "f");
	d = th_fake_kernel_lookup(FUSE_ROOT_ID, "d");
	ck_assert(f && d);
}

static inline void teardown(void)
{
	th_fake_kernel_close();
	th_inode_put(file);
	th_inode_put(dir);
	th_scene_close(&scene);
}

/* Sends a request whose argument is a structure.  Returns its error. */
#define send_argument(opcode, node, argument)                                                                          \
	th_fake_kernel_send((opcode), (node), &(argument), sizeof(argument))->error

/* Runs the tests, each with the fixture. */
static inline int run_handler_tests(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}

#endif
