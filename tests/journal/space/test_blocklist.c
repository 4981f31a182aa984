/* SPDX-License-Identifier: Apache-2.0 */
/* Block lists compared with plain arrays, on a space that counts their pages. */
#include "journal/space/space.h"
#include "tests/journal/space/lists.h"

/* Does a checkpoint of the space as a store does, so that freed pages become free.  *log is the space log. */
static void checkpoint(struct th_blocklist *log)
{
	th_space_freeze(fixture.space);
	th_ok(th_space_checkpoint(fixture.space, fixture.disk, log));
	th_space_checkpointed(fixture.space);
}

START_TEST(appended_runs_are_read_in_order)
{
	struct th_blocklist list = { 0 };
	struct th_test_runs model = { 0 };

	fixture.random.state = th_test_seed("appended_runs_are_read_in_order");
	th_test_check_list(&list, &model);
	for (unsigned i = 0; i < 60; i++) {
		th_test_append_random(&list, &model, th_random_below(&fixture.random, 400), 1000);
		th_test_check_list(&list, &model);
	}
	ck_assert_uint_le(list.pages, model.count / TH_BLOCKLIST_PAGE_RUNS + 1);
	th_test_runs_free(&model);
}
END_TEST

START_TEST(old_root_stays_valid_after_appends)
{
	struct th_blocklist list = { 0 }, before;
	struct th_test_runs model = { 0 }, model_before = { 0 };

	fixture.random.state = th_test_seed("old_root_stays_valid_after_appends");
	for (unsigned i = 0; i < 20; i++) {
		th_test_append_random(&list, &model, 50, 10);
		if (i == 10) {
			before = list;
			for (size_t j = 0; j < model.count; j++)
				th_test_runs_add(&model_before, &model.runs[j]);
		}
	}
	th_test_check_list(&before, &model_before);
	th_test_check_list(&list, &model);
	th_test_runs_free(&model);
	th_test_runs_free(&model_before);
}
END_TEST

START_TEST(walk_stops_where_the_visitor_says)
{
	struct th_blocklist list = { 0 };
	struct th_test_runs model = { 0 };
	struct th_test_collected *collected = calloc(1, sizeof(*collected));

	fixture.random.state = 1;
	th_test_append_random(&list, &model, 1000, 10);
	collected->stop_at = 500;
	ck_assert_int_eq(th_blocklist_each(&list, fixture.disk, th_test_collect_run, NULL, collected), 42);
	ck_assert_uint_eq(collected->runs.count, 500);
	th_test_runs_free(&collected->runs);
	th_test_runs_free(&model);
	free(collected);
}
END_TEST

/* --- random operations --- */

#define LISTS 5

static int compare_runs(const void *a, const void *b)
{
	const struct th_blockrun *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->birth != y->birth)
		return x->birth < y->birth ? -1 : 1;
	if (x->blocks != y->blocks)
		return x->blocks < y->blocks ? -1 : 1;
	return (x->tag > y->tag) - (x->tag < y->tag);
}

static void sort_runs(struct th_test_runs *runs)
{
	if (runs->count)
		qsort(runs->runs, runs->count, sizeof(*runs->runs), compare_runs);
}

/* Checks that both have the same runs, in any order. */
static void check_same(struct th_test_runs *a, struct th_test_runs *b)
{
	sort_runs(a);
	sort_runs(b);
	th_check(a->count == b->count);
	for (size_t i = 0; i < a->count; i++)
		th_check(th_test_same_run(&a->runs[i], &b->runs[i]));
}

static void split(const struct th_test_runs *model, uint64_t keep_birth, struct th_test_runs *stay,
		  struct th_test_runs *go)
{
	for (size_t i = 0; i < model->count; i++)
		th_test_runs_add(model->runs[i].birth <= keep_birth ? stay : go, &model->runs[i]);
}

