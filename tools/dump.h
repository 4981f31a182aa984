/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dumps of keys and values, in the format of db_dump(1) and mdb_dump(1), so that records can be moved between these
 * stores and this one.  A header is followed by two lines for each record, its key and its value, each after a blank:
 *
 *	VERSION=3
 *	format=print
 *	type=btree
 *	HEADER=END
 *	 key
 *	 value
 *	DATA=END
 *
 * The format is `print` or `bytevalue`, the two forms of record.h.
 */
#ifndef TH_TOOLS_DUMP_H
#define TH_TOOLS_DUMP_H

#include <stdio.h>

#include "tools/record.h"

/* Write the header and the end of a dump; the caller writes the records in between. */
void th_dump_begin(FILE *stream, enum th_record_form form);
void th_dump_end(FILE *stream);

/* A dump that is read. */
struct th_dump {
	FILE *stream; /* the caller's */
	enum th_record_form form;
	unsigned long line; /* number of the last line that was read, from 1 */
	const char *fault; /* the error in that line, a constant; NULL: none */
	char *key, *value; /* private */
	size_t key_room, value_room;
};
/* Reads the header.  The caller releases *dump, after an error too.  Returns 0, -EINVAL if it is not the header of a
 * dump of keys with values (dump->fault), or -errno of reading. */
int th_dump_open(struct th_dump *dump, FILE *stream);
/* Reads the next record; its bytes are valid until the next call.  Returns 0, 1 at the end of the dump, or errors as
 * above. */
int th_dump_next(struct th_dump *dump, struct th_slice *ret_key, struct th_slice *ret_value);
void th_dump_release(struct th_dump *dump);

#endif
