/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each allocation of a scenario fails once, through the linker's --wrap.  The scenario then returns -ENOMEM or succeeds
 * without that memory, and leaks nothing, as the address sanitizer checks.
 */
#include <stdio.h>
#include <unistd.h>

#include "journal/log.h"
#include "journal/space/space.h"
#include "journal/super.h"
#include "tests/journal/suite.h"

#define DISK_BLOCKS 4096u

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *string);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *string);

static _Atomic long until_failure = -1; /* allocations that succeed before one fails; -1: none fails */

static bool fails(void)
{
	return until_failure >= 0 && until_failure-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *string)
{
	return fails() ? NULL : __real_strdup(string);
}

static int ignore_run(const struct th_blockrun *run, void *arg)
{
	(void)run;
	(void)arg;
	return 0;
}

static int ignore_record(const void *payload, size_t size, bool last, void *arg)
{
	(void)payload;
	(void)size;
	(void)last;
	(void)arg;
	return 0;
}

static int try_lists(struct th_disk *disk, struct th_space *space)
{
	struct th_blocklist list = { 0 }, member = { 0 };
	static struct th_blockrun runs[500];
	size_t budget = 300, all = SIZE_MAX;
	int err;

	for (size_t i = 0; i < 500; i++)
		runs[i] = (struct th_blockrun){ .addr = i, .birth = i % 7 + 1, .blocks = 1 };
	err = th_blocklist_append(&list, disk, space, runs, 500, NULL);
	if (!err)
		err = th_blocklist_append(&member, disk, space, runs, 400, NULL);
	if (!err)
		err = th_blocklist_join(&list, disk, space, &member);
	if (!err)
		err = th_blocklist_append(&member, disk, space, runs, 10, NULL);
	if (!err)
		err = th_blocklist_join(&list, disk, space, &member);
	if (!err)
		err = th_blocklist_filter(&list, disk, space, 3, &budget, ignore_run, NULL);
	if (!err)
		err = th_blocklist_each(&list, disk, ignore_run, NULL, NULL);
	if (!err)
		err = th_blocklist_filter(&list, disk, space, 0, &all, ignore_run, NULL);
	return err;
}

static int try_checkpoint(struct th_disk *disk, struct th_space *space, struct th_blocklist *log)
{
	uint64_t addr;
	uint32_t blocks;
	int err = 0;

	for (unsigned i = 0; i < 200 && !err; i++) {
		err = th_space_take(space, TH_SPACE_USER, 1 + i % 3, 1, NULL, &addr, &blocks);
		if (!err && i % 5)
			th_space_note_alloc(space, TH_SPACE_LIVE, addr, blocks);
		if (!err && i % 5 == 4)
			th_space_note_free(space, TH_SPACE_LIVE, addr, 1);
	}
	if (err)
		return err;
	th_space_freeze(space);
	err = th_space_checkpoint(space, disk, log);
	if (!err)
		th_space_checkpointed(space);
	return err;
}

static int try_space(struct th_disk *disk)
{
	struct th_space *space = NULL, *loaded = NULL;
	struct th_blocklist log = { 0 };
	int err;

	err = th_space_new(DISK_BLOCKS, &space);
	if (!err)
		err = th_space_claim(space, 0, 8);
	for (int i = 0; i < 4 && !err; i++)
		err = try_checkpoint(disk, space, &log);
	if (!err)
		err = try_lists(disk, space);
	if (!err)
		err = th_space_new(DISK_BLOCKS, &loaded);
	if (!err)
		err = th_space_claim(loaded, 0, 8);
	if (!err)
		err = th_space_load(loaded, disk, &log);
	th_space_free(space);
	th_space_free(loaded);
	return err;
}

static int try_log(struct th_disk *disk)
{
	struct th_log_position at = { .block = 2 };
	struct th_log_end end;
	static char payload[20000];
	struct iovec part = { .iov_base = payload, .iov_len = sizeof(payload) };
	struct th_log *log;
	int err;

	err = th_log_new(disk, (struct th_log_area){ .first = 8, .blocks = 100 }, 1, at, &log);
	if (err)
		return err;
	for (int i = 0; i < 3 && !err; i++)
		err = th_log_append(log, &part, 1);
	if (!err)
		err = th_log_replay(disk, (struct th_log_area){ .first = 8, .blocks = 100 }, 1, at, ignore_record, NULL,
				    &end);
	th_log_free(log);
	return err;
}

static int try_super(struct th_disk *disk)
{
	struct th_super super = {
		.blocks = DISK_BLOCKS, .log_first = TH_SUPER_FIRST_FREE, .log_blocks = 100, .generation = 1, .copies = 1
	};
	struct th_super found;
	int err;

	err = th_super_write(disk, &super);
	if (!err)
		err = th_super_read(disk, &found);
	return err ? err : th_super_erase(disk);
}

static int try_memory_disk(void)
{
	struct th_disk *memory, *fault, *image;
	int err;

	err = th_disk_memory_new(DISK_BLOCKS, &memory);
	if (err)
		return err;
	err = th_disk_fault_new(memory, &fault);
	if (err) {
		th_disk_close(memory);
		return err;
	}
	err = try_space(fault);
	if (!err)
		err = try_log(fault);
	if (!err)
		err = try_super(fault);
	if (!err)
		err = th_disk_fault_crash_image(fault, 20, 1, &image);
	if (!err) {
		th_disk_close(image);
		err = th_disk_fault_reset(fault);
	}
	th_disk_close(fault);
	return err;
}

static char path[64];

static int try_file_disk(void)
{
	struct th_future futures[20];
	struct th_disk *disk;
	char *buf;
	int err;

	err = th_disk_open(path, until_failure % 2 ? TH_DISK_THREADS : 0, &disk);
	if (err)
		return err;
	buf = th_disk_buffer(20 * TH_BLOCK_SIZE);
	for (uint32_t i = 0; i < 20 && buf; i++)
		th_disk_get(disk, i, 1, buf + (size_t)i * TH_BLOCK_SIZE, &futures[i]);
	for (uint32_t i = 0; i < 20 && buf && !err; i++)
		err = th_future_wait(&futures[i]);
	th_disk_close(disk);
	if (!buf)
		err = -ENOMEM;
	free(buf);
	return err;
}

/* Repeats the scenario with each of its allocations failing in turn.  Returns how often it failed. */
static unsigned fail_each(int (*scenario)(void))
{
	unsigned failures = 0;

	for (long nth = 0;; nth++) {
		int err;

		until_failure = nth;
		err = scenario();
		if (until_failure >= 0) {
			until_failure = -1;
			th_ok(err);
			return failures;
		}
		th_check(err == 0 || err == -ENOMEM);
		failures += err != 0;
	}
}

START_TEST(structures_survive_every_failed_allocation)
{
	ck_assert_uint_gt(fail_each(try_memory_disk), 50);
}
END_TEST

START_TEST(disks_survive_every_failed_allocation)
{
	FILE *file;

	snprintf(path, sizeof(path), "test_out_of_memory.%d.img", (int)getpid());
	file = fopen(path, "w");
	th_ok(ftruncate(fileno(file), 32 * TH_BLOCK_SIZE));
	fclose(file);
	ck_assert_uint_ge(fail_each(try_file_disk), 3);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("out_of_memory");
	TCase *tcase = tcase_create("out_of_memory");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, structures_survive_every_failed_allocation);
	tcase_add_test(tcase, disks_survive_every_failed_allocation);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