/* Filters the list, and checks the removed runs.  The caller checks that the others keep their order. */
static void filter(struct th_blocklist *list, struct th_test_runs *model, uint64_t keep_birth)
{
	struct th_test_collected *out = calloc(1, sizeof(*out));
	struct th_test_runs stay = { 0 }, go = { 0 };
	size_t budget = SIZE_MAX;

	split(model, keep_birth, &stay, &go);
	th_ok(th_blocklist_filter(list, fixture.disk, fixture.space, keep_birth, &budget, th_test_collect_run, out));
	check_same(&out->runs, &go);
	th_test_runs_free(model);
	*model = stay;
	th_test_runs_free(&go);
	th_test_runs_free(&out->runs);
	free(out);
}

/* Packs and unpacks the root, which must not change it. */
static void repack(struct th_blocklist *list)
{
	struct th_blocklist_disk packed;
	struct th_blocklist unpacked;

	th_blocklist_pack(list, &packed);
	th_ok(th_blocklist_unpack(&packed, &unpacked));
	th_check(memcmp(list, &unpacked, sizeof(*list)) == 0);
	*list = unpacked;
}

static void random_step(struct th_blocklist *lists, struct th_test_runs *models)
{
	unsigned a = th_random_below(&fixture.random, LISTS), b = th_random_below(&fixture.random, LISTS);
	unsigned what = th_random_below(&fixture.random, 100);

	if (what < 50)
		th_test_append_random(&lists[a], &models[a], th_random_below(&fixture.random, 300), 100);
	else if (what < 75 && a != b)
		th_test_join(&lists[a], &models[a], &lists[b], &models[b]);
	else if (what < 95)
		filter(&lists[a], &models[a], 50 + th_random_below(&fixture.random, 50));
	else if (models[a].count > 3000) {
		filter(&lists[a], &models[a], 0);
		th_check(lists[a].head == 0);
	}
	repack(&lists[a]);
	th_test_check_list(&lists[a], &models[a]);
}

START_TEST(random_operations_match_plain_arrays)
{
	struct th_blocklist lists[LISTS] = { { 0 } }, log = { 0 };
	struct th_test_runs models[LISTS] = { { 0 } };
	struct th_space_stat stat;
	uint64_t pages = 0;
	unsigned copies = (unsigned)_i;

	fixture.random.state = th_test_seed("random_operations_match_plain_arrays");
	th_space_set_copies(fixture.space, copies);
	for (unsigned round = 0; round < th_test_rounds(400); round++) {
		random_step(lists, models);
		if (round % 10 == 0)
			checkpoint(&log);
	}
	for (int i = 0; i < 3; i++)
		checkpoint(&log);
	th_space_stat(fixture.space, &stat);
	for (unsigned i = 0; i < LISTS; i++) {
		th_test_check_list(&lists[i], &models[i]);
		pages += lists[i].pages;
		th_test_runs_free(&models[i]);
	}
	/* No page is lost or used twice. */
	ck_assert_uint_eq(stat.blocks - stat.free - stat.waiting, TH_TEST_LIST_FIXED + copies * (pages + log.pages));
}
END_TEST

START_TEST(deeply_nested_members_need_no_recursion)
{
	struct th_blocklist list = { 0 };
	struct th_test_runs model = { 0 };

	fixture.random.state = th_test_seed("deeply_nested_members_need_no_recursion");
	for (unsigned i = 0; i < 300; i++) {
		struct th_blocklist outer = { 0 };
		struct th_test_runs outer_model = { 0 };

		th_test_append_random(&outer, &outer_model, 170, 10);
		th_test_join(&outer, &outer_model, &list, &model);
		list = outer;
		model = outer_model;
		if (i % 50 == 0)
			th_test_check_list(&list, &model);
	}
	th_test_check_list(&list, &model);
	filter(&list, &model, 5);
	th_test_check_list(&list, &model);
	filter(&list, &model, 0);
	th_test_check_list(&list, &model);
	ck_assert_uint_eq(list.head, 0);
}
END_TEST

