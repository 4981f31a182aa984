/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/check/check.h"
#include "journal/disk/disk.h"
#include "tools/command.h"
#include "tools/error.h"
#include "tools/image.h"

/* As fsck(8) has them. */
enum fsck_exit {
	FSCK_CLEAN = 0,
	FSCK_ERRORS_LEFT = 4,
	FSCK_FAILED = 8,
	FSCK_USAGE = 16,
};

struct check {
	const char *path;
	bool read_data;
	bool quiet; /* says nothing where all is well */
};

/* Does the answer to opening an image mean that it is broken, and not that it could not be looked at? */
static bool is_damage(int result)
{
	return result == -EUCLEAN || result == -EBADMSG;
}

static void print_result(const struct check *check, const struct th_check_result *result)
{
	printf("%s: %llu nodes, %llu entries, %llu runs of blocks, %llu snapshots", check->path,
	       (unsigned long long)result->nodes, (unsigned long long)result->entries, (unsigned long long)result->runs,
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

/* Names and links of a branch that is not the current one; the rest was checked with that. */
static int check_branch(const struct check *check, struct th_image_voice *voice, const char *name,
			struct th_check_result *found)
{
	struct th_fs_check_options how = { .only_names = true, .problem = th_image_report, .arg = voice };
	struct th_check_result more = { 0 };
	struct th_fs *fs;
	int err = th_image_open(voice, true, name, &fs);

	if (err)
		return err;
	err = th_fs_check(fs, &how, &more);
	if (err)
		th_error(err, "%s: branch '%s' could not be checked to the end", check->path, name);
	else if (more.problems)
		th_error_line("%s: so on branch '%s'", check->path, name);
	found->problems += more.problems;
	found->entries += more.entries;
	th_fs_close(fs);
	return err;
}

static int check_branches(const struct check *check, struct th_image_voice *voice, const struct th_branch *list,
			  size_t count, struct th_check_result *found)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!list[i].current && !list[i].detached)
			err = check_branch(check, voice, list[i].name, found);
	}
	return err;
}

static void say_nothing(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* Is there a store in the image without a filesystem?  What is wrong with it is said by whoever opens it to be checked.
 */
static bool is_plain_store(const char *path)
{
	struct th_store_options options = { .read_only = true, .report = say_nothing };
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

static int outcome(const struct check *check, int result, const struct th_check_result *found)
{
	if (!result && (!check->quiet || found->problems))
		print_result(check, found);
	if (found->problems)
		return FSCK_ERRORS_LEFT;
	if (result)
		return is_damage(result) ? FSCK_ERRORS_LEFT : FSCK_FAILED;
	return fflush(stdout) ? FSCK_FAILED : FSCK_CLEAN;
}

/* Keys and values without a filesystem: what they mean is their owner's business. */
static int check_store(const struct check *check)
{
	struct th_image_voice voice = { .path = check->path };
	struct th_check_options how = { .read_data = check->read_data, .problem = th_image_report, .arg = &voice };
	struct th_check_result found = { 0 };
	struct th_store *store;
	int err = th_image_open_store(&voice, true, &store);

	if (err)
		return is_damage(err) ? FSCK_ERRORS_LEFT : FSCK_FAILED;
	err = th_store_check(store, &how, &found);
	if (err)
		th_error(err, "%s: could not be checked to the end", check->path);
	th_store_close(store);
	return outcome(check, err, &found);
}

static int check_image(struct check *check)
{
	struct th_image_voice voice = { .path = check->path };
	struct th_fs_check_options how = { .read_data = check->read_data, .problem = th_image_report, .arg = &voice };
	struct th_check_result found = { 0 };
	struct th_branch *branches = NULL;
	size_t count = 0;
	struct th_fs *fs;
	int err = th_image_open(&voice, true, NULL, &fs);

	if (err)
		return is_damage(err) ? FSCK_ERRORS_LEFT : FSCK_FAILED;
	err = th_fs_check(fs, &how, &found);
	if (err)
		th_error(err, "%s: could not be checked to the end", check->path);
	else
		err = th_branch_list(fs->store, &branches, &count);
	th_fs_close(fs);
	if (!err)
		err = check_branches(check, &voice, branches, count, &found);
	free(branches);
	return outcome(check, err, &found);
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "no-data", no_argument, NULL, 'D' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct check check = { .read_data = true };
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return th_command_help(command);
		if (option != 'D')
			return th_command_bad_option(command, option, argv), FSCK_USAGE;
		check.read_data = false;
	}
	if (argc - optind != 1)
		return th_command_usage(command, "one image is needed"), FSCK_USAGE;
	check.path = argv[optind];
	return is_plain_store(check.path) ? check_store(&check) : check_image(&check);
}

const struct th_command th_cmd_check = {
	.name = "check",
	.arguments = "[--no-data] IMAGE",
	.summary = "check an image that is not mounted, changing nothing",
	.help = "  --no-data  do not read the files' data (their checksums then go unchecked)\n\n"
		"Exit codes as fsck(8): 0 no problems, 4 problems, 8 it could not be checked, 16 called wrongly.\n",
	.run = run,
};

/* fsck.thunderhead [-a|-p|-y|-n|-f|-C [fd]|-V] IMAGE.  There is nothing that it would repair: the options that say how
 * it should ask about repairs mean nothing.  At boot (-a, -p) the mount itself replays the log and file data is checked
 * whenever it is read, so there only the tree is looked at, and only if -f asks for that. */
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
	return is_plain_store(check.path) ? check_store(&check) : check_image(&check);
}
