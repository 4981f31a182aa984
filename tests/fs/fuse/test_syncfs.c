/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/syncfs.h"

#include <check.h>
#include <errno.h>
#include <linux/fuse.h>
#include <semaphore.h>

#include "tests/fs/fuse/fake_kernel.h"
#include "tests/support/suite.h"

#define SYNCFS_OPCODE 50

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	th_fake_kernel_open(&scene);
}

static void teardown(void)
{
	th_fake_kernel_close();
	th_scene_close(&scene);
}

static int send_syncfs(void)
{
	const uint64_t padding = 0;

	return th_fake_kernel_send(SYNCFS_OPCODE, FUSE_ROOT_ID, &padding, sizeof(padding))->error;
}

static uint64_t syncs(void)
{
	struct th_store_info info;

	th_store_info(scene.fs->store, &info);
	return info.syncs;
}

START_TEST(syncfs_writes_everything_back_and_syncs_the_store)
{
	struct th_fuse *fuse = th_fake_kernel_fuse();
	uint64_t before = syncs();

	ck_assert_int_eq(th_fuse_syncer_start(fuse), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(send_syncfs(), 0);
	ck_assert_uint_gt(syncs(), before);
	ck_assert_int_eq(send_syncfs(), 0);
	th_fuse_syncer_stop(fuse);
	th_fuse_syncer_stop(fuse); /* the second time it does nothing */
}
END_TEST

/* The kernel takes ENOSYS as a mount that does not sync, and asks no more. */
START_TEST(without_a_syncer_the_kernel_is_told_to_stop_asking)
{
	ck_assert_int_eq(send_syncfs(), -ENOSYS);
}
END_TEST

static sem_t ready;

static void mount_ready(struct th_fuse *fuse)
{
	ck_assert(!fuse->syncs);
	sem_post(&ready);
}

/* The mount point of this session does not exist, so that asking fails. */
START_TEST(a_mount_is_ready_when_the_kernel_was_asked)
{
	struct th_fuse *fuse = th_fake_kernel_fuse();

	sem_init(&ready, 0, 0);
	fuse->ready = mount_ready;
	ck_assert_int_eq(th_fuse_syncer_start(fuse), 0);
	ck_assert_int_eq(sem_wait(&ready), 0);
	th_fuse_syncer_stop(fuse);
	sem_destroy(&ready);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("syncfs");
	TCase *tc = tcase_create("requests");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, syncfs_writes_everything_back_and_syncs_the_store);
	tcase_add_test(tc, without_a_syncer_the_kernel_is_told_to_stop_asking);
	tcase_add_test(tc, a_mount_is_ready_when_the_kernel_was_asked);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
