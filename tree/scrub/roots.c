/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/scrub/roots.h"

#include <stdio.h>

static void set_name(struct th_root *root, const char *name)
{
	snprintf(root->name, sizeof(root->name), "%s", name);
}

bool th_root_snapshot(struct th_store *store, uint64_t after, struct th_root *ret)
{
	const struct th_snapshot_table *table = &store->catalogue;
	bool found = false;

	pthread_mutex_lock(&store->snapshot_lock); /* names may change */
	for (size_t i = 0; i < table->count && !found; i++) {
		const struct th_snapshot_record *record = table->record[i];

		if (record->info.id <= after)
			continue;
		*ret = (struct th_root){ .kind = TH_ROOT_SNAPSHOT,
					 .id = record->info.id,
					 .ptr = record->root,
					 .list = { record->dead, record->strays } };
		set_name(ret, record->info.name);
		found = true;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	return found;
}

static bool root_of_super(const uint8_t *bytes, enum th_root_kind kind, struct th_root *ret)
{
	struct th_ptr_disk disk;

	*ret = (struct th_root){ .kind = kind };
	memcpy(&disk, bytes, sizeof(disk));
	return th_ptr_unpack(&disk, &ret->ptr) == 0;
}

/* Finds branch head number `number`, counted from 0. */
static bool branch_head(struct th_store *store, uint64_t number, struct th_root *ret)
{
	bool found = false;

	pthread_mutex_lock(&store->snapshot_lock);
	for (const struct th_branch_record *branch = store->branches.list; branch && !found; branch = branch->next) {
		if (!branch->head || branch->head->node || number-- > 0)
			continue;
		*ret = (struct th_root){ .kind = TH_ROOT_BRANCH,
					 .id = branch->id,
					 .ptr = branch->head->root,
					 .list = { branch->head->dead, branch->head->strays } };
		set_name(ret, branch->name);
		found = true;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	return found;
}

bool th_root_head(struct th_store *store, uint64_t number, struct th_root *ret)
{
	bool found;

	if (number > 1)
		return branch_head(store, number - 2, ret);
	found = number == 0 ? root_of_super(store->super.meta_root, TH_ROOT_META, ret)
			    : root_of_super(store->super.live_root, TH_ROOT_LIVE, ret);
	if (number == 0) {
		ret->list[0] = store->super.space_log;
	} else {
		ret->list[0] = store->super.dead;
		ret->list[1] = store->super.strays;
	}
	return found;
}

int th_root_abandoned_lists(struct th_store *store, int (*visit)(const struct th_blocklist *list, void *arg), void *arg)
{
	const struct th_abandoned *abandoned = store->branches.abandoned;
	int ret = 0;

	for (; abandoned && !ret; abandoned = abandoned->next) {
		ret = visit(&abandoned->head->dead, arg);
		if (!ret)
			ret = visit(&abandoned->head->strays, arg);
	}
	return ret;
}

static bool same_node(const struct th_ptr *a, const struct th_ptr *b)
{
	return a->addr == b->addr && a->birth == b->birth && a->checksum == b->checksum && a->mirror == b->mirror;
}

/* Returns whether the path to the fence leads to the node.  A node is not older than the nodes below it. */
static bool tree_has(struct th_store *store, const struct th_ptr *root, const struct th_ptr *ptr, struct th_slice fence)
{
	struct th_key lower = { .size = 0 };
	struct th_ptr at = *root;

	while (at.addr && at.level > ptr->level && at.birth >= ptr->birth) {
		struct th_node *node;
		unsigned child;

		if (th_cache_load(store->cache, &at, th_key_slice(&lower), &node))
			return false;
		child = th_node_child(node, fence);
		th_node_key(node, th_slab_entry(&node->base, child), &lower);
		if (th_node_child_ptr(node, child, &at))
			at.addr = 0;
		th_node_unref(node);
	}
	return same_node(&at, ptr);
}

bool th_roots_have(struct th_store *store, const struct th_ptr *ptr, struct th_slice fence)
{
	struct th_root root = { 0 };
	uint64_t id = 0;

	for (uint64_t number = 0; number < 2 || root.ptr.addr; number++) {
		root.ptr.addr = 0;
		if (th_root_head(store, number, &root) && tree_has(store, &root.ptr, ptr, fence))
			return true;
	}
	while (th_root_snapshot(store, id, &root)) {
		if (tree_has(store, &root.ptr, ptr, fence))
			return true;
		id = root.id;
	}
	return false;
}
