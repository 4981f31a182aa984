/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/cache.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define TH_CACHE_SHARDS 16
#define TH_CACHE_BUCKETS_MIN 64
#define TH_NODE_OVERHEAD 32 /* of memory, for what malloc keeps beside a node and its page */
#define TH_CACHE_RETIRED 64 /* of the budget, the part that retired nodes may have: one in so many */

/* A read under way that others may wait for. */
struct load {
	uint64_t addr, birth;
	int result;
	bool done;
	unsigned waiters;
	struct th_node *node;
	struct load *next;
};

struct shard {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct th_node **bucket;
	size_t buckets, count;
	struct th_node *hand; /* of the clock; a ring of the nodes here */
	struct th_node *retired; /* the oldest; a ring of those that nobody has asked for since they were retired */
	struct load *loads;
	size_t used, retired_used; /* bytes; used has them all */
	uint64_t hits;
};

struct th_cache {
	struct th_disk *disk;
	struct th_ahead *ahead;
	size_t shard_budget;
	_Atomic uint64_t reads;
	void (*report)(void *arg, const char *line);
	void *arg;
	struct shard shard[TH_CACHE_SHARDS];
};

static uint64_t hash_addr(uint64_t addr)
{
	return addr * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(struct th_cache *cache, uint64_t addr)
{
	return &cache->shard[hash_addr(addr) >> 60];
}

static struct th_node **bucket_of(struct shard *shard, uint64_t addr)
{
	return &shard->bucket[(hash_addr(addr) >> 8) & (shard->buckets - 1)];
}

int th_cache_new(struct th_disk *disk, struct th_ahead *ahead, size_t budget,
		 void (*report)(void *arg, const char *line), void *arg, struct th_cache **ret)
{
	struct th_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->disk = disk;
	cache->ahead = ahead;
	cache->shard_budget = budget / TH_CACHE_SHARDS;
	cache->report = report;
	cache->arg = arg;
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++) {
		struct shard *shard = &cache->shard[i];

		pthread_mutex_init(&shard->lock, NULL);
		pthread_cond_init(&shard->loaded, NULL);
		shard->buckets = TH_CACHE_BUCKETS_MIN;
		shard->bucket = calloc(shard->buckets, sizeof(*shard->bucket));
		if (!shard->bucket) {
			th_cache_free(cache);
			return -ENOMEM;
		}
	}
	*ret = cache;
	return 0;
}

/* --- a shard's table and clock; its lock is held --- */

static struct th_node *shard_find(struct shard *shard, uint64_t addr)
{
	struct th_node *node = *bucket_of(shard, addr);

	while (node && node->ptr.addr != addr)
		node = node->hash_next;
	return node;
}

/* A ring is known by the node whose turn is next: the others follow, one that is added comes last. */
static void ring_add(struct th_node **ring, struct th_node *node)
{
	if (*ring) {
		node->ring_next = *ring;
		node->ring_prev = (*ring)->ring_prev;
		node->ring_prev->ring_next = node;
		node->ring_next->ring_prev = node;
	} else {
		*ring = node->ring_prev = node->ring_next = node;
	}
}

static void ring_remove(struct th_node **ring, struct th_node *node)
{
	node->ring_prev->ring_next = node->ring_next;
	node->ring_next->ring_prev = node->ring_prev;
	if (*ring == node)
		*ring = node->ring_next == node ? NULL : node->ring_next;
	node->ring_prev = node->ring_next = NULL;
}

static void leave_ring(struct shard *shard, struct th_node *node)
{
	ring_remove(node->retired ? &shard->retired : &shard->hand, node);
	if (node->retired)
		shard->retired_used -= node->cached_bytes;
	node->retired = false;
}

static void shard_remove(struct shard *shard, struct th_node *node)
{
	struct th_node **at = bucket_of(shard, node->ptr.addr);

	while (*at != node)
		at = &(*at)->hash_next;
	*at = node->hash_next;
	leave_ring(shard, node);
	shard->count--;
	shard->used -= node->cached_bytes;
	th_node_unref(node);
}

static void shard_grow(struct shard *shard)
{
	size_t buckets = shard->buckets * 2, old = shard->buckets;
	struct th_node **bucket = calloc(buckets, sizeof(*bucket)), **from = shard->bucket;

	if (!bucket)
		return; /* longer chains, nothing worse */
	shard->bucket = bucket;
	shard->buckets = buckets;
	for (size_t i = 0; i < old; i++)
		for (struct th_node *node = from[i], *next; node; node = next) {
			struct th_node **at = bucket_of(shard, node->ptr.addr);

			next = node->hash_next;
			node->hash_next = *at;
			*at = node;
		}
	free(from);
}

