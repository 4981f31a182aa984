/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static void write_byte(FILE *stream, unsigned char byte, enum th_record_form form)
{
	if (form == TH_RECORD_PRINT && byte >= ' ' && byte < 0x7f) {
		if (byte == '\\')
			putc_unlocked('\\', stream);
		putc_unlocked(byte, stream);
		return;
	}
	if (form == TH_RECORD_PRINT)
		putc_unlocked('\\', stream);
	putc_unlocked(digits[byte >> 4], stream);
	putc_unlocked(digits[byte & 15], stream);
}

void th_record_write(FILE *stream, struct th_slice bytes, enum th_record_form form)
{
	const unsigned char *at = bytes.data;

	for (size_t i = 0; i < bytes.size; i++)
		write_byte(stream, at[i], form);
}

static int digit_value(char c)
{
	const char *found;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	found = c ? strchr(digits, c) : NULL;
	return found ? (int)(found - digits) : -1;
}

/* Two digits; -1 if these are none. */
static int byte_value(const char *text, size_t size)
{
	int high = size >= 2 ? digit_value(text[0]) : -1, low = size >= 2 ? digit_value(text[1]) : -1;

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int th_record_parse(char *text, size_t *size, enum th_record_form form)
{
	size_t in = 0, out = 0;

	while (in < *size) {
		int byte;

		if (form == TH_RECORD_PRINT && text[in] != '\\') {
			text[out++] = text[in++];
			continue;
		}
		if (form == TH_RECORD_PRINT && ++in < *size && text[in] == '\\') {
			text[out++] = text[in++];
			continue;
		}
		byte = byte_value(text + in, *size - in);
		if (byte < 0)
			return -EINVAL;
		text[out++] = (char)byte;
		in += 2;
	}
	*size = out;
	return 0;
}

/* --- whole dumps --- */

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

/* Reads a line without its newline. */
static int read_line(struct th_dump *dump, char **line, size_t *room, size_t *ret_size)
{
	ssize_t size;

	errno = 0;
	size = getline(line, room, dump->stream);
	if (size < 0 && !feof(dump->stream))
		return errno ? -errno : -EIO;
	dump->line++;
	if (size < 0)
		return fault(dump, "the dump ends too early");
	if (size > 0 && (*line)[size - 1] == '\n')
		(*line)[--size] = 0;
	*ret_size = (size_t)size;
	return 0;
}

/* What else a header says concerns the store that it came from. */
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
	err = read_line(dump, &dump->key, &dump->key_room, &size);
	if (err == 0 && strncmp(dump->key, "VERSION=", 8))
		err = fault(dump, "not the header of a dump (VERSION=3)");
	while (err == 0 && strcmp(dump->key, "HEADER=END")) {
		err = take_header(dump, dump->key);
		if (err == 0)
			err = read_line(dump, &dump->key, &dump->key_room, &size);
	}
	return err;
}

static int read_bytes(struct th_dump *dump, char **line, size_t *room, struct th_slice *ret)
{
	size_t size;
	int err = read_line(dump, line, room, &size);

	if (err < 0)
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

int th_dump_next(struct th_dump *dump, struct th_slice *ret_key, struct th_slice *ret_value)
{
	int err = read_bytes(dump, &dump->key, &dump->key_room, ret_key);

	if (err == 1) {
		int more = getc(dump->stream);

		return more == EOF ? ferror(dump->stream) ? -EIO : 1 : (dump->line++, fault(dump, "a second dump"));
	}
	if (err == 0) {
		err = read_bytes(dump, &dump->value, &dump->value_room, ret_value);
		if (err == 1)
			err = fault(dump, "a key without a value");
	}
	return err;
}

void th_dump_release(struct th_dump *dump)
{
	free(dump->key);
	free(dump->value);
}
