/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of one tree for a scrub.  Internal to tree/scrub. */
#ifndef TH_TREE_SCRUB_WALK_H
#define TH_TREE_SCRUB_WALK_H

#include "journal/space/space_map.h"
#include "tree/scrub/roots.h"
#include "tree/scrub/scrub.h"

struct th_scrub {
	struct th_store *store;
	th_scrub_value *value;
	void *arg;
	struct th_space_map seen; /* blocks of nodes that are not younger than the begin, and of data */
	bool marking; /* `seen` could be made */
	struct th_key snapshot_at, head_at; /* where the walks of the snapshot and of the head under way go on */
	uint64_t walking; /* id of the snapshot that snapshot_at is of */
	uint64_t step_bytes; /* read in this step */
	uint64_t unsaved; /* bytes read since the place was saved */
	uint8_t *buffer; /* owned; for one run */
};

/* Verifies the nodes of a tree from the key *at on, and passes its values on, until at least `bytes` bytes were read in
 * this step.  Returns 0 with *at, where to continue; 1 at the end of the tree; or -ENOMEM. */
int th_scrub_tree(struct th_scrub *scrub, const struct th_root *root, uint64_t bytes, struct th_key *at);
/* Count damage; count bytes; mark blocks as read, and return whether all of them were. */
void th_scrub_found(struct th_scrub *scrub, bool healed);
void th_scrub_read(struct th_scrub *scrub, uint64_t bytes);
bool th_scrub_seen(struct th_scrub *scrub, uint64_t addr, uint64_t blocks);
/* Verifies both copies of all pages of a list.  Returns 0 or -ENOMEM. */
int th_scrub_list(struct th_scrub *scrub, const struct th_blocklist *list);

#endif
