/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/differences.h"

#include <stdlib.h>

/* One key that differs.  NULL: the key is absent on that side. */
struct difference {
	const struct th_model_entry *from, *to;
};

/* All differences of the models in a range, and a diff that stands before difference number `at`. */
struct differences {
	struct difference *list;
	size_t count, at;
	struct th_diff *diff;
};

static struct th_slice key_of(const struct difference *difference)
{
	return (difference->from ? difference->from : difference->to)->key;
}

static const struct th_model_entry *peek(const struct th_model *model, size_t *at, size_t end)
{
	size_t next = *at;
	const struct th_model_entry *entry = th_model_next(model, &next);

	if (!entry || next > end)
		return NULL;
	*at = next - 1;
	return entry;
}

static void collect(struct differences *all, const struct th_model *from, const struct th_model *to,
		    const struct th_range *range)
{
	size_t from_at, from_end, to_at, to_end;

	th_model_bounds(from, range, &from_at, &from_end);
	th_model_bounds(to, range, &to_at, &to_end);
	all->list = calloc(from->count + to->count + 1, sizeof(*all->list));
	ck_assert_ptr_nonnull(all->list);
	for (;;) {
		const struct th_model_entry *a = peek(from, &from_at, from_end), *b = peek(to, &to_at, to_end);
		int order = !a ? 1 : !b ? -1 : th_model_compare(a->key, b->key);

		if (!a && !b)
			return;
		from_at += order <= 0;
		to_at += order >= 0;
		if (order || (a != b && (a->refs != b->refs || !th_model_same(a->value, b->value))))
			all->list[all->count++] = (struct difference){ order <= 0 ? a : NULL, order >= 0 ? b : NULL };
	}
}

static void open_differences(struct differences *all, struct th_view *from, const struct th_model *from_model,
			     struct th_view *to, const struct th_model *to_model, const struct th_range *range)
{
	*all = (struct differences){ 0 };
	collect(all, from_model, to_model, range);
	th_ok(th_diff_open(from, to, range, &all->diff));
}

static void close_differences(struct differences *all)
{
	th_diff_close(all->diff);
	free(all->list);
}

static void verify_side(const char *what, const struct th_model_entry *expected, struct th_slice value, int32_t refs)
{
	ck_assert_msg(!expected == !value.data, "%s: %s", what, expected ? "a value is missing" : "a value is there");
	if (expected && (!th_model_same(expected->value, value) || expected->refs != refs))
		ck_abort_msg("%s: wrong value or count", what);
}

static void verify_change(const char *what, int result, const struct difference *expected,
			  const struct th_change *found)
{
	th_expect(result, expected ? 0 : 1);
	if (!expected)
		return;
	if (!th_model_same(found->key, key_of(expected)))
		ck_abort_msg("%s: wrong key, of %zu bytes, expected %zu", what, found->key.size, key_of(expected).size);
	verify_side(what, expected->from, found->from, found->from_refs);
	verify_side(what, expected->to, found->to, found->to_refs);
}

static void next(struct differences *all)
{
	struct th_change found;
	int err = th_diff_next(all->diff, &found);

	verify_change("diff forward", err, all->at < all->count ? &all->list[all->at] : NULL, &found);
	all->at += all->at < all->count;
}

static void prev(struct differences *all)
{
	struct th_change found;
	int err = th_diff_prev(all->diff, &found);

	verify_change("diff backward", err, all->at > 0 ? &all->list[all->at - 1] : NULL, &found);
	all->at -= all->at > 0;
}

static void seek(struct differences *all, struct th_slice key)
{
	th_ok(th_diff_seek(all->diff, key));
	all->at = 0;
	while (all->at < all->count && th_model_compare(key_of(&all->list[all->at]), key) < 0)
		all->at++;
}

void th_verify_diff(struct th_view *from, const struct th_model *from_model, struct th_view *to,
		    const struct th_model *to_model, const struct th_range *range)
{
	struct differences all;
	struct th_diff_stats stats;

	open_differences(&all, from, from_model, to, to_model, range);
	for (size_t i = 0; i <= all.count + 1; i++)
		next(&all);
	for (size_t i = 0; i <= all.count + 1; i++)
		prev(&all);
	th_diff_seek_end(all.diff);
	all.at = all.count;
	prev(&all);
	th_diff_stats(all.diff, &stats);
	ck_assert_uint_ge(stats.entries_compared, all.count);
	close_differences(&all);
}

void th_verify_diff_walk(struct th_view *from, const struct th_model *from_model, struct th_view *to,
			 const struct th_model *to_model, const struct th_range *range, const struct th_keys *keys,
			 struct th_random *random, unsigned steps)
{
	unsigned forward = 100; /* per cent: long walks in one direction, sometimes a change at almost each step */
	uint8_t space[TH_KEY_MAX];
	struct differences all;

	open_differences(&all, from, from_model, to, to_model, range);
	while (steps--) {
		uint32_t what = th_random_below(random, 100);

		if (what < 4) {
			seek(&all, th_keys_pick(keys, random, space));
		} else if (what < 6 && all.count) {
			seek(&all, key_of(&all.list[th_random_below(random, (uint32_t)all.count)]));
		} else if (what < 7) {
			th_diff_seek_end(all.diff);
			all.at = all.count;
		} else if (what < 14) {
			forward = th_random_percent(random, 20) ? 50 : 100 * th_random_below(random, 2);
		} else if (th_random_percent(random, forward)) {
			next(&all);
		} else {
			prev(&all);
		}
	}
	close_differences(&all);
}
