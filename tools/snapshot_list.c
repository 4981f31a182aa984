/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/snapshot_list.h"

#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/snapshot/select.h"
#include "journal/base/clock.h"
#include "journal/base/size.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/snapshot_lists.h"
#include "tools/snapshot_report.h"
#include "tools/timestamp.h"

struct request {
	const struct th_command *command;
	const char *path; /* of the target */
	int count;
	char **terms; /* names, ranges and patterns; none: all */
	char *columns; /* NULL: the usual ones */
	const char *sort; /* a column; NULL: by number */
	bool reverse;
	bool bare; /* columns are separated by tabs, and there is no heading */
	bool exact; /* sizes in bytes, times in full */
	bool json;
};

/* One snapshot, with the lists that it is of. */
struct row {
	const struct th_snapshot_lists *lists;
	const struct th_control_snapshot *snapshot;
	const struct th_control_branch *branch; /* NULL: it was deleted between the requests */
	uint64_t space; /* bytes, or TH_CONTROL_SPACE_UNKNOWN */
	const struct request *request;
	uint64_t now_ns;
};

static uint64_t created(const struct row *row)
{
	return th_get_le64(row->snapshot->created_ns);
}

/* --- columns --- */

static void put_number(FILE *out, const struct row *row)
{
	fprintf(out, "%llu", (unsigned long long)th_get_le64(row->snapshot->id));
}

static void put_name_of(FILE *out, const struct row *row, const char *name)
{
	bool quoted = !row->request->bare && isatty(STDOUT_FILENO);

	th_name_print_as(out, name, quoted ? TH_NAME_SHELL : TH_NAME_WORD);
}

static void put_name(FILE *out, const struct row *row)
{
	put_name_of(out, row, row->snapshot->name.text);
}

static void put_created(FILE *out, const struct row *row)
{
	char text[TH_TIMESTAMP_TEXT];

	fputs(row->request->exact ? th_timestamp_rfc3339(created(row), text) : th_timestamp_format(created(row), text),
	      out);
}

/* Prints a time in its largest unit up to days, or with --exact in seconds.  A snapshot from the future has no age. */
static void put_age(FILE *out, const struct row *row)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = { { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "s", 1 } };
	uint64_t seconds = created(row) < row->now_ns ? (row->now_ns - created(row)) / 1000000000 : 0;
	size_t at = 0;

	while (at < 3 && seconds < units[at].seconds)
		at++;
	if (row->request->exact)
		fprintf(out, "%llu", (unsigned long long)seconds);
	else
		fprintf(out, "%llu%s", (unsigned long long)(seconds / units[at].seconds), units[at].name);
}

static void put_space(FILE *out, const struct row *row)
{
	char text[TH_SIZE_TEXT];

	if (row->space == TH_CONTROL_SPACE_UNKNOWN)
		fputs("-", out);
	else if (row->request->exact)
		fprintf(out, "%llu", (unsigned long long)row->space);
	else
		fputs(th_size_format(row->space, text), out);
}

/* In brackets: the snapshot is of a detached branch, which had that name. */
static void put_branch(FILE *out, const struct row *row)
{
	if (!row->branch) {
		fputs("-", out);
		return;
	}
	if (th_branch_is_detached(row->branch))
		putc('(', out);
	put_name_of(out, row, row->branch->name.text);
	if (th_branch_is_detached(row->branch))
		putc(')', out);
}

static void put_holds(FILE *out, const struct row *row)
{
	fprintf(out, "%llu", (unsigned long long)th_get_le64(row->snapshot->holds));
}

static void put_generation(FILE *out, const struct row *row)
{
	fprintf(out, "%llu", (unsigned long long)th_get_le64(row->snapshot->generation));
}

static int compare_numbers(uint64_t x, uint64_t y)
{
	return (x > y) - (x < y);
}

static int by_number(const struct row *x, const struct row *y)
{
	return compare_numbers(th_get_le64(x->snapshot->id), th_get_le64(y->snapshot->id));
}

static int by_name(const struct row *x, const struct row *y)
{
	return strcmp(x->snapshot->name.text, y->snapshot->name.text);
}

static int by_created(const struct row *x, const struct row *y)
{
	return compare_numbers(created(x), created(y));
}

static int by_age(const struct row *x, const struct row *y)
{
	return by_created(y, x);
}

/* Unknown space counts as none. */
static int by_space(const struct row *x, const struct row *y)
{
	return compare_numbers(x->space + 1, y->space + 1);
}

static int by_branch(const struct row *x, const struct row *y)
{
	return x->branch && y->branch ? strcmp(x->branch->name.text, y->branch->name.text) : !y->branch - !x->branch;
}

static int by_holds(const struct row *x, const struct row *y)
{
	return compare_numbers(th_get_le64(x->snapshot->holds), th_get_le64(y->snapshot->holds));
}

