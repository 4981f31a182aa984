/* SPDX-License-Identifier: Apache-2.0 */
/* Views of snapshots and of the heads of branches, and diffs between views: the part that asks the catalogue. */
#include <errno.h>
#include <stdlib.h>

#include "tree/state/state.h"
#include "tree/view/diff.h"
#include "tree/view/view.h"

/* --- views --- */

/* Sets the view's root, or closes the view. */
static int set_root(struct th_view *view, struct th_node *node, const struct th_ptr *ptr, struct th_view **ret)
{
	int err = 0;

	if (node)
		view->root = th_node_ref(node);
	else
		err = th_root_load(view->store, ptr, &view->root);
	if (err)
		th_view_close(view);
	else
		*ret = view;
	return err;
}

int th_view_snapshot(struct th_store *store, uint64_t id, struct th_view **ret)
{
	struct th_view *view = th_view_new(store);
	struct th_snapshot_record *record;
	struct th_ptr root;

	if (!view)
		return -ENOMEM;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_numbered(&store->catalogue, id);
	if (record && record->deleting)
		record = NULL;
	if (record) {
		record->views.open++;
		view->count = &record->views;
		view->snapshot = id;
		view->seq = record->info.sequence;
		root = record->root;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	if (!record) {
		free(view);
		return -ENOENT;
	}
	return set_root(view, NULL, &root, ret);
}

int th_view_branch(struct th_store *store, const char *name, struct th_view **ret)
{
	struct th_view *view = th_view_new(store);
	struct th_branch_record *record;
	struct th_head *head;

	if (!view)
		return -ENOMEM;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_branch_table_named(&store->branches, name);
	head = record ? record->head : NULL;
	if (head) {
		head->views.open++;
		view->count = &head->views;
		view->branch = record->id;
		view->seq = head->sequence;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	if (!head) {
		free(view);
		return record ? th_view_freeze(store, ret) : -ENOENT;
	}
	return set_root(view, head->node, &head->root, ret);
}

/* --- the common past of two views; snapshot_lock is held --- */

/* A point in the history of the store: the state of a branch after a message. */
struct place {
	uint64_t branch, sequence;
};

static struct place view_place(struct th_store *store, const struct th_view *view)
{
	struct place place = { view->branch, view->seq };

	if (view->snapshot) /* since the view was opened, its branch may have been split */
		place.branch = th_snapshot_table_numbered(&store->catalogue, view->snapshot)->info.branch;
	return place;
}

/* Moves the place to the origin of its branch.  False if the branch has none, or does not exist any more. */
static bool place_before(struct th_store *store, struct place *place)
{
	const struct th_branch_record *branch = th_branch_table_find(&store->branches, place->branch);
	const struct th_snapshot_record *origin;

	origin = branch ? th_snapshot_table_numbered(&store->catalogue, branch->origin) : NULL;
	if (!origin || origin->info.sequence > place->sequence)
		return false;
	*place = (struct place){ origin->info.branch, origin->info.sequence };
	return true;
}

/* Returns the sequence number of the newest message that is in both views and in their common past; 0 if they have
 * none. */
static uint64_t common_sequence(struct th_store *store, const struct th_view *a, const struct th_view *b)
{
	size_t steps = 0, limit = store->catalogue.count + 2; /* the records of a damaged catalogue may form a circle */
	struct place x = view_place(store, a), y;
	bool more;

	do {
		size_t others = 0;

		y = view_place(store, b);
		while (y.branch != x.branch && others++ < limit && place_before(store, &y))
			;
		if (y.branch == x.branch)
			return x.sequence < y.sequence ? x.sequence : y.sequence;
		more = place_before(store, &x);
	} while (more && steps++ < limit);
	return 0;
}

int th_diff_open(struct th_view *from, struct th_view *to, const struct th_range *range, struct th_diff **ret)
{
	struct th_store *store = from->store;
	uint64_t since;

	if (th_view_is_live(from) || th_view_is_live(to) || store != to->store ||
	    th_slice_compare(from->prefix, to->prefix) != 0)
		return -EINVAL;
	pthread_mutex_lock(&store->snapshot_lock);
	since = common_sequence(store, from, to);
	pthread_mutex_unlock(&store->snapshot_lock);
	return th_diff_new(from, to, range, since, ret);
}
