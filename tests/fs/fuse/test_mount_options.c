/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/mount_options.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/suite.h"

static int parse(const char *options, struct th_mount_parsed *ret)
{
	struct th_mount_options mount = { .image = "/image,with\\comma", .options = options };

	return th_mount_parse(&mount, ret);
}

/* Returns whether the options for libfuse contain this one. */
static bool for_fuse(const struct th_mount_parsed *parsed, const char *option)
{
	size_t size = strlen(option);

	for (const char *at = parsed->fuse; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, option, size) && (!at[size] || at[size] == ','))
			return true;
	}
	return false;
}

START_TEST(without_options_the_defaults_are_used)
{
	struct th_mount_parsed parsed;

	ck_assert_int_eq(parse(NULL, &parsed), 0);
	ck_assert(!parsed.fs.read_only && !parsed.remount && !parsed.max_read);
	ck_assert_uint_eq(parsed.fs.cache_bytes, 0);
	ck_assert_int_eq(parsed.fs.atime, TH_ATIME_RELATIVE);
	ck_assert(for_fuse(&parsed, "default_permissions"));
	ck_assert(for_fuse(&parsed, "subtype=thunderhead"));
	ck_assert_int_eq(for_fuse(&parsed, "allow_other"), geteuid() == 0);
	ck_assert_ptr_nonnull(strstr(parsed.fuse, "fsname=/image\\,with\\\\comma"));
	th_mount_parsed_release(&parsed);
}
END_TEST

START_TEST(of_discard_and_nodiscard_the_last_counts)
{
	static const struct {
		const char *options;
		enum th_discard discard;
	} cases[] = {
		{ "", TH_DISCARD_DEFAULT },
		{ "discard", TH_DISCARD_ON },
		{ "nodiscard", TH_DISCARD_OFF },
		{ "nodiscard,discard", TH_DISCARD_ON },
	};
	struct th_mount_parsed parsed;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(parse(cases[i].options, &parsed), 0);
		ck_assert_int_eq(parsed.fs.discard, cases[i].discard);
		ck_assert(!for_fuse(&parsed, "discard") && !for_fuse(&parsed, "nodiscard"));
		th_mount_parsed_release(&parsed);
	}
}
END_TEST

START_TEST(fuseblk_is_a_choice_of_the_user)
{
	struct th_mount_parsed parsed;
	char *options;

	ck_assert_int_eq(parse("", &parsed), 0);
	ck_assert(parsed.block && !for_fuse(&parsed, "blkdev"));
	options = th_mount_device_options(&parsed, "/dev/a,b");
	ck_assert_ptr_nonnull(strstr(options, ",blkdev,"));
	ck_assert_ptr_nonnull(strstr(options, ",fsname=/dev/a\\,b")); /* after the image's: the last one counts */
	free(options);
	th_mount_parsed_release(&parsed);
	ck_assert_int_eq(parse("fuseblk=auto,fuseblk=off", &parsed), 0);
	ck_assert(!parsed.block);
	th_mount_parsed_release(&parsed);
}
END_TEST

START_TEST(handles_and_numbers_are_as_asked_for)
{
	static const struct {
		const char *options;
		bool exports, narrow;
	} cases[] = {
		{ "", false, false },
		{ "export", true, false },
		{ "export,noexport", false, false },
		{ "noexport,ino32,export", true, true },
	};
	struct th_mount_parsed parsed;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(parse(cases[i].options, &parsed), 0);
		ck_assert_int_eq(parsed.exports, cases[i].exports);
		ck_assert_int_eq(parsed.fs.narrow_numbers, cases[i].narrow);
		ck_assert(!for_fuse(&parsed, "export") && !for_fuse(&parsed, "noexport") &&
			  !for_fuse(&parsed, "ino32"));
		th_mount_parsed_release(&parsed);
	}
}
END_TEST

