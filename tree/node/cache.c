/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/cache.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "journal/base/report.h"
#include "journal/base/thread.h"
#include "tree/node/node_heap.h"
#include "tree/node/node_pack.h"
#include "tree/node/nowait.h"
#include "tree/node/scatter.h"

#define TH_CACHE_SHARDS 16 /* so that threads rarely wait for one another */
#define TH_CACHE_SLOTS_MIN 64
#define TH_CACHE_AHEAD 64 /* asynchronous loads under way; with more, nothing is prefetched */
#define TH_CACHE_LOST 32 /* fragmentation: measured, one byte is lost for every 32 in nodes */
#define TH_CACHE_STEPS 256 /* the budget is reserved in steps of 1/256, so that most changes cost nothing */
#define TH_CACHE_RETIRED 64 /* retired nodes may take 1/64 of the budget */

/* A callback that waits for an asynchronous load. */
struct waiter {
	th_cache_loaded *loaded;
	void *arg;
	struct waiter *next;
};

/* A read under way that other threads may wait for. */
struct load {
	uint64_t addr, birth;
	int result;
	bool done;
	bool async; /* it is part of a struct async_load */
	bool begun; /* of an asynchronous load: its future was passed to the disk */
	unsigned copy; /* of an asynchronous load: the copy that is being read */
	unsigned holders; /* the reader, and the threads that wait */
	struct th_node *node;
	struct waiter *waiters; /* of an asynchronous load; called by the thread that reaps the transfer */
	struct load *next;
};

/* A load without a thread that waits for it.  The next thread that needs the node completes it, and other transfers
 * with it (th_disk_reap): waking another thread would take longer than the work.  The last holder frees it. */
struct async_load {
	struct load load; /* must be first */
	struct th_cache *cache;
	struct th_ptr ptr;
	struct th_future future[TH_COPIES_MAX];
	int first_err; /* of the first copy, after which the second one is read */
	void *blocks;
	size_t fence_size;
	uint8_t fence[]; /* lower one of the node */
};

/* A place in a shard's table.  It has all that a sweep of the clock looks at, as nodes are rarely in the processor's
 * cache. */
struct slot {
	uint64_t tag; /* the address, and in the lowest bit whether it was used since the last sweep; 0: empty */
	struct th_node *node;
};

struct shard {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct slot *slot; /* hash table with linear probing, at most half full */
	size_t slots, count;
	unsigned shift; /* a hash shifted right by this is the home slot */
	size_t hand; /* of the clock: index of a slot */
	struct th_node *retired; /* oldest of a ring of nodes that were not used since they were retired */
	struct load *loads;
	size_t used, retired_used; /* bytes; `used` includes retired nodes */
	uint64_t hits;
};

struct th_cache {
	struct th_disk *disk;
	struct th_readahead *ahead;
	size_t budget;
	_Atomic size_t reserved; /* part of the budget, in whole steps */
	_Atomic uint64_t reads;
	_Atomic unsigned under_way; /* asynchronous loads */
	pthread_mutex_t idle_lock; /* protects the next three fields */
	void *buffer
		[TH_CACHE_AHEAD]; /* kept for later loads: allocating and freeing aligned memory fragments the heap */
	unsigned buffers;
	pthread_cond_t idle; /* no asynchronous load is under way */
	void (*report)(void *arg, const char *line);
	void *arg;
	th_cache_spare *spare; /* NULL: none */
	void *spare_arg;
	struct shard shard[TH_CACHE_SHARDS];
};

/* Sums over all caches of the process, which share one heap. */
static _Atomic size_t all_budgets, all_used;

