/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/holds.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/timestamp.h"

#define TAGS_SHOWN 3 /* in an error */

static bool is_on(const struct th_control_held *hold, const struct th_control_snapshot *snapshot)
{
	return th_get_le64(hold->snapshot) == th_get_le64(snapshot->id);
}

bool th_holds_has(const struct th_control_held *holds, size_t count, const struct th_control_snapshot *snapshot,
		  const char *tag)
{
	for (size_t i = 0; i < count; i++) {
		if (is_on(&holds[i], snapshot) && !strcmp(holds[i].tag.text, tag))
			return true;
	}
	return false;
}

/* --- errors --- */

/* Prints "'one', 'two' and 3 more", or nothing if there are no holds, or no more. */
static void print_tags(FILE *stream, const struct th_control_held *holds, size_t count,
		       const struct th_control_snapshot *snapshot)
{
	size_t tags = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_on(&holds[i], snapshot) || tags++ >= TAGS_SHOWN)
			continue;
		fputs(tags > 1 ? ", '" : "'", stream);
		th_name_print(stream, holds[i].tag.text);
		putc('\'', stream);
	}
	if (tags > TAGS_SHOWN)
		fprintf(stream, " and %zu more", tags - TAGS_SHOWN);
}

/* Returns the text of print_tags, which the caller frees, or NULL if it cannot be read. */
static char *name_tags(struct th_target *target, const struct th_control_snapshot *snapshot)
{
	struct th_control_held *holds;
	char *tags = NULL;
	size_t count, size;
	FILE *stream;

	if (th_target_holds(target, &holds, &count))
		return NULL;
	stream = open_memstream(&tags, &size);
	if (stream) {
		print_tags(stream, holds, count, snapshot);
		fclose(stream);
	}
	free(holds);
	return tags;
}

int th_holds_report(struct th_target *target, const struct th_control_snapshot *snapshot, const char *what, ...)
{
	char *tags = name_tags(target, snapshot), *text = NULL;
	const char *path = th_target_path(target);
	va_list arguments;
	int status;

	va_start(arguments, what);
	if (vasprintf(&text, what, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (text && tags && *tags)
		status = th_error_line("%s: %s is held by %s; see thunderhead snapshot release", path, text, tags);
	else
		status = th_error(-EBUSY, "%s: %s", path, text ? text : "snapshot");
	free(text);
	free(tags);
	return status;
}

/* --- the list --- */

static void print_table(const struct th_control_held *holds, size_t count, const struct th_control_snapshot *snapshot)
{
	char created[TH_TIMESTAMP_TEXT];

	for (size_t i = 0; i < count; i++) {
		if (!is_on(&holds[i], snapshot))
			continue;
		th_name_print(stdout, snapshot->name.text);
		fputs("  ", stdout);
		th_name_print(stdout, holds[i].tag.text);
		printf("  %s\n", th_timestamp_format(th_get_le64(holds[i].created_ns), created));
	}
}

static int add_json(struct json_object *array, const struct th_control_held *holds, size_t count,
		    const struct th_control_snapshot *snapshot)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		struct json_object *hold;

		if (!is_on(&holds[i], snapshot))
			continue;
		hold = json_object_new_object();
		if (!hold || json_object_array_add(array, hold)) {
			json_object_put(hold);
			return -ENOMEM;
		}
		err = th_name_to_json(hold, "snapshot", snapshot->name.text);
		if (!err)
			err = th_name_to_json(hold, "tag", holds[i].tag.text);
		json_object_object_add(hold, "created_ns", json_object_new_uint64(th_get_le64(holds[i].created_ns)));
	}
	return err;
}

/* Returns whether the snapshot is one of these names; without names, all are. */
static bool wanted(const struct th_control_snapshot *snapshot, int count, char **names)
{
	for (int i = 0; i < count; i++) {
		if (!strcmp(names[i], snapshot->name.text))
			return true;
	}
	return count == 0;
}

static int print(const struct th_control_held *holds, size_t nholds, const struct th_control_snapshot *snapshots,
		 size_t nsnapshots, bool json, int count, char **names)
{
	struct json_object *array = json ? json_object_new_array() : NULL;
	int err = json && !array ? -ENOMEM : 0;

	for (size_t i = 0; i < nsnapshots && !err; i++) {
		if (!th_get_le64(snapshots[i].holds) || !wanted(&snapshots[i], count, names))
			continue;
		if (json)
			err = add_json(array, holds, nholds, &snapshots[i]);
		else
			print_table(holds, nholds, &snapshots[i]);
	}
	if (json && !err)
		th_json_print(stdout, array, JSON_C_TO_STRING_PRETTY);
	json_object_put(array);
	return err;
}

/* Reports names that are not snapshots.  Returns an exit code. */
static int check_names(struct th_target *target, const struct th_control_snapshot *snapshots, size_t nsnapshots,
		       int count, char **names)
{
	int status = TH_EXIT_DONE;

	for (int i = 0; i < count; i++) {
		size_t at = 0;

		while (at < nsnapshots && strcmp(snapshots[at].name.text, names[i]) != 0)
			at++;
		if (at == nsnapshots)
			status = th_error_line("%s: there is no snapshot '%s' (see thunderhead snapshot list)",
					       th_target_path(target), names[i]);
	}
	return status;
}

int th_holds_list(struct th_target *target, bool json, int count, char **names)
{
	struct th_control_snapshot *snapshots = NULL;
	struct th_control_held *holds = NULL;
	size_t nsnapshots, nholds;
	int status = TH_EXIT_FAILED, err = th_target_snapshots(target, &snapshots, &nsnapshots);

	if (!err)
		err = th_target_holds(target, &holds, &nholds);
	if (!err)
		status = check_names(target, snapshots, nsnapshots, count, names);
	if (!err && !status)
		err = print(holds, nholds, snapshots, nsnapshots, json, count, names);
	free(holds);
	free(snapshots);
	if (err)
		return th_error(err, "%s: list of holds", th_target_path(target));
	return status ? status : th_command_finish(TH_EXIT_DONE);
}