static const struct column {
	const char *name, *heading;
	bool right; /* aligned */
	void (*put)(FILE *out, const struct row *row);
	int (*compare)(const struct row *x, const struct row *y);
} columns[] = {
	{ "number", "NUMBER", true, put_number, by_number },
	{ "name", "NAME", false, put_name, by_name },
	{ "created", "CREATED", false, put_created, by_created },
	{ "age", "AGE", true, put_age, by_age },
	{ "space", "SPACE", true, put_space, by_space },
	{ "branch", "BRANCH", false, put_branch, by_branch },
	{ "holds", "HOLDS", true, put_holds, by_holds },
	{ "generation", "GENERATION", true, put_generation, by_number },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))
#define COLUMN_NAMES "number, name, created, age, space, branch, holds or generation"
#define SHOWN_MAX 16

static const struct column *find_column(const char *name)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		if (!strcmp(columns[i].name, name))
			return &columns[i];
	}
	return NULL;
}

/* The columns to be printed. */
struct shown {
	const struct column *list[SHOWN_MAX];
	size_t count;
};

/* Chooses the columns that the user names.  Returns an exit code. */
static int choose_columns(const struct request *request, struct shown *shown)
{
	char *save;

	for (char *name = strtok_r(request->columns, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		const struct column *column = find_column(name);

		if (!column)
			return th_command_usage(request->command, "%s: not a column: %s", name, COLUMN_NAMES);
		if (shown->count == SHOWN_MAX)
			return th_command_usage(request->command, "too many columns");
		shown->list[shown->count++] = column;
	}
	return shown->count ? TH_EXIT_DONE : th_command_usage(request->command, "a column is missing");
}

/* Chooses the usual columns: those of branches and holds where there are any. */
static void usual_columns(const struct th_snapshot_lists *lists, struct shown *shown)
{
	static const char *const names[] = { "number", "created", "age", "space", "name", "branch", "holds" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((!strcmp(names[i], "branch") && lists->nbranches < 2) ||
		    (!strcmp(names[i], "holds") && !lists->nholds))
			continue;
		shown->list[shown->count++] = find_column(names[i]);
	}
}

static bool needs_space(const struct request *request, const struct shown *shown)
{
	bool needs = request->json || (request->sort && !strcmp(request->sort, "space"));

	for (size_t i = 0; i < shown->count; i++)
		needs |= shown->list[i]->put == put_space;
	return needs;
}

/* --- printing --- */

/* Returns the text of a cell, which the caller frees, or NULL. */
static char *cell_text(const struct column *column, const struct row *row)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	column->put(out, row);
	return fclose(out) ? NULL : text;
}

static void print_bare(const struct row *rows, size_t count, const struct shown *shown)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < shown->count; k++) {
			shown->list[k]->put(stdout, &rows[i]);
			putchar(k + 1 < shown->count ? '\t' : '\n');
		}
	}
}

static void print_cell(const struct column *column, const char *text, int width, bool last)
{
	if (column->right)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
	fputs(last ? "\n" : "  ", stdout);
}

/* Prints all rows below their headings, each column as wide as its widest cell. */
static int print_table(const struct row *rows, size_t count, const struct shown *shown)
{
	char **cells = calloc(count * shown->count + 1, sizeof(*cells));
	int width[SHOWN_MAX], err = cells ? 0 : -ENOMEM;

	for (size_t k = 0; k < shown->count; k++)
		width[k] = (int)strlen(shown->list[k]->heading);
	for (size_t i = 0; i < count * shown->count && !err; i++) {
		size_t k = i % shown->count;

		cells[i] = cell_text(shown->list[k], &rows[i / shown->count]);
		if (!cells[i])
			err = -ENOMEM;
		else if ((int)strlen(cells[i]) > width[k])
			width[k] = (int)strlen(cells[i]);
	}
	for (size_t k = 0; k < shown->count && !err && count; k++)
		print_cell(shown->list[k], shown->list[k]->heading, width[k], k + 1 == shown->count);
	for (size_t i = 0; i < count * shown->count && !err; i++)
		print_cell(shown->list[i % shown->count], cells[i], width[i % shown->count],
			   (i + 1) % shown->count == 0);
	for (size_t i = 0; cells && i < count * shown->count; i++)
		free(cells[i]);
	free(cells);
	return err;
}

static int add_json(struct json_object *array, const struct row *row)
{
	struct json_object *object = json_object_new_object();
	const struct th_control_snapshot *from = row->snapshot;
	char text[TH_TIMESTAMP_TEXT];
	int err;

	if (!object || json_object_array_add(array, object)) {
		json_object_put(object);
		return -ENOMEM;
	}
	err = th_name_to_json(object, "name", from->name.text);
	if (!err && row->branch) {
		err = th_name_to_json(object, "branch", row->branch->name.text);
		json_object_object_add(object, "detached", json_object_new_boolean(th_branch_is_detached(row->branch)));
	}
	json_object_object_add(object, "id", json_object_new_uint64(th_get_le64(from->id)));
	json_object_object_add(object, "generation", json_object_new_uint64(th_get_le64(from->generation)));
	json_object_object_add(object, "created", json_object_new_string(th_timestamp_rfc3339(created(row), text)));
	json_object_object_add(object, "created_ns", json_object_new_uint64(created(row)));
	json_object_object_add(object, "space_bytes",
			       row->space == TH_CONTROL_SPACE_UNKNOWN ? NULL : json_object_new_uint64(row->space));
	json_object_object_add(object, "holds", json_object_new_uint64(th_get_le64(from->holds)));
	return err;
}

