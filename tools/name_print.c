/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/name_print.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

void th_name_print(FILE *stream, const char *name)
{
	for (; *name; name++) {
		unsigned char byte = (unsigned char)*name;

		if (byte > ' ' && byte < 0x7f && byte != '\\')
			putc(byte, stream);
		else
			fprintf(stream, "\\%04o", byte);
	}
}

/* Returns the size of the UTF-8 sequence that begins here, in bytes; 0 if none does.  Overlong forms and surrogates do not
 * count. */
static unsigned utf8_length(const unsigned char *text)
{
	static const struct {
		unsigned char first, last, second_min, second_max, length;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (forms[i].length > 1 && (text[1] < forms[i].second_min || text[1] > forms[i].second_max))
			return 0;
		for (unsigned n = 2; n < forms[i].length; n++) {
			if ((text[n] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

static bool is_utf8(const char *name)
{
	const unsigned char *at = (const unsigned char *)name;

	while (*at) {
		unsigned length = utf8_length(at);

		if (!length)
			return false;
		at += length;
	}
	return true;
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
	th_name_print(stream, name);
	err = fclose(stream) || asprintf(&flag, "%s_escaped", key) < 0 ? -ENOMEM : 0;
	if (!err)
		err = add(object, key, json_object_new_string(escaped));
	if (!err)
		err = add(object, flag, json_object_new_boolean(1));
	free(flag);
	free(escaped);
	return err;
}
