/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/walk.h"

static struct th_slice copy_key(struct th_slice key, uint8_t *space)
{
	if (key.size)
		memcpy(space, key.data, key.size);
	return (struct th_slice){ space, key.size };
}

static struct th_range range_near(struct th_random *random, const struct th_model *model, uint8_t *space)
{
	size_t from = th_random_below(random, (uint32_t)model->count);
	size_t to = from + th_random_below(random, th_random_percent(random, 80) ? 8 : 200);
	struct th_range range = { .from = copy_key(model->entries[from]->key, space) };

	if (to >= model->count)
		to = model->count - 1;
	range.to = copy_key(model->entries[to]->key, space + TH_KEY_MAX);
	return range;
}

struct th_range th_range_pick(const struct th_keys *keys, struct th_random *random, const struct th_model *model,
			      uint8_t *space)
{
	struct th_range range;

	if (model->count && th_random_percent(random, 70))
		return range_near(random, model, space);
	range.from = th_keys_pick(keys, random, space);
	range.to = th_keys_pick(keys, random, space + TH_KEY_MAX);
	if (th_model_compare(range.from, range.to) > 0) {
		struct th_slice swap = range.from;

		range.from = range.to;
		range.to = swap;
	}
	return range;
}

struct walk {
	struct th_cursor *cursor;
	const struct th_model *model;
	size_t from, to, at; /* indexes into the model; the cursor stands before entry `at` */
};

static void walk_compare(const char *what, int result, const struct th_model_entry *expected,
			 const struct th_cursor_entry *found)
{
	th_expect(result, expected ? 0 : 1);
	if (!expected)
		return;
	if (!th_model_same(found->key, expected->key))
		ck_abort_msg("walk, %s: wrong key, of %zu bytes, expected %zu", what, found->key.size,
			     expected->key.size);
	if (!th_model_same(found->value, expected->value) || found->refs != expected->refs)
		ck_abort_msg("walk, %s: wrong value or count", what);
}

static void walk_next(struct walk *walk)
{
	const struct th_model_entry *expected = th_model_next(walk->model, &walk->at);
	struct th_cursor_entry found;

	if (!expected || walk->at > walk->to) {
		expected = NULL;
		walk->at = walk->to;
	}
	walk_compare("forward", th_cursor_next(walk->cursor, &found), expected, &found);
}

static void walk_prev(struct walk *walk)
{
	size_t at = walk->at;
	const struct th_model_entry *expected = th_model_prev(walk->model, &at);
	struct th_cursor_entry found;

	if (!expected || at < walk->from) {
		expected = NULL;
		at = walk->from;
	}
	walk->at = at;
	walk_compare("backward", th_cursor_prev(walk->cursor, &found), expected, &found);
}

static void walk_seek(struct walk *walk, struct th_slice key)
{
	walk->at = th_model_lower(walk->model, key);
	if (walk->at < walk->from)
		walk->at = walk->from;
	if (walk->at > walk->to)
		walk->at = walk->to;
	th_ok(th_cursor_seek(walk->cursor, key));
}

void th_verify_walk(struct th_cursor *cursor, const struct th_model *model, const struct th_range *range,
		    const struct th_keys *keys, struct th_random *random, unsigned steps)
{
	struct walk walk = { .cursor = cursor, .model = model };
	unsigned forward = 100; /* per cent: long walks in one direction, sometimes a change at almost each step */
	uint8_t space[TH_KEY_MAX];

	th_model_bounds(model, range, &walk.from, &walk.to);
	walk.at = walk.from;
	while (steps--) {
		uint32_t what = th_random_below(random, 100);

		if (what < 3) {
			walk_seek(&walk, th_keys_pick(keys, random, space));
		} else if (what < 4) {
			th_cursor_seek_end(cursor);
			walk.at = walk.to;
		} else if (what < 10) {
			forward = th_random_percent(random, 20) ? 50 : 100 * th_random_below(random, 2);
		} else if (th_random_percent(random, forward)) {
			walk_next(&walk);
		} else {
			walk_prev(&walk);
		}
	}
}
