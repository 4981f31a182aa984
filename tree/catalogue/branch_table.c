/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/branch_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/state/state.h"

/* --- on disk --- */

static int put(struct th_store *store, enum th_meta_kind kind, uint64_t number, const void *value, size_t size)
{
	struct th_meta_key key = th_meta_key(kind, number);

	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) }, (struct th_slice){ value, size });
}

int th_branch_put(struct th_store *store, const struct th_branch_record *record)
{
	uint8_t value[sizeof(struct th_branch_disk) + TH_BRANCH_NAME_MAX];
	size_t name_size = strlen(record->name);
	struct th_branch_disk disk = {
		.origin = th_le64(record->origin),
		.created_ns = th_le64(record->created_ns),
		.detached = record->detached,
	};

	if (record->head) {
		disk.sequence = th_le64(record->head->sequence);
		th_ptr_pack(&record->head->root, &disk.root);
		th_blocklist_pack(&record->head->dead, &disk.dead);
		th_blocklist_pack(&record->head->strays, &disk.strays);
	}
	memcpy(value, &disk, sizeof(disk));
	memcpy(value + sizeof(disk), record->name, name_size);
	return put(store, TH_META_BRANCH, record->id, value, sizeof(disk) + name_size);
}

int th_branch_drop(struct th_store *store, const struct th_branch_record *record)
{
	return put(store, TH_META_BRANCH, record->id, NULL, 0);
}

int th_abandoned_put(struct th_store *store, const struct th_abandoned *abandoned)
{
	uint8_t value[sizeof(struct th_abandoned_disk) + sizeof(abandoned->at.data)];
	struct th_abandoned_disk disk = { .than = th_le64(abandoned->than) };
	struct th_slice at = th_key_slice(&abandoned->at);

	if (!abandoned->durable)
		return 0;
	th_ptr_pack(&abandoned->head->root, &disk.root);
	th_blocklist_pack(&abandoned->head->dead, &disk.dead);
	th_blocklist_pack(&abandoned->head->strays, &disk.strays);
	memcpy(value, &disk, sizeof(disk));
	memcpy(value + sizeof(disk), at.data, at.size);
	return put(store, TH_META_ABANDONED, abandoned->id, value, sizeof(disk) + at.size);
}

int th_abandoned_drop(struct th_store *store, const struct th_abandoned *abandoned)
{
	return abandoned->durable ? put(store, TH_META_ABANDONED, abandoned->id, NULL, 0) : 0;
}

static bool all_zero(const void *bytes, size_t size)
{
	const uint8_t *b = bytes;

	return b[0] == 0 && memcmp(b, b + 1, size - 1) == 0;
}

/* Unpacks the head of an entry; *ret is NULL if it has none. */
static int unpack_head(const struct th_branch_disk *disk, struct th_head **ret)
{
	struct th_head *head;
	int err;

	*ret = NULL;
	if (all_zero(&disk->root, sizeof(disk->root)))
		return 0;
	head = calloc(1, sizeof(*head));
	if (!head)
		return -ENOMEM;
	head->sequence = th_get_le64(disk->sequence);
	err = th_ptr_unpack(&disk->root, &head->root);
	if (!err)
		err = th_blocklist_unpack(&disk->dead, &head->dead);
	if (!err)
		err = th_blocklist_unpack(&disk->strays, &head->strays);
	if (err)
		free(head);
	else
		*ret = head;
	return err;
}

static int unpack_branch(const struct th_cursor_entry *entry, struct th_branch_record *ret)
{
	struct th_branch_disk disk;
	size_t name_size = entry->value.size - sizeof(disk);

	if (entry->key.size != sizeof(struct th_meta_key) || entry->value.size < sizeof(disk) || name_size == 0 ||
	    name_size > TH_BRANCH_NAME_MAX)
		return -EUCLEAN;
	memcpy(&disk, entry->value.data, sizeof(disk));
	ret->id = th_meta_number(entry->key.data);
	ret->origin = th_get_le64(disk.origin);
	ret->created_ns = th_get_le64(disk.created_ns);
	ret->detached = disk.detached;
	memcpy(ret->name, (const char *)entry->value.data + sizeof(disk), name_size);
	if (disk.detached > 1 || memchr(ret->name, 0, name_size))
		return -EUCLEAN;
	return unpack_head(&disk, &ret->head);
}

static int load_branch(struct th_store *store, const struct th_cursor_entry *entry)
{
	struct th_branch_record *record = calloc(1, sizeof(*record));
	int err = record ? unpack_branch(entry, record) : -ENOMEM;

	if (err)
		free(record);
	else
		th_branch_table_add(&store->branches, record);
	return err;
}

