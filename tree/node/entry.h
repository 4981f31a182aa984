/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries: one key, with its value and reference count, or with a change to these.
 *
 * The same bytes serve as a record in a leaf, as a child pointer in an interior node, and as a message in an overlay or
 * a transaction.  As a message, an entry is a function on the record below it (message.h):
 *
 *   RESET   forget the record, value and count
 *   VALUE   set the value
 *   refs    add to the reference count
 *   RANGE   forget every record with key <= k < value; no other message of the same overlay lies in that range
 *
 * A record is the same function applied to nothing.  A record without value and with count 0 does not exist.
 *
 * Entries are immutable.  They lie either packed in a page (without the page's prefix of the key) or on the heap (with
 * the whole key and a reference count).  So a message moves down the tree, and a node is copied, by copying pointers.
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
	TH_ENTRY_CHUNK = 1 << 3, /* the value is a descriptor (large_value.h) */
	TH_ENTRY_REFS = 1 << 4, /* an le32 count follows the header */
	TH_ENTRY_SEQ = 1 << 5, /* then an le64 message sequence number */
	TH_ENTRY_HEAP = 1 << 7, /* in memory only: on the heap */
	TH_ENTRY_DISK_FLAGS = (1 << 6) - 1,
};

struct th_entry {
	uint8_t flags;
	uint8_t reserved;
	struct th_le16 key_size, value_size;
	/* le32 refs, le64 seq, key, value */
};
static_assert(sizeof(struct th_entry) == 6, "format.md: entry");

/* The use of a packed entry, which decides its optional fields. */
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

/* Reference counts wrap around, so that the order of additions makes no difference. */
static inline int32_t th_refs_add(int32_t a, int32_t b)
{
	return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* The sequence number of a message; 0: it has none. */
uint64_t th_entry_seq(const struct th_entry *e);

/* Makes a heap entry with one reference, count 0 and no sequence number.  The key is the two parts joined.  Parts
 * with data NULL are left for the caller to fill in.  Returns NULL if there is no memory. */
struct th_entry *th_entry_new(unsigned flags, struct th_slice key_head, struct th_slice key_tail,
			      struct th_slice value);
/* Set a field of a heap entry that no other thread can see yet. */
void th_entry_set_refs(struct th_entry *heap, int32_t refs);
void th_entry_set_seq(struct th_entry *heap, uint64_t seq);

void th_entry_ref_heap(const struct th_entry *e);
void th_entry_unref_heap(const struct th_entry *e);

/* Take and drop a reference to a heap entry.  Packed entries live as long as their page; for them nothing is done. */
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

/* The flags an entry is packed with.  A record has no sequence number, and a count of 0 is left out. */
static inline unsigned th_entry_packed_flags(const struct th_entry *e, enum th_entry_role role)
{
	unsigned flags = e->flags & (TH_ENTRY_VALUE | TH_ENTRY_CHUNK);

	if (th_entry_refs(e) != 0)
		flags |= TH_ENTRY_REFS;
	if (role == TH_ENTRY_MESSAGE)
		flags |= TH_ENTRY_SEQ | (e->flags & (TH_ENTRY_RESET | TH_ENTRY_RANGE));
	return flags;
}

/* Bytes of the packed entry, without the first `strip` bytes of its key. */
static inline size_t th_entry_packed_size(const struct th_entry *e, size_t strip, enum th_entry_role role)
{
	return th_entry_header_size(th_entry_packed_flags(e, role)) + th_entry_key_size(e) - strip +
	       th_get_le16(e->value_size);
}

/* Packs an entry to `to`.  Returns its size, th_entry_packed_size(). */
size_t th_entry_pack(const struct th_entry *e, size_t strip, enum th_entry_role role, void *to);

/* Compares as memcmp; a prefix is less. */
int th_slice_compare(struct th_slice a, struct th_slice b);
/* Bytes of the common prefix. */
size_t th_slice_common(struct th_slice a, struct th_slice b);

#define TH_SLICE_EMPTY ((struct th_slice){ "", 0 })

/* A key kept by value. */
struct th_key {
	uint16_t size;
	uint8_t data[TH_KEY_MAX + 1]; /* one byte more for a successor */
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

/* Copies only the bytes in use, as keys are usually short. */
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

/* Replaces a key by the smallest greater one.  It must be at most TH_KEY_MAX bytes long. */
static inline void th_key_successor(struct th_key *key)
{
	key->data[key->size++] = 0;
}

/* Sets a bound that is greater than every key. */
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

/* The upper bound; data NULL: none. */
static inline struct th_slice th_span_end(const struct th_span *span)
{
	return span->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&span->to);
}

/* Removes a part, which is the beginning of the span, or its end if `backward`. */
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
