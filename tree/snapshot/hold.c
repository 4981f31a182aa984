/* SPDX-License-Identifier: Apache-2.0 */
/* Holds: putting them on snapshots, releasing and listing them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/clock.h"
#include "tree/catalogue/hold_table.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"

/* --- steps of a checkpoint --- */

struct request {
	const char *name, *tag;
	struct th_hold_record *hold; /* to be added; or taken off; run() frees it */
	int result; /* of the request; on an error the checkpoint still succeeds */
};

static int hold_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_hold_record *hold = request->hold;
	struct th_snapshot_record *record;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_named(&store->catalogue, request->name);
	if (!record) {
		request->result = -ENOENT;
	} else if (*th_hold_find(record, request->tag)) {
		request->result = -EEXIST;
	} else {
		hold->id = ++store->super.counters[TH_SUPER_HOLD];
		th_hold_add(record, hold);
		request->hold = NULL;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	return request->result < 0 ? 0 : th_hold_put(store, record->info.id, hold);
}

static int release_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;
	struct th_hold_record **at = NULL;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_named(&store->catalogue, request->name);
	if (record)
		at = th_hold_find(record, request->tag);
	if (at && *at)
		request->hold = th_hold_take(record, at);
	pthread_mutex_unlock(&store->snapshot_lock);
	request->result = request->hold ? 0 : -ENOENT;
	return request->hold ? th_hold_drop(store, request->hold->id) : 0;
}

/* --- public --- */

static int check_tag(const char *tag)
{
	if (strlen(tag) > TH_HOLD_TAG_MAX)
		return -ENAMETOOLONG;
	return *tag ? 0 : -EINVAL;
}

/* Sets *ret_held if a snapshot has a tag.  Returns 0 or -ENOENT: no such snapshot. */
static int look(struct th_store *store, const char *name, const char *tag, bool *ret_held)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_snapshot_table_named(&store->catalogue, name);
	*ret_held = record && *th_hold_find(record, tag);
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

/* Runs a step in a checkpoint and frees a hold that is left in the request. */
static int run(struct th_store *store, th_checkpoint_step *step, struct request *request)
{
	int err = th_checkpoint(store, step, request, 0);

	free(request->hold);
	return err ? err : request->result;
}

int th_snapshot_hold(struct th_store *store, const char *name, const char *tag)
{
	struct request request = { .name = name, .tag = tag };
	bool held;
	int err = check_tag(tag);

	if (!err)
		err = look(store, name, tag, &held);
	if (!err && held)
		err = -EEXIST;
	if (err)
		return err;
	request.hold = calloc(1, sizeof(*request.hold));
	if (!request.hold)
		return -ENOMEM;
	request.hold->created_ns = th_now_ns();
	strcpy(request.hold->tag, tag);
	return run(store, hold_step, &request);
}

int th_snapshot_release(struct th_store *store, const char *name, const char *tag)
{
	struct request request = { .name = name, .tag = tag };
	bool held;
	int err = check_tag(tag);

	if (!err)
		err = look(store, name, tag, &held);
	if (!err && !held)
		err = -ENOENT;
	return err ? err : run(store, release_step, &request);
}

/* --- listing; snapshot_lock is held --- */

static bool listed(const struct th_snapshot_record *record, const char *name)
{
	return !record->deleting && (!name || strcmp(record->info.name, name) == 0);
}

static size_t count_holds(const struct th_snapshot_table *catalogue, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < catalogue->count; i++)
		if (listed(catalogue->record[i], name))
			count += catalogue->record[i]->info.holds;
	return count;
}

static size_t list_holds(const struct th_snapshot_table *catalogue, const char *name, struct th_hold *list)
{
	size_t count = 0;

	for (size_t i = 0; i < catalogue->count; i++) {
		const struct th_snapshot_record *record = catalogue->record[i];

		for (const struct th_hold_record *hold = listed(record, name) ? record->holds : NULL; hold;
		     hold = hold->next) {
			list[count] = (struct th_hold){
				.id = hold->id,
				.snapshot = record->info.id,
				.created_ns = hold->created_ns,
			};
			strcpy(list[count++].tag, hold->tag);
		}
	}
	return count;
}

static int compare_ids(const void *a, const void *b)
{
	const struct th_hold *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int th_snapshot_holds(struct th_store *store, const char *name, struct th_hold **ret, size_t *ret_count)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;
	int err = -ENOENT;

	*ret_count = 0;
	pthread_mutex_lock(&store->snapshot_lock);
	if (!name || th_snapshot_table_named(catalogue, name)) {
		*ret = calloc(count_holds(catalogue, name) + 1, sizeof(**ret));
		err = *ret ? 0 : -ENOMEM;
	}
	if (!err)
		*ret_count = list_holds(catalogue, name, *ret);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (!err)
		qsort(*ret, *ret_count, sizeof(**ret), compare_ids);
	return err;
}
