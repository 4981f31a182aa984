/* SPDX-License-Identifier: Apache-2.0 */
/* Thunderhead as an engine, and the operations that only it has */
#ifndef ENGINE_THUNDERHEAD_H
#define ENGINE_THUNDERHEAD_H

#include "tests/bench/engines/engine.h"

/* The second one reads and writes through the page cache, as other engines do. */
extern const struct engine engine_thunderhead, engine_thunderhead_buffered;

/* Begins a lookup, and ends it.  The latter returns true if the key exists. */
struct th_get *thunderhead_get_begin(void *store, struct th_slice key);
bool thunderhead_get_end(struct th_get *get, struct th_slice key, engine_visit *visit, void *arg);

/* Writes a checkpoint; with a name, keeps it as a snapshot. */
void thunderhead_commit(void *store, const char *snapshot);
/* Compares two snapshots.  Returns the number of keys that differ. */
uint64_t thunderhead_diff(void *store, const char *from, const char *to, uint64_t *ret_nodes_read);

#endif
