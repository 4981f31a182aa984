/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "journal/base/size.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/target.h"
#include "tools/timestamp.h"

enum number_kind { BLOCKS, BYTES, COUNT, TIME };

/* The numbers: the label in the text, the key in JSON, and the place in the answer. */
static const struct number {
	const char *label, *key;
	enum number_kind kind;
	size_t offset;
} numbers[] = {
	{ "size", "size_bytes", BLOCKS, offsetof(struct th_control_info, blocks) },
	{ "  data", "data_bytes", BLOCKS, offsetof(struct th_control_info, blocks_data) },
	{ "  metadata", "metadata_bytes", BLOCKS, offsetof(struct th_control_info, blocks_metadata) },
	{ "  snapshots' own", "snapshot_bytes", BLOCKS, offsetof(struct th_control_info, blocks_snapshots) },
	{ "  waiting", "waiting_bytes", BLOCKS, offsetof(struct th_control_info, blocks_waiting) },
	{ "  free", "free_bytes", BLOCKS, offsetof(struct th_control_info, blocks_free) },
	{ "available", "available_bytes", BLOCKS, offsetof(struct th_control_info, blocks_available) },
	{ "reserved for writes", "reserved_bytes", BLOCKS, offsetof(struct th_control_info, blocks_reserved) },
	{ "emergency reserve", "emergency_bytes", BLOCKS, offsetof(struct th_control_info, blocks_emergency) },
	{ "shared by copies", "shared_bytes", BLOCKS, offsetof(struct th_control_info, shared_blocks) },
	{ "branches", "branches", COUNT, offsetof(struct th_control_info, branches) },
	{ "snapshots", "snapshots", COUNT, offsetof(struct th_control_info, snapshots) },
	{ "generation", "generation", COUNT, offsetof(struct th_control_info, generation) },
	{ "sequence", "sequence", COUNT, offsetof(struct th_control_info, sequence) },
	{ "height of the tree", "height", COUNT, offsetof(struct th_control_info, height) },
	{ "created", "created_ns", TIME, offsetof(struct th_control_info, created_ns) },
	{ "last checkpoint", "checkpoint_ns", TIME, offsetof(struct th_control_info, checkpoint_ns) },
};

/* Counts since the filesystem was mounted; shown only for a mounted one. */
static const struct number live_numbers[] = {
	{ "cache", "cache_bytes", BYTES, offsetof(struct th_control_info, cache_bytes) },
	{ "cache used", "cache_used_bytes", BYTES, offsetof(struct th_control_info, cache_used) },
	{ "not in a checkpoint yet", "dirty_bytes", BYTES, offsetof(struct th_control_info, dirty_bytes) },
	{ "file data not written yet", "unwritten_bytes", BYTES, offsetof(struct th_control_info, unwritten_bytes) },
	{ "nodes read", "node_reads", COUNT, offsetof(struct th_control_info, node_reads) },
	{ "nodes found in the cache", "node_cache_hits", COUNT, offsetof(struct th_control_info, node_cache_hits) },
	{ "nodes written", "node_writes", COUNT, offsetof(struct th_control_info, node_writes) },
	{ "written for nodes", "node_bytes_written", BYTES, offsetof(struct th_control_info, node_bytes_written) },
	{ "transactions committed", "merges", COUNT, offsetof(struct th_control_info, merges) },
	{ "checkpoints", "checkpoints", COUNT, offsetof(struct th_control_info, checkpoints) },
	{ "syncs", "syncs", COUNT, offsetof(struct th_control_info, syncs) },
	{ "log records", "log_records", COUNT, offsetof(struct th_control_info, log_records) },
	{ "written to the log", "log_bytes", BYTES, offsetof(struct th_control_info, log_bytes) },
	{ "disk reads", "disk_reads", COUNT, offsetof(struct th_control_info, disk_reads) },
	{ "read from disk", "disk_bytes_read", BYTES, offsetof(struct th_control_info, disk_bytes_read) },
	{ "disk writes", "disk_writes", COUNT, offsetof(struct th_control_info, disk_writes) },
	{ "written to disk", "disk_bytes_written", BYTES, offsetof(struct th_control_info, disk_bytes_written) },
	{ "disk flushes", "disk_flushes", COUNT, offsetof(struct th_control_info, disk_flushes) },
};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t number_value(const struct number *number, const struct th_control_info *info)
{
	struct th_le64 value;

	memcpy(&value, (const char *)info + number->offset, sizeof(value));
	return th_get_le64(value) * (number->kind == BLOCKS ? th_get_le64(info->block_size) : 1);
}

static void print_numbers(const struct number *list, size_t count, const struct th_control_info *info)
{
	char text[64];

	for (size_t i = 0; i < count; i++) {
		uint64_t value = number_value(&list[i], info);

		if (list[i].kind == COUNT)
			snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
		else if (list[i].kind == TIME)
			th_timestamp_format(value, text);
		else
			th_size_format(value, text);
		printf("%-25s %s\n", list[i].label, text);
	}
}

