/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/stream/receive.h"
#include "journal/base/size.h"
#include "journal/disk/disk.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/name_print.h"
#include "tools/stream_print.h"

struct request {
	const char *path, *file; /* file: NULL: stdin */
	const char *branch;
	bool force, dry_run, token, abort, quiet;
	struct th_image_reporter reporter;
};

#define READ_SIZE ((size_t)1 << 18)

/* --- what happened --- */

static void report_line(void *arg, const char *line)
{
	struct request *request = arg;

	th_image_report(&request->reporter, line);
}

static void print_name(const char *what, const char *name)
{
	printf(" %s '", what);
	th_name_print(stdout, name);
	putchar('\'');
}

static void print_event(void *arg, enum th_receive_event event, const struct th_stream_info *info, const char *branch,
			const struct th_stream_totals *totals)
{
	static const char *const words[] = {
		[TH_RECEIVE_RESUMED] = "continues",
		[TH_RECEIVE_PRESENT] = "already has",
		[TH_RECEIVE_DONE] = "received",
		[TH_RECEIVE_KEPT] = "keeps the changed state as",
	};
	const struct request *request = arg;
	char size[TH_SIZE_TEXT];

	if (request->quiet || event == TH_RECEIVE_BEGUN)
		return;
	th_name_print(stdout, request->path);
	printf(": %s", words[event]);
	if (event == TH_RECEIVE_KEPT) {
		print_name("branch", branch);
	} else {
		print_name("snapshot", info->name);
		if (event != TH_RECEIVE_PRESENT)
			print_name("on branch", branch);
	}
	if (event == TH_RECEIVE_DONE)
		printf(" (%s of data)", th_size_format(totals->bytes, size));
	putchar('\n');
	fflush(stdout);
}

/* Reports why a stream was not received.  Returns TH_EXIT_FAILED. */
static int report(const struct request *request, int err, const char *why)
{
	if (*why)
		return th_error_line("%s: %s", request->path, why);
	if (err == -ENOSPC)
		return th_error_line("%s: no space left; what was received is kept: make room, and receive the rest",
				     request->path);
	if (err == -EUCLEAN && request->reporter.lines)
		return TH_EXIT_FAILED; /* reported where it was found */
	th_image_error(request->path, err);
	return TH_EXIT_FAILED;
}

/* --- receiving --- */

static int feed(struct th_receive *receive, const struct request *request, int fd, uint8_t *buffer)
{
	ssize_t size;
	int err = 0;

	do {
		size = read(fd, buffer, READ_SIZE);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0) {
			err = -errno;
			return th_error(err, "%s", request->file ? request->file : "stdin");
		}
		err = size ? th_receive_feed(receive, buffer, (size_t)size) : th_receive_end(receive);
	} while (size && !err);
	return err ? report(request, err, th_receive_why(receive)) : TH_EXIT_DONE;
}

static struct th_receive_options make_options(struct request *request)
{
	return (struct th_receive_options){
		.image = request->dry_run ? NULL : request->path,
		.branch = request->branch,
		.force = request->force,
		.report = report_line,
		.event = request->dry_run ? th_stream_print_totals : print_event,
		.arg = request,
	};
}

static int receive_stream(struct request *request)
{
	struct th_receive_options options = make_options(request);
	uint8_t *buffer = malloc(READ_SIZE);
	struct th_receive *receive = NULL;
	int fd = request->file ? open(request->file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	int err = fd < 0 ? -errno : 0, status, closed;

	if (err || !buffer) {
		free(buffer);
		return th_error(err ? err : ENOMEM, "%s", request->file ? request->file : request->path);
	}
	err = th_receive_new(&options, &receive);
	status = err ? th_error(err, "%s", request->path) : feed(receive, request, fd, buffer);
	closed = receive ? th_receive_close(receive) : 0;
	if (closed && status == TH_EXIT_DONE)
		status = th_error(closed, "%s", request->path);
	if (request->file)
		close(fd);
	free(buffer);
	return th_command_finish(status);
}

/* --- an unfinished receive --- */

static int print_token(struct request *request)
{
	struct th_receive_options options = make_options(request);
	char token[TH_STREAM_TOKEN_SIZE];
	int err = th_receive_token(&options, token);

	if (err == -ENOENT)
		return th_error_line("%s: no part of a snapshot was received", request->path);
	if (err)
		return report(request, err, "");
	printf("%s\n", token);
	return th_command_finish(TH_EXIT_DONE);
}

static int abort_receive(struct request *request)
{
	struct th_receive_options options = make_options(request);
	int err = th_receive_abort(&options);

	if (err == -ENOENT)
		return th_error_line("%s: no part of a snapshot was received", request->path);
	return err ? report(request, err, "") : TH_EXIT_DONE;
}

/* --- the command line --- */

enum { OPTION_BRANCH = TH_OPTION_LONG, OPTION_FORCE, OPTION_TOKEN, OPTION_ABORT };

static const struct th_option options[] = {
	{ OPTION_BRANCH, "branch", "BRANCH",
	  "receive into this branch (default: that of the snapshot\nthat the stream continues from)" },
	{ OPTION_FORCE, "force", NULL,
	  "if the branch has changed since that snapshot, keep its\nstate as another branch, and receive" },
	{ 'n', "dry-run", NULL, "check the stream and print what it holds; receive nothing" },
	{ 'q', "quiet", NULL, "print errors only" },
	{ OPTION_TOKEN, "token", NULL,
	  "print the token by which 'thunderhead send --resume'\ncontinues an unfinished stream" },
	{ OPTION_ABORT, "abort", NULL, "undo an unfinished receive" },
	{ 0 },
};

static bool is_directory(const char *path)
{
	const char *file = th_disk_url_path(path);
	struct stat status;

	return file && !stat(file, &status) && S_ISDIR(status.st_mode);
}

static int act(struct request *request)
{
	request->reporter.path = request->path;
	if (!request->dry_run && is_directory(request->path))
		return th_error_line("%s: is a directory; a stream is received into an image that is not mounted",
				     request->path);
	if (request->token)
		return print_token(request);
	return request->abort ? abort_receive(request) : receive_stream(request);
}

static int run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { 0 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		request.branch = option == OPTION_BRANCH ? optarg : request.branch;
		request.force |= option == OPTION_FORCE;
		request.dry_run |= option == 'n';
		request.quiet |= option == 'q';
		request.token |= option == OPTION_TOKEN;
		request.abort |= option == OPTION_ABORT;
	}
	if (option < 0)
		return status;
	if (argc - optind < 1 || argc - optind > 2)
		return th_command_usage(command, "an image is needed, and maybe a file");
	if (request.token + request.abort + request.dry_run > 1)
		return th_command_usage(command, "--dry-run, --token and --abort exclude each other");
	request.path = argv[optind];
	request.file = argv[optind + 1];
	return act(&request);
}

const struct th_command th_cmd_receive = {
	.name = "receive",
	.arguments = "[--branch BRANCH] [--force] [--dry-run] [--quiet] [--token | --abort] IMAGE [FILE]",
	.summary = "make a snapshot from the stream of 'thunderhead send'",
	.options = options,
	.notes = "Reads standard input unless a file is named.  The image must not be mounted.\n",
	.run = run,
};
