/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of nodes: pieces do not overlap, threads share it, and free memory is returned to the system. */
#include "tests/tree/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tree/node/node_heap.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TEST_RESIDENT 1 /* the resident size of the process depends on the heap only */
#endif

#define PIECES 3000
#define ROUNDS 200000
#define THREADS 4
#define KEPT (1u << 20) /* an empty slab of each size may be kept */
#define MANY 4096
#define PAGE (15u << 10) /* bytes of a typical node */
#define SLACK (10u << 20) /* idle memory, headers of regions, and other memory of the process */

struct pieces {
	pthread_mutex_t lock;
	struct piece {
		uint8_t *memory;
		size_t size;
		uint8_t mark;
	} piece[PIECES];
	uint64_t seed;
	_Atomic unsigned threads;
};

static struct th_heap_stat stat_now(void)
{
	struct th_heap_stat stat;

	th_heap_stat(&stat);
	return stat;
}

static void check_idle(void)
{
	struct th_heap_stat stat = stat_now();

	ck_assert_uint_le(stat.idle, stat.used / 16 + (4u << 20));
}

static size_t random_size(struct th_random *rng)
{
	switch (th_random_next(rng) % 4) {
	case 0:
		return th_random_next(rng) % (TH_MEMORY_MAX + 1);
	case 1:
		return th_random_next(rng) % 4096;
	default:
		return th_random_next(rng) % 300;
	}
}

static bool is_all(const uint8_t *bytes, uint8_t byte, size_t size)
{
	while (size > 0 && bytes[size - 1] == byte)
		size--;
	return size == 0;
}

/* Checks the beginning and the end of a piece: a neighbour that overlaps it would change them. */
static void mark(const struct piece *piece)
{
	size_t edge = piece->size < 64 ? piece->size : 64;

	memset(piece->memory, piece->mark, edge);
	memset(piece->memory + piece->size - edge, piece->mark, edge);
}

static void check_mark(const struct piece *piece)
{
	size_t edge = piece->size < 64 ? piece->size : 64;

	ck_assert(is_all(piece->memory, piece->mark, edge));
	ck_assert(is_all(piece->memory + piece->size - edge, piece->mark, edge));
}

static void replace(struct piece *piece, struct th_random *rng)
{
	if (piece->memory)
		check_mark(piece);
	th_heap_free(piece->memory);
	piece->memory = NULL;
	if (th_random_next(rng) % 8 == 0)
		return;
	piece->size = random_size(rng);
	piece->mark = (uint8_t)th_random_next(rng);
	piece->memory = th_heap_alloc(piece->size);
	ck_assert(piece->memory && (uintptr_t)piece->memory % 16 == 0);
	mark(piece);
}

static void *replace_some(void *arg)
{
	struct pieces *pieces = arg;
	struct th_random rng = { .state = pieces->seed + atomic_fetch_add(&pieces->threads, 1) };

	for (unsigned i = 0; i < ROUNDS / THREADS; i++) {
		unsigned at = (unsigned)(th_random_next(&rng) % PIECES);
		struct piece piece;

		pthread_mutex_lock(&pieces->lock);
		piece = pieces->piece[at];
		pieces->piece[at].memory = NULL;
		pthread_mutex_unlock(&pieces->lock);
		replace(&piece, &rng);
		pthread_mutex_lock(&pieces->lock);
		if (!pieces->piece[at].memory) {
			pieces->piece[at] = piece;
			piece.memory = NULL;
		}
		pthread_mutex_unlock(&pieces->lock);
		th_heap_free(piece.memory); /* another thread was quicker */
	}
	return NULL;
}

START_TEST(pieces_of_threads_do_not_overlap)
{
	static struct pieces pieces = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct th_heap_stat before = stat_now();
	pthread_t thread[THREADS];

	pieces.seed = th_test_seed("pieces_of_threads_do_not_overlap");
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, replace_some, &pieces), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	check_idle();
	for (unsigned i = 0; i < PIECES; i++) {
		if (pieces.piece[i].memory)
			check_mark(&pieces.piece[i]);
		th_heap_free(pieces.piece[i].memory);
	}
	ck_assert_uint_le(stat_now().used, before.used + KEPT);
	check_idle();
}
END_TEST

START_TEST(every_size_can_be_allocated)
{
	uint8_t *zeroed;

	for (size_t size = 0; size <= TH_MEMORY_MAX; size += size < 2100 ? 1 : 509) {
		uint8_t *memory = th_heap_alloc(size), *next = th_heap_alloc(size);

		ck_assert(memory && next);
		memset(memory, 1, size);
		memset(next, 2, size);
		ck_assert(is_all(memory, 1, size) && is_all(next, 2, size));
		th_heap_free(memory);
		th_heap_free(next);
	}
	zeroed = th_heap_alloc_zeroed(200);
	ck_assert(is_all(zeroed, 0, 200));
	th_heap_free(zeroed);
	th_heap_free(NULL);
}
END_TEST

