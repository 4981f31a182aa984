/* SPDX-License-Identifier: Apache-2.0 */
/* The space log: its growth, and contradictions in checkpoints and in logs. */
#include "journal/space/blocklist_page.h"
#include "tests/journal/space/new_space.h"

static int mark(uint64_t addr, uint64_t blocks, void *arg)
{
	memset((uint8_t *)arg + addr, 1, blocks);
	return 0;
}

static void checkpoint(struct th_space *space, struct th_disk *disk, struct th_blocklist *log)
{
	th_space_freeze(space);
	th_ok(th_space_checkpoint(space, disk, log));
	th_space_checkpointed(space);
}

START_TEST(log_stays_in_proportion_to_the_map)
{
	struct th_random random = { th_test_seed("log_stays_in_proportion_to_the_map") };
	struct th_space *space = th_test_space(65536);
	struct th_blocklist log = { 0 };
	uint64_t held[3000] = { 0 }, most = 0;
	struct th_disk *disk;
	uint32_t blocks;

	th_ok(th_disk_memory_new(65536, &disk));
	for (unsigned round = 0; round < 1500; round++) {
		for (unsigned i = 0; i < 100; i++) {
			uint64_t *slot = &held[th_random_below(&random, 3000)];

			if (*slot)
				th_space_note_free(space, TH_SPACE_LIVE, *slot, 1);
			th_ok(th_space_take(space, TH_SPACE_USER, 1, 1, NULL, slot, &blocks));
			th_space_note_alloc(space, TH_SPACE_LIVE, *slot, 1);
		}
		checkpoint(space, disk, &log);
		if (most < log.pages)
			most = log.pages;
	}
	ck_assert_uint_le(most, 2 * 18 + 3 + 9); /* 3000 runs are 18 pages */
	ck_assert_uint_ge(most, 16);
	th_space_free(space);
	th_disk_close(disk);
}
END_TEST

/* In the loaded map as in the one in memory, however full the newest page of the log is. */
START_TEST(checkpoint_without_changes_ends_the_wait_of_freed_blocks)
{
	struct th_space *space = th_test_space(4000), *loaded;
	struct th_blocklist log = { 0 };
	struct th_disk *disk;

	th_ok(th_disk_memory_new(4000, &disk));
	for (unsigned i = 0; i < 400; i++) {
		uint64_t addr;
		uint32_t blocks;

		th_ok(th_space_take(space, TH_SPACE_META, 1, 1, NULL, &addr, &blocks));
		th_space_note_alloc(space, TH_SPACE_LIVE, addr, 1);
		checkpoint(space, disk, &log);
		th_space_note_free(space, TH_SPACE_LIVE, addr, 1);
		checkpoint(space, disk, &log);
		checkpoint(space, disk, &log);
		loaded = th_test_space(4000);
		th_ok(th_space_load(loaded, disk, &log));
		th_check(!th_space_in_use(space, addr, 1));
		th_check(!th_space_in_use(loaded, addr, 1));
		th_space_free(loaded);
	}
	th_space_free(space);
	th_disk_close(disk);
}
END_TEST

static struct th_disk *fresh_disk(void)
{
	struct th_disk *disk;

	th_ok(th_disk_memory_new(5000, &disk));
	return disk;
}