static int print_json(const struct row *rows, size_t count)
{
	struct json_object *array = json_object_new_array();
	int err = array ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++)
		err = add_json(array, &rows[i]);
	if (!err)
		th_json_print(stdout, array, JSON_C_TO_STRING_PRETTY);
	json_object_put(array);
	return err;
}

/* --- the rows --- */

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	const struct column *column = x->request->sort ? find_column(x->request->sort) : &columns[0];
	int order = column->compare(x, y);

	return (order ? order : by_number(x, y)) * (x->request->reverse ? -1 : 1);
}

/* Fills in the rows of the selected snapshots, in the order asked for.  Returns their number. */
static size_t make_rows(const struct request *request, const struct th_snapshot_lists *lists,
			const struct th_select *select, const uint64_t *space, struct row *rows)
{
	uint64_t now_ns = th_now_ns();
	size_t count = 0;

	for (size_t i = 0; i < lists->count; i++) {
		if (select[i].selected)
			rows[count++] = (struct row){
				.lists = lists,
				.snapshot = &lists->snapshots[i],
				.branch = th_snapshot_lists_branch(lists, &lists->snapshots[i]),
				.space = space ? space[i] : TH_CONTROL_SPACE_UNKNOWN,
				.request = request,
				.now_ns = now_ns,
			};
	}
	qsort(rows, count, sizeof(*rows), compare_rows);
	return count;
}

static int print_rows(const struct request *request, const struct th_snapshot_lists *lists,
		      const struct th_select *select, const uint64_t *space, const struct shown *shown)
{
	struct row *rows = calloc(lists->count + 1, sizeof(*rows));
	size_t count;
	int err = 0;

	if (!rows)
		return -ENOMEM;
	count = make_rows(request, lists, select, space, rows);
	if (request->json)
		err = print_json(rows, count);
	else if (request->bare)
		print_bare(rows, count, shown);
	else
		err = print_table(rows, count, shown);
	free(rows);
	return err;
}

static int list(const struct request *request, struct th_target *target, struct shown *shown)
{
	struct th_snapshot_lists lists = { 0 };
	struct th_select *select = NULL;
	uint64_t *space = NULL;
	int status = TH_EXIT_DONE, err = th_snapshot_lists_read(target, &lists);

	if (!err)
		err = th_snapshot_lists_select(&lists, &select);
	if (!err && !request->count)
		th_select_all(select, lists.count);
	for (int i = 0; i < request->count && !err; i++) {
		int wrong = th_select_term(select, lists.count, request->terms[i]);

		if (wrong)
			status = th_snapshot_report_term(target, request->terms[i], wrong);
	}
	if (!err && !status && !shown->count)
		usual_columns(&lists, shown);
	if (!err && !status && needs_space(request, shown))
		err = th_snapshot_lists_spaces(target, &lists, &space);
	if (!err && !status)
		err = print_rows(request, &lists, select, space, shown);
	free(space);
	free(select);
	th_snapshot_lists_release(&lists);
	if (err)
		return th_error(err, "%s: list of snapshots", request->path);
	return status ? status : th_command_finish(TH_EXIT_DONE);
}

/* --- the command line --- */

enum { OPTION_JSON = TH_OPTION_LONG };

const struct th_option th_snapshot_list_options[] = {
	{ 'o', "columns", "COLUMNS", "print these, separated by commas: " COLUMN_NAMES },
	{ 's', "sort", "COLUMN", "sort by this column instead of the number" },
	{ 'r', "reverse", NULL, "in the reverse order" },
	{ 'H', "bare", NULL, "print no heading, and tabs between columns" },
	{ 'p', "exact", NULL, "print sizes in bytes, ages in seconds, and times in full (RFC 3339)" },
	{ OPTION_JSON, "json", NULL, "print a JSON array" },
	{ 0 },
};

static void take_option(struct request *request, int option)
{
	switch (option) {
	case 'o':
		request->columns = optarg;
		break;
	case 's':
		request->sort = optarg;
		break;
	case 'r':
		request->reverse = true;
		break;
	case 'H':
		request->bare = true;
		break;
	case 'p':
		request->exact = true;
		break;
	default:
		request->json = true;
	}
}

int th_snapshot_list_run(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct shown shown = { 0 };
	struct th_target *target;
	int option, status = TH_EXIT_DONE;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		take_option(&request, option);
	if (option < 0)
		return status;
	if (optind == argc)
		return th_command_usage(command, "a target is missing");
	request.path = argv[optind];
	request.terms = argv + optind + 1;
	request.count = argc - optind - 1;
	if (request.columns)
		status = choose_columns(&request, &shown);
	if (!status && request.sort && !find_column(request.sort))
		status = th_command_usage(command, "%s: not a column: %s", request.sort, COLUMN_NAMES);
	if (status)
		return status;
	if (th_target_open(request.path, true, &target))
		return TH_EXIT_FAILED;
	status = list(&request, target, &shown);
	th_target_close(target);
	return status;
}
