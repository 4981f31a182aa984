/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: building and parsing are inverse, sort as docs/format.md says, and hostile keys are refused. */
#include "fs/format/key.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "tests/support/suite.h"

static struct th_fs_key_parts parsed(struct th_fs_key key)
{
	static struct th_fs_key kept; /* the name points into it */
	struct th_fs_key_parts parts;

	kept = key;
	ck_assert_int_eq(th_fs_key_parse(th_fs_key_slice(&kept), &parts), 0);
	return parts;
}

static void expect(struct th_fs_key key, uint64_t id, unsigned kind, uint64_t number, const char *name)
{
	struct th_fs_key_parts parts = parsed(key);

	ck_assert_uint_eq(parts.id, id);
	ck_assert_uint_eq(parts.kind, kind);
	ck_assert_uint_eq(parts.number, number);
	ck_assert_uint_eq(parts.name.size, strlen(name));
	ck_assert_mem_eq(parts.name.data, name, parts.name.size);
}

START_TEST(each_kind_is_parsed_as_it_was_built)
{
	expect(th_fs_key_inode(7), 7, TH_FS_KEY_INODE, 0, "");
	expect(th_fs_key_xattr(TH_ID_MAX, "user.a", 6), TH_ID_MAX, TH_FS_KEY_XATTR, 0, "user.a");
	expect(th_fs_key_link(7, 8, "name", 4), 7, TH_FS_KEY_LINK, 8, "name");
	expect(th_fs_key_extent(7, UINT64_MAX), 7, TH_FS_KEY_EXTENT, UINT64_MAX, "");
	expect(th_fs_key_entry(7, 9, "n", 1), 7, TH_FS_KEY_ENTRY, 9, "n");
	expect(th_fs_key_next_id(), 0, TH_FS_KEY_NEXT_ID, 0, "");
	expect(th_fs_key_name_key(), 0, TH_FS_KEY_NAME_KEY, 0, "");
	expect(th_fs_key_orphan(7), 0, TH_FS_KEY_ORPHAN, 7, "");
	expect(th_fs_key_atime(7), 0, TH_FS_KEY_ATIME, 7, "");
	expect(th_fs_key_receive(), 0, TH_FS_KEY_RECEIVE, 0, "");
	expect(th_fs_key_received_id(7), 0, TH_FS_KEY_RECEIVED_ID, 7, "");
}
END_TEST

static int compare(struct th_fs_key a, struct th_fs_key b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = memcmp(a.bytes, b.bytes, size);

	return order ? order : (int)a.size - (int)b.size;
}

START_TEST(keys_sort_by_id_kind_and_number)
{
	ck_assert_int_lt(compare(th_fs_key_inode(0xff), th_fs_key_inode(0x100)), 0);
	ck_assert_int_lt(compare(th_fs_key_entry(1, UINT64_MAX >> 9, "z", 1), th_fs_key_inode(2)), 0);
	ck_assert_int_lt(compare(th_fs_key_inode(1), th_fs_key_xattr(1, "a", 1)), 0);
	ck_assert_int_lt(compare(th_fs_key_extent(1, 0xffff), th_fs_key_extent(1, 0x10000)), 0);
	ck_assert_int_lt(compare(th_fs_key_entry(1, 5, "z", 1), th_fs_key_entry(1, 6, "a", 1)), 0);
	ck_assert_int_lt(compare(th_fs_key_entry(1, 5, NULL, 0), th_fs_key_entry(1, 5, "a", 1)), 0);
	ck_assert_int_lt(compare(th_fs_key_orphan(TH_ID_MAX), th_fs_key_inode(1)), 0);
	ck_assert_int_lt(compare(th_fs_key_atime(TH_ID_MAX), th_fs_key_inode(1)), 0);
}
END_TEST

static int parse(const void *bytes, size_t size)
{
	struct th_fs_key_parts parts;
	void *exact = malloc(size ? size : 1); /* so that the sanitizer sees reads past the end */
	int err;

	memcpy(exact, bytes, size);
	err = th_fs_key_parse((struct th_slice){ exact, size }, &parts);
	free(exact);
	return err;
}

