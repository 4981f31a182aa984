/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on each block: every combination of claims that breaks A1 to A4 is reported, and no other. */
#include <stdlib.h>

#include "tests/tree/check/check_lines.h"
#include "tests/tree/fixture.h"
#include "tree/check/check.h"

#define CLAIMS 4

struct claim {
	enum th_claim claim;
	uint32_t count;
};

struct row {
	struct claim claims[CLAIMS]; /* of blocks 20 to 29; count 0 ends them */
	const char *complete; /* the report; NULL: none */
	const char *incomplete; /* if other claims may be missing */
};

#define USED                                                                                                           \
	{                                                                                                              \
		TH_CLAIM_USED, 1                                                                                       \
	}

static const char two_owners[] = "expected one owner";
static const char not_used[] = "free in the space map, but in use";
static const char not_dead[] = "no head owns them, but they are on no dead list";
static const char references[] = "the references do not match the table of block references";

static const struct row rows[] = {
	/* A1 */
	{ { USED }, "used in the space map, but not referred to", NULL },
	{ { { TH_CLAIM_LIVE_DATA, 1 } }, not_used, not_used },
	{ { { TH_CLAIM_PAGE, 1 } }, not_used, not_used },
	{ { { TH_CLAIM_FIXED, 1 } }, NULL, NULL },
	{ { { TH_CLAIM_FIXED, 1 }, USED },
	  "allocated in the space map, but a fixed area",
	  "allocated in the space map, but a fixed area" },
	/* A2 */
	{ { USED, { TH_CLAIM_PAGE, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_PAGE, 2 } }, two_owners, two_owners },
	{ { USED, { TH_CLAIM_META_NODE, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_META_NODE, 1 }, { TH_CLAIM_LIVE_NODE, 1 } }, two_owners, two_owners },
	{ { USED, { TH_CLAIM_LIVE_NODE, 1 }, { TH_CLAIM_LIVE_DATA, 1 } }, two_owners, two_owners },
	{ { USED, { TH_CLAIM_LIVE_NODE, 1 }, { TH_CLAIM_SNAPSHOT_NODE, 1 } }, two_owners, two_owners },
	{ { USED, { TH_CLAIM_PAGE, 1 }, { TH_CLAIM_DEAD_DATA, 1 } }, two_owners, two_owners },
	/* A3 */
	{ { USED, { TH_CLAIM_LIVE_NODE, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_LIVE_NODE, 1 }, { TH_CLAIM_DEAD_NODE, 1 } },
	  "on a dead list, but a head owns them",
	  "on a dead list, but a head owns them" },
	{ { USED, { TH_CLAIM_SNAPSHOT_NODE, 1 }, { TH_CLAIM_DEAD_NODE, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_SNAPSHOT_NODE, 1 }, { TH_CLAIM_DEAD_NODE, 2 } }, two_owners, two_owners },
	{ { USED, { TH_CLAIM_SNAPSHOT_NODE, 1 } }, not_dead, NULL },
	{ { USED, { TH_CLAIM_DEAD_NODE, 1 } }, "on a dead list, but in no snapshot", NULL },
	{ { USED, { TH_CLAIM_RECLAIMABLE_NODE, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_RECLAIMABLE_NODE, 1 }, { TH_CLAIM_SNAPSHOT_NODE, 1 } }, two_owners, two_owners },
	/* A4 */
	{ { USED, { TH_CLAIM_LIVE_DATA, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_LIVE_DATA, 2 } }, references, references },
	{ { USED, { TH_CLAIM_LIVE_DATA, 3 }, { TH_CLAIM_SHARE, 1 }, { TH_CLAIM_SHARED, 2 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_LIVE_DATA, 2 }, { TH_CLAIM_SHARE, 1 }, { TH_CLAIM_SHARED, 2 } }, references, NULL },
	{ { USED, { TH_CLAIM_SNAPSHOT_DATA, 1 }, { TH_CLAIM_DEAD_DATA, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_SNAPSHOT_DATA, 1 }, { TH_CLAIM_LIVE_DATA, 1 } }, NULL, NULL },
	{ { USED, { TH_CLAIM_SNAPSHOT_DATA, 1 } }, not_dead, NULL },
	{ { USED, { TH_CLAIM_SNAPSHOT_DATA, 1 }, { TH_CLAIM_RECLAIMABLE_DATA, 1 } }, not_dead, NULL },
	{ { USED, { TH_CLAIM_RECLAIMABLE_DATA, 1 } }, NULL, NULL },
	{ { { TH_CLAIM_SHARE, 1 }, { TH_CLAIM_SHARED, 1 } },
	  "in the table of block references, but not referred to",
	  NULL },
	{ { USED, { TH_CLAIM_LIVE_DATA, 2 }, { TH_CLAIM_SHARE, 2 } }, two_owners, two_owners },
};

