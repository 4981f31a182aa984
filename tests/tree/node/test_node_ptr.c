/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers to nodes: packing keeps them, and fields out of range are refused. */
#include "tests/tree/nodes.h"

static const struct th_ptr sample = {
	.addr = UINT64_C(1) << 40,
	.mirror = UINT64_C(1) << 41,
	.birth = 7,
	.seq = 99,
	.checksum = UINT64_MAX,
	.records = UINT64_C(3) << 33,
	.deletes = UINT64_C(5) << 32,
	.blocks = TH_NODE_MAX / TH_BLOCK_SIZE,
	.prefix_size = TH_KEY_MAX,
	.level = TH_HEIGHT_MAX - 1,
	.chunks = 1,
	.scattered = 1,
	.mirror_scattered = 1,
};

START_TEST(packing_keeps_a_pointer)
{
	struct th_ptr_disk disk;
	struct th_ptr found;

	th_ptr_pack(&sample, &disk);
	th_ok(th_ptr_unpack(&disk, &found));
	ck_assert_uint_eq(found.addr, sample.addr);
	ck_assert_uint_eq(found.mirror, sample.mirror);
	ck_assert_uint_eq(found.birth, sample.birth);
	ck_assert_uint_eq(found.seq, sample.seq);
	ck_assert_uint_eq(found.checksum, sample.checksum);
	ck_assert_uint_eq(found.blocks, sample.blocks);
	ck_assert_uint_eq(found.prefix_size, sample.prefix_size);
	ck_assert_uint_eq(found.level, sample.level);
	ck_assert_uint_eq(found.chunks, 1);
	ck_assert_uint_eq(found.scattered, 1);
	ck_assert_uint_eq(found.mirror_scattered, 1);
	ck_assert_uint_eq(found.records, sample.records);
	ck_assert_uint_eq(found.deletes, sample.deletes);
}
END_TEST

#define EXPECT_REFUSED(...)                                                                                            \
	do {                                                                                                           \
		struct th_ptr ptr = sample, found;                                                                     \
		struct th_ptr_disk disk;                                                                               \
                                                                                                                       \
		th_ptr_pack(&ptr, &disk);                                                                              \
		__VA_ARGS__;                                                                                           \
		th_expect(th_ptr_unpack(&disk, &found), -EUCLEAN);                                                     \
	} while (0)

START_TEST(fields_out_of_range_are_refused)
{
	EXPECT_REFUSED(disk.addr = th_le64(0));
	EXPECT_REFUSED(disk.blocks = th_le16(0));
	EXPECT_REFUSED(disk.blocks = th_le16(TH_NODE_MAX / TH_BLOCK_SIZE + 1));
	EXPECT_REFUSED(disk.prefix_size = th_le16(TH_KEY_MAX + 1));
	EXPECT_REFUSED(disk.level = TH_HEIGHT_MAX);
	EXPECT_REFUSED(disk.flags = 8);
	EXPECT_REFUSED(disk.mirror = disk.addr);
	EXPECT_REFUSED(disk.mirror = th_le64(0)); /* but scattered */
	EXPECT_REFUSED(disk.reserved = th_le16(1));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { packing_keeps_a_pointer, fields_out_of_range_are_refused };

	return th_tests_run("node_ptr", tests, sizeof(tests) / sizeof(tests[0]));
}
