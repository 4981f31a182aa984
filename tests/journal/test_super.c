/* SPDX-License-Identifier: Apache-2.0 */
/* Superblocks: the newest valid slot, and damaged or hostile ones. */
#include <xxhash.h>

#include "journal/super.h"
#include "tests/journal/suite.h"

#define DISK_BLOCKS 1024u
/* docs/format.md, "Superblock" */
#define AT_VERSION 8u
#define AT_RO_COMPAT 104u
#define AT_INCOMPAT 112u
#define AT_COMPAT 96u
#define AT_COPIES 665u
#define AT_CARRIED_SIZE 666u
#define AT_CARRIED 668u
#define CARRIED 100u
#define AT_CHECKSUM (TH_BLOCK_SIZE - 8)

static struct th_disk *disk;

static void setup(void)
{
	th_ok(th_disk_memory_new(DISK_BLOCKS, &disk));
}

static void teardown(void)
{
	th_disk_close(disk);
}

static struct th_super sample(uint64_t generation)
{
	struct th_super super = {
		.compat = 5,
		.blocks = DISK_BLOCKS,
		.log_first = TH_SUPER_FIRST_FREE,
		.log_blocks = 100,
		.log_mirror = generation % 3 ? DISK_BLOCKS / 2 : 0,
		.generation = generation,
		.sequence = generation * 1000,
		.mount_count = 3,
		.next_snapshot_id = 4,
		.created_ns = 5,
		.checkpoint_ns = 6 + generation,
		.clean = generation % 2,
		.copies = 1 + generation % 2,
		.log_tail = { .block = generation % 100, .sequence = generation, .checksum = 9 },
		.space_log = { .head = 200, .head_checksum = 1, .entries = 2, .blocks = 3, .max_birth = 4, .pages = 1 },
		.strays = { .head = 201, .head_checksum = 7, .entries = 1, .blocks = 2, .max_birth = 3, .pages = 1 },
	};

	strcpy(super.label, "a label");
	memset(super.uuid, 0xab, sizeof(super.uuid));
	memset(super.live_root, 0x11, sizeof(super.live_root));
	memset(super.meta_root, 0x22, sizeof(super.meta_root));
	for (size_t i = 0; i < 8; i++)
		super.counters[i] = generation + i;
	super.carried_size = CARRIED;
	memset(super.carried, 0x33, CARRIED);
	return super;
}

static bool same(const struct th_super *a, const struct th_super *b)
{
	return memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0 && strcmp(a->label, b->label) == 0 &&
	       a->compat == b->compat && a->blocks == b->blocks && a->log_first == b->log_first &&
	       a->log_blocks == b->log_blocks && a->log_mirror == b->log_mirror && a->generation == b->generation &&
	       a->sequence == b->sequence && a->mount_count == b->mount_count &&
	       a->next_snapshot_id == b->next_snapshot_id && a->created_ns == b->created_ns &&
	       a->checkpoint_ns == b->checkpoint_ns && a->clean == b->clean && a->copies == b->copies &&
	       memcmp(&a->log_tail, &b->log_tail, sizeof(a->log_tail)) == 0 &&
	       memcmp(&a->space_log, &b->space_log, sizeof(a->space_log)) == 0 &&
	       memcmp(&a->dead, &b->dead, sizeof(a->dead)) == 0 &&
	       memcmp(&a->strays, &b->strays, sizeof(a->strays)) == 0 &&
	       memcmp(a->live_root, b->live_root, sizeof(a->live_root)) == 0 &&
	       memcmp(a->meta_root, b->meta_root, sizeof(a->meta_root)) == 0 &&
	       memcmp(a->counters, b->counters, sizeof(a->counters)) == 0 && a->carried_size == b->carried_size &&
	       memcmp(a->carried, b->carried, a->carried_size) == 0;
}

static void write_generations(uint64_t from, uint64_t to)
{
	for (uint64_t generation = from; generation <= to; generation++) {
		struct th_super super = sample(generation);

		th_ok(th_super_write(disk, &super));
	}
}

static void check_newest(uint64_t generation)
{
	struct th_super want = sample(generation), found;

	th_ok(th_super_read(disk, &found));
	th_check(same(&want, &found));
}