static uint64_t hash_addr(uint64_t addr)
{
	return addr * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(struct th_cache *cache, uint64_t addr)
{
	return &cache->shard[hash_addr(addr) >> 60];
}

/* The home slot of an address.  Its shard was chosen by the highest bits of the hash. */
static size_t place_of(unsigned shift, uint64_t addr)
{
	return (hash_addr(addr) << 4) >> shift;
}

static size_t home_of(const struct shard *shard, uint64_t addr)
{
	return place_of(shard->shift, addr);
}

static int shard_init(struct shard *shard)
{
	pthread_mutex_init(&shard->lock, NULL);
	pthread_cond_init(&shard->loaded, NULL);
	shard->slots = TH_CACHE_SLOTS_MIN;
	shard->shift = 64 - __builtin_ctz(TH_CACHE_SLOTS_MIN);
	shard->slot = calloc(shard->slots, sizeof(*shard->slot));
	return shard->slot ? 0 : -ENOMEM;
}

int th_cache_new(struct th_disk *disk, struct th_readahead *ahead, size_t budget,
		 void (*report)(void *arg, const char *line), void *arg, struct th_cache **ret)
{
	struct th_cache *cache = calloc(1, sizeof(*cache));
	int err = 0;

	if (!cache)
		return -ENOMEM;
	cache->disk = disk;
	cache->ahead = ahead;
	cache->budget = budget;
	atomic_fetch_add(&all_budgets, budget);
	cache->report = report;
	cache->arg = arg;
	th_heap_keep((ptrdiff_t)budget);
	pthread_mutex_init(&cache->idle_lock, NULL);
	pthread_cond_init(&cache->idle, NULL);
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++)
		if (shard_init(&cache->shard[i]) < 0)
			err = -ENOMEM;
	if (err) {
		th_cache_free(cache);
		return err;
	}
	*ret = cache;
	return 0;
}

/* --- a shard's table; the shard is locked --- */

static bool has_addr(const struct slot *slot, uint64_t addr)
{
	return slot->tag >> 1 == addr;
}

/* Returns the slot with the address, or the empty slot where it belongs. */
static struct slot *shard_find(struct shard *shard, uint64_t addr)
{
	size_t i = home_of(shard, addr);

	while (shard->slot[i].tag && !has_addr(&shard->slot[i], addr))
		i = (i + 1) & (shard->slots - 1);
	return &shard->slot[i];
}

static struct slot *shard_find_node(struct shard *shard, const struct th_node *node)
{
	return shard_find(shard, node->ptr.addr);
}

/* Empties a slot: backward-shift deletion for linear probing. */
static void slot_empty(struct shard *shard, struct slot *slot)
{
	size_t mask = shard->slots - 1, hole = (size_t)(slot - shard->slot), i = hole;

	for (;;) {
		i = (i + 1) & mask;
		if (!shard->slot[i].tag)
			break;
		if (((i - home_of(shard, shard->slot[i].tag >> 1)) & mask) < ((i - hole) & mask))
			continue;
		shard->slot[hole] = shard->slot[i];
		hole = i;
	}
	shard->slot[hole] = (struct slot){ 0 };
}

/* Doubles the table.  If there is no memory, it stays more than half full. */
static void shard_grow(struct shard *shard)
{
	struct slot *from = shard->slot, *slot = calloc(2 * shard->slots, sizeof(*slot));
	size_t old = shard->slots;

	if (!slot)
		return;
	__atomic_store_n(&shard->slot, slot, __ATOMIC_RELAXED); /* th_cache_prefetch_slot reads these */
	__atomic_store_n(&shard->shift, shard->shift - 1, __ATOMIC_RELAXED);
	shard->slots = 2 * old;
	shard->hand = 0;
	for (size_t i = 0; i < old; i++)
		if (from[i].tag)
			*shard_find(shard, from[i].tag >> 1) = from[i];
	free(from);
}

/* --- retired nodes --- */

/* *ring is the oldest node; the node that is added is the last. */
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

static void retire(struct shard *shard, struct th_node *node)
{
	node->retired = true;
	ring_add(&shard->retired, node);
	shard->retired_used += node->cached_bytes;
}

static void unretire(struct shard *shard, struct th_node *node)
{
	ring_remove(&shard->retired, node);
	shard->retired_used -= node->cached_bytes;
	node->retired = false;
}

/* --- inserting, finding and evicting --- */

