/* SPDX-License-Identifier: Apache-2.0 */
/* Checking space: every block against all of its claims. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree/catalogue/dead_list.h"
#include "tree/check/check.h"
#include "tree/node/scatter.h"
#include "tree/state/state.h"

/* --- gathering claims --- */

static int claim_fixed(struct th_check *check)
{
	const struct th_super *super = &check->super;
	int err = th_check_claim(check, TH_CLAIM_FIXED, 0, super->log_first + super->log_blocks, 1);

	if (!err && super->log_mirror)
		err = th_check_claim(check, TH_CLAIM_FIXED, super->log_mirror, super->log_blocks, 1);
	return err ? err
		   : th_check_claim(check, TH_CLAIM_FIXED, super->blocks - TH_SUPER_TAIL_BLOCKS, TH_SUPER_TAIL_BLOCKS,
				    1);
}

struct node_claim {
	struct th_check *check;
	uint8_t flags;
};

static int claim_node_run(const struct th_run *run, void *arg)
{
	struct node_claim *claim = arg;
	int err = 0;

	if (!th_check_inside(claim->check, run->addr, run->blocks))
		return 0;
	if (claim->flags & TH_SEEN_META)
		err = th_check_claim(claim->check, TH_CLAIM_META_NODE, run->addr, run->blocks, 1);
	if (!err && claim->flags & (TH_SEEN_LIVE | TH_SEEN_SNAPSHOT))
		err = th_check_claim(claim->check,
				     claim->flags & TH_SEEN_OWNED ? TH_CLAIM_LIVE_NODE : TH_CLAIM_SNAPSHOT_NODE,
				     run->addr, run->blocks, 1);
	return err;
}

static int claim_nodes(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->nodes.capacity && !err; i++) {
		const struct th_seen *seen = &check->nodes.slot[i];

		struct node_claim claim = { check, seen->flags };
		struct th_ptr ptr = { .addr = seen->addr,
				      .mirror = seen->mirror,
				      .birth = seen->birth,
				      .blocks = seen->blocks,
				      .scattered = (seen->flags & TH_SEEN_SCATTERED) != 0,
				      .mirror_scattered = (seen->flags & TH_SEEN_MIRROR_SCATTERED) != 0 };

		if (seen->addr && th_check_inside(check, seen->addr, 1))
			err = th_node_each_run(check->store->disk, &ptr, claim_node_run, &claim);
	}
	return err;
}

/* --- block lists --- */

struct list {
	struct th_check *check;
	const char *name;
	uint64_t newest; /* generation: younger entries are reclaimable */
	uint64_t origin; /* generation of its branch's origin */
	bool strays;
	bool abandoned; /* all entries that count are reclaimable */
};

static int claim_page(const struct th_blocklist *page, void *arg)
{
	struct list *list = arg;
	int err = th_check_claim(list->check, TH_CLAIM_PAGE, page->head, 1, 1);

	return err || !page->mirror ? err : th_check_claim(list->check, TH_CLAIM_PAGE, page->mirror, 1, 1);
}

/* Returns true if an entry counts as a reference.  A dead run that is not younger than the origin belongs to the
 * branches before.  A stray that is younger is in the branch, or dead, or reclaimable. */
static bool counts(const struct list *list, const struct th_blockrun *run)
{
	return (run->birth > list->origin) != list->strays;
}

static enum th_claim dead_claim(const struct list *list, const struct th_blockrun *run)
{
	if (run->birth > list->newest || list->abandoned)
		return run->tag == TH_DEAD_NODE ? TH_CLAIM_RECLAIMABLE_NODE : TH_CLAIM_RECLAIMABLE_DATA;
	return run->tag == TH_DEAD_NODE ? TH_CLAIM_DEAD_NODE : TH_CLAIM_DEAD_DATA;
}

static int claim_dead(const struct th_blockrun *run, void *arg)
{
	struct list *list = arg;
	struct th_check *check = list->check;

	if (run->tag > TH_DEAD_NODE || !th_check_inside(check, run->addr, run->blocks)) {
		th_check_problem(check, "%s: %u blocks from %" PRIu64 " on, of kind %u: out of range", list->name,
				 run->blocks, run->addr, run->tag);
		check->incomplete = true;
		return 0;
	}
	if (run->birth > check->super.generation)
		th_check_problem(check,
				 "%s: blocks at %" PRIu64 " were born in generation %" PRIu64
				 ", expected at most %" PRIu64,
				 list->name, run->addr, run->birth, check->super.generation);
	if (run->tag == TH_DEAD_NODE)
		check->dead_node_blocks += run->blocks;
	return counts(list, run) ? th_check_claim(check, dead_claim(list, run), run->addr, run->blocks, 1) : 0;
}

