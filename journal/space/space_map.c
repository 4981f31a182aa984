/* SPDX-License-Identifier: Apache-2.0 */
/* The bitmap of used blocks. */
#include "journal/space/space_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_MASK (TH_SPACE_SEGMENT_BLOCKS - 1)
#define SEGMENT_WORDS (TH_SPACE_SEGMENT_BLOCKS / 64)

static uint32_t segment_blocks(const struct th_space_map *map, size_t index)
{
	uint64_t left = map->blocks - ((uint64_t)index << TH_SPACE_SEGMENT_SHIFT);

	return left < TH_SPACE_SEGMENT_BLOCKS ? (uint32_t)left : TH_SPACE_SEGMENT_BLOCKS;
}

int th_space_map_init(struct th_space_map *map, uint64_t blocks)
{
	uint64_t nsegments = (blocks >> TH_SPACE_SEGMENT_SHIFT) + ((blocks & SEGMENT_MASK) != 0);

	if (blocks == 0 || nsegments > SIZE_MAX / sizeof(*map->segments))
		return -EINVAL;
	*map = (struct th_space_map){ .blocks = blocks, .longest = { UINT32_MAX, UINT32_MAX } };
	map->segments = calloc((size_t)nsegments, sizeof(*map->segments));
	if (!map->segments)
		return -ENOMEM;
	map->nsegments = (size_t)nsegments;
	for (size_t i = 0; i < map->nsegments; i++)
		map->segments[i].longest = UINT32_MAX;
	return 0;
}

void th_space_map_release(struct th_space_map *map)
{
	for (size_t i = 0; i < map->nsegments; i++)
		free(map->segments[i].bits);
	free(map->segments);
	*map = (struct th_space_map){ 0 };
}

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

uint64_t th_space_map_run(const struct th_space_map *map, uint64_t addr, uint64_t limit, bool *ret_used)
{
	uint64_t length = 0;

	if (limit > map->blocks - addr)
		limit = map->blocks - addr;
	while (length < limit) {
		size_t index = (size_t)((addr + length) >> TH_SPACE_SEGMENT_SHIFT);
		const struct th_space_segment *segment = &map->segments[index];
		uint32_t at = (uint32_t)((addr + length) & SEGMENT_MASK), end = segment_blocks(map, index), run;
		bool used;

		if (limit - length < end - at)
			end = at + (uint32_t)(limit - length);
		if (segment->bits) {
			run = bits_run(segment->bits, at, end, &used);
		} else {
			used = segment->used > 0;
			run = end - at;
		}
		if (length && used != *ret_used)
			break;
		*ret_used = used;
		length += run;
		if (at + run < end)
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

static int segment_set(struct th_space_map *map, size_t index, uint32_t at, uint32_t end, bool used)
{
	struct th_space_segment *segment = &map->segments[index];
	uint32_t size = segment_blocks(map, index), changed;

	if (!segment->bits && (segment->used > 0) == used)
		return 0;
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
	/* A run that begins in the previous segment may now extend into this one. */
	if (!used) {
		map->longest[0] = map->longest[1] = UINT32_MAX;
		segment->longest = UINT32_MAX;
		if (index > 0)
			map->segments[index - 1].longest = UINT32_MAX;
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

int th_space_map_grow(struct th_space_map *map, uint64_t blocks)
{
	uint64_t nsegments = (blocks >> TH_SPACE_SEGMENT_SHIFT) + ((blocks & SEGMENT_MASK) != 0);
	struct th_space_segment *segments, *last = &map->segments[map->nsegments - 1];
	uint32_t size = segment_blocks(map, map->nsegments - 1);

	if (blocks < map->blocks || nsegments > SIZE_MAX / sizeof(*segments))
		return -EINVAL;
	if (blocks == map->blocks)
		return 0;
	/* A bitmap may have any bits after the end of the map. */
	if (last->used && size < TH_SPACE_SEGMENT_BLOCKS) {
		if (segment_need_bits(last))
			return -ENOMEM;
		bits_set(last->bits, size, TH_SPACE_SEGMENT_BLOCKS, false);
	}
	segments = reallocarray(map->segments, (size_t)nsegments, sizeof(*segments));
	if (!segments)
		return -ENOMEM;
	segments[map->nsegments - 1].longest = UINT32_MAX;
	for (size_t i = map->nsegments; i < nsegments; i++)
		segments[i] = (struct th_space_segment){ .longest = UINT32_MAX };
	map->segments = segments;
	map->nsegments = (size_t)nsegments;
	map->blocks = blocks;
	map->longest[0] = map->longest[1] = UINT32_MAX;
	return 0;
}

/* Finds a run that begins in [*from, to), within one segment.  Moves *from to it, or if there is none past the searched
 * part.  *ret_longest is the length of the longest run that was too short. */
static bool segment_find(const struct th_space_map *map, uint64_t *from, uint64_t to, uint32_t least,
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
		struct th_space_segment *segment = &map->segments[index];
		uint64_t begin = (uint64_t)index << TH_SPACE_SEGMENT_SHIFT, end = begin + segment_blocks(map, index);
		bool whole = from == begin && end <= to;
		uint32_t longest;

		if (end > to)
			end = to;
		if (segment->longest < least || segment->used == segment_blocks(map, index)) {
			from = end;
			continue;
		}
		if (segment_find(map, &from, end, least, &longest)) {
			*ret = from;
			return true;
		}
		/* Not for longer runs: they may span several segments, and a change resets only the previous segment.
		 */
		if (whole && least <= TH_SPACE_SEGMENT_BLOCKS)
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