START_TEST(filter_leaves_old_members_unread)
{
	struct th_blocklist list = { 0 }, old = { 0 };
	struct th_test_runs model = { 0 }, old_model = { 0 };
	uint64_t reads;

	fixture.random.state = 1;
	th_test_append_random(&list, &model, 10, 100);
	th_test_append_random(&old, &old_model, 2000, 5);
	th_test_join(&list, &model, &old, &old_model);
	th_test_append_random(&list, &model, 10, 100);
	reads = fixture.disk->reads;
	filter(&list, &model, 5);
	ck_assert_uint_le(fixture.disk->reads - reads, 4);
	th_test_check_list(&list, &model);
	reads = fixture.disk->reads;
	filter(&list, &model, 5);
	ck_assert_uint_eq(fixture.disk->reads - reads, 0);
	th_test_runs_free(&model);
}
END_TEST

static void collect_all(const struct th_blocklist *list, struct th_test_runs *ret)
{
	struct th_test_collected *in = calloc(1, sizeof(*in));

	th_ok(th_blocklist_each(list, fixture.disk, th_test_collect_run, th_test_collect_page, in));
	th_check(list->entries == in->runs.count && list->pages == in->npages);
	*ret = in->runs;
	free(in);
}

/* After each step the list is valid, no step reads more than its share, and all steps together read little more than
 * one filter does. */
START_TEST(filter_in_steps_makes_bounded_progress)
{
	struct th_blocklist list = { 0 }, log = { 0 };
	struct th_test_runs model = { 0 }, stay = { 0 }, go = { 0 }, left;
	struct th_test_collected *out = calloc(1, sizeof(*out));
	uint64_t reads, pages;
	unsigned steps = 0;

	fixture.random.state = th_test_seed("filter_in_steps_makes_bounded_progress");
	for (unsigned i = 0; i < 20; i++) {
		struct th_blocklist member = { 0 };
		struct th_test_runs member_model = { 0 };

		th_test_append_random(&list, &model, th_random_below(&fixture.random, 1000), 100);
		th_test_append_random(&member, &member_model, th_random_below(&fixture.random, 1000), i % 2 ? 100 : 40);
		th_test_join(&list, &model, &member, &member_model);
	}
	split(&model, 50, &stay, &go);
	pages = list.pages;
	reads = fixture.disk->reads;
	while (list.max_birth > 50) {
		size_t budget = 1000, before = out->runs.count;
		uint64_t reads_before = fixture.disk->reads;

		th_ok(th_blocklist_filter(&list, fixture.disk, fixture.space, 50, &budget, th_test_collect_run, out));
		ck_assert_uint_le(out->runs.count - before, 1000 + TH_BLOCKLIST_PAGE_RUNS);
		ck_assert_uint_le(fixture.disk->reads - reads_before, 2 * 1000 / TH_BLOCKLIST_PAGE_RUNS + 20);
		steps++;
		checkpoint(&log);
	}
	ck_assert_uint_gt(steps, 5);
	ck_assert_uint_le(fixture.disk->reads - reads, 2 * pages + 4 * steps);
	collect_all(&list, &left);
	check_same(&left, &stay);
	check_same(&out->runs, &go);
	th_test_runs_free(&left);
	th_test_runs_free(&stay);
	th_test_runs_free(&go);
	th_test_runs_free(&out->runs);
	th_test_runs_free(&model);
	free(out);
}
END_TEST

/* --- errors --- */

/* Changes the list: appends, joins or filters.  *removed is the number of runs that a filter removed. */
static int change(int what, struct th_blocklist *list, struct th_blocklist *member, uint64_t *removed)
{
	size_t budget = what == 3 ? 500 : SIZE_MAX;
	struct th_blockrun runs[500];
	struct th_test_collected *out;
	int err;

	*removed = 0;
	switch (what) {
	case 0:
		for (unsigned i = 0; i < 500; i++)
			runs[i] = th_test_random_run(1);
		return th_blocklist_append(list, fixture.disk, fixture.space, runs, 500, NULL);
	case 1:
		return th_blocklist_join(list, fixture.disk, fixture.space, member);
	default:
		out = calloc(1, sizeof(*out));
		err = th_blocklist_filter(list, fixture.disk, fixture.space, what == 4 ? 0 : 50, &budget,
					  th_test_collect_run, out);
		th_check(!err || out->runs.count == 0);
		*removed = out->runs.count;
		th_test_runs_free(&out->runs);
		free(out);
		return err;
	}
}

