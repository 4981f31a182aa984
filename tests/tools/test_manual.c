/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the manual page (MANUAL) with the tables of commands and options, from which the help is printed. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse/mount_options.h"
#include "tests/support/suite.h"
#include "tools/commands.h"

static char *manual; /* with a newline at both ends */

static void setup(void)
{
	FILE *file = fopen(MANUAL, "re");
	size_t size;
	char line[4096];
	FILE *text = open_memstream(&manual, &size);

	ck_assert(file && text);
	putc('\n', text);
	while (fgets(line, sizeof(line), file))
		fputs(line, text);
	fclose(text);
	fclose(file);
}

static void teardown(void)
{
	free(manual);
}

/* Returns a copy of the section or subsection that begins with this line; the caller frees it. */
static char *part(const char *title)
{
	char line[64];
	const char *from, *to, *next;

	snprintf(line, sizeof(line), "\n%s\n", title);
	from = strstr(manual, line);
	ck_assert_msg(from, "the manual has no %s", title);
	to = strstr(from + 1, "\n.Sh ");
	next = strstr(from + 1, "\n.Ss ");
	if (!to || (next && next < to))
		to = next;
	ck_assert_ptr_nonnull(to);
	return strndup(from, (size_t)(to + 1 - from));
}

static char *section(const struct th_command *command)
{
	char title[64];

	snprintf(title, sizeof(title), ".Ss %s", command->name);
	return part(title);
}

static bool has_line(const char *text, const char *line)
{
	size_t size = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++) {
		if (at[-1] == '\n' && at[size] == '\n')
			return true;
	}
	return false;
}

/* Calls each() for the command, or for each of its subcommands. */
static void each_usage(const struct th_command *command, void (*each)(const struct th_command *command, void *arg),
		       void *arg)
{
	if (!command->verbs)
		each(command, arg);
	for (const struct th_command *verb = command->verbs; verb && verb->name; verb++)
		each(verb, arg);
}

/* --- the synopsis --- */

/* Writes a line of the synopsis as the usage line has it: ".Op Fl -size Ar SIZE" becomes "[--size SIZE]". */
static void write_usage(FILE *out, char *line)
{
	bool optional = !strncmp(line, ".Op ", 4), flag = false;
	const char *gap = optional ? " [" : " ";
	char *save, *word;

	for (word = strtok_r(line + 1, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (!strcmp(word, "Op") || !strcmp(word, "Ar") || !strcmp(word, "Cm"))
			continue;
		if (!strcmp(word, "Fl")) {
			flag = true;
			continue;
		}
		if (strcmp(word, "...") != 0)
			fputs(gap, out);
		fprintf(out, "%s%s", flag ? "-" : "", word);
		flag = false;
		gap = " ";
	}
	if (optional)
		putc(']', out);
}

/* Returns the synopsis as usage lines, each between newlines; the caller frees it. */
static char *synopsis_usage(void)
{
	char *synopsis = part(".Sh SYNOPSIS"), *usage = NULL, *save;
	size_t size;
	FILE *out = open_memstream(&usage, &size);

	for (char *line = strtok_r(synopsis, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strcmp(line, ".Nm"))
			fputs("\nthunderhead", out);
		else if (strncmp(line, ".Sh", 3) != 0)
			write_usage(out, line);
	}
	putc('\n', out);
	fclose(out);
	free(synopsis);
	return usage;
}

static void check_usage(const struct th_command *command, void *arg)
{
	char line[512];

	snprintf(line, sizeof(line), "thunderhead %s %s", command->name, command->arguments);
	ck_assert_msg(has_line(arg, line), "the synopsis lacks: %s\nit has:%s", line, (char *)arg);
}

START_TEST(the_synopsis_has_each_usage_line)
{
	char *usage = synopsis_usage();

	for (const struct th_command *const *command = th_commands; *command; command++)
		each_usage(*command, check_usage, usage);
	free(usage);
}
END_TEST

/* --- options --- */

/* Fills line with the entry of an option: ".It Fl s , -size Ar SIZE". */
static void option_entry(const struct th_option *option, char *line, size_t size)
{
	char letter[8] = "";

	if (option->key < TH_OPTION_LONG)
		snprintf(letter, sizeof(letter), "%c", option->key);
	snprintf(line, size, ".It Fl %s%s%s%s%s%s", letter, *letter && option->name ? " , " : "",
		 option->name ? "-" : "", option->name ? option->name : "", option->argument ? " Ar " : "",
		 option->argument ? option->argument : "");
}

/* Returns whether the usage line has one of the forms of the option. */
static bool usage_has(const struct th_command *command, const struct th_option *option)
{
	char letter[] = { '-', (char)option->key, 0 }, name[64];

	snprintf(name, sizeof(name), "--%s", option->name ? option->name : "");
	return (option->key < TH_OPTION_LONG && strstr(command->arguments, letter)) ||
	       (option->name && strstr(command->arguments, name));
}

static void check_options(const struct th_command *command, void *arg)
{
	char line[128];

	for (const struct th_option *option = command->options; option && option->key; option++) {
		option_entry(option, line, sizeof(line));
		ck_assert_msg(has_line(arg, line), "the section of %s lacks: %s", command->name, line);
		ck_assert_msg(usage_has(command, option), "the usage of %s lacks: %s", command->name, line);
	}
}

START_TEST(each_option_of_a_command_is_in_its_section_and_usage)
{
	for (const struct th_command *const *command = th_commands; *command; command++) {
		char *text = section(*command);

		each_usage(*command, check_options, text);
		free(text);
	}
}
END_TEST

struct search {
	const char *line;
	bool found;
};

static void find_option(const struct th_command *command, void *arg)
{
	struct search *search = arg;
	char line[128];

	for (const struct th_option *option = command->options; option && option->key; option++) {
		option_entry(option, line, sizeof(line));
		search->found |= !strcmp(line, search->line);
	}
}

START_TEST(each_option_of_a_section_exists)
{
	for (const struct th_command *const *command = th_commands; *command; command++) {
		char *text = section(*command), *save;

		for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			struct search search = { .line = line };

			if (strncmp(line, ".It Fl", 6) != 0)
				continue;
			each_usage(*command, find_option, &search);
			ck_assert_msg(search.found, "%s has no option: %s", (*command)->name, line);
		}
		free(text);
	}
}
END_TEST

