/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker's inside: what the check*.c files share.
 *
 * The checker reads the last commit from the disk anew, past the cache and past everything the store keeps in memory,
 * so that it sees what the next mount would see.  It gathers who claims which blocks, and then looks at every block
 * once:
 *
 *   A1  A block is used, in the space map, if and only if something claims it; fixed areas are never in the map.
 *   A2  It belongs to one kind of owner: a fixed area, a page of a block list, the meta tree, a node of the trees of
 *       branches and snapshots, or data.  But for data, one owner.
 *   A3  A node that only snapshots have is on exactly one dead list; what a head owns is on none.
 *   A4  Data has as many references as the share table says: references that heads own and entries on dead lists
 *       together are one more than the count.  What only snapshots refer to is on a dead list.
 *
 * A head owns what was born later than its branch's origin, in the branch's own time; the rest it has as a snapshot
 * has it.  Heads are the live tree, those of other branches, the newest snapshots of detached branches, and what is
 * left of heads that were abandoned, which own what was born later than their entry says.  Entries on dead lists that
 * are not younger than the origin of their branch are void; so are those that are younger than the snapshot before,
 * which belonged to snapshots that were deleted: they are counted as what is on its way to be free (reap.c), and must
 * not be anybody else's.  A stray (dead.c) that is not younger than the origin
 * counts as a reference itself, until its branch goes; then it is on the abandoned head's list, among what is on its
 * way to be free.
 *
 * What a value refers to counts where the value can be seen.  A record that a pending message above it hides has given
 * up what it named when the message came, though it is still there.  Only large values are different: theirs are given
 * up when the message reaches them, so they count wherever they are.
 */
#ifndef TH_TREE_CHECK_CHECK_H
#define TH_TREE_CHECK_CHECK_H

#include "tree/state/state.h"

/* --- who claims which blocks (check_space.c) --- */

enum th_claim {
	TH_CLAIM_USED, /* the space map */
	TH_CLAIM_FIXED, /* superblocks and intent log */
	TH_CLAIM_PAGE, /* of a block list */
	TH_CLAIM_META_NODE,
	TH_CLAIM_LIVE_NODE, /* that a head owns, and maybe snapshots have too */
	TH_CLAIM_SNAPSHOT_NODE, /* of snapshots only */
	TH_CLAIM_DEAD_NODE, /* on a dead list */
	TH_CLAIM_LIVE_DATA, /* that a head owns: once for every reference */
	TH_CLAIM_SNAPSHOT_DATA, /* once, however many references */
	TH_CLAIM_DEAD_DATA,
	TH_CLAIM_VOID_NODE, /* on a dead list, to be freed */
	TH_CLAIM_VOID_DATA,
	TH_CLAIM_SHARE, /* a record of the share table */
	TH_CLAIM_SHARED, /* the count in it */
	TH_CLAIMS,
};

/* Where claims begin or end. */
struct th_claim_event {
	uint64_t at;
	int32_t count;
	uint32_t claim;
};

struct th_claim_run {
	uint64_t addr, blocks;
};

struct th_claims {
	struct th_claim_event *event;
	size_t count, capacity;
	struct th_claim_run *snapshot; /* data of snapshots, merged now and then */
	size_t snapshot_count, snapshot_capacity;
	bool map_known; /* the space map could be read */
};

/* --- nodes and large values that were looked at, by address --- */

enum th_seen_flags {
	TH_SEEN_META = 1 << 0,
	TH_SEEN_SNAPSHOT = 1 << 1,
	TH_SEEN_LIVE = 1 << 2,
	TH_SEEN_DAMAGED = 1 << 3, /* said so already */
	TH_SEEN_OWNED = 1 << 4, /* by a head */
};

struct th_seen {
	uint64_t addr; /* 0: an empty slot */
	uint64_t birth, checksum;
	uint32_t view; /* number of the tree that had it last */
	uint16_t blocks;
	uint8_t level, flags;
};

struct th_seen_set {
	struct th_seen *slot;
	size_t count, capacity;
};

/* --- the check --- */

/* A range of live keys that cannot be read. */
struct th_check_hole {
	struct th_key from, to;
	bool open; /* to the very end */
};

struct th_check_snapshot {
	uint64_t id, generation, sequence, branch;
	struct th_ptr root;
	struct th_blocklist dead, strays;
	bool deleting;
	char name[TH_SNAPSHOT_NAME_MAX + 1];
};

struct th_check_hold {
	uint64_t id, snapshot;
	char tag[TH_HOLD_TAG_MAX + 1];
};