static void check_count(const struct th_blocklist *list, uint64_t count)
{
	struct th_test_runs runs;

	collect_all(list, &runs);
	th_check(runs.count == count);
	th_test_runs_free(&runs);
}

/* Every transfer of every change fails once.  After a failed save the list is unchanged; after a failed get no run is
 * lost. */
START_TEST(failed_transfer_loses_no_run)
{
	struct th_blocklist list = { 0 }, member = { 0 };
	struct th_test_runs model = { 0 }, member_model = { 0 };
	struct th_disk *fault;
	unsigned saves = 0, gets = 0;

	fixture.random.state = th_test_seed("failed_transfer_loses_no_run");
	th_ok(th_disk_fault_new(fixture.disk, &fault));
	fixture.disk = fault;
	th_test_make_nested(&list, &model);
	th_test_append_random(&member, &member_model, _i % 2 ? 400 : 100, 100);
	for (uint64_t nth = 0;; nth++) {
		uint64_t removed, added[] = { 500, member.entries, 0, 0, 0 };
		uint64_t transfers = fixture.disk->reads + fixture.disk->writes;
		struct th_blocklist changed = list, joined = member;
		int err;

		th_disk_fault_arm(fixture.disk, TH_FAULT_ERROR, nth);
		err = change(_i / 2, &changed, &joined, &removed);
		th_disk_fault_arm(fixture.disk, TH_FAULT_NONE, 0);
		transfers = fixture.disk->reads + fixture.disk->writes - transfers;
		if (err == 0) {
			check_count(&changed, list.entries + added[_i / 2] - removed);
			if (nth >= transfers)
				break;
			gets++;
			continue;
		}
		saves++;
		th_check(err == -EIO);
		th_check(memcmp(&changed, &list, sizeof(list)) == 0);
		th_check(memcmp(&joined, &member, sizeof(member)) == 0);
		th_test_check_list(&list, &model);
		th_test_check_list(&member, &member_model);
	}
	th_check(gets > 0 && (saves > 0 || _i / 2 == 4)); /* an empty list is not saved */
	th_test_runs_free(&model);
	th_test_runs_free(&member_model);
}
END_TEST

START_TEST(full_disk_leaves_the_list_unchanged)
{
	struct th_blocklist list = { 0 }, before;
	struct th_test_runs model = { 0 };
	struct th_blockrun *runs = calloc(1000, sizeof(*runs));
	uint64_t addr;
	uint32_t blocks;

	fixture.random.state = 1;
	th_test_append_random(&list, &model, 100, 100);
	before = list;
	for (size_t i = 0; i < 1000; i++)
		runs[i] = th_test_random_run(1);
	while (th_space_take(fixture.space, TH_SPACE_META, 1, 1, NULL, &addr, &blocks) == 0)
		;
	th_space_give(fixture.space, addr, 1);
	ck_assert_int_eq(th_blocklist_append(&list, fixture.disk, fixture.space, runs, 1000, NULL), -ENOSPC);
	ck_assert_mem_eq(&list, &before, sizeof(list));
	th_test_check_list(&list, &model);
	th_test_runs_free(&model);
	free(runs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blocklist");
	TCase *tcase = tcase_create("blocklist");

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, th_test_lists_setup, th_test_lists_teardown);
	tcase_add_test(tcase, appended_runs_are_read_in_order);
	tcase_add_test(tcase, old_root_stays_valid_after_appends);
	tcase_add_test(tcase, walk_stops_where_the_visitor_says);
	tcase_add_loop_test(tcase, random_operations_match_plain_arrays, 1, 3);
	tcase_add_test(tcase, deeply_nested_members_need_no_recursion);
	tcase_add_test(tcase, filter_leaves_old_members_unread);
	tcase_add_test(tcase, filter_in_steps_makes_bounded_progress);
	tcase_add_loop_test(tcase, failed_transfer_loses_no_run, 0, 10);
	tcase_add_test(tcase, full_disk_leaves_the_list_unchanged);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
