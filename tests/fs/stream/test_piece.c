/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/piece.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

static struct th_piece_writer writer;
static struct th_piece_reader reader;

static void setup(void)
{
	writer = (struct th_piece_writer){ 0 };
	reader = (struct th_piece_reader){ 0 };
}

static void teardown(void)
{
	th_piece_writer_release(&writer);
	th_piece_reader_release(&reader);
}

static int read_back(struct th_slice *ret)
{
	enum th_piece_kind kind;

	return th_piece_read(&reader, writer.bytes, writer.size, &kind, ret);
}

START_TEST(a_piece_is_read_as_it_was_written)
{
	static uint8_t content[100000];
	struct th_slice found;

	for (unsigned compress = 0; compress < 2; compress++) {
		writer.compress = compress;
		ck_assert_int_eq(th_piece_write(&writer, TH_PIECE_BEGIN, content, sizeof(content)), 0);
		ck_assert_int_eq(writer.size < 1000, compress);
		ck_assert_int_eq(read_back(&found), 0);
		ck_assert_uint_eq(found.size, sizeof(content));
		ck_assert_mem_eq(found.data, content, sizeof(content));
		ck_assert_int_eq(th_piece_write(&writer, TH_PIECE_END, "e", 1), 0);
		ck_assert_int_eq(read_back(&found), 0);
	}
}
END_TEST

START_TEST(a_piece_in_the_wrong_place_is_refused)
{
	struct th_slice found;

	ck_assert_int_eq(th_piece_write(&writer, TH_PIECE_BEGIN, "a", 1), 0);
	ck_assert_int_eq(read_back(&found), 0);
	ck_assert_int_eq(read_back(&found), -EUCLEAN); /* repeated */
	ck_assert_int_eq(th_piece_write(&writer, TH_PIECE_RECORDS, "b", 1), 0);
	ck_assert_int_eq(th_piece_write(&writer, TH_PIECE_RECORDS, "c", 1), 0);
	ck_assert_int_eq(read_back(&found), -EUCLEAN); /* one is missing */
}
END_TEST

START_TEST(each_changed_bit_is_found)
{
	struct th_slice found;

	ck_assert_int_eq(th_piece_write(&writer, TH_PIECE_BEGIN, "content", 7), 0);
	for (size_t bit = 0; bit < 8 * writer.size; bit++) {
		writer.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_int_lt(read_back(&found), 0);
		writer.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ck_assert_int_eq(th_piece_read(&reader, writer.bytes, 10, &(enum th_piece_kind){ 0 }, &found), -EUCLEAN);
	ck_assert_int_eq(read_back(&found), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("piece");
	TCase *tests = tcase_create("piece");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_piece_is_read_as_it_was_written);
	tcase_add_test(tests, a_piece_in_the_wrong_place_is_refused);
	tcase_add_test(tests, each_changed_bit_is_found);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return th_suite_run(suite());
}
