/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: checkpoints that are kept.
 *
 * Creating one is a checkpoint that enters its root in the catalogue.  It writes no node that the checkpoint would not
 * write anyway.  Deleting one removes its name; later checkpoints do the rest (catalogue/reclaim.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "journal/base/clock.h"
#include "tree/catalogue/lineage.h"
#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"

static bool exists(struct th_store *store, const char *name)
{
	bool found;

	pthread_mutex_lock(&store->snapshot_lock);
	found = th_snapshot_table_named(&store->catalogue, name) != NULL;
	pthread_mutex_unlock(&store->snapshot_lock);
	return found;
}

/* --- steps of a checkpoint --- */

/* Is the name in use in the checkpoint under way? */
static bool is_taken(struct th_store *store, const char *name)
{
	bool taken;

	pthread_mutex_lock(&store->snapshot_lock);
	taken = th_snapshot_table_taken(&store->catalogue, name, store->live.checkpoint_gen);
	pthread_mutex_unlock(&store->snapshot_lock);
	return taken;
}

struct request {
	const char *name, *to;
	const struct th_snapshot *original; /* of a copy; else NULL */
	struct th_snapshot *ret;
	int result; /* of the request; on an error the checkpoint still succeeds */
};

/* Sets the identity and the time of a new snapshot. */
static int identify(struct th_snapshot *info, const struct th_snapshot *original)
{
	info->created_ns = original ? original->created_ns : th_now_ns();
	if (original)
		memcpy(info->identity, original->identity, sizeof(info->identity));
	else if (getrandom(info->identity, sizeof(info->identity), 0) != sizeof(info->identity))
		return -EIO;
	return 0;
}

/* Returns why the checkpoint under way cannot have the snapshot, or 0. */
static int refuse(struct th_store *store, const struct request *request)
{
	struct th_snapshot unused;

	if (is_taken(store, request->name))
		return -EEXIST;
	if (request->original && !th_snapshot_find_identity(store, request->original->identity, &unused))
		return -EEXIST;
	return store->super.next_snapshot_id > TH_SNAPSHOT_ID_MAX ? -EOVERFLOW : 0; /* ids are not used again */
}

static int create_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;
	int err;

	request->result = refuse(store, request);
	if (request->result)
		return 0;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	record->info = (struct th_snapshot){
		.id = store->super.next_snapshot_id++,
		.generation = state->generation,
		.sequence = state->sequence,
		.branch = store->branch,
	};
	request->result = identify(&record->info, request->original);
	if (request->result) {
		store->super.next_snapshot_id--;
		free(record);
		return 0;
	}
	strcpy(record->info.name, request->name);
	record->root = state->live_root;
	record->dead = store->super.dead;
	record->strays = store->super.strays;
	store->super.dead = store->super.strays = (struct th_blocklist){ 0 };
	err = th_snapshot_table_put(store, record);
	if (!err) {
		pthread_mutex_lock(&store->snapshot_lock);
		err = th_snapshot_table_append(&store->catalogue, record);
		pthread_mutex_unlock(&store->snapshot_lock);
	}
	if (!err)
		*request->ret = record->info;
	else
		free(record);
	return err;
}

static int rename_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;
	uint64_t generation = store->live.checkpoint_gen;
	bool same = strcmp(request->name, request->to) == 0;
	int err = 0;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_named(&store->catalogue, request->name);
	if (!record)
		request->result = -ENOENT;
	else if (!same && th_snapshot_table_taken(&store->catalogue, request->to, generation))
		request->result = -EEXIST;
	else
		err = th_snapshot_table_rename(&store->catalogue, record, request->to);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (!err && request->result == 0)
		err = th_snapshot_table_put(store, record);
	return err;
}

/* --- public --- */

static int run(struct th_store *store, th_checkpoint_step *step, struct request *request, unsigned flags)
{
	int err = th_checkpoint(store, step, request, flags);

	return err ? err : request->result;
}

