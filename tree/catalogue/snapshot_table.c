/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/snapshot_table.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"
#include "tree/catalogue/branch_table.h"
#include "tree/catalogue/hold_table.h"
#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/state/state.h"

/* --- on disk --- */

int th_snapshot_table_put(struct th_store *store, struct th_snapshot_record *record)
{
	struct th_meta_key key = th_meta_key(TH_META_SNAPSHOT, record->info.id);
	size_t name_size = strlen(record->info.name);
	uint8_t value[sizeof(struct th_snapshot_disk) + TH_SNAPSHOT_NAME_MAX];
	struct th_snapshot_disk disk = {
		.generation = th_le64(record->info.generation),
		.sequence = th_le64(record->info.sequence),
		.created_ns = th_le64(record->info.created_ns),
		.branch = th_le64(record->info.branch),
		.deleting = th_snapshot_table_deleted(record, store->live.checkpoint_gen),
	};

	record->noted = disk.deleting;
	th_ptr_pack(&record->root, &disk.root);
	th_blocklist_pack(&record->dead, &disk.dead);
	th_blocklist_pack(&record->strays, &disk.strays);
	memcpy(disk.identity, record->info.identity, sizeof(disk.identity));
	memcpy(value, &disk, sizeof(disk));
	memcpy(value + sizeof(disk), record->info.name, name_size);
	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) },
			   (struct th_slice){ value, sizeof(disk) + name_size });
}

int th_snapshot_table_drop(struct th_store *store, const struct th_snapshot_record *record)
{
	struct th_meta_key key = th_meta_key(TH_META_SNAPSHOT, record->info.id);

	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) }, (struct th_slice){ NULL, 0 });
}

static int unpack(const struct th_cursor_entry *entry, struct th_snapshot_record *ret)
{
	struct th_snapshot_disk disk;
	size_t name_size = entry->value.size - sizeof(disk);
	int err;

	if (entry->key.size != sizeof(struct th_meta_key) || entry->value.size < sizeof(disk) ||
	    name_size > TH_SNAPSHOT_NAME_MAX)
		return -EUCLEAN;
	memcpy(&disk, entry->value.data, sizeof(disk));
	ret->info = (struct th_snapshot){
		.id = th_meta_number(entry->key.data),
		.generation = th_get_le64(disk.generation),
		.sequence = th_get_le64(disk.sequence),
		.created_ns = th_get_le64(disk.created_ns),
		.branch = th_get_le64(disk.branch),
	};
	memcpy(ret->info.name, (const char *)entry->value.data + sizeof(disk), name_size);
	memcpy(ret->info.identity, disk.identity, sizeof(disk.identity));
	ret->deleting = ret->noted = disk.deleting;
	if (disk.deleting > 1 || memchr(ret->info.name, 0, name_size))
		return -EUCLEAN;
	err = th_ptr_unpack(&disk.root, &ret->root);
	if (!err)
		err = th_blocklist_unpack(&disk.dead, &ret->dead);
	return err ? err : th_blocklist_unpack(&disk.strays, &ret->strays);
}

static int load_record(struct th_store *store, const struct th_cursor_entry *entry)
{
	struct th_snapshot_record *record = calloc(1, sizeof(*record));
	int err = record ? unpack(entry, record) : -ENOMEM;

	if (!err && !th_branch_table_find(&store->branches, record->info.branch)) {
		if (th_store_lenient(store, -EUCLEAN))
			th_store_lose(store, TH_LOST_CATALOGUE);
		else
			err = -EUCLEAN;
	}
	if (!err)
		err = th_snapshot_table_append(&store->catalogue, record);
	if (err)
		free(record);
	return err;
}

/* Checks that every origin exists and is of another branch: it decides which blocks a branch may free. */
static int check_origins(const struct th_store *store)
{
	for (const struct th_branch_record *branch = store->branches.list; branch; branch = branch->next) {
		const struct th_snapshot_record *origin = th_snapshot_table_numbered(&store->catalogue, branch->origin);

		if (branch->origin && (!origin || origin->info.branch == branch->id))
			return -EUCLEAN;
	}
	return 0;
}

int th_snapshot_table_load(struct th_store *store)
{
	int err = th_meta_each(store, TH_META_SNAPSHOT, load_record);

	if (!err)
		err = check_origins(store);
	if (!th_store_lenient(store, err))
		return err;
	th_store_lose(store, TH_LOST_CATALOGUE);
	return 0;
}

/* --- in memory --- */

static int compare_names(const void *a, const void *b)
{
	const struct th_snapshot_record *x = a, *y = b;

	return strcmp(x->info.name, y->info.name);
}

