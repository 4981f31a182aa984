/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store without a filesystem: keys and values in an image, for the shell.
 *
 * An image that holds a filesystem may be read but not written to: other structures of the filesystem, such as link
 * counts and file data outside of the tree, would no longer match its keys.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/base/size.h"
#include "tools/commands.h"
#include "tools/dump.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/image_format.h"
#include "tools/name_print.h"
#include "tools/record.h"

/* Records of a load in one transaction.  More need more memory; fewer cost more transactions. */
#define LOAD_BATCH 1000

struct request {
	const struct th_command *command;
	const char *path;
	int count;
	char **arguments; /* after the image */
	bool escaped, print, reverse, keys_only;
	uint64_t limit;
	struct th_range range;
	uint8_t prefix_end[TH_KEY_MAX];
};

/* --- options --- */

enum { OPTION_FROM = TH_OPTION_LONG, OPTION_TO, OPTION_PREFIX, OPTION_REVERSE, OPTION_LIMIT, OPTION_KEYS };

#define OPTION_ESCAPED_LINE                                                                                            \
	{                                                                                                              \
		'e', "escaped", NULL, "a backslash and two hexadecimal digits in an argument are one byte"             \
	}
#define OPTION_FROM_LINE                                                                                               \
	{                                                                                                              \
		OPTION_FROM, "from", "KEY", "begin with this key"                                                      \
	}
#define OPTION_TO_LINE                                                                                                 \
	{                                                                                                              \
		OPTION_TO, "to", "KEY", "end before this key"                                                          \
	}
#define OPTION_PREFIX_LINE                                                                                             \
	{                                                                                                              \
		OPTION_PREFIX, "prefix", "PREFIX", "only keys that begin with this"                                    \
	}

static const struct th_option key_options[] = { OPTION_ESCAPED_LINE, { 0 } };
static const struct th_option range_options[] = {
	OPTION_ESCAPED_LINE,
	OPTION_FROM_LINE,
	OPTION_TO_LINE,
	OPTION_PREFIX_LINE,
	{ OPTION_REVERSE, "reverse", NULL, "last key first" },
	{ OPTION_LIMIT, "limit", "N", "print at most N keys" },
	{ OPTION_KEYS, "keys", NULL, "print keys without values" },
	{ 0 },
};
static const struct th_option dump_options[] = {
	{ 'p', "print", NULL, "print printable characters as they are, not as digits" },
	OPTION_ESCAPED_LINE,
	OPTION_FROM_LINE,
	OPTION_TO_LINE,
	OPTION_PREFIX_LINE,
	{ 0 },
};

/* --- arguments --- */

/* Returns an exit code, and in *ret the bytes of an argument; with --escaped, text becomes these bytes in place. */
static int take_bytes(const struct request *request, char *text, size_t size_max, struct th_slice *ret)
{
	size_t size = strlen(text);

	if (request->escaped && th_record_parse(text, &size, TH_RECORD_PRINT) < 0)
		return th_command_usage(request->command, "--escaped: a backslash without two digits");
	if (size > size_max)
		return th_command_usage(request->command, "%.20s...: more than %zu bytes", text, size_max);
	*ret = (struct th_slice){ text, size };
	return TH_EXIT_DONE;
}

struct bounds {
	char *from, *to, *prefix;
};

static int take_bounds(struct request *request, const struct bounds *bounds)
{
	struct th_slice prefix;
	int status = TH_EXIT_DONE;

	if (bounds->prefix && (bounds->from || bounds->to))
		return th_command_usage(request->command, "--prefix goes with neither --from nor --to");
	if (bounds->from)
		status = take_bytes(request, bounds->from, TH_KEY_MAX, &request->range.from);
	if (!status && bounds->to)
		status = take_bytes(request, bounds->to, TH_KEY_MAX, &request->range.to);
	if (!status && bounds->prefix)
		status = take_bytes(request, bounds->prefix, TH_KEY_MAX, &prefix);
	if (!status && bounds->prefix)
		request->range = th_range_prefix(prefix, request->prefix_end);
	return status;
}

static int take_limit(struct request *request, const char *text)
{
	char *end;

	errno = 0;
	request->limit = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		return th_command_usage(request->command, "%s: not a number", text);
	return TH_EXIT_DONE;
}

