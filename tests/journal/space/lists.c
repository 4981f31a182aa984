/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/journal/space/lists.h"

#include "journal/base/array.h"
#include "journal/space/space.h"

struct th_test_fixture fixture;

void th_test_lists_setup(void)
{
	th_ok(th_disk_memory_new(TH_TEST_LIST_BLOCKS, &fixture.disk));
	th_ok(th_space_new(TH_TEST_LIST_BLOCKS, &fixture.space));
	th_ok(th_space_claim(fixture.space, 0, TH_TEST_LIST_FIXED));
}

void th_test_lists_teardown(void)
{
	th_space_free(fixture.space);
	th_disk_close(fixture.disk);
}

void th_test_runs_add(struct th_test_runs *runs, const struct th_blockrun *run)
{
	th_ok(th_grow(runs->runs, runs->room, runs->count + 1));
	runs->runs[runs->count++] = *run;
}

void th_test_runs_free(struct th_test_runs *runs)
{
	free(runs->runs);
	*runs = (struct th_test_runs){ 0 };
}

bool th_test_same_run(const struct th_blockrun *a, const struct th_blockrun *b)
{
	return a->addr == b->addr && a->birth == b->birth && a->blocks == b->blocks && a->tag == b->tag;
}

struct th_blockrun th_test_random_run(uint64_t birth)
{
	struct th_blockrun run = {
		.addr = th_random_below(&fixture.random, TH_TEST_LIST_BLOCKS - 300),
		.birth = birth,
		.blocks = 1 + th_random_below(&fixture.random, 256),
		.tag = (uint32_t)th_random_next(&fixture.random),
	};

	return run;
}

int th_test_collect_run(const struct th_blockrun *run, void *arg)
{
	struct th_test_collected *collected = arg;

	th_test_runs_add(&collected->runs, run);
	return collected->stop_at && collected->runs.count == collected->stop_at ? 42 : 0;
}

int th_test_collect_page(const struct th_blocklist *list, void *arg)
{
	struct th_test_collected *collected = arg;
	uint64_t addr = list->head, mirror = list->mirror;

	th_check(addr < TH_TEST_LIST_BLOCKS && mirror < TH_TEST_LIST_BLOCKS && !collected->pages[addr]);
	collected->pages[addr] = 1;
	th_check(!mirror || !collected->pages[mirror]);
	if (mirror)
		collected->pages[mirror] = 2;
	collected->npages++;
	return 0;
}

void th_test_check_list(const struct th_blocklist *list, const struct th_test_runs *model)
{
	struct th_test_collected *collected = calloc(1, sizeof(*collected));
	uint64_t blocks = 0, max_birth = 0;

	th_ok(th_blocklist_each(list, fixture.disk, th_test_collect_run, th_test_collect_page, collected));
	th_check(collected->runs.count == model->count && list->entries == model->count);
	for (size_t i = 0; i < model->count; i++) {
		th_check(th_test_same_run(&collected->runs.runs[i], &model->runs[i]));
		blocks += model->runs[i].blocks;
		if (max_birth < model->runs[i].birth)
			max_birth = model->runs[i].birth;
	}
	th_check(list->blocks == blocks && list->max_birth == max_birth && list->pages == collected->npages);
	for (uint64_t addr = 0; addr < TH_TEST_LIST_BLOCKS; addr++)
		th_check(!collected->pages[addr] || th_space_in_use(fixture.space, addr, 1));
	th_test_runs_free(&collected->runs);
	free(collected);
}

void th_test_append_random(struct th_blocklist *list, struct th_test_runs *model, size_t count, uint64_t births)
{
	struct th_blocklist_write pending = { 0 };
	size_t before = model->count;

	for (size_t i = 0; i < count; i++) {
		struct th_blockrun run = th_test_random_run(1 + th_random_next(&fixture.random) % births);

		th_test_runs_add(model, &run);
	}
	th_ok(th_blocklist_append(list, fixture.disk, fixture.space, model->runs + before, count,
				  count % 2 ? &pending : NULL));
	th_ok(th_blocklist_wait(&pending));
}

void th_test_join(struct th_blocklist *list, struct th_test_runs *model, struct th_blocklist *member,
		  struct th_test_runs *member_model)
{
	th_ok(th_blocklist_join(list, fixture.disk, fixture.space, member));
	for (size_t i = 0; i < member_model->count; i++)
		th_test_runs_add(model, &member_model->runs[i]);
	th_test_runs_free(member_model);
	th_check(member->head == 0 && member->pages == 0);
}

void th_test_make_nested(struct th_blocklist *list, struct th_test_runs *model)
{
	for (unsigned i = 0; i < 3; i++) {
		struct th_blocklist member = { 0 };
		struct th_test_runs member_model = { 0 };

		th_test_append_random(list, model, 200, 100);
		th_test_append_random(&member, &member_model, 400, 100);
		th_test_join(list, model, &member, &member_model);
	}
	th_test_append_random(list, model, 20, 100);
}
