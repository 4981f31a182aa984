/* SPDX-License-Identifier: Apache-2.0 */
/* Lists against plain arrays, on a disk whose space keeps count of the pages. */
#include <xxhash.h>

#include "journal/space/blocklist_page.h"
#include "tests/journal/suite.h"

#define DISK_BLOCKS 8192u

struct runs {
	struct th_blockrun *runs;
	size_t count, room;
};

static struct th_disk *disk;
static struct th_space *space;
static struct th_random random_state;

static void setup(void)
{
	th_ok(th_disk_memory_new(DISK_BLOCKS, &disk));
	th_ok(th_space_new(DISK_BLOCKS, &space));
	th_ok(th_space_claim(space, 0, 8));
}

static void teardown(void)
{
	th_space_free(space);
	th_disk_close(disk);
}

static void runs_add(struct runs *runs, const struct th_blockrun *run)
{
	if (runs->count == runs->room) {
		runs->room = runs->room ? 2 * runs->room : 64;
		runs->runs = reallocarray(runs->runs, runs->room, sizeof(*runs->runs));
		th_check(runs->runs);
	}
	runs->runs[runs->count++] = *run;
}

static void runs_free(struct runs *runs)
{
	free(runs->runs);
	*runs = (struct runs){ 0 };
}

static bool same_run(const struct th_blockrun *a, const struct th_blockrun *b)
{
	return a->addr == b->addr && a->birth == b->birth && a->blocks == b->blocks && a->tag == b->tag;
}

static struct th_blockrun random_run(uint64_t birth)
{
	struct th_blockrun run = {
		.addr = th_random_below(&random_state, DISK_BLOCKS - 300),
		.birth = birth,
		.blocks = 1 + th_random_below(&random_state, 256),
		.tag = (uint32_t)th_random_next(&random_state),
	};

	return run;
}

struct collected {
	struct runs runs;
	uint8_t pages[DISK_BLOCKS];
	uint64_t npages;
	size_t stop_at; /* answer 42 to this run, if not 0 */
};

static int collect_run(const struct th_blockrun *run, void *arg)
{
	struct collected *collected = arg;

	runs_add(&collected->runs, run);
	return collected->stop_at && collected->runs.count == collected->stop_at ? 42 : 0;
}

static int collect_page(uint64_t addr, void *arg)
{
	struct collected *collected = arg;

	th_check(addr < DISK_BLOCKS && !collected->pages[addr]);
	collected->pages[addr] = 1;
	collected->npages++;
	return 0;
}

/* Does the list hold just this, in this order, and do its own numbers say so? */
static void check_list(const struct th_blocklist *list, const struct runs *model)
{
	struct collected *collected = calloc(1, sizeof(*collected));
	uint64_t blocks = 0, max_birth = 0;

	th_ok(th_blocklist_each(list, disk, collect_run, collect_page, collected));
	th_check(collected->runs.count == model->count && list->entries == model->count);
	for (size_t i = 0; i < model->count; i++) {
		th_check(same_run(&collected->runs.runs[i], &model->runs[i]));
		blocks += model->runs[i].blocks;
		if (max_birth < model->runs[i].birth)
			max_birth = model->runs[i].birth;
	}
	th_check(list->blocks == blocks && list->max_birth == max_birth && list->pages == collected->npages);
	for (uint64_t addr = 0; addr < DISK_BLOCKS; addr++)
		th_check(!collected->pages[addr] || th_space_in_use(space, addr, 1));
	runs_free(&collected->runs);
	free(collected);
}

static void append_random(struct th_blocklist *list, struct runs *model, size_t count, uint64_t births)
{
	struct th_blocklist_write behind = { 0 };
	size_t before = model->count;

	for (size_t i = 0; i < count; i++) {
		struct th_blockrun run = random_run(1 + th_random_next(&random_state) % births);

		runs_add(model, &run);
	}
	th_ok(th_blocklist_append(list, disk, space, model->runs + before, count, count % 2 ? &behind : NULL));
	th_ok(th_blocklist_wait(&behind));
}

