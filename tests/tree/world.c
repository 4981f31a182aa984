/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "tree/state/state.h"

void th_world_init(struct th_world *world)
{
	*world = (struct th_world){
		.live = th_model_new(),
		.branches = { { .id = 1, .name = "main" } },
		.nbranches = 1,
		.current = 1,
		.next_branch = 2,
		.next_snapshot = 1,
	};
}

struct th_world th_world_copy(const struct th_world *world)
{
	struct th_world copy = *world;

	th_model_hold(copy.live);
	for (size_t i = 0; i < copy.count; i++)
		th_model_hold(copy.snapshots[i].model);
	for (size_t i = 0; i < copy.nbranches; i++)
		if (copy.branches[i].head)
			th_model_hold(copy.branches[i].head);
	return copy;
}

void th_world_release(struct th_world *world)
{
	th_model_unref(world->live);
	for (size_t i = 0; i < world->count; i++)
		th_model_unref(world->snapshots[i].model);
	for (size_t i = 0; i < world->nbranches; i++)
		th_model_unref(world->branches[i].head);
	world->count = world->nbranches = 0;
}

void th_world_set_live(struct th_world *world, struct th_model *live)
{
	th_model_unref(world->live);
	world->live = live;
}

size_t th_world_find(const struct th_world *world, const char *name)
{
	size_t i = 0;

	while (i < world->count && strcmp(world->snapshots[i].info.name, name) != 0)
		i++;
	return i;
}

struct th_world_branch *th_world_branch(struct th_world *world, const char *name)
{
	for (size_t i = 0; i < world->nbranches; i++)
		if (!world->branches[i].detached && strcmp(world->branches[i].name, name) == 0)
			return &world->branches[i];
	return NULL;
}

static struct th_world_branch *branch_of(struct th_world *world, uint64_t id)
{
	size_t i = 0;

	while (world->branches[i].id != id)
		i++;
	return &world->branches[i];
}

static bool is_origin(const struct th_world *world, uint64_t snapshot)
{
	for (size_t i = 0; i < world->nbranches; i++)
		if (world->branches[i].origin == snapshot)
			return true;
	return false;
}

const char *th_world_tag(unsigned tag)
{
	static const char *const tags[TH_WORLD_TAGS] = { "tag 0", "tag 1", "tag 2" };

	return tags[tag];
}

/* --- expected results --- */

int th_world_can_delete(struct th_world *world, const char *name)
{
	size_t at = th_world_find(world, name);

	if (at == world->count)
		return -ENOENT;
	return world->snapshots[at].tags || is_origin(world, world->snapshots[at].info.id) ? -EBUSY : 0;
}

int th_world_can_hold(const struct th_world *world, const char *name, unsigned tag)
{
	size_t at = th_world_find(world, name);

	if (at == world->count)
		return -ENOENT;
	return world->snapshots[at].tags & 1u << tag ? -EEXIST : 0;
}

int th_world_can_release(const struct th_world *world, const char *name, unsigned tag)
{
	return th_world_can_hold(world, name, tag) == -EEXIST ? 0 : -ENOENT;
}

int th_world_can_delete_branch(struct th_world *world, const char *name, bool snapshots)
{
	const struct th_world_branch *branch = th_world_branch(world, name);

	if (!branch)
		return -ENOENT;
	if (branch->id == world->current)
		return -EBUSY;
	for (size_t i = 0; i < world->count; i++) {
		if (world->snapshots[i].info.branch != branch->id)
			continue;
		if (!snapshots)
			return -ENOTEMPTY;
		if (world->snapshots[i].tags || is_origin(world, world->snapshots[i].info.id))
			return -EBUSY;
	}
	return 0;
}

int th_world_can_promote(struct th_world *world, const char *name)
{
	const struct th_world_branch *branch = th_world_branch(world, name);

	return !branch ? -ENOENT : !branch->origin;
}

/* --- expected changes --- */

static struct th_world_branch *add_branch(struct th_world *world, const char *name, uint64_t origin)
{
	struct th_world_branch branch = { .id = world->next_branch++, .origin = origin };

	ck_assert_uint_lt(world->nbranches, TH_WORLD_BRANCHES);
	snprintf(branch.name, sizeof(branch.name), "%s", name);
	world->branches[world->nbranches] = branch;
	return &world->branches[world->nbranches++];
}

