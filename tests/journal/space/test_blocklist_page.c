/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of block lists that are damaged or made to deceive. */
#include <xxhash.h>

#include "tests/journal/space/lists.h"

static int count_run(const struct th_blockrun *run, void *arg)
{
	th_check(run->blocks > 0 && run->addr < TH_TEST_LIST_BLOCKS && run->blocks <= TH_TEST_LIST_BLOCKS - run->addr);
	++*(uint64_t *)arg;
	return 0;
}

static void note_line(void *arg, const char *line)
{
	th_check(strncmp(line, "memory: block list page ", 24) == 0 && !strchr(line, '\n'));
	++*(unsigned *)arg;
}

/* Each is reported once. */
START_TEST(every_flipped_bit_is_detected)
{
	struct th_blocklist list = { 0 };
	struct th_test_runs model = { 0 };
	struct th_test_collected *collected = calloc(1, sizeof(*collected));
	char *block = th_test_block(0);
	unsigned lines = 0;

	fixture.random.state = th_test_seed("every_flipped_bit_is_detected");
	th_test_make_nested(&list, &model);
	fixture.disk->report = note_line;
	fixture.disk->report_arg = &lines;
	th_ok(th_blocklist_each(&list, fixture.disk, NULL, th_test_collect_page, collected));
	for (unsigned round = 0; round < th_test_rounds(2000); round++) {
		uint64_t addr = th_random_below(&fixture.random, TH_TEST_LIST_BLOCKS), count = 0;
		uint32_t bit = th_random_below(&fixture.random, TH_BLOCK_SIZE * 8);

		while (!collected->pages[addr])
			addr = (addr + 1) % TH_TEST_LIST_BLOCKS;
		th_ok(th_disk_read(fixture.disk, addr, 1, block));
		block[bit / 8] ^= (char)(1 << bit % 8);
		th_ok(th_disk_write(fixture.disk, addr, 1, block));
		th_check(th_blocklist_each(&list, fixture.disk, count_run, NULL, &count) == -EBADMSG);
		th_check(lines == round + 1);
		block[bit / 8] ^= (char)(1 << bit % 8);
		th_ok(th_disk_write(fixture.disk, addr, 1, block));
	}
	th_test_check_list(&list, &model);
	th_test_runs_free(&model);
	free(collected);
	free(block);
}
END_TEST

static void flip(uint64_t addr, char *block)
{
	th_ok(th_disk_read(fixture.disk, addr, 1, block));
	block[th_random_below(&fixture.random, TH_BLOCK_SIZE)] ^= 4;
	th_ok(th_disk_write(fixture.disk, addr, 1, block));
}

static bool is_healed(uint64_t addr, uint64_t mirror, char *block, char *other)
{
	th_ok(th_disk_read(fixture.disk, addr, 1, block));
	th_ok(th_disk_read(fixture.disk, mirror, 1, other));
	return memcmp(block, other, TH_BLOCK_SIZE) == 0;
}

/* Each first copy is damaged in turn: the list is whole, the page is healed where the disk allows it, and that is
 * reported once.  A page of which no copy is right is not made up. */
START_TEST(damaged_first_copy_is_read_from_the_second_and_healed)
{
	struct th_blocklist list = { 0 };
	struct th_test_runs model = { 0 };
	struct th_blocklist_page *page = th_disk_buffer(sizeof(*page));
	char *block = th_test_block(0), *other = th_test_block(0);
	unsigned lines = 0, pages = 0;
	uint64_t count;

	th_space_set_copies(fixture.space, 2);
	fixture.random.state = th_test_seed("damaged_first_copy_is_read_from_the_second_and_healed");
	th_test_append_random(&list, &model, 1000, 100);
	fixture.disk->report = note_line;
	fixture.disk->report_arg = &lines;
	for (struct th_blocklist at = list; at.head; at = th_blocklist_page_prev(page), pages++) {
		uint64_t far = at.head > at.mirror ? at.head - at.mirror : at.mirror - at.head;

		ck_assert_uint_ge(far, TH_TEST_LIST_BLOCKS / 4);
		flip(at.head, block);
		lines = 0;
		fixture.disk->heals = false;
		th_test_check_list(&list, &model);
		ck_assert(!is_healed(at.head, at.mirror, block, other));
		fixture.disk->heals = true;
		th_test_check_list(&list, &model);
		ck_assert(is_healed(at.head, at.mirror, block, other));
		ck_assert_uint_eq(lines, 2);
		th_test_check_list(&list, &model);
		ck_assert_uint_eq(lines, 2);
		th_ok(th_blocklist_page_read(fixture.disk, &at, page));
	}
	ck_assert_uint_eq(pages, list.pages);
	flip(list.head, block);
	flip(list.mirror, block);
	ck_assert_int_eq(th_blocklist_each(&list, fixture.disk, count_run, NULL, &count), -EBADMSG);
	ck_assert_uint_eq(lines, 3);
	th_test_runs_free(&model);
	free(page);
	free(block);
	free(other);
}
END_TEST

