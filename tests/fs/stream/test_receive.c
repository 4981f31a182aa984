/* SPDX-License-Identifier: Apache-2.0 */
/* Sender and receiver together: what is received equals what was sent. */
#include "fs/stream/receive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/data/copy.h"
#include "fs/data/file.h"
#include "fs/snapshot/branch.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/fs/stream/stream_scene.h"
#include "tests/support/suite.h"

static struct th_scene from, to;

static void setup(void)
{
	th_scene_open(&from, NULL);
	th_stream_target(&to);
}

static void teardown(void)
{
	if (to.fs)
		th_stream_target_close(&to);
	th_stream_target_remove(&to);
	th_scene_close(&from);
}

static void snapshot(const char *name)
{
	ck_assert_int_eq(th_fs_snapshot_create(from.fs, name, NULL), 0);
}

/* Sends a snapshot to `to`. */
static int transfer(const char *name, const char *base)
{
	struct th_bytes bytes = th_stream_of(from.fs, name, base);
	int err = th_stream_receive(to.image, NULL, bytes, NULL);

	free(bytes.data);
	return err;
}

static void expect_equal(const char *name)
{
	th_stream_target_open(&to);
	th_stream_expect_equal(from.fs, to.fs, name);
	th_stream_target_check(&to);
	th_stream_target_close(&to);
}

START_TEST(a_received_snapshot_equals_the_one_that_was_sent)
{
	struct th_random random = { th_test_seed("receive") };
	char name[16], base[16];

	for (unsigned i = 0; i < th_test_rounds(6); i++) {
		th_stream_churn(&from, &random, 400);
		snprintf(base, sizeof(base), "s%u", i - 1);
		snprintf(name, sizeof(name), "s%u", i);
		snapshot(name);
		ck_assert_int_eq(transfer(name, i ? base : NULL), 0);
		expect_equal(name);
	}
}
END_TEST

START_TEST(a_compressed_stream_in_random_parts)
{
	struct th_random random = { th_test_seed("receive-parts") };
	struct th_bytes bytes;

	th_stream_churn(&from, &random, 400);
	snapshot("s");
	bytes = th_stream_make(from.fs, &(struct th_send_options){ .snapshot = "s", .compress = true });
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, &random), 0);
	free(bytes.data);
	expect_equal("s");
}
END_TEST

/* --- a receiver that is killed, and goes on --- */

/* Feeds the first bytes only, and closes the image as a receiver that was asked to end does. */
static int receive_part(struct th_bytes bytes, size_t size)
{
	return th_stream_receive(to.image, NULL, (struct th_bytes){ bytes.data, size }, NULL);
}

START_TEST(a_stream_that_ends_early_is_continued_by_the_same_stream)
{
	struct th_random random = { th_test_seed("receive-again") };
	struct th_bytes bytes;
	char name[16], base[16];

	for (unsigned i = 0; i < 3; i++) {
		th_stream_churn(&from, &random, 400);
		snprintf(base, sizeof(base), "s%u", i - 1);
		snprintf(name, sizeof(name), "s%u", i);
		snapshot(name);
		bytes = th_stream_of(from.fs, name, i ? base : NULL);
		for (unsigned k = 0; k < 4; k++)
			ck_assert_int_eq(receive_part(bytes, th_random_below(&random, (uint32_t)bytes.size)), -ENODATA);
		ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
		free(bytes.data);
		expect_equal(name);
	}
}
END_TEST

START_TEST(a_stream_is_resumed_by_a_token)
{
	struct th_random random = { th_test_seed("receive-token") };
	struct th_receive_options options = { .image = to.image };
	struct th_send_options resume = { 0 };
	char token[TH_STREAM_TOKEN_SIZE];
	struct th_bytes bytes;
	unsigned resumed = 0;

	th_stream_churn(&from, &random, 1000);
	snapshot("a");
	bytes = th_stream_of(from.fs, "a", NULL);
	ck_assert_int_eq(receive_part(bytes, bytes.size / 2), -ENODATA);
	while (!th_receive_token(&options, token)) {
		int err;

		free(bytes.data);
		resume.resume = token;
		bytes = th_stream_make(from.fs, &resume);
		err = receive_part(bytes, resumed++ < 5 ? bytes.size / 2 : bytes.size);
		ck_assert(err == 0 || err == -ENODATA);
	}
	ck_assert_uint_ge(resumed, 5);
	free(bytes.data);
	expect_equal("a");
}
END_TEST

