/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TH_UNIT 4096u /* a page of the system, as a rule: so that all of what is free can be given back */
#define TH_REGION_BYTES (32u << 20)
#define TH_REGION_UNITS (TH_REGION_BYTES / TH_UNIT)
#define TH_BINS 64 /* by the number of units; the last has all larger spans */
#define TH_IDLE_MIN (4u << 20)
#define TH_IDLE_PART 32 /* of what is used, the part that may be idle: one in so many */

#define TH_COLOUR 64u /* a line of the processor's cache */
#define TH_COLOUR_STEP (5 * TH_COLOUR)

#define TH_SLAB_UNITS 4u
#define TH_SMALL_MAX 2048u
#define TH_SMALL_STEP 16u /* up to TH_SMALL_FINE; then eight steps to the double */
#define TH_SMALL_FINE 256u
#define TH_CLASSES 40

/* --- spans; heap.lock is held --- */

/* What each unit is: one of these, or, in a slab, how many of it are before this one. */
enum { TAG_PIECE = 0x40, TAG_FREE = 0x80 };

/* Of a span's first unit, size of its last one as well. */
struct unit {
	uint16_t size;
	uint16_t dirty; /* of a free one: so many of its units are in memory */
	uint16_t prev, next; /* of a free one: in its bin; 0: none */
};

struct region {
	struct region *next;
	uint64_t bins; /* those that are not empty */
	uint16_t bin[TH_BINS];
	struct unit unit[TH_REGION_UNITS];
	uint8_t tag[TH_REGION_UNITS];
	uint8_t dirty[TH_REGION_UNITS]; /* 1: it was used since it was last given back, and so is in memory */
};

/* The unit behind the region's own. */
#define TH_REGION_FIRST ((unsigned)((sizeof(struct region) + TH_UNIT - 1) / TH_UNIT))

static struct {
	pthread_mutex_t lock;
	struct region *regions; /* in the order in which they are looked through */
	size_t used, dirty; /* units */
} heap = { .lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP };

static unsigned bin_of(unsigned size)
{
	return size < TH_BINS ? size : TH_BINS - 1;
}

static bool is_free(const struct region *region, unsigned i)
{
	return i < TH_REGION_UNITS && region->tag[i] == TAG_FREE;
}

static void set_span(struct region *region, unsigned i, unsigned size, uint8_t tag)
{
	region->unit[i].size = region->unit[i + size - 1].size = (uint16_t)size;
	region->tag[i] = region->tag[i + size - 1] = tag;
}

static void add_free(struct region *region, unsigned i, unsigned size, unsigned dirty)
{
	struct unit *unit = &region->unit[i];
	unsigned bin = bin_of(size);

	set_span(region, i, size, TAG_FREE);
	unit->dirty = (uint16_t)dirty;
	unit->prev = 0;
	unit->next = region->bin[bin];
	if (unit->next)
		region->unit[unit->next].prev = (uint16_t)i;
	region->bin[bin] = (uint16_t)i;
	region->bins |= UINT64_C(1) << bin;
	heap.dirty += dirty;
}

static void remove_free(struct region *region, unsigned i)
{
	struct unit *unit = &region->unit[i];
	unsigned bin = bin_of(unit->size);

	if (unit->next)
		region->unit[unit->next].prev = unit->prev;
	if (unit->prev)
		region->unit[unit->prev].next = unit->next;
	else
		region->bin[bin] = unit->next;
	if (!region->bin[bin])
		region->bins &= ~(UINT64_C(1) << bin);
	heap.dirty -= unit->dirty;
}

static struct region *region_new(void)
{
	size_t room = 2 * (size_t)TH_REGION_BYTES;
	uint8_t *all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;
	struct region *region, **end = &heap.regions;

	if (all == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)all % TH_REGION_BYTES;
	if (before)
		munmap(all, before);
	munmap(all + before + TH_REGION_BYTES, TH_REGION_BYTES - before);
	region = (struct region *)(all + before);
	madvise(region, TH_REGION_BYTES, MADV_NOHUGEPAGE); /* these would bring back what was given back */
	while (*end)
		end = &(*end)->next;
	*end = region;
	add_free(region, TH_REGION_FIRST, TH_REGION_UNITS - TH_REGION_FIRST, 0);
	return region;
}

/* The smallest free span that has so many units; 0: none. */
static unsigned find_free(const struct region *region, unsigned size)
{
	uint64_t bins = region->bins & UINT64_MAX << size;

	return bins ? region->bin[__builtin_ctzll(bins)] : 0;
}