/* The last log and map stay as they were. */
START_TEST(checkpoint_refuses_contradictions)
{
	static const struct {
		bool alloc;
		uint64_t addr;
		uint32_t blocks;
	} wrong[] = {
		{ true, 100, 1 }, /* allocated already */
		{ true, 99, 2 },          { false, 200, 1 }, /* not allocated */
		{ false, 109, 2 },        { true, 4999, 2 }, /* beyond the end */
		{ false, UINT64_MAX, 2 },
	};
	struct th_space *space = th_test_space(5000);
	struct th_disk *disk = fresh_disk();
	struct th_blocklist log = { 0 }, before;
	uint8_t used[5000] = { 0 }, used_after[5000] = { 0 };

	th_ok(th_space_claim(space, 100, 10));
	th_space_note_alloc(space, TH_SPACE_LIVE, 100, 10);
	checkpoint(space, disk, &log);
	before = log;
	th_ok(th_space_each_used(space, mark, used));
	th_ok(th_space_claim(space, 300, 10));
	th_space_note_alloc(space, TH_SPACE_LIVE, 300, 10);
	th_space_note_free(space, TH_SPACE_LIVE, 102, 2);
	if (wrong[_i].alloc)
		th_space_note_alloc(space, TH_SPACE_LIVE, wrong[_i].addr, wrong[_i].blocks);
	else
		th_space_note_free(space, TH_SPACE_LIVE, wrong[_i].addr, wrong[_i].blocks);
	th_space_freeze(space);
	ck_assert_int_eq(th_space_checkpoint(space, disk, &log), -EUCLEAN);
	ck_assert_mem_eq(&log, &before, sizeof(log));
	th_ok(th_space_each_used(space, mark, used_after));
	ck_assert_mem_eq(used, used_after, sizeof(used));
	th_space_free(space);
	th_disk_close(disk);
}
END_TEST

/* Whichever transfer fails, the last log can be loaded and matches the logged map. */
START_TEST(failed_checkpoint_leaves_the_last_log_valid)
{
	struct th_random random = { th_test_seed("failed_checkpoint_leaves_the_last_log_valid") };
	unsigned failures = 0;
	bool done = false;

	for (uint64_t nth = 0; !done; nth++) {
		struct th_space *space = th_test_space(5000), *loaded = th_test_space(5000);
		uint8_t used[5000] = { 0 }, loaded_used[5000] = { 0 };
		struct th_blocklist log = { 0 };
		struct th_disk *disk;
		int err = 0;

		th_ok(th_disk_fault_new(fresh_disk(), &disk));
		th_disk_fault_arm(disk, _i ? TH_FAULT_TEAR : TH_FAULT_ERROR, nth);
		for (unsigned round = 0; round < 5 && !err; round++) {
			for (unsigned i = 0; i < 300; i++) {
				uint64_t hint = th_random_below(&random, 5000), addr;
				uint32_t blocks;

				th_ok(th_space_take(space, TH_SPACE_META, 1, 1, &hint, &addr, &blocks));
				th_space_note_alloc(space, TH_SPACE_LIVE, addr, 1);
				if (i % 3 == 0)
					th_space_note_free(space, TH_SPACE_LIVE, addr, 1);
			}
			th_space_freeze(space);
			err = th_space_checkpoint(space, disk, &log);
			if (!err)
				th_space_checkpointed(space);
		}
		th_check(err == 0 || err == -EIO);
		done = err == 0;
		failures += !done;
		th_disk_fault_arm(disk, TH_FAULT_NONE, 0);
		th_ok(th_space_load(loaded, disk, &log));
		th_ok(th_space_each_used(space, mark, used));
		th_ok(th_space_each_used(loaded, mark, loaded_used));
		th_check(memcmp(used, loaded_used, sizeof(used)) == 0);
		th_space_free(space);
		th_space_free(loaded);
		th_disk_close(disk);
	}
	ck_assert_uint_gt(failures, 4);
}
END_TEST

/* --- hostile logs --- */

static int load_runs(struct th_disk *disk, const struct th_blockrun *runs, size_t nruns)
{
	struct th_blocklist_supply supply = { .addr = 20, .blocks = 10 };
	struct th_blocklist_writer writer;
	struct th_blocklist list = { 0 };
	struct th_space *space = th_test_space(4000);
	int err;

	th_ok(th_blocklist_writer_init(&writer, disk, NULL, &list));
	writer.first.more = &supply;
	writer.first.nmore = 1;
	for (size_t i = 0; i < nruns; i++)
		th_ok(th_blocklist_writer_run(&writer, &runs[i]));
	th_ok(th_blocklist_writer_finish(&writer, &list));
	th_blocklist_writer_release(&writer);
	err = th_space_load(space, disk, &list);
	th_space_free(space);
	return err;
}

