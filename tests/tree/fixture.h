/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store for a test, on a fault disk over memory.  The disk outlives the store, so a test can close the store and open
 * it again, or open it as a crash would have left it.  All functions fail the running test if a call fails.
 */
#ifndef TH_TESTS_TREE_FIXTURE_H
#define TH_TESTS_TREE_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <string.h>

#include "journal/disk/disk.h"
#include "tests/support/model.h"
#include "tests/support/random.h"
#include "tree/thunderhead.h"

struct th_fixture {
	struct th_disk *disk; /* the fault disk; the fixture's */
	struct th_store *store; /* NULL while closed */
	struct th_store_options options; /* for the next open */
};

/* Fails the test unless the call returns the expected result.  The message has both. */
#define th_expect(call, expected) th_expect_at((call), (expected), #call, __FILE__, __LINE__)
#define th_ok(call) th_expect(call, 0)
/* Like ck_assert, but costs nothing if the condition is true, and may be used on any thread. */
#define th_true(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			ck_abort_msg("%s:%d: false: %s", __FILE__, __LINE__, #condition);                              \
	} while (0)
void th_expect_at(int result, int expected, const char *call, const char *file, int line);

/* Runs tests, each as a case with its name, so that CK_RUN_CASE selects one.  Returns the exit status for main. */
int th_tests_run(const char *name, const TTest *const *tests, size_t count);

/* Formats a new disk of `mib` MiB and opens the store.  options: copied; or NULL. */
void th_fixture_init(struct th_fixture *fixture, unsigned mib, const struct th_store_options *options);
/* Takes over a disk that has a store already.  The store is not opened. */
void th_fixture_adopt(struct th_fixture *fixture, struct th_disk *disk, const struct th_store_options *options);
void th_fixture_open(struct th_fixture *fixture);
void th_fixture_close(struct th_fixture *fixture);
void th_fixture_reopen(struct th_fixture *fixture);
/* Closes the store, if it is open, and frees everything. */
void th_fixture_release(struct th_fixture *fixture);

/* Opens a copy of the store as a crash now would leave it. */
void th_fixture_crash(struct th_fixture *fixture, struct th_fixture *ret);
/* Closes the store and opens it again on another branch. */
void th_fixture_switch(struct th_fixture *fixture, const char *branch);

/* Put or delete one key in one transaction. */
void th_fixture_put(struct th_fixture *fixture, const char *key, const char *value);
void th_fixture_delete(struct th_fixture *fixture, const char *key);
/* Puts the keys "key/%06u" with numbers [from, to) in one transaction, each with 200 bytes of one value. */
void th_fixture_put_many(struct th_fixture *fixture, unsigned from, unsigned to, char what);

/* Reclaims everything that was deleted.  Returns the number of blocks in use, without those of the space log. */
uint64_t th_fixture_used(struct th_fixture *fixture);

/* --- verifying --- */

/* Verifies that scans of the range (NULL: all) in both directions equal the model. */
void th_verify_scan(struct th_view *view, const struct th_model *model, const struct th_range *range);
void th_verify_cursor(struct th_cursor *cursor, const struct th_model *model, const struct th_range *range);
/* Verifies that a lookup of the key equals the model. */
void th_verify_get(struct th_view *view, const struct th_model *model, struct th_slice key);
void th_verify_txn_get(struct th_txn *txn, const struct th_model *model, struct th_slice key);
/* Verifies that the checker finds no problem and no leaked block.  options may be NULL. */
void th_verify_check(struct th_store *store, const struct th_check_options *options);
/* Returns a hash of a scan, comparable with th_model_hash(). */
uint64_t th_view_hash(struct th_view *view);

/* Makes a value of `size` bytes from key and stamp.  It names both, so that a wrong value shows where it is from. */
void th_value_make(void *to, size_t size, struct th_slice key, uint64_t stamp);

#endif
