/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Branches: creating, renaming, deleting and promoting them, switching to one, and rolling the current one back to a
 * snapshot.
 *
 *     main   --A-----B-----C--head          After a rollback to A, with B and C kept:
 *               \
 *     work       \--D--head                 main      --A--head
 *                                           detached     \--B-----C
 *                                           work          \--D--head
 */
#include "tree/snapshot/branch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/clock.h"
#include "tree/catalogue/head_reclaim.h"
#include "tree/catalogue/lineage.h"
#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"
#include "tree/view/view.h"

#define TH_BRANCH_FIRST "main"

struct request {
	const char *name, *other; /* a snapshot, or a new name */
	bool snapshots;
	struct th_branch *ret;
	int result; /* of the request; on an error the checkpoint still succeeds */
};

/* Runs a step in a checkpoint.  Returns its error, or else the result of the request. */
static int run(struct th_store *store, th_checkpoint_step *step, struct request *request)
{
	int err = th_store_writable(store);

	if (!err)
		err = th_checkpoint(store, step, request, 0);
	return err ? err : request->result;
}

/* --- the first branch --- */

static struct th_branch_record *record_new(struct th_store *store, const char *name)
{
	struct th_branch_record *record = calloc(1, sizeof(*record));

	if (!record)
		return NULL;
	record->id = store->super.counters[TH_SUPER_NEXT_BRANCH]++;
	record->created_ns = th_now_ns();
	strcpy(record->name, name);
	return record;
}

/* Adds a record, which belongs to the table even on an error. */
static int add_record(struct th_store *store, struct th_branch_record *record)
{
	pthread_mutex_lock(&store->snapshot_lock);
	th_branch_table_add(&store->branches, record);
	pthread_mutex_unlock(&store->snapshot_lock);
	return th_branch_put(store, record);
}

int th_branch_first_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct th_branch_record *record;

	(void)state;
	(void)arg;
	store->super.counters[TH_SUPER_NEXT_BRANCH] = 1;
	record = record_new(store, TH_BRANCH_FIRST);
	if (!record)
		return -ENOMEM;
	store->super.counters[TH_SUPER_BRANCH] = record->id;
	return add_record(store, record);
}

/* --- create --- */

/* Fills in *ret.  snapshot_lock is held. */
static void describe(struct th_store *store, const struct th_branch_record *record, struct th_branch *ret)
{
	*ret = (struct th_branch){
		.id = record->id,
		.origin = record->origin,
		.created_ns = record->created_ns,
		.current = record->id == store->branch,
		.detached = record->detached,
	};
	strcpy(ret->name, record->name);
	for (size_t i = 0; i < store->catalogue.count; i++) {
		const struct th_snapshot_record *snapshot = store->catalogue.record[i];

		ret->snapshots += snapshot->info.branch == record->id && !snapshot->deleting;
	}
}

/* Adds a branch that begins from a snapshot.  From then on the snapshot cannot be deleted.  Returns 0, -EEXIST or
 * -ENOENT.  snapshot_lock is held. */
static int begin_from(struct th_store *store, struct th_branch_record *record, const struct request *request)
{
	const struct th_snapshot_record *snapshot = th_snapshot_table_named(&store->catalogue, request->other);

	if (th_branch_table_named(&store->branches, request->name))
		return -EEXIST;
	if (!snapshot)
		return -ENOENT;
	record->head->root = snapshot->root;
	record->head->sequence = snapshot->info.sequence;
	record->origin = snapshot->info.id;
	th_branch_table_add(&store->branches, record);
	if (request->ret)
		describe(store, record, request->ret);
	return 0;
}

static int create_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_head *head = calloc(1, sizeof(*head));
	struct th_branch_record *record = head ? record_new(store, request->name) : NULL;

	(void)state;
	if (!record) {
		free(head);
		return -ENOMEM;
	}
	record->head = head;
	pthread_mutex_lock(&store->snapshot_lock);
	request->result = begin_from(store, record, request);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (request->result == 0)
		return th_branch_put(store, record);
	free(head);
	free(record);
	return 0;
}

int th_branch_create(struct th_store *store, const char *name, const char *snapshot, struct th_branch *ret)
{
	struct request request = { .name = name, .other = snapshot, .ret = ret };
	struct th_snapshot unused;
	int err = th_snapshot_check_name(name);

	if (!err)
		err = th_snapshot_find(store, snapshot, &unused);
	if (!err && th_branch_find(store, name, NULL) == 0)
		err = -EEXIST;
	return err ? err : run(store, create_step, &request);
}

