/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference model of a store's content: a plain sorted array of entries, so simple that it is plainly right.
 *
 * Entries are never modified and are shared between copies, so that a copy of a model (a snapshot, the state before a
 * transaction) costs one array of pointers.  A model belongs to one thread.
 */
#ifndef TH_TESTS_SUPPORT_MODEL_H
#define TH_TESTS_SUPPORT_MODEL_H

#include "tree/thunderhead.h"

struct th_model_entry {
	unsigned holders;
	int32_t refs;
	bool present; /* else only a count kept for a key that is absent */
	struct th_slice key, value;
	uint8_t bytes[];
};

struct th_model {
	unsigned holders;
	bool hashed;
	uint64_t hash; /* if hashed */
	struct th_model_entry **entries;
	size_t count, space;
};

struct th_model *th_model_new(void);
struct th_model *th_model_copy(const struct th_model *model);
/* One more holder of the same model; whoever wants to modify it then makes a copy. */
struct th_model *th_model_hold(struct th_model *model);
/* NULL is fine. */
void th_model_unref(struct th_model *model);

void th_model_put(struct th_model *model, struct th_slice key, struct th_slice value);
void th_model_delete(struct th_model *model, struct th_slice key);
void th_model_delete_range(struct th_model *model, struct th_range range);
void th_model_ref(struct th_model *model, struct th_slice key, int32_t delta);

/* NULL if the key is absent. */
const struct th_model_entry *th_model_get(const struct th_model *model, struct th_slice key);
/* Index of the first entry, seen or not, with key >= `key`. */
size_t th_model_lower(const struct th_model *model, struct th_slice key);
/* The first entry that is present at or after index `*at`, which is moved behind it; NULL at the end. */
const struct th_model_entry *th_model_next(const struct th_model *model, size_t *at);
/* The same backward: the last one before `*at`. */
const struct th_model_entry *th_model_prev(const struct th_model *model, size_t *at);
/* Entries that are present. */
size_t th_model_size(const struct th_model *model);
/* Index range of the keys of `range`; NULL: all. */
void th_model_bounds(const struct th_model *model, const struct th_range *range, size_t *ret_from, size_t *ret_to);

/* A hash over keys, values and counts in order (kept for the next time); fold entries into one that began with 0. */
uint64_t th_model_hash(struct th_model *model);
uint64_t th_model_hash_entry(uint64_t hash, struct th_slice key, struct th_slice value, int32_t refs);

int th_model_compare(struct th_slice a, struct th_slice b);
bool th_model_same(struct th_slice a, struct th_slice b);
static inline struct th_slice th_slice_of(const char *string)
{
	return (struct th_slice){ string, __builtin_strlen(string) };
}

#endif
