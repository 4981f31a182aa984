/* SPDX-License-Identifier: Apache-2.0 */
/* The bitmap of used blocks. */
#include "journal/space/space_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/disk/disk.h"

#define SEGMENT_MASK (TH_SPACE_SEGMENT_BLOCKS - 1)
#define SEGMENT_WORDS (TH_SPACE_SEGMENT_BLOCKS / 64)

static uint32_t segment_blocks(const struct th_space_map *map, size_t index)
{
	uint64_t left = map->blocks - ((uint64_t)index << TH_SPACE_SEGMENT_SHIFT);

	return left < TH_SPACE_SEGMENT_BLOCKS ? (uint32_t)left : TH_SPACE_SEGMENT_BLOCKS;
}

/* --- tables and groups of segments --- */

static size_t table_of(size_t index)
{
	return index / TH_SPACE_TABLE_SEGMENTS;
}

/* Returns where the group of a segment is kept, or NULL if its table has no memory. */
static struct th_space_group **group_place(const struct th_space_map *map, size_t index)
{
	struct th_space_table *table = map->tables[table_of(index)];

	return table ? &table->groups[index / TH_SPACE_GROUP_SEGMENTS % TH_SPACE_TABLE_GROUPS] : NULL;
}

/* Returns the segment, or NULL if its group has no memory: then all blocks of the group are free. */
static struct th_space_segment *segment_find(const struct th_space_map *map, size_t index)
{
	struct th_space_group **group = group_place(map, index);

	return group && *group ? &(*group)->segments[index % TH_SPACE_GROUP_SEGMENTS] : NULL;
}

static struct th_space_group *group_new(void)
{
	struct th_space_group *group = malloc(sizeof(*group));

	for (size_t i = 0; group && i < TH_SPACE_GROUP_SEGMENTS; i++)
		group->segments[i] = (struct th_space_segment){ .longest = UINT32_MAX };
	return group;
}

/* Returns the segment; its group gets memory.  Returns NULL if there is none. */
static struct th_space_segment *segment_need(struct th_space_map *map, size_t index)
{
	struct th_space_table **table = &map->tables[table_of(index)];

	if (!*table)
		*table = calloc(1, sizeof(**table));
	if (!*table)
		return NULL;
	struct th_space_group **group = group_place(map, index);

	if (!*group)
		*group = group_new();
	return segment_find(map, index);
}

/* Returns the first segment of the next group, or table, for a segment without memory. */
static size_t unused_end(const struct th_space_map *map, size_t index)
{
	size_t unit = map->tables[table_of(index)] ? TH_SPACE_GROUP_SEGMENTS : TH_SPACE_TABLE_SEGMENTS;

	return index - index % unit + unit;
}

/* Returns the number of tables for these blocks, or 0 if that is none or too many to address their bytes. */
static size_t tables_of(uint64_t blocks)
{
	uint64_t per_table = (uint64_t)TH_SPACE_TABLE_SEGMENTS << TH_SPACE_SEGMENT_SHIFT;

	return blocks > UINT64_MAX / TH_BLOCK_SIZE ? 0 : (size_t)((blocks + per_table - 1) / per_table);
}

int th_space_map_init(struct th_space_map *map, uint64_t blocks)
{
	size_t ntables = tables_of(blocks);

	*map = (struct th_space_map){ .blocks = blocks, .longest = { UINT32_MAX, UINT32_MAX } };
	if (!ntables)
		return -EINVAL;
	map->tables = calloc(ntables, sizeof(*map->tables));
	if (!map->tables)
		return -ENOMEM;
	map->ntables = ntables;
	return 0;
}

static void group_free(struct th_space_group *group)
{
	for (size_t i = 0; group && i < TH_SPACE_GROUP_SEGMENTS; i++)
		free(group->segments[i].bits);
	free(group);
}

void th_space_map_release(struct th_space_map *map)
{
	for (size_t i = 0; i < map->ntables; i++) {
		for (size_t j = 0; map->tables[i] && j < TH_SPACE_TABLE_GROUPS; j++)
			group_free(map->tables[i]->groups[j]);
		free(map->tables[i]);
	}
	free(map->tables);
	*map = (struct th_space_map){ 0 };
}

/* --- runs --- */

bool th_space_map_inside(const struct th_space_map *map, uint64_t addr, uint64_t blocks)
{
	return blocks > 0 && blocks <= map->blocks && addr <= map->blocks - blocks;
}

