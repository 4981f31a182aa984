/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/check/check.h"
#include "fs/rescue/lost_names.h"
#include "journal/disk/disk.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/name_print.h"

/* The exit codes of fsck(8). */
enum fsck_exit {
	FSCK_CLEAN = 0,
	FSCK_ERRORS_LEFT = 4,
	FSCK_FAILED = 8,
	FSCK_USAGE = 16,
};

struct check {
	const char *path;
	bool read_data;
	bool quiet; /* prints nothing if there are no problems */
};

/* Returns whether an error of opening an image means damage, and not that the image could not be read. */
static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -EBADMSG;
}

/* Prints the deletes that wait, and whether they are more than they may be. */
static void print_deletes(const struct check *check, const struct th_check_result *result)
{
	if (result->deletes + result->range_deletes > 0) {
		th_name_print(stdout, check->path);
		printf(": %llu deletes and %llu deletes of ranges wait above %llu dead records of %llu\n",
		       (unsigned long long)result->deletes, (unsigned long long)result->range_deletes,
		       (unsigned long long)result->dead_records, (unsigned long long)result->records);
	}
	if (result->deletes_weight > result->deletes_most) {
		th_name_print(stdout, check->path);
		printf(": more deletes wait than expected (%llu, at most %llu), so deleted records keep their space; "
		       "no data is affected\n",
		       (unsigned long long)result->deletes_weight, (unsigned long long)result->deletes_most);
	}
}

static void print_result(const struct check *check, const struct th_check_result *result)
{
	print_deletes(check, result);
	th_name_print(stdout, check->path);
	printf(": %llu nodes, %llu entries, %llu runs of blocks, %llu snapshots", (unsigned long long)result->nodes,
	       (unsigned long long)result->entries, (unsigned long long)result->runs,
	       (unsigned long long)result->snapshots);
	if (result->branches > 1)
		printf(", %llu branches", (unsigned long long)result->branches);
	fputs("; ", stdout);
	if (result->leaked_blocks)
		printf("%llu blocks lost; ", (unsigned long long)result->leaked_blocks);
	if (result->problems)
		printf("%llu problems\n", (unsigned long long)result->problems);
	else
		puts("no problems");
}

/* Checks names and links of a branch that is not the current one; the rest was checked with the current one. */
static int check_branch(const struct check *check, struct th_image_reporter *reporter, const char *name,
			struct th_check_result *found)
{
	struct th_fs_check_options how = { .only_names = true, .problem = th_image_report, .arg = reporter };
	struct th_check_result more = { 0 };
	struct th_fs *fs;
	int err = th_image_open(reporter, true, name, &fs);

	if (err)
		return err;
	err = th_fs_check(fs, &how, &more);
	if (err)
		th_error(err, "%s: branch '%s': the check could not be completed", check->path, name);
	else if (more.problems)
		th_error_line("%s: the problems above are on branch '%s'", check->path, name);
	found->problems += more.problems;
	found->entries += more.entries;
	th_fs_close(fs);
	return err;
}

static int check_branches(const struct check *check, struct th_image_reporter *reporter, const struct th_branch *list,
			  size_t count, struct th_check_result *found)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!list[i].current && !list[i].detached)
			err = check_branch(check, reporter, list[i].name, found);
	}
	return err;
}

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* Returns whether the image holds a store without a filesystem.  Reports nothing: the check itself opens the image
 * again. */
static bool is_plain_store(const char *path)
{
	struct th_store_options options = { .read_only = true, .report = ignore_report };
	struct th_store *store;
	struct th_disk *disk;
	bool plain;

	if (th_disk_open_url(path, TH_DISK_READ_ONLY, &disk))
		return false;
	if (th_store_open(disk, &options, &store)) {
		th_disk_close(disk);
		return false;
	}
	plain = th_fs_present(th_view_live(store)) == 0;
	th_store_close(store);
	return plain;
}

/* Prints the result and returns the exit code.  err: of the check itself. */
static int outcome(const struct check *check, int err, const struct th_check_result *found)
{
	if (!err && (!check->quiet || found->problems))
		print_result(check, found);
	if (found->problems)
		return FSCK_ERRORS_LEFT;
	if (err)
		return is_damage(err) ? FSCK_ERRORS_LEFT : FSCK_FAILED;
	return fflush(stdout) ? FSCK_FAILED : FSCK_CLEAN;
}