#define ALLOC 1
#define RELEASE 2

START_TEST(contradictory_logs_are_refused)
{
	static const struct {
		struct th_blockrun run;
		int err;
	} cases[] = {
		{ { .addr = 100, .blocks = 5, .tag = ALLOC, .birth = 1 }, 0 },
		{ { .addr = 8, .blocks = 1, .tag = ALLOC, .birth = 1 }, 0 },
		{ { .addr = 20, .blocks = 1, .tag = RELEASE, .birth = 1 }, -EUCLEAN }, /* the log itself */
		{ { .addr = 20, .blocks = 1, .tag = ALLOC, .birth = 1 }, -EUCLEAN }, /* twice */
		{ { .addr = 100, .blocks = 5, .tag = RELEASE, .birth = 1 }, -EUCLEAN },
		{ { .addr = 100, .blocks = 5, .tag = 0, .birth = 1 }, -EUCLEAN },
		{ { .addr = 100, .blocks = 5, .tag = 3, .birth = 1 }, -EUCLEAN },
		{ { .addr = 0, .blocks = 1, .tag = ALLOC, .birth = 1 }, -EUCLEAN }, /* a fixed area */
		{ { .addr = 3990, .blocks = 10, .tag = ALLOC, .birth = 1 }, -EUCLEAN },
		{ { .addr = 3999, .blocks = 10, .tag = ALLOC, .birth = 1 }, -EUCLEAN }, /* outside the map */
		{ { .addr = 4500, .blocks = 10, .tag = ALLOC, .birth = 1 }, -EUCLEAN },
		{ { .addr = 100000, .blocks = 10, .tag = ALLOC, .birth = 1 }, -EUCLEAN }, /* outside the disk */
		{ { .addr = UINT64_MAX, .blocks = UINT32_MAX, .tag = ALLOC, .birth = 1 }, -EUCLEAN },
	};
	struct th_disk *disk = fresh_disk();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct th_blockrun runs[] = { { .addr = 20, .blocks = 10, .tag = ALLOC, .birth = 1 }, cases[i].run };

		th_check(load_runs(disk, runs, 2) == cases[i].err);
		/* Now the log does not allocate its own page. */
		if (cases[i].run.addr != 20)
			th_check(load_runs(disk, &runs[1], 1) == -EUCLEAN);
	}
	th_disk_close(disk);
}
END_TEST

START_TEST(hostile_logs_are_refused_or_loaded)
{
	struct th_random random = { th_test_seed("hostile_logs_are_refused_or_loaded") };
	struct th_disk *disk = fresh_disk();

	for (unsigned round = 0; round < th_test_rounds(2000); round++) {
		struct th_blockrun runs[40] = { { .addr = 20, .blocks = 1, .tag = ALLOC, .birth = 1 } };
		size_t nruns = 1 + th_random_below(&random, 39);
		int err;

		for (size_t i = 1; i < nruns; i++)
			runs[i] = (struct th_blockrun){
				.addr = th_random_below(&random, th_random_percent(&random, 90) ? 300 : 6000),
				.blocks = 1 + th_random_below(&random, 10),
				.tag = 1 + th_random_below(&random, 2),
				.birth = th_random_below(&random, 4),
			};
		err = load_runs(disk, runs, nruns);
		th_check(err == 0 || err == -EUCLEAN);
	}
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space_log");
	TCase *tcase = tcase_create("space_log");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, log_stays_in_proportion_to_the_map);
	tcase_add_test(tcase, checkpoint_without_changes_ends_the_wait_of_freed_blocks);
	tcase_add_loop_test(tcase, checkpoint_refuses_contradictions, 0, 6);
	tcase_add_loop_test(tcase, failed_checkpoint_leaves_the_last_log_valid, 0, 2);
	tcase_add_test(tcase, contradictory_logs_are_refused);
	tcase_add_test(tcase, hostile_logs_are_refused_or_loaded);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