static void *span_alloc(unsigned size, uint8_t tag)
{
	struct region *region = heap.regions;
	unsigned i = 0, whole, dirty, taken = 0;

	while (region && (i = find_free(region, size)) == 0)
		region = region->next;
	if (!region) {
		region = region_new();
		if (!region)
			return NULL;
		i = TH_REGION_FIRST;
	}
	whole = region->unit[i].size;
	dirty = region->unit[i].dirty;
	remove_free(region, i);
	for (unsigned j = i; j < i + size; j++)
		taken += region->dirty[j];
	memset(&region->dirty[i], 1, size);
	if (whole > size)
		add_free(region, i + size, whole - size, dirty - taken);
	set_span(region, i, size, tag);
	heap.used += size;
	return (uint8_t *)region + (size_t)i * TH_UNIT;
}

/* Gives back what lies in a free span. */
static void clean(struct region *region, unsigned i)
{
	unsigned page = (unsigned)sysconf(_SC_PAGESIZE) / TH_UNIT;
	unsigned from = page ? (i + page - 1) / page * page : i;
	unsigned to = page ? (i + region->unit[i].size) / page * page : i + region->unit[i].size;

	if (from < to)
		madvise((uint8_t *)region + (size_t)from * TH_UNIT, (size_t)(to - from) * TH_UNIT, MADV_DONTNEED);
	memset(&region->dirty[i], 0, region->unit[i].size);
	heap.dirty -= region->unit[i].dirty;
	region->unit[i].dirty = 0;
}

/* Larger spans first: small ones are soon used again. */
static void clean_down_to(size_t units)
{
	for (unsigned bin = TH_BINS - 1; bin > 0; bin--)
		for (struct region *region = heap.regions; region; region = region->next)
			for (unsigned i = region->bin[bin]; i && heap.dirty > units; i = region->unit[i].next)
				if (region->unit[i].dirty > 0)
					clean(region, i);
}

static size_t idle_max(void)
{
	size_t part = heap.used / TH_IDLE_PART;

	return part > TH_IDLE_MIN / TH_UNIT ? part : TH_IDLE_MIN / TH_UNIT;
}

static void span_free(struct region *region, unsigned i)
{
	unsigned size = region->unit[i].size, dirty = size, other;

	heap.used -= size;
	if (is_free(region, i + size)) {
		other = i + size;
		size += region->unit[other].size;
		dirty += region->unit[other].dirty;
		remove_free(region, other);
	}
	if (is_free(region, i - 1)) {
		other = i - region->unit[i - 1].size;
		size += region->unit[other].size;
		dirty += region->unit[other].dirty;
		remove_free(region, other);
		i = other;
	}
	add_free(region, i, size, dirty);
	if (heap.dirty > idle_max())
		clean_down_to(idle_max() / 2);
}

/* --- slabs: each class has a lock --- */

struct piece {
	struct piece *next;
};

struct slab {
	struct slab *prev, *next; /* among those that have room */
	struct piece *freed;
	uint16_t class, used, fresh; /* pieces; from `fresh` on they were never used */
	bool listed;
};

#define TH_SLAB_FIRST 64u /* where the pieces begin, behind the slab's own */
static_assert(sizeof(struct slab) <= TH_SLAB_FIRST, "a slab has room for itself");

struct class
{
	pthread_mutex_t lock;
	struct slab *slabs; /* those that have room */
};

static struct class classes[TH_CLASSES] = { [0 ... TH_CLASSES - 1] = { PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, NULL } };

static unsigned class_of(size_t size)
{
	unsigned top;

	if (size <= TH_SMALL_FINE)
		return size ? (unsigned)(size - 1) / TH_SMALL_STEP : 0;
	top = 31 - (unsigned)__builtin_clz((unsigned)size - 1); /* 8 for 257 to 512 */
	return TH_SMALL_FINE / TH_SMALL_STEP + (top - 8) * 8 + (((unsigned)size - 1) >> (top - 3) & 7);
}

static unsigned class_bytes(unsigned class)
{
	unsigned fine = TH_SMALL_FINE / TH_SMALL_STEP, step;

	if (class < fine)
		return (class + 1) * TH_SMALL_STEP;
	step = TH_SMALL_FINE / 8 << (class - fine) / 8;
	return (8 + (class - fine) % 8 + 1) * step;
}

static unsigned slab_room(unsigned class)
{
	return (TH_SLAB_UNITS * TH_UNIT - TH_SLAB_FIRST) / class_bytes(class);
}

static void list_add(struct class *class, struct slab *slab)
{
	slab->prev = NULL;
	slab->next = class->slabs;
	if (slab->next)
		slab->next->prev = slab;
	class->slabs = slab;
	slab->listed = true;
}

static void list_remove(struct class *class, struct slab *slab)
{
	if (slab->next)
		slab->next->prev = slab->prev;
	if (slab->prev)
		slab->prev->next = slab->next;
	else
		class->slabs = slab->next;
	slab->listed = false;
}