/* --- rename --- */

static int rename_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_branch_record *record, *taken;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_branch_table_named(&store->branches, request->name);
	taken = th_branch_table_named(&store->branches, request->other);
	if (!record)
		request->result = -ENOENT;
	else if (taken && taken != record)
		request->result = -EEXIST;
	else
		strcpy(record->name, request->other);
	pthread_mutex_unlock(&store->snapshot_lock);
	return request->result < 0 ? 0 : th_branch_put(store, record);
}

int th_branch_rename(struct th_store *store, const char *from, const char *to)
{
	struct request request = { .name = from, .other = to };
	int err = th_snapshot_check_name(to);

	if (!err)
		err = th_branch_find(store, from, NULL);
	return err ? err : run(store, rename_step, &request);
}

/* --- delete --- */

/* Returns 0 if the branch can be deleted, or the error of th_branch_delete().  snapshot_lock is held. */
static int deletable(struct th_store *store, const struct th_branch_record *record, bool snapshots)
{
	if (!record)
		return -ENOENT;
	if (record->id == store->branch)
		return -EBUSY;
	for (size_t i = 0; i < store->catalogue.count; i++) {
		const struct th_snapshot_record *snapshot = store->catalogue.record[i];

		if (snapshot->info.branch != record->id || snapshot->deleting)
			continue;
		if (!snapshots)
			return -ENOTEMPTY;
		if (snapshot->holds || th_lineage_pins(store, snapshot->info.id))
			return -EBUSY;
	}
	return 0;
}

/* Deletes the snapshots of a branch, in the checkpoint under way.  snapshot_lock is held. */
static void delete_snapshots(struct th_store *store, uint64_t branch)
{
	for (size_t i = 0; i < store->catalogue.count; i++) {
		struct th_snapshot_record *snapshot = store->catalogue.record[i];

		if (snapshot->info.branch == branch && !snapshot->deleting)
			th_snapshot_table_unname(&store->catalogue, snapshot, store->live.checkpoint_gen);
	}
}

/* Detaches a branch, and abandons its head. */
static int detach(struct th_store *store, struct th_branch_record *record)
{
	uint64_t than = th_lineage_before(store, store->catalogue.count, record);
	struct th_head *head;

	pthread_mutex_lock(&store->snapshot_lock);
	head = record->head;
	record->head = NULL;
	record->detached = true;
	store->branches.named--;
	pthread_mutex_unlock(&store->snapshot_lock);
	return th_head_abandon(store, head, than);
}

static int delete_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_branch_record *record;
	int err;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_branch_table_named(&store->branches, request->name);
	request->result = deletable(store, record, request->snapshots);
	if (request->result == 0)
		delete_snapshots(store, record->id);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (request->result < 0)
		return 0;
	err = detach(store, record);
	if (err)
		return err;
	if (th_lineage_newest(store, record->id))
		return th_branch_put(store, record);
	err = th_branch_drop(store, record);
	pthread_mutex_lock(&store->snapshot_lock);
	th_branch_table_remove(&store->branches, record);
	pthread_mutex_unlock(&store->snapshot_lock);
	return err;
}

int th_branch_delete(struct th_store *store, const char *name, bool snapshots)
{
	struct request request = { .name = name, .snapshots = snapshots };
	int err;

	pthread_mutex_lock(&store->snapshot_lock);
	err = deletable(store, th_branch_table_named(&store->branches, name), snapshots);
	pthread_mutex_unlock(&store->snapshot_lock);
	return err ? err : run(store, delete_step, &request);
}

/* --- promote --- */

/* Moves the snapshots of a branch that are newer than generation `after`, up to `upto`, to another branch.  Their lists
 * stay as they are: a list has the blocks that died since the snapshot before, whatever branch that belongs to. */
static int move_snapshots(struct th_store *store, uint64_t from, uint64_t to, uint64_t after, uint64_t upto)
{
	int err = 0;

	for (size_t i = 0; i < store->catalogue.count && !err; i++) {
		struct th_snapshot_record *snapshot = store->catalogue.record[i];

		if (snapshot->info.branch != from || snapshot->info.generation <= after ||
		    snapshot->info.generation > upto)
			continue;
		pthread_mutex_lock(&store->snapshot_lock);
		snapshot->info.branch = to;
		pthread_mutex_unlock(&store->snapshot_lock);
		err = th_snapshot_table_put(store, snapshot);
	}
	return err;
}

