/* SPDX-License-Identifier: Apache-2.0 */
/* Inode records: encoding and decoding are inverse, and hostile records are refused. */
#include "fs/format/inode_record.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/random.h"
#include "tests/support/suite.h"

static struct th_attr file_attr(void)
{
	return (struct th_attr){
		.mode = S_IFREG | 06755,
		.uid = 4000000000,
		.gid = 7,
		.flags = 0x80000001,
		.generation = 3,
		.nlink = 2,
		.size = INT64_MAX,
		.blocks = UINT64_C(1) << 50,
		.rdev = 0x12345678,
		.atime = { -1, 999999999 },
		.mtime = { INT64_MAX, 0 },
		.ctime = { INT64_MIN, 1 },
		.btime = { 0, 0 },
		.parent = TH_ID_MAX,
		.name = "name",
		.name_size = 4,
	};
}

static void expect_time(struct th_time time, struct th_time expected)
{
	ck_assert_int_eq(time.seconds, expected.seconds);
	ck_assert_uint_eq(time.nanoseconds, expected.nanoseconds);
}

static void expect_attr(const struct th_attr *attr, const struct th_attr *expected)
{
	ck_assert_uint_eq(attr->mode, expected->mode);
	ck_assert_uint_eq(attr->uid, expected->uid);
	ck_assert_uint_eq(attr->gid, expected->gid);
	ck_assert_uint_eq(attr->flags, expected->flags);
	ck_assert_uint_eq(attr->generation, expected->generation);
	ck_assert_uint_eq(attr->nlink, expected->nlink);
	ck_assert_uint_eq(attr->size, expected->size);
	ck_assert_uint_eq(attr->blocks, expected->blocks);
	ck_assert_uint_eq(attr->rdev, expected->rdev);
	expect_time(attr->atime, expected->atime);
	expect_time(attr->mtime, expected->mtime);
	expect_time(attr->ctime, expected->ctime);
	expect_time(attr->btime, expected->btime);
	ck_assert_uint_eq(attr->parent, expected->parent);
	ck_assert_uint_eq(attr->name_size, expected->name_size);
	ck_assert_mem_eq(attr->name, expected->name, expected->name_size);
}

/* Decodes from memory of exactly this size, so that the sanitizer sees reads past the end.  The name is not valid
 * afterwards. */
static int decode(const void *bytes, size_t size, int32_t refs)
{
	struct th_attr attr;
	void *exact = malloc(size ? size : 1);
	int err;

	memcpy(exact, bytes, size);
	err = th_inode_decode(exact, size, refs, &attr);
	if (!err) {
		ck_assert_uint_eq(attr.name_size, size - sizeof(struct th_inode_disk));
		ck_assert_ptr_eq(attr.name, (char *)exact + sizeof(struct th_inode_disk));
	}
	free(exact);
	return err;
}

START_TEST(all_attributes_survive_a_round_trip)
{
	uint8_t value[TH_INODE_VALUE_MAX];
	struct th_attr attr = file_attr(), decoded;
	char longest[TH_NAME_MAX];
	size_t size = th_inode_encode(&attr, value);

	ck_assert_uint_eq(size, sizeof(struct th_inode_disk) + 4);
	ck_assert_int_eq(th_inode_decode(value, size, 2, &decoded), 0);
	expect_attr(&decoded, &attr);
	memset(longest, 'n', sizeof(longest));
	attr.name = longest;
	attr.name_size = TH_NAME_MAX;
	size = th_inode_encode(&attr, value);
	ck_assert_uint_eq(size, TH_INODE_VALUE_MAX);
	ck_assert_int_eq(th_inode_decode(value, size, 2, &decoded), 0);
	expect_attr(&decoded, &attr);
	attr.parent = 0;
	attr.name = NULL;
	attr.name_size = 0;
	size = th_inode_encode(&attr, value);
	ck_assert_int_eq(th_inode_decode(value, size, 2, &decoded), 0);
	ck_assert_uint_eq(decoded.name_size, 0);
}
END_TEST

START_TEST(link_counts_come_from_references_or_subdirectories)
{
	uint8_t value[TH_INODE_VALUE_MAX];
	struct th_attr attr = { .mode = S_IFDIR | 0755, .nlink = 5 }, decoded;
	size_t size = th_inode_encode(&attr, value);

	ck_assert_int_eq(th_inode_decode(value, size, 1, &decoded), 0);
	ck_assert_uint_eq(decoded.nlink, 5);
	attr.nlink = 0; /* a removed directory */
	size = th_inode_encode(&attr, value);
	ck_assert_int_eq(th_inode_decode(value, size, 0, &decoded), 0);
	ck_assert_uint_eq(decoded.nlink, 2);
	attr = (struct th_attr){ .mode = S_IFREG | 0644, .nlink = 77 };
	size = th_inode_encode(&attr, value);
	ck_assert_int_eq(th_inode_decode(value, size, 3, &decoded), 0);
	ck_assert_uint_eq(decoded.nlink, 3);
	ck_assert_int_eq(decode(value, size, -1), -EUCLEAN);
}
END_TEST

