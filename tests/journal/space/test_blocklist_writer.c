/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of block lists: where pages go, and when they are written. */
#include "journal/space/space.h"
#include "tests/journal/space/lists.h"

#define PAGE_RUNS TH_BLOCKLIST_PAGE_RUNS

static const struct th_blocklist empty;

/* Writes `count` runs of one block. */
static void write_runs(struct th_blocklist_writer *writer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct th_blockrun run = { .addr = 1000 + i, .birth = 1, .blocks = 1 };

		th_ok(th_blocklist_writer_run(writer, &run));
	}
}

static uint64_t free_blocks(void)
{
	struct th_space_stat stat;

	th_space_stat(fixture.space, &stat);
	return stat.free;
}

static uint64_t count_entries(const struct th_blocklist *list)
{
	struct th_test_collected *collected = calloc(1, sizeof(*collected));
	uint64_t count;

	th_ok(th_blocklist_each(list, fixture.disk, th_test_collect_run, th_test_collect_page, collected));
	count = collected->runs.count;
	th_check(collected->npages == list->pages && count == list->entries);
	th_test_runs_free(&collected->runs);
	free(collected);
	return count;
}

START_TEST(consecutive_pages_are_written_in_batches)
{
	const struct th_blocklist_supply supply = { .addr = 100, .blocks = 40 };
	struct th_blocklist_writer writer;
	struct th_blocklist list;
	uint64_t writes = fixture.disk->writes;

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, NULL, &empty));
	writer.first.more = &supply;
	writer.first.nmore = 1;
	ck_assert_uint_eq(th_blocklist_writer_pages(&writer, 40 * PAGE_RUNS), 40);
	write_runs(&writer, 40 * PAGE_RUNS);
	th_ok(th_blocklist_writer_finish(&writer, &list));
	ck_assert_uint_eq(fixture.disk->writes - writes, 3); /* 16, 16 and 8 pages */
	ck_assert_uint_eq(list.head, 139);
	ck_assert_uint_eq(count_entries(&list), 40 * PAGE_RUNS);
	th_blocklist_writer_release(&writer);
}
END_TEST

START_TEST(supplied_pages_are_used_up_and_no_others)
{
	const struct th_blocklist_supply supplies[] = { { 100, 1 }, { 200, 2 }, { 50, 1 } };
	struct th_blocklist_writer writer;
	struct th_test_collected *collected = calloc(1, sizeof(*collected));
	struct th_blocklist list = { 0 }, more = { 0 };
	uint64_t before = free_blocks();

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, NULL, &empty));
	writer.first.more = supplies;
	writer.first.nmore = 3;
	write_runs(&writer, 4 * PAGE_RUNS);
	th_ok(th_blocklist_writer_finish(&writer, &list));
	th_ok(th_blocklist_each(&list, fixture.disk, NULL, th_test_collect_page, collected));
	ck_assert(collected->pages[100] && collected->pages[200] && collected->pages[201] && collected->pages[50]);
	ck_assert_uint_eq(collected->npages, 4);
	write_runs(&writer, 1);
	ck_assert_int_eq(th_blocklist_writer_finish(&writer, &more), -ENOSPC);
	ck_assert_uint_eq(more.head, 0);
	ck_assert_uint_eq(free_blocks(), before);
	th_blocklist_writer_release(&writer);
	free(collected);
}
END_TEST

START_TEST(unused_pages_go_back_to_the_space)
{
	struct th_blocklist_writer writer;
	struct th_blocklist list;
	uint64_t before = free_blocks();

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
	writer.expect = 10;
	write_runs(&writer, 2 * PAGE_RUNS);
	th_ok(th_blocklist_writer_finish(&writer, &list));
	ck_assert_uint_le(free_blocks(), before - 10);
	th_blocklist_writer_release(&writer);
	ck_assert_uint_eq(free_blocks(), before - 2);
	ck_assert_uint_eq(count_entries(&list), 2 * PAGE_RUNS);
}
END_TEST

