/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store by itself, without files: keys and values in an image, for the shell.
 *
 * An image that holds a filesystem may be looked at, but not written to: what the filesystem keeps in memory and what
 * lies off-tree would no longer fit its keys.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/make.h"
#include "tools/name.h"
#include "tools/record.h"
#include "tools/size.h"

/* Records of a load that are merged at once. */
#define LOAD_BATCH 1000

struct request {
	const struct th_command *command;
	const char *path;
	int count;
	char **arguments; /* behind the image */
	bool escaped, print, reverse, keys_only;
	uint64_t limit;
	struct th_range range;
	uint8_t prefix_end[TH_KEY_MAX];
};

/* --- arguments --- */

enum { OPTION_FROM = 256, OPTION_TO, OPTION_PREFIX, OPTION_REVERSE, OPTION_LIMIT, OPTION_KEYS };

#define OPTIONS_ALL                                                                                                    \
	{ "escaped", no_argument, NULL, 'e' },                                                                         \
	{                                                                                                              \
		"help", no_argument, NULL, 'h'                                                                         \
	}
#define OPTIONS_RANGE                                                                                                  \
	{ "from", required_argument, NULL, OPTION_FROM }, { "to", required_argument, NULL, OPTION_TO },                \
	{                                                                                                              \
		"prefix", required_argument, NULL, OPTION_PREFIX                                                       \
	}

static const struct option plain_options[] = { OPTIONS_ALL, { 0 } };
static const struct option range_options[] = { OPTIONS_ALL,
					       OPTIONS_RANGE,
					       { "reverse", no_argument, NULL, OPTION_REVERSE },
					       { "limit", required_argument, NULL, OPTION_LIMIT },
					       { "keys", no_argument, NULL, OPTION_KEYS },
					       { 0 } };
static const struct option dump_options[] = { OPTIONS_ALL, OPTIONS_RANGE, { "print", no_argument, NULL, 'p' }, { 0 } };

/* An argument's bytes: as it stands or, with --escaped, as it is printed.  Answers an exit code. */
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

/* Answers TH_EXIT_DONE and a request with a path, or without one where all is done. */
static int take_options(struct request *request, const struct option *options, int argc, char **argv)
{
	struct bounds bounds = { 0 };
	int option, status = TH_EXIT_DONE;

	while (!status &&
	       (option = getopt_long(argc, argv, options == dump_options ? ":ehp" : ":eh", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			request->escaped = true;
			break;
		case 'p':
			request->print = true;
			break;
		case 'h':
			return th_command_help(request->command);
		case OPTION_FROM:
			bounds.from = optarg;
			break;
		case OPTION_TO:
			bounds.to = optarg;
			break;
		case OPTION_PREFIX:
			bounds.prefix = optarg;
			break;
		case OPTION_REVERSE:
			request->reverse = true;
			break;
		case OPTION_LIMIT:
			status = take_limit(request, optarg);
			break;
		case OPTION_KEYS:
			request->keys_only = true;
			break;
		default:
			return th_command_bad_option(request->command, option, argv);
		}
	}
	if (!status)
		status = take_bounds(request, &bounds);
	if (!status && optind == argc)
		status = th_command_usage(request->command, "an image is needed");
	if (status)
		return status;
	request->path = argv[optind];
	request->count = argc - optind - 1;
	request->arguments = argv + optind + 1;
	return TH_EXIT_DONE;
}

/* Parses what a verb was given, which takes so many arguments behind the image. */
static int take_request(struct request *request, const struct option *options, int min, int max, int argc, char **argv)
{
	int status = take_options(request, options, argc, argv);

	if (status || !request->path)
		return status;
	if (request->count < min)
		return th_command_usage(request->command, "a key is missing");
	if (request->count > max)
		return th_command_usage(request->command, "%s: one argument too many", request->arguments[max]);
	return TH_EXIT_DONE;
}

/* --- the store --- */

static int close_store(const struct request *request, struct th_store *store, int status)
{
	int err = th_store_close(store);

	return err && !status ? th_error(err, "%s", request->path) : status;
}

/* Opens the image to look at it.  Says what goes wrong; answers an exit code. */
static int open_read(const struct request *request, struct th_image_voice *voice, struct th_store **ret)
{
	voice->path = request->path;
	return th_image_open_store(voice, true, ret) ? TH_EXIT_FAILED : TH_EXIT_DONE;
}

/* Opens it to write, if it holds no filesystem.  That is looked at first: opening for writing changes it already. */
static int open_write(const struct request *request, struct th_image_voice *voice, struct th_store **ret)
{
	struct th_store *store;
	int status = open_read(request, voice, &store), present;

	if (status)
		return status;
	present = th_fs_present(th_view_live(store));
	if (present < 0)
		status = th_error(present, "%s", request->path);
	else if (present)
		status = th_error_line("%s: holds a filesystem, which is written to by mounting it", request->path);
	status = close_store(request, store, status);
	if (status)
		return status;
	return th_image_open_store(voice, false, ret) ? TH_EXIT_FAILED : TH_EXIT_DONE;
}

/* Says that of a key something cannot be done.  Answers TH_EXIT_FAILED. */
static int say(const struct request *request, struct th_slice key, int result)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (stream)
		th_record_write(stream, key, TH_RECORD_PRINT);
	if (!stream || fclose(stream)) {
		th_error(result, "%s", request->path);
	} else if (result == -ENOENT) {
		th_error_line("%s: there is no key '%s'", request->path, text);
	} else {
		th_error(result, "%s: key '%s'", request->path, text);
	}
	free(text);
	return TH_EXIT_FAILED;
}

