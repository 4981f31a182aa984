/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/snapshot_delete.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/snapshot/prune.h"
#include "fs/snapshot/select.h"
#include "journal/base/clock.h"
#include "journal/base/size.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/snapshot_lists.h"
#include "tools/snapshot_report.h"
#include "tools/target.h"

#define KEEP_MAX 1000000 /* the number of a rule */

struct request {
	const struct th_command *command;
	const char *path; /* of the target */
	int count;
	char **terms; /* names, ranges and patterns */
	struct th_duration age;
	bool older; /* only those that are older than `age` */
	bool prune;
	struct th_prune_policy policy;
	bool dry_run, verbose, wait;
};

/* The snapshots of a target, and what becomes of them.  The arrays have an item for each snapshot of the lists. */
struct plan {
	struct th_snapshot_lists lists;
	struct th_select *select;
	unsigned *kept_by; /* rules of prune.h */
	bool *doomed; /* it is to be deleted */
};

static void plan_release(struct plan *plan)
{
	th_snapshot_lists_release(&plan->lists);
	free(plan->select);
	free(plan->kept_by);
	free(plan->doomed);
}

static int plan_init(struct plan *plan, struct th_target *target)
{
	int err = th_snapshot_lists_read(target, &plan->lists);
	size_t count = plan->lists.count;

	if (err)
		return err;
	plan->kept_by = calloc(count + 1, sizeof(*plan->kept_by));
	plan->doomed = calloc(count + 1, sizeof(*plan->doomed));
	if (!plan->kept_by || !plan->doomed)
		return -ENOMEM;
	return th_snapshot_lists_select(&plan->lists, &plan->select);
}

/* --- selecting --- */

/* Selects the snapshots that the user means.  Returns an exit code. */
static int select_snapshots(const struct request *request, struct th_target *target, struct plan *plan)
{
	int status = TH_EXIT_DONE;

	if (!request->count)
		th_select_all(plan->select, plan->lists.count);
	for (int i = 0; i < request->count; i++) {
		int err = th_select_term(plan->select, plan->lists.count, request->terms[i]);

		if (err)
			status = th_snapshot_report_term(target, request->terms[i], err);
	}
	if (request->older)
		th_select_older(plan->select, plan->lists.count, th_duration_before(&request->age, th_now_ns()));
	return status;
}

/* --- deciding --- */

/* Returns whether the snapshot could be deleted together with the other doomed ones. */
static bool is_deletable(const struct plan *plan, size_t at)
{
	const struct th_control_snapshot *snapshot = &plan->lists.snapshots[at];

	return !th_snapshot_is_held(snapshot) && !th_snapshot_lists_pin(&plan->lists, snapshot, plan->doomed);
}

/* Takes those from the doomed that cannot be deleted.  Where one stays, the origin of its detached branch has to stay
 * too: so this repeats until nothing changes. */
static void spare_undeletable(struct plan *plan)
{
	bool changed;

	do {
		changed = false;
		for (size_t i = 0; i < plan->lists.count; i++) {
			if (!plan->doomed[i] || is_deletable(plan, i))
				continue;
			plan->doomed[i] = false;
			plan->kept_by[i] = 1u << TH_PRUNE_PINNED;
			changed = true;
		}
	} while (changed);
}

/* All that are selected are to be deleted.  One that cannot be is an error if the user gave its name.  Returns an exit
 * code. */
static int decide_delete(struct th_target *target, struct plan *plan)
{
	int status = TH_EXIT_DONE;

	for (size_t i = 0; i < plan->lists.count; i++)
		plan->doomed[i] = plan->select[i].selected;
	spare_undeletable(plan);
	for (size_t i = 0; i < plan->lists.count; i++) {
		if (plan->select[i].selected && !plan->doomed[i] && plan->select[i].by_name)
			status = th_snapshot_report(target, plan->select[i].name, -EBUSY);
	}
	return status;
}

/* Those of the selected are to be deleted that no rule keeps.  Returns 0 or -ENOMEM. */
static int decide_prune(const struct th_prune_policy *policy, struct plan *plan)
{
	struct th_prune_snapshot *list = calloc(plan->lists.count + 1, sizeof(*list));
	size_t selected = 0;
	int err = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < plan->lists.count && !err; i++) {
		const struct th_control_snapshot *snapshot = &plan->lists.snapshots[i];

		if (plan->select[i].selected)
			list[selected++] = (struct th_prune_snapshot){
				.branch = plan->select[i].branch,
				.created_ns = plan->select[i].created_ns,
				.pinned = th_snapshot_is_held(snapshot) ||
					  th_snapshot_lists_pin(&plan->lists, snapshot, NULL),
			};
	}
	if (!err)
		err = th_prune(policy, list, selected, th_now_ns());
	selected = 0;
	for (size_t i = 0; i < plan->lists.count && !err; i++) {
		if (!plan->select[i].selected)
			continue;
		plan->kept_by[i] = list[selected++].kept_by;
		plan->doomed[i] = !plan->kept_by[i];
	}
	free(list);
	return err;
}

/* --- printing the plan --- */

