/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry: one key with what is known or asked about it.
 *
 * The same bytes serve as a record in a leaf, as a child pointer in an interior node, and as a message in an overlay or
 * a transaction.  Read as a message, an entry is a function on the record below it:
 *
 *   RESET   forget what is below, value and count
 *   VALUE   the value becomes this one
 *   refs    is added to the reference count
 *   RANGE   forget every record with key <= k < value; nothing else in the same overlay lies in that range
 *
 * Read as a record, what is below is nothing.  A record without value and with count 0 does not exist.
 *
 * Entries are immutable and lie either packed in a page (their key stripped of the page's prefix) or on the heap (whole
 * key, counted references), so that a message rides down the tree, and a node is copied, by moving pointers.
 */
#ifndef TH_TREE_NODE_ENTRY_H
#define TH_TREE_NODE_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "journal/base/format.h"
#include "tree/thunderhead.h"

enum th_entry_flags {
	TH_ENTRY_VALUE = 1 << 0,
	TH_ENTRY_RESET = 1 << 1,
	TH_ENTRY_RANGE = 1 << 2,
	TH_ENTRY_CHUNK = 1 << 3, /* the value is a chunk descriptor (chunk.h) */
	TH_ENTRY_REFS = 1 << 4, /* an le32 count follows the header */
	TH_ENTRY_SEQ = 1 << 5, /* then an le64 message sequence number */
	TH_ENTRY_HEAP = 1 << 7, /* in memory only: counted, with a whole key */
	TH_ENTRY_DISK_FLAGS = (1 << 6) - 1,
};

struct th_entry {
	uint8_t flags;
	uint8_t reserved;
	struct th_le16 key_size, value_size;
	/* le32 refs, le64 seq, key, value */
};
static_assert(sizeof(struct th_entry) == 6, "format.md: entry");

/* Where an entry is going to lie: decides which optional fields it is packed with. */
enum th_entry_role { TH_ENTRY_RECORD, TH_ENTRY_MESSAGE };

static inline size_t th_entry_header_size(unsigned flags)
{
	return sizeof(struct th_entry) + (flags & TH_ENTRY_REFS ? 4 : 0) + (flags & TH_ENTRY_SEQ ? 8 : 0);
}

static inline size_t th_entry_key_size(const struct th_entry *e)
{
	return th_get_le16(e->key_size);
}

static inline const uint8_t *th_entry_key(const struct th_entry *e)
{
	return (const uint8_t *)e + th_entry_header_size(e->flags);
}

static inline struct th_slice th_entry_value(const struct th_entry *e)
{
	return (struct th_slice){ th_entry_key(e) + th_entry_key_size(e), th_get_le16(e->value_size) };
}

static inline int32_t th_entry_refs(const struct th_entry *e)
{
	struct th_le32 v;

	if (!(e->flags & TH_ENTRY_REFS))
		return 0;
	memcpy(&v, e + 1, sizeof(v));
	return (int32_t)th_get_le32(v);
}

/* Reference counts wrap, whatever was added to them: so it makes no difference in which order that is done. */
static inline int32_t th_refs_add(int32_t a, int32_t b)
{
	return (int32_t)((uint32_t)a + (uint32_t)b);
}

uint64_t th_entry_seq(const struct th_entry *e);

/* A new heap entry, holding one reference.  The key is the two parts joined.  NULL: no memory. */
struct th_entry *th_entry_new(unsigned flags, struct th_slice key_head, struct th_slice key_tail,
			      struct th_slice value);
void th_entry_set_refs(struct th_entry *heap, int32_t refs);
void th_entry_set_seq(struct th_entry *heap, uint64_t seq);

void th_entry_ref_heap(const struct th_entry *e);
void th_entry_unref_heap(const struct th_entry *e);

/* References of packed entries are those of their page; nothing is done for them here. */
static inline const struct th_entry *th_entry_ref(const struct th_entry *e)
{
	if (e->flags & TH_ENTRY_HEAP)
		th_entry_ref_heap(e);
	return e;
}

static inline void th_entry_unref(const struct th_entry *e)
{
	if (e->flags & TH_ENTRY_HEAP)
		th_entry_unref_heap(e);
}

/* The flags an entry is packed with: a record needs no sequence number, and nobody needs a count of 0. */
static inline unsigned th_entry_packed_flags(const struct th_entry *e, enum th_entry_role role)
{
	unsigned flags = e->flags & (TH_ENTRY_VALUE | TH_ENTRY_CHUNK);

	if (th_entry_refs(e) != 0)
		flags |= TH_ENTRY_REFS;
	if (role == TH_ENTRY_MESSAGE)
		flags |= TH_ENTRY_SEQ | (e->flags & (TH_ENTRY_RESET | TH_ENTRY_RANGE));
	return flags;
}

/* Bytes an entry takes packed, its key being `strip` bytes shorter. */
static inline size_t th_entry_packed_size(const struct th_entry *e, size_t strip, enum th_entry_role role)
{
	return th_entry_header_size(th_entry_packed_flags(e, role)) + th_entry_key_size(e) - strip +
	       th_get_le16(e->value_size);
}

size_t th_entry_pack(const struct th_entry *e, size_t strip, enum th_entry_role role, void *to);

int th_slice_compare(struct th_slice a, struct th_slice b);
size_t th_slice_common(struct th_slice a, struct th_slice b);

#define TH_SLICE_EMPTY ((struct th_slice){ "", 0 })

/* A key kept by value. */
struct th_key {
	uint16_t size;
	uint8_t data[TH_KEY_MAX + 1]; /* one more for a successor */
};

static inline struct th_slice th_key_slice(const struct th_key *key)
{
	return (struct th_slice){ key->data, key->size };
}

static inline void th_key_set(struct th_key *key, struct th_slice s)
{
	key->size = (uint16_t)s.size;
	memcpy(key->data, s.data, s.size);
}

/* Only what is in use of it: keys are short as a rule. */
static inline void th_key_copy(struct th_key *key, const struct th_key *from)
{
	key->size = from->size;
	memcpy(key->data, from->data, from->size);
}

static inline void th_key_join(struct th_key *key, struct th_slice head, struct th_slice tail)
{
	key->size = (uint16_t)(head.size + tail.size);
	if (head.size)
		memcpy(key->data, head.data, head.size);
	if (tail.size)
		memcpy(key->data + head.size, tail.data, tail.size);
}

/* The smallest key that is greater. */
static inline void th_key_successor(struct th_key *key)
{
	key->data[key->size++] = 0;
}

/* What is greater than any key, as a bound. */
static inline void th_key_set_last(struct th_key *key)
{
	key->size = sizeof(key->data);
	memset(key->data, 0xff, sizeof(key->data));
}

/* A range of keys kept by value. */
struct th_span {
	struct th_key from, to;
	bool open; /* there is no upper bound */
};

/* The upper bound, data NULL if there is none. */
static inline struct th_slice th_span_end(const struct th_span *span)
{
	return span->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&span->to);
}

/* Takes away what the part has of the span: its beginning, or its end if `backward`. */
static inline void th_span_take_off(struct th_span *span, const struct th_span *part, bool backward)
{
	if (backward)
		span->to = part->from;
	else
		span->from = part->open ? span->to : part->to;
	span->open &= !backward && !part->open;
}

static inline bool th_span_is_empty(const struct th_span *span)
{
	return !span->open && th_slice_compare(th_key_slice(&span->from), th_key_slice(&span->to)) >= 0;
}

#endif