/* Returns how many blocks in [at, end) of a segment have the state of the first.  64 a step. */
static uint32_t bits_run(const uint64_t *bits, uint32_t at, uint32_t end, bool *ret_used)
{
	bool used = bits[at / 64] >> (at % 64) & 1;
	uint64_t flip = used ? UINT64_MAX : 0;
	uint32_t word = at / 64;
	uint64_t other = (bits[word] ^ flip) >> (at % 64) << (at % 64);

	*ret_used = used;
	while (!other) {
		if (++word * 64 >= end)
			return end - at;
		other = bits[word] ^ flip;
	}
	word = word * 64 + (uint32_t)__builtin_ctzll(other);
	return (word < end ? word : end) - at;
}

/* Returns how many blocks from addr on, at most `limit`, have the state of the first in its segment, or group or table
 * if that has no memory.  *ret_end: the end of the part that was looked at. */
static uint64_t segment_run(const struct th_space_map *map, uint64_t addr, uint64_t limit, uint64_t *ret_end,
			    bool *ret_used)
{
	size_t index = (size_t)(addr >> TH_SPACE_SEGMENT_SHIFT);
	const struct th_space_segment *segment = segment_find(map, index);
	uint64_t begin = (uint64_t)index << TH_SPACE_SEGMENT_SHIFT;
	uint64_t end = (uint64_t)(segment ? index + 1 : unused_end(map, index)) << TH_SPACE_SEGMENT_SHIFT;

	if (limit < end - addr)
		end = addr + limit;
	*ret_end = end;
	if (segment && segment->bits)
		return bits_run(segment->bits, (uint32_t)(addr - begin), (uint32_t)(end - begin), ret_used);
	*ret_used = segment && segment->used > 0;
	return end - addr;
}

uint64_t th_space_map_run(const struct th_space_map *map, uint64_t addr, uint64_t limit, bool *ret_used)
{
	uint64_t length = 0;

	if (limit > map->blocks - addr)
		limit = map->blocks - addr;
	while (length < limit) {
		uint64_t end, run;
		bool used;

		run = segment_run(map, addr + length, limit - length, &end, &used);
		if (length && used != *ret_used)
			break;
		*ret_used = used;
		length += run;
		if (addr + length < end)
			break;
	}
	return length;
}

bool th_space_map_all(const struct th_space_map *map, uint64_t addr, uint64_t blocks, bool used)
{
	bool is_used;

	return th_space_map_run(map, addr, blocks, &is_used) == blocks && is_used == used;
}

/* Sets bits [at, end) of a bitmap.  Returns how many changed. */
static uint32_t bits_set(uint64_t *bits, uint32_t at, uint32_t end, bool used)
{
	uint32_t changed = 0;

	while (at < end) {
		uint32_t count = 64 - at % 64 < end - at ? 64 - at % 64 : end - at;
		uint64_t mask = (count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1) << (at % 64);
		uint64_t before = bits[at / 64], after = used ? before | mask : before & ~mask;

		bits[at / 64] = after;
		changed += (uint32_t)__builtin_popcountll(before ^ after);
		at += count;
	}
	return changed;
}

static int segment_need_bits(struct th_space_segment *segment)
{
	if (segment->bits)
		return 0;
	segment->bits = malloc(SEGMENT_WORDS * sizeof(*segment->bits));
	if (!segment->bits)
		return -ENOMEM;
	memset(segment->bits, segment->used ? 0xff : 0, SEGMENT_WORDS * sizeof(*segment->bits));
	return 0;
}

static void segment_drop_bits(struct th_space_segment *segment)
{
	free(segment->bits);
	segment->bits = NULL;
}

/* A run that begins before blocks which become free may now extend into them. */
static void forget_longest(struct th_space_map *map, size_t index)
{
	struct th_space_segment *segment = segment_find(map, index);

	map->longest[0] = map->longest[1] = UINT32_MAX;
	if (segment)
		segment->longest = UINT32_MAX;
}

static int segment_set(struct th_space_map *map, size_t index, uint32_t at, uint32_t end, bool used)
{
	uint32_t size = segment_blocks(map, index), changed;
	struct th_space_segment *segment = segment_find(map, index);

	if (segment ? !segment->bits && (segment->used > 0) == used : !used)
		return 0;
	segment = segment_need(map, index);
	if (!segment)
		return -ENOMEM;
	if (at == 0 && end == size) {
		changed = used ? size - segment->used : segment->used;
		segment_drop_bits(segment);
	} else {
		int err = segment_need_bits(segment);

		if (err)
			return err;
		changed = bits_set(segment->bits, at, end, used);
	}
	segment->used = used ? segment->used + changed : segment->used - changed;
	map->used = used ? map->used + changed : map->used - changed;
	if (segment->used == 0 || segment->used == size)
		segment_drop_bits(segment);
	if (!used) {
		forget_longest(map, index);
		if (index > 0)
			forget_longest(map, index - 1);
	}
	return 0;
}

