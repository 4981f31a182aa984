/* SPDX-License-Identifier: Apache-2.0 */
/* Diff sessions: their stream in pieces of any size, their limit and their end. */
#include "fs/diff/diff_session.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

#define FILES 50

static struct th_scene scene;
static struct th_diff_sessions *sessions;

/* Snapshot "before", then the directory /d with FILES files. */
static void setup(void)
{
	char path[32];

	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "before", NULL), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/d/file%u", i);
		ck_assert_int_eq(th_scene_make(&scene, path, S_IFREG | 0644), 0);
	}
	ck_assert_int_eq(th_diff_sessions_new(&sessions), 0);
}

static void teardown(void)
{
	th_diff_sessions_free(sessions);
	th_scene_close(&scene);
}

static int begin(uint64_t *ret_id)
{
	struct th_fs_diff_options options = { .from = "before" };
	struct th_fs_diff *diff;
	int err;

	ck_assert_int_eq(th_fs_diff_open(scene.fs, &options, &diff), 0);
	err = th_diff_session_begin(sessions, diff, ret_id);
	if (err) /* it is still the caller's */
		th_fs_diff_close(diff);
	return err;
}

/* Reads a session to its end in pieces of `size` bytes.  Returns the number of changes. */
static unsigned count_changes(uint64_t id, size_t size)
{
	struct th_diff_session_piece piece = { .ended = false };
	static uint8_t stream[1 << 16];
	struct th_fs_change change;
	size_t bytes = 0, taken;
	unsigned count = 0;

	while (!piece.ended) {
		ck_assert_uint_le(bytes + size, sizeof(stream));
		ck_assert_int_eq(th_diff_session_read(sessions, id, stream + bytes, size, &piece), 0);
		ck_assert_uint_le(piece.bytes, size);
		bytes += piece.bytes;
	}
	ck_assert_uint_gt(piece.stats.entries_compared, 0);
	for (size_t at = 0; at < bytes; at += taken, count++) {
		ck_assert_int_eq(th_fs_change_unpack(stream + at, bytes - at, &change, &taken), 0);
		th_fs_change_release(&change);
	}
	return count;
}

START_TEST(pieces_of_any_size_make_up_the_stream)
{
	static const size_t sizes[] = { 1, 7, 100, 4096, 30000 };
	uint64_t id;

	ck_assert_int_eq(begin(&id), 0);
	ck_assert_uint_eq(count_changes(id, sizes[_i]), FILES + 2); /* with /d and the root */
	ck_assert_int_eq(th_diff_session_end(sessions, id), 0);
}
END_TEST

START_TEST(an_ended_session_stays_readable_until_it_is_closed)
{
	struct th_diff_session_piece piece;
	uint8_t buffer[100];
	uint64_t id;

	ck_assert_int_eq(begin(&id), 0);
	count_changes(id, 4096);
	ck_assert_int_eq(th_diff_session_read(sessions, id, buffer, sizeof(buffer), &piece), 0);
	ck_assert(piece.ended);
	ck_assert_uint_eq(piece.bytes, 0);
}
END_TEST

START_TEST(unknown_sessions_are_refused)
{
	struct th_diff_session_piece piece;
	uint8_t buffer[100];
	uint64_t id;

	ck_assert_int_eq(begin(&id), 0);
	ck_assert_int_eq(th_diff_session_end(sessions, id), 0);
	ck_assert_int_eq(th_diff_session_end(sessions, id), -ESTALE);
	ck_assert_int_eq(th_diff_session_read(sessions, id, buffer, sizeof(buffer), &piece), -ESTALE);
	ck_assert_int_eq(th_diff_session_end(sessions, 0), -ESTALE);
}
END_TEST

START_TEST(the_number_of_sessions_is_limited)
{
	uint64_t ids[TH_DIFF_SESSIONS_MAX], more;

	for (unsigned i = 0; i < TH_DIFF_SESSIONS_MAX; i++)
		ck_assert_int_eq(begin(&ids[i]), 0);
	ck_assert_int_eq(begin(&more), -EMFILE);
	ck_assert_int_eq(th_diff_session_end(sessions, ids[3]), 0);
	ck_assert_int_eq(begin(&more), 0);
	ck_assert_uint_eq(count_changes(ids[0], 4096), FILES + 2);
	/* th_diff_sessions_free ends the others. */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diff_session");
	TCase *tc = tcase_create("diff_session");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, pieces_of_any_size_make_up_the_stream, 0, 5);
	tcase_add_test(tc, an_ended_session_stays_readable_until_it_is_closed);
	tcase_add_test(tc, unknown_sessions_are_refused);
	tcase_add_test(tc, the_number_of_sessions_is_limited);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