/* A commit as the tree makes it, so that pages given back can be had again.  *log is where it is kept. */
static void commit(struct th_blocklist *log)
{
	th_space_freeze(space);
	th_ok(th_space_checkpoint(space, disk, log));
	th_space_checkpointed(space);
}

START_TEST(blocklist_append)
{
	struct th_blocklist list = { 0 };
	struct runs model = { 0 };

	random_state.state = th_test_seed("blocklist_append");
	check_list(&list, &model);
	for (unsigned i = 0; i < 60; i++) {
		append_random(&list, &model, th_random_below(&random_state, 400), 1000);
		check_list(&list, &model);
	}
	ck_assert_uint_le(list.pages, model.count / TH_BLOCKLIST_PAGE_RUNS + 1);
	runs_free(&model);
}
END_TEST

START_TEST(blocklist_old_root_stays_whole)
{
	struct th_blocklist list = { 0 }, before;
	struct runs model = { 0 }, model_before = { 0 };

	random_state.state = th_test_seed("blocklist_old_root_stays_whole");
	for (unsigned i = 0; i < 20; i++) {
		append_random(&list, &model, 50, 10);
		if (i == 10) {
			before = list;
			for (size_t j = 0; j < model.count; j++)
				runs_add(&model_before, &model.runs[j]);
		}
	}
	check_list(&before, &model_before);
	check_list(&list, &model);
	runs_free(&model);
	runs_free(&model_before);
}
END_TEST

START_TEST(blocklist_walk_can_stop)
{
	struct th_blocklist list = { 0 };
	struct runs model = { 0 };
	struct collected *collected = calloc(1, sizeof(*collected));

	random_state.state = 1;
	append_random(&list, &model, 1000, 10);
	collected->stop_at = 500;
	ck_assert_int_eq(th_blocklist_each(&list, disk, collect_run, NULL, collected), 42);
	ck_assert_uint_eq(collected->runs.count, 500);
	runs_free(&collected->runs);
	runs_free(&model);
	free(collected);
}
END_TEST

/* --- everything, at random --- */

#define LISTS 5

static void join(struct th_blocklist *list, struct runs *model, struct th_blocklist *member, struct runs *member_model)
{
	th_ok(th_blocklist_join(list, disk, space, member));
	for (size_t i = 0; i < member_model->count; i++)
		runs_add(model, &member_model->runs[i]);
	runs_free(member_model);
	th_check(member->head == 0 && member->pages == 0);
}

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

static void sort_runs(struct runs *runs)
{
	if (runs->count)
		qsort(runs->runs, runs->count, sizeof(*runs->runs), compare_runs);
}

/* The same runs, in whatever order? */
static void check_same(struct runs *a, struct runs *b)
{
	sort_runs(a);
	sort_runs(b);
	th_check(a->count == b->count);
	for (size_t i = 0; i < a->count; i++)
		th_check(same_run(&a->runs[i], &b->runs[i]));
}

static void split(const struct runs *model, uint64_t than, struct runs *stay, struct runs *go)
{
	for (size_t i = 0; i < model->count; i++)
		runs_add(model->runs[i].birth <= than ? stay : go, &model->runs[i]);
}

/* What stays is in the order in which it was. */
static void filter(struct th_blocklist *list, struct runs *model, uint64_t than)
{
	struct collected *out = calloc(1, sizeof(*out));
	struct runs stay = { 0 }, go = { 0 };
	size_t budget = SIZE_MAX;

	split(model, than, &stay, &go);
	th_ok(th_blocklist_filter(list, disk, space, than, &budget, collect_run, out));
	check_same(&out->runs, &go);
	runs_free(model);
	*model = stay;
	runs_free(&go);
	runs_free(&out->runs);
	free(out);
}