/* On a damaged image two snapshots may have the same name, which then finds the older one. */
static int add_name(struct th_snapshot_table *catalogue, struct th_snapshot_record *record)
{
	if (!tsearch(record, &catalogue->by_name, compare_names))
		return -ENOMEM;
	catalogue->named++;
	return 0;
}

static void remove_name(struct th_snapshot_table *catalogue, struct th_snapshot_record *record)
{
	struct th_snapshot_record *const *found = tfind(record, &catalogue->by_name, compare_names);

	if (found && *found == record)
		tdelete(record, &catalogue->by_name, compare_names);
	catalogue->named--;
}

struct th_snapshot_record *th_snapshot_table_named(const struct th_snapshot_table *catalogue, const char *name)
{
	struct th_snapshot_record wanted, *const *found;

	if (strlen(name) > TH_SNAPSHOT_NAME_MAX)
		return NULL;
	strcpy(wanted.info.name, name);
	found = tfind(&wanted, &catalogue->by_name, compare_names);
	return found ? *found : NULL;
}

size_t th_snapshot_table_from(const struct th_snapshot_table *catalogue, uint64_t id)
{
	size_t from = 0, to = catalogue->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (catalogue->record[middle]->info.id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct th_snapshot_record *th_snapshot_table_numbered(const struct th_snapshot_table *catalogue, uint64_t id)
{
	size_t at = th_snapshot_table_from(catalogue, id);

	return at < catalogue->count && catalogue->record[at]->info.id == id ? catalogue->record[at] : NULL;
}

bool th_snapshot_table_deleted(const struct th_snapshot_record *record, uint64_t generation)
{
	return record->deleting && record->deleted <= generation;
}

bool th_snapshot_table_taken(const struct th_snapshot_table *catalogue, const char *name, uint64_t generation)
{
	bool taken = th_snapshot_table_named(catalogue, name) != NULL;

	for (size_t i = 0; i < catalogue->count && !taken; i++) {
		const struct th_snapshot_record *record = catalogue->record[i];

		taken = record->deleting && record->deleted > generation && strcmp(record->info.name, name) == 0;
	}
	return taken;
}

struct th_snapshot_record *th_snapshot_table_before(const struct th_snapshot_table *catalogue, size_t at,
						    uint64_t branch)
{
	while (at > 0 && catalogue->record[at - 1]->info.branch != branch)
		at--;
	return at > 0 ? catalogue->record[at - 1] : NULL;
}

struct th_snapshot_record *th_snapshot_table_after(const struct th_snapshot_table *catalogue, size_t at,
						   uint64_t branch)
{
	while (++at < catalogue->count && catalogue->record[at]->info.branch != branch)
		;
	return at < catalogue->count ? catalogue->record[at] : NULL;
}

int th_snapshot_table_append(struct th_snapshot_table *catalogue, struct th_snapshot_record *record)
{
	if (th_grow(catalogue->record, catalogue->capacity, catalogue->count + 1))
		return -ENOMEM;
	if (!record->deleting && add_name(catalogue, record))
		return -ENOMEM;
	catalogue->record[catalogue->count++] = record;
	return 0;
}

int th_snapshot_table_rename(struct th_snapshot_table *catalogue, struct th_snapshot_record *record, const char *name)
{
	remove_name(catalogue, record);
	strcpy(record->info.name, name);
	return add_name(catalogue, record);
}

void th_snapshot_table_unname(struct th_snapshot_table *catalogue, struct th_snapshot_record *record,
			      uint64_t generation)
{
	remove_name(catalogue, record);
	record->deleted = generation;
	record->deleting = true;
}

static void free_holds(struct th_snapshot_record *record)
{
	while (record->holds) {
		struct th_hold_record *hold = record->holds;

		record->holds = hold->next;
		free(hold);
	}
}

void th_snapshot_table_remove(struct th_snapshot_table *catalogue, size_t at)
{
	if (!catalogue->record[at]->deleting)
		remove_name(catalogue, catalogue->record[at]);
	free_holds(catalogue->record[at]);
	free(catalogue->record[at]);
	catalogue->count--;
	memmove(&catalogue->record[at], &catalogue->record[at + 1],
		(catalogue->count - at) * sizeof(*catalogue->record));
}

void th_snapshot_table_release(struct th_snapshot_table *catalogue)
{
	while (catalogue->count)
		th_snapshot_table_remove(catalogue, catalogue->count - 1);
	free(catalogue->record);
}

/* --- names --- */

int th_snapshot_check_name(const char *name)
{
	if (strlen(name) > TH_SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}