static int unpack_abandoned(const struct th_cursor_entry *entry, struct th_abandoned *ret)
{
	struct th_abandoned_disk disk;
	size_t at_size = entry->value.size - sizeof(disk);
	int err;

	if (entry->key.size != sizeof(struct th_meta_key) || entry->value.size < sizeof(disk) ||
	    at_size > sizeof(ret->at.data))
		return -EUCLEAN;
	memcpy(&disk, entry->value.data, sizeof(disk));
	ret->id = th_meta_number(entry->key.data);
	ret->than = th_get_le64(disk.than);
	ret->durable = true;
	th_key_set(&ret->at, (struct th_slice){ (const char *)entry->value.data + sizeof(disk), at_size });
	ret->head->abandoned = true;
	err = th_ptr_unpack(&disk.root, &ret->head->root);
	if (!err)
		err = th_blocklist_unpack(&disk.dead, &ret->head->dead);
	return err ? err : th_blocklist_unpack(&disk.strays, &ret->head->strays);
}

static int load_abandoned(struct th_store *store, const struct th_cursor_entry *entry)
{
	struct th_abandoned *abandoned = calloc(1, sizeof(*abandoned));
	struct th_head *head = calloc(1, sizeof(*head));
	int err = -ENOMEM;

	if (abandoned && head) {
		abandoned->head = head;
		err = unpack_abandoned(entry, abandoned);
	}
	if (err) {
		free(head);
		free(abandoned);
		return err;
	}
	abandoned->next = store->branches.abandoned;
	store->branches.abandoned = abandoned;
	return 0;
}

/* Returns whether a branch has a head in its entry if and only if the head is not the live tree. */
static bool head_right(const struct th_store *store, const struct th_branch_record *record)
{
	bool current = record->id == store->branch;

	return !record->head == (record->detached || current) && !(current && record->detached);
}

/* Adds a branch for the live tree, whose entry is lost. */
static int add_unnamed(struct th_store *store)
{
	struct th_branch_record *record = calloc(1, sizeof(*record));

	if (!record)
		return -ENOMEM;
	record->id = store->branch;
	strcpy(record->name, "(lost)");
	th_branch_table_add(&store->branches, record);
	return 0;
}

/* Checks the branches against each other.  A reader drops those that contradict the others, and makes up the current
 * one. */
static int check_heads(struct th_store *store)
{
	struct th_branch_record *record, *next;

	for (record = store->branches.list; record; record = next) {
		next = record->next;
		if (head_right(store, record))
			continue;
		if (!th_store_lenient(store, -EUCLEAN))
			return -EUCLEAN;
		th_store_lose(store, TH_LOST_CATALOGUE);
		th_branch_table_remove(&store->branches, record);
	}
	if (th_branch_table_find(&store->branches, store->branch))
		return 0;
	if (!th_store_lenient(store, -EUCLEAN))
		return -EUCLEAN;
	th_store_lose(store, TH_LOST_CATALOGUE);
	return add_unnamed(store);
}

int th_branch_table_load(struct th_store *store)
{
	int err = th_meta_each(store, TH_META_BRANCH, load_branch);

	if (!err)
		err = th_meta_each(store, TH_META_ABANDONED, load_abandoned);
	return err ? err : check_heads(store);
}

/* --- in memory --- */

void th_head_free(struct th_head *head)
{
	if (!head)
		return;
	th_node_unref(head->node);
	free(head);
}

struct th_branch_record *th_branch_table_find(const struct th_branch_table *branches, uint64_t id)
{
	struct th_branch_record *record = branches->list;

	while (record && record->id != id)
		record = record->next;
	return record;
}

struct th_branch_record *th_branch_table_named(const struct th_branch_table *branches, const char *name)
{
	struct th_branch_record *record = branches->list;

	while (record && (record->detached || strcmp(record->name, name) != 0))
		record = record->next;
	return record;
}

struct th_branch_record *th_branch_table_from(const struct th_branch_table *branches, uint64_t snapshot)
{
	struct th_branch_record *record = branches->list;

	while (record && record->origin != snapshot)
		record = record->next;
	return record;
}

void th_branch_table_add(struct th_branch_table *branches, struct th_branch_record *record)
{
	struct th_branch_record **at = &branches->list;

	while (*at && (*at)->id < record->id)
		at = &(*at)->next;
	record->next = *at;
	*at = record;
	branches->named += !record->detached;
}

void th_branch_table_remove(struct th_branch_table *branches, struct th_branch_record *record)
{
	struct th_branch_record **at = &branches->list;

	while (*at != record)
		at = &(*at)->next;
	*at = record->next;
	branches->named -= !record->detached;
	th_head_free(record->head);
	free(record);
}

void th_branch_table_release(struct th_branch_table *branches)
{
	while (branches->list)
		th_branch_table_remove(branches, branches->list);
	while (branches->abandoned) {
		struct th_abandoned *abandoned = branches->abandoned;

		branches->abandoned = abandoned->next;
		th_head_free(abandoned->head);
		free(abandoned);
	}
}