/* Returns the branch that the origin of a branch belongs to; NULL if it has no origin. */
static struct th_branch_record *parent_of(struct th_store *store, const struct th_branch_record *branch)
{
	const struct th_snapshot_record *origin = th_snapshot_table_numbered(&store->catalogue, branch->origin);

	return origin ? th_branch_table_find(&store->branches, origin->info.branch) : NULL;
}

/* Exchanges the roles of a branch and its parent: the branch gets the parent's snapshots up to its origin, and begins
 * where the parent began.  The parent then begins from that snapshot, or is removed if it is detached and has no
 * others. */
static int take_over(struct th_store *store, struct th_branch_record *branch, struct th_branch_record *parent)
{
	uint64_t fork = branch->origin;
	bool removed;
	int err;

	if (parent == branch)
		return -EUCLEAN; /* of a damaged catalogue */
	err = move_snapshots(store, parent->id, branch->id, 0, th_lineage_origin(store, branch));
	if (err)
		return err;
	pthread_mutex_lock(&store->snapshot_lock);
	branch->origin = parent->origin;
	parent->origin = fork;
	pthread_mutex_unlock(&store->snapshot_lock);
	err = th_branch_put(store, branch);
	if (!err)
		err = th_branch_put(store, parent);
	return err ? err : th_reclaim_empty_branch(store, parent->id, &removed);
}

/* Takes over from detached branches, which have no name by which they could be deleted or promoted. */
static int take_over_detached(struct th_store *store, struct th_branch_record *branch)
{
	struct th_branch_record *parent;
	int err = 0;

	while (!err && (parent = parent_of(store, branch)) && parent->detached)
		err = take_over(store, branch, parent);
	return err;
}

static int promote_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_branch_record *branch, *parent;
	int err;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	branch = th_branch_table_named(&store->branches, request->name);
	pthread_mutex_unlock(&store->snapshot_lock);
	parent = branch ? parent_of(store, branch) : NULL;
	request->result = !branch ? -ENOENT : !parent;
	if (request->result)
		return 0;
	err = take_over(store, branch, parent);
	return err ? err : take_over_detached(store, branch);
}

int th_branch_promote(struct th_store *store, const char *name)
{
	struct request request = { .name = name };
	struct th_branch branch;
	int err = th_branch_find(store, name, &branch);

	if (!err && !branch.origin)
		err = th_store_writable(store) ? -EROFS : 1;
	return err ? err : run(store, promote_step, &request);
}

/* --- another head for the live tree --- */

/* Makes a head of the live tree, as the checkpoint under way leaves it, with the lists of the superblock.  Returns
 * it, or NULL: no memory. */
static struct th_head *take_head(struct th_store *store, const struct th_checkpoint_state *state)
{
	struct th_head *head = calloc(1, sizeof(*head));

	if (!head)
		return NULL;
	head->root = state->live_root;
	head->sequence = state->sequence;
	head->dead = store->super.dead;
	head->strays = store->super.strays;
	store->super.dead = store->super.strays = (struct th_blocklist){ 0 };
	return head;
}

/* Makes another branch the current one: the old head moves from the superblock to its entry, the new one from there. */
static int switch_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct th_branch_record *to = arg, *from = th_branch_table_find(&store->branches, store->branch);
	struct th_head *old_head, *new_head = to->head;
	int err = th_root_load(store, &new_head->root, &state->new_root);

	if (!err)
		err = th_blocklist_wait(&store->dead_write);
	if (err)
		return err;
	old_head = take_head(store, state);
	if (!old_head)
		return -ENOMEM;
	state->live_root = new_head->root;
	store->super.dead = new_head->dead;
	store->super.strays = new_head->strays;
	store->super.counters[TH_SUPER_BRANCH] = to->id;
	pthread_mutex_lock(&store->snapshot_lock);
	from->head = old_head;
	to->head = NULL;
	store->branch = to->id;
	pthread_mutex_unlock(&store->snapshot_lock);
	th_head_free(new_head);
	err = th_branch_put(store, from);
	return err ? err : th_branch_put(store, to);
}

