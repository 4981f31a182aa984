/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that a walk needs: an unreadable node is damage only if the tree still names it. */
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/btree/need.h"
#include "tree/node/readahead.h"

#define DISK_BLOCKS 1024u

static unsigned reported;

static void count_reports(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	reported++;
}

START_TEST(damage_is_reported_when_a_node_is_needed_again)
{
	struct th_disk *disk;
	struct th_readahead *ahead;
	struct th_cache *cache;
	struct th_need need = { 0 };

	th_ok(th_disk_memory_new(DISK_BLOCKS, &disk));
	th_ok(th_readahead_new(disk, &ahead));
	th_ok(th_cache_new(disk, ahead, 1 << 20, count_reports, NULL, &cache));
	th_need_init(&need);
	reported = 0;

	/* Freed and reused since: the walk is retried, and nothing is reported. */
	need.ptr = (struct th_ptr){ .addr = 100, .birth = 7, .blocks = 1, .checksum = 1 };
	th_ok(th_need_load(&need, cache));
	need.ptr = (struct th_ptr){ .addr = 200, .birth = 7, .blocks = 1, .checksum = 1 };
	th_ok(th_need_load(&need, cache));
	ck_assert_uint_eq(reported, 0);

	/* The tree still names it. */
	th_expect(th_need_load(&need, cache), -EBADMSG);
	ck_assert_uint_eq(reported, 1);

	/* The same blocks, written by another generation. */
	need.ptr.birth = 8;
	th_ok(th_need_load(&need, cache));
	ck_assert_uint_eq(reported, 1);

	/* An error of the disk is returned at once. */
	need.ptr = (struct th_ptr){ .addr = DISK_BLOCKS, .birth = 9, .blocks = 1, .checksum = 1 };
	ck_assert_int_lt(th_need_load(&need, cache), 0);
	th_need_release(&need);
	th_cache_free(cache);
	th_readahead_free(ahead);
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { damage_is_reported_when_a_node_is_needed_again };

	return th_tests_run("need", tests, sizeof(tests) / sizeof(tests[0]));
}