/* Ends a transaction, merged if nothing went wrong so far (result). */
static int end_txn(struct th_txn *txn, int result)
{
	if (!result)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return result;
}

/* --- create --- */

static int run_create(const struct th_command *command, int argc, char **argv)
{
	return th_make_run(command, th_store_format, argc, argv);
}

/* --- get --- */

static int run_get(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_image_voice voice = { 0 };
	struct th_store *store;
	struct th_value value;
	struct th_slice key;
	int err, status = take_request(&request, plain_options, 1, 1, argc, argv);

	if (status || !request.path)
		return status;
	status = take_bytes(&request, request.arguments[0], TH_KEY_MAX, &key);
	if (!status)
		status = open_read(&request, &voice, &store);
	if (status)
		return status;
	err = th_get(th_view_live(store), key, &value);
	if (err) {
		status = say(&request, key, err);
	} else {
		fwrite(value.data, 1, value.size, stdout);
		if (isatty(STDOUT_FILENO))
			putchar('\n');
		th_value_release(&value);
	}
	return th_command_finish(close_store(&request, store, status));
}

/* --- put --- */

/* All of standard input, at most one byte more than a value may have. */
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
	struct th_image_voice voice = { 0 };
	struct th_store *store;
	struct th_txn *txn;
	int err, status = open_write(request, &voice, &store);

	if (status)
		return status;
	err = th_txn_begin(store, &txn);
	if (!err)
		err = end_txn(txn, th_txn_put(txn, key, value));
	if (err)
		status = say(request, key, err);
	return close_store(request, store, status);
}