static void expect_refused(void (*change)(struct th_inode_disk *disk))
{
	uint8_t value[TH_INODE_VALUE_MAX];
	struct th_attr attr = file_attr();
	size_t size = th_inode_encode(&attr, value);
	struct th_inode_disk disk;

	ck_assert_int_eq(decode(value, size, 1), 0);
	memcpy(&disk, value, sizeof(disk));
	change(&disk);
	memcpy(value, &disk, sizeof(disk));
	ck_assert_int_eq(decode(value, size, 1), -EUCLEAN);
}

static void no_type(struct th_inode_disk *disk)
{
	disk->mode = th_le32(0644);
}

static void unknown_type(struct th_inode_disk *disk)
{
	disk->mode = th_le32(S_IFMT | 0644);
}

static void high_mode_bits(struct th_inode_disk *disk)
{
	disk->mode = th_le32(1u << 20 | S_IFREG);
}

static void long_second(struct th_inode_disk *disk)
{
	disk->atime.nanoseconds = th_le32(1000000000);
}

static void long_birth_second(struct th_inode_disk *disk)
{
	disk->btime.nanoseconds = th_le32(UINT32_MAX);
}

static void huge_size(struct th_inode_disk *disk)
{
	disk->size = th_le64((uint64_t)INT64_MAX + 1);
}

static void huge_parent(struct th_inode_disk *disk)
{
	disk->parent = th_le64(TH_ID_MAX + 1);
}

static void huge_subdirs(struct th_inode_disk *disk)
{
	disk->mode = th_le32(S_IFDIR | 0755);
	disk->subdirs = th_le32(INT32_MAX);
}

static void parent_without_name(struct th_inode_disk *disk)
{
	disk->parent = th_le64(0);
}

START_TEST(invalid_fields_are_refused)
{
	expect_refused(no_type);
	expect_refused(unknown_type);
	expect_refused(high_mode_bits);
	expect_refused(long_second);
	expect_refused(long_birth_second);
	expect_refused(huge_size);
	expect_refused(huge_parent);
	expect_refused(huge_subdirs);
	expect_refused(parent_without_name);
}
END_TEST

START_TEST(names_that_no_file_can_have_are_refused)
{
	static const char *const names[] = { "..", ".", "a/b", "/", "", "/../etc/passwd" };
	uint8_t value[TH_INODE_VALUE_MAX];
	struct th_attr attr = file_attr();

	attr.name = names[_i];
	attr.name_size = (uint16_t)strlen(names[_i]);
	ck_assert_int_eq(decode(value, th_inode_encode(&attr, value), 1), -EUCLEAN);
	attr.name = "a\0b";
	attr.name_size = 3;
	ck_assert_int_eq(decode(value, th_inode_encode(&attr, value), 1), -EUCLEAN);
}
END_TEST

START_TEST(wrong_sizes_are_refused)
{
	uint8_t value[TH_INODE_VALUE_MAX + 1];
	struct th_attr attr = file_attr();

	memset(value, 'n', sizeof(value));
	th_inode_encode(&attr, value);
	for (size_t size = 0; size <= sizeof(struct th_inode_disk); size++)
		ck_assert_int_eq(decode(value, size, 1), -EUCLEAN);
	for (size_t size = sizeof(struct th_inode_disk) + 1; size <= TH_INODE_VALUE_MAX; size++)
		ck_assert_int_eq(decode(value, size, 1), 0);
	ck_assert_int_eq(decode(value, TH_INODE_VALUE_MAX + 1, 1), -EUCLEAN);
}
END_TEST

START_TEST(accepted_random_records_survive_a_round_trip)
{
	struct th_random random = { th_test_seed("inode_record") };
	struct th_attr attr = file_attr();

	for (unsigned i = 0; i < th_test_rounds(50000); i++) {
		uint8_t value[TH_INODE_VALUE_MAX], again[TH_INODE_VALUE_MAX];
		size_t size = th_inode_encode(&attr, value);
		int32_t refs = (int32_t)th_random_below(&random, 1000);
		struct th_attr decoded, twice;

		for (unsigned n = th_random_below(&random, 4); n; n--)
			value[th_random_below(&random, (uint32_t)size)] = (uint8_t)th_random_next(&random);
		if (decode(value, size, refs))
			continue;
		ck_assert_int_eq(th_inode_decode(value, size, refs, &decoded), 0);
		ck_assert_uint_eq(th_inode_encode(&decoded, again), size);
		ck_assert_int_eq(th_inode_decode(again, size, refs, &twice), 0);
		expect_attr(&twice, &decoded);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inode_record");
	TCase *tcase = tcase_create("records");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, all_attributes_survive_a_round_trip);
	tcase_add_test(tcase, link_counts_come_from_references_or_subdirectories);
	tcase_add_test(tcase, invalid_fields_are_refused);
	tcase_add_loop_test(tcase, names_that_no_file_can_have_are_refused, 0, 6);
	tcase_add_test(tcase, wrong_sizes_are_refused);
	tcase_add_test(tcase, accepted_random_records_survive_a_round_trip);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