/* Pages with random content and a right checksum: the walk ends, with an error or with runs inside the disk. */
START_TEST(hostile_pages_are_refused_or_stay_inside_the_disk)
{
	struct th_blocklist list = { 0 }, small = { 0 };
	struct th_test_runs model = { 0 }, small_model = { 0 };
	struct th_blocklist_page *original = th_disk_buffer(sizeof(*original));
	struct th_blocklist_page *page = th_disk_buffer(sizeof(*page));
	unsigned refused = 0;

	fixture.random.state = th_test_seed("hostile_pages_are_refused_or_stay_inside_the_disk");
	th_test_make_nested(&list, &model);
	th_test_append_random(&small, &small_model, 400, 10);
	/* The newest page is of members. */
	th_ok(th_blocklist_join(&list, fixture.disk, fixture.space, &small));
	th_ok(th_disk_read(fixture.disk, list.head, 1, original));
	ck_assert_int_eq(th_blocklist_page_kind(original), TH_BLOCKLIST_MEMBERS);
	for (unsigned round = 0; round < th_test_rounds(5000); round++) {
		struct th_blocklist hostile = list;
		uint64_t value = th_random_next(&fixture.random) >> th_random_below(&fixture.random, 64), count = 0;
		size_t at = th_random_below(&fixture.random, 160), size = 1 + th_random_below(&fixture.random, 8);
		int err;

		if (th_random_percent(&fixture.random, 30))
			value = list.head;
		memcpy(page, original, sizeof(*page));
		memcpy((char *)page + at, &value, size);
		hostile.head_checksum = XXH3_64bits(page, sizeof(*page));
		th_ok(th_disk_write(fixture.disk, list.head, 1, page));
		err = th_blocklist_each(&hostile, fixture.disk, count_run, NULL, &count);
		th_check(err == 0 || err == -EUCLEAN || err == -EBADMSG);
		refused += err != 0;
	}
	ck_assert_uint_gt(refused, 1000);
	th_test_runs_free(&model);
	th_test_runs_free(&small_model);
	free(original);
	free(page);
}
END_TEST

START_TEST(hostile_roots_are_refused)
{
	struct th_blocklist list = { 0 };
	struct th_test_runs model = { 0 };

	fixture.random.state = th_test_seed("hostile_roots_are_refused");
	th_test_make_nested(&list, &model);
	for (unsigned round = 0; round < th_test_rounds(5000); round++) {
		struct th_blocklist_disk packed;
		struct th_blocklist hostile;
		uint64_t value = th_random_next(&fixture.random) >> th_random_below(&fixture.random, 64), count = 0;
		int err;

		th_blocklist_pack(&list, &packed);
		memcpy((char *)&packed + 8 * th_random_below(&fixture.random, 7), &value, sizeof(value));
		err = th_blocklist_unpack(&packed, &hostile);
		th_check(err == 0 || err == -EUCLEAN);
		if (err)
			continue;
		err = th_blocklist_each(&hostile, fixture.disk, count_run, NULL, &count);
		hostile.mirror = list.mirror; /* is not read while the first copy is right */
		th_check(err == -EUCLEAN || err == -EBADMSG || memcmp(&hostile, &list, sizeof(list)) == 0);
	}
	th_test_runs_free(&model);
}
END_TEST

/* Rewrites the newest page, as a page of one run that appends to nothing, with one field changed. */
static int read_changed(size_t at, const void *bytes, size_t size)
{
	struct th_blocklist list = { .head = 100, .entries = 1, .blocks = 5, .max_birth = 3, .pages = 1 };
	struct th_blocklist_page *page = th_disk_buffer(sizeof(*page)), *read = th_disk_buffer(sizeof(*read));
	int err;

	memset(page, 0, sizeof(*page));
	page->magic = th_le32(TH_BLOCKLIST_MAGIC);
	page->kind = th_le16(TH_BLOCKLIST_RUNS);
	page->count = th_le16(1);
	page->runs[0].addr = th_le64(TH_TEST_LIST_BLOCKS - 5);
	page->runs[0].birth = th_le64(3);
	page->runs[0].blocks = th_le32(5);
	memcpy((char *)page + at, bytes, size);
	list.head_checksum = XXH3_64bits(page, sizeof(*page));
	th_ok(th_disk_write(fixture.disk, list.head, 1, page));
	err = th_blocklist_page_read(fixture.disk, &list, read);
	if (!err)
		ck_assert_mem_eq(page, read, sizeof(*page));
	free(page);
	free(read);
	return err;
}

