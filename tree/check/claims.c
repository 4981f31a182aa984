/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: which blocks are referred to, and by which kinds of owner. */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/check/check.h"

bool th_check_inside(const struct th_check *check, uint64_t addr, uint64_t blocks)
{
	return addr > 0 && blocks > 0 && addr < check->super.blocks && blocks <= check->super.blocks - addr;
}

static int add_event(struct th_claims *claims, uint64_t at, int32_t count, enum th_claim claim)
{
	return th_append(claims->event, claims->capacity, claims->count, (struct th_claim_event){ at, count, claim });
}

int th_check_claim(struct th_check *check, enum th_claim claim, uint64_t addr, uint64_t blocks, uint32_t count)
{
	int err = add_event(&check->claims, addr, (int32_t)count, claim);

	return err ? err : add_event(&check->claims, addr + blocks, -(int32_t)count, claim);
}

static int compare_claim_runs(const void *a, const void *b)
{
	const struct th_claim_run *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Sorts the runs, and joins those that overlap or touch. */
static void merge_snapshot_runs(struct th_claims *claims)
{
	struct th_claim_run *runs = claims->snapshot;
	size_t n = 0;

	if (claims->snapshot_count == 0)
		return;
	qsort(runs, claims->snapshot_count, sizeof(*runs), compare_claim_runs);
	for (size_t i = 1; i < claims->snapshot_count; i++) {
		uint64_t end = runs[i].addr + runs[i].blocks;

		if (runs[i].addr > runs[n].addr + runs[n].blocks)
			runs[++n] = runs[i];
		else if (end > runs[n].addr + runs[n].blocks)
			runs[n].blocks = end - runs[n].addr;
	}
	claims->snapshot_count = n + 1;
}

int th_check_claim_snapshot(struct th_check *check, uint64_t addr, uint64_t blocks)
{
	struct th_claims *claims = &check->claims;
	int err = 0;

	if (claims->snapshot_count == claims->snapshot_capacity) {
		merge_snapshot_runs(claims);
		if (claims->snapshot_count > claims->snapshot_capacity / 2 || claims->snapshot_capacity == 0)
			err = th_grow(claims->snapshot, claims->snapshot_capacity, claims->snapshot_capacity + 1);
	}
	if (!err)
		claims->snapshot[claims->snapshot_count++] = (struct th_claim_run){ addr, blocks };
	return err;
}

int th_check_claim_snapshot_data(struct th_check *check)
{
	struct th_claims *claims = &check->claims;
	int err = 0;

	merge_snapshot_runs(claims);
	for (size_t i = 0; i < claims->snapshot_count && !err; i++)
		err = th_check_claim(check, TH_CLAIM_SNAPSHOT_DATA, claims->snapshot[i].addr,
				     claims->snapshot[i].blocks, 1);
	return err;
}
