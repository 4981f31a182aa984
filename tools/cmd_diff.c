/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences between two snapshots or branches, or one of them and the present.  The changes come from the filesystem
 * in the order of its inodes (fs/control.h); they are shown in the order of their paths.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/format/change_record.h"
#include "tools/change_print.h"
#include "tools/command.h"
#include "tools/error.h"
#include "tools/target.h"

enum diff_exit {
	DIFF_SAME = 0,
	DIFF_DIFFERENT = 1,
	DIFF_TROUBLE = 2,
};

struct diff {
	const char *from, *to; /* to NULL: the present */
	const char *path; /* NULL: all */
	struct th_change_style style;
	bool stats;
	/* What came from the filesystem: changes, and the bytes of one that is not whole yet. */
	struct th_fs_change *changes;
	size_t count, room;
	uint8_t *bytes;
	size_t nbytes, bytes_room;
	uint64_t nodes_read, entries_compared;
};

static void release(struct diff *diff)
{
	for (size_t i = 0; i < diff->count; i++)
		th_fs_change_release(&diff->changes[i]);
	free(diff->changes);
	free(diff->bytes);
}

/* --- gathering --- */

static int keep_change(struct diff *diff, const struct th_fs_change *change)
{
	struct th_fs_change *changes = diff->changes;

	if (diff->count == diff->room) {
		size_t room = diff->room ? 2 * diff->room : 64;

		changes = realloc(changes, room * sizeof(*changes));
		if (!changes)
			return -ENOMEM;
		diff->changes = changes;
		diff->room = room;
	}
	changes[diff->count++] = *change;
	return 0;
}

/* Takes the whole changes off the bytes that have come. */
static int take_changes(struct diff *diff)
{
	size_t taken = 0, size;
	int err = 0;

	while (!err) {
		struct th_fs_change change;

		err = th_fs_change_unpack(diff->bytes + taken, diff->nbytes - taken, &change, &size);
		if (err)
			break;
		taken += size;
		err = keep_change(diff, &change);
		if (err)
			th_fs_change_release(&change);
	}
	diff->nbytes -= taken;
	if (diff->nbytes)
		memmove(diff->bytes, diff->bytes + taken, diff->nbytes);
	return err < 0 ? err : 0;
}

static int take_bytes(struct diff *diff, const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	if (diff->bytes_room - diff->nbytes < size) {
		size_t room = 2 * (diff->bytes_room + size);
		uint8_t *longer = realloc(diff->bytes, room);

		if (!longer)
			return -ENOMEM;
		diff->bytes = longer;
		diff->bytes_room = room;
	}
	memcpy(diff->bytes + diff->nbytes, bytes, size);
	diff->nbytes += size;
	return take_changes(diff);
}

static int gather(struct diff *diff, struct th_target *target, struct th_le64 session)
{
	struct th_control_diff_next *next = calloc(1, sizeof(*next));
	int err = next ? 0 : -ENOMEM;

	while (!err) {
		next->session = session;
		err = th_target_ask(target, TH_CONTROL_DIFF_NEXT, next);
		if (!err && th_get_le32(next->bytes) > sizeof(next->stream))
			err = -EPROTO;
		if (!err)
			err = take_bytes(diff, next->stream, th_get_le32(next->bytes));
		if (!err && th_get_le32(next->ended))
			break;
	}
	if (!err && diff->nbytes)
		err = -EPROTO;
	if (!err) {
		diff->nodes_read = th_get_le64(next->nodes_read);
		diff->entries_compared = th_get_le64(next->entries_compared);
	}
	free(next);
	return err;
}

/* --- asking --- */

static bool name_exists(struct th_target *target, const char *name)
{
	struct th_control_snapshot *snapshots;
	struct th_control_branch *branches;
	bool found = false;
	size_t count;

	if (th_target_snapshots(target, &snapshots, &count))
		return false;
	for (size_t i = 0; i < count && !found; i++)
		found = !strcmp(snapshots[i].name.text, name);
	free(snapshots);
	if (found || th_target_branches(target, &branches, &count))
		return found;
	for (size_t i = 0; i < count && !found; i++)
		found = !strcmp(branches[i].name.text, name) &&
			!(th_get_le32(branches[i].flags) & TH_CONTROL_BRANCH_DETACHED);
	free(branches);
	return found;
}

/* Why a diff could not be begun. */
static void say(const struct diff *diff, struct th_target *target, int result)
{
	const char *path = th_target_path(target), *missing = diff->from;

	if (diff->to && name_exists(target, diff->from))
		missing = diff->to;
	if (result == -ENOENT)
		th_error_line("%s: there is no snapshot or branch '%s'", path, missing);
	else if (result == -EPERM)
		th_error_line("%s: only root and the user who mounted it may see differences", path);
	else if (result == -EMFILE)
		th_error_line("%s: too many diffs are under way", path);
	else
		th_error(result, "%s: diff", path);
}

