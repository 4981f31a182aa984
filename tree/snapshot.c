/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: commits that are kept.
 *
 * The catalogue lies in the meta tree and, since it is small, wholly in memory, oldest first.  Creating a snapshot is a
 * commit whose root is entered there: no node is written for it that the commit would not write anyway.  Deleting one
 * marks it first, so that a crash or an open view cannot lose its space, then settles its dead list (dead.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tree/meta_format.h"
#include "tree/store.h"

/* --- the catalogue --- */

static int put_record(struct th_store *store, const struct th_snapshot_record *record)
{
	struct th_meta_key key = th_meta_key(TH_META_SNAPSHOT, record->info.id);
	size_t name_size = strlen(record->info.name);
	uint8_t value[sizeof(struct th_snapshot_disk) + TH_SNAPSHOT_NAME_MAX];
	struct th_snapshot_disk disk = {
		.generation = th_le64(record->info.generation),
		.sequence = th_le64(record->info.sequence),
		.created_ns = th_le64(record->info.created_ns),
		.deleting = record->deleting,
	};
	struct th_entry *message;

	th_ptr_pack(&record->root, &disk.root);
	th_blocklist_pack(&record->dead, &disk.dead);
	memcpy(value, &disk, sizeof(disk));
	memcpy(value + sizeof(disk), record->info.name, name_size);
	message = th_entry_new(TH_ENTRY_VALUE, (struct th_slice){ &key, sizeof(key) }, TH_SLICE_EMPTY,
			       (struct th_slice){ value, sizeof(disk) + name_size });
	return message ? th_tree_put(&store->meta, message) : -ENOMEM;
}

static int remove_record(struct th_store *store, uint64_t id)
{
	struct th_meta_key key = th_meta_key(TH_META_SNAPSHOT, id);
	struct th_entry *message =
		th_entry_new(TH_ENTRY_RESET, (struct th_slice){ &key, sizeof(key) }, TH_SLICE_EMPTY, TH_SLICE_EMPTY);

	return message ? th_tree_put(&store->meta, message) : -ENOMEM;
}

static int unpack_record(const struct th_cursor_entry *entry, struct th_snapshot_record *ret)
{
	struct th_snapshot_disk disk;
	size_t name_size = entry->value.size - sizeof(disk);
	int r;

	if (entry->key.size != sizeof(struct th_meta_key) || entry->value.size < sizeof(disk) ||
	    name_size > TH_SNAPSHOT_NAME_MAX)
		return -EUCLEAN;
	memcpy(&disk, entry->value.data, sizeof(disk));
	ret->info = (struct th_snapshot){
		.id = th_meta_number(entry->key.data),
		.generation = th_get_le64(disk.generation),
		.sequence = th_get_le64(disk.sequence),
		.created_ns = th_get_le64(disk.created_ns),
	};
	memcpy(ret->info.name, (const char *)entry->value.data + sizeof(disk), name_size);
	ret->deleting = disk.deleting;
	if (disk.deleting > 1 || memchr(ret->info.name, 0, name_size))
		return -EUCLEAN;
	r = th_ptr_unpack(&disk.root, &ret->root);
	return r < 0 ? r : th_blocklist_unpack(&disk.dead, &ret->dead);
}

static void append_record(struct th_store *store, struct th_snapshot_record *record)
{
	struct th_snapshot_record **end = &store->snapshots;

	while (*end)
		end = &(*end)->next;
	*end = record;
}

int th_catalogue_load(struct th_store *store)
{
	static const struct th_meta_key from = { .kind = TH_META_SNAPSHOT }, to = { .kind = TH_META_SNAPSHOT + 1 };
	struct th_range range = { { &from, sizeof(from) }, { &to, sizeof(to) } };
	struct th_view view = { .store = store, .tree = &store->meta };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int r = th_cursor_open(&view, &range, &cursor);

	if (r < 0)
		return r;
	while ((r = th_cursor_next(cursor, &entry)) == 0) {
		struct th_snapshot_record *record = calloc(1, sizeof(*record));

		r = record ? unpack_record(&entry, record) : -ENOMEM;
		if (r < 0) {
			free(record);
			break;
		}
		append_record(store, record);
	}
	th_cursor_close(cursor);
	return r == 1 ? 0 : r;
}

void th_catalogue_release(struct th_store *store)
{
	while (store->snapshots) {
		struct th_snapshot_record *next = store->snapshots->next;

		free(store->snapshots);
		store->snapshots = next;
	}
}

uint64_t th_snapshot_newest(struct th_store *store)
{
	uint64_t newest = 0;

	pthread_mutex_lock(&store->snapshot_lock);
	for (struct th_snapshot_record *record = store->snapshots; record; record = record->next)
		newest = record->info.generation;
	pthread_mutex_unlock(&store->snapshot_lock);
	return newest;
}

/* By name, among those that have one.  snapshot_lock is held. */
static struct th_snapshot_record *find(struct th_store *store, const char *name)
{
	struct th_snapshot_record *record = store->snapshots;

	while (record && (record->deleting || strcmp(record->info.name, name) != 0))
		record = record->next;
	return record;
}

static bool exists(struct th_store *store, const char *name)
{
	bool found;

	pthread_mutex_lock(&store->snapshot_lock);
	found = find(store, name) != NULL;
	pthread_mutex_unlock(&store->snapshot_lock);
	return found;
}

static int check_name(const char *name)
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

static int create_step(struct th_store *store, const struct th_commit_state *state, void *arg)
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
		.created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
	};
	strcpy(record->info.name, request->name);
	record->root = state->live_root;
	record->dead = store->super.dead;
	store->super.dead = (struct th_blocklist){ 0 };
	r = put_record(store, record);
	if (r < 0) {
		free(record);
		return r;
	}
	pthread_mutex_lock(&store->snapshot_lock);
	append_record(store, record);
	pthread_mutex_unlock(&store->snapshot_lock);
	*request->ret = record->info;
	return 0;
}

