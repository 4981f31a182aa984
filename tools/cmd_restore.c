/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/snapshot/duration.h"
#include "journal/base/clock.h"
#include "tools/commands.h"
#include "tools/copy_tree.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/snapshot_lists.h"
#include "tools/timestamp.h"

struct request {
	const char *from; /* snapshot; NULL: the newest one that has the path */
	uint64_t at_ns; /* that is not younger than this; UINT64_MAX: any */
	struct th_fs_path source, destination;
	bool elsewhere; /* to a path that must not exist; else over the present one */
};

static bool is_current(const struct th_snapshot_lists *lists, const struct th_control_snapshot *snapshot)
{
	const struct th_control_branch *branch = th_snapshot_lists_branch(lists, snapshot);

	return branch && th_get_le32(branch->flags) & TH_CONTROL_BRANCH_CURRENT;
}

/* Restores from the newest snapshot of the current branch that has the path.  *ret_from: the snapshot, in the lists. */
static int restore_newest(const struct request *request, struct th_target *target,
			  const struct th_snapshot_lists *lists, struct th_copy_names *names,
			  struct th_control_copy *ret)
{
	int err = -ENXIO;

	for (size_t i = lists->count; i-- > 0 && err == -ENXIO;) {
		const struct th_control_snapshot *snapshot = &lists->snapshots[i];

		if (!is_current(lists, snapshot) || th_get_le64(snapshot->created_ns) > request->at_ns)
			continue;
		names->from = snapshot->name.text;
		err = th_copy_tree_ask(target, names, ret);
	}
	return err;
}

/* Prints what was done, and how to undo it. */
static void print_done(const struct request *request, const struct th_copy_names *names,
		       const struct th_control_copy *answer)
{
	unsigned long long inodes = th_get_le64(answer->inodes);

	th_name_print(stdout, request->destination.path);
	fputs(": restored from snapshot ", stdout);
	th_name_print(stdout, names->from);
	if (inodes > 1)
		printf(", %llu files and directories", inodes);
	if (th_get_le32(answer->replaced)) {
		fputs("; the present one is now ", stdout);
		th_name_print(stdout, names->aside);
		fputs(" beside it", stdout);
	}
	putchar('\n');
}

static int restore_in(const struct request *request, struct th_target *target)
{
	struct th_copy_names names = { request->from, request->source.path, request->destination.path, NULL };
	struct th_snapshot_lists lists = { 0 };
	struct th_control_copy answer = { 0 };
	char aside[TH_NAME_MAX + 1], stamp[32];
	const char *name = strrchr(names.destination, '/') + 1;
	time_t now = time(NULL);
	struct tm utc;
	int err = 0, status = TH_EXIT_DONE;

	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%SZ", gmtime_r(&now, &utc));
	snprintf(aside, sizeof(aside), "%.200s.before-restore-%s", name, stamp);
	if (!request->elsewhere)
		names.aside = aside;
	if (!names.from)
		err = th_snapshot_lists_read(target, &lists);
	if (err)
		status = th_error(err, "%s: list of snapshots", th_target_path(target));
	else if (names.from)
		err = th_copy_tree_ask(target, &names, &answer);
	else
		err = restore_newest(request, target, &lists, &names, &answer);
	if (err == -ENXIO && !request->from)
		status = th_error_line("%s: no snapshot%s has '%s'", th_target_path(target),
				       request->at_ns == UINT64_MAX ? "" : " of that time or before", names.source);
	else if (err && !status)
		status = th_copy_tree_report(target, &names, err);
	else if (!status)
		print_done(request, &names, &answer);
	th_snapshot_lists_release(&lists);
	return status;
}

static int restore(const struct request *request)
{
	struct th_target *target;
	int status;

	if (strcmp(request->source.target, request->destination.target) != 0)
		return th_error_line("%s and %s: are not in the same filesystem", request->source.target,
				     request->destination.target);
	if (th_target_open(request->source.target, false, &target))
		return TH_EXIT_FAILED;
	status = restore_in(request, target);
	if (th_target_close(target) && !status)
		status = TH_EXIT_FAILED;
	return status ? status : th_command_finish(TH_EXIT_DONE);
}

/* --- the command line --- */

/* Parses a moment: an age, as "2h", or a local time, as "2026-01-31 13:45". */
static int parse_moment(const struct th_command *command, const char *text, uint64_t *ret_ns)
{
	static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	struct th_duration age;

	tzset();
	if (!th_duration_parse(text, &age)) {
		*ret_ns = th_duration_before(&age, th_now_ns());
		return TH_EXIT_DONE;
	}
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm local = { .tm_isdst = -1 };
		const char *end = strptime(text, formats[i], &local);
		time_t seconds = end && !*end ? mktime(&local) : -1;

		if (seconds < 0)
			continue;
		*ret_ns = (uint64_t)seconds * 1000000000 + 999999999;
		return TH_EXIT_DONE;
	}
	return th_command_usage(command, "%s: not a time such as '2h' (ago) or '2026-01-31 13:45'", text);
}

enum { OPTION_FROM = TH_OPTION_LONG, OPTION_AT, OPTION_TO };

static const struct th_option options_table[] = {
	{ OPTION_FROM, "from", "SNAPSHOT", "restore from this snapshot, not from the newest one that has PATH" },
	{ OPTION_AT, "at", "TIME", "from the newest one that was taken up to then: 2h (ago), '2026-01-31 13:45'" },
	{ OPTION_TO, "to", "DESTINATION", "restore to this path, which must not exist" },
	{ 0 },
};

/* Parses the options.  Returns an exit code, or -1 to go on. */
static int parse_options(const struct th_command *command, int argc, char **argv, struct request *request,
			 const char **ret_to)
{
	int option, status = TH_EXIT_DONE;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == OPTION_FROM)
			request->from = optarg;
		else if (option == OPTION_TO)
			*ret_to = optarg;
		else
			status = parse_moment(command, optarg, &request->at_ns);
		if (status)
			return status;
	}
	if (option < 0)
		return status;
	if (request->from && request->at_ns != UINT64_MAX)
		return th_command_usage(command, "--from and --at contradict each other");
	return -1;
}

static int run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .at_ns = UINT64_MAX };
	const char *to = NULL, *image = NULL;
	int err, status = parse_options(command, argc, argv, &request, &to);

	if (status >= 0)
		return status;
	argc -= optind;
	argv += optind;
	if (argc != 1 && argc != 2)
		return th_command_usage(command, "a path is needed, and perhaps an image before it");
	if (argc == 2)
		image = argv[0];
	err = image ? th_fs_path_in(image, argv[1], &request.source) : th_fs_path_find(argv[0], &request.source);
	request.destination = request.source;
	if (!err && to)
		err = image ? th_fs_path_in(image, to, &request.destination)
			    : th_fs_path_find(to, &request.destination);
	request.elsewhere = to;
	if (!err && request.source.snapshot[0] && !request.from)
		request.from = request.source.snapshot;
	return err ? TH_EXIT_FAILED : restore(&request);
}

const struct th_command th_cmd_restore = {
	.name = "restore",
	.arguments = "[--from SNAPSHOT] [--at TIME] [--to DESTINATION] [IMAGE] PATH",
	.summary = "bring back a file or a whole directory from a snapshot: at once, sharing all data",
	.options = options_table,
	.notes = "The present file stays, under another name beside it.\n",
	.run = run,
};