/* Returns an exit code. */
static int take_option(struct request *request, struct bounds *bounds, int option)
{
	switch (option) {
	case 'e':
		request->escaped = true;
		break;
	case 'p':
		request->print = true;
		break;
	case OPTION_FROM:
		bounds->from = optarg;
		break;
	case OPTION_TO:
		bounds->to = optarg;
		break;
	case OPTION_PREFIX:
		bounds->prefix = optarg;
		break;
	case OPTION_REVERSE:
		request->reverse = true;
		break;
	case OPTION_LIMIT:
		return take_limit(request, optarg);
	case OPTION_KEYS:
		request->keys_only = true;
		break;
	}
	return TH_EXIT_DONE;
}

/* Parses the arguments of a subcommand that takes from min to max arguments after the image.  Returns an exit code;
 * request->path is NULL if the command ends here. */
static int take_request(struct request *request, int min, int max, int argc, char **argv)
{
	struct bounds bounds = { 0 };
	int option, status = TH_EXIT_DONE;

	while ((option = th_command_option(request->command, argc, argv, &status)) > 0) {
		status = take_option(request, &bounds, option);
		if (status)
			return status;
	}
	if (option < 0)
		return status;
	status = take_bounds(request, &bounds);
	if (status)
		return status;
	if (optind == argc)
		return th_command_usage(request->command, "an image is needed");
	request->count = argc - optind - 1;
	request->arguments = argv + optind + 1;
	if (request->count < min)
		return th_command_usage(request->command, "a key is missing");
	if (request->count > max)
		return th_command_usage(request->command, "%s: one argument too many", request->arguments[max]);
	request->path = argv[optind];
	return TH_EXIT_DONE;
}

/* --- the store --- */

static int close_store(const struct request *request, struct th_store *store, int status)
{
	int err = th_store_close(store);

	return err && !status ? th_error(err, "%s", request->path) : status;
}

/* Opens the image read-only.  Returns an exit code; reports errors. */
static int open_read(const struct request *request, struct th_image_reporter *reporter, struct th_store **ret)
{
	reporter->path = request->path;
	return th_image_open_store(reporter, true, ret) ? TH_EXIT_FAILED : TH_EXIT_DONE;
}

/* Opens the image for writing, if it holds no filesystem.  That is checked first, read-only, because opening for
 * writing changes the image already.  Returns an exit code; reports errors. */
static int open_write(const struct request *request, struct th_image_reporter *reporter, struct th_store **ret)
{
	struct th_store *store;
	int status = open_read(request, reporter, &store), present;

	if (status)
		return status;
	present = th_fs_present(th_view_live(store));
	if (present < 0)
		status = th_error(present, "%s", request->path);
	else if (present)
		status = th_error_line("%s: holds a filesystem; mount it to write to it", request->path);
	status = close_store(request, store, status);
	if (status)
		return status;
	return th_image_open_store(reporter, false, ret) ? TH_EXIT_FAILED : TH_EXIT_DONE;
}

/* Reports an error about a key.  Returns TH_EXIT_FAILED. */
static int report(const struct request *request, struct th_slice key, int err)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (stream)
		th_record_write(stream, key, TH_RECORD_PRINT);
	if (!stream || fclose(stream)) {
		th_error(err, "%s", request->path);
	} else if (err == -ENOENT) {
		th_error_line("%s: there is no key '%s'", request->path, text);
	} else {
		th_error(err, "%s: key '%s'", request->path, text);
	}
	free(text);
	return TH_EXIT_FAILED;
}

/* Commits a transaction, or rolls it back if err is an error.  Returns 0 or -errno. */
static int end_txn(struct th_txn *txn, int err)
{
	if (!err)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return err;
}

/* --- create --- */

static int run_create(const struct th_command *command, int argc, char **argv)
{
	return th_image_format_run(command, th_store_format, argc, argv);
}

/* --- get --- */

