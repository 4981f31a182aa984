/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/heartbeat.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "journal/base/clock.h"
#include "journal/super.h"
#include "tests/journal/suite.h"

#define INTERVAL_MS 50
#define NEVER_MS 100000 /* a wait of this interval would not end in a test */

static struct th_disk *disk;
static struct th_heartbeat_host here;
static char said[512];

static void keep_line(void *arg, const char *line)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s", line);
}

static void setup(void)
{
	th_ok(th_disk_memory_new(64, &disk));
	disk->report = keep_line;
	said[0] = 0;
	th_heartbeat_here(&here);
}

static void teardown(void)
{
	th_disk_close(disk);
}

static int start(const struct th_heartbeat_host *host, unsigned interval_ms, struct th_heartbeat **ret)
{
	return th_heartbeat_start(disk, host, interval_ms, ret);
}

static struct th_heartbeat_host another_host(void)
{
	return (struct th_heartbeat_host){
		.host = 1, .boot = 2, .pid = 3, .started = 4, .namespace = 5, .name = "other"
	};
}

/* Leaves the block of a writer that was killed. */
static void leave_block_of(const struct th_heartbeat_host *host)
{
	struct th_heartbeat *heartbeat;

	th_ok(start(host, INTERVAL_MS, &heartbeat));
	th_heartbeat_stop(heartbeat, false);
}

static void wait_for_beats(unsigned count)
{
	char *before = th_test_block(0), *now = th_test_block(0);

	th_ok(th_disk_read(disk, TH_HEARTBEAT_BLOCK, 1, before));
	while (count > 0) {
		usleep(1000);
		th_ok(th_disk_read(disk, TH_HEARTBEAT_BLOCK, 1, now));
		count -= memcmp(before, now, TH_BLOCK_SIZE) != 0;
		memcpy(before, now, TH_BLOCK_SIZE);
	}
	free(before);
	free(now);
}

START_TEST(this_host_is_known)
{
	struct th_heartbeat_host again;

	th_heartbeat_here(&again);
	ck_assert_uint_eq(here.pid, (uint64_t)getpid());
	ck_assert(here.boot && here.started && here.namespace);
	ck_assert_int_eq(memcmp(&here, &again, sizeof(here)), 0);
}
END_TEST

/* With NEVER_MS a wait would show as a test that does not end. */
START_TEST(no_wait_where_the_other_writer_cannot_be_alive)
{
	struct th_heartbeat_host dead = here, before = here;
	struct th_heartbeat *heartbeat;

	th_ok(start(&here, NEVER_MS, &heartbeat)); /* a new disk */
	th_heartbeat_stop(heartbeat, true);
	th_ok(start(&here, NEVER_MS, &heartbeat)); /* closed properly */
	th_heartbeat_stop(heartbeat, true);
	dead.started--; /* the number has been given to this process since */
	leave_block_of(&dead);
	th_ok(start(&here, NEVER_MS, &heartbeat));
	th_heartbeat_stop(heartbeat, true);
	here.host = before.host = 7;
	before.boot = 9;
	leave_block_of(&before);
	th_ok(start(&here, NEVER_MS, &heartbeat)); /* this host was booted since */
	th_heartbeat_stop(heartbeat, true);
}
END_TEST

START_TEST(disk_of_a_living_writer_is_refused)
{
	struct th_heartbeat_host other = another_host();
	struct th_heartbeat *heartbeat, *second;

	th_ok(start(_i ? &here : &other, INTERVAL_MS, &heartbeat));
	ck_assert_int_eq(start(_i ? &other : &here, INTERVAL_MS, &second), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(said, "is using it"));
	wait_for_beats(2);
	th_ok(th_heartbeat_check(heartbeat));
	ck_assert(!th_heartbeat_is_lost(heartbeat));
	th_heartbeat_stop(heartbeat, true);
}
END_TEST

START_TEST(disk_of_a_silent_writer_is_taken_after_a_wait)
{
	struct th_heartbeat_host other = another_host(), nowhere = here;
	struct th_heartbeat *heartbeat;
	uint64_t begin;

	if (_i == 1)
		nowhere.namespace ++; /* a living process of this host, perhaps */
	leave_block_of(_i == 1 ? &nowhere : &other);
	if (_i == 2) {
		char *torn = th_test_block(0x5a);

		th_ok(th_disk_write(disk, TH_HEARTBEAT_BLOCK, 1, torn));
		free(torn);
	}
	begin = th_monotonic_ns();
	th_ok(start(&here, INTERVAL_MS, &heartbeat));
	ck_assert_uint_ge(th_monotonic_ns() - begin, 2 * INTERVAL_MS * UINT64_C(1000000));
	th_heartbeat_stop(heartbeat, true);
}
END_TEST