/* Packing and unpacking is the identity. */
static void repack(struct th_blocklist *list)
{
	struct th_blocklist_disk packed;
	struct th_blocklist unpacked;

	th_blocklist_pack(list, &packed);
	th_ok(th_blocklist_unpack(&packed, &unpacked));
	th_check(memcmp(list, &unpacked, sizeof(*list)) == 0);
	*list = unpacked;
}

static void random_step(struct th_blocklist *lists, struct runs *models)
{
	unsigned a = th_random_below(&random_state, LISTS), b = th_random_below(&random_state, LISTS);
	unsigned what = th_random_below(&random_state, 100);

	if (what < 50)
		append_random(&lists[a], &models[a], th_random_below(&random_state, 300), 100);
	else if (what < 75 && a != b)
		join(&lists[a], &models[a], &lists[b], &models[b]);
	else if (what < 95)
		filter(&lists[a], &models[a], 50 + th_random_below(&random_state, 50));
	else if (models[a].count > 3000) {
		filter(&lists[a], &models[a], 0);
		th_check(lists[a].head == 0);
	}
	repack(&lists[a]);
	check_list(&lists[a], &models[a]);
}

START_TEST(blocklist_random)
{
	struct th_blocklist lists[LISTS] = { { 0 } }, log = { 0 };
	struct runs models[LISTS] = { { 0 } };
	struct th_space_stat stat;
	uint64_t pages = 0;

	random_state.state = th_test_seed("blocklist_random");
	for (unsigned round = 0; round < th_test_rounds(400); round++) {
		random_step(lists, models);
		if (round % 10 == 0)
			commit(&log);
	}
	for (int i = 0; i < 3; i++)
		commit(&log);
	th_space_stat(space, &stat);
	for (unsigned i = 0; i < LISTS; i++) {
		check_list(&lists[i], &models[i]);
		pages += lists[i].pages;
		runs_free(&models[i]);
	}
	/* No page is lost, none is used twice. */
	ck_assert_uint_eq(stat.blocks - stat.free - stat.waiting, 8 + pages + log.pages);
}
END_TEST

START_TEST(blocklist_deep)
{
	struct th_blocklist list = { 0 };
	struct runs model = { 0 };

	random_state.state = th_test_seed("blocklist_deep");
	for (unsigned i = 0; i < 300; i++) {
		struct th_blocklist outer = { 0 };
		struct runs outer_model = { 0 };

		append_random(&outer, &outer_model, 170, 10);
		join(&outer, &outer_model, &list, &model);
		list = outer;
		model = outer_model;
		if (i % 50 == 0)
			check_list(&list, &model);
	}
	check_list(&list, &model);
	filter(&list, &model, 5);
	check_list(&list, &model);
	filter(&list, &model, 0);
	check_list(&list, &model);
	ck_assert_uint_eq(list.head, 0);
}
END_TEST

/* A filter reads and rewrites only what it must. */
START_TEST(blocklist_filter_leaves_old_members_unread)
{
	struct th_blocklist list = { 0 }, old = { 0 };
	struct runs model = { 0 }, old_model = { 0 };
	uint64_t reads;

	random_state.state = 1;
	append_random(&list, &model, 10, 100);
	append_random(&old, &old_model, 2000, 5);
	join(&list, &model, &old, &old_model);
	append_random(&list, &model, 10, 100);
	reads = disk->reads;
	filter(&list, &model, 5);
	ck_assert_uint_le(disk->reads - reads, 4);
	check_list(&list, &model);
	reads = disk->reads;
	filter(&list, &model, 5);
	ck_assert_uint_eq(disk->reads - reads, 0);
	runs_free(&model);
}
END_TEST

static void collect_all(const struct th_blocklist *list, struct runs *ret)
{
	struct collected *in = calloc(1, sizeof(*in));

	th_ok(th_blocklist_each(list, disk, collect_run, collect_page, in));
	th_check(list->entries == in->runs.count && list->pages == in->npages);
	*ret = in->runs;
	free(in);
}