START_TEST(invalid_keys_are_refused)
{
	struct th_fs_key long_name = th_fs_key_kind(7, TH_FS_KEY_XATTR), key = th_fs_key_link(7, 8, "name", 4);
	uint8_t bytes[TH_FS_KEY_MAX + 1] = { 0 };

	for (size_t size = 0; size <= 8 + 1 + 8; size++)
		ck_assert_int_eq(parse(key.bytes, size), -EUCLEAN);
	for (unsigned kind = 0; kind < 256; kind++) {
		bool known = (kind >= TH_FS_KEY_INODE && kind <= TH_FS_KEY_ENTRY) ||
			     (kind >= TH_FS_KEY_NEXT_ID && kind <= TH_FS_KEY_RECEIVED_ID);

		bytes[8] = (uint8_t)kind;
		if (!known)
			ck_assert_int_eq(parse(bytes, 9), -EUCLEAN);
	}
	/* an inode's key without an id, a global key with one, a number that is missing, bytes that are too many */
	key = th_fs_key_inode(0);
	ck_assert_int_eq(parse(key.bytes, key.size), -EUCLEAN);
	key = th_fs_key_kind(1, TH_FS_KEY_NEXT_ID);
	ck_assert_int_eq(parse(key.bytes, key.size), -EUCLEAN);
	key = th_fs_key_kind(0, TH_FS_KEY_ORPHAN);
	ck_assert_int_eq(parse(key.bytes, key.size), -EUCLEAN);
	key = th_fs_key_inode(1);
	ck_assert_int_eq(parse(key.bytes, key.size + 1u), -EUCLEAN);
	memset(bytes, 'n', sizeof(bytes));
	memcpy(bytes, long_name.bytes, long_name.size);
	ck_assert_int_eq(parse(bytes, long_name.size), -EUCLEAN);
	ck_assert_int_eq(parse(bytes, long_name.size + TH_NAME_MAX), 0);
	ck_assert_int_eq(parse(bytes, long_name.size + TH_NAME_MAX + 1u), -EUCLEAN);
}
END_TEST

static const struct {
	const char *name;
	size_t size;
	bool entry, attribute;
} names[] = {
	{ "name", 4, true, true },  { "...", 3, true, true },    { ".a", 2, true, true }, { "\x1b\xff", 2, true, true },
	{ ".", 1, false, true },    { "..", 2, false, true },    { "", 0, false, false }, { "a/b", 3, false, true },
	{ "/etc", 4, false, true }, { "a\0b", 3, false, false },
};

/* A name from an image is printed, and used as a path. */
START_TEST(names_that_no_file_can_have_are_refused)
{
	size_t size = names[_i].size;
	struct th_fs_key entry = th_fs_key_entry(7, 1, names[_i].name, size);
	struct th_fs_key link = th_fs_key_link(7, 8, names[_i].name, size);
	struct th_fs_key xattr = th_fs_key_xattr(7, names[_i].name, size);

	ck_assert_int_eq(parse(entry.bytes, entry.size), names[_i].entry ? 0 : -EUCLEAN);
	ck_assert_int_eq(parse(link.bytes, link.size), names[_i].entry ? 0 : -EUCLEAN);
	ck_assert_int_eq(parse(xattr.bytes, xattr.size), names[_i].attribute ? 0 : -EUCLEAN);
	ck_assert_int_eq(!th_fs_name_check((struct th_slice){ names[_i].name, size }), names[_i].entry);
}
END_TEST

static struct th_fs_key rebuilt(const struct th_fs_key_parts *parts)
{
	const void *name = parts->name.data;
	size_t size = parts->name.size;

	switch (parts->kind) {
	case TH_FS_KEY_INODE:
		return th_fs_key_inode(parts->id);
	case TH_FS_KEY_XATTR:
		return th_fs_key_xattr(parts->id, name, size);
	case TH_FS_KEY_LINK:
		return th_fs_key_link(parts->id, parts->number, name, size);
	case TH_FS_KEY_EXTENT:
		return th_fs_key_extent(parts->id, parts->number);
	case TH_FS_KEY_ENTRY:
		return th_fs_key_entry(parts->id, parts->number, name, size);
	case TH_FS_KEY_NEXT_ID:
		return th_fs_key_next_id();
	case TH_FS_KEY_ATIME:
		return th_fs_key_atime(parts->number);
	case TH_FS_KEY_NAME_KEY:
		return th_fs_key_name_key();
	case TH_FS_KEY_RECEIVE:
		return th_fs_key_receive();
	case TH_FS_KEY_RECEIVED_ID:
		return th_fs_key_received_id(parts->number);
	default:
		return th_fs_key_orphan(parts->number);
	}
}

START_TEST(random_keys_that_parse_are_built_alike)
{
	struct th_random random = { th_test_seed("key") };

	for (unsigned i = 0; i < th_test_rounds(50000); i++) {
		uint8_t bytes[40];
		size_t size = th_random_below(&random, sizeof(bytes) + 1);
		struct th_fs_key_parts parts;

		th_random_fill(&random, bytes, size);
		if (size > 8)
			bytes[8] = (uint8_t)th_random_below(&random, TH_FS_KEY_RECEIVED_ID + 2);
		if (th_random_percent(&random, 30))
			memset(bytes, 0, size < 8 ? size : 8);
		ck_assert(parse(bytes, size) <= 0);
		if (th_fs_key_parse((struct th_slice){ bytes, size }, &parts) == 0) {
			struct th_fs_key key = rebuilt(&parts);

			ck_assert_uint_eq(key.size, size);
			ck_assert_mem_eq(key.bytes, bytes, size);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("key");
	TCase *tcase = tcase_create("keys");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, each_kind_is_parsed_as_it_was_built);
	tcase_add_test(tcase, keys_sort_by_id_kind_and_number);
	tcase_add_test(tcase, invalid_keys_are_refused);
	tcase_add_loop_test(tcase, names_that_no_file_can_have_are_refused, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(tcase, random_keys_that_parse_are_built_alike);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