/* Prints why a snapshot stays: " (daily, weekly)". */
static void print_reasons(const struct plan *plan, size_t at)
{
	const char *before = "  (";

	for (enum th_prune_rule rule = 0; rule < TH_PRUNE_RULES; rule++) {
		bool held = th_snapshot_is_held(&plan->lists.snapshots[at]);

		if (!(plan->kept_by[at] >> rule & 1))
			continue;
		printf("%s%s", before,
		       rule != TH_PRUNE_PINNED ? th_prune_rule_name(rule) : (held ? "held" : "origin of a branch"));
		before = ", ";
	}
	putchar(')');
}

/* Prints the space that the deletion frees, for a dry run. */
static int print_space(struct th_target *target, const struct plan *plan)
{
	char text[TH_SIZE_TEXT];
	uint64_t bytes, doomed = 0;
	int err = th_snapshot_lists_space_of(target, &plan->lists, plan->doomed, &bytes);

	for (size_t i = 0; i < plan->lists.count; i++)
		doomed += plan->doomed[i];
	if (err)
		return th_error(err, "%s: space of snapshots", th_target_path(target));
	if (bytes == TH_CONTROL_SPACE_UNKNOWN)
		printf("deleting %llu snapshot%s frees an unknown amount of space\n", (unsigned long long)doomed,
		       doomed == 1 ? "" : "s");
	else
		printf("deleting %llu snapshot%s frees %s (%llu bytes)\n", (unsigned long long)doomed,
		       doomed == 1 ? "" : "s", th_size_format(bytes, text), (unsigned long long)bytes);
	return TH_EXIT_DONE;
}

static void print_plan(const struct request *request, const struct plan *plan)
{
	for (size_t i = 0; i < plan->lists.count; i++) {
		bool detailed = request->dry_run || request->verbose;

		/* A deletion that leaves something out is worth a line, a policy that keeps something is not. */
		if (!plan->select[i].selected || !(detailed || (!request->prune && !plan->doomed[i])))
			continue;
		fputs(plan->doomed[i] ? "delete  " : "keep    ", stdout);
		th_name_print(stdout, plan->select[i].name);
		if (!plan->doomed[i])
			print_reasons(plan, i);
		putchar('\n');
	}
}

/* --- deleting --- */

static int delete_one(struct th_target *target, const char *name)
{
	struct th_control_snapshot request = { 0 };
	int err = th_target_name(name, &request.name);

	if (!err)
		err = th_target_ask(target, TH_CONTROL_SNAPSHOT_DELETE, &request);
	return err ? th_snapshot_report(target, name, err) : TH_EXIT_DONE;
}

/* Deletes the newest ones first: the snapshots of a detached branch before its origin.  Returns an exit code. */
static int delete_doomed(struct th_target *target, const struct plan *plan)
{
	int status = TH_EXIT_DONE;

	for (size_t i = plan->lists.count; i-- > 0;) {
		if (plan->doomed[i] && delete_one(target, plan->select[i].name))
			status = TH_EXIT_FAILED;
	}
	return status;
}

/* Waits until the space of deleted snapshots is free. */
static int wait_for_space(struct th_target *target)
{
	struct th_control_reclaim request = { 0 };
	int err;

	do
		err = th_target_ask(target, TH_CONTROL_RECLAIM, &request);
	while (!err && !th_get_le32(request.done));
	return err ? th_error(err, "%s: cannot free the space of deleted snapshots", th_target_path(target))
		   : TH_EXIT_DONE;
}

