/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface of a store for bench_engines.c: ordered keys with values, and transactions.
 *
 * A function that fails ends the program through engine_fail(): a benchmark that continues after an error measures
 * nothing.
 */
#ifndef TH_TESTS_BENCH_ENGINES_ENGINE_H
#define TH_TESTS_BENCH_ENGINES_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/thunderhead.h"

/* Called with a record that was read; its bytes are valid during the call. */
typedef void engine_visit(void *arg, struct th_slice key, struct th_slice value);

struct engine {
	const char *name;
	/* Returns an empty store at `path`: a block device for Thunderhead, an empty directory for the others. */
	void *(*create)(const char *path, size_t cache_bytes);
	void (*close)(void *store);
	/* One transaction at a time: begin, puts, commit.  durable: it survives a power failure once commit returns. */
	void (*begin)(void *store);
	/* ascending: the key is greater than all keys of the store. */
	void (*put)(void *store, struct th_slice key, struct th_slice value, bool ascending);
	void (*commit)(void *store, bool durable);
	/* Makes everything durable. */
	void (*sync)(void *store);
	/* Waits for background work: compaction, checkpoints. */
	void (*settle)(void *store);
	/* All reads are between these two; the engine may take a snapshot. */
	void (*read_begin)(void *store);
	void (*read_end)(void *store);
	/* Calls visit with the record.  Returns false if the key is missing. */
	bool (*get)(void *store, struct th_slice key, engine_visit *visit, void *arg);
	/* Calls visit with at most `limit` records from the key on, in order. */
	void (*range)(void *store, struct th_slice from, uint64_t limit, engine_visit *visit, void *arg);
};

/* The engines of this build; NULL ends the list. */
extern const struct engine *const engines[];

/* Prints `bench_engines: engine: what: why` and ends the program. */
_Noreturn void engine_fail(const struct engine *engine, const char *what, const char *why);

#endif
