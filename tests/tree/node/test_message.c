/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on disk: a malformed one is not accepted.  Messages of each type carry what their constructor was given. */
#include "tests/tree/nodes.h"

#include "tree/node/message.h"

START_TEST(constructors_keep_key_value_count_and_number)
{
	const struct th_slice head = { "ke", 2 }, tail = { "y", 1 }, end = { "z", 1 };
	struct th_entry *refs = th_message_add_refs(head, tail, -3);
	struct th_entry *range = th_message_delete_range(tail, end, 77);

	ck_assert(refs && range);
	ck_assert_uint_eq(th_entry_key_size(refs), 3);
	ck_assert_mem_eq(th_entry_key(refs), "key", 3);
	ck_assert_int_eq(th_entry_refs(refs), -3);
	ck_assert(!th_message_hides_value(refs) && !th_message_is_range(refs));
	ck_assert_uint_eq(th_message_deletes(refs), 0);
	ck_assert_uint_eq(th_entry_seq(range), 77);
	ck_assert(th_message_is_range(range) && th_message_hides_value(range));
	ck_assert(th_message_covers(range, tail) && !th_message_covers(range, end));
	ck_assert_uint_eq(th_message_deletes(range), TH_RANGE_DELETES);
	th_entry_unref(refs);
	th_entry_unref(range);
}
END_TEST

START_TEST(a_packed_entry_has_flags_that_go_together)
{
	uint8_t bytes[sizeof(struct th_entry) + 12 + 2] = { 0 };

	for (unsigned flags = 0; flags < 256; flags++) {
		bool chunk = flags & TH_ENTRY_CHUNK, value = flags & TH_ENTRY_VALUE, range = flags & TH_ENTRY_RANGE;
		bool legal = flags <= TH_ENTRY_DISK_FLAGS && (!chunk || value) &&
			     !(range && (value || flags & TH_ENTRY_REFS));
		struct th_entry header = { .flags = (uint8_t)flags, .key_size = th_le16(1), .value_size = th_le16(1) };
		size_t size = th_entry_header_size(flags) + 2;

		memcpy(bytes, &header, sizeof(header));
		ck_assert_uint_eq(th_message_packed_check(bytes, sizeof(bytes)), legal ? size : 0);
		ck_assert_uint_eq(th_message_packed_check(bytes, size - 1), 0);
	}
}
END_TEST

START_TEST(a_packed_entry_has_sizes_within_the_limits)
{
	struct {
		struct th_entry header;
		uint8_t rest[TH_KEY_MAX + TH_INLINE_MAX + 8];
	} e = { .header = { .flags = TH_ENTRY_VALUE } };

	e.header.key_size = th_le16(TH_KEY_MAX + 1);
	e.header.value_size = th_le16(TH_INLINE_MAX);
	ck_assert_uint_eq(th_message_packed_check(&e, sizeof(e)), sizeof(e.header) + TH_KEY_MAX + 1 + TH_INLINE_MAX);
	e.header.key_size = th_le16(TH_KEY_MAX + 2);
	ck_assert_uint_eq(th_message_packed_check(&e, sizeof(e)), 0);
	e.header.key_size = th_le16(1);
	e.header.value_size = th_le16(TH_INLINE_MAX + 1);
	ck_assert_uint_eq(th_message_packed_check(&e, sizeof(e)), 0);
	e.header.value_size = th_le16(1);
	e.header.reserved = 1;
	ck_assert_uint_eq(th_message_packed_check(&e, sizeof(e)), 0);
	ck_assert_uint_eq(th_message_packed_check(&e, sizeof(e.header) - 1), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { constructors_keep_key_value_count_and_number,
				       a_packed_entry_has_flags_that_go_together,
				       a_packed_entry_has_sizes_within_the_limits };

	return th_tests_run("message", tests, sizeof(tests) / sizeof(tests[0]));
}
