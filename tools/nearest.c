/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nearest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 32 /* bytes; longer words are near to nothing */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Returns how many letters have to be inserted, deleted or replaced, or neighbours exchanged, to turn one word into the
 * other. */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	unsigned cost[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a_size; i++) {
		for (size_t k = 0; k <= b_size; k++) {
			if (!i || !k) {
				cost[i][k] = (unsigned)(i + k);
				continue;
			}
			cost[i][k] = least(cost[i - 1][k], cost[i][k - 1]) + 1;
			cost[i][k] = least(cost[i][k], cost[i - 1][k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				cost[i][k] = least(cost[i][k], cost[i - 2][k - 2] + 1);
		}
	}
	return cost[a_size][b_size];
}

void th_nearest_try(struct th_nearest *nearest, const char *name)
{
	size_t word_size = strlen(nearest->word), size = strlen(name);
	unsigned letters;

	if (word_size > WORD_MAX || size > WORD_MAX)
		return;
	letters = distance(nearest->word, word_size, name, size);
	/* One wrong letter in three: more would make any short word near to any other. */
	if (letters * 3 > word_size || (nearest->name && letters >= nearest->distance))
		return;
	nearest->name = name;
	nearest->distance = letters;
}

const char *th_nearest_hint(const struct th_nearest *nearest, char *text, size_t size)
{
	text[0] = 0;
	if (nearest->name)
		snprintf(text, size, "; did you mean '%s'?", nearest->name);
	return text;
}
