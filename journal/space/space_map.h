/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bit for every block: used or free.
 *
 * The map consists of segments of 128 MiB worth of blocks.  A segment that is used or free as a whole has no bitmap, so
 * the map of a large disk that is mostly empty or mostly full is small and searched quickly.  Segments are in groups of
 * 8 GiB, and these in tables of 4 TiB.  A group or table without used blocks takes no memory, so the map of a sparse
 * image is small, whatever size the image claims.
 *
 * No locks: the caller has one.  Runs passed in must lie inside the map.
 */
#ifndef TH_JOURNAL_SPACE_SPACE_MAP_H
#define TH_JOURNAL_SPACE_SPACE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TH_SPACE_SEGMENT_SHIFT 15
#define TH_SPACE_SEGMENT_BLOCKS (1u << TH_SPACE_SEGMENT_SHIFT)
#define TH_SPACE_GROUP_SEGMENTS 64u
#define TH_SPACE_TABLE_GROUPS 512u
#define TH_SPACE_TABLE_SEGMENTS (TH_SPACE_TABLE_GROUPS * TH_SPACE_GROUP_SEGMENTS)

struct th_space_segment {
	uint64_t *bits; /* owned; NULL: all blocks are used, or if `used` is 0 all are free */
	uint32_t used; /* blocks */
	uint32_t longest; /* upper bound for the free runs that begin in this segment */
};

struct th_space_group {
	struct th_space_segment segments[TH_SPACE_GROUP_SEGMENTS];
};

struct th_space_table {
	struct th_space_group *groups[TH_SPACE_TABLE_GROUPS]; /* owned; NULL: all blocks of the group are free */
};

struct th_space_map {
	uint64_t blocks;
	uint64_t used; /* blocks */
	uint32_t longest
		[2]; /* upper bounds for free runs, lowered by the search in space.c, reset when blocks are freed */
	size_t ntables;
	struct th_space_table **tables; /* owned; NULL: all blocks of the table are free */
};

/* Makes a map of free blocks.  Returns 0, -EINVAL if blocks is 0 or too many, or -ENOMEM.  The map may be released also
 * after an error. */
int th_space_map_init(struct th_space_map *map, uint64_t blocks);
void th_space_map_release(struct th_space_map *map);

/* Makes the map larger; the new blocks are free.  Returns 0, -EINVAL if blocks is below the size or too many, or
 * -ENOMEM, which leave the map as it was. */
int th_space_map_grow(struct th_space_map *map, uint64_t blocks);

/* Returns whether the run is not empty and inside the map. */
bool th_space_map_inside(const struct th_space_map *map, uint64_t addr, uint64_t blocks);
/* Returns how many blocks from addr on, at most `limit`, have the same state, and sets *ret_used to that state. */
uint64_t th_space_map_run(const struct th_space_map *map, uint64_t addr, uint64_t limit, bool *ret_used);
/* Returns whether every block of the run has that state. */
bool th_space_map_all(const struct th_space_map *map, uint64_t addr, uint64_t blocks, bool used);
/* Sets the state of every block of the run.  Returns 0, or -ENOMEM after setting only the first blocks. */
int th_space_map_set(struct th_space_map *map, uint64_t addr, uint64_t blocks, bool used);
/* Finds the first run of at least `least` free blocks that begins in [from, to).  Returns false if there is none. */
bool th_space_map_find(struct th_space_map *map, uint64_t from, uint64_t to, uint32_t least, uint64_t *ret);
/* Finds the first maximal run of used blocks at or after `from`.  Returns false if there is none. */
bool th_space_map_next_used(const struct th_space_map *map, uint64_t from, uint64_t *ret_addr, uint64_t *ret_blocks);

#endif
