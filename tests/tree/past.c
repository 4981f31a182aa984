/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/past.h"

#include <stdio.h>
#include <stdlib.h>

#define FILL 'p' /* th_keys_pick has long runs of this byte */

struct th_slice th_past_prefix(struct th_random *random, uint8_t *space)
{
	static const char *const prefixes[] = { "",     "s",      "home/",    "home/user1/", "home/user2/dir3/file-",
						"a",    "b\x01",  "\xfe",     "\xff",        "\xff\xff\xff\xff\xff",
						"none", "pppppp", "home/user" };
	static const uint16_t runs[] = { 60, 500, TH_KEY_MAX - 8, TH_KEY_MAX };
	uint32_t at = th_random_below(random, 20);
	struct th_slice prefix;

	if (at < sizeof(prefixes) / sizeof(prefixes[0])) {
		prefix = th_slice_of(prefixes[at]);
		memcpy(space, prefix.data, prefix.size);
	} else if (at < 17) {
		prefix.size = runs[at - 13];
		memset(space, FILL, prefix.size);
	} else if (at < 19) {
		memcpy(space, "s\0\0", 4);
		prefix.size = th_random_between(random, 2, 4);
	} else {
		memset(space, 0xff, TH_KEY_MAX);
		prefix.size = TH_KEY_MAX;
	}
	return (struct th_slice){ space, prefix.size };
}

static bool begins_with(struct th_slice key, struct th_slice prefix)
{
	return key.size >= prefix.size && memcmp(key.data, prefix.data, prefix.size) == 0;
}

static struct th_slice without(struct th_slice key, size_t size)
{
	return (struct th_slice){ (const uint8_t *)key.data + size, key.size - size };
}

struct th_model *th_model_below(const struct th_model *model, struct th_slice prefix)
{
	struct th_model *below = th_model_new();

	for (size_t i = 0; i < model->count; i++) {
		const struct th_model_entry *entry = model->entries[i];

		if (!begins_with(entry->key, prefix))
			continue;
		if (entry->present)
			th_model_put(below, without(entry->key, prefix.size), entry->value);
		if (entry->refs)
			th_model_ref(below, without(entry->key, prefix.size), entry->refs);
	}
	return below;
}

void th_past_write(struct th_past *past, unsigned count)
{
	uint8_t space[TH_KEY_MAX], value[64];
	struct th_txn *txn;

	th_ok(th_txn_begin(past->fixture.store, &txn));
	for (unsigned i = 0; i < count; i++) {
		struct th_slice key = th_keys_pick(&past->keys, &past->random, space);
		uint32_t what = th_random_below(&past->random, 100);

		if (what < 70) {
			th_value_make(value, sizeof(value), key, past->stamp++);
			th_ok(th_txn_put(txn, key, (struct th_slice){ value, sizeof(value) }));
			th_model_put(past->live, key, (struct th_slice){ value, sizeof(value) });
		} else if (what < 90) {
			th_ok(th_txn_delete(txn, key));
			th_model_delete(past->live, key);
		} else {
			th_ok(th_txn_ref(txn, key, 1));
			th_model_ref(past->live, key, 1);
		}
	}
	th_ok(th_txn_commit(txn));
}

struct th_past *th_past_new(uint64_t seed)
{
	struct th_store_options options = { .cache_bytes = 256 << 10, .checkpoint_interval_ms = 3600 * 1000 };
	struct th_past *past = calloc(1, sizeof(*past));

	ck_assert_ptr_nonnull(past);
	past->random.state = seed;
	past->keys = (struct th_keys){ .salt = past->random.state, .range = 2000 };
	past->live = th_model_new();
	th_fixture_init(&past->fixture, 64, &options);
	for (unsigned i = 0; i < TH_PAST_STAGES; i++) {
		char stage[16];
		struct th_snapshot snapshot;

		th_past_write(past, i == 1 ? 20 : TH_PAST_WRITES);
		snprintf(stage, sizeof(stage), "stage-%u", i);
		th_ok(th_snapshot_create(past->fixture.store, stage, &snapshot));
		if (i % 2)
			th_ok(th_view_freeze(past->fixture.store, &past->views[i]));
		else
			th_ok(th_view_snapshot(past->fixture.store, snapshot.id, &past->views[i]));
		past->models[i] = th_model_copy(past->live);
	}
	th_past_write(past, TH_PAST_WRITES / 2);
	return past;
}

void th_past_free(struct th_past *past)
{
	for (unsigned i = 0; i < TH_PAST_STAGES; i++) {
		th_view_close(past->views[i]);
		th_model_unref(past->models[i]);
	}
	th_model_unref(past->live);
	th_verify_check(past->fixture.store, NULL);
	th_fixture_release(&past->fixture);
	free(past);
}
