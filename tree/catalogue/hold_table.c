/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/hold_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/state/state.h"

/* --- in memory --- */

void th_hold_add(struct th_snapshot_record *record, struct th_hold_record *hold)
{
	hold->next = record->holds;
	record->holds = hold;
	record->info.holds++;
}

struct th_hold_record **th_hold_find(struct th_snapshot_record *record, const char *tag)
{
	struct th_hold_record **at = &record->holds;

	while (*at && strcmp((*at)->tag, tag) != 0)
		at = &(*at)->next;
	return at;
}

struct th_hold_record *th_hold_take(struct th_snapshot_record *record, struct th_hold_record **link)
{
	struct th_hold_record *hold = *link;

	*link = hold->next;
	record->info.holds--;
	return hold;
}

/* --- on disk --- */

int th_hold_put(struct th_store *store, uint64_t snapshot, const struct th_hold_record *hold)
{
	struct th_meta_key key = th_meta_key(TH_META_HOLD, hold->id);
	struct th_hold_disk disk = { .snapshot = th_le64(snapshot), .created_ns = th_le64(hold->created_ns) };
	uint8_t value[sizeof(disk) + TH_HOLD_TAG_MAX];
	size_t tag_size = strlen(hold->tag);

	memcpy(value, &disk, sizeof(disk));
	memcpy(value + sizeof(disk), hold->tag, tag_size);
	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) },
			   (struct th_slice){ value, sizeof(disk) + tag_size });
}

int th_hold_drop(struct th_store *store, uint64_t id)
{
	struct th_meta_key key = th_meta_key(TH_META_HOLD, id);

	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) }, (struct th_slice){ NULL, 0 });
}

static int unpack(const struct th_cursor_entry *entry, struct th_hold_record *ret, uint64_t *ret_snapshot)
{
	struct th_hold_disk disk;
	size_t tag_size = entry->value.size - sizeof(disk);

	if (entry->key.size != sizeof(struct th_meta_key) || entry->value.size <= sizeof(disk) ||
	    tag_size > TH_HOLD_TAG_MAX)
		return -EUCLEAN;
	memcpy(&disk, entry->value.data, sizeof(disk));
	ret->id = th_meta_number(entry->key.data);
	ret->created_ns = th_get_le64(disk.created_ns);
	memcpy(ret->tag, (const char *)entry->value.data + sizeof(disk), tag_size);
	*ret_snapshot = th_get_le64(disk.snapshot);
	return memchr(ret->tag, 0, tag_size) ? -EUCLEAN : 0;
}

/* Loads one hold.  On a damaged image its snapshot may not exist: then it is dropped, and the checker reports it. */
static int load(struct th_store *store, const struct th_cursor_entry *entry)
{
	struct th_hold_record *hold = calloc(1, sizeof(*hold));
	struct th_snapshot_record *record = NULL;
	uint64_t snapshot;
	int err = hold ? unpack(entry, hold, &snapshot) : -ENOMEM;

	if (!err)
		record = th_snapshot_table_numbered(&store->catalogue, snapshot);
	if (record)
		th_hold_add(record, hold);
	else
		free(hold);
	return err;
}

int th_hold_table_load(struct th_store *store)
{
	return th_meta_each(store, TH_META_HOLD, load);
}
