/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: values that name another key, counted there, and listed in an index.
 *
 * References are ordinary entries, written by public calls, so no other code in the store has to know of them: a
 * snapshot has the references of its time, and a diff shows their changes.
 *
 *     key                             value                       purpose
 *     key                             a mark, and the target      the reference
 *     target                          any; its count is 2         another reference, maybe
 *     index | size | target | key     empty                       names the referring key; size: of the target, 2 bytes
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/reference.h"
#include "tree/thunderhead.h"

static const uint8_t mark[TH_REFERENCE_MARK] = { 0xff, 'T', 'H', 'R', 'E', 'F', 0, 1 };

bool th_reference_target(struct th_slice value, struct th_slice *ret)
{
	const uint8_t *bytes = value.data;

	if (value.size < sizeof(mark) || value.size > sizeof(mark) + TH_KEY_MAX ||
	    memcmp(bytes, mark, sizeof(mark)) != 0)
		return false;
	*ret = (struct th_slice){ bytes + sizeof(mark), value.size - sizeof(mark) };
	return true;
}

/* --- keys and values --- */

/* A copy of a key. */
struct name {
	uint8_t bytes[TH_KEY_MAX];
	size_t size;
};

static void name_set(struct name *name, struct th_slice key)
{
	if (key.size > 0)
		memcpy(name->bytes, key.data, key.size);
	name->size = key.size;
}

static struct th_slice name_slice(const struct name *name)
{
	return (struct th_slice){ name->bytes, name->size };
}

static bool same(struct th_slice a, struct th_slice b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Makes the index's key for a reference.  Without `key` it is the prefix of all keys that refer to the target.
 * Returns 0 or -ENAMETOOLONG. */
static int index_key(const struct th_references *refs, struct th_slice target, struct th_slice key, struct name *ret)
{
	const uint8_t size[2] = { (uint8_t)(target.size >> 8), (uint8_t)target.size };
	const struct th_slice parts[] = { refs->index, { size, sizeof(size) }, target, key };

	ret->size = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].size > sizeof(ret->bytes) - ret->size)
			return -ENAMETOOLONG;
		if (parts[i].size > 0)
			memcpy(ret->bytes + ret->size, parts[i].data, parts[i].size);
		ret->size += parts[i].size;
	}
	return 0;
}

/* --- changing --- */

/* Reads the target and the reference count of a key.  Returns 0 for a reference, 1 for another value,
 * -ENOENT if the key does not exist, or the error of reading it. */
static int read_target(struct th_txn *txn, struct th_slice key, struct name *ret, int32_t *ret_refs)
{
	struct th_value value;
	struct th_slice target;
	bool is_reference;
	int err = th_txn_get(txn, key, &value);

	if (err)
		return err;
	is_reference = th_reference_target((struct th_slice){ value.data, value.size }, &target);
	if (is_reference)
		name_set(ret, target);
	*ret_refs = value.refs;
	th_value_release(&value);
	return is_reference ? 0 : 1;
}

static int index_put(struct th_txn *txn, const struct th_references *refs, struct th_slice target, struct th_slice key)
{
	struct name name;
	int err = index_key(refs, target, key, &name);

	return err ? err : th_txn_put(txn, name_slice(&name), (struct th_slice){ "", 0 });
}

static int index_delete(struct th_txn *txn, const struct th_references *refs, struct th_slice target,
			struct th_slice key)
{
	struct name name;
	int err = index_key(refs, target, key, &name);

	return err ? err : th_txn_delete(txn, name_slice(&name));
}

/* Removes the reference of `key` from its target.  If it was the last one and the target is to be deleted, deletes it,
 * and removes the target's own reference in the same way: every round deletes a key, so the loop ends. */
static int drop_reference(struct th_txn *txn, const struct th_references *refs, struct th_slice key,
			  struct name *target)
{
	struct name from, next;
	int32_t count;
	int err, kind;

	name_set(&from, key);
	for (;;) {
		err = index_delete(txn, refs, name_slice(target), name_slice(&from));
		if (!err)
			err = th_txn_ref(txn, name_slice(target), -1);
		if (err || !refs->delete_last)
			return err;
		kind = read_target(txn, name_slice(target), &next, &count);
		if (kind < 0 || count > 0)
			return kind < 0 && kind != -ENOENT ? kind : 0;
		err = th_txn_delete(txn, name_slice(target));
		if (err || kind == 1)
			return err;
		from = *target;
		*target = next;
	}
}