/* In steps: the list is whole after each, none reads more than its share, and all are not much more than one. */
START_TEST(blocklist_filter_in_steps)
{
	struct th_blocklist list = { 0 }, log = { 0 };
	struct runs model = { 0 }, stay = { 0 }, go = { 0 }, left;
	struct collected *out = calloc(1, sizeof(*out));
	uint64_t reads, pages;
	unsigned steps = 0;

	random_state.state = th_test_seed("blocklist_filter_in_steps");
	for (unsigned i = 0; i < 20; i++) {
		struct th_blocklist member = { 0 };
		struct runs member_model = { 0 };

		append_random(&list, &model, th_random_below(&random_state, 1000), 100);
		append_random(&member, &member_model, th_random_below(&random_state, 1000), i % 2 ? 100 : 40);
		join(&list, &model, &member, &member_model);
	}
	split(&model, 50, &stay, &go);
	pages = list.pages;
	reads = disk->reads;
	while (list.max_birth > 50) {
		size_t budget = 1000, before = out->runs.count;
		uint64_t reads_before = disk->reads;

		th_ok(th_blocklist_filter(&list, disk, space, 50, &budget, collect_run, out));
		ck_assert_uint_le(out->runs.count - before, 1000 + TH_BLOCKLIST_PAGE_RUNS);
		ck_assert_uint_le(disk->reads - reads_before, 2 * 1000 / TH_BLOCKLIST_PAGE_RUNS + 20);
		steps++;
		commit(&log);
	}
	ck_assert_uint_gt(steps, 5);
	ck_assert_uint_le(disk->reads - reads, 2 * pages + 4 * steps);
	collect_all(&list, &left);
	check_same(&left, &stay);
	check_same(&out->runs, &go);
	runs_free(&left);
	runs_free(&stay);
	runs_free(&go);
	runs_free(&out->runs);
	runs_free(&model);
	free(out);
}
END_TEST

/* --- trouble --- */

static void make_nested(struct th_blocklist *list, struct runs *model)
{
	for (unsigned i = 0; i < 3; i++) {
		struct th_blocklist member = { 0 };
		struct runs member_model = { 0 };

		append_random(list, model, 200, 100);
		append_random(&member, &member_model, 400, 100);
		join(list, model, &member, &member_model);
	}
	append_random(list, model, 20, 100);
}

/* *left: runs that were split off. */
static int change(int what, struct th_blocklist *list, struct th_blocklist *member, uint64_t *left)
{
	size_t budget = what == 3 ? 500 : SIZE_MAX;
	struct th_blockrun runs[500];
	struct collected *out;
	int err;

	*left = 0;
	switch (what) {
	case 0:
		for (unsigned i = 0; i < 500; i++)
			runs[i] = random_run(1);
		return th_blocklist_append(list, disk, space, runs, 500, NULL);
	case 1:
		return th_blocklist_join(list, disk, space, member);
	default:
		out = calloc(1, sizeof(*out));
		err = th_blocklist_filter(list, disk, space, what == 4 ? 0 : 50, &budget, collect_run, out);
		th_check(!err || out->runs.count == 0);
		*left = out->runs.count;
		runs_free(&out->runs);
		free(out);
		return err;
	}
}

static void check_count(const struct th_blocklist *list, uint64_t count)
{
	struct runs runs;

	collect_all(list, &runs);
	th_check(runs.count == count);
	runs_free(&runs);
}