/* Opens the target again for changes, deletes, and perhaps waits.  Returns an exit code. */
static int carry_out(const struct request *request, const struct plan *plan)
{
	struct th_target *target;
	int status;

	if (th_target_open(request->path, false, &target))
		return TH_EXIT_FAILED;
	status = plan ? delete_doomed(target, plan) : delete_one(target, request->terms[0]);
	if (request->wait && !status)
		status = wait_for_space(target);
	if (th_target_close(target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

/* Finds out, without changing anything, which snapshots are to be deleted, and prints it.  Opening an image for writing
 * would change it already.  Returns an exit code. */
static int decide(const struct request *request, struct plan *plan)
{
	struct th_target *target;
	int err, status = TH_EXIT_FAILED;

	if (th_target_open(request->path, true, &target))
		return TH_EXIT_FAILED;
	err = plan_init(plan, target);
	if (!err)
		status = select_snapshots(request, target, plan);
	if (!err && !status && request->prune)
		err = decide_prune(&request->policy, plan);
	else if (!err && !status)
		status = decide_delete(target, plan);
	if (err)
		status = th_error(err, "%s: list of snapshots", request->path);
	if (!status)
		print_plan(request, plan);
	if (!status && request->dry_run)
		status = print_space(target, plan);
	th_target_close(target);
	return status;
}

/* Returns whether the request is for one snapshot of a mounted filesystem: it is done as a whole or not at all, and
 * needs no plan. */
static bool is_atomic(const struct request *request)
{
	struct stat status;

	return request->count == 1 && !request->older && !request->prune && !request->dry_run &&
	       !th_select_is_special(request->terms[0]) && stat(request->path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int run_request(const struct request *request)
{
	struct plan plan = { 0 };
	bool any = false;
	int status;

	if (is_atomic(request))
		return carry_out(request, NULL);
	status = decide(request, &plan);
	for (size_t i = 0; i < plan.lists.count; i++)
		any |= plan.doomed && plan.doomed[i];
	if (!status)
		status = th_command_finish(TH_EXIT_DONE);
	if (!status && !request->dry_run && (any || request->wait))
		status = carry_out(request, &plan);
	plan_release(&plan);
	return status;
}

/* --- the command line --- */

enum {
	OPTION_OLDER = TH_OPTION_LONG,
	OPTION_WAIT,
	OPTION_WITHIN,
	OPTION_KEEP, /* with the number of a rule added */
};

#define WAIT_OPTION                                                                                                    \
	{                                                                                                              \
		OPTION_WAIT, "wait", NULL, "return when their space is free, except for what is still open in them"    \
	}

const struct th_option th_snapshot_delete_options[] = {
	{ OPTION_OLDER, "older-than", "AGE", "only those older than this, such as 30d, 12h or 1y6mo" },
	{ 'n', "dry-run", NULL, "only print which ones" },
	WAIT_OPTION,
	{ 0 },
};

const struct th_option th_snapshot_prune_options[] = {
	{ OPTION_KEEP + TH_PRUNE_LAST, "keep-last", "N", "keep the last N" },
	{ OPTION_KEEP + TH_PRUNE_HOURLY, "keep-hourly", "N",
	  "keep the newest of each of the last N hours that have any" },
	{ OPTION_KEEP + TH_PRUNE_DAILY, "keep-daily", "N", "the same with days" },
	{ OPTION_KEEP + TH_PRUNE_WEEKLY, "keep-weekly", "N", "with weeks, which begin on Monday" },
	{ OPTION_KEEP + TH_PRUNE_MONTHLY, "keep-monthly", "N", "with months" },
	{ OPTION_KEEP + TH_PRUNE_YEARLY, "keep-yearly", "N", "with years" },
	{ OPTION_WITHIN, "keep-within", "AGE", "keep all that are at most so much older than the newest one" },
	{ 'n', "dry-run", NULL, "only print which are kept, by which rules, and which deleted" },
	{ 'v', "verbose", NULL, "print that, and delete" },
	WAIT_OPTION,
	{ 0 },
};

/* Parses a duration.  Returns an exit code. */
static int parse_age(const struct th_command *command, const char *text, struct th_duration *ret)
{
	int err = th_duration_parse(text, ret);

	if (err == -ERANGE)
		return th_command_usage(command, "%s: the number is too large", text);
	return err ? th_command_usage(command, "%s: not a time such as 30d (units: s, min, h, d, w, mo, y)", text)
		   : TH_EXIT_DONE;
}

static int parse_number(const struct th_command *command, const char *text, unsigned *ret)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || end == text || strspn(text, "0123456789") != strlen(text) || number > KEEP_MAX)
		return th_command_usage(command, "%s: not a number from 0 to %d", text, KEEP_MAX);
	*ret = (unsigned)number;
	return TH_EXIT_DONE;
}

static int take_option(struct request *request, int option)
{
	switch (option) {
	case OPTION_OLDER:
		request->older = true;
		return parse_age(request->command, optarg, &request->age);
	case OPTION_WITHIN:
		request->policy.has_within = true;
		return parse_age(request->command, optarg, &request->policy.within);
	case OPTION_WAIT:
		request->wait = true;
		return TH_EXIT_DONE;
	case 'n':
		request->dry_run = true;
		return TH_EXIT_DONE;
	case 'v':
		request->verbose = true;
		return TH_EXIT_DONE;
	default:
		return parse_number(request->command, optarg, &request->policy.keep[option - OPTION_KEEP]);
	}
}

static bool has_rule(const struct th_prune_policy *policy)
{
	bool has = policy->has_within;

	for (enum th_prune_rule rule = 0; rule < TH_PRUNE_COUNTED; rule++)
		has |= policy->keep[rule] > 0;
	return has;
}

static int run(struct request *request, int argc, char **argv)
{
	int option, status;

	while ((option = th_command_option(request->command, argc, argv, &status)) > 0) {
		status = take_option(request, option);
		if (status)
			return status;
	}
	if (option < 0)
		return status;
	if (optind == argc)
		return th_command_usage(request->command, "a target is missing");
	request->path = argv[optind];
	request->terms = argv + optind + 1;
	request->count = argc - optind - 1;
	if (request->prune && !has_rule(&request->policy))
		return th_command_usage(request->command, "a rule is missing that keeps snapshots, such as "
							  "--keep-daily 7");
	if (!request->prune && !request->older && !request->count)
		return th_command_usage(request->command, "a name is missing");
	tzset();
	return run_request(request);
}

int th_snapshot_delete_run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };

	return run(&request, argc, argv);
}

int th_snapshot_prune_run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command, .prune = true };

	return run(&request, argc, argv);
}