#define KEEP (128u << 20)
#define KEEP_PIECES (KEEP / 4096)

/* As in a full cache: pieces of a node's size are freed and allocated at random. */
START_TEST(little_is_lost_to_fragmentation)
{
	static struct piece pieces[KEEP_PIECES];
	struct th_random rng = { .state = th_test_seed("little_is_lost_to_fragmentation") };
	struct th_heap_stat stat;
	unsigned count = 0;
	size_t takes = 0;

	th_heap_keep(KEEP);
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t size = 10000 + th_random_next(&rng) % 10000;

		while (takes + th_heap_takes(size) > KEEP - KEEP / 8) {
			unsigned at = (unsigned)(th_random_next(&rng) % count);

			takes -= th_heap_takes(pieces[at].size);
			th_heap_free(pieces[at].memory);
			pieces[at] = pieces[--count];
		}
		pieces[count] = (struct piece){ .memory = th_heap_alloc(size), .size = size };
		ck_assert_ptr_nonnull(pieces[count++].memory);
		takes += th_heap_takes(size);
	}
	stat = stat_now();
	ck_assert_uint_le(stat.idle, KEEP / 24);
	while (count > 0)
		th_heap_free(pieces[--count].memory);
		/* It is kept until the budget is withdrawn. */
#ifndef __SANITIZE_ADDRESS__
	ck_assert_uint_gt(stat_now().idle, KEEP / 2);
#endif
	th_heap_keep(-(ptrdiff_t)KEEP);
	check_idle();
}
END_TEST

#ifdef TEST_RESIDENT

static size_t resident(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	unsigned long all, pages;

	ck_assert_ptr_nonnull(statm);
	ck_assert_int_eq(fscanf(statm, "%lu %lu", &all, &pages), 2);
	fclose(statm);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

struct many {
	size_t size;
	uint8_t *memory[MANY * (PAGE / 160 + 1)];
	unsigned count;
};

static void *get_many(void *arg)
{
	struct many *many = arg;

	many->count = (unsigned)(MANY * PAGE / many->size);
	for (unsigned i = 0; i < many->count; i++) {
		many->memory[i] = th_heap_alloc(many->size);
		if (!many->memory[i])
			ck_abort_msg("no memory");
		memset(many->memory[i], 1, many->size);
	}
	return NULL;
}

static void in_a_thread(void *(*work)(void *arg), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, work, arg), 0);
	pthread_join(thread, NULL);
}

static void free_some(struct many *many, unsigned step)
{
	for (unsigned i = 0; i < many->count; i += step) {
		th_heap_free(many->memory[i]);
		many->memory[i] = NULL;
	}
}

/* The memory of one thread's pages becomes that of another thread's messages, and pages again. */
START_TEST(memory_of_one_thread_serves_another)
{
	static struct many pages = { .size = PAGE }, messages = { .size = 160 };
	size_t before = resident(), most = before + (size_t)MANY * PAGE * 9 / 8 + SLACK;

	for (unsigned i = 0; i < 3; i++) {
		in_a_thread(get_many, &pages);
		ck_assert_uint_gt(resident(), before + (size_t)MANY * PAGE / 8 * 7);
		ck_assert_uint_le(resident(), most);
		free_some(&pages, 1);
		ck_assert_uint_le(resident(), before + SLACK);
		in_a_thread(get_many, &messages);
		ck_assert_uint_le(resident(), most);
		free_some(&messages, 1);
		ck_assert_uint_le(resident(), before + SLACK);
	}
}
END_TEST

/* As when the cache evicts nodes: the freed pieces lie between others. */
START_TEST(memory_between_pieces_is_returned)
{
	static struct many pages = { .size = PAGE };
	size_t before = resident();

	get_many(&pages);
	free_some(&pages, 2);
	check_idle();
	ck_assert_uint_le(resident(), before + (size_t)MANY * PAGE / 2 * 9 / 8 + SLACK);
	free_some(&pages, 1);
}
END_TEST

#endif

int main(void)
{
	const TTest *const tests[] = {
		pieces_of_threads_do_not_overlap,    every_size_can_be_allocated,       little_is_lost_to_fragmentation,
#ifdef TEST_RESIDENT
		memory_of_one_thread_serves_another, memory_between_pieces_is_returned,
#endif
	};

	return th_tests_run("node_heap", tests, sizeof(tests) / sizeof(tests[0]));
}