/* Every transfer of every change fails once.  If it is a save the list is as it was; if not, no run is lost. */
START_TEST(blocklist_failing_disk)
{
	struct th_blocklist list = { 0 }, member = { 0 };
	struct runs model = { 0 }, member_model = { 0 };
	struct th_disk *fault;
	unsigned saves = 0, gets = 0;

	random_state.state = th_test_seed("blocklist_failing_disk");
	th_ok(th_disk_fault_new(disk, &fault));
	disk = fault;
	make_nested(&list, &model);
	append_random(&member, &member_model, _i % 2 ? 400 : 100, 100);
	for (uint64_t nth = 0;; nth++) {
		uint64_t left, added[] = { 500, member.entries, 0, 0, 0 };
		uint64_t transfers = disk->reads + disk->writes;
		struct th_blocklist changed = list, joined = member;
		int err;

		th_disk_fault_arm(disk, TH_FAULT_ERROR, nth);
		err = change(_i / 2, &changed, &joined, &left);
		th_disk_fault_arm(disk, TH_FAULT_NONE, 0);
		transfers = disk->reads + disk->writes - transfers;
		if (err == 0) {
			check_count(&changed, list.entries + added[_i / 2] - left);
			if (nth >= transfers)
				break;
			gets++;
			continue;
		}
		saves++;
		th_check(err == -EIO);
		th_check(memcmp(&changed, &list, sizeof(list)) == 0);
		th_check(memcmp(&joined, &member, sizeof(member)) == 0);
		check_list(&list, &model);
		check_list(&member, &member_model);
	}
	th_check(gets > 0 && (saves > 0 || _i / 2 == 4)); /* an empty list is not saved */
	runs_free(&model);
	runs_free(&member_model);
}
END_TEST

START_TEST(blocklist_full_disk)
{
	struct th_blocklist list = { 0 }, before;
	struct runs model = { 0 };
	struct th_blockrun *runs = calloc(1000, sizeof(*runs));
	uint64_t addr;
	uint32_t blocks;

	random_state.state = 1;
	append_random(&list, &model, 100, 100);
	before = list;
	for (size_t i = 0; i < 1000; i++)
		runs[i] = random_run(1);
	while (th_space_take(space, TH_SPACE_META, 1, 1, NULL, &addr, &blocks) == 0)
		;
	th_space_give(space, addr, 1);
	ck_assert_int_eq(th_blocklist_append(&list, disk, space, runs, 1000, NULL), -ENOSPC);
	ck_assert_mem_eq(&list, &before, sizeof(list));
	check_list(&list, &model);
	runs_free(&model);
	free(runs);
}
END_TEST

static int count_run(const struct th_blockrun *run, void *arg)
{
	th_check(run->blocks > 0 && run->addr < DISK_BLOCKS && run->blocks <= DISK_BLOCKS - run->addr);
	++*(uint64_t *)arg;
	return 0;
}

static void note_line(void *arg, const char *line)
{
	th_check(strncmp(line, "memory: block list page ", 24) == 0 && !strchr(line, '\n'));
	++*(unsigned *)arg;
}

/* Any flipped bit in any page is seen, and said once. */
START_TEST(blocklist_flipped_bits)
{
	struct th_blocklist list = { 0 };
	struct runs model = { 0 };
	struct collected *collected = calloc(1, sizeof(*collected));
	char *block = th_test_block(0);
	unsigned lines = 0;

	random_state.state = th_test_seed("blocklist_flipped_bits");
	make_nested(&list, &model);
	disk->report = note_line;
	disk->report_arg = &lines;
	th_ok(th_blocklist_each(&list, disk, NULL, collect_page, collected));
	for (unsigned round = 0; round < th_test_rounds(2000); round++) {
		uint64_t addr = th_random_below(&random_state, DISK_BLOCKS), count = 0;
		uint32_t bit = th_random_below(&random_state, TH_BLOCK_SIZE * 8);

		while (!collected->pages[addr])
			addr = (addr + 1) % DISK_BLOCKS;
		th_ok(th_disk_read(disk, addr, 1, block));
		block[bit / 8] ^= (char)(1 << bit % 8);
		th_ok(th_disk_write(disk, addr, 1, block));
		th_check(th_blocklist_each(&list, disk, count_run, NULL, &count) == -EBADMSG);
		th_check(lines == round + 1);
		block[bit / 8] ^= (char)(1 << bit % 8);
		th_ok(th_disk_write(disk, addr, 1, block));
	}
	check_list(&list, &model);
	runs_free(&model);
	free(collected);
	free(block);
}
END_TEST

