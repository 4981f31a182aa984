/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/node_heap.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes.  Half a unit is lost on average at the end of a large piece, but a region needs 10 bytes for each unit. */
#define TH_UNIT 1024u
#define TH_REGION_BYTES (32u << 20)
#define TH_REGION_UNITS (TH_REGION_BYTES / TH_UNIT)
#define TH_BINS 128 /* free spans by their number of units; the last bin has all larger ones */
#define TH_BIN_WORDS (TH_BINS / 64)
/* Free memory that is kept beside the caches' budgets: returning less would cost more system calls than it saves. */
#define TH_IDLE_MIN (4u << 20) /* bytes, */
#define TH_IDLE_PART 16 /* plus 1/16 of the memory in use */

static_assert(TH_MEMORY_MAX / TH_UNIT < TH_BINS - 1, "each piece has a bin without smaller spans");

#define TH_COLOUR 64u /* bytes: a line of the processor's cache */
#define TH_COLOUR_STEP (5 * TH_COLOUR)

#define TH_SLAB_UNITS 16u
#define TH_SMALL_MAX 2048u
#define TH_SMALL_STEP 16u /* between classes up to TH_SMALL_FINE; above, eight classes per power of two */
#define TH_SMALL_FINE 256u
#define TH_CLASSES 40

/* --- spans; heap.lock is held --- */

/* The tag of a unit: one of these, or in a slab the number of its units before this one. */
enum { TAG_PIECE = 0x40, TAG_FREE = 0x80 };

/* The memory of a unit: returned to the system; present; or present though its span was returned, because a part of its
 * page is in use. */
enum { ABSENT, PRESENT, EDGE };

/* Valid in the first unit of a span; `size` also in the last one. */
struct unit {
	uint16_t size;
	uint16_t idle; /* of a free span: units that are present and can be returned */
	uint16_t prev, next; /* of a free span: neighbours in its bin; 0: none */
};

struct region {
	struct region *next, *prev;
	size_t idle; /* units of its free spans that are present and can be returned */
	bool huge; /* the system may use huge pages for it */
	uint16_t bin[TH_BINS]; /* first free span by size; 0: none */
	struct region *bin_next[TH_BINS], *bin_prev[TH_BINS]; /* list of regions with free spans of this size */
	struct unit unit[TH_REGION_UNITS];
	uint8_t tag[TH_REGION_UNITS];
	uint8_t state[TH_REGION_UNITS];
};

/* The first unit after the region's header. */
#define TH_REGION_FIRST ((unsigned)((sizeof(struct region) + TH_UNIT - 1) / TH_UNIT))

