/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/apply.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/data/extent.h"
#include "fs/dir/dir.h"
#include "fs/format/acl.h"
#include "fs/format/key.h"
#include "fs/inode/inode_id.h"
#include "fs/stream/apply_data.h"

/* Records that one transaction takes at most: some hundred bytes of memory each. */
#define RECORDS_MAX 8192

int th_apply_refuse(struct th_apply *apply, const char *why)
{
	apply->why = why;
	return -EUCLEAN;
}

/* --- transactions --- */

static int stage_inode(struct th_apply *apply)
{
	struct th_fs_key key = th_fs_key_inode(apply->id);
	uint8_t value[TH_INODE_VALUE_MAX];
	size_t size;

	if (apply->state != TH_APPLY_OPEN)
		return 0;
	size = th_inode_encode(&apply->attr, value);
	return th_txn_put(apply->txn, th_fs_key_slice(&key), (struct th_slice){ value, size });
}

static int begin(struct th_apply *apply)
{
	int err = th_txn_begin(apply->fs->store, &apply->txn);

	apply->staged = 0;
	apply->allocated = false;
	if (err)
		apply->txn = NULL;
	return err;
}

int th_apply_commit(struct th_apply *apply)
{
	struct th_txn *txn = apply->txn;
	int err = stage_inode(apply);

	if (!err)
		err = th_apply_data_flush(apply);
	if (!err && (apply->state == TH_APPLY_OPEN || apply->state == TH_APPLY_GONE)) {
		apply->unfinished->inode = apply->number;
		apply->unfinished->block = apply->next_block;
	}
	if (!err)
		err = th_unfinished_put(txn, apply->unfinished);
	if (err)
		return err;
	apply->txn = NULL;
	err = th_txn_commit(txn);
	return err ? err : begin(apply);
}

int th_apply_init(struct th_apply *apply, struct th_fs *fs, struct th_view *base, struct th_unfinished *unfinished)
{
	*apply = (struct th_apply){
		.fs = fs,
		.base = base,
		.unfinished = unfinished,
		.start = { unfinished->inode, unfinished->block },
	};
	return begin(apply);
}

void th_apply_release(struct th_apply *apply)
{
	th_txn_rollback(apply->txn);
	th_apply_data_release(&apply->data);
}

/* --- ids --- */

int th_apply_find_id(struct th_apply *apply, uint64_t number, uint64_t *ret)
{
	struct th_fs_key key = th_fs_key_received_id(number);
	size_t slot = number % TH_APPLY_ID_SLOTS;
	struct th_value value;
	struct th_le64 id;
	int err;

	*ret = number == TH_ROOT_ID ? TH_ROOT_ID : apply->ids[slot].id;
	if (number == TH_ROOT_ID || apply->ids[slot].number == number)
		return 0;
	err = th_txn_get(apply->txn, th_fs_key_slice(&key), &value);
	if (err)
		return err;
	err = value.size == sizeof(id) ? 0 : -EUCLEAN;
	if (!err) {
		memcpy(&id, value.data, sizeof(id));
		*ret = th_get_le64(id);
		apply->ids[slot].number = number;
		apply->ids[slot].id = *ret;
	}
	th_value_release(&value);
	return err;
}

static int put_id(struct th_apply *apply, uint64_t number, uint64_t id)
{
	struct th_fs_key key = th_fs_key_received_id(number);
	struct th_le64 value = th_le64(id);
	size_t slot = number % TH_APPLY_ID_SLOTS;

	apply->ids[slot].number = number;
	apply->ids[slot].id = id;
	return th_txn_put(apply->txn, th_fs_key_slice(&key), (struct th_slice){ &value, sizeof(value) });
}

/* Finds the id of a number.  A number that is not known stands for a new inode. */
static int take_id(struct th_apply *apply, uint64_t number, uint64_t *ret)
{
	int err = th_apply_find_id(apply, number, ret);

	if (err != -ENOENT)
		return err;
	err = th_fs_new_id(apply->fs, ret);
	return err ? err : put_id(apply, number, *ret);
}

static int apply_bind(struct th_apply *apply, const struct th_record *record)
{
	struct th_dirent entry;
	uint64_t parent, known;
	int err;

	if (!apply->base)
		return th_apply_refuse(apply, "a place in a base, but there is none");
	err = th_apply_find_id(apply, record->parent, &parent);
	if (!err)
		err = th_dir_find_in(apply->fs, apply->base, parent, record->name, &entry);
	if (err == -ENOENT)
		return th_apply_refuse(apply, "a place that the base does not have");
	if (!err)
		err = th_apply_find_id(apply, record->inode, &known);
	if (!err && known != entry.id)
		return th_apply_refuse(apply, "two places of one inode in the base");
	return err == -ENOENT ? put_id(apply, record->inode, entry.id) : err;
}