/* Reports an error of reading a list.  Returns 0 or -ENOMEM. */
static int list_result(struct th_check *check, const char *name, int err)
{
	if (!err || err == -ENOMEM)
		return err;
	th_check_problem(check, "%s cannot be read: %s", name, err == -EBADMSG ? "wrong checksum" : strerror(-err));
	check->incomplete = true;
	return 0;
}

static int claim_list(struct list *list, const struct th_blocklist *runs, const char *kind, const char *what)
{
	char name[TH_BRANCH_NAME_MAX + 80];
	int err;

	snprintf(name, sizeof(name), "%s of %s", kind, what);
	list->name = name;
	err = th_blocklist_each(runs, list->check->store->disk, claim_dead, claim_page, list);
	return list_result(list->check, name, err);
}

/* Claims the entries of the two lists of one stretch between snapshots. */
static int claim_lists(struct th_check *check, const struct th_blocklist *dead, const struct th_blocklist *strays,
		       const char *what, uint64_t newest, uint64_t origin)
{
	struct list list = { .check = check, .newest = newest, .origin = origin };
	int err = claim_list(&list, dead, "dead list", what);

	list.strays = true;
	return err ? err : claim_list(&list, strays, "list of strays", what);
}

/* Claims the lists of snapshots: a dead run is kept if it was born up to the predecessor in the branch. */
static int claim_snapshot_lists(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->snapshots_count && !err; i++) {
		const struct th_check_snapshot *snapshot = &check->snapshots[i];
		const struct th_check_snapshot *before = th_check_newest(check, snapshot->branch, i);
		const struct th_check_branch *branch = th_check_branch(check, snapshot->branch);
		uint64_t origin = branch ? branch->origin_generation : 0;
		char what[64];

		snprintf(what, sizeof(what), "snapshot %" PRIu64, snapshot->id);
		err = claim_lists(check, &snapshot->dead, &snapshot->strays, what, before ? before->generation : origin,
				  origin);
	}
	return err;
}

static int claim_head_lists(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->branches_count && !err; i++) {
		const struct th_check_branch *branch = &check->branches[i];
		const struct th_check_snapshot *newest = th_check_newest(check, branch->id, check->snapshots_count);
		uint64_t limit = newest ? newest->generation : branch->origin_generation;
		char what[TH_BRANCH_NAME_MAX + 20];

		snprintf(what, sizeof(what), "branch '%s'", branch->name);
		if (branch->has_head)
			err = claim_lists(check, &branch->dead, &branch->strays, what, limit,
					  branch->origin_generation);
		else if (branch->id == check->super.counters[TH_SUPER_BRANCH])
			err = claim_lists(check, &check->super.dead, &check->super.strays, what, limit,
					  branch->origin_generation);
	}
	return err;
}

/* Claims the lists of abandoned heads: the snapshot before has the dead runs that are not younger than that.  The
 * others are reclaimable, and so are strays that the walk of the tree will skip. */
static int claim_abandoned_lists(struct th_check *check)
{
	int err = 0;

	for (size_t i = 0; i < check->abandoned_count && !err; i++) {
		const struct th_check_abandoned *abandoned = &check->abandoned[i];
		struct list list = { .check = check, .origin = abandoned->than, .abandoned = true };
		char what[64];

		snprintf(what, sizeof(what), "abandoned head %" PRIu64, abandoned->id);
		err = claim_list(&list, &abandoned->dead, "dead list", what);
		list.strays = true;
		if (!err)
			err = claim_list(&list, &abandoned->strays, "list of strays", what);
	}
	return err;
}

/* --- the space map --- */

static int claim_used(uint64_t addr, uint64_t blocks, void *arg)
{
	return th_check_claim(arg, TH_CLAIM_USED, addr, blocks, 1);
}

/* Claims the used blocks of the space map, read from the disk, and the pages of its log. */
static int claim_map(struct th_check *check)
{
	struct list list = { .check = check };
	struct th_space *space;
	int err = th_space_new(check->super.blocks, &space);

	if (err)
		return err;
	err = th_space_load(space, check->store->disk, &check->super.space_log);
	check->claims.map_known = !err;
	if (!err)
		err = th_space_each_used(space, claim_used, check);
	if (!err)
		err = th_blocklist_each(&check->super.space_log, check->store->disk, NULL, claim_page, &list);
	th_space_free(space);
	return list_result(check, "space log", err);
}

int th_check_space(struct th_check *check)
{
	int err = claim_fixed(check);

	if (!err)
		err = claim_nodes(check);
	if (!err)
		err = th_check_claim_snapshot_data(check);
	if (!err)
		err = claim_snapshot_lists(check);
	if (!err)
		err = claim_head_lists(check);
	if (!err)
		err = claim_abandoned_lists(check);
	return err ? err : claim_map(check);
}

