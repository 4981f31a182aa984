/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker's inside: shared by the files of this folder.
 *
 * The checker reads the last checkpoint from the disk, and uses neither the cache nor the tables that the store keeps
 * in memory, so it sees the state that the next opening would see.  It gathers all claims of blocks, and then looks at
 * every block once:
 *
 *   A1  A block is used, in the space map, if and only if it is claimed; fixed areas are never in the map.
 *   A2  It belongs to one kind of owner: a fixed area, a page of a block list, the meta tree, a node of the trees of
 *       branches and snapshots, or data.  Except data, it has one owner.
 *   A3  A node that only snapshots have is on exactly one dead list; a node that a head owns is on none.
 *   A4  Data has as many references as the table of block references counts: references that heads own and entries of
 *       dead lists together are one more than the count.  Data that only snapshots refer to is on a dead list.
 *
 * Ownership.  A head owns the blocks that were born after its branch's origin, within the branch; it shares the others
 * as a snapshot does.  Heads are the live tree, those of other branches, the newest snapshots of detached branches, and
 * the rest of abandoned heads, which own the blocks born after the generation in their entry.
 *
 * Dead lists.  Entries that are not younger than the origin of their branch do not count: they belong to the branches
 * before.  Entries that are younger than the snapshot before are reclaimable: they belonged to deleted snapshots, and
 * no other owner may have them (catalogue/reclaim.h).  A stray (catalogue/dead_list.h) that is not younger than the
 * origin counts as a reference itself, until its branch is deleted; then it is on the list of the abandoned head, and
 * reclaimable.
 *
 * Values.  The runs that a value names count where the value is visible.  A pending message above a record has dropped
 * the record's runs when it was applied, though the record is still there.  Large values are different: their own
 * blocks are dropped when the message reaches them, so they count wherever they are.
 */
#ifndef TH_TREE_CHECK_CHECK_H
#define TH_TREE_CHECK_CHECK_H

#include "tree/state/state.h"

/* --- claims: owners of blocks (claims.c) --- */

enum th_claim {
	TH_CLAIM_USED, /* the space map */
	TH_CLAIM_FIXED, /* superblocks and intent log */
	TH_CLAIM_PAGE, /* of a block list */
	TH_CLAIM_META_NODE,
	TH_CLAIM_LIVE_NODE, /* owned by a head; snapshots may have it, too */
	TH_CLAIM_SNAPSHOT_NODE, /* of snapshots only */
	TH_CLAIM_DEAD_NODE, /* on a dead list */
	TH_CLAIM_LIVE_DATA, /* owned by a head: once for every reference */
	TH_CLAIM_SNAPSHOT_DATA, /* once, however many references */
	TH_CLAIM_DEAD_DATA,
	TH_CLAIM_RECLAIMABLE_NODE, /* on a dead list, to be freed */
	TH_CLAIM_RECLAIMABLE_DATA,
	TH_CLAIM_SHARE, /* an entry of the table of block references */
	TH_CLAIM_SHARED, /* the count in it */
	TH_CLAIMS,
};

/* A change of the number of claims at an address. */
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
	struct th_claim_run *snapshot; /* data of snapshots, joined from time to time */
	size_t snapshot_count, snapshot_capacity;
	bool map_known; /* the space map could be read */
};

/* --- nodes and large values that were looked at, by address (seen.c) --- */

enum th_seen_flags {
	TH_SEEN_META = 1 << 0,
	TH_SEEN_SNAPSHOT = 1 << 1,
	TH_SEEN_LIVE = 1 << 2,
	TH_SEEN_DAMAGED = 1 << 3, /* and reported */
	TH_SEEN_OWNED = 1 << 4, /* by a head */
	TH_SEEN_SCATTERED = 1 << 5, /* its address is that of a map of its runs */
	TH_SEEN_MIRROR_SCATTERED = 1 << 6, /* so is the address of its second copy */
};