static int run_get(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_image_reporter reporter = { 0 };
	struct th_store *store;
	struct th_value value;
	struct th_slice key;
	int err, status = take_request(&request, 1, 1, argc, argv);

	if (status || !request.path)
		return status;
	status = take_bytes(&request, request.arguments[0], TH_KEY_MAX, &key);
	if (!status)
		status = open_read(&request, &reporter, &store);
	if (status)
		return status;
	err = th_get(th_view_live(store), key, &value);
	if (err) {
		status = report(&request, key, err);
	} else {
		fwrite(value.data, 1, value.size, stdout);
		if (isatty(STDOUT_FILENO))
			putchar('\n');
		th_value_release(&value);
	}
	return th_command_finish(close_store(&request, store, status));
}

/* --- put --- */

/* Reads standard input, at most one byte more than a value may have.  Returns 0 or -errno; the caller frees *ret. */
static int read_value(void **ret, size_t *ret_size)
{
	size_t room = TH_VALUE_MAX + 1u;
	char *bytes = malloc(room);

	if (!bytes)
		return -ENOMEM;
	errno = 0;
	*ret_size = fread(bytes, 1, room, stdin);
	if (ferror(stdin)) {
		free(bytes);
		return errno ? -errno : -EIO;
	}
	*ret = bytes;
	return 0;
}

static int put_one(const struct request *request, struct th_slice key, struct th_slice value)
{
	struct th_image_reporter reporter = { 0 };
	struct th_store *store;
	struct th_txn *txn;
	int err, status = open_write(request, &reporter, &store);

	if (status)
		return status;
	err = th_txn_begin(store, &txn);
	if (!err)
		err = end_txn(txn, th_txn_put(txn, key, value));
	if (err)
		status = report(request, key, err);
	return close_store(request, store, status);
}

static int run_put(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_slice key, value;
	void *input = NULL;
	int err, status = take_request(&request, 1, 2, argc, argv);

	if (status || !request.path)
		return status;
	status = take_bytes(&request, request.arguments[0], TH_KEY_MAX, &key);
	if (!status && request.count == 2) {
		status = take_bytes(&request, request.arguments[1], TH_VALUE_MAX, &value);
	} else if (!status) {
		err = read_value(&input, &value.size);
		value.data = input;
		if (err)
			status = th_error(err, "standard input");
		else if (value.size > TH_VALUE_MAX)
			status = th_error_line("standard input: a value has at most %u bytes", TH_VALUE_MAX);
	}
	if (!status)
		status = put_one(&request, key, value);
	free(input);
	return status;
}

/* --- del --- */

/* Deletes the keys in the transaction, or reports which one does not exist.  Returns an exit code. */
static int delete_keys(const struct request *request, struct th_txn *txn)
{
	for (int i = 0; i < request->count; i++) {
		struct th_slice key;
		struct th_value value;
		int err, status = take_bytes(request, request->arguments[i], TH_KEY_MAX, &key);

		if (status)
			return status;
		err = th_txn_get(txn, key, &value);
		if (!err) {
			th_value_release(&value);
			err = th_txn_delete(txn, key);
		}
		if (err)
			return report(request, key, err);
	}
	return TH_EXIT_DONE;
}

static int run_del(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_image_reporter reporter = { 0 };
	struct th_store *store;
	struct th_txn *txn;
	int err, status = take_request(&request, 1, INT32_MAX, argc, argv);

	if (status || !request.path)
		return status;
	status = open_write(&request, &reporter, &store);
	if (status)
		return status;
	err = th_txn_begin(store, &txn);
	if (!err) {
		status = delete_keys(&request, txn);
		err = end_txn(txn, status ? -ECANCELED : 0);
	}
	if (err && !status)
		status = th_error(err, "%s", request.path);
	return close_store(&request, store, status);
}

/* --- range --- */

static int print_range(const struct request *request, struct th_cursor *cursor)
{
	struct th_cursor_entry entry;
	int ret = 0; /* 1: the end */

	if (request->reverse)
		th_cursor_seek_end(cursor);
	for (uint64_t n = 0; n < request->limit; n++) {
		ret = request->reverse ? th_cursor_prev(cursor, &entry) : th_cursor_next(cursor, &entry);
		if (ret)
			break;
		th_record_write(stdout, entry.key, TH_RECORD_PRINT);
		if (!request->keys_only) {
			putchar('\t');
			th_record_write(stdout, entry.value, TH_RECORD_PRINT);
		}
		putchar('\n');
	}
	return ret < 0 ? ret : 0;
}

