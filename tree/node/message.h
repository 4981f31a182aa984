/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: changes to records, on their way from the root to a leaf.
 *
 *   type             entry flags   effect on the record below
 *   put              VALUE         sets its value
 *   put large        VALUE|CHUNK   the same; the value is a descriptor (large_value.h)
 *   delete           RESET         forgets its value and its reference count
 *   add references   REFS          adds to its reference count
 *   delete range     RANGE|RESET   deletes every record with key <= k < value
 *
 * The first four concern one key.  A newer one of them meets an older one, or a record, and is composed with it; the
 * result is again one message for this key (a union of the flags), or one record.  Composition is associative, so it
 * does not matter how far a message has moved down when the next one follows it.  A range message replaces all older
 * messages in its range instead.
 *
 * To add a type:
 *
 *   entry.h          a flag; TH_ENTRY_DISK_FLAGS, and th_entry_packed_flags(), which else leaves it out on disk
 *   message.c        allowed_flags()
 *   message_apply.c  a row in the table and its choice in type_of(); compose(), if it concerns one key
 *   here             a constructor; th_message_hides_value(); th_message_deletes(), if it deletes;
 *                    th_message_fold(), if it concerns one key
 *   node_pack.c      the checks of a loaded entry
 *   ranges           every caller of th_message_is_range(), if it concerns several keys
 *   txn/txn.c        the function that writes it, and its contract in thunderhead.h
 *   tests            random_message() in node/test_message_apply.c, the list of flags that go together in
 *   test_message.c,
 *                    th_test_print() in nodes.c; the reference model (support/model.h), and with it the tests of
 *                    whole stores
 *   docs/format.md   "Entry", and an incompatible feature bit: an older program must refuse the image
 */
#ifndef TH_TREE_NODE_MESSAGE_H
#define TH_TREE_NODE_MESSAGE_H

#include "tree/node/entry.h"

/* --- messages and records alike --- */

static inline bool th_entry_has_value(const struct th_entry *e)
{
	return e->flags & TH_ENTRY_VALUE;
}

/* Is the value a descriptor of a large one? */
static inline bool th_entry_is_large(const struct th_entry *e)
{
	return e->flags & TH_ENTRY_CHUNK;
}

/* --- the effect of a message --- */

/* Does it delete a range of keys?  Then its value is the end of the range. */
static inline bool th_message_is_range(const struct th_entry *e)
{
	return e->flags & TH_ENTRY_RANGE;
}

/* Is it a range message that covers `key`?  The message must begin at or before the key. */
static inline bool th_message_covers(const struct th_entry *e, struct th_slice key)
{
	return th_message_is_range(e) && th_slice_compare(th_entry_value(e), key) > 0;
}

/* Does it decide the value of its key, so that older values are hidden? */
static inline bool th_message_hides_value(const struct th_entry *e)
{
	return e->flags & (TH_ENTRY_VALUE | TH_ENTRY_RESET | TH_ENTRY_RANGE);
}

/* Records that a range message counts for while it waits above the lowest interior nodes.  It deletes an unknown
 * number, but none that spans several leaves waits there, and none waits above a leaf (push_down.c).  A larger number
 * frees space sooner and writes nodes more often. */
#define TH_RANGE_DELETES 16u

/* Returns the number of records that a pending message counts for that may be deleted below it without being replaced
 * (N6). */
static inline unsigned th_message_deletes(const struct th_entry *e)
{
	if (th_message_is_range(e))
		return TH_RANGE_DELETES;
	return (e->flags & (TH_ENTRY_RESET | TH_ENTRY_VALUE)) == TH_ENTRY_RESET;
}

/* Adds a message for one key, or its record, to the result of all newer messages: *value is the entry with the
 * value, NULL if none had one, and *refs the reference count.  Returns true if older entries make no difference any
 * more. */
static inline bool th_message_fold(const struct th_entry *e, const struct th_entry **value, int32_t *refs)
{
	*refs = th_refs_add(*refs, th_entry_refs(e));
	if (!*value && (e->flags & TH_ENTRY_VALUE))
		*value = e;
	return e->flags & TH_ENTRY_RESET;
}

/* --- new messages: on the heap, with one reference for the caller; NULL if there is no memory --- */

/* The key is the two parts joined.  A value with data NULL is to be filled in by the caller before the message is
 * used. */
static inline struct th_entry *th_message_put(struct th_slice key_head, struct th_slice key_tail, struct th_slice value)
{
	return th_entry_new(TH_ENTRY_VALUE, key_head, key_tail, value);
}

static inline struct th_entry *th_message_put_large(struct th_slice key_head, struct th_slice key_tail,
						    struct th_slice descriptor)
{
	return th_entry_new(TH_ENTRY_VALUE | TH_ENTRY_CHUNK, key_head, key_tail, descriptor);
}

static inline struct th_entry *th_message_delete(struct th_slice key_head, struct th_slice key_tail)
{
	return th_entry_new(TH_ENTRY_RESET, key_head, key_tail, TH_SLICE_EMPTY);
}

struct th_entry *th_message_add_refs(struct th_slice key_head, struct th_slice key_tail, int32_t delta);
struct th_entry *th_message_delete_range(struct th_slice from, struct th_slice to, uint64_t seq);

/* --- checking --- */

/* Returns the size of the packed message or record at `data`, which is followed by at most `size` bytes of it; 0 if it
 * does not fit or is malformed. */
size_t th_message_packed_check(const void *data, size_t size);

#endif