static void check_error(int error)
{
	struct th_super found;

	ck_assert_int_eq(th_super_read(disk, &found), error);
}

/* Changes bytes of a block, and makes its checksum right if asked to. */
static void edit(uint64_t addr, size_t at, const void *bytes, size_t size, bool checksum)
{
	char *block = th_test_block(0);

	th_ok(th_disk_read(disk, addr, 1, block));
	memcpy(block + at, bytes, size);
	if (checksum) {
		struct th_le64 sum = th_le64(XXH3_64bits(block, AT_CHECKSUM));

		memcpy(block + AT_CHECKSUM, &sum, sizeof(sum));
	}
	th_ok(th_disk_write(disk, addr, 1, block));
	free(block);
}

static void flip(uint64_t addr, size_t bit)
{
	char *block = th_test_block(0);

	th_ok(th_disk_read(disk, addr, 1, block));
	block[bit / 8] ^= (char)(1 << bit % 8);
	th_ok(th_disk_write(disk, addr, 1, block));
	free(block);
}

static void wipe(uint64_t addr, uint32_t blocks)
{
	char *zeros = th_disk_buffer((size_t)blocks * TH_BLOCK_SIZE);

	memset(zeros, 0, (size_t)blocks * TH_BLOCK_SIZE);
	th_ok(th_disk_write(disk, addr, blocks, zeros));
	free(zeros);
}

START_TEST(newest_generation_is_read)
{
	check_error(-EMEDIUMTYPE);
	ck_assert(!th_super_present(disk));
	for (uint64_t generation = 1; generation <= 20; generation++) {
		write_generations(generation, generation);
		check_newest(generation);
	}
	ck_assert(th_super_present(disk));
}
END_TEST

/* Flips bits of the newest slot.  With one copy damaged the other is read, with both the generation before. */
START_TEST(other_copy_or_generation_replaces_a_damaged_slot)
{
	struct th_random random = { th_test_seed("other_copy_or_generation_replaces_a_damaged_slot") };

	write_generations(1, 12);
	for (size_t bit = 0; bit < TH_BLOCK_SIZE * 8;
	     bit += 1 + th_random_below(&random, bit < AT_COPIES * 8 ? 12 : 100)) {
		uint64_t front = 12 % 8, back = DISK_BLOCKS - 8 + 12 % 8;

		flip(front, bit);
		check_newest(12);
		flip(back, bit);
		check_newest(11);
		flip(front, bit);
		check_newest(12);
		flip(back, bit);
	}
	check_newest(12);
}
END_TEST

START_TEST(torn_write_leaves_the_generation_before)
{
	struct th_disk *fault, *image;
	struct th_super super, found;

	write_generations(1, 9);
	th_ok(th_disk_fault_new(disk, &fault));
	disk = fault;
	super = sample(10);
	th_ok(th_super_write(fault, &super));
	th_ok(th_disk_sync(fault));
	for (uint64_t events = 0; events <= th_disk_fault_events(fault); events++) {
		for (uint64_t seed = 0; seed < 40; seed++) {
			th_ok(th_disk_fault_crash_image(fault, events, seed, &image));
			th_ok(th_super_read(image, &found));
			super = sample(found.generation);
			th_check(same(&super, &found));
			th_check(found.generation == 10 || found.generation == 9);
			th_check(events < th_disk_fault_events(fault) || found.generation == 10);
			th_disk_close(image);
		}
	}
}
END_TEST

/* Each generation once, the newest first, from whichever ring has it. */
START_TEST(list_has_every_generation_that_is_left)
{
	uint8_t *zeros = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_super super, *list;
	size_t count;

	memset(zeros, 0, TH_BLOCK_SIZE);
	th_ok(th_super_list(disk, &list, &count));
	ck_assert_uint_eq(count, 0);
	free(list);
	for (uint64_t generation = 3; generation < 13; generation++) {
		super = sample(generation);
		th_ok(th_super_write(disk, &super));
	}
	th_ok(th_disk_write(disk, 12 % TH_SUPER_SLOTS, 1, zeros)); /* is in the other ring */
	th_ok(th_disk_write(disk, 9 % TH_SUPER_SLOTS, 1, zeros));
	th_ok(th_disk_write(disk, DISK_BLOCKS - TH_SUPER_TAIL_BLOCKS + 9 % TH_SUPER_SLOTS, 1, zeros));
	th_ok(th_super_list(disk, &list, &count));
	ck_assert_uint_eq(count, TH_SUPER_SLOTS - 1);
	for (size_t i = 0; i < count; i++) {
		super = sample(i < 3 ? 12 - i : 11 - i);
		ck_assert(same(&list[i], &super));
	}
	free(list);
	free(zeros);
}
END_TEST

