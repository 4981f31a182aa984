/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/command.h"

#include <check.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/tools/capture.h"

enum { OPTION_DEEP = TH_OPTION_LONG };

static const struct th_option dig_options[] = {
	{ 'd', "depth", "N", "how deep\nin metres" },
	{ OPTION_DEEP, "deep", NULL, "very deep" },
	{ 'q', NULL, NULL, "quietly" },
	{ 0 },
};

static char seen[256]; /* the options and arguments, in the order in which they were parsed */
static struct th_capture capture;

/* Writes down what it is given. */
static int run(const struct th_command *command, int argc, char **argv)
{
	char *end = stpcpy(seen, command->name);
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		end += sprintf(end, option == OPTION_DEEP ? " deep" : " %c", option);
		if (optarg)
			end += sprintf(end, "=%s", optarg);
	}
	if (option < 0)
		return status;
	for (int i = optind; i < argc; i++)
		end += sprintf(end, " %s", argv[i]);
	return 7;
}

static const struct th_command verbs[] = {
	{ .name = "garden dig", .arguments = "[-d N] HOLE", .summary = "dig", .options = dig_options, .run = run },
	{ .name = "garden sow", .arguments = "SEED", .summary = "sow", .run = run },
	{ 0 },
};
static const struct th_command garden = {
	.name = "garden",
	.arguments = "dig|sow ...",
	.summary = "do something in the garden",
	.verbs = verbs,
	.run = th_command_run_verb,
};

/* Runs the garden with these words, separated by blanks.  Returns the exit code; the output is in capture.text. */
static int garden_run(const char *words)
{
	char line[256], *argv[16] = { NULL }, *save;
	int argc = 0, status;

	strcpy(line, words);
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	seen[0] = 0;
	optind = 0;
	th_capture_begin(&capture);
	status = garden.run(&garden, argc, argv);
	th_capture_end(&capture);
	return status;
}

static const struct {
	const char *words, *seen;
} lines[] = {
	{ "garden dig hole", "garden dig hole" },
	{ "garden dig -d 3 hole", "garden dig d=3 hole" },
	{ "garden dig hole --depth=3 other --deep -q", "garden dig d=3 deep q hole other" },
	{ "garden -qd3 dig hole", "garden dig q d=3 hole" },
	{ "garden --deep -d 2 dig", "garden dig deep d=2" },
	{ "garden dig -- -q", "garden dig -q" },
	{ "garden -- dig -q", "garden dig -q" },
	{ "garden sow", "garden sow" },
	{ "garden sow dig", "garden sow dig" },
};

START_TEST(options_may_stand_anywhere)
{
	ck_assert_int_eq(garden_run(lines[_i].words), 7);
	ck_assert_str_eq(seen, lines[_i].seen);
	ck_assert_str_eq(capture.text, "");
}
END_TEST

static const struct {
	const char *words, *message;
} wrong[] = {
	{ "garden", "thunderhead: garden: a subcommand is missing: dig or sow (see thunderhead garden --help)\n" },
	{ "garden mow",
	  "thunderhead: garden: mow: not one of dig or sow; did you mean 'sow'? (see thunderhead garden --help)\n" },
	{ "garden dig -x", "thunderhead: garden dig: -x: no such option (see thunderhead garden dig --help)\n" },
	{ "garden dig --x", "thunderhead: garden dig: --x: no such option (see thunderhead garden dig --help)\n" },
	{ "garden dig -d", "thunderhead: garden dig: -d: needs a value (see thunderhead garden dig --help)\n" },
	{ "garden dig --depth",
	  "thunderhead: garden dig: --depth: needs a value (see thunderhead garden dig --help)\n" },
	{ "garden sow --deep",
	  "thunderhead: garden sow: --deep: no such option (see thunderhead garden sow --help)\n" },
	{ "garden --x", "thunderhead: garden: --x: no such option (see thunderhead garden --help)\n" },
};

START_TEST(wrong_usage_is_reported_and_refers_to_the_help)
{
	ck_assert_int_eq(garden_run(wrong[_i].words), TH_EXIT_USAGE);
	ck_assert_str_eq(capture.text, wrong[_i].message);
}
END_TEST

START_TEST(the_help_of_a_command_lists_its_subcommands)
{
	ck_assert_int_eq(garden_run("garden --help"), TH_EXIT_DONE);
	ck_assert_str_eq(capture.text, "usage: thunderhead garden dig|sow ...\n\ndo something in the garden\n\n"
				       "  garden dig [-d N] HOLE\n      dig\n  garden sow SEED\n      sow\n\n"
				       "thunderhead garden SUBCOMMAND --help shows the options of a subcommand.\n");
}
END_TEST

START_TEST(the_help_of_a_subcommand_lists_its_options)
{
	ck_assert_int_eq(garden_run("garden dig -h"), TH_EXIT_DONE);
	ck_assert_str_eq(capture.text, "usage: thunderhead garden dig [-d N] HOLE\n\ndig\n\n"
				       "  -d, --depth N  how deep\n                 in metres\n"
				       "  --deep         very deep\n  -q             quietly\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("command");
	TCase *tc = tcase_create("command");

	tcase_add_loop_test(tc, options_may_stand_anywhere, 0, sizeof(lines) / sizeof(lines[0]));
	tcase_add_loop_test(tc, wrong_usage_is_reported_and_refers_to_the_help, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tc, the_help_of_a_command_lists_its_subcommands);
	tcase_add_test(tc, the_help_of_a_subcommand_lists_its_options);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