/* Checks keys and values without a filesystem, as a store only: their meaning is not known. */
static int check_store(const struct check *check)
{
	struct th_image_reporter reporter = { .path = check->path };
	struct th_check_options how = { .read_data = check->read_data, .problem = th_image_report, .arg = &reporter };
	struct th_check_result found = { 0 };
	struct th_store *store;
	int err = th_image_open_store(&reporter, true, &store);

	if (err)
		return is_damage(err) ? FSCK_ERRORS_LEFT : FSCK_FAILED;
	err = th_store_check(store, &how, &found);
	if (err)
		th_error(err, "%s: the check could not be completed", check->path);
	th_store_close(store);
	return outcome(check, err, &found);
}

/* Names the files that are lost with damaged nodes, in the live tree and in the snapshots. */
static int name_lost(struct th_fs *fs, struct th_image_reporter *reporter)
{
	struct th_snapshot *list;
	struct th_view *view;
	size_t count;
	char tree[TH_SNAPSHOT_NAME_MAX + 16];
	int err = th_lost_names(fs->live, "live tree", th_image_report, reporter);

	if (!err)
		err = th_snapshot_list(fs->store, &list, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++) {
		if (th_view_snapshot(fs->store, list[i].id, &view))
			continue; /* its root has been reported */
		snprintf(tree, sizeof(tree), "snapshot '%s'", list[i].name);
		err = th_lost_names(view, tree, th_image_report, reporter);
		th_view_close(view);
	}
	free(list);
	return err;
}

static int check_filesystem(const struct check *check)
{
	struct th_image_reporter reporter = { .path = check->path };
	struct th_fs_check_options how = { .read_data = check->read_data,
					   .problem = th_image_report,
					   .arg = &reporter };
	struct th_check_result found = { 0 };
	struct th_branch *branches = NULL;
	size_t count = 0;
	struct th_fs *fs;
	int err = th_image_open(&reporter, true, NULL, &fs);

	if (err)
		return is_damage(err) ? FSCK_ERRORS_LEFT : FSCK_FAILED;
	err = th_fs_check(fs, &how, &found);
	if (err)
		th_error(err, "%s: the check could not be completed", check->path);
	else
		err = th_branch_list(fs->store, &branches, &count);
	if (!err && found.problems)
		err = name_lost(fs, &reporter);
	th_fs_close(fs);
	if (!err)
		err = check_branches(check, &reporter, branches, count, &found);
	free(branches);
	return outcome(check, err, &found);
}

static int run_check(const struct check *check)
{
	return is_plain_store(check->path) ? check_store(check) : check_filesystem(check);
}

/* --- the command --- */

enum { OPTION_NO_DATA = TH_OPTION_LONG };

static const struct th_option options_table[] = {
	{ OPTION_NO_DATA, "no-data", NULL, "do not read the data of files, so that its checksums are not verified" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	struct check check = { .read_data = true };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		check.read_data = false;
	if (option < 0)
		return status == TH_EXIT_USAGE ? FSCK_USAGE : status;
	if (argc - optind != 1)
		return th_command_usage(command, "one image is needed"), FSCK_USAGE;
	check.path = argv[optind];
	return run_check(&check);
}

const struct th_command th_cmd_check = {
	.name = "check",
	.arguments = "[--no-data] IMAGE",
	.summary = "check an image that is not mounted, without changing it",
	.options = options_table,
	.notes = "Exit codes as fsck(8): 0 no problems, 4 problems, 8 not completed, 16 wrong usage.\n",
	.run = run,
};

/* fsck.thunderhead [-a|-p|-y|-n|-f|-C [fd]|-V] IMAGE.  It repairs nothing, so options about repairs have no effect.  At
 * boot (-a, -p) nothing needs a check: mounting replays the log, and checksums are verified with every read.  There -f
 * checks the tree, but not the data of files. */
int th_fsck_helper(int argc, char **argv)
{
	struct check check = { .read_data = true };
	bool automatic = false, forced = false;
	int option;

	while ((option = getopt(argc, argv, ":apynfC::V")) != -1) {
		if (option == '?' || option == ':')
			return th_command_bad_option(&th_cmd_check, option, argv), FSCK_USAGE;
		automatic |= option == 'a' || option == 'p';
		forced |= option == 'f';
	}
	if (argc - optind != 1)
		return th_command_usage(&th_cmd_check, "one image is needed"), FSCK_USAGE;
	check.path = argv[optind];
	if (automatic) {
		if (!forced)
			return FSCK_CLEAN;
		check.read_data = false;
		check.quiet = true;
	}
	return run_check(&check);
}