static int run_put(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_slice key, value;
	void *input = NULL;
	int err, status = take_request(&request, plain_options, 1, 2, argc, argv);

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

/* Stages the deletion of every key, or says which one is not there. */
static int stage_deletes(const struct request *request, struct th_txn *txn, int *ret_result)
{
	for (int i = 0; i < request->count; i++) {
		struct th_slice key;
		struct th_value value;
		int status = take_bytes(request, request->arguments[i], TH_KEY_MAX, &key);

		if (status)
			return status;
		*ret_result = th_txn_get(txn, key, &value);
		if (!*ret_result) {
			th_value_release(&value);
			*ret_result = th_txn_delete(txn, key);
		}
		if (*ret_result)
			return say(request, key, *ret_result);
	}
	return TH_EXIT_DONE;
}

static int run_del(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	struct th_image_voice voice = { 0 };
	struct th_store *store;
	struct th_txn *txn;
	int err = 0, status = take_request(&request, plain_options, 1, INT32_MAX, argc, argv);

	if (status || !request.path)
		return status;
	status = open_write(&request, &voice, &store);
	if (status)
		return status;
	err = th_txn_begin(store, &txn);
	if (!err) {
		status = stage_deletes(&request, txn, &err);
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
	int err = 0;

	if (request->reverse)
		th_cursor_seek_end(cursor);
	for (uint64_t n = 0; n < request->limit; n++) {
		err = request->reverse ? th_cursor_prev(cursor, &entry) : th_cursor_next(cursor, &entry);
		if (err)
			break;
		th_record_write(stdout, entry.key, TH_RECORD_PRINT);
		if (!request->keys_only) {
			putchar('\t');
			th_record_write(stdout, entry.value, TH_RECORD_PRINT);
		}
		putchar('\n');
	}
	return err < 0 ? err : 0;
}

static int print_dump(const struct request *request, struct th_cursor *cursor)
{
	enum th_record_form form = request->print ? TH_RECORD_PRINT : TH_RECORD_BYTES;
	struct th_cursor_entry entry;
	int err;

	th_dump_begin(stdout, form);
	while ((err = th_cursor_next(cursor, &entry)) == 0) {
		putchar(' ');
		th_record_write(stdout, entry.key, form);
		fputs("\n ", stdout);
		th_record_write(stdout, entry.value, form);
		putchar('\n');
	}
	if (err < 0)
		return err;
	th_dump_end(stdout);
	return 0;
}

/* Opens the store and walks through the request's range. */
static int walk(const struct request *request, int (*print)(const struct request *request, struct th_cursor *cursor))
{
	struct th_image_voice voice = { 0 };
	struct th_cursor *cursor;
	struct th_store *store;
	int err, status = open_read(request, &voice, &store);

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
	int status = take_request(&request, range_options, 0, 0, argc, argv);

	return status || !request.path ? status : walk(&request, print_range);
}

static int run_dump(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	int status = take_request(&request, dump_options, 0, 0, argc, argv);

	return status || !request.path ? status : walk(&request, print_dump);
}

/* --- load --- */

/* Puts up to LOAD_BATCH records.  1 at the end of the dump; what is wrong with the dump is in dump->fault. */
static int load_batch(struct th_store *store, struct th_dump *dump)
{
	struct th_slice key, value;
	struct th_txn *txn;
	int end = 0, err = th_txn_begin(store, &txn);

	if (err)
		return err;
	for (int i = 0; i < LOAD_BATCH && !err && !end; i++) {
		err = th_dump_next(dump, &key, &value);
		if (err == 1) {
			end = 1;
			err = 0;
		} else if (!err) {
			err = th_txn_put(txn, key, value);
			if (err == -EINVAL)
				dump->fault = key.size > TH_KEY_MAX ? "a key of more than 1024 bytes"
								    : "a value of more than 16 MiB";
		}
	}
	err = end_txn(txn, err);
	return err ? err : end;
}

/* Something is wrong with the dump, with reading it, or with the store. */
static int say_of_load(const struct request *request, const struct th_dump *dump, const char *name, int result)
{
	if (dump->fault)
		return th_error_line("%s: line %lu: %s", name, dump->line, dump->fault);
	if (ferror(dump->stream))
		return th_error(result, "%s", name);
	return th_error(result, "%s: at line %lu of %s", request->path, dump->line, name);
}

static int load(const struct request *request, FILE *stream, const char *name)
{
	struct th_image_voice voice = { 0 };
	struct th_store *store = NULL;
	struct th_dump dump;
	int err = th_dump_open(&dump, stream), status = TH_EXIT_DONE;

	if (!err)
		status = open_write(request, &voice, &store);
	while (store && !err)
		err = load_batch(store, &dump);
	if (err < 0)
		status = say_of_load(request, &dump, name, err);
	th_dump_release(&dump);
	return store ? close_store(request, store, status) : status;
}

static int run_load(const struct th_command *command, int argc, char **argv)
{
	struct request request = { .command = command };
	int status = take_request(&request, plain_options, 0, 1, argc, argv);
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

static int count_records(struct th_store *store, struct count *ret)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int err = th_cursor_open(th_view_live(store), NULL, &cursor);

	if (err)
		return err;
	while ((err = th_cursor_next(cursor, &entry)) == 0) {
		ret->records++;
		ret->key_bytes += entry.key.size;
		ret->value_bytes += entry.value.size;
	}
	th_cursor_close(cursor);
	return err < 0 ? err : 0;
}

static void print_size(const char *title, uint64_t bytes)
{
	char text[TH_SIZE_TEXT];

	printf("%-25s %s\n", title, th_size_format(bytes, text));
}

static void print_count(const char *title, uint64_t count)
{
	printf("%-25s %" PRIu64 "\n", title, count);
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
	struct th_image_voice voice = { 0 };
	struct th_store_info info;
	struct count count = { 0 };
	struct th_store *store;
	int err, present, status = take_request(&request, plain_options, 0, 0, argc, argv);

	if (status || !request.path)
		return status;
	status = open_read(&request, &voice, &store);
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

#define HELP_ESCAPED "  -e, --escaped     a backslash and two hexadecimal digits in an argument are one byte\n"
#define HELP_RANGE                                                                                                     \
	"  --from KEY        from this key on\n"                                                                       \
	"  --to KEY          up to the last key before this one\n"                                                     \
	"  --prefix PREFIX   only keys that begin so\n"

static const struct th_command verbs[] = {
	{
		.name = "kv create",
		.arguments = TH_MAKE_ARGUMENTS,
		.summary = "make an empty store in a file or on a block device",
		.help = TH_MAKE_HELP,
		.run = run_create,
	},
	{
		.name = "kv get",
		.arguments = "[-e] IMAGE KEY",
		.summary = "print a key's value",
		.help = HELP_ESCAPED,
		.run = run_get,
	},
	{
		.name = "kv put",
		.arguments = "[-e] IMAGE KEY [VALUE]",
		.summary = "give a key a value, from standard input if it is left out",
		.help = HELP_ESCAPED,
		.run = run_put,
	},
	{
		.name = "kv del",
		.arguments = "[-e] IMAGE KEY...",
		.summary = "delete keys, if they are all there",
		.help = HELP_ESCAPED,
		.run = run_del,
	},
	{
		.name = "kv range",
		.arguments = "[-e] [--from KEY] [--to KEY] [--prefix PREFIX] [--reverse] [--limit N] [--keys] IMAGE",
		.summary = "print keys and values in order, a line each with a tab between",
		.help = HELP_ESCAPED HELP_RANGE "  --reverse         the last first\n"
						"  --limit N         at most so many\n"
						"  --keys            without the values\n",
		.run = run_range,
	},
	{
		.name = "kv load",
		.arguments = "IMAGE [FILE]",
		.summary = "put what a dump holds, from standard input or a file",
		.run = run_load,
	},
	{
		.name = "kv dump",
		.arguments = "[-p] [-e] [--from KEY] [--to KEY] [--prefix PREFIX] IMAGE",
		.summary = "print a dump, as db_dump(1) and mdb_dump(1) do",
		.help = "  -p, --print       printable characters as they are, not as digits\n" HELP_ESCAPED HELP_RANGE,
		.run = run_dump,
	},
	{
		.name = "kv stat",
		.arguments = "IMAGE",
		.summary = "count what the store holds",
		.run = run_stat,
	},
};

static int run(const struct th_command *command, int argc, char **argv)
{
	size_t name = sizeof("kv ") - 1;

	if (argc < 2)
		return th_command_usage(command, "create, get, put, del, range, load, dump or stat?");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return th_command_help(command);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(argv[1], verbs[i].name + name))
			return verbs[i].run(&verbs[i], argc - 1, argv + 1);
	}
	return th_command_usage(command, "%s: %s", argv[1],
				argv[1][0] == '-' ? "no such option"
						  : "not one of create, get, put, del, range, load, dump, stat");
}

const struct th_command th_cmd_kv = {
	.name = "kv",
	.arguments = "create|get|put|del|range|load|dump|stat ...",
	.summary = "use the store by itself, for keys and values instead of files",
	.help = "  create [--size SIZE] IMAGE   make an empty store\n"
		"  get IMAGE KEY                print a value\n"
		"  put IMAGE KEY [VALUE]        give a key a value (from standard input)\n"
		"  del IMAGE KEY...             delete keys\n"
		"  range IMAGE                  print keys and values in order\n"
		"  load IMAGE [FILE]            put what a dump holds\n"
		"  dump IMAGE                   print a dump\n"
		"  stat IMAGE                   count what it holds\n\n"
		"The image must not be mounted.  One that holds a filesystem is only read.\n"
		"thunderhead kv get --help tells the options of get, and so on.\n",
	.run = run,
};