static void shard_remove(struct shard *shard, struct slot *slot)
{
	struct th_node *node = slot->node;

	slot_empty(shard, slot);
	if (node->retired)
		unretire(shard, node);
	shard->count--;
	shard->used -= node->cached_bytes;
	atomic_fetch_sub_explicit(&all_used, node->cached_bytes, memory_order_relaxed);
	th_node_unref(node);
}

/* Memory that a node is charged with, fragmentation included. */
static uint32_t node_memory(const struct th_node *node)
{
	size_t takes = th_heap_takes(sizeof(*node) + node->prefix_size) +
		       th_heap_takes(sizeof(*node->page) + node->page->size);

	return (uint32_t)(takes + takes / TH_CACHE_LOST);
}

/* Evicts retired nodes, the oldest first, then others by sweeps of the clock, until the shard is within its budget.
 * Nodes used since the last sweep stay for another round. */
static void shard_evict(struct shard *shard, size_t budget)
{
	size_t steps = 3 * shard->slots;

	while (shard->used > budget && shard->retired)
		shard_remove(shard, shard_find_node(shard, shard->retired));
	while (shard->used > budget && steps-- > 0) {
		struct slot *slot = &shard->slot[shard->hand];

		if (slot->tag && !(slot->tag & 1)) {
			shard_remove(shard, slot); /* another node may have moved into the slot */
			continue;
		}
		slot->tag &= ~UINT64_C(1);
		shard->hand = (shard->hand + 1) & (shard->slots - 1);
	}
}

static size_t shard_budget(const struct th_cache *cache)
{
	return (cache->budget - atomic_load_explicit(&cache->reserved, memory_order_relaxed)) / TH_CACHE_SHARDS;
}

/* Inserts a node and takes over one reference. */
static void shard_insert(struct th_cache *cache, struct shard *shard, struct th_node *node)
{
	struct slot *slot = shard_find_node(shard, node);

	if (slot->tag)
		shard_remove(shard, slot);
	if (2 * shard->count >= shard->slots)
		shard_grow(shard);
	if (shard->count + 1 >= shard->slots) { /* the table could not grow: the node is not cached */
		th_node_unref(node);
		return;
	}
	node->cached_bytes = node_memory(node);
	/* A leaf does not count as used until it is read again: a scan must not evict the nodes in use. */
	*shard_find_node(shard, node) = (struct slot){ node->ptr.addr << 1 | (node->level > 0), node };
	shard->count++;
	shard->used += node->cached_bytes;
	atomic_fetch_add_explicit(&all_used, node->cached_bytes, memory_order_relaxed);
	shard_evict(shard, shard_budget(cache));
}

static struct th_node *shard_lookup(struct shard *shard, const struct th_ptr *ptr)
{
	struct slot *slot = shard_find(shard, ptr->addr);
	struct th_node *node = slot->node;

	if (!slot->tag)
		return NULL;
	th_node_prefetch(node);
	if (node->ptr.birth != ptr->birth || node->ptr.checksum != ptr->checksum) {
		shard_remove(shard, slot); /* written before these blocks were freed and reused */
		return NULL;
	}
	if (node->retired)
		unretire(shard, node);
	slot->tag |= 1;
	return th_node_ref(node);
}

/* --- */

void th_cache_reserve(struct th_cache *cache, size_t bytes)
{
	size_t step = cache->budget / TH_CACHE_STEPS + 1, most = cache->budget - cache->budget / TH_CACHE_LEAST;
	size_t reserved = (bytes + step - 1) / step * step;

	if (reserved > most)
		reserved = most;
	if (atomic_exchange_explicit(&cache->reserved, reserved, memory_order_relaxed) >= reserved)
		return;
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++) {
		struct shard *shard = &cache->shard[i];

		pthread_mutex_lock(&shard->lock);
		shard_evict(shard, shard_budget(cache));
		pthread_mutex_unlock(&shard->lock);
	}
}

size_t th_cache_outside(const struct th_cache *cache)
{
	size_t all = th_heap_counts(), used = atomic_load_explicit(&all_used, memory_order_relaxed);
	double part = (double)cache->budget / (double)atomic_load(&all_budgets);

	used -= used / (TH_CACHE_LOST + 1); /* without the charge for fragmentation */
	return all > used ? (size_t)((double)(all - used) * part) : 0;
}

