/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/rescue/rescue.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/name_print.h"

/* Files were written, and some data or names are missing. */
#define EXIT_PARTIAL 3

struct request {
	const char *image, *directory;
	const char *snapshot; /* NULL: the live tree */
	bool all; /* the live tree and all snapshots */
	uint64_t generation; /* 0: the newest that has its roots */
	struct th_rescue_result result; /* of all trees together */
};

static void report_line(void *arg, const char *line)
{
	(void)arg;
	th_error_line("%s", line);
}

/* --- the target --- */

/* Makes the directory, or accepts an empty one.  Returns 0 or TH_EXIT_FAILED. */
static int take_directory(const char *path)
{
	struct dirent *entry;
	DIR *directory;
	unsigned count = 0;

	if (!mkdir(path, 0700))
		return 0;
	if (errno != EEXIST)
		return th_error(errno, "%s", path);
	directory = opendir(path);
	if (!directory)
		return th_error(errno, "%s", path);
	while ((entry = readdir(directory)))
		count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(directory);
	return count ? th_error_line("%s: is not empty; name a directory that is, or a new one", path) : 0;
}

/* --- trees --- */

static void add_result(struct th_rescue_result *sum, const struct th_rescue_result *more)
{
	sum->directories += more->directories;
	sum->files += more->files;
	sum->other += more->other;
	sum->bytes += more->bytes;
	sum->lost += more->lost;
	sum->failed += more->failed;
}

/* Copies one tree.  Returns 0 or TH_EXIT_FAILED. */
static int rescue_view(struct request *request, struct th_fs *fs, struct th_view *view, const char *to)
{
	struct th_rescue_result result;
	int err = th_rescue(fs, view, to, report_line, NULL, &result);

	add_result(&request->result, &result);
	return err ? th_error(err, "%s: cannot be copied to %s", request->image, to) : 0;
}

static int rescue_snapshot(struct request *request, struct th_fs *fs, const char *name, const char *to)
{
	struct th_snapshot snapshot;
	struct th_view *view;
	int status, err = th_snapshot_find(fs->store, name, &snapshot);

	if (!err)
		err = th_view_snapshot(fs->store, snapshot.id, &view);
	if (err) {
		request->result.lost++;
		return th_error(err, "%s: snapshot '%s'", request->image, name);
	}
	status = rescue_view(request, fs, view, to);
	th_view_close(view);
	return status;
}

/* Copies each snapshot to a directory of its name. */
static int rescue_snapshots(struct request *request, struct th_fs *fs, const char *below)
{
	struct th_snapshot *list;
	size_t count;
	int status, err = th_snapshot_list(fs->store, &list, &count);

	if (err)
		return th_error(err, "%s: snapshots", request->image);
	status = take_directory(below);
	for (size_t i = 0; i < count && !status; i++) {
		char *to = NULL;

		if (asprintf(&to, "%s/%s", below, list[i].name) < 0)
			status = th_error(ENOMEM, "%s", below);
		else if (!(status = take_directory(to)))
			rescue_snapshot(request, fs, list[i].name, to); /* the others may be whole */
		free(to);
	}
	free(list);
	return status;
}

static int rescue_all(struct request *request, struct th_fs *fs)
{
	char *live = NULL, *snapshots = NULL;
	int status = TH_EXIT_FAILED;

	if (asprintf(&live, "%s/live", request->directory) < 0)
		live = NULL;
	if (asprintf(&snapshots, "%s/snapshots", request->directory) < 0)
		snapshots = NULL;
	if (live && snapshots)
		status = take_directory(live);
	if (!status)
		rescue_view(request, fs, fs->live, live);
	if (!status)
		status = rescue_snapshots(request, fs, snapshots);
	free(live);
	free(snapshots);
	return status;
}

/* --- the command --- */

static void print_result(const struct request *request)
{
	const struct th_rescue_result *result = &request->result;

	th_name_print(stdout, request->directory);
	printf(": %" PRIu64 " directories, %" PRIu64 " files, %" PRIu64 " others, %" PRIu64 " bytes of data; ",
	       result->directories, result->files, result->other, result->bytes);
	if (result->failed)
		printf("%" PRIu64 " could not be written; ", result->failed);
	if (result->lost)
		printf("%" PRIu64 " losses\n", result->lost);
	else
		puts("no loss found");
}

static int rescue_trees(struct request *request, struct th_fs *fs)
{
	struct th_store_info info;

	th_store_info(fs->store, &info);
	request->result.lost += info.log_lost || info.log_stranded;
	if (request->all)
		return rescue_all(request, fs);
	if (request->snapshot)
		return rescue_snapshot(request, fs, request->snapshot, request->directory);
	return rescue_view(request, fs, fs->live, request->directory);
}

static int rescue(struct request *request)
{
	struct th_image_reporter reporter = { .path = request->image };
	struct th_fs *fs;
	int status;

	if (th_image_open_rescue(&reporter, request->generation, &fs))
		return TH_EXIT_FAILED;
	status = take_directory(request->directory);
	if (!status)
		status = rescue_trees(request, fs);
	th_fs_close(fs);
	if (!status)
		print_result(request);
	if (!status && (request->result.lost || request->result.failed))
		status = EXIT_PARTIAL;
	return th_command_finish(status);
}

enum { OPTION_SNAPSHOT = TH_OPTION_LONG, OPTION_ALL, OPTION_GENERATION };

static const struct th_option options_table[] = {
	{ OPTION_SNAPSHOT, "snapshot", "NAME", "copy that snapshot instead of the live tree" },
	{ OPTION_ALL, "all", NULL,
	  "copy the live tree to DIRECTORY/live, and each snapshot to\nDIRECTORY/snapshots/NAME" },
	{ OPTION_GENERATION, "generation", "N", "read that generation (see mount -o generation)" },
	{ 0 },
};

/* Returns 0 or TH_EXIT_USAGE. */
static int take_generation(const struct th_command *command, const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !*ret)
		return th_command_usage(command, "'%s' is not a number of a generation", text);
	return 0;
}

static int run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { 0 };
	int option, status = 0;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == OPTION_SNAPSHOT)
			request.snapshot = optarg;
		else if (option == OPTION_ALL)
			request.all = true;
		else if (take_generation(command, optarg, &request.generation))
			return TH_EXIT_USAGE;
	}
	if (option < 0)
		return status;
	if (argc - optind != 2 || (request.all && request.snapshot))
		return th_command_usage(command, argc - optind != 2 ? "an image and a directory are needed"
								    : "--all and --snapshot exclude each other");
	request.image = argv[optind];
	request.directory = argv[optind + 1];
	return rescue(&request);
}

const struct th_command th_cmd_rescue = {
	.name = "rescue",
	.arguments = "[--snapshot NAME | --all] [--generation N] IMAGE DIRECTORY",
	.summary = "copy all that can be read out of a damaged image",
	.options = options_table,
	.notes =
		"The image is not changed.  Exit codes: 0 all was copied, 1 failed, 2 wrong usage, 3 parts are missing.\n",
	.run = run,
};
