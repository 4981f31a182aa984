/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference model of a store's content: a sorted array of entries, simple enough to be obviously correct.
 *
 * Entries are never modified and are shared between copies, so that a copy of a model (a snapshot, the state before a
 * transaction) costs one array of pointers.  A model belongs to one thread at a time.
 */
#ifndef TH_TESTS_SUPPORT_MODEL_H
#define TH_TESTS_SUPPORT_MODEL_H

#include "tree/thunderhead.h"

struct th_model_entry {
	unsigned holders;
	int32_t refs;
	bool present; /* false: the key is absent and only its count is kept */
	struct th_slice key, value;
	uint8_t bytes[];
};

struct th_model {
	unsigned holders;
	bool hashed;
	uint64_t hash; /* valid if hashed */
	struct th_model_entry **entries;
	size_t count, space;
};

struct th_model *th_model_new(void);
struct th_model *th_model_copy(const struct th_model *model);
/* Returns the same model with one more holder.  A shared model must not be modified: copy it before. */
struct th_model *th_model_hold(struct th_model *model);
/* Drops one holder, and frees the model after the last one.  NULL is ignored. */
void th_model_unref(struct th_model *model);

void th_model_put(struct th_model *model, struct th_slice key, struct th_slice value);
void th_model_delete(struct th_model *model, struct th_slice key);
void th_model_delete_range(struct th_model *model, struct th_range range);
void th_model_ref(struct th_model *model, struct th_slice key, int32_t delta);

/* Returns the entry of a key; NULL if the key is absent. */
const struct th_model_entry *th_model_get(const struct th_model *model, struct th_slice key);
/* Returns the index of the first entry, present or not, with key >= `key`. */
size_t th_model_lower(const struct th_model *model, struct th_slice key);
/* Returns the first present entry at or after index *at, and moves *at past it; NULL at the end. */
const struct th_model_entry *th_model_next(const struct th_model *model, size_t *at);
/* Returns the last present entry before index *at, and moves *at to it; NULL at the beginning. */
const struct th_model_entry *th_model_prev(const struct th_model *model, size_t *at);
/* Returns the number of present entries. */
size_t th_model_size(const struct th_model *model);
/* Returns the indexes [*ret_from, *ret_to) of the entries in a range; NULL: all. */
void th_model_bounds(const struct th_model *model, const struct th_range *range, size_t *ret_from, size_t *ret_to);

/* Returns a hash over keys, values and counts in order, which the model keeps.  th_model_hash_entry() computes the
 * same, entry by entry, from 0. */
uint64_t th_model_hash(struct th_model *model);
uint64_t th_model_hash_entry(uint64_t hash, struct th_slice key, struct th_slice value, int32_t refs);

int th_model_compare(struct th_slice a, struct th_slice b);
bool th_model_same(struct th_slice a, struct th_slice b);
static inline struct th_slice th_slice_of(const char *string)
{
	return (struct th_slice){ string, __builtin_strlen(string) };
}

#endif
