/* SPDX-License-Identifier: Apache-2.0 */
/* Entries: packing keeps everything but the optional fields that a role leaves out; keys and spans compare as bytes. */
#include "tests/tree/nodes.h"

/* A put with every optional field. */
static struct th_entry *full_entry(void)
{
	struct th_entry *e = th_message_put(th_slice_of("some "), th_slice_of("key"), th_slice_of("value"));

	ck_assert_ptr_nonnull(e);
	th_entry_set_refs(e, -7);
	th_entry_set_seq(e, UINT64_C(1) << 40);
	return e;
}

static void expect_bytes(struct th_slice found, const char *expected)
{
	ck_assert_uint_eq(found.size, strlen(expected));
	ck_assert_mem_eq(found.data, expected, found.size);
}

START_TEST(a_packed_message_has_all_fields_and_the_rest_of_its_key)
{
	struct th_entry *e = full_entry();
	uint8_t bytes[64];
	const struct th_entry *packed = (const struct th_entry *)bytes;

	ck_assert_uint_eq(th_entry_packed_size(e, 5, TH_ENTRY_MESSAGE), sizeof(*e) + 4 + 8 + 3 + 5);
	ck_assert_uint_eq(th_entry_pack(e, 5, TH_ENTRY_MESSAGE, bytes), sizeof(*e) + 4 + 8 + 3 + 5);
	expect_bytes((struct th_slice){ th_entry_key(packed), th_entry_key_size(packed) }, "key");
	expect_bytes(th_entry_value(packed), "value");
	ck_assert_int_eq(th_entry_refs(packed), -7);
	ck_assert_uint_eq(th_entry_seq(packed), UINT64_C(1) << 40);
	th_entry_unref(e);
}
END_TEST

START_TEST(a_packed_record_has_no_number_and_no_count_of_zero)
{
	struct th_entry *e = full_entry();
	uint8_t bytes[64];
	const struct th_entry *packed = (const struct th_entry *)bytes;

	ck_assert_uint_eq(th_entry_pack(e, 0, TH_ENTRY_RECORD, bytes), sizeof(*e) + 4 + 8 + 5);
	ck_assert_uint_eq(th_entry_seq(packed), 0);
	ck_assert_int_eq(th_entry_refs(packed), -7);
	th_entry_set_refs(e, 0);
	ck_assert_uint_eq(th_entry_pack(e, 0, TH_ENTRY_RECORD, bytes), sizeof(*e) + 8 + 5);
	ck_assert_uint_eq(packed->flags, TH_ENTRY_VALUE);
	expect_bytes((struct th_slice){ th_entry_key(packed), th_entry_key_size(packed) }, "some key");
	th_entry_unref(e);
}
END_TEST

START_TEST(counts_wrap_in_any_order)
{
	int32_t a = th_refs_add(th_refs_add(INT32_MAX, 1), -5), b = th_refs_add(th_refs_add(INT32_MAX, -5), 1);

	ck_assert_int_eq(a, b);
	ck_assert_int_eq(a, INT32_MAX - 4);
}
END_TEST

START_TEST(a_successor_is_the_next_key)
{
	struct th_key key;

	th_key_set(&key, th_slice_of("b"));
	th_key_successor(&key);
	ck_assert_int_gt(th_slice_compare(th_key_slice(&key), th_slice_of("b")), 0);
	ck_assert_int_lt(th_slice_compare(th_key_slice(&key), (struct th_slice){ "b\0\0", 3 }), 0);
	ck_assert_int_lt(th_slice_compare(th_key_slice(&key), th_slice_of("b\x01")), 0);
	th_key_set_last(&key);
	ck_assert_int_gt(th_slice_compare(th_key_slice(&key), th_slice_of("\xff\xff\xff")), 0);
}
END_TEST

START_TEST(slices_compare_as_unsigned_bytes)
{
	ck_assert_int_lt(th_slice_compare(th_slice_of("a"), th_slice_of("aa")), 0);
	ck_assert_int_lt(th_slice_compare(th_slice_of("\x7f"), th_slice_of("\x80")), 0);
	ck_assert_int_eq(th_slice_compare(TH_SLICE_EMPTY, th_slice_of("")), 0);
	ck_assert_uint_eq(th_slice_common(th_slice_of("abcd"), th_slice_of("abxy")), 2);
	ck_assert_uint_eq(th_slice_common(th_slice_of("ab"), th_slice_of("abxy")), 2);
}
END_TEST

static struct th_span span_of(const char *from, const char *to)
{
	struct th_span span = { .open = !to };

	th_key_set(&span.from, th_slice_of(from));
	th_key_set(&span.to, th_slice_of(to ? to : ""));
	return span;
}

START_TEST(a_span_loses_parts_from_either_end)
{
	struct th_span span = span_of("b", NULL), part = span_of("b", "d");

	th_span_take_off(&span, &part, false);
	expect_bytes(th_key_slice(&span.from), "d");
	ck_assert(span.open && !th_span_is_empty(&span));
	part = span_of("x", NULL);
	th_span_take_off(&span, &part, true);
	ck_assert(!span.open);
	expect_bytes(th_span_end(&span), "x");
	part = span_of("d", "x");
	th_span_take_off(&span, &part, false);
	ck_assert(th_span_is_empty(&span));
}
END_TEST

START_TEST(the_last_reference_frees_the_entry)
{
	struct th_entry *e = full_entry();

	th_entry_ref(e);
	th_entry_unref(e);
	ck_assert_int_eq(th_entry_refs(e), -7); /* AddressSanitizer would complain */
	th_entry_unref(e);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_packed_message_has_all_fields_and_the_rest_of_its_key,
				       a_packed_record_has_no_number_and_no_count_of_zero,
				       counts_wrap_in_any_order,
				       a_successor_is_the_next_key,
				       slices_compare_as_unsigned_bytes,
				       a_span_loses_parts_from_either_end,
				       the_last_reference_frees_the_entry };

	return th_tests_run("entry", tests, sizeof(tests) / sizeof(tests[0]));
}
