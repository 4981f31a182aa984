/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fs/scrub/scrubber.h"
#include "journal/base/size.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/target.h"
#include "tools/timestamp.h"

/* What a subcommand does. */
struct verb {
	enum th_control_scrub_action action;
	bool waits; /* an image that is not mounted stays open until the scrub is complete */
};

struct request {
	struct th_target *target;
	const char *path;
	uint64_t rate; /* bytes per second; 0: no limit */
};

static int report(const char *path, int err)
{
	switch (err) {
	case -EALREADY:
		return th_error_line("%s: a scrub is running already", path);
	case -ESRCH:
		return th_error_line("%s: no scrub is under way", path);
	case -ENOTTY:
		return th_error_line("%s: is mounted by an older version of this program; unmount it and mount it with "
				     "this one",
				     path);
	default:
		return th_error(err, "%s: cannot be scrubbed", path);
	}
}

static int ask(const struct request *request, enum th_control_scrub_action action, struct th_control_scrub *ret)
{
	int err;

	*ret = (struct th_control_scrub){ .action = th_le32(action), .rate = th_le64(request->rate) };
	err = th_target_ask(request->target, TH_CONTROL_SCRUB, ret);
	if (err)
		report(request->path, err);
	return err;
}

/* --- printing --- */

static unsigned percent(const struct th_control_scrub *scrub)
{
	uint64_t bytes = th_get_le64(scrub->bytes), total = th_get_le64(scrub->bytes_total);

	return total && bytes < total ? (unsigned)(100 * ((double)bytes / (double)total)) : 100;
}

static void print_state(const struct th_control_scrub *scrub)
{
	static const char *const states[] = { "none is running", "running", "paused",
					      "interrupted; start continues it" };
	uint32_t state = th_get_le32(scrub->state);
	char text[TH_SIZE_TEXT];

	printf("%s", state < 4 ? states[state] : "unknown");
	if (state != TH_CONTROL_SCRUB_NONE)
		printf(", %u%% (%s read)", percent(scrub), th_size_format(th_get_le64(scrub->bytes), text));
	putchar('\n');
}

static void print_time(const char *label, struct th_le64 ns)
{
	char text[TH_TIMESTAMP_TEXT];

	printf("%-25s %s\n", label, th_get_le64(ns) ? th_timestamp_format(th_get_le64(ns), text) : "never");
}

static void print_status(const struct th_control_scrub *scrub)
{
	printf("%-25s ", "scrub");
	print_state(scrub);
	print_time("begun", scrub->begun_ns);
	print_time("last complete", scrub->ended_ns);
	printf("%-25s %" PRIu32 "\n", "healed", th_get_le32(scrub->healed));
	printf("%-25s %" PRIu32 "\n", "damaged", th_get_le32(scrub->damaged));
}

/* Prints the result of a scrub that is complete.  Returns the exit code. */
static int print_result(const struct request *request, const struct th_control_scrub *scrub)
{
	char text[TH_SIZE_TEXT];
	uint32_t damaged = th_get_le32(scrub->damaged);

	th_name_print(stdout, request->path);
	printf(": %s read, %" PRIu32 " healed, %" PRIu32 " damaged\n", th_size_format(th_get_le64(scrub->bytes), text),
	       th_get_le32(scrub->healed), damaged);
	if (!damaged)
		return TH_EXIT_DONE;
	th_error_line("%s: damage was found that has no right copy; the log names it", request->path);
	return TH_EXIT_FAILED;
}

/* --- the subcommands --- */

/* Waits until the scrub is complete or ends, and shows progress on a terminal.  Returns the exit code. */
static int wait_for_end(const struct request *request)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	bool progress = isatty(STDERR_FILENO);
	struct th_control_scrub scrub;

	for (;;) {
		if (ask(request, TH_CONTROL_SCRUB_STATUS, &scrub))
			return TH_EXIT_FAILED;
		if (th_get_le32(scrub.state) != TH_CONTROL_SCRUB_RUNNING)
			break;
		if (progress)
			fprintf(stderr, "\r%3u%%", percent(&scrub));
		nanosleep(&pause, NULL);
	}
	if (progress)
		fputs("\r    \r", stderr);
	if (th_get_le32(scrub.state) == TH_CONTROL_SCRUB_NONE)
		return print_result(request, &scrub);
	th_error_line("%s: the scrub is not complete; start it again to continue it", request->path);
	return TH_EXIT_FAILED;
}

static int act(const struct request *request, const struct verb *verb, bool wait)
{
	struct th_control_scrub scrub;

	if (ask(request, verb->action, &scrub))
		return TH_EXIT_FAILED;
	if (verb->action == TH_CONTROL_SCRUB_STATUS)
		print_status(&scrub);
	return wait ? wait_for_end(request) : TH_EXIT_DONE;
}

enum { OPTION_RATE = 'r', OPTION_WAIT = 'w' };

static int run(const struct th_command *command, int argc, char **argv)
{
	const struct verb *verb = command->context;
	struct request request = { 0 };
	bool wait = false, limited = false, closed;
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == OPTION_WAIT)
			wait = true;
		else if (th_size_parse(optarg, &request.rate) || !request.rate)
			return th_command_usage(command, "%s: not a rate; one is a number and a unit, such as 50M",
						optarg);
		else
			limited = true;
	}
	if (option < 0)
		return status;
	if (argc - optind != 1)
		return th_command_usage(command, "one target is needed");
	request.path = argv[optind];
	if (th_target_open(request.path, verb->action == TH_CONTROL_SCRUB_STATUS, &request.target))
		return TH_EXIT_FAILED;
	if (th_target_mounted(request.target) && !limited)
		request.rate = TH_SCRUB_RATE;
	wait |= verb->waits && !th_target_mounted(request.target);
	status = act(&request, verb, wait);
	closed = th_target_close(request.target) == 0;
	return th_command_finish(closed ? status : TH_EXIT_FAILED);
}

static const struct th_option start_options[] = {
	{ OPTION_RATE, "rate", "SIZE", "read at most SIZE a second (of a mounted filesystem by default: 64M)" },
	{ OPTION_WAIT, "wait", NULL, "wait until the scrub is complete, and show progress" },
	{ 0 },
};

static const struct verb start_verb = { TH_CONTROL_SCRUB_START, true },
			 status_verb = { TH_CONTROL_SCRUB_STATUS, false },
			 pause_verb = { TH_CONTROL_SCRUB_PAUSE, false }, stop_verb = { TH_CONTROL_SCRUB_STOP, false };

static const struct th_command verbs[] = {
	{
		.name = "scrub start",
		.arguments = "[--rate SIZE] [--wait] TARGET",
		.summary = "start a scrub, or continue one that was paused or interrupted",
		.options = start_options,
		.run = run,
		.context = &start_verb,
	},
	{
		.name = "scrub status",
		.arguments = "TARGET",
		.summary = "show how far the scrub is and what it found, or that of the last one",
		.run = run,
		.context = &status_verb,
	},
	{
		.name = "scrub pause",
		.arguments = "TARGET",
		.summary = "pause the scrub, until it is started again",
		.run = run,
		.context = &pause_verb,
	},
	{
		.name = "scrub stop",
		.arguments = "TARGET",
		.summary = "give the scrub up; the next one begins anew",
		.run = run,
		.context = &stop_verb,
	},
	{ 0 },
};

const struct th_command th_cmd_scrub = {
	.name = "scrub",
	.arguments = "start|status|pause|stop ...",
	.summary = "read everything, mounted or not, and heal damaged metadata",
	.verbs = verbs,
	.run = th_command_run_verb,
};
