/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replication: all that a copy lacks, by streams, without names or positions to be remembered.  The two sides find out
 * what they have in common by the identities of their snapshots.
 *
 * On each branch, the snapshots after the newest common one are sent.  Older ones that the copy does not have any more
 * stay deleted.  The newest common snapshot of each branch is held in the source, so that the next replication has a
 * base.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/stream/receive.h"
#include "journal/base/size.h"
#include "journal/disk/disk.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/name_print.h"
#include "tools/stream_plan.h"
#include "tools/stream_read.h"

struct replicate {
	const char *path, *copy;
	bool quiet;
	struct th_target *source;
	struct th_stream_plan plan;
	bool *common; /* of each step of the plan: the copy has the snapshot */
	char tag[32]; /* of the holds: of this copy */
	struct th_receive *receive;
	bool reported;
	struct th_image_reporter reporter;
};

/* --- the copy --- */

static void report_line(void *arg, const char *line)
{
	struct replicate *replicate = arg;

	th_image_report(&replicate->reporter, line);
}

static void print_event(void *arg, enum th_receive_event event, const struct th_stream_info *info, const char *branch,
			const struct th_stream_totals *totals)
{
	const struct replicate *replicate = arg;
	char size[TH_SIZE_TEXT];

	if (replicate->quiet || event != TH_RECEIVE_DONE)
		return;
	th_name_print(stdout, replicate->copy);
	printf(": received snapshot '");
	th_name_print(stdout, info->name);
	printf("' on branch '");
	th_name_print(stdout, branch);
	printf("' (%s of data)\n", th_size_format(totals->bytes, size));
	fflush(stdout);
}

static struct th_receive_options receive_options(struct replicate *replicate)
{
	return (struct th_receive_options){
		.image = replicate->copy,
		.report = report_line,
		.event = print_event,
		.arg = replicate,
	};
}

static int feed(void *arg, const void *bytes, size_t size)
{
	struct replicate *replicate = arg;
	int err = th_receive_feed(replicate->receive, bytes, size);
	const char *why = th_receive_why(replicate->receive);

	if (!err)
		return 0;
	replicate->reported = true;
	if (*why)
		th_error_line("%s: %s", replicate->copy, why);
	else
		th_image_error(replicate->copy, err);
	return err;
}

/* Sends one stream into the copy.  Returns 0, or -errno after reporting it. */
static int transfer(struct replicate *replicate, const struct th_stream_request *request)
{
	struct th_receive_options options = receive_options(replicate);
	int err = th_receive_new(&options, &replicate->receive), closed;

	if (err)
		return th_image_error(replicate->copy, err);
	replicate->reported = false;
	err = th_stream_read(replicate->source, request, feed, replicate);
	if (err && !replicate->reported)
		th_error(err, "%s: cannot be sent", replicate->path);
	closed = th_receive_close(replicate->receive);
	if (closed && !err)
		th_error(closed, "%s", replicate->copy);
	return err ? err : closed;
}

/* --- what is missing --- */

static bool same(const struct th_control_snapshot *a, const struct th_control_snapshot *b)
{
	return !memcmp(a->identity, b->identity, sizeof(a->identity));
}

/* Finds out which snapshots the copy has, and names the tag after it. */
static int compare(struct replicate *replicate)
{
	struct th_control_snapshot *list = NULL;
	struct th_control_info info;
	struct th_target *copy;
	size_t count = 0;
	int err = th_target_open(replicate->copy, true, &copy);

	if (err)
		return err;
	err = th_target_ask(copy, TH_CONTROL_INFO, &info);
	if (!err)
		err = th_target_snapshots(copy, &list, &count);
	replicate->common = calloc(replicate->plan.count + 1, sizeof(bool));
	if (!err && !replicate->common)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < replicate->plan.count; i++) {
		for (size_t k = 0; k < count; k++)
			replicate->common[i] |= same(&replicate->plan.steps[i].snapshot, &list[k]);
	}
	if (err)
		th_error(err, "%s: its snapshots cannot be listed", replicate->copy);
	else
		snprintf(replicate->tag, sizeof(replicate->tag), "replicate-%02x%02x%02x%02x", info.uuid[0],
			 info.uuid[1], info.uuid[2], info.uuid[3]);
	free(list);
	th_target_close(copy);
	return err;
}

/* Returns the newest common snapshot that a step can continue from, or NULL. */
static const char *find_base(const struct replicate *replicate, size_t step)
{
	const struct th_control_snapshot *base = replicate->plan.steps[step].base;

	while (base) {
		size_t at = 0;

		while (&replicate->plan.steps[at].snapshot != base)
			at++;
		if (replicate->common[at])
			return base->name.text;
		base = replicate->plan.steps[at].base;
	}
	return NULL;
}