static void remove_branch(struct th_world *world, struct th_world_branch *branch)
{
	size_t at = (size_t)(branch - world->branches);

	th_model_unref(branch->head);
	world->nbranches--;
	memmove(branch, branch + 1, (world->nbranches - at) * sizeof(*branch));
}

static void remove_snapshot(struct th_world *world, size_t at)
{
	th_model_unref(world->snapshots[at].model);
	world->count--;
	memmove(world->snapshots + at, world->snapshots + at + 1, (world->count - at) * sizeof(*world->snapshots));
}

void th_world_note_create(struct th_world *world, const char *name)
{
	struct th_world_snapshot *snapshot = &world->snapshots[world->count];

	ck_assert_uint_lt(world->count, TH_WORLD_SNAPSHOTS);
	*snapshot = (struct th_world_snapshot){ .model = th_model_hold(world->live) };
	snapshot->info.id = world->next_snapshot++;
	snapshot->info.branch = world->current;
	strcpy(snapshot->info.name, name);
	world->count++;
}

void th_world_note_delete(struct th_world *world, const char *name)
{
	size_t at = th_world_find(world, name);
	uint64_t id = world->snapshots[at].info.branch;

	remove_snapshot(world, at);
	if (!branch_of(world, id)->detached)
		return;
	for (size_t i = 0; i < world->count; i++)
		if (world->snapshots[i].info.branch == id)
			return;
	remove_branch(world, branch_of(world, id));
}

void th_world_note_hold(struct th_world *world, const char *name, unsigned tag)
{
	world->snapshots[th_world_find(world, name)].tags |= 1u << tag;
}

void th_world_note_release(struct th_world *world, const char *name, unsigned tag)
{
	world->snapshots[th_world_find(world, name)].tags &= ~(1u << tag);
}

void th_world_note_branch(struct th_world *world, const char *name, const char *snapshot)
{
	const struct th_world_snapshot *from = &world->snapshots[th_world_find(world, snapshot)];

	add_branch(world, name, from->info.id)->head = th_model_hold(from->model);
}

void th_world_note_branch_deleted(struct th_world *world, const char *name)
{
	struct th_world_branch *branch = th_world_branch(world, name);
	size_t i = 0;

	while (i < world->count)
		if (world->snapshots[i].info.branch == branch->id)
			remove_snapshot(world, i);
		else
			i++;
	remove_branch(world, branch);
}

void th_world_note_switch(struct th_world *world, const char *name)
{
	struct th_world_branch *from = branch_of(world, world->current), *to = th_world_branch(world, name);

	if (from == to)
		return;
	from->head = world->live;
	world->live = to->head;
	to->head = NULL;
	world->current = to->id;
}

/* Moves the snapshots up to the branch's origin, of the branch that it is of, to the branch. */
static void take_over(struct th_world *world, struct th_world_branch *branch)
{
	uint64_t fork = branch->origin, from = 0;
	size_t left = 0;

	for (size_t i = 0; i < world->count; i++)
		if (world->snapshots[i].info.id == fork)
			from = world->snapshots[i].info.branch;
	branch->origin = branch_of(world, from)->origin;
	branch_of(world, from)->origin = fork;
	for (size_t i = 0; i < world->count; i++) {
		struct th_snapshot *info = &world->snapshots[i].info;

		if (info->branch == from && info->id <= fork)
			info->branch = branch->id;
		left += info->branch == from;
	}
	if (!left && branch_of(world, from)->detached)
		remove_branch(world, branch_of(world, from));
}

static bool is_of_detached(struct th_world *world, uint64_t snapshot)
{
	for (size_t i = 0; i < world->count; i++)
		if (world->snapshots[i].info.id == snapshot)
			return branch_of(world, world->snapshots[i].info.branch)->detached;
	return false;
}

static void take_over_detached(struct th_world *world, uint64_t branch)
{
	while (is_of_detached(world, branch_of(world, branch)->origin))
		take_over(world, branch_of(world, branch));
}

void th_world_note_promote(struct th_world *world, const char *name)
{
	uint64_t id = th_world_branch(world, name)->id;

	take_over(world, branch_of(world, id));
	take_over_detached(world, id);
}