START_TEST(either_ring_is_enough)
{
	write_generations(1, 10);
	wipe(0, TH_SUPER_SLOTS);
	check_newest(10);
	write_generations(11, 11);
	wipe(DISK_BLOCKS - TH_SUPER_SLOTS, TH_SUPER_SLOTS);
	check_newest(11);
	wipe(0, TH_SUPER_SLOTS);
	check_error(-EMEDIUMTYPE);
}
END_TEST

/* An image made for a smaller disk, and one that has lost its end. */
START_TEST(size_of_the_image_may_differ_from_the_disk)
{
	struct th_super super = sample(3), found;

	super.blocks = DISK_BLOCKS / 2;
	th_ok(th_super_write(disk, &super));
	flip(3, 1000);
	check_error(-EUCLEAN); /* the place of the other copy is unknown */
	flip(3, 1000);
	th_ok(th_super_read(disk, &found));
	ck_assert_uint_eq(found.blocks, DISK_BLOCKS / 2);
	wipe(3, 1);
	write_generations(3, 3);
	disk->blocks = DISK_BLOCKS - 1;
	check_error(-EUCLEAN);
	disk->blocks = DISK_BLOCKS;
	check_newest(3);
}
END_TEST

START_TEST(damaged_superblocks_are_not_present)
{
	write_generations(2, 2);
	flip(2, 3000);
	flip(DISK_BLOCKS - 8 + 2, 3000);
	check_error(-EUCLEAN);
	ck_assert(!th_super_present(disk));
}
END_TEST

START_TEST(unknown_versions_and_features_are_refused)
{
	static const size_t places[] = { AT_VERSION, AT_RO_COMPAT, AT_INCOMPAT };
	struct th_super found;
	uint8_t two = 2;

	for (size_t i = 0; i < 3; i++) {
		wipe(0, TH_SUPER_SLOTS);
		wipe(DISK_BLOCKS - TH_SUPER_SLOTS, TH_SUPER_SLOTS);
		write_generations(5, 6);
		edit(6, places[i], &two, 1, true);
		check_error(-EPROTONOSUPPORT);
		ck_assert(th_super_present(disk));
	}
	write_generations(6, 6);
	edit(6, AT_COMPAT, &two, 1, true);
	edit(DISK_BLOCKS - 8 + 6, AT_COMPAT, &two, 1, true);
	th_ok(th_super_read(disk, &found));
	ck_assert_uint_eq(found.compat, 2);
}
END_TEST

START_TEST(copies_and_unused_bytes_are_checked)
{
	static const size_t at[] = { AT_COPIES, AT_CARRIED + CARRIED, AT_CHECKSUM - 1 };
	uint8_t wrong = 3;

	write_generations(5, 6);
	edit(6, at[_i], &wrong, 1, true);
	edit(DISK_BLOCKS - 8 + 6, at[_i], &wrong, 1, true);
	check_newest(5);
}
END_TEST

START_TEST(carried_size_is_checked)
{
	uint8_t high = 0xff;

	write_generations(5, 6);
	edit(6, AT_CARRIED_SIZE + 1, &high, 1, true);
	edit(DISK_BLOCKS - 8 + 6, AT_CARRIED_SIZE + 1, &high, 1, true);
	check_newest(5);
}
END_TEST

START_TEST(generation_in_another_slot_is_not_valid)
{
	char *block = th_test_block(0);

	write_generations(5, 6);
	th_ok(th_disk_read(disk, 6, 1, block));
	wipe(6, 1);
	wipe(DISK_BLOCKS - 8 + 6, 1);
	th_ok(th_disk_write(disk, 7, 1, block));
	check_newest(5);
	free(block);
}
END_TEST

static void check_refused(const struct th_super *super)
{
	ck_assert_int_eq(th_super_write(disk, super), -EINVAL);
	check_error(-EMEDIUMTYPE);
}