/* Feeds the first `size` bytes and copies the image as it is then, as a crash would leave it. */
static void receive_and_crash(struct th_bytes bytes, size_t size)
{
	struct th_receive_options options = { .image = to.image };
	struct th_receive *receive;
	char copy[96];

	ck_assert_int_eq(th_receive_new(&options, &receive), 0);
	ck_assert_int_eq(th_receive_feed(receive, bytes.data, size), 0);
	th_scene_remember(&to);
	ck_assert_int_eq(th_receive_close(receive), 0);
	snprintf(copy, sizeof(copy), "%s.crash", to.image);
	ck_assert_int_eq(rename(copy, to.image), 0);
}

START_TEST(a_crash_leaves_an_image_that_goes_on)
{
	struct th_random random = { th_test_seed("receive-crash") };
	struct th_bytes bytes;
	char name[16], base[16];

	for (unsigned i = 0; i < 2; i++) {
		th_stream_churn(&from, &random, 400);
		snprintf(base, sizeof(base), "s%u", i - 1);
		snprintf(name, sizeof(name), "s%u", i);
		snapshot(name);
		bytes = th_stream_of(from.fs, name, i ? base : NULL);
		for (unsigned k = 1; k < 5; k++)
			receive_and_crash(bytes, bytes.size * k / 5);
		ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
		free(bytes.data);
		expect_equal(name);
	}
}
END_TEST

START_TEST(an_unfinished_branch_is_not_shown)
{
	struct th_random random = { th_test_seed("receive-unfinished") };
	struct th_receive_options options = { .image = to.image };
	struct th_disk *disk;
	struct th_bytes bytes;
	struct th_fs *fs;

	th_stream_churn(&from, &random, 400);
	snapshot("a");
	bytes = th_stream_of(from.fs, "a", NULL);
	ck_assert_int_eq(receive_part(bytes, bytes.size / 2), -ENODATA);
	ck_assert_int_eq(th_disk_open(to.image, TH_DISK_BUFFERED, &disk), 0);
	ck_assert_int_eq(th_fs_open(disk, &to.options, &fs), -ECANCELED);
	th_disk_close(disk);
	ck_assert_int_eq(th_receive_abort(&options), 0);
	ck_assert_int_eq(th_receive_abort(&options), -ENOENT);
	th_stream_target_open(&to);
	th_stream_target_check(&to);
	ck_assert_uint_eq(th_scene_attr(&to, "/").size, 0);
	th_stream_target_close(&to);
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
	free(bytes.data);
	expect_equal("a");
}
END_TEST

START_TEST(an_unfinished_branch_gives_way_to_the_one_before)
{
	struct th_random random = { th_test_seed("receive-other") };
	struct th_receive_options options = { .image = to.image, .branch = "other" };
	struct th_store_info info;
	struct th_bytes bytes;

	th_stream_churn(&from, &random, 400);
	snapshot("a");
	ck_assert_int_eq(transfer("a", NULL), 0);
	th_stream_churn(&from, &random, 400);
	snapshot("b");
	bytes = th_stream_of(from.fs, "b", "a");
	ck_assert_int_eq(
		th_stream_receive(to.image, &options, (struct th_bytes){ bytes.data, bytes.size * 2 / 3 }, NULL),
		-ENODATA);
	th_stream_target_open(&to);
	th_store_info(to.fs->store, &info);
	ck_assert_str_eq(info.branch, "main");
	th_stream_expect_equal(from.fs, to.fs, "a");
	th_stream_target_check(&to);
	th_stream_target_close(&to);
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
	free(bytes.data);
	expect_equal("b");
	th_stream_target_open(&to);
	th_store_info(to.fs->store, &info);
	ck_assert_str_eq(info.branch, "main");
	th_stream_target_close(&to);
}
END_TEST

START_TEST(a_created_branch_is_deleted_again)
{
	struct th_random random = { th_test_seed("receive-abort") };
	struct th_receive_options options = { .image = to.image, .branch = "other" };
	struct th_bytes bytes;

	th_stream_churn(&from, &random, 300);
	snapshot("a");
	ck_assert_int_eq(transfer("a", NULL), 0);
	th_stream_churn(&from, &random, 300);
	snapshot("b");
	bytes = th_stream_of(from.fs, "b", "a");
	ck_assert_int_eq(th_stream_receive(to.image, &options, (struct th_bytes){ bytes.data, bytes.size / 2 }, NULL),
			 -ENODATA);
	options.branch = NULL;
	ck_assert_int_eq(th_receive_abort(&options), 0);
	th_stream_target_open(&to);
	ck_assert_int_eq(th_branch_find(to.fs->store, "other", NULL), -ENOENT);
	th_stream_target_check(&to);
	th_stream_target_close(&to);
	ck_assert_int_eq(receive_part(bytes, bytes.size / 2), -ENODATA);
	ck_assert_int_eq(th_receive_abort(&options), 0); /* rolls back to the base */
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
	free(bytes.data);
	expect_equal("b");
}
END_TEST

