/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/name_print.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/base/printable.h"

static void print_byte_escaped(FILE *stream, char byte)
{
	char escaped[TH_ESCAPE_SIZE + 1];

	th_escape_byte((unsigned char)byte, escaped);
	fputs(escaped, stream);
}

/* --- one word --- */

static void print_word(FILE *stream, const char *name)
{
	while (*name) {
		unsigned length = *name == ' ' || *name == '\\' ? 0 : th_printable_length(name);

		if (length)
			fwrite(name, 1, length, stream);
		else
			print_byte_escaped(stream, *name);
		name += length ? length : 1;
	}
}

/* --- quoted for a shell --- */

/* Does a shell read the name as one word that is the name itself?  All of it is printable. */
static bool is_plain(const char *name)
{
	if (!*name || strchr("~#=", *name))
		return false;
	for (; *name; name++) {
		if ((signed char)*name >= 0 && !isalnum(*name) && !strchr("_-./,:=@%+~#", *name))
			return false;
	}
	return true;
}

static void print_quoted(FILE *stream, const char *name)
{
	putc('\'', stream);
	for (; *name; name++) {
		if (*name == '\'')
			fputs("'\\''", stream);
		else
			putc(*name, stream);
	}
	putc('\'', stream);
}

/* Prints the form $'...' of bash, ksh and zsh, which has escapes. */
static void print_escaped(FILE *stream, const char *name)
{
	fputs("$'", stream);
	while (*name) {
		unsigned length = th_printable_length(name);

		if (*name == '\'' || *name == '\\')
			putc('\\', stream);
		if (length)
			fwrite(name, 1, length, stream);
		else
			fprintf(stream, "\\%03o", (unsigned char)*name);
		name += length ? length : 1;
	}
	putc('\'', stream);
}

static void print_shell(FILE *stream, const char *name)
{
	if (!th_is_printable(name))
		print_escaped(stream, name);
	else if (is_plain(name))
		fputs(name, stream);
	else
		print_quoted(stream, name);
}

/* --- the form of a stream --- */

void th_name_print_as(FILE *stream, const char *name, enum th_name_form form)
{
	if (form == TH_NAME_SHELL)
		print_shell(stream, name);
	else
		print_word(stream, name);
}

static bool is_terminal(FILE *stream)
{
	static int output = -1; /* standard output, asked once */

	if (stream != stdout)
		return isatty(fileno(stream));
	if (output < 0)
		output = isatty(STDOUT_FILENO);
	return output;
}

void th_name_print(FILE *stream, const char *name)
{
	th_name_print_as(stream, name, is_terminal(stream) ? TH_NAME_SHELL : TH_NAME_WORD);
}

/* --- JSON --- */

static bool is_utf8(const char *name)
{
	uint32_t code;
	unsigned length;

	while ((length = th_utf8_length(name, &code)))
		name += length;
	return !*name;
}

/* Adds a value, which is NULL if it could not be allocated.  Returns 0 or -ENOMEM. */
static int add(struct json_object *object, const char *key, struct json_object *value)
{
	if (value && !json_object_object_add(object, key, value))
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

int th_name_to_json(struct json_object *object, const char *key, const char *name)
{
	char *escaped = NULL, *flag = NULL;
	size_t size;
	FILE *stream;
	int err;

	if (is_utf8(name))
		return add(object, key, json_object_new_string(name));
	stream = open_memstream(&escaped, &size);
	if (!stream)
		return -ENOMEM;
	print_word(stream, name);
	err = fclose(stream) || asprintf(&flag, "%s_escaped", key) < 0 ? -ENOMEM : 0;
	if (!err)
		err = add(object, key, json_object_new_string(escaped));
	if (!err)
		err = add(object, flag, json_object_new_boolean(1));
	free(flag);
	free(escaped);
	return err;
}

/* Prints a character as JSON escapes it: in UTF-16. */
static void print_unicode(FILE *stream, uint32_t code)
{
	if (code < 0x10000)
		fprintf(stream, "\\u%04x", code);
	else
		fprintf(stream, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff));
}

/* json-c escapes C0 control characters; others occur in strings only, too. */
void th_json_print(FILE *stream, struct json_object *object, int flags)
{
	const char *text = json_object_to_json_string_ext(object, flags | JSON_C_TO_STRING_NOSLASHESCAPE);
	uint32_t code;
	unsigned length;

	for (; (length = th_utf8_length(text, &code)); text += length) {
		if (th_printable_length(text) || code == '\n')
			fwrite(text, 1, length, stream);
		else
			print_unicode(stream, code);
	}
	putc('\n', stream);
}