void th_world_note_rollback(struct th_world *world, const char *name)
{
	size_t at = th_world_find(world, name);
	const struct th_snapshot *to = &world->snapshots[at].info;
	struct th_world_branch *branch = branch_of(world, world->current), *detached = NULL;
	bool own = to->branch == branch->id;

	th_world_set_live(world, th_model_hold(world->snapshots[at].model));
	for (size_t i = own ? at + 1 : 0; i < world->count; i++) {
		if (world->snapshots[i].info.branch != branch->id)
			continue;
		if (!detached) {
			detached = add_branch(world, branch->name, own ? to->id : branch->origin);
			detached->detached = true;
		}
		world->snapshots[i].info.branch = detached->id;
	}
	if (own)
		return;
	branch->origin = to->id;
	take_over_detached(world, branch->id);
}

/* --- changes of store and world --- */

void th_world_create(struct th_world *world, struct th_store *store, const char *name)
{
	struct th_snapshot info;

	th_ok(th_snapshot_create(store, name, &info));
	ck_assert_str_eq(info.name, name);
	th_world_note_create(world, name);
	ck_assert_uint_eq(info.id, world->snapshots[world->count - 1].info.id);
	ck_assert_uint_eq(info.branch, world->current);
	world->snapshots[world->count - 1].info = info;
}

void th_world_delete(struct th_world *world, struct th_store *store, const char *name)
{
	th_ok(th_snapshot_delete(store, name));
	th_world_note_delete(world, name);
}

void th_world_rename(struct th_world *world, struct th_store *store, const char *from, const char *to)
{
	size_t at = th_world_find(world, from);

	th_ok(th_snapshot_rename(store, from, to));
	strcpy(world->snapshots[at].info.name, to);
}

void th_world_hold(struct th_world *world, struct th_store *store, const char *name, unsigned tag)
{
	th_ok(th_snapshot_hold(store, name, th_world_tag(tag)));
	th_world_note_hold(world, name, tag);
}

void th_world_unhold(struct th_world *world, struct th_store *store, const char *name, unsigned tag)
{
	th_ok(th_snapshot_release(store, name, th_world_tag(tag)));
	th_world_note_release(world, name, tag);
}

void th_world_branch_create(struct th_world *world, struct th_store *store, const char *name, const char *snapshot)
{
	struct th_branch made;

	th_ok(th_branch_create(store, name, snapshot, &made));
	th_world_note_branch(world, name, snapshot);
	ck_assert_uint_eq(made.id, th_world_branch(world, name)->id);
	ck_assert_uint_eq(made.origin, th_world_branch(world, name)->origin);
}

void th_world_branch_delete(struct th_world *world, struct th_store *store, const char *name, bool snapshots)
{
	th_ok(th_branch_delete(store, name, snapshots));
	th_world_note_branch_deleted(world, name);
}

void th_world_branch_rename(struct th_world *world, struct th_store *store, const char *from, const char *to)
{
	th_ok(th_branch_rename(store, from, to));
	strcpy(th_world_branch(world, from)->name, to);
}

void th_world_note_ids(struct th_world *world, struct th_store *store)
{
	pthread_mutex_lock(&store->checkpoint_lock);
	world->next_branch = store->super.counters[TH_SUPER_NEXT_BRANCH];
	pthread_mutex_unlock(&store->checkpoint_lock);
}

void th_world_promote(struct th_world *world, struct th_store *store, const char *name)
{
	th_ok(th_branch_promote(store, name));
	th_world_note_promote(world, name);
}

void th_world_rollback(struct th_world *world, struct th_store *store, const char *snapshot)
{
	th_ok(th_store_rollback(store, snapshot));
	th_world_note_rollback(world, snapshot);
	th_world_note_ids(world, store);
}

void th_world_switch(struct th_world *world, struct th_fixture *fixture, const char *name)
{
	fixture->options.branch = name;
	th_fixture_reopen(fixture);
	fixture->options.branch = NULL;
	th_world_note_switch(world, name);
}

/* --- comparing --- */

struct th_view *th_world_view(struct th_world *world, struct th_store *store, size_t at, struct th_model **ret)
{
	struct th_view *view;

	*ret = NULL;
	if (at < world->count) {
		th_ok(th_view_snapshot(store, world->snapshots[at].info.id, &view));
		*ret = world->snapshots[at].model;
		return view;
	}
	at -= world->count;
	for (size_t i = 0; i < world->nbranches; i++) {
		const struct th_world_branch *branch = &world->branches[i];

		if (branch->detached || at--)
			continue;
		th_ok(th_view_branch(store, branch->name, &view));
		*ret = branch->head ? branch->head : world->live;
		return view;
	}
	return NULL;
}