static void format_uuid(const uint8_t *uuid, char *text)
{
	for (int i = 0; i < 16; i++) {
		sprintf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
		text += strlen(text);
	}
}

/* Prints in which state the image is, and why it refuses changes if it does. */
static void print_state(const struct th_control_info *info, bool mounted)
{
	int failure = th_get_le16(info->failure);

	printf("%-25s ", "state");
	if (!mounted)
		puts("not mounted");
	else if (failure)
		printf("mounted, changes are refused since a write failed: %s; solve the cause and mount again\n",
		       strerror(failure));
	else
		puts(info->read_only ? "mounted, read-only" : "mounted");
}

/* Prints what a damaged intent log leaves out, if it is damaged. */
static void print_log(const struct th_control_info *info)
{
	uint64_t stranded = th_get_le64(info->log_stranded);

	if (info->log_lost)
		printf("%-25s damaged, changes after the last checkpoint are missing\n", "intent log");
	else if (stranded)
		printf("%-25s damaged, %llu records after the damage are missing\n", "intent log",
		       (unsigned long long)stranded);
}

static void print_text(const struct th_control_info *info, bool mounted)
{
	char uuid[40];

	format_uuid(info->uuid, uuid);
	printf("%-25s ", "label");
	th_name_print(stdout, info->label);
	printf("\n%-25s %s\n", "uuid", uuid);
	print_state(info, mounted);
	print_log(info);
	printf("%-25s ", "branch");
	th_name_print(stdout, info->branch.text);
	putchar('\n');
	print_numbers(numbers, COUNT_OF(numbers), info);
	if (mounted)
		print_numbers(live_numbers, COUNT_OF(live_numbers), info);
}

static void add_numbers(struct json_object *object, const struct number *list, size_t count,
			const struct th_control_info *info)
{
	for (size_t i = 0; i < count; i++)
		json_object_object_add(object, list[i].key, json_object_new_uint64(number_value(&list[i], info)));
}

static int print_json(const struct th_control_info *info, bool mounted)
{
	struct json_object *object = json_object_new_object();
	char uuid[40];
	int err;

	if (!object)
		return -ENOMEM;
	format_uuid(info->uuid, uuid);
	err = th_name_to_json(object, "label", info->label);
	if (!err)
		err = th_name_to_json(object, "branch", info->branch.text);
	json_object_object_add(object, "uuid", json_object_new_string(uuid));
	json_object_object_add(object, "mounted", json_object_new_boolean(mounted));
	json_object_object_add(object, "read_only", json_object_new_boolean(mounted && info->read_only));
	json_object_object_add(object, "failure",
			       th_get_le16(info->failure) ? json_object_new_string(strerror(th_get_le16(info->failure)))
							  : NULL);
	json_object_object_add(object, "log_lost", json_object_new_boolean(info->log_lost));
	json_object_object_add(object, "log_stranded", json_object_new_uint64(th_get_le64(info->log_stranded)));
	json_object_object_add(object, "block_bytes", json_object_new_uint64(th_get_le64(info->block_size)));
	add_numbers(object, numbers, COUNT_OF(numbers), info);
	if (mounted)
		add_numbers(object, live_numbers, COUNT_OF(live_numbers), info);
	th_json_print(stdout, object, JSON_C_TO_STRING_PRETTY);
	json_object_put(object);
	return err;
}

static int show(const char *path, bool json)
{
	struct th_control_info info = { 0 };
	struct th_target *target;
	int err;

	if (th_target_open(path, true, &target))
		return TH_EXIT_FAILED;
	err = th_target_ask(target, TH_CONTROL_INFO, &info);
	info.label[sizeof(info.label) - 1] = 0;
	info.branch.text[TH_BRANCH_NAME_MAX] = 0;
	if (!err && json)
		err = print_json(&info, th_target_mounted(target));
	else if (!err)
		print_text(&info, th_target_mounted(target));
	if (err)
		th_error(err, "%s", path);
	th_target_close(target);
	return err ? TH_EXIT_FAILED : th_command_finish(TH_EXIT_DONE);
}

/* --- the command --- */

enum { OPTION_JSON = TH_OPTION_LONG };

static const struct th_option options_table[] = { { OPTION_JSON, "json", NULL, "print a JSON object" }, { 0 } };

static int run(const struct th_command *command, int argc, char **argv)
{
	bool json = false;
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		json = true;
	if (option < 0)
		return status;
	if (argc - optind != 1)
		return th_command_usage(command, "one target is needed");
	return show(argv[optind], json);
}

const struct th_command th_cmd_info = {
	.name = "info",
	.arguments = "[--json] TARGET",
	.summary = "show size, free space, snapshots and statistics of a filesystem",
	.options = options_table,
	.run = run,
};
