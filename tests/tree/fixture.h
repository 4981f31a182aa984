/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store for a test: on a fault disk over memory that outlives the store, so that it can be closed and opened again,
 * or be opened as a crash would have left it.  Functions fail the running test by themselves.
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

/* Fails the test unless the call returns what is expected; says what it returned. */
#define th_expect(call, expected) th_expect_at((call), (expected), #call, __FILE__, __LINE__)
#define th_ok(call) th_expect(call, 0)
/* Like ck_assert, but costs nothing while it holds, and may be used from any thread. */
#define th_true(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			ck_abort_msg("%s:%d: not so: %s", __FILE__, __LINE__, #condition);                             \
	} while (0)
void th_expect_at(int result, int expected, const char *call, const char *file, int line);

/* Runs tests, each as a case of its own name (CK_RUN_CASE picks one).  For main to return. */
int th_tests_run(const char *name, const TTest *const *tests, size_t count);

/* Formats a new disk of that many MiB and opens the store.  options may be NULL. */
void th_fixture_init(struct th_fixture *fixture, unsigned mib, const struct th_store_options *options);
/* The same over a disk, which becomes the fixture's, that holds a store already; it is not opened. */
void th_fixture_adopt(struct th_fixture *fixture, struct th_disk *disk, const struct th_store_options *options);
void th_fixture_open(struct th_fixture *fixture);
void th_fixture_close(struct th_fixture *fixture);
void th_fixture_reopen(struct th_fixture *fixture);
/* Closes what is open and frees everything. */
void th_fixture_release(struct th_fixture *fixture);

/* One transaction of one put, delete. */
void th_fixture_put(struct th_fixture *fixture, const char *key, const char *value);
void th_fixture_delete(struct th_fixture *fixture, const char *key);

/* Blocks in use when all that was deleted is reclaimed, but for the space log's. */
uint64_t th_fixture_used(struct th_fixture *fixture);

/* --- what must hold --- */

/* A scan of the range (NULL: all) in both directions gives what the model has. */
void th_verify_scan(struct th_view *view, const struct th_model *model, const struct th_range *range);
void th_verify_cursor(struct th_cursor *cursor, const struct th_model *model, const struct th_range *range);
/* A get of the key gives what the model has. */
void th_verify_get(struct th_view *view, const struct th_model *model, struct th_slice key);
void th_verify_txn_get(struct th_txn *txn, const struct th_model *model, struct th_slice key);
/* The checker finds nothing.  options may be NULL. */
void th_verify_check(struct th_store *store, const struct th_check_options *options);
/* Hash of a scan, comparable with th_model_hash. */
uint64_t th_view_hash(struct th_view *view);

/* A value that tells what it was made from, so that a wrong one is seen for itself: size bytes from key and stamp. */
void th_value_make(void *to, size_t size, struct th_slice key, uint64_t stamp);

#endif
