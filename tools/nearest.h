/* SPDX-License-Identifier: Apache-2.0 */
/* The name that a user may have meant: the one that differs least from a misspelt word. */
#ifndef TH_TOOLS_NEAREST_H
#define TH_TOOLS_NEAREST_H

#include <stddef.h>

struct th_nearest {
	const char *word; /* as the user wrote it */
	const char *name; /* NULL: none is near */
	unsigned distance;
};

/* Compares one more name, which must outlive the search. */
void th_nearest_try(struct th_nearest *nearest, const char *name);
/* Fills and returns text with "; did you mean 'NAME'?", or an empty text if no name is near. */
const char *th_nearest_hint(const struct th_nearest *nearest, char *text, size_t size);

#endif
