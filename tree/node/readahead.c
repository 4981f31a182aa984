/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/readahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define REGIONS 64
#define IDLE_READS 1024 /* a region that was not used for this many reads frees its memory */
/* A region is read if NEAR_ENOUGH of the last RECENT reads were within NEAR_BLOCKS.  If that is wrong, one transfer
 * of 256 KiB is wasted. */
#define RECENT 16
#define NEAR_BLOCKS 256u
#define NEAR_ENOUGH 2

struct region {
	uint64_t number; /* its first block / TH_READAHEAD_BLOCKS + 1; 0: none */
	uint64_t used; /* number of the read that used it last; 0: it has no memory */
	bool loading;
	uint8_t *bytes; /* allocated at first use and kept, as freeing it would fragment malloc's heap */
};

struct th_readahead {
	struct th_disk *disk;
	pthread_mutex_t lock;
	uint64_t reads;
	uint64_t recent[RECENT]; /* addresses, a ring; 0: none (a superblock is there) */
	struct region region[REGIONS];
};

int th_readahead_new(struct th_disk *disk, struct th_readahead **ret)
{
	struct th_readahead *ahead = calloc(1, sizeof(*ahead));

	if (!ahead)
		return -ENOMEM;
	ahead->disk = disk;
	pthread_mutex_init(&ahead->lock, NULL);
	*ret = ahead;
	return 0;
}

void th_readahead_free(struct th_readahead *ahead)
{
	if (!ahead)
		return;
	for (int i = 0; i < REGIONS; i++)
		free(ahead->region[i].bytes);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

/* --- the lock is held --- */

/* Records a read.  Returns whether there were others near it. */
static bool in_neighbourhood(struct th_readahead *ahead, uint64_t addr)
{
	unsigned near = 0;

	for (int i = 0; i < RECENT; i++) {
		uint64_t other = ahead->recent[i];

		near += other && (other > addr ? other - addr : addr - other) < NEAR_BLOCKS;
	}
	ahead->recent[ahead->reads % RECENT] = addr;
	return near >= NEAR_ENOUGH;
}

static struct region *find(struct th_readahead *ahead, uint64_t number)
{
	for (int i = 0; i < REGIONS; i++)
		if (ahead->region[i].number == number)
			return &ahead->region[i];
	return NULL;
}

/* Returns the least recently used region, with memory; NULL if there is no memory or all are being read. */
static struct region *replace(struct th_readahead *ahead)
{
	struct region *oldest = NULL;

	for (int i = 0; i < REGIONS; i++) {
		struct region *region = &ahead->region[i];

		if (!region->loading && (!oldest || region->used < oldest->used))
			oldest = region;
	}
	if (oldest && !oldest->bytes)
		oldest->bytes = th_disk_buffer(TH_READAHEAD_BLOCKS * TH_BLOCK_SIZE);
	return oldest && oldest->bytes ? oldest : NULL;
}

/* Reads a region, and drops the lock while it does.  Returns false on failure. */
static bool load(struct th_readahead *ahead, uint64_t number)
{
	struct region *region = replace(ahead);
	int err;

	if (!region)
		return false;
	*region = (struct region){ .number = number, .loading = true, .bytes = region->bytes };
	pthread_mutex_unlock(&ahead->lock);
	err = th_disk_read(ahead->disk, (number - 1) * TH_READAHEAD_BLOCKS, TH_READAHEAD_BLOCKS, region->bytes);
	pthread_mutex_lock(&ahead->lock);
	region->loading = false;
	region->used = ahead->reads;
	if (err)
		region->number = 0;
	return !err;
}

static void free_idle(struct th_readahead *ahead)
{
	for (int i = 0; i < REGIONS; i++) {
		struct region *region = &ahead->region[i];

		if (region->loading || region->used == 0 || region->used + IDLE_READS > ahead->reads)
			continue;
		madvise(region->bytes, TH_READAHEAD_BLOCKS * TH_BLOCK_SIZE, MADV_DONTNEED);
		*region = (struct region){ .bytes = region->bytes };
	}
}

/* --- */

bool th_readahead_read(struct th_readahead *ahead, uint64_t addr, uint32_t blocks, void *buffer)
{
	uint64_t number = addr / TH_READAHEAD_BLOCKS + 1, at = addr % TH_READAHEAD_BLOCKS;
	struct region *region;
	bool found;

	if (at + blocks > TH_READAHEAD_BLOCKS || number * TH_READAHEAD_BLOCKS > ahead->disk->blocks)
		return false;
	pthread_mutex_lock(&ahead->lock);
	if (++ahead->reads % (IDLE_READS / 4) == 0)
		free_idle(ahead);
	region = find(ahead, number);
	if (!region && in_neighbourhood(ahead, addr) && load(ahead, number))
		region = find(ahead, number); /* another thread may have dropped it already */
	found = region && !region->loading;
	if (found) {
		memcpy(buffer, region->bytes + at * TH_BLOCK_SIZE, (size_t)blocks * TH_BLOCK_SIZE);
		region->used = ahead->reads;
	}
	pthread_mutex_unlock(&ahead->lock);
	return found;
}

void th_readahead_forget(struct th_readahead *ahead, uint64_t addr)
{
	struct region *region;

	pthread_mutex_lock(&ahead->lock);
	region = find(ahead, addr / TH_READAHEAD_BLOCKS + 1);
	if (region && !region->loading)
		region->number = 0;
	pthread_mutex_unlock(&ahead->lock);
}