void th_cache_prefetch_slot(const struct th_cache *cache, const struct th_ptr *ptr)
{
	const struct shard *shard = &cache->shard[hash_addr(ptr->addr) >> 60];
	unsigned shift = __atomic_load_n(&shard->shift, __ATOMIC_RELAXED);

	/* Without the lock.  If the table grows at this moment, the prefetch is useless, but nothing is
	 * dereferenced. */
	__builtin_prefetch(__atomic_load_n(&shard->slot, __ATOMIC_RELAXED) + place_of(shift, ptr->addr));
}

struct th_disk *th_cache_disk(const struct th_cache *cache)
{
	return cache->disk;
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

static void report_damage(struct th_cache *cache, const struct th_ptr *ptr, int err, const char *why)
{
	th_report_format(cache->report, cache->arg,
			 "%s: node at block %" PRIu64 " (%u blocks, generation %" PRIu64 "): %s", cache->disk->name,
			 ptr->addr, ptr->blocks, ptr->birth, err == -EIO ? "cannot be read" : why);
}

/* A copy was wrong, and the node was read from the other one. */
static void note_spare(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, int err)
{
	if (cache->spare)
		cache->spare(cache->spare_arg, ptr, fence, err);
}

void th_cache_on_spare(struct th_cache *cache, th_cache_spare *spare, void *arg)
{
	cache->spare = spare;
	cache->spare_arg = arg;
}

/* Copies the blocks from the readahead, if it has them and they are still right. */
static bool read_ahead(struct th_cache *cache, const struct th_ptr *ptr, uint8_t *blocks)
{
	if (ptr->scattered || !th_readahead_read(cache->ahead, ptr->addr, ptr->blocks, blocks))
		return false;
	if (th_node_blocks_right(ptr, blocks))
		return true;
	th_readahead_forget(cache->ahead, ptr->addr);
	return false;
}

static int read_blocks(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, uint8_t *blocks)
{
	struct th_ptr second;
	int err;

	atomic_fetch_add(&cache->reads, 1);
	if (read_ahead(cache, ptr, blocks))
		return 0;
	err = th_node_blocks_read(cache->disk, ptr, blocks);
	if (!err || !ptr->mirror)
		return err;
	second = th_ptr_copy(ptr, 1);
	if (th_node_blocks_read(cache->disk, &second, blocks))
		return err;
	note_spare(cache, ptr, fence, err);
	return 0;
}

static int read_node(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, bool quiet,
		     struct th_node **ret)
{
	alignas(TH_BLOCK_SIZE) uint8_t blocks[TH_NODE_MAX];
	const char *why = "wrong checksum";
	int err;

	if (fence.size < ptr->prefix_size)
		return -EUCLEAN;
	err = read_blocks(cache, ptr, fence, blocks);
	if (!err)
		err = th_node_unpack(blocks, ptr, (struct th_slice){ fence.data, ptr->prefix_size }, ret, &why);
	if (err && err != -ENOMEM && !quiet)
		report_damage(cache, ptr, err, why);
	return err;
}

/* --- loads that several threads may wait for; the shard is locked --- */

static bool loads(const struct load *load, const struct th_ptr *ptr)
{
	return load->addr == ptr->addr && load->birth == ptr->birth;
}

static struct load *find_load(struct shard *shard, const struct th_ptr *ptr)
{
	struct load *load = shard->loads;

	while (load && !loads(load, ptr))
		load = load->next;
	return load;
}

static struct load *find_async_load(struct shard *shard, const struct th_ptr *ptr)
{
	struct load *load = shard->loads;