static int apply_atime(struct th_apply *apply, const struct th_record *record)
{
	struct th_time_disk time = th_atime_encode(record->attr.atime);
	struct th_fs_key key;
	uint64_t id;
	int err = th_apply_find_id(apply, record->inode, &id);

	if (err == -ENOENT)
		return th_apply_refuse(apply, "a time of access of an unknown inode");
	key = th_fs_key_atime(id);
	return err ? err : th_txn_put(apply->txn, th_fs_key_slice(&key), (struct th_slice){ &time, sizeof(time) });
}

/* --- names --- */

static int stage_link_key(struct th_apply *apply, uint64_t parent, struct th_slice name, bool exists)
{
	struct th_fs_key key = th_fs_key_link(apply->id, parent, name.data, name.size);

	return exists ? th_txn_put(apply->txn, th_fs_key_slice(&key), (struct th_slice){ "", 0 })
		      : th_txn_delete(apply->txn, th_fs_key_slice(&key));
}

static bool is_primary(const struct th_attr *attr, uint64_t parent, struct th_slice name)
{
	return attr->parent == parent && attr->name_size == name.size && !memcmp(attr->name, name.data, name.size);
}

static int apply_link(struct th_apply *apply, const struct th_record *record)
{
	uint8_t type = IFTODT(apply->attr.mode);
	struct th_dirent entry;
	uint64_t parent;
	int err;

	if (apply->state != TH_APPLY_OPEN)
		return th_apply_refuse(apply, "a name of an inode that does not exist");
	err = take_id(apply, record->parent, &parent);
	if (err)
		return err;
	err = th_dir_find_txn(apply->fs, apply->txn, parent, record->name, &entry);
	if (err == -ENOENT)
		err = th_dir_add_in(apply->fs, apply->txn, parent, record->name, apply->id, type);
	else if (!err)
		err = th_dir_replace_in(apply->fs, apply->txn, parent, record->name, entry, apply->id, type);
	if (err || is_primary(&apply->attr, parent, record->name))
		return err;
	return stage_link_key(apply, parent, record->name, true);
}

/* The name may have got another inode by an earlier record: then it stays. */
static int apply_unlink(struct th_apply *apply, const struct th_record *record)
{
	struct th_dirent entry;
	uint64_t parent;
	int err = th_apply_find_id(apply, record->parent, &parent);

	if (err)
		return err == -ENOENT ? th_apply_refuse(apply, "a lost name in an unknown directory") : err;
	err = stage_link_key(apply, parent, record->name, false);
	if (!err)
		err = th_dir_find_txn(apply->fs, apply->txn, parent, record->name, &entry);
	if (!err && entry.id == apply->id)
		err = th_dir_remove_in(apply->fs, apply->txn, parent, record->name);
	return err == -ENOENT ? 0 : err;
}

/* --- inodes --- */

/* Ends the inode of the records before, and begins the one of this record, which skips what was applied earlier. */
static int next_inode(struct th_apply *apply, const struct th_record *record)
{
	int err;

	if (apply->number >= record->inode)
		return th_apply_refuse(apply, "the inodes are not in order");
	err = stage_inode(apply);
	if (err)
		return err;
	apply->number = record->inode;
	apply->next_block = 0;
	apply->state = record->inode < apply->start.inode ? TH_APPLY_SKIPPED : TH_APPLY_NONE;
	return 0;
}

/* Reads the present inode.  Its name is in `name`.  Returns 0, -ENOENT, or an error. */
static int read_inode(struct th_apply *apply, uint64_t id, struct th_attr *ret, int32_t *ret_refs, char *name)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	int err = th_txn_get(apply->txn, th_fs_key_slice(&key), &value);

	if (err)
		return err;
	err = th_inode_decode(value.data, value.size, value.refs, ret);
	if (!err) {
		memcpy(name, ret->name, ret->name_size);
		ret->name = name;
		*ret_refs = value.refs;
	}
	th_value_release(&value);
	return err;
}

/* If another name becomes the primary one, the former one becomes a further name.  UNLINK removes it if it is gone. */
static int change_primary(struct th_apply *apply, const struct th_attr *old)
{
	struct th_slice old_name = { old->name, old->name_size };
	struct th_slice name = { apply->attr.name, apply->attr.name_size };
	int err;

	if (!old->parent || is_primary(&apply->attr, old->parent, old_name))
		return 0;
	err = stage_link_key(apply, old->parent, old_name, true);
	return err ? err : stage_link_key(apply, apply->attr.parent, name, false);
}