static int print_dump(const struct request *request, struct th_cursor *cursor)
{
	enum th_record_form form = request->print ? TH_RECORD_PRINT : TH_RECORD_BYTES;
	struct th_cursor_entry entry;
	int ret;

	th_dump_begin(stdout, form);
	while ((ret = th_cursor_next(cursor, &entry)) == 0) {
		putchar(' ');
		th_record_write(stdout, entry.key, form);
		fputs("\n ", stdout);
		th_record_write(stdout, entry.value, form);
		putchar('\n');
	}
	if (ret < 0)
		return ret;
	th_dump_end(stdout);
	return 0;
}

/* Opens the store and prints the range of the request.  Returns an exit code. */
static int walk(const struct request *request, int (*print)(const struct request *request, struct th_cursor *cursor))
{
	struct th_image_reporter reporter = { 0 };
	struct th_cursor *cursor;
	struct th_store *store;
	int err, status = open_read(request, &reporter, &store);

	if (status)
		return status;
	err = th_cursor_open(th_view_live(store), &request->range, &cursor);
	if (!err) {
		err = print(request, cursor);
		th_cursor_close(cursor);
	}
	if (err)
		status = th_error(err, "%s", request->path);
	return th_command_finish(close_store(request, store, status));
}

static int run_range(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command, .limit = UINT64_MAX };
	int status = take_request(&request, 0, 0, argc, argv);

	return status || !request.path ? status : walk(&request, print_range);
}

static int run_dump(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	int status = take_request(&request, 0, 0, argc, argv);

	return status || !request.path ? status : walk(&request, print_dump);
}

/* --- load --- */

/* Puts up to LOAD_BATCH records in one transaction.  Returns 0, 1 at the end of the dump, or -errno; an error of the
 * dump itself is in dump->fault. */
static int load_batch(struct th_store *store, struct th_dump *dump)
{
	struct th_slice key, value;
	struct th_txn *txn;
	int end = 0, err = th_txn_begin(store, &txn);

	if (err)
		return err;
	for (int i = 0; i < LOAD_BATCH && !err && !end; i++) {
		int ret = th_dump_next(dump, &key, &value);

		if (ret == 1) {
			end = 1;
		} else if (ret < 0) {
			err = ret;
		} else {
			err = th_txn_put(txn, key, value);
			if (err == -EINVAL)
				dump->fault = key.size > TH_KEY_MAX ? "a key of more than 1024 bytes"
								    : "a value of more than 16 MiB";
		}
	}
	err = end_txn(txn, err);
	return err ? err : end;
}

/* Reports an error of the dump, of reading it, or of the store.  Returns TH_EXIT_FAILED. */
static int report_load(const struct request *request, const struct th_dump *dump, const char *name, int err)
{
	if (dump->fault)
		return th_error_line("%s: line %lu: %s", name, dump->line, dump->fault);
	if (ferror(dump->stream))
		return th_error(err, "%s", name);
	return th_error(err, "%s: at line %lu of %s", request->path, dump->line, name);
}

static int load(const struct request *request, FILE *stream, const char *name)
{
	struct th_image_reporter reporter = { 0 };
	struct th_store *store = NULL;
	struct th_dump dump;
	int ret = th_dump_open(&dump, stream), status = TH_EXIT_DONE;

	if (!ret)
		status = open_write(request, &reporter, &store);
	while (store && !ret)
		ret = load_batch(store, &dump);
	if (ret < 0)
		status = report_load(request, &dump, name, ret);
	th_dump_release(&dump);
	return store ? close_store(request, store, status) : status;
}

static int run_load(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	int status = take_request(&request, 0, 1, argc, argv);
	FILE *stream;

	if (status || !request.path)
		return status;
	if (!request.count)
		return load(&request, stdin, "standard input");
	stream = fopen(request.arguments[0], "re");
	if (!stream)
		return th_error(errno, "%s", request.arguments[0]);
	status = load(&request, stream, request.arguments[0]);
	fclose(stream);
	return status;
}

/* --- stat --- */