struct th_check_branch {
	uint64_t id, origin, sequence;
	uint64_t origin_generation; /* 0: none */
	bool detached, has_head;
	struct th_ptr root; /* and the lists: if has_head, else they are in the superblock, or nowhere */
	struct th_blocklist dead, strays;
	char name[TH_BRANCH_NAME_MAX + 1];
};

struct th_check_abandoned {
	struct th_ptr root;
	struct th_blocklist dead, strays;
	uint64_t id, than;
	struct th_key at;
};

struct th_check {
	struct th_store *store;
	struct th_check_options options;
	struct th_check_result result;
	struct th_super super; /* as the disk has it */
	struct th_check_snapshot *snapshots; /* oldest first, once the meta tree was read */
	size_t snapshots_count, snapshots_capacity;
	struct th_check_branch *branches; /* likewise */
	size_t branches_count, branches_capacity;
	struct th_check_hold *holds;
	size_t holds_count, holds_capacity;
	struct th_check_abandoned *abandoned;
	size_t abandoned_count, abandoned_capacity;
	struct th_claims claims;
	struct th_seen_set nodes, values;
	struct th_check_hole *holes;
	size_t holes_count, holes_capacity;
	uint32_t views; /* trees begun */
	bool incomplete; /* something could not be read: what it refers to is not known */
};

/* Functions below return 0 or, where the check cannot go on, -errno; what is wrong with the store is reported. */

/* One line: what, where, expected, found. */
void th_check_problem(struct th_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Is the run inside the image, and not empty? */
bool th_check_inside(const struct th_check *check, uint64_t addr, uint64_t blocks);

/* The key, fit for a message. */
#define TH_CHECK_KEY_TEXT 100
const char *th_check_key(struct th_slice key, char text[TH_CHECK_KEY_TEXT]);

/* --- trees (check_tree.c, check_value.c) --- */

/* Of a branch that is not the one the store was opened on, the head is looked at as a snapshot is. */
enum th_check_kind { TH_CHECK_META, TH_CHECK_SNAPSHOT, TH_CHECK_ABANDONED, TH_CHECK_LIVE };

struct th_check_tree {
	enum th_check_kind kind;
	const char *name;
	struct th_ptr root;
	uint64_t generation, sequence; /* nothing in it is newer */
	uint64_t owned; /* it owns what was born later; UINT64_MAX: nothing */
	struct th_slice at; /* of one that was abandoned: what ends before it is no more */
};

/* A way down such a tree. */
struct th_check_walk {
	struct th_check *check;
	const struct th_check_tree *tree;
	uint32_t view;
	bool first; /* the lowest node on the path was not looked at before: say what is wrong with it */
	unsigned depth;
	struct th_node *path[TH_HEIGHT_MAX];
};

/* Looks at every node.  Of snapshots, the oldest must come first: a node that an older one has is passed by, since what
 * is pending above a node that does not change can only become more, and hide more, with time. */
int th_check_tree(struct th_check *check, const struct th_check_tree *tree);
/* Accounts for what the entries of the lowest node on the path refer to. */
int th_check_values(struct th_check_walk *walk);
/* Live keys of [from, to) cannot be read. */
int th_check_add_hole(struct th_check *check, struct th_slice from, struct th_slice to);

/* The place of an address; a new one is empty but for the address. */
int th_seen_get(struct th_seen_set *set, uint64_t addr, struct th_seen **ret);

/* --- the meta tree's entries (check_meta.c) --- */

/* Takes one in. */
int th_check_meta_entry(struct th_check *check, struct th_slice key, struct th_slice value);
/* Those that the superblock carries. */
int th_check_carried(struct th_check *check);
/* Puts snapshots and branches in order and looks at them together. */
int th_check_catalogue(struct th_check *check);
const struct th_check_branch *th_check_branch(const struct th_check *check, uint64_t id);
/* The newest snapshot of the branch among the first `count`, or NULL. */
const struct th_check_snapshot *th_check_newest(const struct th_check *check, uint64_t branch, size_t count);

/* --- space --- */

int th_check_claim(struct th_check *check, enum th_claim claim, uint64_t addr, uint64_t blocks, uint32_t count);
int th_check_claim_snapshot(struct th_check *check, uint64_t addr, uint64_t blocks);
int th_check_claim_snapshot_data(struct th_check *check);
/* Claims what is fixed, on the space log, and on dead lists. */
int th_check_space(struct th_check *check);
/* With every claim known: A1 to A4. */
int th_check_blocks(struct th_check *check);

#endif
