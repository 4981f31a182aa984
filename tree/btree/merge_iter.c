/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/merge_iter.h"

#include "tree/node/message.h"

static struct th_slice skip(struct th_slice key, size_t n)
{
	return (struct th_slice){ (const uint8_t *)key.data + n, key.size - n };
}

/* The first bytes of a key as a number.  Keys compare as their heads do unless these are equal, which is rare. */
static uint64_t key_head(struct th_slice key)
{
	const uint8_t *bytes = key.data;
	uint64_t head = 0;

	if (key.size >= sizeof(head)) {
		memcpy(&head, bytes, sizeof(head));
		return TH_LE_SWAP(64, __builtin_bswap64(head));
	}
	for (size_t i = 0; i < sizeof(head); i++)
		head = head << 8 | (i < key.size ? bytes[i] : 0);
	return head;
}

static bool key_less(const struct th_merge_iter_source *a, const struct th_merge_iter_source *b)
{
	return a->head != b->head ? a->head < b->head : th_slice_compare(a->key, b->key) < 0;
}

static void source_load_key(struct th_merge_iter *m, struct th_merge_iter_source *s)
{
	const struct th_entry *e;

	if (s->i >= s->end)
		return;
	e = th_slab_entry(s->slab, s->i);
	s->key = skip((struct th_slice){ th_entry_key(e), th_entry_key_size(e) },
		      th_node_skip(s->node, e, m->prefix.size));
	s->head = key_head(s->key);
}

static void source_set_end(struct th_merge_iter *m, struct th_merge_iter_source *s)
{
	s->end = m->to.data ? th_slab_lower(s->node, s->slab, m->to) : s->slab->count;
}

static void source_advance(struct th_merge_iter *m, struct th_merge_iter_source *s)
{
	s->i++;
	while (s->i >= s->end && s->next.count > 0) {
		s->node = *s->next.node++;
		s->next.count--;
		s->slab = &s->node->overlay;
		s->i = 0;
		source_set_end(m, s);
		if (s->end == 0)
			break;
	}
	source_load_key(m, s);
}

/* A range message that ends at `to` comes into force. */
static void source_cover(struct th_merge_iter *m, struct th_merge_iter_source *s, struct th_slice to)
{
	s->covered = true;
	s->cover_end = (struct th_slice){ NULL, 0 };
	if (th_slice_common(to, m->prefix) == m->prefix.size)
		s->cover_end = skip(to, m->prefix.size);
	/* else `to` is greater than every key with the prefix, since the message begins before one of them */
}

static void merge_add(struct th_merge_iter *m, const struct th_node *node, const struct th_slab *slab,
		      struct th_overlay_row next, struct th_slice from)
{
	struct th_merge_iter_source *s = &m->source[m->sources];

	*s = (struct th_merge_iter_source){ .node = node, .slab = slab, .next = next };
	s->i = th_slab_lower(node, slab, from);
	source_set_end(m, s);
	if (s->i > 0) {
		const struct th_entry *e = th_slab_entry(slab, s->i - 1);

		if (slab == &node->overlay && th_message_covers(e, from))
			source_cover(m, s, th_entry_value(e));
	}
	if (s->i >= s->end) {
		s->i--; /* source_advance() then moves on to the next node, if there is one */
		source_advance(m, s);
	}
	source_load_key(m, s);
	if (s->i < s->end || s->covered)
		m->sources++;
}

static const struct th_merge_iter_source *lower_source(const struct th_merge_iter_source *low,
						       const struct th_merge_iter_source *s)
{
	return s->i < s->end && (!low || key_less(s, low)) ? s : low;
}

/* Updates `pending` and `covered` after a source other than the leaf's has moved. */
static void merge_update_pending(struct th_merge_iter *m)
{
	m->pending = NULL;
	m->covered = false;
	for (unsigned i = 0; i < m->sources; i++) {
		const struct th_merge_iter_source *s = &m->source[i];

		if (s == m->records)
			continue;
		m->pending = lower_source(m->pending, s);
		m->covered |= s->covered;
	}
}

void th_merge_iter_init(struct th_merge_iter *m, const struct th_path *path, struct th_overlay_row staged,
			struct th_slice from, struct th_slice to)
{
	const struct th_node *leaf = path->node[path->depth - 1];
	const struct th_overlay_row none = { NULL, 0 };
	unsigned newer;

	m->sources = 0;
	m->records = NULL;
	m->prefix = (struct th_slice){ leaf->prefix, leaf->prefix_size };
	m->to = to;
	if (staged.count > 0)
		merge_add(m, staged.node[0], &staged.node[0]->overlay,
			  (struct th_overlay_row){ staged.node + 1, staged.count - 1 }, from);
	for (unsigned i = 0; i + 1 < path->depth; i++)
		merge_add(m, path->node[i], &path->node[i]->overlay, none, from);
	newer = m->sources;
	merge_add(m, leaf, &leaf->base, none, from);
	if (m->sources > newer)
		m->records = &m->source[newer];
	merge_update_pending(m);
}

/* Adds a source's entry for the key to *out, if `counts`, and moves the source past it.  Returns true if the source
 * hides the older ones. */
static bool merge_source(struct th_merge_iter *m, struct th_merge_iter_source *s, struct th_merged *out, bool counts)
{
	bool final = false;

	if (s->i < s->end && s->head == out->head && th_slice_compare(s->key, out->suffix) == 0) {
		const struct th_entry *e = th_slab_entry(s->slab, s->i);

		if (th_message_is_range(e)) {
			source_cover(m, s, th_entry_value(e));
		} else if (counts) {
			final = th_message_fold(e, &out->value, &out->refs);
		}
		source_advance(m, s);
	}
	if (s->covered && s->cover_end.data && th_slice_compare(out->suffix, s->cover_end) >= 0)
		s->covered = false;
	return final || s->covered;
}

/* Returns the leaf's next record in *out, if no message interferes with it. */
static bool merge_record(struct th_merge_iter *m, struct th_merged *out)
{
	struct th_merge_iter_source *s = m->records;
	const struct th_entry *e;

	if (!s || s->i >= s->end || m->covered || (m->pending && !key_less(s, m->pending)))
		return false;
	e = th_slab_entry(s->slab, s->i);
	*out = (struct th_merged){ s->key, s->head, th_entry_has_value(e) ? e : NULL, th_entry_refs(e) };
	s->i++;
	source_load_key(m, s);
	return true;
}

bool th_merge_iter_next(struct th_merge_iter *m, struct th_merged *out)
{
	const struct th_merge_iter_source *low;
	bool counts = true;

	if (merge_record(m, out))
		return true;
	low = m->records ? lower_source(m->pending, m->records) : m->pending;
	if (!low)
		return false;
	*out = (struct th_merged){ .suffix = low->key, .head = low->head };
	for (unsigned i = 0; i < m->sources; i++)
		if (merge_source(m, &m->source[i], out, counts))
			counts = false;
	merge_update_pending(m);
	return true;
}