/* A page with nonsense in it and the right checksum: an error, or runs inside the disk, and always an end. */
START_TEST(blocklist_hostile_pages)
{
	struct th_blocklist list = { 0 }, small = { 0 };
	struct runs model = { 0 }, small_model = { 0 };
	struct th_blocklist_page *original = th_disk_buffer(sizeof(*original));
	struct th_blocklist_page *page = th_disk_buffer(sizeof(*page));
	unsigned refused = 0;

	random_state.state = th_test_seed("blocklist_hostile_pages");
	make_nested(&list, &model);
	append_random(&small, &small_model, 400, 10);
	/* The newest page is one of members. */
	th_ok(th_blocklist_join(&list, disk, space, &small));
	th_ok(th_disk_read(disk, list.head, 1, original));
	ck_assert_int_eq(th_blocklist_page_kind(original), TH_BLOCKLIST_MEMBERS);
	for (unsigned round = 0; round < th_test_rounds(5000); round++) {
		struct th_blocklist hostile = list;
		uint64_t value = th_random_next(&random_state) >> th_random_below(&random_state, 64), count = 0;
		size_t at = th_random_below(&random_state, 160), size = 1 + th_random_below(&random_state, 8);
		int err;

		if (th_random_percent(&random_state, 30))
			value = list.head;
		memcpy(page, original, sizeof(*page));
		memcpy((char *)page + at, &value, size);
		hostile.head_checksum = XXH3_64bits(page, sizeof(*page));
		th_ok(th_disk_write(disk, list.head, 1, page));
		err = th_blocklist_each(&hostile, disk, count_run, NULL, &count);
		th_check(err == 0 || err == -EUCLEAN || err == -EBADMSG);
		refused += err != 0;
	}
	ck_assert_uint_gt(refused, 1000);
	runs_free(&model);
	runs_free(&small_model);
	free(original);
	free(page);
}
END_TEST

START_TEST(blocklist_hostile_roots)
{
	struct th_blocklist list = { 0 };
	struct runs model = { 0 };

	random_state.state = th_test_seed("blocklist_hostile_roots");
	make_nested(&list, &model);
	for (unsigned round = 0; round < th_test_rounds(5000); round++) {
		struct th_blocklist_disk packed;
		struct th_blocklist hostile;
		uint64_t value = th_random_next(&random_state) >> th_random_below(&random_state, 64), count = 0;
		int err;

		th_blocklist_pack(&list, &packed);
		memcpy((char *)&packed + 8 * th_random_below(&random_state, 6), &value, sizeof(value));
		err = th_blocklist_unpack(&packed, &hostile);
		th_check(err == 0 || err == -EUCLEAN);
		if (err)
			continue;
		err = th_blocklist_each(&hostile, disk, count_run, NULL, &count);
		th_check(err == -EUCLEAN || err == -EBADMSG || memcmp(&hostile, &list, sizeof(list)) == 0);
	}
	runs_free(&model);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blocklist");
	TCase *tcase = tcase_create("blocklist");

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, blocklist_append);
	tcase_add_test(tcase, blocklist_old_root_stays_whole);
	tcase_add_test(tcase, blocklist_walk_can_stop);
	tcase_add_test(tcase, blocklist_random);
	tcase_add_test(tcase, blocklist_deep);
	tcase_add_test(tcase, blocklist_filter_leaves_old_members_unread);
	tcase_add_test(tcase, blocklist_filter_in_steps);
	tcase_add_loop_test(tcase, blocklist_failing_disk, 0, 10);
	tcase_add_test(tcase, blocklist_full_disk);
	tcase_add_test(tcase, blocklist_flipped_bits);
	tcase_add_test(tcase, blocklist_hostile_pages);
	tcase_add_test(tcase, blocklist_hostile_roots);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