static int rename_step(struct th_store *store, const struct th_commit_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;

	(void)state;
	pthread_mutex_lock(&store->snapshot_lock);
	record = find(store, request->name);
	if (!record)
		request->result = -ENOENT;
	else if (strcmp(request->name, request->to) != 0 && find(store, request->to))
		request->result = -EEXIST;
	else
		strcpy(record->info.name, request->to);
	pthread_mutex_unlock(&store->snapshot_lock);
	return request->result == 0 ? put_record(store, record) : 0;
}

static int free_dead(const struct th_blockrun *run, void *arg)
{
	return th_dead_free(arg, run);
}

/* Gives up what only this snapshot needed, and passes the rest of its dead list on to its successor. */
static int settle_deleted(struct th_store *store, struct th_snapshot_record *record, struct th_snapshot_record *before)
{
	struct th_snapshot_record *after = record->next;
	struct th_blocklist *dead = after ? &after->dead : &store->super.dead;
	int r;

	r = th_blocklist_filter(dead, store->disk, store->space, before ? before->info.generation : 0, free_dead,
				store);
	if (r == 0)
		r = th_blocklist_join(dead, store->disk, store->space, &record->dead);
	if (r == 0 && after)
		r = put_record(store, after);
	return r < 0 ? r : remove_record(store, record->info.id);
}

/* Frees every deleted snapshot that no view holds.  Only the holder of commit_lock removes records, so the list can be
 * walked. */
static int reap_step(struct th_store *store, const struct th_commit_state *state, void *arg)
{
	struct th_snapshot_record *record = store->snapshots, *before = NULL;

	(void)state;
	(void)arg;
	while (record) {
		struct th_snapshot_record *next = record->next;
		bool free_it;
		int r;

		pthread_mutex_lock(&store->snapshot_lock);
		free_it = record->deleting && record->views == 0;
		pthread_mutex_unlock(&store->snapshot_lock);
		if (!free_it) {
			before = record;
			record = next;
			continue;
		}
		r = settle_deleted(store, record, before);
		if (r < 0)
			return r;
		pthread_mutex_lock(&store->snapshot_lock);
		if (before)
			before->next = next;
		else
			store->snapshots = next;
		pthread_mutex_unlock(&store->snapshot_lock);
		free(record);
		record = next;
	}
	return 0;
}

static int delete_step(struct th_store *store, const struct th_commit_state *state, void *arg)
{
	struct request *request = arg;
	struct th_snapshot_record *record;
	bool held = false;

	pthread_mutex_lock(&store->snapshot_lock);
	record = find(store, request->name);
	if (record) {
		record->deleting = true;
		held = record->views > 0;
	} else {
		request->result = -ENOENT;
	}
	pthread_mutex_unlock(&store->snapshot_lock);
	if (!record)
		return 0;
	return held ? put_record(store, record) : reap_step(store, state, NULL);
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
	int r = check_name(name);

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

	if (!exists(store, name))
		return -ENOENT;
	return run(store, delete_step, &request);
}

int th_snapshot_rename(struct th_store *store, const char *from, const char *to)
{
	struct request request = { .name = from, .to = to };
	int r = check_name(to);

	if (r == 0 && !exists(store, from))
		r = -ENOENT;
	return r < 0 ? r : run(store, rename_step, &request);
}

int th_snapshot_reap(struct th_store *store)
{
	bool any = false;

	pthread_mutex_lock(&store->snapshot_lock);
	for (struct th_snapshot_record *record = store->snapshots; record; record = record->next)
		any |= record->deleting && record->views == 0;
	pthread_mutex_unlock(&store->snapshot_lock);
	return any && !store->read_only ? th_commit(store, reap_step, NULL, 0) : 0;
}

int th_snapshot_find(struct th_store *store, const char *name, struct th_snapshot *ret)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = find(store, name);
	if (record)
		*ret = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_snapshot_find_id(struct th_store *store, uint64_t id, struct th_snapshot *ret)
{
	struct th_snapshot_record *record;

	pthread_mutex_lock(&store->snapshot_lock);
	record = store->snapshots;
	while (record && (record->deleting || record->info.id != id))
		record = record->next;
	if (record)
		*ret = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return record ? 0 : -ENOENT;
}

int th_snapshot_list(struct th_store *store, struct th_snapshot **ret, size_t *ret_count)
{
	size_t count = 0;

	pthread_mutex_lock(&store->snapshot_lock);
	for (struct th_snapshot_record *record = store->snapshots; record; record = record->next)
		count++;
	*ret = calloc(count + 1, sizeof(**ret));
	*ret_count = 0;
	for (struct th_snapshot_record *record = store->snapshots; *ret && record; record = record->next)
		if (!record->deleting)
			(*ret)[(*ret_count)++] = record->info;
	pthread_mutex_unlock(&store->snapshot_lock);
	return *ret ? 0 : -ENOMEM;
}
