/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/suite.h"

static struct th_records records;

static void setup(void)
{
	records = (struct th_records){ 0 };
}

static void teardown(void)
{
	free(records.bytes);
}

/* Encodes a record alone, and decodes it. */
static int again(struct th_record record, struct th_record *ret)
{
	size_t size;

	records.size = 0;
	ck_assert_int_eq(th_record_append(&records, &record), 0);
	return th_record_decode((struct th_slice){ records.bytes, records.size }, ret, &size);
}

START_TEST(records_are_decoded_as_they_were_encoded)
{
	struct th_record name = { .kind = TH_RECORD_LINK, .inode = 5, .parent = 1, .name = { "name", 4 } };
	struct th_record data = { .kind = TH_RECORD_DATA, .inode = 5, .block = 7, .bytes = { "bytes", 5 } };
	struct th_record clone = {
		.kind = TH_RECORD_CLONE, .inode = 5, .block = 1, .count = 2, .source = 3, .source_block = 4
	};
	struct th_record inode = {
		.kind = TH_RECORD_INODE,
		.inode = 5,
		.links = 2,
		.attr = { .mode = S_IFREG | 0644, .nlink = 2, .parent = 1, .name = "n", .name_size = 1 }
	};
	struct th_record attribute = {
		.kind = TH_RECORD_XATTR, .inode = 5, .name = { "user.a", 6 }, .bytes = { "value", 5 }
	};
	struct th_record found;

	ck_assert_int_eq(again(name, &found), 0);
	ck_assert_uint_eq(found.parent, 1);
	ck_assert_mem_eq(found.name.data, "name", 4);
	ck_assert_int_eq(again(data, &found), 0);
	ck_assert_uint_eq(found.block, 7);
	ck_assert_uint_eq(found.count, 1);
	ck_assert_mem_eq(found.bytes.data, "bytes", 5);
	ck_assert_int_eq(again(clone, &found), 0);
	ck_assert(found.count == 2 && found.source == 3 && found.source_block == 4);
	ck_assert_int_eq(again(inode, &found), 0);
	ck_assert(found.links == 2 && found.attr.mode == (S_IFREG | 0644) && found.attr.parent == 1);
	ck_assert_int_eq(again(attribute, &found), 0);
	ck_assert_uint_eq(found.name.size, 6);
	ck_assert_mem_eq(found.bytes.data, "value", 5);
}
END_TEST

START_TEST(impossible_records_are_refused)
{
	const struct th_record wrong[] = {
		{ .kind = TH_RECORD_GONE, .inode = TH_ROOT_ID },
		{ .kind = TH_RECORD_GONE, .inode = 0 },
		{ .kind = TH_RECORD_GONE, .inode = TH_ID_MAX + 1 },
		{ .kind = TH_RECORD_LINK, .inode = 5, .parent = 1, .name = { "a/b", 3 } },
		{ .kind = TH_RECORD_LINK, .inode = 5, .parent = 1, .name = { "..", 2 } },
		{ .kind = TH_RECORD_LINK, .inode = 5, .parent = 0, .name = { "a", 1 } },
		{ .kind = TH_RECORD_DATA, .inode = 5, .block = 0 },
		{ .kind = TH_RECORD_HOLE, .inode = 5, .block = UINT64_MAX, .count = 2 },
		{ .kind = TH_RECORD_HOLE, .inode = 5, .block = 1, .count = UINT64_MAX },
		{ .kind = TH_RECORD_CLONE, .inode = 5, .count = 1, .source = 0 },
		{ .kind = TH_RECORD_XATTR_GONE, .inode = 5 },
		{ .kind = TH_RECORD_INODE,
		  .inode = 5,
		  .links = 2,
		  .attr = { .mode = S_IFDIR, .parent = 1, .name = "n", .name_size = 1 } },
		{ .kind = TH_RECORD_INODE, .inode = 5, .links = 1, .attr = { .mode = S_IFREG } },
		{ .kind = TH_RECORD_INODE, .inode = TH_ROOT_ID, .attr = { .mode = S_IFREG } },
	};
	struct th_record found;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(again(wrong[i], &found) == -EUCLEAN, "record %zu", i);
}
END_TEST