static bool branches_are(const struct th_world *world, struct th_store *store)
{
	struct th_branch *list;
	size_t count, same = 0;

	th_ok(th_branch_list(store, &list, &count));
	while (same < count && same < world->nbranches) {
		const struct th_world_branch *branch = &world->branches[same];

		if (list[same].id != branch->id || strcmp(list[same].name, branch->name) != 0 ||
		    list[same].origin != branch->origin || list[same].detached != branch->detached ||
		    list[same].current != (branch->id == world->current))
			break;
		same++;
	}
	free(list);
	return same == count && same == world->nbranches;
}

/* Do the store's holds equal the world's: each on its snapshot with one of the tags, none twice, and none missing? */
static bool holds_are(const struct th_world *world, struct th_store *store)
{
	unsigned seen[TH_WORLD_SNAPSHOTS] = { 0 };
	struct th_hold *list;
	size_t count;
	bool same = true;

	th_ok(th_snapshot_holds(store, NULL, &list, &count));
	for (size_t i = 0; i < count && same; i++) {
		size_t at = 0;
		unsigned tag = 0;

		while (at < world->count && world->snapshots[at].info.id != list[i].snapshot)
			at++;
		while (tag < TH_WORLD_TAGS && strcmp(list[i].tag, th_world_tag(tag)) != 0)
			tag++;
		same = at < world->count && tag < TH_WORLD_TAGS && !(seen[at] & 1u << tag);
		if (same)
			seen[at] |= 1u << tag;
	}
	for (size_t at = 0; at < world->count; at++)
		same = same && seen[at] == world->snapshots[at].tags;
	free(list);
	return same;
}

bool th_world_is(struct th_world *world, struct th_store *store, uint64_t live_hash)
{
	struct th_snapshot *list;
	size_t count, same = 0;

	if (th_model_hash(world->live) != live_hash)
		return false;
	th_ok(th_snapshot_list(store, &list, &count));
	while (same < count && same < world->count && list[same].id == world->snapshots[same].info.id &&
	       list[same].branch == world->snapshots[same].info.branch &&
	       strcmp(list[same].name, world->snapshots[same].info.name) == 0)
		same++;
	free(list);
	return same == count && same == world->count && branches_are(world, store) && holds_are(world, store);
}

static void verify_snapshot(const struct th_world_snapshot *snapshot, struct th_store *store)
{
	const struct th_snapshot *info = &snapshot->info;
	struct th_snapshot found;
	struct th_view *view;

	th_ok(th_snapshot_find(store, info->name, &found));
	ck_assert_uint_eq(found.id, info->id);
	ck_assert_uint_eq(found.branch, info->branch);
	ck_assert_int_eq((int)found.holds, __builtin_popcount(snapshot->tags));
	if (info->created_ns)
		ck_assert_uint_eq(found.created_ns, info->created_ns);
	th_ok(th_snapshot_find_id(store, info->id, &found));
	ck_assert_str_eq(found.name, info->name);
	th_ok(th_view_snapshot(store, info->id, &view));
	th_verify_scan(view, snapshot->model, NULL);
	th_view_close(view);
}

static void verify_heads(const struct th_world *world, struct th_store *store)
{
	for (size_t i = 0; i < world->nbranches; i++) {
		const struct th_world_branch *branch = &world->branches[i];
		struct th_branch found;
		struct th_view *view;

		if (branch->detached)
			continue;
		th_ok(th_branch_find(store, branch->name, &found));
		ck_assert_uint_eq(found.id, branch->id);
		th_ok(th_view_branch(store, branch->name, &view));
		th_verify_scan(view, branch->head ? branch->head : world->live, NULL);
		th_view_close(view);
	}
}

void th_world_verify(const struct th_world *world, struct th_store *store)
{
	struct th_snapshot *list;
	size_t count;

	th_ok(th_snapshot_list(store, &list, &count));
	ck_assert_uint_eq(count, world->count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_str_eq(list[i].name, world->snapshots[i].info.name);
		ck_assert_uint_eq(list[i].id, world->snapshots[i].info.id);
		if (world->snapshots[i].info.generation)
			ck_assert_uint_eq(list[i].generation, world->snapshots[i].info.generation);
		verify_snapshot(&world->snapshots[i], store);
	}
	free(list);
	th_true(branches_are(world, store));
	th_true(holds_are(world, store));
	verify_heads(world, store);
	th_verify_scan(th_view_live(store), world->live, NULL);
}