static uint32_t node_memory(const struct th_node *node)
{
	return (uint32_t)(sizeof(*node) + node->prefix_size + sizeof(*node->page) + node->page->size +
			  TH_NODE_OVERHEAD);
}

/* What is retired goes first, the oldest before the others.  Then one sweep of the clock until the shard is within its
 * budget; nodes used since the last sweep get another round. */
static void shard_evict(struct shard *shard, size_t budget)
{
	size_t steps = 2 * shard->count;

	while (shard->used > budget && shard->retired)
		shard_remove(shard, shard->retired);
	while (shard->used > budget && shard->hand && steps-- > 0) {
		struct th_node *node = shard->hand;

		shard->hand = node->ring_next;
		if (atomic_exchange_explicit(&node->used, false, memory_order_relaxed))
			continue;
		shard_remove(shard, node);
	}
}

/* Takes over one reference. */
static void shard_insert(struct th_cache *cache, struct shard *shard, struct th_node *node)
{
	struct th_node *old = shard_find(shard, node->ptr.addr), **at;

	if (old)
		shard_remove(shard, old);
	if (shard->count >= shard->buckets)
		shard_grow(shard);
	at = bucket_of(shard, node->ptr.addr);
	node->hash_next = *at;
	*at = node;
	ring_add(&shard->hand, node);
	node->cached_bytes = node_memory(node);
	atomic_store_explicit(&node->used, true, memory_order_relaxed);
	shard->count++;
	shard->used += node->cached_bytes;
	shard_evict(shard, cache->shard_budget);
}

static struct th_node *shard_lookup(struct shard *shard, const struct th_ptr *ptr)
{
	struct th_node *node = shard_find(shard, ptr->addr);

	if (!node)
		return NULL;
	if (node->ptr.birth != ptr->birth || node->ptr.checksum != ptr->checksum) {
		shard_remove(shard, node); /* of an earlier life of these blocks */
		return NULL;
	}
	if (node->retired) {
		leave_ring(shard, node);
		ring_add(&shard->hand, node);
	}
	if (!atomic_load_explicit(&node->used, memory_order_relaxed))
		atomic_store_explicit(&node->used, true, memory_order_relaxed);
	return th_node_ref(node);
}

/* --- */

void th_cache_free(struct th_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++) {
		struct shard *shard = &cache->shard[i];

		while (shard->hand)
			shard_remove(shard, shard->hand);
		while (shard->retired)
			shard_remove(shard, shard->retired);
		free(shard->bucket);
		pthread_mutex_destroy(&shard->lock);
		pthread_cond_destroy(&shard->loaded);
	}
	free(cache);
}

struct th_node *th_cache_get(struct th_cache *cache, const struct th_ptr *ptr)
{
	struct shard *shard = shard_of(cache, ptr->addr);
	struct th_node *node;

	pthread_mutex_lock(&shard->lock);
	node = shard_lookup(shard, ptr);
	shard->hits += node != NULL;
	pthread_mutex_unlock(&shard->lock);
	return node;
}

static void report_damage(struct th_cache *cache, const struct th_ptr *ptr, int error, const char *why)
{
	char line[160];

	snprintf(line, sizeof(line), "%s: node at block %" PRIu64 " (%u blocks, generation %" PRIu64 "): %s",
		 cache->disk->name, ptr->addr, ptr->blocks, ptr->birth, error == -EIO ? "cannot be read" : why);
	cache->report(cache->arg, line);
}

/* From what was read ahead, if that is still right. */
static bool read_ahead(struct th_cache *cache, const struct th_ptr *ptr, uint8_t *blocks)
{
	if (!th_ahead_read(cache->ahead, ptr->addr, ptr->blocks, blocks))
		return false;
	if (XXH3_64bits(blocks, ptr->blocks * TH_BLOCK_SIZE) == ptr->checksum)
		return true;
	th_ahead_forget(cache->ahead, ptr->addr);
	return false;
}

static int read_blocks(struct th_cache *cache, const struct th_ptr *ptr, uint8_t *blocks)
{
	int r;

	atomic_fetch_add(&cache->reads, 1);
	if (read_ahead(cache, ptr, blocks))
		return 0;
	r = th_disk_read(cache->disk, ptr->addr, ptr->blocks, blocks);
	if (r == 0 && XXH3_64bits(blocks, ptr->blocks * TH_BLOCK_SIZE) != ptr->checksum)
		r = -EBADMSG;
	return r;
}

