/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/world.h"

#include <stdlib.h>

struct th_world th_world_copy(const struct th_world *world)
{
	struct th_world copy = *world;

	th_model_hold(copy.live);
	for (size_t i = 0; i < copy.count; i++)
		th_model_hold(copy.snapshots[i].model);
	return copy;
}

void th_world_release(struct th_world *world)
{
	th_model_unref(world->live);
	for (size_t i = 0; i < world->count; i++)
		th_model_unref(world->snapshots[i].model);
	world->count = 0;
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

void th_world_create(struct th_world *world, struct th_store *store, const char *name)
{
	struct th_world_snapshot *snapshot = &world->snapshots[world->count];

	ck_assert_uint_lt(world->count, TH_WORLD_SNAPSHOTS);
	th_ok(th_snapshot_create(store, name, &snapshot->info));
	ck_assert_str_eq(snapshot->info.name, name);
	snapshot->model = th_model_hold(world->live);
	world->count++;
}

void th_world_delete(struct th_world *world, struct th_store *store, const char *name)
{
	size_t at = th_world_find(world, name);

	th_ok(th_snapshot_delete(store, name));
	th_model_unref(world->snapshots[at].model);
	world->count--;
	memmove(world->snapshots + at, world->snapshots + at + 1, (world->count - at) * sizeof(*world->snapshots));
}

void th_world_rename(struct th_world *world, struct th_store *store, const char *from, const char *to)
{
	size_t at = th_world_find(world, from);

	th_ok(th_snapshot_rename(store, from, to));
	strcpy(world->snapshots[at].info.name, to);
}

bool th_world_is(struct th_world *world, struct th_store *store, uint64_t live_hash)
{
	struct th_snapshot *list;
	size_t count, same = 0;

	if (th_model_hash(world->live) != live_hash)
		return false;
	th_ok(th_snapshot_list(store, &list, &count));
	while (same < count && same < world->count && list[same].id == world->snapshots[same].info.id &&
	       strcmp(list[same].name, world->snapshots[same].info.name) == 0)
		same++;
	free(list);
	return same == count && same == world->count;
}

static void verify_snapshot(const struct th_world_snapshot *snapshot, struct th_store *store)
{
	const struct th_snapshot *info = &snapshot->info;
	struct th_snapshot found;
	struct th_view *view;

	th_ok(th_snapshot_find(store, info->name, &found));
	ck_assert_uint_eq(found.id, info->id);
	if (info->created_ns)
		ck_assert_uint_eq(found.created_ns, info->created_ns);
	th_ok(th_snapshot_find_id(store, info->id, &found));
	ck_assert_str_eq(found.name, info->name);
	th_ok(th_view_snapshot(store, info->id, &view));
	th_verify_scan(view, snapshot->model, NULL);
	th_view_close(view);
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
	th_verify_scan(th_view_live(store), world->live, NULL);
}
