/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bit for every block: used or not.  Internal to journal/.
 *
 * The map is cut into segments of 128 MiB worth of blocks.  A segment that is used or free as a whole has no bitmap, so
 * that the map of a large and empty, or large and full, disk is small and is searched quickly.
 *
 * No locks: the space has one around it.  Ranges given must lie inside the map.
 */
#ifndef TH_JOURNAL_SPACE_SPACE_MAP_H
#define TH_JOURNAL_SPACE_SPACE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TH_SPACE_SEGMENT_SHIFT 15
#define TH_SPACE_SEGMENT_BLOCKS (1u << TH_SPACE_SEGMENT_SHIFT)

struct th_space_segment {
	uint64_t *bits; /* NULL: all alike, as `used` tells */
	uint32_t used; /* blocks */
	uint32_t longest; /* no free run that begins here is longer, as far as known */
};

struct th_space_map {
	uint64_t blocks;
	uint64_t used;
	uint32_t longest[2]; /* no free run is longer, as far as known; kept by whoever searches, see space.c */
	size_t nsegments;
	struct th_space_segment *segments;
};

/* All free.  On an error there is nothing to release, and it does no harm. */
int th_space_map_init(struct th_space_map *map, uint64_t blocks);
void th_space_map_release(struct th_space_map *map);

bool th_space_map_inside(const struct th_space_map *map, uint64_t addr, uint64_t blocks);
/* How many blocks from addr on, up to `limit`, are alike; *ret_used says what they are. */
uint64_t th_space_map_run(const struct th_space_map *map, uint64_t addr, uint64_t limit, bool *ret_used);
/* Is every block of the run used, or free? */
bool th_space_map_all(const struct th_space_map *map, uint64_t addr, uint64_t blocks, bool used);
/* Sets every block of the run.  -ENOMEM: some of them are set, as map->used tells. */
int th_space_map_set(struct th_space_map *map, uint64_t addr, uint64_t blocks, bool used);
/* The first run of at least `least` free blocks that begins in [from, to).  False: none. */
bool th_space_map_find(struct th_space_map *map, uint64_t from, uint64_t to, uint32_t least, uint64_t *ret);
/* The first maximal run of used blocks at or after `from`.  False: none. */
bool th_space_map_next_used(const struct th_space_map *map, uint64_t from, uint64_t *ret_addr, uint64_t *ret_blocks);

#endif
