/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/change_print.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/suite.h"

static char added_path[] = "/new dir", modified_path[] = "/a", removed_path[] = "/gone", new_path[] = "/to",
	    old_path[] = "/from";
static struct th_fs_change_range ranges[] = { { 4096, 8192 } };

#define FILE_SIDE(link_count)                                                                                          \
	{                                                                                                              \
		.mode = S_IFREG | 0644, .links = link_count, .size = 5                                                 \
	}

static struct th_fs_change changes[] = {
	{ .kind = TH_CHANGE_ADDED, .path = added_path, .to = { .mode = S_IFDIR | 0755, .links = 2 } },
	{ .kind = TH_CHANGE_MODIFIED,
	  .what = TH_CHANGED_CONTENT | TH_CHANGED_LINKS,
	  .inode = 9,
	  .path = modified_path,
	  .from = FILE_SIDE(1),
	  .to = FILE_SIDE(2),
	  .ranges = ranges,
	  .nranges = 1 },
	{ .kind = TH_CHANGE_REMOVED, .path = removed_path, .from = { .mode = S_IFLNK | 0777, .links = 1 } },
	{ .kind = TH_CHANGE_RENAMED, .path = new_path, .old_path = old_path, .from = FILE_SIDE(1), .to = FILE_SIDE(1) },
	{ .kind = TH_CHANGE_RENAMED,
	  .what = TH_CHANGED_MODE | TH_CHANGED_LINKS,
	  .path = new_path,
	  .old_path = old_path,
	  .from = FILE_SIDE(1),
	  .to = FILE_SIDE(2) },
	{ .kind = TH_CHANGE_RENAMED,
	  .what = TH_CHANGED_LINKS,
	  .path = new_path,
	  .old_path = old_path,
	  .from = FILE_SIDE(1),
	  .to = FILE_SIDE(2) },
};

/* Returns all changes in that style; the caller frees the text.  Zero bytes are shown as '$'. */
static char *printed(struct th_change_style style)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		ck_assert_int_eq(th_change_print(stream, &changes[i], &style), 0);
	fclose(stream);
	for (size_t i = 0; i < size; i++) {
		if (!text[i])
			text[i] = '$';
	}
	return text;
}

static const struct {
	struct th_change_style style;
	const char *text;
} styles[] = {
	{ { 0 },
	  "+\t/new\\0040dir\nM\t/a\t(+1)\n-\t/gone\nR\t/from -> /to\n"
	  "R\t/from -> /to\t(+1)\nM\t/to\t(+1)\nR\t/from -> /to\t(+1)\n" },
	{ { .types = true },
	  "+\t/\t/new\\0040dir\nM\tF\t/a\t(+1)\n-\t@\t/gone\nR\tF\t/from -> /to\n"
	  "R\tF\t/from -> /to\t(+1)\nM\tF\t/to\t(+1)\nR\tF\t/from -> /to\t(+1)\n" },
	{ { .tabs = true },
	  "+\t/new\\0040dir\nM\t/a\t(+1)\n-\t/gone\nR\t/from\t/to\n"
	  "R\t/from\t/to\t(+1)\nM\t/to\t(+1)\nR\t/from\t/to\t(+1)\n" },
	{ { .raw = true }, "+\t/new dir$M\t/a$-\t/gone$R\t/from$/to$R\t/from$/to$M\t/to$R\t/from$/to$" },
};

START_TEST(each_style_has_its_form)
{
	char *text = printed(styles[_i].style);

	ck_assert_str_eq(text, styles[_i].text);
	free(text);
}
END_TEST

START_TEST(json_has_both_sides_and_the_changed_ranges)
{
	char *text = printed((struct th_change_style){ .json = true }), *line = strchr(text, '\n') + 1;

	*strchr(line, '\n') = 0;
	ck_assert_str_eq(line, "{\"kind\":\"modified\",\"path\":\"/a\",\"type\":\"file\",\"inode\":9,"
			       "\"old\":{\"size\":5,\"mode\":420,\"uid\":0,\"gid\":0,\"links\":1,\"mtime\":0,"
			       "\"mtime_nanoseconds\":0},"
			       "\"new\":{\"size\":5,\"mode\":420,\"uid\":0,\"gid\":0,\"links\":2,\"mtime\":0,"
			       "\"mtime_nanoseconds\":0},"
			       "\"changed\":[\"content\",\"links\"],\"ranges\":[[4096,8192]]}");
	free(text);
}
END_TEST

/* The path that an added file would have had is for the search of replaced files only. */
START_TEST(json_has_an_old_path_of_renamed_and_modified_files_only)
{
	struct th_fs_change change = { .kind = TH_CHANGE_ADDED, .path = new_path, .old_path = old_path };
	struct th_change_style style = { .json = true };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ck_assert_int_eq(th_change_print(stream, &change, &style), 0);
	change.kind = TH_CHANGE_MODIFIED;
	change.replaced = 8;
	ck_assert_int_eq(th_change_print(stream, &change, &style), 0);
	fclose(stream);
	ck_assert_str_eq(text, "{\"kind\":\"added\",\"path\":\"/to\",\"type\":\"file\",\"inode\":0}\n"
			       "{\"kind\":\"modified\",\"path\":\"/to\",\"old_path\":\"/from\",\"type\":\"file\","
			       "\"inode\":0,\"replaced_inode\":8}\n");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("change_print");
	TCase *tc = tcase_create("change_print");

	tcase_add_loop_test(tc, each_style_has_its_form, 0, sizeof(styles) / sizeof(styles[0]));
	tcase_add_test(tc, json_has_both_sides_and_the_changed_ranges);
	tcase_add_test(tc, json_has_an_old_path_of_renamed_and_modified_files_only);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
