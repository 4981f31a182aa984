/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store as the benchmark of stores uses it (bench_engines.c): keys with values, in order, with transactions.
 *
 * Functions either do what they are to do or end the program through engine_fail: a benchmark that goes on after an
 * error measures nothing.
 */
#ifndef TH_TESTS_BENCH_ENGINES_ENGINE_H
#define TH_TESTS_BENCH_ENGINES_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/thunderhead.h"

/* Told of a record that was read; its bytes are lent. */
typedef void engine_see(void *arg, struct th_slice key, struct th_slice value);

struct engine {
	const char *name;
	/* An empty store of the engine at `path`: a block device for Thunderhead, an empty directory for the others. */
	void *(*create)(const char *path, size_t cache_bytes);
	void (*close)(void *store);
	/* A transaction at a time: begin, puts, commit.  durable: it survives a power cut when commit returns. */
	void (*begin)(void *store);
	/* ascending: the key is greater than all that are there. */
	void (*put)(void *store, struct th_slice key, struct th_slice value, bool ascending);
	void (*commit)(void *store, bool durable);
	/* Makes everything durable. */
	void (*sync)(void *store);
	/* Waits for what the engine does later in the background: compaction, checkpoints. */
	void (*settle)(void *store);
	/* Reads come between these: a snapshot, if the engine wants one. */
	void (*read_begin)(void *store);
	void (*read_end)(void *store);
	/* Calls see for the key; false if it is not there. */
	bool (*get)(void *store, struct th_slice key, engine_see *see, void *arg);
	/* Calls see for at most `limit` records from the key on, in order. */
	void (*range)(void *store, struct th_slice from, uint64_t limit, engine_see *see, void *arg);
};

/* Those that this program was built with, and NULL. */
extern const struct engine *const engines[];

/* Says `bench_engines: engine: what: why` and ends the program. */
_Noreturn void engine_fail(const struct engine *engine, const char *what, const char *why);

#endif