START_TEST(rescue_is_read_only)
{
	struct th_mount_parsed parsed;

	ck_assert_int_eq(parse("rescue", &parsed), 0);
	ck_assert(parsed.fs.rescue && parsed.fs.read_only && !parsed.fs.generation);
	ck_assert(for_fuse(&parsed, "ro") && !for_fuse(&parsed, "rescue"));
	th_mount_parsed_release(&parsed);
	ck_assert_int_eq(parse("generation=18446744073709551615", &parsed), 0);
	ck_assert(parsed.fs.rescue && parsed.fs.read_only && parsed.fs.generation == UINT64_MAX);
	th_mount_parsed_release(&parsed);
	ck_assert_int_eq(parse("generation=0", &parsed), -EINVAL);
	ck_assert_int_eq(parse("generation=1x", &parsed), -EINVAL);
	ck_assert_int_eq(parse("generation=-1", &parsed), -EINVAL);
}
END_TEST

START_TEST(values_are_parsed)
{
	struct th_mount_parsed parsed;

	ck_assert_int_eq(
		parse("cache=64M,commit=0.5,heartbeat=2.5,snapdir=visible,snapdirname=.old,snapshots=owner,branch=b,snapshot=s,subdir=a/b,max_read=65536",
		      &parsed),
		0);
	ck_assert_uint_eq(parsed.fs.cache_bytes, 64 << 20);
	ck_assert_uint_eq(parsed.fs.checkpoint_interval_ms, 500);
	ck_assert_uint_eq(parsed.fs.heartbeat_ms, 2500);
	ck_assert_int_eq(parsed.fs.snapdir, TH_SNAPDIR_VISIBLE);
	ck_assert_str_eq(parsed.fs.snapdir_name, ".old");
	ck_assert_int_eq(parsed.fs.snapshots, TH_SNAPSHOTS_OWNER);
	ck_assert_str_eq(parsed.fs.branch, "b");
	ck_assert_str_eq(parsed.fs.snapshot, "s");
	ck_assert_str_eq(parsed.fs.subdir, "a/b");
	ck_assert_uint_eq(parsed.max_read, 65536);
	ck_assert(for_fuse(&parsed, "max_read=65536"));
	ck_assert(for_fuse(&parsed, "ro")); /* a snapshot is read-only */
	ck_assert(for_fuse(&parsed, "nosuid") && for_fuse(&parsed, "nodev"));
	ck_assert(!parsed.fs.snap_suid && !parsed.fs.snapdir_root_only);
	ck_assert(!for_fuse(&parsed, "cache=64M"));
	th_mount_parsed_release(&parsed);
}
END_TEST

START_TEST(flags_of_snapshots_are_parsed)
{
	struct th_mount_parsed parsed;

	ck_assert_int_eq(parse("snapshot=s,snapsuid,snapdir-root-only", &parsed), 0);
	ck_assert(parsed.fs.snap_suid && parsed.fs.snapdir_root_only);
	ck_assert(!for_fuse(&parsed, "nosuid") && !for_fuse(&parsed, "nodev"));
	th_mount_parsed_release(&parsed);
}
END_TEST

static const char *const wrong[] = {
	"cache=",        "cache=0",       "cache=lots",        "cache=-1",        "commit=0",
	"heartbeat=0",   "heartbeat=61",  "heartbeat=on",      "heartbeat=",      "heartbeat=1,x,heartbeat=1s",
	"commit=3601",   "commit=x",      "snapdir=somewhere", "branch=",         "snapshot=",
	"subdir=",       "max_read=4095", "max_read=64K",      "max_read=x",      "ro,cache=1,commit=never",
	"snapdirname=",  "snapdirname=.", "snapdirname=..",    "snapdirname=a/b", "snapshots=",
	"snapshots=all", "fuseblk=",      "fuseblk=on",
};

