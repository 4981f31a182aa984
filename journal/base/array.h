/* SPDX-License-Identifier: Apache-2.0 */
/* Growable arrays: one policy for all of them, checked against overflow. */
#ifndef TH_JOURNAL_BASE_ARRAY_H
#define TH_JOURNAL_BASE_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Makes room for `need` items of `item_size` bytes in a malloc'ed array and updates *capacity.  The capacity at least
 * doubles, so appending is constant time on average.  Returns the array, which may have moved, or NULL if there is no
 * memory: then the old array is unchanged.  Use th_grow(). */
static inline void *th_array_grow(void *array, size_t *capacity, size_t need, size_t item_size)
{
	size_t grown = *capacity < 8 ? 8 : *capacity;
	void *moved;

	if (need <= *capacity)
		return array;
	while (grown < need) {
		if (grown > SIZE_MAX / 2)
			return NULL;
		grown *= 2;
	}
	moved = reallocarray(array, grown, item_size);
	if (moved)
		*capacity = grown;
	return moved;
}

/* Makes room for `need` items in `array`, a pointer to items, whose capacity is the size_t `capacity`.  The caller owns
 * the array and frees it with free().  Returns 0 or -ENOMEM; on an error nothing has changed. */
#define th_grow(array, capacity, need)                                                                                 \
	({                                                                                                             \
		void *th_grown_ = (need) <= (capacity)                                                                 \
					  ? (void *)(array)                                                            \
					  : th_array_grow((array), &(capacity), (need), sizeof(*(array)));             \
		if (th_grown_)                                                                                         \
			(array) = th_grown_;                                                                           \
		(th_grown_ || (need) == 0) ? 0 : -ENOMEM;                                                              \
	})

/* Appends an item to `array`, which has `count` items, and counts it.  Otherwise as th_grow(). */
#define th_append(array, capacity, count, ...)                                                                         \
	({                                                                                                             \
		int th_append_err_ = th_grow(array, capacity, (count) + 1);                                            \
                                                                                                                       \
		if (!th_append_err_)                                                                                   \
			(array)[(count)++] = (__VA_ARGS__);                                                            \
		th_append_err_;                                                                                        \
	})

#endif