/* Returns whether the copy has a later snapshot of the same branch. */
static bool has_later(const struct replicate *replicate, size_t step)
{
	const struct th_stream_plan *plan = &replicate->plan;

	for (size_t i = step + 1; i < plan->count; i++) {
		if (replicate->common[i] &&
		    th_get_le64(plan->steps[i].snapshot.branch) == th_get_le64(plan->steps[step].snapshot.branch))
			return true;
	}
	return false;
}

static int send_missing(struct replicate *replicate)
{
	int err = 0;

	for (size_t i = 0; i < replicate->plan.count && !err; i++) {
		struct th_stream_request request = { .flags = TH_CONTROL_SEND_BRANCH };

		if (replicate->common[i] || has_later(replicate, i))
			continue;
		request.snapshot = replicate->plan.steps[i].snapshot.name.text;
		request.base = find_base(replicate, i);
		err = transfer(replicate, &request);
		replicate->common[i] = !err;
	}
	return err;
}

/* Continues a stream that was cut off, if it is one of this source. */
static int continue_unfinished(struct replicate *replicate)
{
	struct th_receive_options options = receive_options(replicate);
	char token[TH_STREAM_TOKEN_SIZE];
	struct th_stream_request request = { .resume = token };
	int err = th_receive_token(&options, token);

	if (err == -ENOENT)
		return 0;
	if (err)
		return th_image_error(replicate->copy, err);
	return transfer(replicate, &request);
}

/* --- holds --- */

static int ask_hold(struct replicate *replicate, unsigned cmd, const char *snapshot)
{
	struct th_control_hold request = { 0 };
	int err = th_target_name(snapshot, &request.snapshot);

	if (!err)
		err = th_target_name(replicate->tag, &request.tag);
	return err ? err : th_target_ask(replicate->source, cmd, &request);
}

/* Holds the newest common snapshot of each branch, and releases the others. */
static int move_holds(struct replicate *replicate)
{
	int err = 0;

	for (size_t i = 0; i < replicate->plan.count && !err; i++) {
		const char *name = replicate->plan.steps[i].snapshot.name.text;
		bool newest = replicate->common[i] && !has_later(replicate, i);

		err = ask_hold(replicate, newest ? TH_CONTROL_SNAPSHOT_HOLD : TH_CONTROL_SNAPSHOT_RELEASE, name);
		if (err == (newest ? -EEXIST : -ENOENT))
			err = 0;
	}
	if (err)
		th_error(err, "%s: the base of the next replication cannot be held", replicate->path);
	return err;
}

/* --- the command --- */

static int plan(struct replicate *replicate)
{
	int err = th_stream_plan_make(replicate->source, &replicate->plan);

	if (err)
		th_error(err, "%s: its snapshots cannot be listed", replicate->path);
	else if (replicate->plan.left_out)
		th_error_line("%s: %zu snapshots are left out: a rollback has detached them from their branch",
			      replicate->path, replicate->plan.left_out);
	return err;
}

static int act(struct replicate *replicate)
{
	const char *file = th_disk_url_path(replicate->copy);
	struct stat status;
	int err, closed;

	if (file && !stat(file, &status) && S_ISDIR(status.st_mode))
		return th_error_line("%s: is a directory; the copy is an image that is not mounted", replicate->copy);
	if (th_target_open(replicate->path, false, &replicate->source))
		return TH_EXIT_FAILED;
	err = continue_unfinished(replicate);
	if (!err)
		err = plan(replicate);
	if (!err)
		err = compare(replicate);
	if (!err)
		err = send_missing(replicate);
	if (!err)
		err = move_holds(replicate);
	th_stream_plan_release(&replicate->plan);
	free(replicate->common);
	closed = th_target_close(replicate->source);
	return err || closed ? TH_EXIT_FAILED : th_command_finish(TH_EXIT_DONE);
}

static const struct th_option options[] = {
	{ 'q', "quiet", NULL, "print errors only" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	struct replicate replicate = { 0 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		replicate.quiet |= option == 'q';
	if (option < 0)
		return status;
	if (argc - optind != 2)
		return th_command_usage(command, "a target and an image are needed");
	replicate.path = argv[optind];
	replicate.copy = replicate.reporter.path = argv[optind + 1];
	return act(&replicate);
}

const struct th_command th_cmd_replicate = {
	.name = "replicate",
	.arguments = "[--quiet] TARGET IMAGE",
	.summary = "bring the snapshots of an image up to date with those of another",
	.options = options,
	.notes = "The image must not be mounted.\n",
	.run = run,
};