static int read_node(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, bool quiet,
		     struct th_node **ret)
{
	alignas(TH_BLOCK_SIZE) uint8_t blocks[TH_NODE_MAX];
	const char *why = "wrong checksum";
	int r;

	if (fence.size < ptr->prefix_size)
		return -EUCLEAN;
	r = read_blocks(cache, ptr, blocks);
	if (r == 0)
		r = th_node_unpack(blocks, ptr, (struct th_slice){ fence.data, ptr->prefix_size }, ret, &why);
	if (r < 0 && r != -ENOMEM && !quiet)
		report_damage(cache, ptr, r, why);
	return r;
}

/* Waits for somebody else's read.  The shard is locked. */
static int await_load(struct shard *shard, struct load *load, struct th_node **ret)
{
	int r;

	load->waiters++;
	while (!load->done)
		pthread_cond_wait(&shard->loaded, &shard->lock);
	r = load->result;
	if (r == 0)
		*ret = th_node_ref(load->node);
	if (--load->waiters == 0)
		pthread_cond_broadcast(&shard->loaded);
	return r;
}

static void finish_load(struct th_cache *cache, struct shard *shard, struct load *load, int result,
			struct th_node *node)
{
	struct load **at = &shard->loads;

	while (*at != load)
		at = &(*at)->next;
	*at = load->next;
	load->result = result;
	load->node = node;
	load->done = true;
	if (result == 0)
		shard_insert(cache, shard, th_node_ref(node));
	pthread_cond_broadcast(&shard->loaded);
	while (load->waiters > 0)
		pthread_cond_wait(&shard->loaded, &shard->lock);
}

static int cache_load(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, bool quiet,
		      struct th_node **ret)
{
	struct shard *shard = shard_of(cache, ptr->addr);
	struct load mine = { .addr = ptr->addr, .birth = ptr->birth }, *other;
	int r = 0;

	pthread_mutex_lock(&shard->lock);
	*ret = shard_lookup(shard, ptr);
	if (*ret) {
		shard->hits++;
		goto out;
	}
	for (other = shard->loads; other; other = other->next)
		if (other->addr == ptr->addr && other->birth == ptr->birth) {
			r = await_load(shard, other, ret);
			goto out;
		}
	mine.next = shard->loads;
	shard->loads = &mine;
	pthread_mutex_unlock(&shard->lock);
	r = read_node(cache, ptr, fence, quiet, ret);
	pthread_mutex_lock(&shard->lock);
	finish_load(cache, shard, &mine, r, *ret);
out:
	pthread_mutex_unlock(&shard->lock);
	return r;
}

int th_cache_load(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, struct th_node **ret)
{
	return cache_load(cache, ptr, fence, false, ret);
}

int th_cache_load_quietly(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, struct th_node **ret)
{
	return cache_load(cache, ptr, fence, true, ret);
}

void th_cache_insert(struct th_cache *cache, struct th_node *node)
{
	struct shard *shard = shard_of(cache, node->ptr.addr);

	pthread_mutex_lock(&shard->lock);
	shard_insert(cache, shard, th_node_ref(node));
	pthread_mutex_unlock(&shard->lock);
}

void th_cache_forget(struct th_cache *cache, uint64_t addr)
{
	struct shard *shard = shard_of(cache, addr);
	struct th_node *node;

	pthread_mutex_lock(&shard->lock);
	node = shard_find(shard, addr);
	if (node)
		shard_remove(shard, node);
	pthread_mutex_unlock(&shard->lock);
}

void th_cache_retire(struct th_cache *cache, uint64_t addr)
{
	struct shard *shard = shard_of(cache, addr);
	struct th_node *node;

	pthread_mutex_lock(&shard->lock);
	node = shard_find(shard, addr);
	if (node && !node->retired) {
		leave_ring(shard, node);
		node->retired = true;
		ring_add(&shard->retired, node);
		shard->retired_used += node->cached_bytes;
	}
	while (shard->retired_used > cache->shard_budget / TH_CACHE_RETIRED)
		shard_remove(shard, shard->retired);
	pthread_mutex_unlock(&shard->lock);
}

void th_cache_stat(const struct th_cache *cache, struct th_cache_stat *ret)
{
	*ret = (struct th_cache_stat){ .reads = atomic_load(&cache->reads) };
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++) {
		struct shard *shard = (struct shard *)&cache->shard[i];

		pthread_mutex_lock(&shard->lock);
		ret->hits += shard->hits;
		ret->used += shard->used;
		pthread_mutex_unlock(&shard->lock);
	}
}
