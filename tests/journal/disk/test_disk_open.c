/* SPDX-License-Identifier: Apache-2.0 */
/* Names of disks: paths and URLs, and the engine that a file gets. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/journal/disk/disks.h"

/* Opens `url`, checks that it is the file of `blocks` blocks and that messages call it by the URL. */
static void check_opens(const char *url, uint64_t blocks)
{
	struct th_disk *disk;

	th_ok(th_disk_open_url(url, 0, &disk));
	ck_assert_uint_eq(disk->blocks, blocks);
	ck_assert_str_eq(disk->name, url);
	th_disk_close(disk);
}

static void check_refused(const char *url, int err)
{
	struct th_disk *disk = NULL;

	ck_assert_int_eq(th_disk_open_url(url, 0, &disk), err);
	ck_assert_ptr_null(disk);
}

START_TEST(url_opens_paths_and_file_urls)
{
	const char *path = th_test_file(8 * TH_BLOCK_SIZE);
	char url[5000], *absolute = realpath(path, NULL);

	check_opens(path, 8);
	snprintf(url, sizeof(url), "file:%s", path);
	check_opens(url, 8);
	snprintf(url, sizeof(url), "FILE:%s", absolute);
	check_opens(url, 8);
	snprintf(url, sizeof(url), "file://%s", absolute);
	check_opens(url, 8);
	free(absolute);
}
END_TEST

START_TEST(url_of_unknown_scheme_is_refused)
{
	check_refused("xyz:pool/image", -EPFNOSUPPORT);
	check_refused("x+y-1.z://host/image", -EPFNOSUPPORT);
	check_refused("xyz:", -EPFNOSUPPORT);
	check_refused("files:x", -EPFNOSUPPORT);
	ck_assert_ptr_null(th_disk_url_path("xyz:pool/image"));
}
END_TEST

/* A colon alone does not make a URL. */
START_TEST(url_without_scheme_is_a_path)
{
	static const char *const paths[] = { "no-such-file.img", "./xyz:image", "1:image", ":image", "a b:image", "" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		check_refused(paths[i], -ENOENT);
		ck_assert_ptr_eq(th_disk_url_path(paths[i]), paths[i]);
	}
	check_refused("file:", -ENOENT);
	check_refused("file:no-such-file.img", -ENOENT);
	ck_assert_str_eq(th_disk_url_path("file:no-such-file.img"), "no-such-file.img");
}
END_TEST

START_TEST(url_prefers_an_existing_path_to_an_unknown_scheme)
{
	const char *path = th_test_file(8 * TH_BLOCK_SIZE);
	char odd[80];

	snprintf(odd, sizeof(odd), "xyz:%s", path);
	th_ok(rename(path, odd));
	check_opens(odd, 8);
	ck_assert_ptr_eq(th_disk_url_path(odd), odd);
	th_ok(unlink(odd));
	check_refused(odd, -EPFNOSUPPORT);
	/* A known scheme comes first; "./" makes a path of it. */
	snprintf(odd, sizeof(odd), "file:%s", path);
	close(open(odd, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	check_refused(odd, -ENOENT);
	snprintf(odd, sizeof(odd), "./file:%s", path);
	check_opens(odd, 0);
	th_ok(unlink(odd));
}
END_TEST

/* Only the disk on io_uring needs its waiters to reap. */
static bool uses_io_uring(const struct th_disk *disk)
{
	return disk->ops->reap != NULL;
}

START_TEST(open_uses_threads_if_asked)
{
	struct th_disk *disk = th_test_disk(TH_TEST_THREADS);

	ck_assert(!uses_io_uring(disk));
	th_disk_close(disk);
}
END_TEST

START_TEST(open_falls_back_to_threads_without_io_uring)
{
	struct th_disk *disk;
	char *block = th_test_block(3), *other = th_test_block(0);
	struct iovec iov = { .iov_base = block, .iov_len = TH_BLOCK_SIZE };

	th_test_forbid_io_uring();
	disk = th_test_disk(TH_TEST_URING);
	ck_assert(!uses_io_uring(disk));
	th_ok(th_test_save(disk, 5, &iov, 1));
	th_ok(th_test_get(disk, 5, 1, other));
	ck_assert_mem_eq(block, other, TH_BLOCK_SIZE);
	free(block);
	free(other);
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_open");
	TCase *tcase = tcase_create("disk_open");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, NULL, th_test_file_remove);
	tcase_add_test(tcase, url_opens_paths_and_file_urls);
	tcase_add_test(tcase, url_of_unknown_scheme_is_refused);
	tcase_add_test(tcase, url_without_scheme_is_a_path);
	tcase_add_test(tcase, url_prefers_an_existing_path_to_an_unknown_scheme);
	tcase_add_test(tcase, open_uses_threads_if_asked);
	tcase_add_test(tcase, open_falls_back_to_threads_without_io_uring); /* last: without CK_FORK it lasts */
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
