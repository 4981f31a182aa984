/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as text: bytes in a line, and whole dumps of keys and values.
 *
 * A dump is in the format of db_dump(1) and mdb_dump(1), so that records move between these stores: a header, then for
 * each record a line with the key and one with the value, each behind a blank.
 *
 *	VERSION=3
 *	format=print
 *	type=btree
 *	HEADER=END
 *	 key
 *	 value
 *	DATA=END
 *
 * In the format `bytevalue` a byte is two hexadecimal digits; in `print` it is itself if it is printable ASCII, a
 * backslash is two, and any other byte a backslash and two digits.
 */
#ifndef TH_TOOLS_RECORD_H
#define TH_TOOLS_RECORD_H

#include <stdio.h>

#include "tree/thunderhead.h"

enum th_record_form { TH_RECORD_BYTES, TH_RECORD_PRINT };

void th_record_write(FILE *stream, struct th_slice bytes, enum th_record_form form);
/* Turns the text of one key or value into its bytes, in place; *size becomes their number.  -EINVAL. */
int th_record_parse(char *text, size_t *size, enum th_record_form form);

/* A dump being written: the header, records, the end. */
void th_dump_begin(FILE *stream, enum th_record_form form);
void th_dump_end(FILE *stream);

/* A dump being read. */
struct th_dump {
	FILE *stream;
	enum th_record_form form;
	unsigned long line; /* number of the one read last */
	const char *fault; /* what is wrong with it, where something is */
	char *key, *value; /* private */
	size_t key_room, value_room;
};
/* Reads the header.  -EINVAL: it is none, or not of keys with values (*fault); or -errno of reading. */
int th_dump_open(struct th_dump *dump, FILE *stream);
/* The next record, lent until the next call.  1 at the end; errors as above. */
int th_dump_next(struct th_dump *dump, struct th_slice *ret_key, struct th_slice *ret_value);
void th_dump_release(struct th_dump *dump);

#endif