/* Only a page of the same kind and with room is continued, in a copy. */
START_TEST(reopening_copies_a_page_with_room)
{
	static const struct {
		size_t runs;
		enum th_blocklist_kind kind;
		bool copies;
	} cases[] = {
		{ 5, TH_BLOCKLIST_RUNS, true },
		{ PAGE_RUNS - 1, TH_BLOCKLIST_RUNS, true },
		{ PAGE_RUNS, TH_BLOCKLIST_RUNS, false },
		{ 5, TH_BLOCKLIST_MEMBERS, false },
	};
	struct th_blocklist_writer writer;
	struct th_blocklist list, longer;
	uint64_t old_head;

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
	write_runs(&writer, cases[_i].runs);
	th_ok(th_blocklist_writer_finish(&writer, &list));
	th_blocklist_writer_release(&writer);
	old_head = list.head;
	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &list));
	th_ok(th_blocklist_writer_reopen(&writer, cases[_i].kind));
	ck_assert_uint_eq(writer.replaced, cases[_i].copies ? old_head : 0);
	write_runs(&writer, 1);
	th_ok(th_blocklist_writer_finish(&writer, &longer));
	ck_assert_uint_ne(longer.head, old_head);
	ck_assert_uint_eq(longer.pages, cases[_i].copies ? 1 : 2);
	ck_assert_uint_eq(count_entries(&longer), cases[_i].runs + 1);
	ck_assert_uint_eq(count_entries(&list), cases[_i].runs);
	th_blocklist_writer_release(&writer);
}
END_TEST

START_TEST(unreadable_page_is_kept_and_extended)
{
	struct th_blocklist_writer writer;
	struct th_blocklist list, longer;
	char *zeros = th_test_block(0);

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
	write_runs(&writer, 5);
	th_ok(th_blocklist_writer_finish(&writer, &list));
	th_blocklist_writer_release(&writer);
	th_ok(th_disk_write(fixture.disk, list.head, 1, zeros));
	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &list));
	ck_assert_int_eq(th_blocklist_writer_reopen(&writer, TH_BLOCKLIST_RUNS), -EBADMSG);
	write_runs(&writer, 1);
	th_ok(th_blocklist_writer_finish(&writer, &longer));
	ck_assert(longer.entries == 6 && longer.pages == 2 && writer.replaced == 0);
	th_blocklist_writer_release(&writer);
	free(zeros);
}
END_TEST

START_TEST(kinds_do_not_share_a_page)
{
	struct th_blocklist_writer writer;
	struct th_blocklist member, list;

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
	write_runs(&writer, 7);
	th_ok(th_blocklist_writer_finish(&writer, &member));
	th_blocklist_writer_release(&writer);
	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
	write_runs(&writer, 1);
	th_ok(th_blocklist_writer_member(&writer, &member));
	write_runs(&writer, 1);
	th_ok(th_blocklist_writer_finish(&writer, &list));
	ck_assert_uint_eq(list.pages, 4); /* three, and that of the member */
	ck_assert_uint_eq(count_entries(&list), 9);
	th_blocklist_writer_release(&writer);
}
END_TEST

START_TEST(empty_run_is_refused)
{
	const struct th_blockrun run = { .addr = 100 };
	struct th_blocklist_writer writer;

	th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
	ck_assert_int_eq(th_blocklist_writer_run(&writer, &run), -EINVAL);
	th_blocklist_writer_release(&writer);
}
END_TEST

START_TEST(pending_write_reports_its_error)
{
	struct th_blocklist_write pending = { 0 };
	struct th_blocklist_writer writer;
	struct th_disk *fault;
	struct th_blocklist list;

	th_ok(th_blocklist_wait(&pending)); /* none */
	th_ok(th_disk_fault_new(fixture.disk, &fault));
	fixture.disk = fault;
	for (int failing = 0; failing < 2; failing++) {
		th_ok(th_blocklist_writer_init(&writer, fixture.disk, fixture.space, &empty));
		writer.pending = &pending;
		write_runs(&writer, 5);
		if (failing)
			th_disk_fault_arm(fixture.disk, TH_FAULT_ERROR, 0);
		th_ok(th_blocklist_writer_finish(&writer, &list));
		th_blocklist_writer_release(&writer);
		ck_assert_int_eq(th_blocklist_wait(&pending), failing ? -EIO : 0);
		ck_assert_ptr_null(pending.iov.iov_base);
		if (!failing)
			ck_assert_uint_eq(count_entries(&list), 5);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blocklist_writer");
	TCase *tcase = tcase_create("blocklist_writer");

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, th_test_lists_setup, th_test_lists_teardown);
	tcase_add_test(tcase, consecutive_pages_are_written_in_batches);
	tcase_add_test(tcase, supplied_pages_are_used_up_and_no_others);
	tcase_add_test(tcase, unused_pages_go_back_to_the_space);
	tcase_add_loop_test(tcase, reopening_copies_a_page_with_room, 0, 4);
	tcase_add_test(tcase, unreadable_page_is_kept_and_extended);
	tcase_add_test(tcase, kinds_do_not_share_a_page);
	tcase_add_test(tcase, empty_run_is_refused);
	tcase_add_test(tcase, pending_write_reports_its_error);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