/* --- which streams are taken --- */

START_TEST(a_snapshot_that_exists_is_skipped)
{
	ck_assert_int_eq(th_scene_make(&from, "/file", S_IFREG | 0644), 0);
	snapshot("a");
	ck_assert_int_eq(transfer("a", NULL), 0);
	ck_assert_int_eq(transfer("a", NULL), 0);
	expect_equal("a");
}
END_TEST

START_TEST(streams_that_do_not_fit_are_refused)
{
	ck_assert_int_eq(th_scene_make(&from, "/file", S_IFREG | 0644), 0);
	snapshot("a");
	ck_assert_int_eq(th_scene_make(&from, "/more", S_IFREG | 0644), 0);
	snapshot("b");
	ck_assert_int_eq(th_scene_make(&from, "/rest", S_IFREG | 0644), 0);
	snapshot("c");
	ck_assert_int_eq(transfer("b", "a"), -ENXIO); /* without its base */
	ck_assert_int_eq(transfer("a", NULL), 0);
	ck_assert_int_eq(transfer("c", NULL), -ENOTEMPTY);
	ck_assert_int_eq(transfer("c", "b"), -ENXIO);
	ck_assert_int_eq(transfer("c", "a"), 0); /* b may be missing in between */
	expect_equal("c");
	ck_assert_int_eq(th_fs_snapshot_delete(from.fs, "b"), 0);
	ck_assert_int_eq(th_scene_make(&from, "/last", S_IFREG | 0644), 0);
	snapshot("b");
	th_stream_target_open(&to);
	ck_assert_int_eq(th_fs_snapshot_create(to.fs, "b", NULL), 0);
	th_stream_target_close(&to);
	ck_assert_int_eq(transfer("b", "c"), -EEXIST); /* another snapshot has that name */
}
END_TEST

START_TEST(a_base_is_found_by_identity_and_in_both_directions)
{
	struct th_random random = { th_test_seed("receive-back") };
	struct th_bytes bytes;

	th_stream_churn(&from, &random, 300);
	snapshot("a");
	ck_assert_int_eq(transfer("a", NULL), 0);
	th_stream_target_open(&to);
	ck_assert_int_eq(th_fs_snapshot_rename(to.fs, "a", "renamed"), 0);
	th_stream_churn(&to, &random, 300);
	ck_assert_int_eq(th_fs_snapshot_create(to.fs, "b", NULL), 0);
	bytes = th_stream_of(to.fs, "b", "renamed");
	ck_assert_int_eq(th_fs_close(from.fs), 0);
	ck_assert_int_eq(th_stream_receive(from.image, NULL, bytes, NULL), 0);
	free(bytes.data);
	th_stream_target_open(&from);
	th_stream_expect_equal(to.fs, from.fs, "b");
	th_stream_target_check(&from);
	th_stream_target_close(&to);
}
END_TEST

START_TEST(a_branch_that_has_changed_is_kept_if_forced)
{
	struct th_receive_options force = { .force = true };
	struct th_bytes bytes;

	ck_assert_int_eq(th_scene_make(&from, "/file", S_IFREG | 0644), 0);
	snapshot("a");
	ck_assert_int_eq(transfer("a", NULL), 0);
	th_stream_target_open(&to);
	ck_assert_int_eq(th_scene_make(&to, "/mine", S_IFREG | 0644), 0);
	th_stream_target_close(&to);
	ck_assert_int_eq(th_scene_make(&from, "/more", S_IFREG | 0644), 0);
	snapshot("b");
	bytes = th_stream_of(from.fs, "b", "a");
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), -ESTALE);
	ck_assert_int_eq(th_stream_receive(to.image, &force, bytes, NULL), 0);
	free(bytes.data);
	expect_equal("b");
	to.options.branch = "main-kept-1";
	th_stream_target_open(&to);
	ck_assert_uint_ne(th_scene_id(&to, "/mine"), 0);
	th_stream_target_close(&to);
	to.options.branch = "main";
	th_stream_target_open(&to);
	ck_assert_uint_ne(th_scene_id(&to, "/more"), 0);
}
END_TEST