START_TEST(writer_whose_block_was_changed_stops)
{
	struct th_heartbeat *heartbeat;
	char *foreign = th_test_block(0x5a), *found = th_test_block(0);

	th_ok(start(&here, INTERVAL_MS, &heartbeat));
	wait_for_beats(1);
	th_ok(th_disk_write(disk, TH_HEARTBEAT_BLOCK, 1, foreign));
	while (!th_heartbeat_is_lost(heartbeat))
		usleep(1000);
	ck_assert_int_eq(th_heartbeat_check(heartbeat), -EBUSY);
	th_heartbeat_stop(heartbeat, true);
	th_ok(th_disk_read(disk, TH_HEARTBEAT_BLOCK, 1, found));
	ck_assert_int_eq(memcmp(found, foreign, TH_BLOCK_SIZE), 0); /* it is not overwritten */
	free(foreign);
	free(found);
}
END_TEST

/* Without a beat of its own the writer has to look at the block before it writes anything else. */
START_TEST(check_notices_a_loss_before_the_next_beat)
{
	struct th_heartbeat *heartbeat;
	char *foreign = th_test_block(0x5a);

	th_ok(start(&here, 1, &heartbeat));
	wait_for_beats(1);
	th_ok(th_disk_write(disk, TH_HEARTBEAT_BLOCK, 1, foreign));
	usleep(3000); /* two intervals at least */
	ck_assert_int_eq(th_heartbeat_check(heartbeat), -EBUSY);
	th_heartbeat_stop(heartbeat, true);
	free(foreign);
}
END_TEST

/* Is another writer that takes the disk after this one has looked at it: its block is overwritten. */
static int take_it_first(void *arg, uint64_t addr)
{
	char *foreign = th_test_block(0x5a);

	(void)arg;
	disk->guard = NULL;
	th_ok(th_disk_write(disk, addr, 1, foreign));
	free(foreign);
	return 0;
}

static const struct th_disk_ops *plain_ops;
static struct th_disk_ops taken_ops;
static int reads_left;

/* Is another writer whose block comes after this one's, before the last of reads_left reads. */
static void take_it_last(struct th_disk *of, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	char *foreign = th_test_block(0x5a);

	of->ops = plain_ops;
	if (--reads_left == 0)
		th_ok(th_disk_write(of, addr, blocks, foreign));
	th_ok(th_disk_read(of, addr, blocks, buf));
	th_future_init(future, NULL, NULL);
	th_future_complete(future, 0);
	free(foreign);
	if (reads_left > 0)
		of->ops = &taken_ops;
}

START_TEST(one_of_two_that_begin_at_once_has_the_disk)
{
	struct th_heartbeat *heartbeat;

	disk->guard = take_it_first;
	th_ok(start(&here, NEVER_MS, &heartbeat)); /* the last one to write has the disk */
	th_heartbeat_stop(heartbeat, true);
	plain_ops = disk->ops;
	taken_ops = *disk->ops;
	taken_ops.now = NULL;
	taken_ops.get = take_it_last;
	disk->ops = &taken_ops;
	reads_left = 3; /* of the former writer's block, twice, and of this one's */
	ck_assert_int_eq(start(&here, NEVER_MS, &heartbeat), -EADDRINUSE);
	ck_assert_int_eq(reads_left, 0);
}
END_TEST

START_TEST(writer_without_a_heartbeat_looks_and_leaves_the_block_free)
{
	struct th_heartbeat_host other = another_host();
	struct th_heartbeat *heartbeat, *none;

	th_ok(start(&other, INTERVAL_MS, &heartbeat));
	ck_assert_int_eq(start(&here, 0, &none), -EADDRINUSE);
	th_heartbeat_stop(heartbeat, false);
	th_ok(start(&here, 0, &none));
	ck_assert_ptr_null(none);
	th_ok(start(&other, NEVER_MS, &heartbeat)); /* no wait */
	th_heartbeat_stop(heartbeat, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("heartbeat");
	TCase *tc = tcase_create("memory");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, this_host_is_known);
	tcase_add_test(tc, no_wait_where_the_other_writer_cannot_be_alive);
	tcase_add_loop_test(tc, disk_of_a_living_writer_is_refused, 0, 2);
	tcase_add_loop_test(tc, disk_of_a_silent_writer_is_taken_after_a_wait, 0, 3);
	tcase_add_test(tc, writer_whose_block_was_changed_stops);
	tcase_add_test(tc, check_notices_a_loss_before_the_next_beat);
	tcase_add_test(tc, one_of_two_that_begin_at_once_has_the_disk);
	tcase_add_test(tc, writer_without_a_heartbeat_looks_and_leaves_the_block_free);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