	while (load && !(load->async && loads(load, ptr)))
		load = load->next;
	return load;
}

static void load_put(struct shard *shard, struct load *load)
{
	if (--load->holders > 0)
		return;
	if (load->async) {
		th_node_unref(load->node);
		free(load);
	} else {
		pthread_cond_broadcast(&shard->loaded);
	}
}

/* Ends a synchronous load, which lies on its reader's stack: waits until all other holders have seen the result. */
static void end_load(struct shard *shard, struct load *load)
{
	load->holders--;
	while (load->holders > 0)
		pthread_cond_wait(&shard->loaded, &shard->lock);
	th_node_unref(load->node);
}

/* Waits for the read of another thread, or completes an asynchronous one.  Drops the lock while it waits. */
static int await_load(struct th_cache *cache, struct shard *shard, struct load *load, struct th_node **ret)
{
	int err;

	load->holders++;
	if (!load->done)
		th_thread_waits();
	while (load->async && !load->begun)
		pthread_cond_wait(&shard->loaded, &shard->lock);
	while (load->async && !load->done) {
		unsigned copy = load->copy;

		pthread_mutex_unlock(&shard->lock);
		th_disk_reap(cache->disk, &((struct async_load *)load)->future[copy]);
		pthread_mutex_lock(&shard->lock);
		while (!load->done && load->copy == copy)
			pthread_cond_wait(&shard->loaded, &shard->lock);
	}
	while (!load->done)
		pthread_cond_wait(&shard->loaded, &shard->lock);
	err = load->result;
	if (!err)
		*ret = th_node_ref(load->node);
	load_put(shard, load);
	return err;
}

/* Publishes the result of a read and wakes the threads that wait.  Returns the callbacks, which the caller runs without
 * the lock. */
static struct waiter *finish_load(struct th_cache *cache, struct shard *shard, struct load *load, int result,
				  struct th_node *node)
{
	struct load **at = &shard->loads;
	struct waiter *waiters = load->waiters;

	while (*at != load)
		at = &(*at)->next;
	*at = load->next;
	load->result = result;
	load->node = result == 0 ? th_node_ref(node) : NULL;
	load->done = true;
	load->waiters = NULL;
	if (result == 0)
		shard_insert(cache, shard, th_node_ref(node));
	pthread_cond_broadcast(&shard->loaded);
	return waiters;
}

static void call_waiters(struct waiter *waiter, int result, struct th_node *node)
{
	while (waiter) {
		struct waiter *next = waiter->next;

		waiter->loaded(waiter->arg, result, result == 0 ? th_node_ref(node) : NULL);
		free(waiter);
		waiter = next;
	}
}

static int cache_load(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, bool quiet,
		      struct th_node **ret)
{
	struct shard *shard = shard_of(cache, ptr->addr);
	struct load mine = { .addr = ptr->addr, .birth = ptr->birth, .holders = 1 }, *other;
	int err = 0;