START_TEST(every_field_of_a_page_is_checked)
{
	static const size_t fields[] = {
		offsetof(struct th_blocklist_page, magic),
		offsetof(struct th_blocklist_page, kind),
		offsetof(struct th_blocklist_page, count),
		offsetof(struct th_blocklist_page, prev), /* a previous page, without numbers */
		offsetof(struct th_blocklist_page, prev.entries), /* numbers, without a previous page */
		offsetof(struct th_blocklist_page, runs[0].addr), /* beyond the disk */
		offsetof(struct th_blocklist_page, runs[0].birth), /* not as in the root */
		offsetof(struct th_blocklist_page, runs[0].blocks), /* the same */
		offsetof(struct th_blocklist_page, runs[1]), /* after the last entry */
		TH_BLOCK_SIZE - 2,
	};
	const struct th_le16 all = th_le16(UINT16_MAX);
	const struct th_le32 tag = th_le32(7);

	th_ok(read_changed(offsetof(struct th_blocklist_page, runs[0].tag), &tag, sizeof(tag)));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		ck_assert_int_eq(read_changed(fields[i], &all, sizeof(all)), -EUCLEAN);
}
END_TEST

START_TEST(packing_keeps_every_field)
{
	struct th_blocklist list = { 1, 2, 3, 4, 5, 6, 7 }, empty = { 0 }, unpacked;
	struct th_blocklist_disk packed;

	th_blocklist_pack(&list, &packed);
	th_ok(th_blocklist_unpack(&packed, &unpacked));
	ck_assert_mem_eq(&list, &unpacked, sizeof(list));
	th_blocklist_pack(&empty, &packed);
	th_ok(th_blocklist_unpack(&packed, &unpacked));
	ck_assert_mem_eq(&empty, &unpacked, sizeof(empty));
}
END_TEST

START_TEST(contradictory_roots_are_refused)
{
	static const struct th_blocklist roots[] = {
		{ .pages = 1 }, /* empty, with numbers */
		{ .max_birth = 1 },
		{ .mirror = 1 },
		{ .head = 9, .mirror = 9, .entries = 1, .blocks = 1, .pages = 1 }, /* both copies in one place */
		{ .head = 9, .entries = 1, .blocks = 1 }, /* without pages */
		{ .head = 9, .blocks = 1, .pages = 1 }, /* without entries */
		{ .head = 9, .entries = 3, .blocks = 2, .pages = 1 }, /* entries without blocks */
		{ .head = 9, .entries = 1000, .blocks = 1000, .pages = 2 }, /* more entries than fit */
	};
	struct th_blocklist_disk packed;
	struct th_blocklist unpacked;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		th_blocklist_pack(&roots[i], &packed);
		ck_assert_int_eq(th_blocklist_unpack(&packed, &unpacked), -EUCLEAN);
	}
}
END_TEST

START_TEST(sums_do_not_overflow)
{
	struct th_blocklist sum = { .entries = 1, .blocks = 2, .max_birth = 9, .pages = 3 };
	const struct th_blocklist small = { .entries = 10, .blocks = 20, .max_birth = 5, .pages = 30 };
	const struct th_blocklist large = { .blocks = UINT64_MAX - 21 };

	th_ok(th_blocklist_sum(&sum, &small));
	ck_assert(sum.entries == 11 && sum.blocks == 22 && sum.max_birth == 9 && sum.pages == 33);
	ck_assert_int_eq(th_blocklist_sum(&sum, &large), -EOVERFLOW);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blocklist_page");
	TCase *tcase = tcase_create("blocklist_page");

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, th_test_lists_setup, th_test_lists_teardown);
	tcase_add_test(tcase, every_flipped_bit_is_detected);
	tcase_add_test(tcase, damaged_first_copy_is_read_from_the_second_and_healed);
	tcase_add_test(tcase, hostile_pages_are_refused_or_stay_inside_the_disk);
	tcase_add_test(tcase, hostile_roots_are_refused);
	tcase_add_test(tcase, every_field_of_a_page_is_checked);
	tcase_add_test(tcase, packing_keeps_every_field);
	tcase_add_test(tcase, contradictory_roots_are_refused);
	tcase_add_test(tcase, sums_do_not_overflow);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