struct th_seen {
	uint64_t addr; /* 0: an empty slot */
	uint64_t mirror, birth, checksum;
	uint32_t view; /* number of the last tree that has it */
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
	bool open; /* without an end */
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
	struct th_ptr root; /* root and lists, if has_head; those of the current branch are in the superblock */
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
	struct th_super super; /* as read from the disk */
	struct th_check_snapshot *snapshots; /* oldest first, after the meta tree was read */
	size_t snapshots_count, snapshots_capacity;
	struct th_check_branch *branches; /* by rising ids, after the meta tree was read */
	size_t branches_count, branches_capacity;
	struct th_check_hold *holds;
	size_t holds_count, holds_capacity;
	struct th_check_abandoned *abandoned;
	size_t abandoned_count, abandoned_capacity;
	struct th_claims claims;
	struct th_seen_set nodes, values;
	struct th_check_hole *holes;
	size_t holes_count, holes_capacity;
	uint32_t views; /* trees walked */
	uint64_t node_blocks, dead_node_blocks; /* of all trees; on dead lists */
	bool incomplete; /* a structure could not be read, so claims are missing */
};

/* Functions below return 0, or -errno if the check cannot go on (-ENOMEM).  Faults of the store are reported
 * instead. */

/* Reports a problem in one line: what, where, expected, found. */
void th_check_problem(struct th_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns true if a run lies inside the image and is not empty. */
bool th_check_inside(const struct th_check *check, uint64_t addr, uint64_t blocks);

/* Makes a key printable, for a message.  Returns text. */
#define TH_CHECK_KEY_TEXT 100
const char *th_check_key(struct th_slice key, char text[TH_CHECK_KEY_TEXT]);

/* --- trees (tree.c, value.c, deletes.c) --- */

/* The head of a branch other than the one that the store was opened on is TH_CHECK_SNAPSHOT. */
enum th_check_kind { TH_CHECK_META, TH_CHECK_SNAPSHOT, TH_CHECK_ABANDONED, TH_CHECK_LIVE };

struct th_check_tree {
	enum th_check_kind kind;
	const char *name;
	struct th_ptr root;
	uint64_t generation, sequence; /* no node and no message in it is newer */
	uint64_t owned; /* generation: it owns blocks that were born later; UINT64_MAX: none */
	struct th_slice at; /* of an abandoned head: nodes that end before this key are freed */
};

/* A path from the root of a tree down to a node. */
struct th_check_walk {
	struct th_check *check;
	const struct th_check_tree *tree;
	uint32_t view;
	bool first; /* the lowest node on the path is new: report its faults */
	unsigned depth;
	struct th_node *path[TH_HEIGHT_MAX];
};

/* Checks every node of a tree.  Of snapshots, the oldest must come first: a node that an older one has is skipped,
 * since the messages above an unchanged node can only become more, and hide more, with time. */
int th_check_tree(struct th_check *check, const struct th_check_tree *tree);
/* Claims the blocks that the entries of the lowest node on the path refer to. */
int th_check_values(struct th_check_walk *walk);
/* Counts records and pending messages of the lowest node on the path (deletes.c). */
void th_check_deletes(struct th_check_walk *walk);
/* Notes that the live keys of [from, to) cannot be read. */
int th_check_add_hole(struct th_check *check, struct th_slice from, struct th_slice to);

/* Finds the record of an address, or adds one that has only the address. */
int th_seen_get(struct th_seen_set *set, uint64_t addr, struct th_seen **ret);

/* --- entries of the meta tree (meta.c) --- */

/* Checks and keeps one entry. */
int th_check_meta_entry(struct th_check *check, struct th_slice key, struct th_slice value);
/* Checks and keeps the entries that the superblock carries. */
int th_check_carried(struct th_check *check);
/* Sorts snapshots and branches, and checks them against each other. */
int th_check_catalogue(struct th_check *check);
/* Returns the branch with an id, or NULL. */
const struct th_check_branch *th_check_branch(const struct th_check *check, uint64_t id);
/* Returns the newest snapshot of a branch among the first `count`, or NULL. */
const struct th_check_snapshot *th_check_newest(const struct th_check *check, uint64_t branch, size_t count);

/* --- space (claims.c, space.c) --- */

/* Claims blocks `count` times. */
int th_check_claim(struct th_check *check, enum th_claim claim, uint64_t addr, uint64_t blocks, uint32_t count);
/* Notes data of a snapshot, which counts once however many snapshots refer to it. */
int th_check_claim_snapshot(struct th_check *check, uint64_t addr, uint64_t blocks);
/* Claims all data so noted. */
int th_check_claim_snapshot_data(struct th_check *check);
/* Claims the fixed areas, the space log, all nodes, and the entries of dead lists. */
int th_check_space(struct th_check *check);
/* Checks A1 to A4, when all claims are known. */
int th_check_blocks(struct th_check *check);

#endif