/* --- the verdict --- */

enum verdict {
	FINE,
	CLAIMED_TWICE, /* A2 */
	FIXED_IN_MAP, /* A1 */
	NOT_USED,
	LEAKED,
	NODE_DEAD_AND_LIVE, /* A3 */
	NODE_NOT_DEAD,
	NODE_ONLY_DEAD,
	DATA_NOT_DEAD, /* A4 */
	DATA_REFERENCES,
	SHARE_OF_NOTHING,
};

/* Adjacent blocks with the same claims. */
struct stretch {
	enum verdict verdict;
	uint64_t from, to;
	int64_t count[TH_CLAIMS];
};

static bool has_node(const int64_t *n)
{
	return n[TH_CLAIM_LIVE_NODE] || n[TH_CLAIM_SNAPSHOT_NODE] || n[TH_CLAIM_DEAD_NODE] ||
	       n[TH_CLAIM_RECLAIMABLE_NODE];
}

static bool has_data(const int64_t *n)
{
	return n[TH_CLAIM_LIVE_DATA] || n[TH_CLAIM_SNAPSHOT_DATA] || n[TH_CLAIM_DEAD_DATA] ||
	       n[TH_CLAIM_RECLAIMABLE_DATA];
}

static bool has_two_owners(const int64_t *n)
{
	bool node = has_node(n), data = has_data(n);
	int kinds = (n[TH_CLAIM_FIXED] > 0) + (n[TH_CLAIM_PAGE] > 0) + (n[TH_CLAIM_META_NODE] > 0) + node + data;

	return kinds > 1 || n[TH_CLAIM_FIXED] > 1 || n[TH_CLAIM_PAGE] > 1 || n[TH_CLAIM_META_NODE] > 1 ||
	       n[TH_CLAIM_LIVE_NODE] + n[TH_CLAIM_SNAPSHOT_NODE] + n[TH_CLAIM_RECLAIMABLE_NODE] > 1 ||
	       n[TH_CLAIM_DEAD_NODE] + n[TH_CLAIM_RECLAIMABLE_NODE] > 1 || n[TH_CLAIM_SHARE] > 1;
}

static enum verdict judge_node(const struct th_check *check, const int64_t *n)
{
	if (n[TH_CLAIM_LIVE_NODE] && n[TH_CLAIM_DEAD_NODE])
		return NODE_DEAD_AND_LIVE;
	if (check->incomplete)
		return FINE; /* it may have an owner that could not be read */
	if (n[TH_CLAIM_SNAPSHOT_NODE] && !n[TH_CLAIM_DEAD_NODE])
		return NODE_NOT_DEAD;
	if (n[TH_CLAIM_DEAD_NODE] && !n[TH_CLAIM_SNAPSHOT_NODE])
		return NODE_ONLY_DEAD;
	return FINE;
}

static enum verdict judge_data(const struct th_check *check, const int64_t *n)
{
	int64_t needed = n[TH_CLAIM_LIVE_DATA] + n[TH_CLAIM_DEAD_DATA],
		references = needed + n[TH_CLAIM_RECLAIMABLE_DATA];
	int64_t expected = 1 + n[TH_CLAIM_SHARED];

	if (references > expected)
		return DATA_REFERENCES;
	if (needed == 0 && n[TH_CLAIM_SNAPSHOT_DATA] && !check->incomplete)
		return DATA_NOT_DEAD;
	if (references == expected || check->incomplete)
		return FINE;
	return references == 0 ? DATA_NOT_DEAD : DATA_REFERENCES;
}

static enum verdict judge(const struct th_check *check, const int64_t *n)
{
	bool data = has_data(n), node = has_node(n);
	bool other = n[TH_CLAIM_PAGE] || n[TH_CLAIM_META_NODE];

	if (has_two_owners(n))
		return CLAIMED_TWICE;
	if (n[TH_CLAIM_FIXED])
		return n[TH_CLAIM_USED] ? FIXED_IN_MAP : FINE;
	if ((data || node || other) && !n[TH_CLAIM_USED] && check->claims.map_known)
		return NOT_USED;
	if (node)
		return judge_node(check, n);
	if (data)
		return judge_data(check, n);
	if (n[TH_CLAIM_SHARE])
		return check->incomplete ? FINE : SHARE_OF_NOTHING;
	return n[TH_CLAIM_USED] && !other ? LEAKED : FINE;
}