START_TEST(fields_that_no_reader_accepts_are_not_written)
{
	struct th_super super;

	super = sample(1);
	super.blocks = DISK_BLOCKS + 1;
	check_refused(&super);
	super = sample(1);
	super.blocks = 16;
	check_refused(&super);
	super = sample(1);
	super.blocks = 3;
	check_refused(&super);
	super = sample(1);
	super.log_first = TH_HEARTBEAT_BLOCK;
	check_refused(&super);
	super = sample(1);
	super.log_first = UINT64_MAX;
	check_refused(&super);
	super = sample(1);
	super.log_blocks = UINT64_MAX - 4;
	check_refused(&super);
	super = sample(1);
	super.log_blocks = 0;
	check_refused(&super);
	super = sample(1);
	super.log_mirror = super.log_first + super.log_blocks - 1;
	check_refused(&super);
	super = sample(1);
	super.log_mirror = DISK_BLOCKS - 8 - super.log_blocks + 1;
	check_refused(&super);
	super = sample(1);
	super.log_mirror = UINT64_MAX;
	check_refused(&super);
	super = sample(1);
	super.log_tail.block = super.log_blocks;
	check_refused(&super);
	super = sample(1);
	super.clean = 2;
	check_refused(&super);
	super = sample(1);
	memset(super.label, 'x', sizeof(super.label));
	check_refused(&super);
	super = sample(1);
	super.space_log.pages = 0;
	check_refused(&super);
	super = sample(1);
	super.incompat = 1;
	check_refused(&super);
}
END_TEST

static void count_rings(struct th_super_rings *ret)
{
	struct th_super newest;

	th_ok(th_super_read(disk, &newest));
	th_ok(th_super_mend(disk, &newest, ret));
}

START_TEST(damaged_slots_are_rewritten_from_the_other_ring)
{
	struct th_super_rings rings;

	write_generations(5, 20);
	count_rings(&rings);
	ck_assert_uint_eq(rings.slots, 0);
	wipe(0, 8);
	count_rings(&rings);
	ck_assert(rings.slots == 8 && rings.damaged == 8 && rings.mended == 0);
	disk->heals = true;
	count_rings(&rings);
	ck_assert(rings.slots == 8 && rings.damaged == 8 && rings.mended == 8);
	count_rings(&rings);
	ck_assert_uint_eq(rings.slots, 0);
	wipe(DISK_BLOCKS - 8, 8);
	check_newest(20);
	count_rings(&rings);
	ck_assert_uint_eq(rings.mended, 8);
	count_rings(&rings);
	ck_assert_uint_eq(rings.slots, 0);
}
END_TEST

/* A ring that was never full has empty slots, and a crash leaves one damaged slot number. */
START_TEST(empty_and_torn_slots_are_told_from_lost_ones)
{
	uint8_t torn = 0xff;
	struct th_super_rings rings;

	write_generations(1, 3);
	count_rings(&rings);
	ck_assert_uint_eq(rings.slots, 0);
	edit(3, 2000, &torn, 1, false);
	edit(DISK_BLOCKS - 8 + 3, 2000, &torn, 1, false);
	count_rings(&rings);
	ck_assert(rings.slots == 1 && rings.damaged == 2 && rings.mended == 0);
	edit(1, 2000, &torn, 1, false);
	count_rings(&rings);
	ck_assert(rings.slots == 2 && rings.damaged == 3);
}
END_TEST

START_TEST(erase_removes_every_ring)
{
	struct th_super super = sample(100);

	super.blocks = DISK_BLOCKS / 2;
	super.log_mirror = 0;
	th_ok(th_super_write(disk, &super));
	write_generations(1, 1);
	th_ok(th_super_erase(disk));
	check_error(-EMEDIUMTYPE);
	ck_assert(!th_super_present(disk));
	disk->blocks = DISK_BLOCKS / 2;
	check_error(-EMEDIUMTYPE);
	disk->blocks = DISK_BLOCKS;
	write_generations(1, 1);
	check_newest(1);
}
END_TEST