static struct region *region_of(const void *memory)
{
	return (struct region *)((uintptr_t)memory & ~(uintptr_t)(TH_REGION_BYTES - 1));
}

static unsigned unit_of(const void *memory)
{
	return (unsigned)((uintptr_t)memory % TH_REGION_BYTES / TH_UNIT);
}

static struct slab *slab_new(unsigned class)
{
	struct slab *slab;

	pthread_mutex_lock(&heap.lock);
	slab = span_alloc(TH_SLAB_UNITS, 0);
	for (unsigned i = 0; slab && i < TH_SLAB_UNITS; i++)
		region_of(slab)->tag[unit_of(slab) + i] = (uint8_t)i;
	pthread_mutex_unlock(&heap.lock);
	if (slab)
		*slab = (struct slab){ .class = (uint16_t) class };
	return slab;
}

static void *small_alloc(size_t size)
{
	unsigned number = class_of(size);
	struct class *class = &classes[number];
	struct piece *piece = NULL;
	struct slab *slab;

	pthread_mutex_lock(&class->lock);
	slab = class->slabs;
	if (!slab) {
		slab = slab_new(number);
		if (!slab)
			goto out;
		list_add(class, slab);
	}
	piece = slab->freed;
	if (piece)
		slab->freed = piece->next;
	else
		piece = (struct piece *)((uint8_t *)slab + TH_SLAB_FIRST + slab->fresh++ * class_bytes(number));
	slab->used++;
	if (!slab->freed && slab->fresh == slab_room(number))
		list_remove(class, slab);
out:
	pthread_mutex_unlock(&class->lock);
	return piece;
}

/* One slab that is empty is kept. */
static void small_free(struct slab *slab, void *memory)
{
	struct class *class = &classes[slab->class];
	struct piece *piece = memory;
	bool empty;

	pthread_mutex_lock(&class->lock);
	piece->next = slab->freed;
	slab->freed = piece;
	slab->used--;
	if (!slab->listed)
		list_add(class, slab);
	empty = slab->used == 0 && (slab->prev || slab->next);
	if (empty)
		list_remove(class, slab);
	pthread_mutex_unlock(&class->lock);
	if (!empty)
		return;
	pthread_mutex_lock(&heap.lock);
	span_free(region_of(slab), unit_of(slab));
	pthread_mutex_unlock(&heap.lock);
}

/* --- */

/* AddressSanitizer sees what is done to memory that was freed if it is malloc's. */
#ifdef __SANITIZE_ADDRESS__
#define TH_MEMORY_IS_MALLOC true
#else
#define TH_MEMORY_IS_MALLOC false
#endif

/* Pieces begin at different places within their first units, so that their beginnings do not meet in the processor's
 * cache. */
static size_t colour(const void *memory, size_t spare)
{
	return unit_of(memory) * TH_COLOUR_STEP % (spare + 1) / TH_COLOUR * TH_COLOUR;
}

void *th_memory_alloc(size_t size)
{
	unsigned units = (unsigned)((size + TH_UNIT - 1) / TH_UNIT);
	uint8_t *memory;

	if (TH_MEMORY_IS_MALLOC)
		return malloc(size);
	if (size <= TH_SMALL_MAX)
		return small_alloc(size);
	if (size > TH_MEMORY_MAX)
		return NULL;
	pthread_mutex_lock(&heap.lock);
	memory = span_alloc(units, TAG_PIECE);
	pthread_mutex_unlock(&heap.lock);
	return memory ? memory + colour(memory, units * TH_UNIT - size) : NULL;
}

static void heap_free(void *memory)
{
	struct region *region = region_of(memory);
	unsigned i = unit_of(memory);

	if (region->tag[i] < TH_SLAB_UNITS) {
		small_free((struct slab *)((uint8_t *)region + (size_t)(i - region->tag[i]) * TH_UNIT), memory);
		return;
	}
	pthread_mutex_lock(&heap.lock);
	span_free(region, i);
	pthread_mutex_unlock(&heap.lock);
}

void th_memory_free(void *memory)
{
	if (TH_MEMORY_IS_MALLOC)
		free(memory);
	else if (memory)
		heap_free(memory);
}

void *th_memory_alloc_zeroed(size_t size)
{
	void *memory = th_memory_alloc(size);

	return memory ? memset(memory, 0, size) : NULL;
}

size_t th_memory_takes(size_t size)
{
	return size <= TH_SMALL_MAX ? class_bytes(class_of(size)) : (size + TH_UNIT - 1) / TH_UNIT * TH_UNIT;
}

void th_memory_stat(struct th_memory_stat *ret)
{
	pthread_mutex_lock(&heap.lock);
	*ret = (struct th_memory_stat){ heap.used * TH_UNIT, heap.dirty * TH_UNIT };
	pthread_mutex_unlock(&heap.lock);
}