static const char *const claim_names[TH_CLAIMS] = {
	[TH_CLAIM_USED] = "the space map",
	[TH_CLAIM_FIXED] = "superblocks or log",
	[TH_CLAIM_PAGE] = "a page of a block list",
	[TH_CLAIM_META_NODE] = "a meta node",
	[TH_CLAIM_LIVE_NODE] = "a live node",
	[TH_CLAIM_SNAPSHOT_NODE] = "a snapshot's node",
	[TH_CLAIM_DEAD_NODE] = "a dead node",
	[TH_CLAIM_LIVE_DATA] = "live data",
	[TH_CLAIM_SNAPSHOT_DATA] = "a snapshot's data",
	[TH_CLAIM_DEAD_DATA] = "dead data",
	[TH_CLAIM_RECLAIMABLE_NODE] = "a reclaimable node",
	[TH_CLAIM_RECLAIMABLE_DATA] = "reclaimable data",
	[TH_CLAIM_SHARE] = "block references",
	[TH_CLAIM_SHARED] = "further references",
};

/* Prints claims as "live data (2), a dead node (1)". */
static void print_claims(const int64_t *n, char *to, size_t size)
{
	size_t at = 0;

	to[0] = 0;
	for (unsigned i = TH_CLAIM_FIXED; i < TH_CLAIMS && at < size; i++)
		if (n[i])
			at += (size_t)snprintf(to + at, size - at, "%s%s (%" PRId64 ")", at ? ", " : "", claim_names[i],
					       n[i]);
}

static void report(struct th_check *check, const struct stretch *s)
{
	static const char *const what[] = {
		[CLAIMED_TWICE] = "expected one owner",
		[FIXED_IN_MAP] = "allocated in the space map, but a fixed area",
		[NOT_USED] = "free in the space map, but in use",
		[LEAKED] = "used in the space map, but not referred to",
		[NODE_DEAD_AND_LIVE] = "on a dead list, but a head owns them",
		[NODE_NOT_DEAD] = "no head owns them, but they are on no dead list",
		[NODE_ONLY_DEAD] = "on a dead list, but in no snapshot",
		[DATA_NOT_DEAD] = "no head owns them, but they are on no dead list",
		[DATA_REFERENCES] = "the references do not match the table of block references",
		[SHARE_OF_NOTHING] = "in the table of block references, but not referred to",
	};
	char claims[256];

	if (s->verdict == FINE || (s->verdict == LEAKED && check->incomplete))
		return;
	print_claims(s->count, claims, sizeof(claims));
	th_check_problem(check, "%" PRIu64 " blocks from %" PRIu64 " on: %s%s%s", s->to - s->from, s->from,
			 what[s->verdict], claims[0] ? ": " : "", claims);
}

/* Joins a stretch to the one before, or reports that one. */
static void add_stretch(struct th_check *check, struct stretch *before, const struct stretch *now)
{
	if (has_node(now->count) || now->count[TH_CLAIM_META_NODE])
		check->node_blocks += now->to - now->from;
	if (now->verdict == LEAKED && !check->incomplete)
		check->result.leaked_blocks += now->to - now->from;
	if (before->verdict == now->verdict && before->to == now->from &&
	    memcmp(before->count, now->count, sizeof(now->count)) == 0) {
		before->to = now->to;
		return;
	}
	report(check, before);
	*before = *now;
}

static int compare_events(const void *a, const void *b)
{
	const struct th_claim_event *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static void check_count(struct th_check *check, enum th_super_counter counter, uint64_t expected, const char *what)
{
	if (check->super.counters[counter] != expected)
		th_check_problem(check, "superblock: %" PRIu64 " blocks of %s, expected %" PRIu64,
				 check->super.counters[counter], what, expected);
}

/* Checks the counts of nodes (catalogue/usage.h).  Lost blocks may be those of nodes. */
static void check_counts(struct th_check *check)
{
	if (check->incomplete || check->result.problems > 0)
		return;
	check_count(check, TH_SUPER_NODE_BLOCKS, check->node_blocks, "nodes");
	check_count(check, TH_SUPER_DEAD_NODE_BLOCKS, check->dead_node_blocks, "nodes on dead lists");
}

int th_check_blocks(struct th_check *check)
{
	struct th_claims *claims = &check->claims;
	struct stretch before = { 0 }, now = { 0 };
	size_t i = 0;

	if (claims->count > 0)
		qsort(claims->event, claims->count, sizeof(*claims->event), compare_events);
	while (i < claims->count) {
		for (now.from = claims->event[i].at; i < claims->count && claims->event[i].at == now.from; i++)
			now.count[claims->event[i].claim] += claims->event[i].count;
		now.to = i < claims->count ? claims->event[i].at : now.from;
		now.verdict = judge(check, now.count);
		add_stretch(check, &before, &now);
	}
	report(check, &before);
	check_counts(check);
	return 0;
}
