/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences between two snapshots or branches, or from one of them to the current state.  The filesystem returns
 * changes in the order of inodes (fs/control/control.h); this finds files that were replaced by others of the same name
 * (tools/change_merge.h), and sorts all by path.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/diff/diff_session.h"
#include "fs/format/change_record.h"
#include "journal/base/array.h"
#include "tools/change_merge.h"
#include "tools/change_print.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/target.h"

enum diff_exit {
	DIFF_SAME = 0,
	DIFF_DIFFERENT = 1,
	DIFF_TROUBLE = 2,
};

struct diff {
	const char *from, *to; /* to NULL: the current state */
	const char *path; /* NULL: all */
	struct th_change_style style;
	bool strict; /* a replaced file is a removed and an added one */
	bool stats;
	/* Received from the filesystem: changes, and the bytes of one that is not complete yet. */
	struct th_fs_change *changes;
	size_t count, capacity;
	uint8_t *bytes;
	size_t nbytes, bytes_capacity;
	uint64_t nodes_read, entries_compared;
};

static void release(struct diff *diff)
{
	for (size_t i = 0; i < diff->count; i++)
		th_fs_change_release(&diff->changes[i]);
	free(diff->changes);
	free(diff->bytes);
}

/* --- reading the stream of changes --- */

static int keep_change(struct diff *diff, const struct th_fs_change *change)
{
	int err = th_grow(diff->changes, diff->capacity, diff->count + 1);

	if (!err)
		diff->changes[diff->count++] = *change;
	return err;
}

/* Unpacks the complete changes at the beginning of the received bytes. */
static int take_changes(struct diff *diff)
{
	size_t taken = 0, size;
	int ret = 0; /* 1: the next change is not complete yet */

	while (!ret) {
		struct th_fs_change change;

		ret = th_fs_change_unpack(diff->bytes + taken, diff->nbytes - taken, &change, &size);
		if (ret)
			break;
		taken += size;
		ret = keep_change(diff, &change);
		if (ret)
			th_fs_change_release(&change);
	}
	diff->nbytes -= taken;
	if (diff->nbytes)
		memmove(diff->bytes, diff->bytes + taken, diff->nbytes);
	return ret < 0 ? ret : 0;
}

static int take_bytes(struct diff *diff, const uint8_t *bytes, size_t size)
{
	int err = th_grow(diff->bytes, diff->bytes_capacity, diff->nbytes + size);

	if (err || !size)
		return err;
	memcpy(diff->bytes + diff->nbytes, bytes, size);
	diff->nbytes += size;
	return take_changes(diff);
}

static int read_changes(struct diff *diff, struct th_target *target, struct th_le64 session)
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

/* --- the session --- */

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

/* Reports why a diff could not begin. */
static void report(const struct diff *diff, struct th_target *target, int err)
{
	const char *path = th_target_path(target), *missing = diff->from;

	if (diff->to && name_exists(target, diff->from))
		missing = diff->to;
	if (err == -ENOENT)
		th_error_line("%s: there is no snapshot or branch '%s' (see thunderhead snapshot list)", path, missing);
	else if (err == -ENXIO)
		th_error_line("%s: neither side of the diff has the path '%s'", path, diff->path);
	else if (err == -EPERM)
		th_error_line("%s: only root and the user who mounted it may see differences", path);
	else if (err == -EMFILE)
		th_error_line("%s: too many diffs are running (at most %d); try again later", path,
			      TH_DIFF_SESSIONS_MAX);
	else
		th_error(err, "%s: diff", path);
}

static int begin(const struct diff *diff, struct th_target *target, struct th_le64 *ret_session)
{
	struct th_control_diff_begin request = { 0 };
	int err = th_target_name(diff->from, &request.from);

	if (!err && diff->to)
		err = th_target_name(diff->to, &request.to);
	if (err)
		err = -ENOENT; /* no name is that long */
	if (diff->path)
		snprintf(request.path, sizeof(request.path), "%s%s", diff->path[0] == '/' ? "" : "/", diff->path);
	request.flags = th_le32(diff->style.json ? TH_CONTROL_DIFF_RANGES : 0);
	if (!err)
		err = th_target_ask(target, TH_CONTROL_DIFF_BEGIN, &request);
	*ret_session = request.session;
	return err;
}

static int receive(struct diff *diff, struct th_target *target)
{
	struct th_control_diff_end end = { 0 };
	int err = th_target_sync(target);

	if (err)
		return err;
	err = begin(diff, target, &end.session);
	if (err) {
		report(diff, target, err);
		return err;
	}
	err = read_changes(diff, target, end.session);
	th_target_ask(target, TH_CONTROL_DIFF_END, &end); /* ignores the error if it has ended by itself */
	if (err)
		th_error(err, "%s: diff", th_target_path(target));
	return err;
}

static int show(struct diff *diff)
{
	int err = 0;

	if (!diff->strict)
		th_changes_merge(diff->changes, &diff->count);
	th_changes_sort(diff->changes, diff->count);
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
	if (!receive(diff, target))
		status = show(diff);
	th_target_close(target);
	release(diff);
	return status;
}

/* --- the command --- */

enum { OPTION_PATH = TH_OPTION_LONG, OPTION_JSON, OPTION_STATS, OPTION_STRICT };

static const struct th_option options_table[] = {
	{ OPTION_PATH, "path", "PATH",
	  "only changes at PATH, from the root of the filesystem, or below it;\nthe path of either side will do" },
	{ OPTION_JSON, "json", NULL, "print a JSON object on each line, with attributes and changed byte ranges" },
	{ '0', NULL, NULL, "do not escape names; end each with a zero byte instead of a newline" },
	{ 'F', NULL, NULL, "show the type of the file, as ls -F does (F is a regular file)" },
	{ 'H', NULL, NULL, "separate fields by tabs only, for scripts" },
	{ OPTION_STRICT, "strict", NULL, "show a file replaced by another of the same name as removed and added" },
	{ OPTION_STATS, "stats", NULL, "print how much was read, on standard error" },
	{ 0 },
};

static void take_option(struct diff *diff, int option)
{
	switch (option) {
	case OPTION_PATH:
		diff->path = optarg;
		break;
	case OPTION_JSON:
		diff->style.json = true;
		break;
	case '0':
		diff->style.raw = true;
		break;
	case 'F':
		diff->style.types = true;
		break;
	case 'H':
		diff->style.tabs = true;
		break;
	case OPTION_STRICT:
		diff->strict = true;
		break;
	case OPTION_STATS:
		diff->stats = true;
		break;
	}
}

static int run(const struct th_command *command, int argc, char **argv)
{
	struct diff diff = { 0 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		take_option(&diff, option);
	if (option < 0)
		return status;
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
	.arguments = "[--path PATH] [--strict] [--json | -0 | -F | -H] [--stats] TARGET FROM [TO]",
	.summary = "show the changes between two snapshots or branches, or from one to the current state",
	.options = options_table,
	.notes = "M modified, + added, - removed, R renamed.  Exit codes: 0 no difference, 1 differences, 2 trouble.\n",
	.run = run,
};
