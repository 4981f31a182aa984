/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle [OPTIONS] OURS REFERENCE: makes the same random operations on two filesystems and compares the results.  Exits
 * with 1 at the first operation that differs, after printing it.  Both directories must be empty at first.  Needs root.
 *
 *   --seed N          the seed of the choices (random)
 *   --from N --to N   the range [from, to) of operations (0, 10000)
 *   --walk N          operations between two comparisons of the whole trees (1000)
 *   --snapshots       take a snapshot in OURS at each comparison (walk.h)
 *   --verbose         print each operation with the results in OURS
 *
 * A later --from continues with the trees of an earlier run, so that a filesystem may be remounted in between.  To
 * reproduce a difference, replay all operations up to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"

#define CONTEXT 12 /* lines that are shown before a difference */
/* Seconds without output after which a side counts as hung.  No operation takes a second on an idle machine, and a walk
 * takes a few; the value allows for one that is hundreds of times slower.  A larger one only delays the report of a
 * hang. */
#define SILENCE_SECONDS 3600

/* One side, as seen by the comparing process */
struct side {
	const char *directory;
	pid_t pid;
	FILE *transcript;
	char *line;
	size_t room;
	ssize_t size; /* -1: the transcript has ended */
	bool hung;
};

struct context {
	char *lines[CONTEXT];
	unsigned long count;
};

struct options {
	bool snapshots, verbose;
};

/* True if the filesystem supports O_TMPFILE, which old versions of the kernel and of libfuse do not. */
static bool has_tmpfile(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int side_start(struct side *side, struct actor_task task)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	fflush(NULL);
	side->pid = fork();
	if (side->pid == 0) {
		task.directory = side->directory;
		/* No other process inherits the pipe, so that a side ends when it is no longer read. */
		task.transcript = dup2(ends[1], STDERR_FILENO + 1);
		closefrom(task.transcript + 1);
		actor_run(&task);
	}
	close(ends[1]);
	side->transcript = fdopen(ends[0], "r");
	return side->pid < 0 || !side->transcript ? -1 : 0;
}

static void side_listen(struct side *side)
{
	alarm(SILENCE_SECONDS);
	errno = 0;
	side->size = getline(&side->line, &side->room, side->transcript);
	side->hung = side->size < 0 && errno == EINTR;
	alarm(0);
}

/* Returns true if the side ended by itself with status 0. */
static bool side_stop(struct side *side)
{
	int status = -1;

	if (side->pid <= 0)
		return false;
	if (side->size >= 0 || side->hung)
		kill(side->pid, SIGKILL);
	waitpid(side->pid, &status, 0);
	fclose(side->transcript);
	free(side->line);
	if (side->size < 0 && !side->hung && WIFSIGNALED(status))
		printf("%s: killed by signal %d\n", side->directory, WTERMSIG(status));
	return !status;
}

/* Only interrupts the read. */
static void on_alarm(int signal)
{
	(void)signal;
}

/* --- comparing --- */

static void context_add(struct context *context, char *line)
{
	char **at = &context->lines[context->count++ % CONTEXT];

	free(*at);
	*at = strdup(line);
}

static void context_print(const struct context *context)
{
	for (unsigned long i = context->count < CONTEXT ? 0 : context->count - CONTEXT; i < context->count; i++)
		printf("  %s", context->lines[i % CONTEXT]);
}

static void side_print(const struct side *side)
{
	printf("%s:\n> %s", side->directory, side->hung ? "(hangs)\n" : side->size < 0 ? "(ended)\n" : side->line);
}

static bool agree(const struct side *ours, const struct side *reference)
{
	return ours->size == reference->size && !ours->hung && !reference->hung &&
	       (ours->size < 0 || (!strcmp(ours->line, reference->line) && !strstr(ours->line, " WRONG: ")));
}

static int compare(struct side *ours, struct side *reference, bool verbose)
{
	struct context context = { 0 };
	int result;

	do {
		side_listen(ours);
		side_listen(reference);
		result = agree(ours, reference) ? 0 : 1;
		if (!result && ours->size >= 0)
			context_add(&context, ours->line);
		if (verbose && ours->size >= 0)
			fputs(ours->line, stdout);
	} while (!result && ours->size >= 0);
	if (result) {
		printf("a difference, after\n");
		context_print(&context);
		side_print(ours);
		side_print(reference);
	}
	for (unsigned i = 0; i < CONTEXT; i++)
		free(context.lines[i]);
	return result;
}

static int run(struct side sides[2], const struct actor_task *task, const struct options *options)
{
	int result = 2;

	if (!side_start(&sides[1], *task)) {
		struct actor_task ours = *task;

		ours.features |= options->snapshots ? ACTOR_SNAPSHOTS : 0;
		if (!side_start(&sides[0], ours))
			result = compare(&sides[0], &sides[1], options->verbose);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (!side_stop(&sides[i]) && !result)
			result = 2;
	}
	return result;
}

/* --- arguments --- */

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: oracle [--seed N] [--from N] [--to N] [--walk N] [--snapshots] [--verbose]\n"
			"              OURS REFERENCE\n");
	exit(2);
}

static void parse(int argc, char **argv, struct actor_task *task, struct options *ret)
{
	static const struct option known[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "from", required_argument, NULL, 'f' },
		{ "to", required_argument, NULL, 't' },
		{ "walk", required_argument, NULL, 'w' },
		{ "snapshots", no_argument, NULL, 'k' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	bool seeded = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		unsigned long long number = optarg ? strtoull(optarg, NULL, 0) : 0;

		if (option == 's') {
			task->seed = number;
			seeded = true;
		} else if (option == 'f') {
			task->from = number;
		} else if (option == 't') {
			task->to = number;
		} else if (option == 'w') {
			task->walk_every = number ? number : 1;
		} else if (option == 'k') {
			ret->snapshots = true;
		} else if (option == 'v') {
			ret->verbose = true;
		} else {
			usage();
		}
	}
	if (argc - optind != 2)
		usage();
	if (!seeded)
		task->seed = th_test_seed("oracle");
}

int main(int argc, char **argv)
{
	struct actor_task task = { .to = 10000, .walk_every = 1000 };
	struct options options = { 0 };
	int result;

	parse(argc, argv, &task, &options);
	struct side sides[2] = { { .directory = argv[optind] }, { .directory = argv[optind + 1] } };

	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	if (has_tmpfile(sides[0].directory) && has_tmpfile(sides[1].directory))
		task.features |= ACTOR_TMPFILE;
	result = run(sides, &task, &options);
	printf("seed %" PRIu64 ", operations %lu to %lu: %s\n", task.seed, task.from, task.to,
	       result ? "not the same" : "the same");
	return result;
}