static int replace_inode(struct th_apply *apply, const struct th_attr *old)
{
	struct th_fs_key atime = th_fs_key_atime(apply->id);
	int err;

	if ((old->mode ^ apply->attr.mode) & S_IFMT)
		return th_apply_refuse(apply, "an inode changes its type");
	apply->attr.blocks = old->blocks;
	err = th_txn_delete(apply->txn, th_fs_key_slice(&atime)); /* the inode's value has the newest time */
	return err ? err : change_primary(apply, old);
}

static int apply_inode(struct th_apply *apply, const struct th_record *record)
{
	struct th_fs_key key;
	struct th_attr old;
	int32_t refs = 0;
	char old_name[TH_NAME_MAX];
	int err = next_inode(apply, record);

	if (err || apply->state == TH_APPLY_SKIPPED)
		return err;
	err = take_id(apply, record->inode, &apply->id);
	apply->attr = record->attr;
	apply->attr.blocks = 0;
	memcpy(apply->name, record->attr.name, record->attr.name_size);
	apply->attr.name = apply->name;
	if (!err && record->attr.parent)
		err = take_id(apply, record->attr.parent, &apply->attr.parent);
	if (err)
		return err;
	err = read_inode(apply, apply->id, &old, &refs, old_name);
	if (!err)
		err = replace_inode(apply, &old);
	else if (err == -ENOENT)
		err = 0;
	key = th_fs_key_inode(apply->id);
	if (!err && (int32_t)record->links != refs)
		err = th_txn_ref(apply->txn, th_fs_key_slice(&key), (int32_t)record->links - refs);
	if (!err)
		apply->state = TH_APPLY_OPEN;
	return err;
}

/* Deletes all keys of an inode but those of its extents, which are gone. */
static int delete_keys(struct th_apply *apply)
{
	struct th_fs_key first = th_fs_key_inode(apply->id), end = th_fs_key_inode(apply->id + 1);
	struct th_fs_key atime = th_fs_key_atime(apply->id);
	struct th_range range = { th_fs_key_slice(&first), th_fs_key_slice(&end) };
	int err = th_txn_delete(apply->txn, th_fs_key_slice(&atime));

	return err ? err : th_txn_delete_range(apply->txn, range);
}

static int apply_gone(struct th_apply *apply, const struct th_record *record)
{
	uint64_t unused = 0;
	int err = next_inode(apply, record);

	if (err || apply->state == TH_APPLY_SKIPPED)
		return err;
	err = th_apply_find_id(apply, record->inode, &apply->id);
	if (err == -ENOENT)
		return th_apply_refuse(apply, "an unknown inode is removed");
	if (!err)
		err = th_apply_data_clear(apply, apply->id, 0, TH_EXTENT_END, &unused);
	if (!err)
		err = delete_keys(apply);
	apply->state = TH_APPLY_GONE;
	return err;
}

/* --- attributes --- */

static int apply_xattr(struct th_apply *apply, const struct th_record *record)
{
	struct th_fs_key key = th_fs_key_xattr(apply->id, record->name.data, record->name.size);
	char name[TH_NAME_MAX + 1] = { 0 };

	memcpy(name, record->name.data, record->name.size);
	if (record->kind == TH_RECORD_XATTR_GONE)
		return th_txn_delete(apply->txn, th_fs_key_slice(&key));
	if (th_acl_is_name(name) && !th_acl_valid(record->bytes))
		return th_apply_refuse(apply, "an access control list that is none");
	return th_txn_put(apply->txn, th_fs_key_slice(&key), record->bytes);
}

/* --- dispatch --- */

/* Applies a record that belongs to the inode of the last INODE or GONE record. */
static int apply_part(struct th_apply *apply, const struct th_record *record)
{
	if (record->inode != apply->number)
		return th_apply_refuse(apply, "a part of an inode without its attributes");
	if (apply->state == TH_APPLY_SKIPPED)
		return 0;
	if (record->kind == TH_RECORD_UNLINK)
		return apply_unlink(apply, record);
	if (record->kind == TH_RECORD_LINK)
		return apply_link(apply, record);
	if (apply->state != TH_APPLY_OPEN)
		return th_apply_refuse(apply, "a part of an inode that does not exist");
	if (record->kind == TH_RECORD_XATTR || record->kind == TH_RECORD_XATTR_GONE)
		return apply_xattr(apply, record);
	return th_apply_data_record(apply, record);
}

int th_apply_record(struct th_apply *apply, const struct th_record *record)
{
	int err = apply->staged++ < RECORDS_MAX ? 0 : th_apply_commit(apply);

	if (err)
		return err;
	switch (record->kind) {
	case TH_RECORD_BIND:
		return apply_bind(apply, record);
	case TH_RECORD_ATIME:
		return apply_atime(apply, record);
	case TH_RECORD_INODE:
		return apply_inode(apply, record);
	case TH_RECORD_GONE:
		return apply_gone(apply, record);
	default:
		return apply_part(apply, record);
	}
}
