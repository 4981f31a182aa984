/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: keys that name another key instead of having a value of their own.
 *
 * The key that is named, the target, counts its references (th_value.refs), and an index lists them.  References and
 * index are ordinary entries: snapshots keep them, and diffs show how they changed.  The owner of the keys chooses
 * where the index is.
 *
 * The caller sees to it that
 *
 *   - transactions that run at the same time do not change references to the same target (th_txn_lock());
 *   - th_txn_delete() and th_txn_delete_range() delete no target that has references, and no reference;
 *   - no value of its own begins as one of a reference does (th_reference_target()).
 *
 * References that form a ring keep each other.  Memory, threads and common errors are as in thunderhead.h.
 */
#ifndef THUNDERHEAD_REFERENCE_H
#define THUNDERHEAD_REFERENCE_H

#include "thunderhead.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct th_referrers;

struct th_references {
	struct th_slice index; /* prefix of the index's keys, below which there is nothing else */
	bool delete_last; /* deletes a target with the last reference to it, and then its own reference the same way */
};

#define TH_REFERENCE_MARK 8 /* bytes of a reference's value before its target */

/* Returns true if a value is a reference, with its target in *ret, which points into the value. */
bool th_reference_target(struct th_slice value, struct th_slice *ret);

/* Makes a key a reference to a target, in place of its value or of its former reference.
 *
 * Returns 0; -ENOENT if the target does not exist; -EINVAL if it is the key itself, or a key is too long;
 * -ENAMETOOLONG if index prefix, target and key have more than TH_KEY_MAX - 2 bytes together (in a subtree view, whose
 * prefix counts, -EINVAL); or a write error, after which the caller must roll back. */
int th_txn_link(struct th_txn *txn, const struct th_references *refs, struct th_slice key, struct th_slice target);

/* Deletes a reference.
 *
 * Returns 0; -ENOENT; -EINVAL if the key is not a reference; -EBUSY if there are references to it; or a write error,
 * after which the caller must roll back. */
int th_txn_unlink(struct th_txn *txn, const struct th_references *refs, struct th_slice key);

/* Reads the value at the end of a chain of at most `steps` references that begins at a key, which need not be one.
 *
 * *ret: for th_value_release().
 * Returns 0; -ENOENT if the key or a target does not exist; -ELOOP if there are more references; or a read error. */
int th_follow(struct th_view *view, struct th_slice key, unsigned steps, struct th_value *ret);
int th_txn_follow(struct th_txn *txn, struct th_slice key, unsigned steps, struct th_value *ret);

/* Opens a list of the keys that refer to a target, in key order.
 *
 * refs, target: copied.  *ret: for th_referrers_close(), before the view is closed or the transaction ends.
 * Returns 0, -ENAMETOOLONG, or a read error. */
int th_referrers_open(struct th_view *view, const struct th_references *refs, struct th_slice target,
		      struct th_referrers **ret);
int th_txn_referrers(struct th_txn *txn, const struct th_references *refs, struct th_slice target,
		     struct th_referrers **ret);

/* Returns the next key, valid until the next call.
 *
 * Returns 0, 1 at the end, or a read error. */
int th_referrers_next(struct th_referrers *referrers, struct th_slice *ret);

void th_referrers_close(struct th_referrers *referrers);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
