/* SPDX-License-Identifier: Apache-2.0 */
/* Block lists and plain arrays of runs to compare them with, on a memory disk and a space for their pages. */
#ifndef TH_TESTS_JOURNAL_SPACE_LISTS_H
#define TH_TESTS_JOURNAL_SPACE_LISTS_H

#include "journal/space/blocklist_page.h"
#include "tests/journal/suite.h"

#define TH_TEST_LIST_BLOCKS 8192u
#define TH_TEST_LIST_FIXED 8u /* blocks claimed at the start */

extern struct th_test_fixture {
	struct th_disk *disk; /* closed by the teardown; a test may wrap it */
	struct th_space *space;
	struct th_random random;
} fixture;

/* A checked fixture. */
void th_test_lists_setup(void);
void th_test_lists_teardown(void);

/* All zero: empty. */
struct th_test_runs {
	struct th_blockrun *runs;
	size_t count, room;
};

void th_test_runs_add(struct th_test_runs *runs, const struct th_blockrun *run);
void th_test_runs_free(struct th_test_runs *runs);
bool th_test_same_run(const struct th_blockrun *a, const struct th_blockrun *b);
struct th_blockrun th_test_random_run(uint64_t birth);

/* The runs and pages that a walk visited. */
struct th_test_collected {
	struct th_test_runs runs;
	uint8_t pages[TH_TEST_LIST_BLOCKS]; /* 1: a first copy, 2: a second */
	uint64_t npages;
	size_t stop_at; /* the visit of this run returns 42; 0: of none */
};

/* A th_blocklist_visit and a th_blocklist_visit_page, for a struct th_test_collected. */
int th_test_collect_run(const struct th_blockrun *run, void *arg);
int th_test_collect_page(const struct th_blocklist *list, void *arg);

/* Checks that the list has exactly these runs in this order, and right totals. */
void th_test_check_list(const struct th_blocklist *list, const struct th_test_runs *model);
/* Appends `count` random runs with births of 1 to `births` to the list and its model. */
void th_test_append_random(struct th_blocklist *list, struct th_test_runs *model, size_t count, uint64_t births);
/* Joins a member, and its model, to the list and its model; both members are empty afterwards. */
void th_test_join(struct th_blocklist *list, struct th_test_runs *model, struct th_blocklist *member,
		  struct th_test_runs *member_model);
/* Appends pages of runs and members to the list and its model. */
void th_test_make_nested(struct th_blocklist *list, struct th_test_runs *model);

#endif