static int begin(const struct diff *diff, struct th_target *target, struct th_le64 *ret_session)
{
	struct th_control_diff_begin request = { 0 };
	int err = th_target_name(diff->from, &request.from);

	if (!err && diff->to)
		err = th_target_name(diff->to, &request.to);
	if (err)
		err = -ENOENT; /* nothing has so long a name */
	if (diff->path)
		snprintf(request.path, sizeof(request.path), "%s%s", diff->path[0] == '/' ? "" : "/", diff->path);
	request.flags = th_le32(diff->style.json ? TH_CONTROL_DIFF_RANGES : 0);
	if (!err)
		err = th_target_ask(target, TH_CONTROL_DIFF_BEGIN, &request);
	*ret_session = request.session;
	return err;
}

static int compare_changes(const void *a, const void *b)
{
	const struct th_fs_change *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	/* Where one file took another's place, what went comes first. */
	return order ? order : (y->kind == TH_CHANGE_REMOVED) - (x->kind == TH_CHANGE_REMOVED);
}

static int ask(struct diff *diff, struct th_target *target)
{
	struct th_control_diff_end end = { 0 };
	int err = th_target_sync(target);

	if (err)
		return err;
	err = begin(diff, target, &end.session);
	if (err) {
		say(diff, target, err);
		return err;
	}
	err = gather(diff, target, end.session);
	th_target_ask(target, TH_CONTROL_DIFF_END, &end); /* after an error it may have ended by itself */
	if (err)
		th_error(err, "%s: diff", th_target_path(target));
	return err;
}

static int show(struct diff *diff)
{
	int err = 0;

	if (diff->count)
		qsort(diff->changes, diff->count, sizeof(*diff->changes), compare_changes);
	for (size_t i = 0; i < diff->count && !err; i++)
		err = th_change_print(stdout, &diff->changes[i], &diff->style);
	if (err)
		th_error(err, "diff");
	if (th_command_finish(TH_EXIT_DONE) || err)
		return DIFF_TROUBLE;
	if (diff->stats)
		fprintf(stderr, "%zu changes; %llu nodes read, %llu entries compared\n", diff->count,
			(unsigned long long)diff->nodes_read, (unsigned long long)diff->entries_compared);
	return diff->count ? DIFF_DIFFERENT : DIFF_SAME;
}

static int diff_target(struct diff *diff, const char *path)
{
	struct th_target *target;
	int status = DIFF_TROUBLE;

	if (th_target_open(path, true, &target))
		return DIFF_TROUBLE;
	if (!ask(diff, target))
		status = show(diff);
	th_target_close(target);
	release(diff);
	return status;
}

/* Answers false if the option is none of this command's. */
static bool take_option(struct diff *diff, int option)
{
	switch (option) {
	case 'p':
		diff->path = optarg;
		return true;
	case 'j':
		diff->style.json = true;
		return true;
	case '0':
		diff->style.raw = true;
		return true;
	case 'F':
		diff->style.types = true;
		return true;
	case 'H':
		diff->style.tabs = true;
		return true;
	case 's':
		diff->stats = true;
		return true;
	default:
		return false;
	}
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "path", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "stats", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct diff diff = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, ":0FHh", options, NULL)) != -1) {
		if (option == 'h')
			return th_command_help(command);
		if (!take_option(&diff, option))
			return th_command_bad_option(command, option, argv);
	}
	if (diff.style.json && (diff.style.raw || diff.style.types || diff.style.tabs))
		return th_command_usage(command, "--json goes with none of -0, -F, -H");
	if (argc - optind < 2 || argc - optind > 3)
		return th_command_usage(command, "a target and one or two snapshots or branches are needed");
	if (diff.path && strlen(diff.path) + 2 > sizeof(((struct th_control_diff_begin *)NULL)->path))
		return th_command_usage(command, "--path: too long");
	diff.from = argv[optind + 1];
	diff.to = argv[optind + 2]; /* argv ends with NULL */
	return diff_target(&diff, argv[optind]);
}

const struct th_command th_cmd_diff = {
	.name = "diff",
	.arguments = "TARGET FROM [TO] [--path PATH] [--json | -0 | -F | -H] [--stats]",
	.summary = "show what changed between two snapshots or branches, or since one",
	.help = "  --path PATH  only what is at PATH (from the root of the filesystem) or below, before or after\n"
		"  --json       an object a line, with sizes, times and the changed byte ranges\n"
		"  -0           names as they are, and a zero byte instead of the end of each line\n"
		"  -F           with the type of the file, as ls -F has it (F is a regular file)\n"
		"  -H           fields separated by tabs only, for scripts\n"
		"  --stats      how much had to be read, on standard error\n\n"
		"M modified, + added, - removed, R renamed.  Exit codes: 0 no difference, 1 differences, 2 trouble.\n",
	.run = run,
};
