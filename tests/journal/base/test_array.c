/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/array.h"

#include <stdint.h>

#include "tests/journal/suite.h"

/* The address sanitizer otherwise ends a program that asks for too much. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

START_TEST(items_survive_growth)
{
	uint32_t *items = NULL;
	size_t room = 0;

	for (size_t count = 0; count < 10000; count++) {
		th_ok(th_grow(items, room, count + 1));
		th_check(room > count);
		items[count] = (uint32_t)count;
	}
	for (size_t i = 0; i < 10000; i++)
		th_check(items[i] == i);
	free(items);
}
END_TEST

/* Appending n items must not copy in the order of n squared. */
START_TEST(capacity_doubles)
{
	unsigned moves = 0;
	size_t room = 0;
	char *items = NULL;

	for (size_t need = 1; need <= 1 << 20; need++) {
		size_t before = room;

		th_ok(th_grow(items, room, need));
		th_check(room == before || room >= 2 * before);
		moves += room != before;
	}
	ck_assert_uint_le(moves, 18);
	free(items);
}
END_TEST

START_TEST(appended_items_are_counted)
{
	struct pair {
		unsigned a, b;
	} *pairs = NULL;
	size_t room = 0, count = 0;

	for (unsigned i = 0; i < 1000; i++)
		th_ok(th_append(pairs, room, count, (struct pair){ i, i + 1 }));
	ck_assert_uint_eq(count, 1000);
	for (unsigned i = 0; i < 1000; i++)
		th_check(pairs[i].a == i && pairs[i].b == i + 1);
	count = SIZE_MAX / sizeof(*pairs); /* no memory can hold them: nothing changes */
	ck_assert_int_eq(th_append(pairs, room, count, (struct pair){ 0, 0 }), -ENOMEM);
	ck_assert_uint_eq(count, SIZE_MAX / sizeof(*pairs));
	th_check(pairs[999].a == 999);
	free(pairs);
}
END_TEST

START_TEST(enough_room_changes_nothing)
{
	int *items = NULL, *before;
	size_t room = 0;

	th_ok(th_grow(items, room, 100));
	ck_assert_uint_ge(room, 100);
	before = items;
	th_ok(th_grow(items, room, room));
	ck_assert_ptr_eq(items, before);
	free(items);
}
END_TEST

START_TEST(impossible_sizes_leave_the_array_as_it_was)
{
	static const size_t needs[] = { SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX / sizeof(uint64_t) + 1 };
	uint64_t *items = NULL, *before;
	size_t room = 0;

	th_ok(th_grow(items, room, 10));
	before = items;
	items[9] = 42;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		size_t room_before = room;

		ck_assert_int_eq(th_grow(items, room, needs[i]), -ENOMEM);
		ck_assert_ptr_eq(items, before);
		ck_assert_uint_eq(room, room_before);
		ck_assert_uint_eq(items[9], 42);
	}
	free(items);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("array");
	TCase *tcase = tcase_create("array");

	tcase_add_test(tcase, items_survive_growth);
	tcase_add_test(tcase, capacity_doubles);
	tcase_add_test(tcase, appended_items_are_counted);
	tcase_add_test(tcase, enough_room_changes_nothing);
	tcase_add_test(tcase, impossible_sizes_leave_the_array_as_it_was);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
