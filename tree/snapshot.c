/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: commits that are kept.
 *
 * Creating one is a commit whose root is entered in the catalogue: no node is written for it that the commit would not
 * write anyway.  Deleting one marks it first, so that a crash or an open view cannot lose its space, then settles its
 * dead list (dead.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tree/store.h"

static bool exists(struct th_store *store, const char *name)
{
	bool found;

	pthread_mutex_lock(&store->snapshot_lock);
	found = th_catalogue_named(&store->catalogue, name) != NULL;
	pthread_mutex_unlock(&store->snapshot_lock);
	return found;
}

int th_snapshot_check_name(const char *name)
{
	if (strlen(name) > TH_SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

/* --- what is done within a commit --- */

struct request {
	const char *name, *to;
	struct th_snapshot *ret;
	int result; /* of the request; the commit goes on */
};

static int create_step(struct th_store *store, struct th_commit_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;
	struct timespec now;
	int r;

	if (exists(store, request->name)) {
		request->result = -EEXIST;
		return 0;
	}
	if (store->super.next_snapshot_id >= 0xffffff) {
		request->result = -EOVERFLOW; /* ids are not used again */
		return 0;
	}
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &now);
	record->info = (struct th_snapshot){
		.id = store->super.next_snapshot_id++,
		.generation = state->generation,
		.sequence = state->sequence,
		.branch = store->branch,
		.created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
	};
	strcpy(record->info.name, request->name);
	record->root = state->live_root;
	record->dead = store->super.dead;
	record->strays = store->super.strays;
	store->super.dead = store->super.strays = (struct th_blocklist){ 0 };
	r = th_catalogue_put(store, record);
	if (r == 0) {
		pthread_mutex_lock(&store->snapshot_lock);
		r = th_catalogue_append(&store->catalogue, record);
		pthread_mutex_unlock(&store->snapshot_lock);
	}
	if (r == 0)
		*request->ret = record->info;
	else
		free(record);
	return r;
}

static int rename_step(struct th_store *store, struct th_commit_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record, *taken;
	int r = 0;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = th_catalogue_named(&store->catalogue, request->name);
	taken = th_catalogue_named(&store->catalogue, request->to);
	if (!record)
		request->result = -ENOENT;
	else if (taken && taken != record)
		request->result = -EEXIST;
	else
		r = th_catalogue_rename(&store->catalogue, record, request->to);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (r == 0 && request->result == 0)
		r = th_catalogue_put(store, record);
	return r;
}

static int free_dead(const struct th_blockrun *run, void *arg)
{
	return th_dead_free(arg, run);
}

static int forget_stray(const struct th_blockrun *run, void *arg)
{
	(void)run;
	(void)arg;
	return 0;
}

/* The lists of what comes behind a deleted snapshot. */
struct successor {
	struct th_blocklist *dead, *strays;
	struct th_snapshot_record *snapshot; /* whose they are; NULL: a head's */
};

static struct successor find_successor(struct th_store *store, size_t at, struct th_branch_record *branch)
{
	struct th_snapshot_record *after = th_catalogue_after(&store->catalogue, at, branch->id);

	if (after)
		return (struct successor){ &after->dead, &after->strays, after };
	if (branch->head)
		return (struct successor){ &branch->head->dead, &branch->head->strays, NULL };
	return (struct successor){ &store->super.dead, &store->super.strays, NULL };
}

/* Passes on the deleted snapshot's lists, but for what nobody else has. */
static int pass_on(struct th_store *store, struct successor *to, struct th_snapshot_record *record, uint64_t before)
{
	struct th_disk *disk = store->disk;
	struct th_space *space = store->space;
	int r = th_blocklist_filter(to->dead, disk, space, before, free_dead, store);

	if (r == 0)
		r = th_blocklist_join(to->dead, disk, space, &record->dead);
	if (r == 0)
		r = th_blocklist_filter(to->strays, disk, space, before, forget_stray, NULL);
	return r < 0 ? r : th_blocklist_join(to->strays, disk, space, &record->strays);
}

/* The last snapshot of a headless branch stands for a head. */
static int abandon_last(struct th_store *store, const struct th_snapshot_record *record, uint64_t before)
{
	struct th_head *head = calloc(1, sizeof(*head));

	if (!head)
		return -ENOMEM;
	head->root = record->root;
	head->sequence = record->info.sequence;
	head->dead = record->dead;
	head->strays = record->strays;
	return th_head_abandon(store, head, before);
}

/* Gives up what only snapshot number `at` needed, and passes the rest on to its successor. */
static int settle_deleted(struct th_store *store, size_t at)
{
	struct th_catalogue *catalogue = &store->catalogue;
	struct th_snapshot_record *record = catalogue->record[at];
	struct th_branch_record *branch = th_branches_find(&store->branches, record->info.branch);
	const struct th_snapshot_record *before = th_catalogue_before(catalogue, at, branch->id);
	uint64_t generation = before ? before->info.generation : th_branch_origin(store, branch);
	struct successor to = find_successor(store, at, branch);
	int r;

	if (branch->headless && !to.snapshot) {
		r = abandon_last(store, record, generation);
	} else {
		r = pass_on(store, &to, record, generation);
		if (r == 0 && to.snapshot)
			r = th_catalogue_put(store, to.snapshot);
		else if (r == 0 && branch->head)
			r = th_branch_put(store, branch);
	}
	return r < 0 ? r : th_catalogue_drop(store, record);
}

/* A branch that has neither a head nor snapshots is none. */
static int drop_empty(struct th_store *store, uint64_t id, bool *dropped)
{
	struct th_branch_record *branch = th_branches_find(&store->branches, id);
	int r;

	*dropped = branch->headless && !th_catalogue_before(&store->catalogue, store->catalogue.count, id);
	if (!*dropped)
		return 0;
	r = th_branch_drop(store, branch);
	pthread_mutex_lock(&store->snapshot_lock);
	th_branches_remove(&store->branches, branch);
	pthread_mutex_unlock(&store->snapshot_lock);
	return r;
}

/* snapshot_lock is held. */
static bool reapable(struct th_store *store, const struct th_snapshot_record *record)
{
	return record->deleting && record->views == 0 && !th_branches_from(&store->branches, record->info.id);
}

/* Only the holder of commit_lock changes the catalogue. */
int th_snapshot_reap_step(struct th_store *store, struct th_commit_state *state, void *arg)
{
	size_t at = 0;
	int r;

	(void)state;
	(void)arg;
	r = th_blocklist_wait(&store->dead_write);
	while (r == 0 && at < store->catalogue.count) {
		uint64_t branch = store->catalogue.record[at]->info.branch;
		bool dropped, go;

		pthread_mutex_lock(&store->snapshot_lock);
		go = reapable(store, store->catalogue.record[at]);
		pthread_mutex_unlock(&store->snapshot_lock);
		if (!go) {
			at++;
			continue;
		}
		r = settle_deleted(store, at);
		if (r < 0)
			break;
		pthread_mutex_lock(&store->snapshot_lock);
		th_catalogue_remove(&store->catalogue, at);
		pthread_mutex_unlock(&store->snapshot_lock);
		r = drop_empty(store, branch, &dropped);
		if (dropped)
			at = 0; /* it may have been all that kept its origin */
	}
	return r;
}

static int delete_step(struct th_store *store, struct th_commit_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;
	bool held = false;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_catalogue_named(&store->catalogue, request->name);
	if (!record)
		request->result = -ENOENT;
	else if (th_branch_pins(store, record->info.id))
		request->result = -EBUSY;
	if (request->result == 0) {
		th_catalogue_unname(&store->catalogue, record);
		held = record->views > 0 || th_branches_from(&store->branches, record->info.id);
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	if (request->result < 0)
		return 0;
	return held ? th_catalogue_put(store, record) : th_snapshot_reap_step(store, state, NULL);
}

/* --- public --- */

static int run(struct th_store *store, th_commit_step *step, struct request *request)
{
	int r = th_commit(store, step, request, 0);

	return r < 0 ? r : request->result;
}

int th_snapshot_create(struct th_store *store, const char *name, struct th_snapshot *ret)
{
	struct th_snapshot unused;
	struct request request = { .name = name, .ret = ret ? ret : &unused };
	int r = th_snapshot_check_name(name);

	if (r == 0)
		r = th_store_writable(store);
	if (r == 0 && exists(store, name))
		r = -EEXIST;
	if (r == 0 && store->options.before_commit)
		r = store->options.before_commit(store->options.arg);
	return r < 0 ? r : run(store, create_step, &request);
}

int th_snapshot_delete(struct th_store *store, const char *name)
{
	struct request request = { .name = name };
	int r;

	if (!exists(store, name))
		return -ENOENT;
	r = run(store, delete_step, &request);
	return r < 0 ? r : th_abandoned_reap(store);
}

int th_snapshot_rename(struct th_store *store, const char *from, const char *to)
{
	struct request request = { .name = from, .to = to };
	int r = th_snapshot_check_name(to);

	if (r == 0 && !exists(store, from))
		r = -ENOENT;
	return r < 0 ? r : run(store, rename_step, &request);
}

int th_snapshot_reap(struct th_store *store)
{
	const struct th_catalogue *catalogue = &store->catalogue;
	bool any = false;
	int r = 0;

	pthread_mutex_lock(&store->snapshot_lock);
	for (size_t i = 0; i < catalogue->count; i++)
		any |= reapable(store, catalogue->record[i]);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (any && !store->read_only)
		r = th_commit(store, th_snapshot_reap_step, NULL, 0);
	return r < 0 ? r : th_abandoned_reap(store);
}

int th_snapshot_find(struct th_store *store, const char *name, struct th_snapshot *ret)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_catalogue_named(&store->catalogue, name);
	if (record)
		*ret = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_snapshot_find_id(struct th_store *store, uint64_t id, struct th_snapshot *ret)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = th_catalogue_numbered(&store->catalogue, id);
	if (record && record->deleting)
		record = NULL;
	if (record)
		*ret = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_snapshot_list(struct th_store *store, struct th_snapshot **ret, size_t *ret_count)
{
	const struct th_catalogue *catalogue = &store->catalogue;

	*ret_count = 0;
	pthread_mutex_lock(&store->snapshot_lock);
	*ret = calloc(catalogue->named + 1, sizeof(**ret));
	for (size_t i = 0; *ret && i < catalogue->count; i++)
		if (!catalogue->record[i]->deleting)
			(*ret)[(*ret_count)++] = catalogue->record[i]->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return *ret ? 0 : -ENOMEM;
}