/* The same in memory only, for a store that is opened read-only. */
static int switch_read_only(struct th_store *store, struct th_branch_record *to)
{
	struct th_branch_record *from = th_branch_table_find(&store->branches, store->branch);
	struct th_head *old_head = calloc(1, sizeof(*old_head)), *new_head = to->head;
	struct th_node *root;
	int err = old_head ? th_root_load(store, &new_head->root, &root) : -ENOMEM;

	if (err) {
		free(old_head);
		return err;
	}
	old_head->node = store->live.root;
	old_head->sequence = store->seq;
	from->head = old_head;
	to->head = NULL;
	th_head_free(new_head);
	store->live.root = root;
	store->branch = to->id;
	return 0;
}

int th_branch_switch(struct th_store *store, const char *name)
{
	struct th_branch_record *to = th_branch_table_named(&store->branches, name);

	if (!to)
		return -ENOENT;
	if (to->id == store->branch)
		return 0;
	return store->read_only ? switch_read_only(store, to) : th_checkpoint(store, switch_step, to, 0);
}

/* --- rollback --- */

/* Moves the snapshots of a branch that are newer than generation `after` to a new detached branch.  If all of them are
 * being deleted, it is not visible, and is removed with them. */
static int split_off(struct th_store *store, struct th_branch_record *branch, uint64_t origin, uint64_t after)
{
	struct th_branch_record *detached = record_new(store, branch->name);
	int err;

	if (!detached)
		return -ENOMEM;
	detached->detached = true;
	detached->origin = origin;
	err = add_record(store, detached);
	return err ? err : move_snapshots(store, branch->id, detached->id, after, UINT64_MAX);
}

/* Abandons the live tree; blocks born after the branch's newest snapshot are its own. */
static int abandon_live(struct th_store *store, const struct th_checkpoint_state *state)
{
	struct th_head *head = take_head(store, state);

	return head ? th_head_abandon(store, head, th_lineage_limit(store)) : -ENOMEM;
}

static int rollback_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_branch_record *branch = th_branch_table_find(&store->branches, store->branch);
	const struct th_snapshot_record *to, *newest = th_lineage_newest(store, branch->id);
	uint64_t origin, after;
	int err;

	pthread_mutex_lock(&store->snapshot_lock);
	to = th_snapshot_table_named(&store->catalogue, request->name);
	pthread_mutex_unlock(&store->snapshot_lock);
	request->result = to ? th_root_load(store, &to->root, &state->new_root) : -ENOENT;
	if (request->result < 0)
		return 0;
	err = abandon_live(store, state);
	if (err)
		return err;
	state->live_root = to->root;
	if (to->info.branch == branch->id) {
		origin = to->info.id;
		after = to->info.generation;
	} else {
		origin = branch->origin;
		after = 0;
	}
	if (newest && newest->info.generation > after)
		err = split_off(store, branch, origin, after);
	if (err || to->info.branch == branch->id)
		return err;
	pthread_mutex_lock(&store->snapshot_lock);
	branch->origin = to->info.id;
	pthread_mutex_unlock(&store->snapshot_lock);
	err = th_branch_put(store, branch);
	return err ? err : take_over_detached(store, branch);
}

int th_store_rollback(struct th_store *store, const char *snapshot)
{
	struct request request = { .name = snapshot };
	struct th_snapshot unused;
	bool others = true;
	int err = th_snapshot_find(store, snapshot, &unused);

	if (err)
		return err;
	if (atomic_exchange(&store->rolling_back, true))
		return -EBUSY;
	if (atomic_load(&store->txns) == 0 && atomic_load(&store->frozen) == 0) {
		others = false;
		err = run(store, rollback_step, &request);
	}
	atomic_store(&store->rolling_back, false);
	return others ? -EBUSY : err;
}

/* --- finding and listing --- */

int th_branch_find(struct th_store *store, const char *name, struct th_branch *ret)
{
	const struct th_branch_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = strlen(name) <= TH_BRANCH_NAME_MAX ? th_branch_table_named(&store->branches, name) : NULL;
	if (record && ret)
		describe(store, record, ret);
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_branch_list(struct th_store *store, struct th_branch **ret, size_t *ret_count)
{
	const struct th_branch_record *record;
	size_t count = 1;

	*ret_count = 0;
	pthread_mutex_lock(&store->snapshot_lock);
	for (record = store->branches.list; record; record = record->next)
		count++;
	*ret = calloc(count, sizeof(**ret));
	for (record = store->branches.list; *ret && record; record = record->next)
		if (th_lineage_visible(store, record))
			describe(store, record, &(*ret)[(*ret_count)++]);
	pthread_mutex_unlock(&store->snapshot_lock);
	return *ret ? 0 : -ENOMEM;
}