int th_space_map_set(struct th_space_map *map, uint64_t addr, uint64_t blocks, bool used)
{
	int err = 0;

	while (blocks && !err) {
		size_t index = (size_t)(addr >> TH_SPACE_SEGMENT_SHIFT);
		uint32_t at = (uint32_t)(addr & SEGMENT_MASK), end = segment_blocks(map, index);

		if (blocks < end - at)
			end = at + (uint32_t)blocks;
		err = segment_set(map, index, at, end, used);
		addr += end - at;
		blocks -= end - at;
	}
	return err;
}

/* Clears the bits after the end of the map in its last segment: a bitmap may have any there. */
static int clear_past_end(struct th_space_map *map)
{
	size_t index = (size_t)((map->blocks - 1) >> TH_SPACE_SEGMENT_SHIFT);
	struct th_space_segment *last = segment_find(map, index);
	uint32_t size = segment_blocks(map, index);

	if (!last || !last->used || size == TH_SPACE_SEGMENT_BLOCKS)
		return 0;
	if (segment_need_bits(last))
		return -ENOMEM;
	bits_set(last->bits, size, TH_SPACE_SEGMENT_BLOCKS, false);
	return 0;
}

int th_space_map_grow(struct th_space_map *map, uint64_t blocks)
{
	size_t ntables = tables_of(blocks);

	if (blocks < map->blocks || !ntables)
		return -EINVAL;
	if (blocks == map->blocks)
		return 0;
	if (clear_past_end(map))
		return -ENOMEM;
	struct th_space_table **tables = reallocarray(map->tables, ntables, sizeof(*tables));

	if (!tables)
		return -ENOMEM;
	memset(tables + map->ntables, 0, (ntables - map->ntables) * sizeof(*tables));
	map->tables = tables;
	map->ntables = ntables;
	forget_longest(map, (size_t)((map->blocks - 1) >> TH_SPACE_SEGMENT_SHIFT));
	map->blocks = blocks;
	return 0;
}

/* Finds a run that begins in [*from, to), within one segment.  Moves *from to it, or if there is none past the searched
 * part.  *ret_longest is the length of the longest run that was too short. */
static bool segment_search(const struct th_space_map *map, uint64_t *from, uint64_t to, uint32_t least,
			   uint32_t *ret_longest)
{
	*ret_longest = 0;
	while (*from < to) {
		bool used;
		uint64_t run = th_space_map_run(map, *from, least, &used);

		if (!used && run >= least)
			return true;
		/* The run ended early, at a used block or the end of the map, so this is its whole length. */
		if (!used && *ret_longest < run)
			*ret_longest = (uint32_t)run;
		if (used)
			run = th_space_map_run(map, *from, to - *from, &used);
		*from += run;
	}
	return false;
}

bool th_space_map_find(struct th_space_map *map, uint64_t from, uint64_t to, uint32_t least, uint64_t *ret)
{
	while (from < to) {
		size_t index = (size_t)(from >> TH_SPACE_SEGMENT_SHIFT);
		struct th_space_segment *segment = segment_find(map, index);
		uint64_t begin = (uint64_t)index << TH_SPACE_SEGMENT_SHIFT, end = begin + segment_blocks(map, index);
		bool whole = from == begin && end <= to;
		uint32_t longest;

		if (end > to)
			end = to;
		if (segment && (segment->longest < least || segment->used == segment_blocks(map, index))) {
			from = end;
			continue;
		}
		if (segment_search(map, &from, end, least, &longest)) {
			*ret = from;
			return true;
		}
		/* Not for longer runs: they may span several segments, and a change resets only the previous segment.
		 */
		if (segment && whole && least <= TH_SPACE_SEGMENT_BLOCKS)
			segment->longest = longest;
	}
	return false;
}

bool th_space_map_next_used(const struct th_space_map *map, uint64_t from, uint64_t *ret_addr, uint64_t *ret_blocks)
{
	while (from < map->blocks) {
		bool used;
		uint64_t run = th_space_map_run(map, from, map->blocks - from, &used);

		if (used) {
			*ret_addr = from;
			*ret_blocks = run;
			return true;
		}
		from += run;
	}
	return false;
}
