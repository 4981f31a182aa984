/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and large values that a check has looked at: a hash table by address, with linear probing. */
#include <errno.h>
#include <stdlib.h>

#include "tree/check/check.h"

static struct th_seen *seen_slot(const struct th_seen_set *set, uint64_t addr)
{
	size_t mask = set->capacity - 1, i = (size_t)(addr * UINT64_C(0x9e3779b97f4a7c15) >> 20) & mask;

	while (set->slot[i].addr && set->slot[i].addr != addr)
		i = (i + 1) & mask;
	return &set->slot[i];
}

static int seen_grow(struct th_seen_set *set)
{
	struct th_seen_set grown = { .count = set->count, .capacity = set->capacity ? 2 * set->capacity : 1024 };

	grown.slot = calloc(grown.capacity, sizeof(*grown.slot));
	if (!grown.slot)
		return -ENOMEM;
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slot[i].addr)
			*seen_slot(&grown, set->slot[i].addr) = set->slot[i];
	free(set->slot);
	*set = grown;
	return 0;
}

int th_seen_get(struct th_seen_set *set, uint64_t addr, struct th_seen **ret)
{
	int err = 2 * set->count >= set->capacity ? seen_grow(set) : 0;

	if (err)
		return err;
	*ret = seen_slot(set, addr);
	set->count += (*ret)->addr == 0;
	(*ret)->addr = addr;
	return 0;
}