START_TEST(records_that_are_cut_off_are_refused)
{
	struct th_record record = { .kind = TH_RECORD_LINK, .inode = 5, .parent = 1, .name = { "name", 4 } };
	struct th_record found;
	size_t size;

	ck_assert_int_eq(th_record_append(&records, &record), 0);
	for (size_t cut = 1; cut < records.size; cut++)
		ck_assert_int_eq(th_record_decode((struct th_slice){ records.bytes, cut }, &found, &size), -EUCLEAN);
	ck_assert_int_eq(th_record_decode((struct th_slice){ records.bytes, 0 }, &found, &size), 1);
}
END_TEST

START_TEST(pieces_have_whole_records)
{
	struct th_record record = { .kind = TH_RECORD_DATA, .inode = 5, .bytes = { calloc(1, 1 << 20), 1 << 20 } };
	size_t one, at = 0;
	unsigned pieces = 0;

	ck_assert_int_eq(th_record_append(&records, &record), 0);
	one = records.size;
	for (unsigned i = 1; i < 3; i++)
		ck_assert_int_eq(th_record_append(&records, &record), 0);
	while (at < records.size) {
		ck_assert_uint_eq(th_records_fit(&records, at), one);
		at += one;
		pieces++;
	}
	ck_assert_uint_eq(pieces, 3);
	free((void *)record.bytes.data);
}
END_TEST

START_TEST(the_beginning_is_decoded_as_it_was_encoded)
{
	struct th_stream_info info = { .flags = TH_STREAM_INCREMENTAL,
				       .identity = { 1 },
				       .base = { 2 },
				       .created_ns = 3,
				       .position = { 4, 5 },
				       .name = "name",
				       .base_name = "base",
				       .branch = "main" };
	uint8_t bytes[TH_STREAM_BEGIN_MAX];
	size_t size = th_stream_begin_encode(&info, bytes);
	struct th_stream_info found;

	ck_assert_int_eq(th_stream_begin_decode((struct th_slice){ bytes, size }, &found), 0);
	ck_assert_mem_eq(&found, &info, sizeof(info));
	for (size_t cut = 0; cut < size; cut++)
		ck_assert_int_lt(th_stream_begin_decode((struct th_slice){ bytes, cut }, &found), 0);
	bytes[8] = 2;
	ck_assert_int_eq(th_stream_begin_decode((struct th_slice){ bytes, size }, &found), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(a_token_has_snapshots_and_position)
{
	struct th_stream_info info = { .identity = { 0xab, 1 }, .base = { 2 } }, found = { 0 };
	char token[TH_STREAM_TOKEN_SIZE];

	th_stream_token_format(&info, (struct th_position){ 7, 8 }, token);
	ck_assert_uint_eq(strlen(token), TH_STREAM_TOKEN_SIZE - 1);
	ck_assert_int_eq(th_stream_token_parse(token, &found), 0);
	ck_assert_mem_eq(found.identity, info.identity, sizeof(info.identity));
	ck_assert_mem_eq(found.base, info.base, sizeof(info.base));
	ck_assert(found.position.inode == 7 && found.position.block == 8);
	token[3] = 'x';
	ck_assert_int_eq(th_stream_token_parse(token, &found), -EINVAL);
	ck_assert_int_eq(th_stream_token_parse("", &found), -EINVAL);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("record");
	TCase *tests = tcase_create("record");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, records_are_decoded_as_they_were_encoded);
	tcase_add_test(tests, impossible_records_are_refused);
	tcase_add_test(tests, records_that_are_cut_off_are_refused);
	tcase_add_test(tests, pieces_have_whole_records);
	tcase_add_test(tests, the_beginning_is_decoded_as_it_was_encoded);
	tcase_add_test(tests, a_token_has_snapshots_and_position);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return th_suite_run(suite());
}