START_TEST(one_unreadable_ring_is_no_error)
{
	struct th_disk *fault;
	struct th_super found;

	write_generations(1, 3);
	th_ok(th_disk_fault_new(disk, &fault));
	disk = fault;
	th_disk_fault_arm(disk, TH_FAULT_ERROR, 0);
	th_ok(th_super_read(disk, &found));
	ck_assert_uint_eq(found.generation, 3);
	th_disk_fault_arm(disk, TH_FAULT_ERROR, 1);
	th_ok(th_super_read(disk, &found));
	ck_assert_uint_eq(found.generation, 3);
	th_disk_fault_arm(disk, TH_FAULT_CUT, 0);
	th_check(th_disk_sync(disk) == -EIO);
	check_error(-EIO);
}
END_TEST

/* In slots with a right checksum. */
START_TEST(hostile_fields_are_refused_or_can_be_written_again)
{
	struct th_random random = { th_test_seed("hostile_fields_are_refused_or_can_be_written_again") };
	struct th_super found;

	for (unsigned round = 0; round < th_test_rounds(3000); round++) {
		uint64_t bytes = th_random_next(&random);
		size_t at = th_random_below(&random, 512), size = 1 + th_random_below(&random, 8);
		int err;

		if (round % 8 == 0)
			write_generations(5, 6);
		if (th_random_percent(&random, 30))
			bytes = th_random_percent(&random, 50) ? UINT64_MAX : 0;
		edit(6, at, &bytes, size, true);
		edit(DISK_BLOCKS - 8 + 6, at, &bytes, size, true);
		err = th_super_read(disk, &found);
		th_check(err == 0 || err == -EPROTONOSUPPORT || err == -EUCLEAN);
		if (err == 0)
			th_ok(th_super_write(disk, &found));
	}
}
END_TEST

START_TEST(copy_at_the_end_of_a_grown_disk_leads_to_the_newest_slot)
{
	static char zeros[TH_SUPER_SLOTS * TH_BLOCK_SIZE] __attribute__((aligned(TH_BLOCK_SIZE)));
	struct th_super super = sample(20), found;

	th_ok(th_super_write(disk, &super));
	ck_assert_int_eq(th_super_copy(disk, 2 * DISK_BLOCKS), -EINVAL);
	th_ok(th_disk_grow(disk, 2 * DISK_BLOCKS));
	th_ok(th_super_copy(disk, 2 * DISK_BLOCKS));
	super = sample(21);
	th_ok(th_super_write(disk, &super)); /* to the old end */
	th_ok(th_disk_write(disk, 0, TH_SUPER_SLOTS, zeros));
	th_ok(th_super_read(disk, &found));
	ck_assert_uint_eq(found.generation, 21);
	super.generation = 22;
	super.blocks = 2 * DISK_BLOCKS;
	th_ok(th_super_write(disk, &super));
	th_ok(th_super_read(disk, &found));
	ck_assert_uint_eq(found.generation, 22);
	ck_assert_uint_eq(found.blocks, 2 * DISK_BLOCKS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("super");
	TCase *tcase = tcase_create("super");

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, newest_generation_is_read);
	tcase_add_test(tcase, other_copy_or_generation_replaces_a_damaged_slot);
	tcase_add_test(tcase, torn_write_leaves_the_generation_before);
	tcase_add_test(tcase, list_has_every_generation_that_is_left);
	tcase_add_test(tcase, either_ring_is_enough);
	tcase_add_test(tcase, size_of_the_image_may_differ_from_the_disk);
	tcase_add_test(tcase, damaged_superblocks_are_not_present);
	tcase_add_test(tcase, unknown_versions_and_features_are_refused);
	tcase_add_loop_test(tcase, copies_and_unused_bytes_are_checked, 0, 3);
	tcase_add_test(tcase, carried_size_is_checked);
	tcase_add_test(tcase, generation_in_another_slot_is_not_valid);
	tcase_add_test(tcase, fields_that_no_reader_accepts_are_not_written);
	tcase_add_test(tcase, damaged_slots_are_rewritten_from_the_other_ring);
	tcase_add_test(tcase, empty_and_torn_slots_are_told_from_lost_ones);
	tcase_add_test(tcase, erase_removes_every_ring);
	tcase_add_test(tcase, one_unreadable_ring_is_no_error);
	tcase_add_test(tcase, hostile_fields_are_refused_or_can_be_written_again);
	tcase_add_test(tcase, copy_at_the_end_of_a_grown_disk_leads_to_the_newest_slot);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