START_TEST(wrong_values_are_refused)
{
	struct th_mount_parsed parsed;

	ck_assert_msg(parse(wrong[_i], &parsed) == -EINVAL, "%s", wrong[_i]);
	ck_assert_ptr_null(parsed.fuse);
}
END_TEST

START_TEST(name_of_snapdir_is_a_valid_name)
{
	char text[300] = "snapdirname=";
	struct th_mount_parsed parsed;

	memset(text + strlen(text), 'x', TH_NAME_MAX);
	ck_assert_int_eq(parse(text, &parsed), 0);
	th_mount_parsed_release(&parsed);
	strcat(text, "x");
	ck_assert_int_eq(parse(text, &parsed), -EINVAL);
}
END_TEST

START_TEST(of_contradicting_options_the_last_one_counts)
{
	struct th_mount_parsed parsed;

	ck_assert_int_eq(parse("noatime,strictatime,nodiratime", &parsed), 0);
	ck_assert_int_eq(parsed.fs.atime, TH_ATIME_STRICT);
	ck_assert(parsed.fs.no_dir_atime && !for_fuse(&parsed, "noatime"));
	th_mount_parsed_release(&parsed);
	ck_assert_int_eq(parse("strictatime,noatime,nodiratime,diratime,commit=1,commit=2", &parsed), 0);
	ck_assert_int_eq(parsed.fs.atime, TH_ATIME_NEVER);
	ck_assert(!parsed.fs.no_dir_atime && for_fuse(&parsed, "noatime"));
	ck_assert_uint_eq(parsed.fs.checkpoint_interval_ms, 2000);
	th_mount_parsed_release(&parsed);
}
END_TEST

START_TEST(options_without_effect_do_not_reach_libfuse)
{
	struct th_mount_parsed parsed;

	for (const struct th_mount_option *option = th_mount_option_table; option->name; option++) {
		if (option->parse)
			continue;
		ck_assert_int_eq(parse(option->name, &parsed), 0);
		ck_assert_msg(!for_fuse(&parsed, option->name), "%s", option->name);
		th_mount_parsed_release(&parsed);
	}
	ck_assert_int_eq(parse("x-systemd.automount,X-mount.mkdir,comment=text", &parsed), 0);
	ck_assert(!strstr(parsed.fuse, "systemd") && !strstr(parsed.fuse, "mkdir") && !strstr(parsed.fuse, "text"));
	th_mount_parsed_release(&parsed);
}
END_TEST

START_TEST(other_options_reach_libfuse)
{
	struct th_mount_parsed parsed;

	ck_assert_int_eq(parse("nosuid,allow_root,nonsense=1,cache,ro=1,remount", &parsed), 0);
	ck_assert(for_fuse(&parsed, "nosuid") && for_fuse(&parsed, "allow_root") && for_fuse(&parsed, "nonsense=1"));
	ck_assert(for_fuse(&parsed, "cache") && for_fuse(&parsed, "ro=1") && !for_fuse(&parsed, "ro"));
	ck_assert(parsed.remount && !for_fuse(&parsed, "remount"));
	th_mount_parsed_release(&parsed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mount_options");
	TCase *tc = tcase_create("mount_options");

	tcase_add_test(tc, without_options_the_defaults_are_used);
	tcase_add_test(tc, of_discard_and_nodiscard_the_last_counts);
	tcase_add_test(tc, fuseblk_is_a_choice_of_the_user);
	tcase_add_test(tc, handles_and_numbers_are_as_asked_for);
	tcase_add_test(tc, rescue_is_read_only);
	tcase_add_test(tc, values_are_parsed);
	tcase_add_test(tc, flags_of_snapshots_are_parsed);
	tcase_add_loop_test(tc, wrong_values_are_refused, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tc, name_of_snapdir_is_a_valid_name);
	tcase_add_test(tc, of_contradicting_options_the_last_one_counts);
	tcase_add_test(tc, options_without_effect_do_not_reach_libfuse);
	tcase_add_test(tc, other_options_reach_libfuse);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
