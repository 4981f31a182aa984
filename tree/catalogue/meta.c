/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/meta.h"

#include <errno.h>
#include <string.h>

#include "tree/btree/insert.h"
#include "tree/btree/lookup.h"
#include "tree/catalogue/meta_format.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

/* --- messages in the superblock --- */

struct message {
	struct th_slice key, value;
	uint32_t size; /* of the whole message */
};

/* Reads the message at an offset.  Returns false if there is no complete one. */
static bool message_at(const struct th_super *super, uint32_t at, struct message *ret)
{
	struct th_carried_disk head;
	uint32_t room = super->carried_size - at;
	const uint8_t *bytes = super->carried + at;
	uint16_t value_size;

	if (room < sizeof(head))
		return false;
	memcpy(&head, bytes, sizeof(head));
	value_size = th_get_le16(head.value_size);
	if (head.kind > TH_CARRIED_PUT || (head.kind == TH_CARRIED_REMOVE && value_size) ||
	    room - sizeof(head) < (uint32_t)head.key_size + value_size)
		return false;
	ret->size = (uint32_t)sizeof(head) + head.key_size + value_size;
	ret->key = (struct th_slice){ bytes + sizeof(head), head.key_size };
	ret->value = TH_SLICE_EMPTY;
	if (head.kind == TH_CARRIED_PUT)
		ret->value = (struct th_slice){ bytes + sizeof(head) + head.key_size, value_size };
	else
		ret->value.data = NULL;
	return true;
}

int th_carried_each(const struct th_super *super, th_carried_visit *each, void *arg)
{
	struct message message;
	int err = 0;

	for (uint32_t at = 0; at < super->carried_size && !err; at += message.size) {
		if (!message_at(super, at, &message))
			return -EUCLEAN;
		err = each(arg, message.key, message.value);
	}
	return err;
}

/* Returns the offset of the message for a key, or the end of the messages. */
static uint32_t find(const struct th_super *super, struct th_slice key, struct message *ret)
{
	uint32_t at = 0;

	while (at < super->carried_size && message_at(super, at, ret)) {
		if (th_slice_compare(ret->key, key) == 0)
			return at;
		at += ret->size;
	}
	return super->carried_size;
}

bool th_carried_has(const struct th_super *super, struct th_slice key)
{
	struct message unused;

	return find(super, key, &unused) < super->carried_size;
}

static void carried_remove(struct th_super *super, struct th_slice key)
{
	struct message message = { .size = 0 };
	uint32_t at = find(super, key, &message);

	if (at == super->carried_size)
		return;
	super->carried_size -= (uint16_t)message.size;
	memmove(super->carried + at, super->carried + at + message.size, super->carried_size - at);
}

/* Adds a message in place of an earlier one for the key.  Returns false if there is no room: then no message for the
 * key is carried. */
static bool carried_add(struct th_super *super, struct th_slice key, struct th_slice value)
{
	struct th_carried_disk head = {
		.kind = value.data ? TH_CARRIED_PUT : TH_CARRIED_REMOVE,
		.key_size = (uint8_t)key.size,
		.value_size = th_le16((uint16_t)value.size),
	};
	size_t size = sizeof(head) + key.size + value.size;
	uint8_t *to;

	carried_remove(super, key);
	if (key.size > UINT8_MAX || size > sizeof(super->carried) - super->carried_size)
		return false;
	to = super->carried + super->carried_size;
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), key.data, key.size);
	if (value.size)
		memcpy(to + sizeof(head) + key.size, value.data, value.size);
	super->carried_size += (uint16_t)size;
	return true;
}

/* --- the tree --- */

static int put(void *arg, struct th_slice key, struct th_slice value)
{
	struct th_store *store = arg;
	struct th_entry *message =
		value.data ? th_message_put(key, TH_SLICE_EMPTY, value) : th_message_delete(key, TH_SLICE_EMPTY);

	return message ? th_tree_put(&store->meta, message) : -ENOMEM;
}

int th_meta_put(struct th_store *store, struct th_slice key, struct th_slice value)
{
	int err = put(store, key, value);

	if (!err && !carried_add(&store->super, key, value))
		store->meta_due = true;
	return err;
}

int th_meta_load(struct th_store *store)
{
	return th_carried_each(&store->super, put, store);
}

/* --- walking --- */

/* A walk over the entries of one kind. */
struct walk {
	struct th_store *store;
	th_meta_visit *each;
	struct th_slice from, to; /* the hole in which carried messages are looked for; to.data NULL: no end */
	const struct message *after; /* the last one visited; NULL: none */
};

/* Visits an entry.  A reader does without a malformed one. */
static int visit(struct walk *walk, const struct th_cursor_entry *entry)
{
	int err = walk->each(walk->store, entry);

	if (!th_store_lenient(walk->store, err))
		return err;
	th_store_lose(walk->store, TH_LOST_CATALOGUE);
	return 0;
}

static bool in_hole(const struct walk *walk, struct th_slice key)
{
	return th_slice_compare(key, walk->from) >= 0 && (!walk->to.data || th_slice_compare(key, walk->to) < 0);
}

/* Returns whether a carried message has the smallest key of the hole after `after` so far. */
static bool is_next(const struct walk *walk, const struct message *message, const struct message *best)
{
	return message->value.data && in_hole(walk, message->key) &&
	       (!walk->after || th_slice_compare(message->key, walk->after->key) > 0) &&
	       (!best->size || th_slice_compare(message->key, best->key) < 0);
}

/* Visits, in key order, the entries that the superblock carries for a part of the tree that cannot be read. */
static int visit_hole(struct walk *walk)
{
	const struct th_super *super = &walk->store->super;
	struct message last, message, best = { .size = 1 };
	int err = 0;

	walk->after = NULL;
	while (!err && best.size) {
		best.size = 0;
		for (uint32_t at = 0; at < super->carried_size && message_at(super, at, &message); at += message.size)
			if (is_next(walk, &message, &best))
				best = message;
		if (best.size) {
			last = best;
			walk->after = &last;
			err = visit(walk, &(struct th_cursor_entry){ .key = best.key, .value = best.value });
		}
	}
	return err;
}

static int walk_entries(struct walk *walk, struct th_cursor *cursor, struct th_slice end)
{
	struct th_cursor_entry entry;
	struct th_range hole;
	int err = 0, next;

	while (!err && (next = th_cursor_next(cursor, &entry)) != 1) {
		if (!next) {
			err = visit(walk, &entry);
			continue;
		}
		if (!th_store_lenient(walk->store, next))
			return next;
		th_store_lose(walk->store, TH_LOST_CATALOGUE);
		err = th_cursor_skip(cursor, &hole);
		walk->from = hole.from;
		walk->to = hole.to.data ? hole.to : end;
		if (!err)
			err = visit_hole(walk);
	}
	return err;
}

int th_meta_each(struct th_store *store, uint8_t kind, th_meta_visit *each)
{
	struct th_meta_key from = { .kind = kind }, to = { .kind = (uint8_t)(kind + 1) };
	struct th_range range = { { &from, sizeof(from) }, { &to, sizeof(to) } };
	struct th_view view = { .store = store, .tree = &store->meta };
	struct walk walk = { .store = store, .each = each };
	struct th_cursor *cursor;
	int err = th_cursor_open(&view, &range, &cursor);

	if (err)
		return err;
	err = walk_entries(&walk, cursor, range.to);
	th_cursor_close(cursor);
	return err;
}