static struct th_check_lines lines;

static bool is_node(enum th_claim claim)
{
	return (claim >= TH_CLAIM_META_NODE && claim <= TH_CLAIM_DEAD_NODE) || claim == TH_CLAIM_RECLAIMABLE_NODE;
}

/* Judges blocks 20 to 29 by the claims of a row. */
static struct th_check judge(const struct row *row, bool incomplete, bool map_known)
{
	struct th_check check = {
		.options = { .problem = th_check_lines_take, .arg = &lines },
		.super = { .blocks = 1000 },
		.claims = { .map_known = map_known },
		.incomplete = incomplete,
	};

	lines.count = 0;
	for (unsigned i = 0; i < CLAIMS && row->claims[i].count; i++) {
		if (is_node(row->claims[i].claim))
			check.super.counters[TH_SUPER_NODE_BLOCKS] = 10;
		th_ok(th_check_claim(&check, row->claims[i].claim, 20, 10, row->claims[i].count));
	}
	th_ok(th_check_blocks(&check));
	free(check.claims.event);
	return check;
}

static void expect(const struct row *row, const char *text)
{
	ck_assert_msg(lines.count == (text ? 1 : 0), "row %td: %u reports, expected '%s', found '%s'", row - rows,
		      lines.count, text ? text : "none", lines.count ? lines.text[0] : "");
	if (!text)
		return;
	th_check_lines_expect(&lines, text);
	th_check_lines_expect(&lines, "10 blocks from 20 on");
}

START_TEST(each_combination_of_claims_has_its_verdict)
{
	for (const struct row *row = rows; row < rows + sizeof(rows) / sizeof(rows[0]); row++) {
		judge(row, false, true);
		expect(row, row->complete);
		judge(row, true, true);
		expect(row, row->incomplete);
	}
}
END_TEST

/* Where the space map cannot be read, no block counts as free; the other rules hold. */
START_TEST(an_unreadable_map_is_no_evidence)
{
	judge(&rows[1], true, false);
	ck_assert_uint_eq(lines.count, 0);
	judge(&(const struct row){ { { TH_CLAIM_PAGE, 2 } }, NULL, NULL }, true, false);
	th_check_lines_expect(&lines, two_owners);
}
END_TEST

START_TEST(only_blocks_that_no_missing_claim_can_explain_are_leaked)
{
	ck_assert_uint_eq(judge(&rows[0], false, true).result.leaked_blocks, 10);
	ck_assert_uint_eq(judge(&rows[0], true, true).result.leaked_blocks, 0);
	ck_assert_uint_eq(judge(&rows[1], false, true).result.leaked_blocks, 0);
}
END_TEST

/* Runs with the same claims make one line; a report names all claims. */
START_TEST(adjacent_runs_of_one_kind_are_one_report)
{
	struct th_check check = {
		.options = { .problem = th_check_lines_take, .arg = &lines },
		.super = { .blocks = 1000 },
		.claims = { .map_known = true },
	};

	lines.count = 0;
	for (uint64_t addr = 100; addr < 200; addr += 10)
		th_ok(th_check_claim(&check, TH_CLAIM_USED, addr, 10, 1));
	th_ok(th_check_claim(&check, TH_CLAIM_PAGE, 150, 1, 2));
	th_ok(th_check_blocks(&check));
	free(check.claims.event);
	ck_assert_uint_eq(lines.count, 3);
	ck_assert_str_eq(lines.text[0], "50 blocks from 100 on: used in the space map, but not referred to");
	ck_assert_str_eq(lines.text[1], "1 blocks from 150 on: expected one owner: a page of a block list (2)");
	ck_assert_str_eq(lines.text[2], "49 blocks from 151 on: used in the space map, but not referred to");
	ck_assert_uint_eq(check.result.leaked_blocks, 99);
	ck_assert_uint_eq(check.result.problems, 3);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { each_combination_of_claims_has_its_verdict, an_unreadable_map_is_no_evidence,
				       only_blocks_that_no_missing_claim_can_explain_are_leaked,
				       adjacent_runs_of_one_kind_are_one_report };

	return th_tests_run("check_space", tests, sizeof(tests) / sizeof(tests[0]));
}
