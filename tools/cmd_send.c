/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/stream/receive.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/stream_plan.h"
#include "tools/stream_print.h"
#include "tools/stream_read.h"
#include "tools/target.h"

struct request {
	const char *path;
	struct th_stream_request stream;
	const char *file; /* NULL: stdout */
	bool all, describe;
};

/* Where a stream goes: to a descriptor, or to the description of it. */
struct output {
	int fd;
	struct th_receive *describe; /* NULL: to fd */
};

static int report(const struct request *request, int err)
{
	switch (err) {
	case -ENOENT:
		return request->stream.resume
			       ? th_error_line("%s: it does not have the snapshot of this token", request->path)
			       : th_error_line("%s: no snapshot '%s'", request->path, request->stream.snapshot);
	case -ENXIO:
		return request->stream.resume
			       ? th_error_line("%s: it does not have the base of this token", request->path)
			       : th_error_line("%s: no snapshot '%s'", request->path, request->stream.base);
	case -EINVAL:
		return request->stream.resume ? th_error_line("'%s' is not a token of 'thunderhead receive --token'",
							      request->stream.resume)
					      : th_error_line("%s: '%s' cannot be sent as changes since itself",
							      request->path, request->stream.snapshot);
	case -ESTALE:
		return th_error_line(
			"%s: the filesystem was rolled back meanwhile, or the reader of the stream was idle for "
			"an hour; continue with --resume",
			request->path);
	case -ENOTTY:
		return th_error_line("%s: is mounted by an older version of this program; unmount it and mount it with "
				     "this one",
				     request->path);
	default:
		return th_error(err, "%s: cannot be sent", request->path);
	}
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

struct passing {
	const struct request *request;
	const struct output *output;
	bool reported;
};

/* Passes a part of the stream on, to a file or to the description.  Returns 0, or -errno after reporting it. */
static int pass_on(void *arg, const void *bytes, size_t size)
{
	struct passing *passing = arg;
	const struct output *output = passing->output;
	int err =
		output->describe ? th_receive_feed(output->describe, bytes, size) : write_all(output->fd, bytes, size);

	if (!err)
		return 0;
	passing->reported = true;
	if (output->describe)
		th_error_line("%s: %s", passing->request->path, th_receive_why(output->describe));
	else
		th_error(err, "%s", passing->request->file ? passing->request->file : "stdout");
	return err;
}

/* Sends one snapshot.  Returns 0, or -errno after reporting it. */
static int send_one(struct th_target *target, const struct request *request, const struct output *output)
{
	struct passing passing = { .request = request, .output = output };
	int err = th_stream_read(target, &request->stream, pass_on, &passing);

	if (err && !passing.reported)
		report(request, err);
	return err;
}

/* Sends all snapshots, each as the changes since the one before it. */
static int send_all(struct th_target *target, const struct request *request, const struct output *output)
{
	struct request one = *request;
	struct th_stream_plan plan;
	int err = th_stream_plan_make(target, &plan);

	if (err) {
		th_error(err, "%s: its snapshots cannot be listed", request->path);
		return err;
	}
	if (plan.left_out)
		th_error_line("%s: %zu snapshots are left out: a rollback has detached them from their branch",
			      request->path, plan.left_out);
	one.stream.flags |= TH_CONTROL_SEND_BRANCH;
	for (size_t i = 0; i < plan.count && !err; i++) {
		one.stream.snapshot = plan.steps[i].snapshot.name.text;
		one.stream.base = plan.steps[i].base ? plan.steps[i].base->name.text : NULL;
		err = send_one(target, &one, output);
	}
	th_stream_plan_release(&plan);
	return err;
}

/* --- where the stream goes --- */

static int open_output(const struct request *request, struct output *ret)
{
	struct th_receive_options options = { .event = th_stream_print_totals };
	int err = 0;

	*ret = (struct output){ .fd = STDOUT_FILENO };
	if (request->describe)
		err = th_receive_new(&options, &ret->describe);
	else if (request->file)
		ret->fd = open(request->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (ret->fd < 0)
		err = -errno;
	if (err)
		th_error(err, "%s", request->file ? request->file : request->path);
	return err;
}

/* Makes a file durable if the stream is complete.  Returns 0, or -errno after reporting it. */
static int close_output(const struct request *request, struct output *output, bool complete)
{
	int err = 0;

	if (output->describe)
		th_receive_close(output->describe);
	if (output->fd == STDOUT_FILENO)
		return 0;
	if (complete && fsync(output->fd) && errno != EINVAL) /* a pipe or a device */
		err = -errno;
	if (close(output->fd) && !err)
		err = -errno;
	if (err)
		th_error(err, "%s", request->file);
	return err;
}

static int send_snapshots(const struct request *request)
{
	struct th_target *target;
	struct output output;
	int err, closed;

	if (!request->describe && !request->file && isatty(STDOUT_FILENO))
		return th_error_line(
			"a stream is not for a terminal; pass it on to 'thunderhead receive', or use -o FILE");
	if (th_target_open(request->path, true, &target))
		return TH_EXIT_FAILED;
	err = open_output(request, &output);
	if (!err) {
		err = request->all ? send_all(target, request, &output) : send_one(target, request, &output);
		closed = close_output(request, &output, !err);
		err = err ? err : closed;
	}
	closed = th_target_close(target);
	return err || closed ? TH_EXIT_FAILED : th_command_finish(TH_EXIT_DONE);
}

enum { OPTION_FROM = TH_OPTION_LONG, OPTION_ALL, OPTION_RESUME, OPTION_COMPRESS, OPTION_DESCRIBE };

static const struct th_option options[] = {
	{ OPTION_FROM, "from", "SNAPSHOT",
	  "send only the changes since this snapshot, which the\nreceiver needs to have" },
	{ OPTION_ALL, "all", NULL, "send all snapshots of all branches; none is named" },
	{ OPTION_RESUME, "resume", "TOKEN",
	  "continue a stream: TOKEN is what 'thunderhead receive\n--token' printed; no snapshot is named" },
	{ OPTION_COMPRESS, "compress", "zstd", "compress the stream" },
	{ 'o', "output", "FILE", "write the stream to FILE (default: standard output)" },
	{ OPTION_DESCRIBE, "describe", NULL, "print what the stream would hold, and its size; send nothing" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { 0 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		switch (option) {
		case OPTION_FROM:
			request.stream.base = optarg;
			break;
		case OPTION_ALL:
			request.all = true;
			break;
		case OPTION_RESUME:
			request.stream.resume = optarg;
			break;
		case OPTION_COMPRESS:
			if (strcmp(optarg, "zstd"))
				return th_command_usage(command, "%s: not a kind of compression; zstd is one", optarg);
			request.stream.flags |= TH_CONTROL_SEND_COMPRESS;
			break;
		case OPTION_DESCRIBE:
			request.describe = true;
			break;
		case 'o':
			request.file = optarg;
			break;
		}
	}
	if (option < 0)
		return status;
	if (request.stream.resume && request.all)
		return th_command_usage(command, "--all and --resume exclude each other");
	if ((request.stream.resume || request.all) && (request.stream.base || argc - optind != 1))
		return th_command_usage(command, "with --resume or --all, only a target is needed");
	if (!request.stream.resume && !request.all && argc - optind != 2)
		return th_command_usage(command, "a target and a snapshot are needed");
	request.path = argv[optind];
	request.stream.snapshot = argv[optind + 1];
	return send_snapshots(&request);
}

const struct th_command th_cmd_send = {
	.name = "send",
	.arguments =
		"[--from SNAPSHOT | --all | --resume TOKEN] [--compress zstd] [--output FILE] [--describe] TARGET [SNAPSHOT]",
	.summary = "write a snapshot as a stream, for 'thunderhead receive'",
	.options = options,
	.run = run,
};
