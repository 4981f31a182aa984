/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/model.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void *allocate(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (!p)
		abort();
	return p;
}

static void copy_bytes(void *to, struct th_slice from)
{
	if (from.size)
		memcpy(to, from.data, from.size);
}

static struct th_model_entry *entry_new(struct th_slice key, struct th_slice value, int32_t refs, bool present)
{
	struct th_model_entry *entry = allocate(NULL, sizeof(*entry) + key.size + value.size);

	entry->holders = 1;
	entry->refs = refs;
	entry->present = present;
	copy_bytes(entry->bytes, key);
	copy_bytes(entry->bytes + key.size, value);
	entry->key = (struct th_slice){ entry->bytes, key.size };
	entry->value = (struct th_slice){ entry->bytes + key.size, value.size };
	return entry;
}

static void entry_drop(struct th_model_entry *entry)
{
	if (!--entry->holders)
		free(entry);
}

struct th_model *th_model_new(void)
{
	struct th_model *model = allocate(NULL, sizeof(*model));

	*model = (struct th_model){ .holders = 1 };
	return model;
}

struct th_model *th_model_copy(const struct th_model *model)
{
	struct th_model *copy = th_model_new();

	copy->count = model->count;
	copy->space = model->count + 64;
	copy->entries = allocate(NULL, copy->space * sizeof(struct th_model_entry *));
	for (size_t i = 0; i < model->count; i++) {
		copy->entries[i] = model->entries[i];
		copy->entries[i]->holders++;
	}
	return copy;
}

struct th_model *th_model_hold(struct th_model *model)
{
	model->holders++;
	return model;
}

void th_model_unref(struct th_model *model)
{
	if (!model || --model->holders)
		return;
	for (size_t i = 0; i < model->count; i++)
		entry_drop(model->entries[i]);
	free(model->entries);
	free(model);
}

int th_model_compare(struct th_slice a, struct th_slice b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.data, b.data, size) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool th_model_same(struct th_slice a, struct th_slice b)
{
	return a.size == b.size && th_model_compare(a, b) == 0;
}

size_t th_model_lower(const struct th_model *model, struct th_slice key)
{
	size_t from = 0, to = model->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (th_model_compare(model->entries[middle]->key, key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct th_model_entry *entry_at(const struct th_model *model, size_t at, struct th_slice key)
{
	bool found = at < model->count && th_model_same(model->entries[at]->key, key);

	return found ? model->entries[at] : NULL;
}

static void entry_insert(struct th_model *model, size_t at, struct th_model_entry *entry)
{
	if (model->count == model->space) {
		model->space = model->space ? 2 * model->space : 64;
		model->entries = allocate(model->entries, model->space * sizeof(entry));
	}
	model->hashed = false;
	memmove(model->entries + at + 1, model->entries + at, (model->count - at) * sizeof(entry));
	model->entries[at] = entry;
	model->count++;
}

static void entries_remove(struct th_model *model, size_t from, size_t to)
{
	if (from == to)
		return;
	model->hashed = false;
	for (size_t i = from; i < to; i++)
		entry_drop(model->entries[i]);
	memmove(model->entries + from, model->entries + to, (model->count - to) * sizeof(*model->entries));
	model->count -= to - from;
}

void th_model_put(struct th_model *model, struct th_slice key, struct th_slice value)
{
	size_t at = th_model_lower(model, key);
	struct th_model_entry *old = entry_at(model, at, key);
	struct th_model_entry *entry = entry_new(key, value, old ? old->refs : 0, true);

	model->hashed = false;
	if (old) {
		model->entries[at] = entry;
		entry_drop(old);
	} else {
		entry_insert(model, at, entry);
	}
}

void th_model_delete(struct th_model *model, struct th_slice key)
{
	size_t at = th_model_lower(model, key);

	if (entry_at(model, at, key))
		entries_remove(model, at, at + 1);
}

void th_model_delete_range(struct th_model *model, struct th_range range)
{
	size_t from, to;

	th_model_bounds(model, &range, &from, &to);
	entries_remove(model, from, to);
}

void th_model_ref(struct th_model *model, struct th_slice key, int32_t delta)
{
	size_t at = th_model_lower(model, key);
	struct th_model_entry *old = entry_at(model, at, key);

	if (!old) {
		if (delta)
			entry_insert(model, at, entry_new(key, (struct th_slice){ 0 }, delta, false));
		return;
	}
	if (!old->present && old->refs + delta == 0) {
		entries_remove(model, at, at + 1);
		return;
	}
	model->hashed = false;
	model->entries[at] = entry_new(key, old->value, old->refs + delta, old->present);
	entry_drop(old);
}

const struct th_model_entry *th_model_get(const struct th_model *model, struct th_slice key)
{
	const struct th_model_entry *entry = entry_at(model, th_model_lower(model, key), key);

	return entry && entry->present ? entry : NULL;
}

const struct th_model_entry *th_model_next(const struct th_model *model, size_t *at)
{
	while (*at < model->count) {
		const struct th_model_entry *entry = model->entries[(*at)++];

		if (entry->present)
			return entry;
	}
	return NULL;
}

const struct th_model_entry *th_model_prev(const struct th_model *model, size_t *at)
{
	while (*at > 0) {
		const struct th_model_entry *entry = model->entries[--(*at)];

		if (entry->present)
			return entry;
	}
	return NULL;
}

size_t th_model_size(const struct th_model *model)
{
	size_t size = 0, at = 0;

	while (th_model_next(model, &at))
		size++;
	return size;
}

void th_model_bounds(const struct th_model *model, const struct th_range *range, size_t *ret_from, size_t *ret_to)
{
	*ret_from = range ? th_model_lower(model, range->from) : 0;
	*ret_to = range && range->to.data ? th_model_lower(model, range->to) : model->count;
	if (*ret_to < *ret_from)
		*ret_to = *ret_from;
}

uint64_t th_model_hash_entry(uint64_t hash, struct th_slice key, struct th_slice value, int32_t refs)
{
	uint64_t head[3] = { key.size, value.size, (uint64_t)(int64_t)refs };

	hash = XXH3_64bits_withSeed(head, sizeof(head), hash);
	hash = XXH3_64bits_withSeed(key.data, key.size, hash);
	return XXH3_64bits_withSeed(value.data, value.size, hash);
}

uint64_t th_model_hash(struct th_model *model)
{
	const struct th_model_entry *entry;
	size_t at = 0;

	if (model->hashed)
		return model->hash;
	model->hash = 0;
	while ((entry = th_model_next(model, &at)))
		model->hash = th_model_hash_entry(model->hash, entry->key, entry->value, entry->refs);
	model->hashed = true;
	return model->hash;
}
