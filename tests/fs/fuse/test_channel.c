/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: each thread has its own, and one that cannot be opened leaves no descriptor behind. */
#include "fs/fuse/channel.h"

#include <dirent.h>
#include <pthread.h>

#include "tests/fs/fuse/fuse_fixture.h"

static unsigned open_descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned count = 0;

	ck_assert_ptr_nonnull(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

/* The session of these tests is not connected to a kernel, so there is nothing to clone. */
START_TEST(a_channel_that_cannot_be_opened_is_closed)
{
	unsigned before = open_descriptors();

	for (int i = 0; i < 2; i++)
		ck_assert_int_lt(th_fuse_channel_open(th_fake_kernel_fuse()->session, i), 0);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

static void *other_thread(void *arg)
{
	(void)arg;
	ck_assert_int_eq(th_fuse_channel(), 0);
	th_fuse_set_channel(8);
	return NULL;
}

START_TEST(each_thread_has_its_own_channel)
{
	pthread_t thread;

	ck_assert_int_eq(th_fuse_channel(), 0);
	th_fuse_set_channel(7);
	ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(th_fuse_channel(), 7);
	th_fuse_set_channel(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_channel_that_cannot_be_opened_is_closed, each_thread_has_its_own_channel };

	return run_handler_tests("fuse_channel", tests, sizeof(tests) / sizeof(tests[0]));
}
