/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/sent_runs.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/chunk.h"

/* Addresses are divided into parts of TH_RUN_MAX blocks: a run touches at most two of them. */
#define BUCKETS (1u << 16)

static uint64_t part_of(uint64_t addr)
{
	return addr / TH_RUN_MAX;
}

static uint32_t *bucket_of(const struct th_sent_runs *runs, uint64_t part)
{
	return &runs->buckets[part * UINT64_C(0x9e3779b97f4a7c15) >> 48];
}

static void chain(struct th_sent_runs *runs, uint32_t index, unsigned which, uint64_t part)
{
	uint32_t *bucket = bucket_of(runs, part);

	runs->list[index].next[which] = *bucket;
	*bucket = index << 1 | which;
}

int th_sent_runs_add(struct th_sent_runs *runs, uint64_t addr, uint32_t blocks, uint64_t inode, uint64_t block)
{
	uint32_t index = (uint32_t)(runs->count ? runs->count : 1);

	if (index == TH_SENT_RUNS_MAX)
		return 0;
	if (!runs->buckets)
		runs->buckets = calloc(BUCKETS, sizeof(*runs->buckets));
	if (!runs->buckets || th_grow(runs->list, runs->capacity, (size_t)index + 1))
		return -ENOMEM;
	runs->list[index] = (struct th_sent_run){ .addr = addr, .inode = inode, .block = block, .blocks = blocks };
	runs->count = (size_t)index + 1;
	chain(runs, index, 0, part_of(addr));
	if (part_of(addr + blocks - 1) != part_of(addr))
		chain(runs, index, 1, part_of(addr + blocks - 1));
	return 0;
}

/* A search for the run that has a block, or for the first one after it. */
struct search {
	uint64_t addr, first;
	const struct th_sent_run *found;
};

static void search_part(const struct th_sent_runs *runs, uint64_t part, struct search *search)
{
	for (uint32_t at = *bucket_of(runs, part); at;) {
		const struct th_sent_run *run = &runs->list[at >> 1];

		if (run->addr <= search->addr && search->addr < run->addr + run->blocks)
			search->found = run;
		else if (run->addr > search->addr && run->addr < search->first)
			search->first = run->addr;
		at = run->next[at & 1];
	}
}

uint32_t th_sent_runs_find(const struct th_sent_runs *runs, uint64_t addr, uint32_t blocks, uint64_t *ret_inode,
			   uint64_t *ret_block)
{
	struct search search = { .addr = addr, .first = addr + blocks };
	uint64_t rest;

	*ret_block = blocks;
	if (!runs->buckets)
		return 0;
	search_part(runs, part_of(addr), &search);
	if (part_of(addr + blocks - 1) != part_of(addr))
		search_part(runs, part_of(addr + blocks - 1), &search);
	if (!search.found) {
		*ret_block = search.first - addr;
		return 0;
	}
	rest = search.found->addr + search.found->blocks - addr;
	*ret_inode = search.found->inode;
	*ret_block = search.found->block + (addr - search.found->addr);
	return rest < blocks ? (uint32_t)rest : blocks;
}

void th_sent_runs_release(struct th_sent_runs *runs)
{
	free(runs->list);
	free(runs->buckets);
}