struct count {
	uint64_t records, key_bytes, value_bytes;
};

static int count_records(struct th_store *store, struct count *count)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int ret = th_cursor_open(th_view_live(store), NULL, &cursor);

	if (ret)
		return ret;
	while ((ret = th_cursor_next(cursor, &entry)) == 0) {
		count->records++;
		count->key_bytes += entry.key.size;
		count->value_bytes += entry.value.size;
	}
	th_cursor_close(cursor);
	return ret < 0 ? ret : 0;
}

static void print_size(const char *label, uint64_t bytes)
{
	char text[TH_SIZE_TEXT];

	printf("%-25s %s\n", label, th_size_format(bytes, text));
}

static void print_count(const char *label, uint64_t count)
{
	printf("%-25s %" PRIu64 "\n", label, count);
}

static void print_stat(const struct th_store_info *info, const struct count *count, bool filesystem)
{
	printf("%-25s ", "label");
	th_name_print(stdout, info->label);
	printf("\n%-25s %s\n", "holds", filesystem ? "a filesystem" : "keys and values");
	print_count("records", count->records);
	print_size("their keys", count->key_bytes);
	print_size("their values", count->value_bytes);
	print_count("height of the tree", info->height);
	print_count("snapshots", info->snapshots);
	print_count("generation", info->generation);
	print_size("size", info->blocks * info->block_size);
	print_size("free", info->blocks_free * info->block_size);
}

static int run_stat(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_image_reporter reporter = { 0 };
	struct th_store_info info;
	struct count count = { 0 };
	struct th_store *store;
	int err, present, status = take_request(&request, 0, 0, argc, argv);

	if (status || !request.path)
		return status;
	status = open_read(&request, &reporter, &store);
	if (status)
		return status;
	th_store_info(store, &info);
	present = th_fs_present(th_view_live(store));
	err = present < 0 ? present : count_records(store, &count);
	if (err)
		status = th_error(err, "%s", request.path);
	else
		print_stat(&info, &count, present);
	return th_command_finish(close_store(&request, store, status));
}

/* --- the command --- */

static const struct th_command verbs[] = {
	{
		.name = "kv create",
		.arguments = TH_IMAGE_FORMAT_ARGUMENTS,
		.summary = "make an empty store in a file or on a block device",
		.options = th_image_format_options,
		.run = run_create,
	},
	{
		.name = "kv get",
		.arguments = "[-e] IMAGE KEY",
		.summary = "print the value of a key",
		.options = key_options,
		.run = run_get,
	},
	{
		.name = "kv put",
		.arguments = "[-e] IMAGE KEY [VALUE]",
		.summary = "set the value of a key; without VALUE it is read from standard input",
		.options = key_options,
		.run = run_put,
	},
	{
		.name = "kv del",
		.arguments = "[-e] IMAGE KEY...",
		.summary = "delete keys; none of them if one does not exist",
		.options = key_options,
		.run = run_del,
	},
	{
		.name = "kv range",
		.arguments = "[-e] [--from KEY] [--to KEY] [--prefix PREFIX] [--reverse] [--limit N] [--keys] IMAGE",
		.summary = "print keys and values in order, one pair on each line with a tab between",
		.options = range_options,
		.run = run_range,
	},
	{
		.name = "kv load",
		.arguments = "IMAGE [FILE]",
		.summary = "put the records of a dump, from a file or standard input",
		.run = run_load,
	},
	{
		.name = "kv dump",
		.arguments = "[-p] [-e] [--from KEY] [--to KEY] [--prefix PREFIX] IMAGE",
		.summary = "print a dump, as db_dump(1) and mdb_dump(1) do",
		.options = dump_options,
		.run = run_dump,
	},
	{
		.name = "kv stat",
		.arguments = "IMAGE",
		.summary = "count the records of the store",
		.run = run_stat,
	},
	{ 0 },
};

const struct th_command th_cmd_kv = {
	.name = "kv",
	.arguments = "create|get|put|del|range|load|dump|stat ...",
	.summary = "use the store directly, for keys and values instead of files",
	.notes = "The image must not be mounted.  One that holds a filesystem can be read, but not written to.\n",
	.verbs = verbs,
	.run = th_command_run_verb,
};
