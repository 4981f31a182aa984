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

int th_meta_each(struct th_store *store, uint8_t kind, th_meta_visit *each)
{
	struct th_meta_key from = { .kind = kind }, to = { .kind = (uint8_t)(kind + 1) };
	struct th_range range = { { &from, sizeof(from) }, { &to, sizeof(to) } };
	struct th_view view = { .store = store, .tree = &store->meta };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int end = 0, err = th_cursor_open(&view, &range, &cursor);

	if (err)
		return err;
	while (!err && (end = th_cursor_next(cursor, &entry)) == 0)
		err = each(store, &entry);
	th_cursor_close(cursor);
	if (err)
		return err;
	return end < 0 ? end : 0;
}