	pthread_mutex_lock(&shard->lock);
again:
	*ret = shard_lookup(shard, ptr);
	if (*ret) {
		shard->hits++;
		goto out;
	}
	if (th_nowait_note(cache, ptr, fence)) {
		err = -EINPROGRESS;
		goto out;
	}
	other = find_load(shard, ptr);
	if (other) {
		err = await_load(cache, shard, other, ret);
		if (err && !quiet)
			goto again; /* the other thread may not have reported the damage */
		goto out;
	}
	mine.next = shard->loads;
	shard->loads = &mine;
	pthread_mutex_unlock(&shard->lock);
	err = read_node(cache, ptr, fence, quiet, ret);
	pthread_mutex_lock(&shard->lock);
	finish_load(cache, shard, &mine, err, *ret);
	end_load(shard, &mine);
out:
	pthread_mutex_unlock(&shard->lock);
	return err;
}

/* --- loads without waiting --- */

static void *buffer_take(struct th_cache *cache)
{
	void *buffer = NULL;

	pthread_mutex_lock(&cache->idle_lock);
	if (cache->buffers > 0)
		buffer = cache->buffer[--cache->buffers];
	pthread_mutex_unlock(&cache->idle_lock);
	return buffer ? buffer : th_disk_buffer(TH_NODE_MAX);
}

/* Keeps or frees the buffer of a load, which is over. */
static void async_over(struct th_cache *cache, void *buffer)
{
	pthread_mutex_lock(&cache->idle_lock);
	if (cache->buffers < TH_CACHE_AHEAD)
		cache->buffer[cache->buffers++] = buffer;
	else
		free(buffer);
	if (atomic_fetch_sub(&cache->under_way, 1) == 1)
		pthread_cond_broadcast(&cache->idle);
	pthread_mutex_unlock(&cache->idle_lock);
}

static void async_done(struct th_future *future, void *arg);

/* Starts to read the second copy, if there is one and the first was read.  Returns false if not. */
static bool async_second(struct async_load *async, int err)
{
	struct shard *shard = shard_of(async->cache, async->ptr.addr);
	struct th_ptr second = th_ptr_copy(&async->ptr, 1);

	if (!async->ptr.mirror || async->first_err)
		return false;
	async->first_err = err;
	th_node_blocks_get(async->cache->disk, &second, async->blocks, &async->future[1]);
	pthread_mutex_lock(&shard->lock);
	async->load.copy = 1;
	pthread_cond_broadcast(&shard->loaded);
	pthread_mutex_unlock(&shard->lock);
	th_future_then_driven(&async->future[1], async_done, async);
	return true;
}

static void async_done(struct th_future *future, void *arg)
{
	struct async_load *async = arg;
	struct th_cache *cache = async->cache;
	struct shard *shard = shard_of(cache, async->ptr.addr);
	struct th_slice prefix = { async->fence, async->ptr.prefix_size };
	struct th_node *node = NULL;
	struct waiter *waiters;
	const char *why;
	void *blocks;
	int err = future->result;

	if (!err && !th_node_blocks_right(&async->ptr, async->blocks))
		err = -EBADMSG;
	if (err && async_second(async, err))
		return;
	if (!err && async->first_err)
		note_spare(cache, &async->ptr, (struct th_slice){ async->fence, async->fence_size }, async->first_err);
	if (!err)
		err = th_node_unpack(async->blocks, &async->ptr, prefix, &node, &why);
	pthread_mutex_lock(&shard->lock);
	blocks = async->blocks;
	waiters = finish_load(cache, shard, &async->load, err, node);
	load_put(shard, &async->load);
	pthread_mutex_unlock(&shard->lock);
	call_waiters(waiters, err, node);
	th_node_unref(node);
	async_over(cache, blocks);
}

/* Adds a load to the shard's list.  Returns NULL if there is no memory.  The shard is locked. */
static struct async_load *async_new(struct th_cache *cache, struct shard *shard, const struct th_ptr *ptr,
				    struct th_slice fence)
{
	struct async_load *async = malloc(sizeof(*async) + fence.size);