START_TEST(shared_blocks_are_sent_once_and_shared_again)
{
	struct th_store_info info;
	struct th_inode *source, *copy;
	struct th_bytes bytes;
	uint8_t *data = malloc(1 << 20);
	uint64_t copied;

	th_random_fill(&(struct th_random){ 1 }, data, 1 << 20);
	ck_assert_int_eq(th_scene_make(&from, "/source", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&from, "/copy", S_IFREG | 0644), 0);
	source = th_scene_get(&from, "/source");
	copy = th_scene_get(&from, "/copy");
	ck_assert_int_eq(th_file_write(source, data, 1 << 20, 0, 0), 1 << 20);
	ck_assert_int_eq(th_file_writeback(source), 0);
	ck_assert_int_eq(th_file_copy_range(source, 0, copy, 0, 1 << 20, &copied), 0);
	ck_assert_int_eq(th_file_copy_range(source, 8192, copy, 2 << 20, 16384, &copied), 0);
	th_inode_put(source);
	th_inode_put(copy);
	free(data);
	snapshot("a");
	bytes = th_stream_of(from.fs, "a", NULL);
	ck_assert_uint_lt(bytes.size, (1 << 20) + 65536);
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
	free(bytes.data);
	expect_equal("a");
	th_stream_target_open(&to);
	th_store_info(to.fs->store, &info);
	ck_assert_uint_eq(info.shared_blocks, 256);
}
END_TEST

START_TEST(blocks_of_the_base_are_not_sent_again)
{
	struct th_store_info info;
	struct th_inode *source, *copy;
	struct th_bytes bytes;
	uint8_t *data = malloc(1 << 20);
	uint64_t copied;

	th_random_fill(&(struct th_random){ 1 }, data, 1 << 20);
	ck_assert_int_eq(th_scene_make(&from, "/source", S_IFREG | 0644), 0);
	source = th_scene_get(&from, "/source");
	ck_assert_int_eq(th_file_write(source, data, 1 << 20, 0, 0), 1 << 20);
	snapshot("a");
	ck_assert_int_eq(transfer("a", NULL), 0);
	ck_assert_int_eq(th_scene_make(&from, "/copy", S_IFREG | 0644), 0);
	copy = th_scene_get(&from, "/copy");
	ck_assert_int_eq(th_file_copy_range(source, 4096, copy, 0, 1 << 19, &copied), 0);
	ck_assert_int_eq(th_file_write(source, data, 1 << 19, 8192, 0), 1 << 19); /* not there any more */
	th_inode_put(source);
	th_inode_put(copy);
	free(data);
	snapshot("b");
	bytes = th_stream_of(from.fs, "b", "a");
	ck_assert_uint_lt(bytes.size, (1 << 19) + 65536);
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, NULL), 0);
	free(bytes.data);
	expect_equal("b");
	th_stream_target_open(&to);
	th_store_info(to.fs->store, &info);
	ck_assert_uint_gt(info.shared_blocks, 0);
}
END_TEST

/* --- damage --- */

START_TEST(a_damaged_stream_is_refused)
{
	struct th_random random = { th_test_seed("receive-damage") };
	struct th_bytes bytes;

	th_stream_churn(&from, &random, 300);
	snapshot("a");
	bytes = th_stream_of(from.fs, "a", NULL);
	for (unsigned i = 0; i < 30; i++) {
		size_t at = th_random_below(&random, (uint32_t)bytes.size);
		uint8_t bit = (uint8_t)(1u << th_random_below(&random, 8));
		int err;

		bytes.data[at] ^= bit;
		err = th_stream_receive(to.image, NULL, bytes, NULL);
		ck_assert(err == -EBADMSG || err == -EUCLEAN || err == -ENODATA);
		bytes.data[at] ^= bit;
	}
	ck_assert_int_eq(th_stream_receive(to.image, NULL, bytes, &random), 0);
	free(bytes.data);
	expect_equal("a");
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("receive");
	TCase *tests = tcase_create("receive");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 600);
	tcase_add_test(tests, a_received_snapshot_equals_the_one_that_was_sent);
	tcase_add_test(tests, a_compressed_stream_in_random_parts);
	tcase_add_test(tests, a_stream_that_ends_early_is_continued_by_the_same_stream);
	tcase_add_test(tests, a_stream_is_resumed_by_a_token);
	tcase_add_test(tests, a_crash_leaves_an_image_that_goes_on);
	tcase_add_test(tests, an_unfinished_branch_is_not_shown);
	tcase_add_test(tests, an_unfinished_branch_gives_way_to_the_one_before);
	tcase_add_test(tests, a_created_branch_is_deleted_again);
	tcase_add_test(tests, a_snapshot_that_exists_is_skipped);
	tcase_add_test(tests, streams_that_do_not_fit_are_refused);
	tcase_add_test(tests, a_base_is_found_by_identity_and_in_both_directions);
	tcase_add_test(tests, a_branch_that_has_changed_is_kept_if_forced);
	tcase_add_test(tests, shared_blocks_are_sent_once_and_shared_again);
	tcase_add_test(tests, blocks_of_the_base_are_not_sent_again);
	tcase_add_test(tests, a_damaged_stream_is_refused);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return th_suite_run(suite());
}