START_TEST(each_subcommand_is_in_the_section_of_its_command)
{
	for (const struct th_command *const *command = th_commands; *command; command++) {
		char *text = section(*command), line[64];

		for (const struct th_command *verb = (*command)->verbs; verb && verb->name; verb++) {
			snprintf(line, sizeof(line), ".It Cm %s", strchr(verb->name, ' ') + 1);
			ck_assert_msg(has_line(text, line), "%s: %s", (*command)->name, line);
		}
		free(text);
	}
}
END_TEST

/* --- mount options --- */

static void mount_option_entry(const struct th_mount_option *option, char *line, size_t size)
{
	snprintf(line, size, ".It Cm %s%s%s", option->name, option->argument ? " Ns = Ns Ar " : "",
		 option->argument ? option->argument : "");
}

/* Returns whether the word stands in the text, between blanks, commas or newlines. */
static bool has_word(const char *text, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at++) {
		if (strchr(" ,\n", at[-1]) && strchr(" ,\n", at[size]))
			return true;
	}
	return false;
}

START_TEST(each_mount_option_is_in_the_section_of_mount)
{
	char *text = section(&th_cmd_mount), line[128];

	for (const struct th_mount_option *option = th_mount_option_table; option->name; option++) {
		mount_option_entry(option, line, sizeof(line));
		ck_assert_msg(option->help ? has_line(text, line) : has_word(text, option->name), "%s", option->name);
	}
	free(text);
}
END_TEST

START_TEST(each_mount_option_of_the_section_exists)
{
	char *text = section(&th_cmd_mount), *save, entry[128];

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool found = strncmp(line, ".It Cm", 6) != 0;

		for (const struct th_mount_option *option = th_mount_option_table; option->name; option++) {
			mount_option_entry(option, entry, sizeof(entry));
			found |= option->help && !strcmp(entry, line);
		}
		ck_assert_msg(found, "mount has no option: %s", line);
	}
	free(text);
}
END_TEST

/* --- log messages --- */

/* Words in the manual that stand for a variable part of a message. */
static const char *const variable[] = { "IMAGE", "N", "WHY", "WHAT", "NAME", "ATTRIBUTE", "DIRECTORY" };

/* Returns the size of the variable that begins here, or 0. */
static size_t variable_size(const char *text)
{
	size_t size = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	for (size_t i = 0; i < sizeof(variable) / sizeof(variable[0]); i++) {
		if (size == strlen(variable[i]) && !strncmp(text, variable[i], size))
			return size;
	}
	return 0;
}

/* Reads the whole file; the caller frees it. */
static char *read_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "re");
	char *bytes;

	ck_assert_ptr_nonnull(file);
	fseek(file, 0, SEEK_END);
	*ret_size = (size_t)ftell(file);
	rewind(file);
	bytes = malloc(*ret_size);
	ck_assert_uint_eq(fread(bytes, 1, *ret_size, file), *ret_size);
	fclose(file);
	return bytes;
}

/* Fails the test unless each fixed part of the message is a string of the program. */
static void check_message(const char *message, const char *program, size_t size)
{
	for (const char *at = message; *at; at += variable_size(at)) {
		const char *begin = at;

		while (*at && !variable_size(at))
			at++;
		begin += !strncmp(begin, ": ", 2) ? 2
						  : 0; /* the name of the image may be put before the message later */
		if (at - begin >= 4)
			ck_assert_msg(memmem(program, size, begin, (size_t)(at - begin)), "'%.*s' of '%s'",
				      (int)(at - begin), begin, message);
	}
}

START_TEST(each_log_message_of_the_manual_is_one_of_the_program)
{
	char *text = part(".Sh DIAGNOSTICS"), *save;
	size_t size, messages = 0;
	char *program = read_file(PROGRAM, &size);

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, ".It ", 4) != 0 ||
		    !strncmp(line, ".It fuse:", 9)) /* libfuse's are not in the program */
			continue;
		check_message(line + 4, program, size);
		messages++;
	}
	ck_assert_uint_gt(messages, 20);
	free(program);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manual");
	TCase *tc = tcase_create("manual");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_synopsis_has_each_usage_line);
	tcase_add_test(tc, each_option_of_a_command_is_in_its_section_and_usage);
	tcase_add_test(tc, each_option_of_a_section_exists);
	tcase_add_test(tc, each_subcommand_is_in_the_section_of_its_command);
	tcase_add_test(tc, each_mount_option_is_in_the_section_of_mount);
	tcase_add_test(tc, each_mount_option_of_the_section_exists);
	tcase_add_test(tc, each_log_message_of_the_manual_is_one_of_the_program);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