static struct {
	pthread_mutex_t lock;
	struct region *first, *last;
	uint64_t bins[TH_BIN_WORDS]; /* bitmap of the bins that are not empty */
	struct region *bin[TH_BINS]; /* first region with such spans */
	_Atomic size_t used, idle, kept; /* units; also read without the lock */
	_Atomic size_t malloced; /* bytes, if malloc is used instead */
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

static void link_bin(struct region *region, unsigned bin)
{
	struct region *next = heap.bin[bin];

	region->bin_prev[bin] = NULL;
	region->bin_next[bin] = next;
	if (next)
		next->bin_prev[bin] = region;
	heap.bin[bin] = region;
	heap.bins[bin / 64] |= UINT64_C(1) << bin % 64;
}

static void unlink_bin(struct region *region, unsigned bin)
{
	struct region *next = region->bin_next[bin], *prev = region->bin_prev[bin];

	if (next)
		next->bin_prev[bin] = prev;
	*(prev ? &prev->bin_next[bin] : &heap.bin[bin]) = next;
	if (!heap.bin[bin])
		heap.bins[bin / 64] &= ~(UINT64_C(1) << bin % 64);
}

static void add_free(struct region *region, unsigned i, unsigned size, unsigned idle)
{
	struct unit *unit = &region->unit[i];
	unsigned bin = bin_of(size);

	set_span(region, i, size, TAG_FREE);
	unit->idle = (uint16_t)idle;
	unit->prev = 0;
	unit->next = region->bin[bin];
	if (unit->next)
		region->unit[unit->next].prev = (uint16_t)i;
	else
		link_bin(region, bin);
	region->bin[bin] = (uint16_t)i;
	region->idle += idle;
	heap.idle += idle;
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
		unlink_bin(region, bin);
	region->idle -= unit->idle;
	heap.idle -= unit->idle;
}

/* A search mostly waits for memory and for address translation; huge pages save the latter.  They are switched off
 * where memory is returned in parts, as the kernel would fill the gaps again. */
static void set_huge(struct region *region, bool huge)
{
	region->huge = huge;
	madvise(region, TH_REGION_BYTES, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static struct region *region_new(void)
{
	size_t room = 2 * (size_t)TH_REGION_BYTES;
	uint8_t *all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;
	struct region *region;

	if (all == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)all % TH_REGION_BYTES;
	if (before)
		munmap(all, before);
	munmap(all + before + TH_REGION_BYTES, TH_REGION_BYTES - before);
	region = (struct region *)(all + before);
	set_huge(region, heap.first != NULL); /* a process with one region may need little of it */
	region->prev = heap.last;
	*(heap.last ? &heap.last->next : &heap.first) = region;
	heap.last = region;
	add_free(region, TH_REGION_FIRST, TH_REGION_UNITS - TH_REGION_FIRST, 0);
	return region;
}

/* Returns the region of the smallest free span with at least `size` units, and the span in *ret; NULL: there is
 * none. Best fit halves the fragmentation compared with filling the first regions first.  Spans larger than any
 * piece are taken from the first region, so that the last ones may become free. */
static struct region *find_free(unsigned size, unsigned *ret)
{
	unsigned word = size / 64, bin;
	uint64_t bins = heap.bins[word] & UINT64_MAX << size % 64;
	struct region *region = heap.first;

	while (!bins && ++word < TH_BIN_WORDS)
		bins = heap.bins[word];
	if (!bins)
		return NULL;
	bin = 64 * word + (unsigned)__builtin_ctzll(bins);
	if (bin < TH_BINS - 1)
		region = heap.bin[bin];
	while (!region->bin[bin])
		region = region->next;
	*ret = region->bin[bin];
	return region;
}

static void *span_alloc(unsigned size, uint8_t tag)
{
	unsigned i = 0, whole, idle, taken = 0;
	struct region *region = find_free(size, &i);

	if (!region) {
		region = region_new();
		if (!region)
			return NULL;
		i = TH_REGION_FIRST;
	}
	whole = region->unit[i].size;
	idle = region->unit[i].idle;
	remove_free(region, i);
	for (unsigned j = i; j < i + size; j++)
		taken += region->state[j] == PRESENT;
	memset(&region->state[i], PRESENT, size);
	if (whole > size)
		add_free(region, i + size, whole - size, idle - taken);
	set_span(region, i, size, tag);
	heap.used += size;
	return (uint8_t *)region + (size_t)i * TH_UNIT;
}

/* Units per page of the system. */
static unsigned page_units(void)
{
	unsigned size = (unsigned)sysconf(_SC_PAGESIZE);

	return size > TH_UNIT ? size / TH_UNIT : 1;
}

/* Returns the pages that lie entirely within a free span to the system. */
static void return_span(struct region *region, unsigned i)
{
	unsigned page = page_units(), end = i + region->unit[i].size;
	unsigned from = (i + page - 1) / page * page, to = end / page * page;

	for (unsigned j = i; j < end; j++)
		if (j >= from && j < to)
			region->state[j] = ABSENT;
		else if (region->state[j] == PRESENT)
			region->state[j] = EDGE;
	if (from < to)
		madvise((uint8_t *)region + (size_t)from * TH_UNIT, (size_t)(to - from) * TH_UNIT, MADV_DONTNEED);
	region->idle -= region->unit[i].idle;
	heap.idle -= region->unit[i].idle;
	region->unit[i].idle = 0;
}

static void return_region(struct region *region)
{
	if (region->huge)
		set_huge(region, false);
	for (unsigned bin = TH_BINS - 1; bin > 0; bin--)
		for (unsigned i = region->bin[bin]; i; i = region->unit[i].next)
			if (region->unit[i].idle > 0)
				return_span(region, i);
	if (region->prev && region->unit[TH_REGION_FIRST].size == TH_REGION_UNITS - TH_REGION_FIRST)
		set_huge(region, true);
}

/* Returns free memory until at most `units` are idle.  Begins with the last region: it becomes free first, and the
 * first regions keep their huge pages. */
static void return_down_to(size_t units)
{
	for (struct region *region = heap.last; region && heap.idle > units; region = region->prev)
		if (region->idle > 0)
			return_region(region);
}

static size_t idle_max(void)
{
	size_t idle = TH_IDLE_MIN / TH_UNIT + heap.used / TH_IDLE_PART;

	return heap.kept > heap.used + idle ? heap.kept - heap.used : idle;
}

static void return_excess(void)
{
	if (heap.idle > idle_max())
		return_down_to(idle_max() - TH_IDLE_MIN / TH_UNIT / 2);
}

/* Units of [from, to) that were kept because of a neighbour in the same page: the neighbour is free now, so they can be
 * returned with it.  Returns their number. */
static unsigned join_edge(struct region *region, unsigned from, unsigned to)
{
	unsigned joined = 0;

	for (unsigned i = from; i < to; i++) {
		if (region->state[i] != EDGE)
			continue;
		region->state[i] = PRESENT;
		joined++;
	}
	return joined;
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void span_free(struct region *region, unsigned i)
{
	unsigned size = region->unit[i].size, idle = size, next = i + size, before, edge = page_units() - 1;

	heap.used -= size;
	if (is_free(region, next)) {
		size += region->unit[next].size;
		idle += region->unit[next].idle + join_edge(region, next, smaller(next + edge, i + size));
		remove_free(region, next);
	}
	if (is_free(region, i - 1)) {
		before = region->unit[i - 1].size;
		idle += region->unit[i - before].idle + join_edge(region, i - smaller(edge, before), i);
		size += before;
		i -= before;
		remove_free(region, i);
	}
	add_free(region, i, size, idle);
	return_excess();
}

/* --- slabs: each class has a lock --- */

struct piece {
	struct piece *next;
};

struct slab {
	struct slab *prev, *next; /* in the list of slabs with room */
	struct piece *freed;
	uint16_t class, used, fresh; /* used: number of pieces; pieces from `fresh` on were never used */
	bool listed;
};

#define TH_SLAB_FIRST 64u /* offset of the first piece, after the slab's header */
static_assert(sizeof(struct slab) <= TH_SLAB_FIRST, "the header of a slab fits");

struct class
{
	pthread_mutex_t lock;
	struct slab *slabs; /* those with room */
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

/* One empty slab of each class is kept. */
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

/* AddressSanitizer detects the use of freed memory only in malloc's. */
#ifdef __SANITIZE_ADDRESS__
#define TH_MEMORY_IS_MALLOC true
#else
#define TH_MEMORY_IS_MALLOC false
#endif

static void *malloc_counted(size_t size)
{
	void *memory = malloc(size);

	atomic_fetch_add(&heap.malloced, malloc_usable_size(memory));
	return memory;
}

static void free_counted(void *memory)
{
	atomic_fetch_sub(&heap.malloced, malloc_usable_size(memory));
	free(memory);
}

/* Pieces begin at different offsets within their first units, so that their beginnings are in different sets of the
 * processor's cache. */
static size_t colour(const void *memory, size_t spare)
{
	return unit_of(memory) * TH_COLOUR_STEP % (spare + 1) / TH_COLOUR * TH_COLOUR;
}

void *th_heap_alloc(size_t size)
{
	unsigned units = (unsigned)((size + TH_UNIT - 1) / TH_UNIT);
	uint8_t *memory;

	if (TH_MEMORY_IS_MALLOC)
		return malloc_counted(size);
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

void th_heap_free(void *memory)
{
	if (TH_MEMORY_IS_MALLOC)
		free_counted(memory);
	else if (memory)
		heap_free(memory);
}

void *th_heap_alloc_zeroed(size_t size)
{
	void *memory = th_heap_alloc(size);

	return memory ? memset(memory, 0, size) : NULL;
}

size_t th_heap_takes(size_t size)
{
	return size <= TH_SMALL_MAX ? class_bytes(class_of(size)) : (size + TH_UNIT - 1) / TH_UNIT * TH_UNIT;
}

void th_heap_keep(ptrdiff_t bytes)
{
	pthread_mutex_lock(&heap.lock);
	heap.kept += (size_t)(bytes / (ptrdiff_t)TH_UNIT);
	return_excess();
	pthread_mutex_unlock(&heap.lock);
}

static size_t used_bytes(void)
{
	return atomic_load(&heap.used) * TH_UNIT + atomic_load(&heap.malloced);
}

size_t th_heap_counts(void)
{
	size_t idle = atomic_load(&heap.idle), all = atomic_load(&heap.used) + idle, kept = atomic_load(&heap.kept);
	size_t over = all > kept ? all - kept : 0;

	return used_bytes() + (over < idle ? over : idle) * TH_UNIT;
}

void th_heap_stat(struct th_heap_stat *ret)
{
	pthread_mutex_lock(&heap.lock);
	*ret = (struct th_heap_stat){ used_bytes(), heap.idle * TH_UNIT };
	pthread_mutex_unlock(&heap.lock);
}