static int create(struct th_store *store, const char *name, const struct th_snapshot *original, struct th_snapshot *ret)
{
	struct th_snapshot unused;
	struct request request = { .name = name, .original = original, .ret = ret ? ret : &unused };
	int err = th_snapshot_check_name(name);

	if (!err)
		err = th_store_writable(store);
	if (!err && exists(store, name))
		err = -EEXIST;
	return err ? err : run(store, create_step, &request, TH_CHECKPOINT_STRICT);
}

int th_snapshot_create(struct th_store *store, const char *name, struct th_snapshot *ret)
{
	return create(store, name, NULL, ret);
}

int th_snapshot_create_copy(struct th_store *store, const char *name, const struct th_snapshot *original,
			    struct th_snapshot *ret)
{
	return create(store, name, original, ret);
}

int th_snapshot_delete(struct th_store *store, const char *name)
{
	struct th_snapshot_record *record;
	int err = 0;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_named(&store->catalogue, name);
	if (!record)
		err = -ENOENT;
	else if (record->holds || th_lineage_pins(store, record->info.id))
		err = -EBUSY;
	else
		err = th_store_writable(store);
	if (!err) {
		th_snapshot_table_unname(&store->catalogue, record, th_tree_generation(&store->live));
		atomic_fetch_add(&store->deletions, 1);
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	return err;
}

int th_snapshot_rename(struct th_store *store, const char *from, const char *to)
{
	struct request request = { .name = from, .to = to };
	int err = th_snapshot_check_name(to);

	if (!err && !exists(store, from))
		err = -ENOENT;
	return err ? err : run(store, rename_step, &request, 0);
}

int th_snapshot_find(struct th_store *store, const char *name, struct th_snapshot *ret)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_named(&store->catalogue, name);
	if (record)
		*ret = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_snapshot_find_id(struct th_store *store, uint64_t id, struct th_snapshot *ret)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_numbered(&store->catalogue, id);
	if (record && record->deleting)
		record = NULL;
	if (record)
		*ret = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_snapshot_next(struct th_store *store, uint64_t after, struct th_snapshot *ret)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;
	size_t at;
	bool found;

	pthread_mutex_lock(&store->snapshot_lock);
	at = after == UINT64_MAX ? catalogue->count : th_snapshot_table_from(catalogue, after + 1);
	while (at < catalogue->count && catalogue->record[at]->deleting)
		at++;
	found = at < catalogue->count;
	if (found)
		*ret = catalogue->record[at]->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return found ? 0 : -ENOENT;
}

int th_snapshot_find_identity(struct th_store *store, const uint8_t identity[TH_SNAPSHOT_IDENTITY],
			      struct th_snapshot *ret)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;
	int err = -ENOENT;

	pthread_mutex_lock(&store->snapshot_lock);
	for (size_t i = 0; i < catalogue->count && err; i++) {
		const struct th_snapshot_record *record = catalogue->record[i];

		if (record->deleting || memcmp(record->info.identity, identity, TH_SNAPSHOT_IDENTITY))
			continue;
		*ret = record->info;
		err = 0;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	return err;
}

int th_snapshot_list(struct th_store *store, struct th_snapshot **ret, size_t *ret_count)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;

	*ret_count = 0;
	pthread_mutex_lock(&store->snapshot_lock);
	*ret = calloc(catalogue->named + 1, sizeof(**ret));
	for (size_t i = 0; *ret && i < catalogue->count; i++)
		if (!catalogue->record[i]->deleting)
			(*ret)[(*ret_count)++] = catalogue->record[i]->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return *ret ? 0 : -ENOMEM;
}

int th_store_reclaim(struct th_store *store)
{
	int err = th_store_writable(store);

	if (!err && th_reclaim_due(store))
		err = th_checkpoint(store, NULL, NULL, 0);
	return err ? err : !th_reclaim_due(store);
}
