/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"

/* Bytes of the longest lines: a blank, and each byte as a backslash with two digits. */
#define LINE_MAX_KEY (1 + 3 * (size_t)TH_KEY_MAX)
#define LINE_MAX_VALUE (1 + 3 * (size_t)TH_VALUE_MAX)

void th_dump_begin(FILE *stream, enum th_record_form form)
{
	fprintf(stream, "VERSION=3\nformat=%s\ntype=btree\nHEADER=END\n",
		form == TH_RECORD_PRINT ? "print" : "bytevalue");
}

void th_dump_end(FILE *stream)
{
	fputs("DATA=END\n", stream);
}

static int fault(struct th_dump *dump, const char *what)
{
	dump->fault = what;
	return -EINVAL;
}

/* Reads a line of at most `most` bytes, without its newline but with a NUL after it.  A file without newlines must not
 * fill the memory.  Returns 0 or -errno. */
static int read_line(struct th_dump *dump, size_t most, char **line, size_t *room, size_t *ret_size)
{
	size_t size = 0;
	int c;

	errno = 0;
	dump->line++;
	while ((c = getc_unlocked(dump->stream)) != EOF && c != '\n') {
		if (size == most)
			return fault(dump, "longer than any record");
		if (th_grow(*line, *room, size + 2))
			return -ENOMEM;
		(*line)[size++] = (char)c;
	}
	if (ferror(dump->stream))
		return errno ? -errno : -EIO;
	if (c == EOF && !size)
		return fault(dump, "the dump ends too early");
	if (th_grow(*line, *room, size + 1))
		return -ENOMEM;
	(*line)[size] = 0;
	*ret_size = size;
	return 0;
}

/* Takes a line of the header.  Other lines are about the store that the dump came from.  Returns 0 or -EINVAL. */
static int take_header(struct th_dump *dump, const char *line)
{
	if (!strncmp(line, "VERSION=", 8) && strcmp(line, "VERSION=3"))
		return fault(dump, "not version 3 of the format");
	if (!strcmp(line, "format=print"))
		dump->form = TH_RECORD_PRINT;
	else if (!strncmp(line, "format=", 7) && strcmp(line, "format=bytevalue"))
		return fault(dump, "neither of the formats print and bytevalue");
	if (!strncmp(line, "type=", 5) && strcmp(line, "type=btree") && strcmp(line, "type=hash"))
		return fault(dump, "neither of the types btree and hash");
	if (!strcmp(line, "keys=0"))
		return fault(dump, "a dump without keys");
	if (!strcmp(line, "duplicates=1") || !strcmp(line, "dupsort=1"))
		return fault(dump, "a dump where one key may have several values");
	return strchr(line, '=') ? 0 : fault(dump, "no header line");
}

int th_dump_open(struct th_dump *dump, FILE *stream)
{
	size_t size;
	int err;

	*dump = (struct th_dump){ .stream = stream, .form = TH_RECORD_BYTES };
	err = read_line(dump, LINE_MAX_KEY, &dump->key, &dump->key_room, &size);
	if (!err && strncmp(dump->key, "VERSION=", 8))
		err = fault(dump, "not the header of a dump (VERSION=3)");
	while (!err && strcmp(dump->key, "HEADER=END")) {
		err = take_header(dump, dump->key);
		if (!err)
			err = read_line(dump, LINE_MAX_KEY, &dump->key, &dump->key_room, &size);
	}
	return err;
}

/* Reads a key or a value.  Returns 0, 1 at the end of the dump, or -errno. */
static int read_bytes(struct th_dump *dump, size_t most, char **line, size_t *room, struct th_slice *ret)
{
	size_t size;
	int err = read_line(dump, most, line, room, &size);

	if (err)
		return err;
	if (!strcmp(*line, "DATA=END"))
		return 1;
	if (**line != ' ')
		return fault(dump, "does not begin with a blank");
	size--;
	if (th_record_parse(*line + 1, &size, dump->form) < 0)
		return fault(dump, dump->form == TH_RECORD_PRINT ? "a backslash without two digits"
								 : "not pairs of hexadecimal digits");
	*ret = (struct th_slice){ *line + 1, size };
	return 0;
}

/* Returns 1 if nothing follows the dump. */
static int check_end(struct th_dump *dump)
{
	if (getc(dump->stream) == EOF)
		return ferror(dump->stream) ? -EIO : 1;
	dump->line++;
	return fault(dump, "a second dump");
}

int th_dump_next(struct th_dump *dump, struct th_slice *ret_key, struct th_slice *ret_value)
{
	int ret = read_bytes(dump, LINE_MAX_KEY, &dump->key, &dump->key_room, ret_key);

	if (ret == 1)
		return check_end(dump);
	if (!ret)
		ret = read_bytes(dump, LINE_MAX_VALUE, &dump->value, &dump->value_room, ret_value);
	return ret == 1 ? fault(dump, "a key without a value") : ret;
}

void th_dump_release(struct th_dump *dump)
{
	free(dump->key);
	free(dump->value);
}