	if (!async)
		return NULL;
	*async = (struct async_load){
		.load = { ptr->addr, ptr->birth, .async = true, .holders = 1, .next = shard->loads },
		.cache = cache,
		.ptr = *ptr,
		.blocks = buffer_take(cache),
		.fence_size = fence.size,
	};
	if (!async->blocks) {
		free(async);
		return NULL;
	}
	memcpy(async->fence, fence.data, fence.size);
	shard->loads = &async->load;
	atomic_fetch_add(&cache->under_way, 1);
	return async;
}

static void async_start(struct async_load *async)
{
	struct th_cache *cache = async->cache;
	struct shard *shard = shard_of(cache, async->ptr.addr);

	atomic_fetch_add(&cache->reads, 1);
	th_node_blocks_get(cache->disk, &async->ptr, async->blocks, &async->future[0]);
	pthread_mutex_lock(&shard->lock);
	async->load.begun = true;
	pthread_cond_broadcast(&shard->loaded);
	pthread_mutex_unlock(&shard->lock);
	/* A thread may wait in th_disk_reap for this load, which is over now: wake it. */
	if (th_future_then_driven(&async->future[0], async_done, async))
		th_disk_reap(cache->disk, NULL);
}

void th_cache_load_async(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			 th_cache_loaded *loaded, void *arg)
{
	struct shard *shard = shard_of(cache, ptr->addr);
	struct async_load *async = NULL;
	struct th_node *node = NULL;
	struct waiter *waiter = NULL;
	struct load *load;
	int err = fence.size < ptr->prefix_size ? -EUCLEAN : 0;

	pthread_mutex_lock(&shard->lock);
	if (!err)
		node = shard_lookup(shard, ptr);
	if (node) {
		shard->hits++;
	} else if (!err) {
		waiter = malloc(sizeof(*waiter));
		load = waiter ? find_async_load(shard, ptr) : NULL;
		if (waiter && !load) {
			async = async_new(cache, shard, ptr, fence);
			load = async ? &async->load : NULL;
		}
		if (load) {
			*waiter = (struct waiter){ loaded, arg, load->waiters };
			load->waiters = waiter;
		} else {
			err = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&shard->lock);
	if (async)
		async_start(async);
	if (err)
		free(waiter);
	if (err || node)
		loaded(arg, err, node);
}

void th_cache_prefetch(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence)
{
	struct shard *shard = shard_of(cache, ptr->addr);
	struct async_load *async = NULL;

	if (fence.size < ptr->prefix_size)
		return;
	if (atomic_load(&cache->under_way) >= TH_CACHE_AHEAD)
		th_disk_reap(cache->disk, NULL);
	if (atomic_load(&cache->under_way) >= TH_CACHE_AHEAD)
		return;
	pthread_mutex_lock(&shard->lock);
	if (!shard_find(shard, ptr->addr)->tag && !find_load(shard, ptr))
		async = async_new(cache, shard, ptr, fence);
	pthread_mutex_unlock(&shard->lock);
	if (async)
		async_start(async);
}

int th_cache_load(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, struct th_node **ret)
{
	return cache_load(cache, ptr, fence, false, ret);
}

int th_cache_load_retrying(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			   struct th_node **ret)
{
	int err = cache_load(cache, ptr, fence, false, ret);

	return err == -EIO ? cache_load(cache, ptr, fence, false, ret) : err;
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
	struct slot *slot;

	pthread_mutex_lock(&shard->lock);
	slot = shard_find(shard, addr);
	if (slot->tag)
		shard_remove(shard, slot);
	pthread_mutex_unlock(&shard->lock);
}

void th_cache_retire(struct th_cache *cache, uint64_t addr)
{
	struct shard *shard = shard_of(cache, addr);
	struct slot *slot;

	pthread_mutex_lock(&shard->lock);
	slot = shard_find(shard, addr);
	if (slot->tag && !slot->node->retired)
		retire(shard, slot->node);
	while (shard->retired_used > cache->budget / TH_CACHE_SHARDS / TH_CACHE_RETIRED)
		shard_remove(shard, shard_find_node(shard, shard->retired));
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

/* Waits for all loads, and for the threads that complete them.  No new ones begin. */
static void await_loads(struct th_cache *cache)
{
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++) {
		struct shard *shard = &cache->shard[i];
		struct th_node *node = NULL;

		pthread_mutex_lock(&shard->lock);
		while (shard->loads)
			if (await_load(cache, shard, shard->loads, &node) == 0)
				th_node_unref(node);
		pthread_mutex_unlock(&shard->lock);
	}
	pthread_mutex_lock(&cache->idle_lock);
	while (atomic_load(&cache->under_way) > 0)
		pthread_cond_wait(&cache->idle, &cache->idle_lock);
	pthread_mutex_unlock(&cache->idle_lock);
}

void th_cache_free(struct th_cache *cache)
{
	if (!cache)
		return;
	await_loads(cache);
	while (cache->buffers > 0)
		free(cache->buffer[--cache->buffers]);
	pthread_mutex_destroy(&cache->idle_lock);
	pthread_cond_destroy(&cache->idle);
	for (size_t i = 0; i < TH_CACHE_SHARDS; i++) {
		struct shard *shard = &cache->shard[i];

		shard_evict(shard, 0);
		free(shard->slot);
		pthread_mutex_destroy(&shard->lock);
		pthread_cond_destroy(&shard->loaded);
	}
	th_heap_keep(-(ptrdiff_t)cache->budget);
	atomic_fetch_sub(&all_budgets, cache->budget);
	free(cache);
}