static int put_reference(struct th_txn *txn, const struct th_references *refs, struct th_slice key,
			 struct th_slice target)
{
	uint8_t value[sizeof(mark) + TH_KEY_MAX];
	int err = index_put(txn, refs, target, key);

	memcpy(value, mark, sizeof(mark));
	if (target.size > 0)
		memcpy(value + sizeof(mark), target.data, target.size);
	if (!err)
		err = th_txn_put(txn, key, (struct th_slice){ value, sizeof(mark) + target.size });
	return err ? err : th_txn_ref(txn, target, 1);
}

int th_txn_link(struct th_txn *txn, const struct th_references *refs, struct th_slice key, struct th_slice target)
{
	struct name old, unused;
	struct th_value value;
	int32_t count;
	int err, kind;

	if (same(key, target))
		return -EINVAL;
	err = index_key(refs, target, key, &unused);
	if (!err)
		err = th_txn_get(txn, target, &value);
	if (err)
		return err;
	th_value_release(&value);
	kind = read_target(txn, key, &old, &count);
	if (kind < 0 && kind != -ENOENT)
		return kind;
	if (kind == 0 && same(name_slice(&old), target))
		return 0;
	err = put_reference(txn, refs, key, target);
	return err || kind != 0 ? err : drop_reference(txn, refs, key, &old);
}

int th_txn_unlink(struct th_txn *txn, const struct th_references *refs, struct th_slice key)
{
	struct name target;
	int32_t count;
	int err, kind = read_target(txn, key, &target, &count);

	if (kind != 0)
		return kind < 0 ? kind : -EINVAL;
	if (count > 0)
		return -EBUSY;
	err = th_txn_delete(txn, key);
	return err ? err : drop_reference(txn, refs, key, &target);
}

/* --- following --- */

/* Follows references from key on, through a transaction (NULL: in the view). */
static int follow(struct th_view *view, struct th_txn *txn, struct th_slice key, unsigned steps, struct th_value *ret)
{
	struct th_slice target;
	struct name at;
	int err;

	for (;; steps--) {
		err = txn ? th_txn_get(txn, key, ret) : th_get(view, key, ret);
		if (err || !th_reference_target((struct th_slice){ ret->data, ret->size }, &target))
			return err;
		name_set(&at, target);
		th_value_release(ret);
		if (steps == 0)
			return -ELOOP;
		key = name_slice(&at);
	}
}

int th_follow(struct th_view *view, struct th_slice key, unsigned steps, struct th_value *ret)
{
	return follow(view, NULL, key, steps, ret);
}

int th_txn_follow(struct th_txn *txn, struct th_slice key, unsigned steps, struct th_value *ret)
{
	return follow(NULL, txn, key, steps, ret);
}

/* --- referring keys --- */

struct th_referrers {
	struct th_cursor *cursor;
	size_t skip; /* bytes of the index's key before the referrer's */
};

static int referrers_open(struct th_view *view, struct th_txn *txn, const struct th_references *refs,
			  struct th_slice target, struct th_referrers **ret)
{
	struct th_referrers *referrers;
	struct name prefix, end;
	struct th_range range;
	int err = index_key(refs, target, (struct th_slice){ NULL, 0 }, &prefix);

	if (err)
		return err;
	referrers = calloc(1, sizeof(*referrers));
	if (!referrers)
		return -ENOMEM;
	referrers->skip = prefix.size;
	range = th_range_prefix(name_slice(&prefix), end.bytes);
	err = txn ? th_txn_cursor(txn, &range, &referrers->cursor) : th_cursor_open(view, &range, &referrers->cursor);
	if (err)
		free(referrers);
	else
		*ret = referrers;
	return err;
}

int th_referrers_open(struct th_view *view, const struct th_references *refs, struct th_slice target,
		      struct th_referrers **ret)
{
	return referrers_open(view, NULL, refs, target, ret);
}

int th_txn_referrers(struct th_txn *txn, const struct th_references *refs, struct th_slice target,
		     struct th_referrers **ret)
{
	return referrers_open(NULL, txn, refs, target, ret);
}

int th_referrers_next(struct th_referrers *referrers, struct th_slice *ret)
{
	struct th_cursor_entry entry;
	int end = th_cursor_next(referrers->cursor, &entry);

	if (end == 0)
		*ret = (struct th_slice){ (const uint8_t *)entry.key.data + referrers->skip,
					  entry.key.size - referrers->skip };
	return end;
}

void th_referrers_close(struct th_referrers *referrers)
{
	if (!referrers)
		return;
	th_cursor_close(referrers->cursor);
	free(referrers);
}
