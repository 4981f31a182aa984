/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/atime_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 64 /* inodes whose records are read together */
#define SLOTS 256 /* groups in the cache: 300 KiB, for 16,384 inodes */

/* The records of the inodes from id number * GROUP on. */
struct group {
	bool used;
	uint64_t view; /* the snapshot that the records are from; 0: the tree that the mount shows */
	uint64_t number;
	uint64_t present; /* bit i: the i-th inode has a record */
	struct th_time times[GROUP];
};

struct atimes {
	pthread_mutex_t lock; /* a leaf (L4) */
	uint64_t writes; /* number of changes of records in the store */
	struct group slots[SLOTS]; /* direct-mapped */
};

int th_atime_records_init(struct th_fs *fs)
{
	struct atimes *atimes = calloc(1, sizeof(*atimes));

	if (!atimes)
		return -ENOMEM;
	pthread_mutex_init(&atimes->lock, NULL);
	fs->atimes = atimes;
	return 0;
}

void th_atime_records_release(struct th_fs *fs)
{
	struct atimes *atimes = fs->atimes;

	if (!atimes)
		return;
	pthread_mutex_destroy(&atimes->lock);
	free(atimes);
	fs->atimes = NULL;
}

void th_atime_records_forget(struct th_fs *fs)
{
	struct atimes *atimes = fs->atimes;

	pthread_mutex_lock(&atimes->lock);
	atimes->writes++;
	for (size_t i = 0; i < SLOTS; i++)
		atimes->slots[i].used = false;
	pthread_mutex_unlock(&atimes->lock);
}

/* --- reading --- */

/* Returns the slot of the inode's group; atimes->lock held.  It may hold another group. */
static struct group *group_slot(struct atimes *atimes, const struct th_inode *inode)
{
	return &atimes->slots[(inode->id / GROUP + th_node_id_parse(inode->node).snapshot) % SLOTS];
}

static bool group_is(const struct group *group, const struct th_inode *inode)
{
	return group->used && group->view == th_node_id_parse(inode->node).snapshot &&
	       group->number == inode->id / GROUP;
}

static bool group_get(const struct group *group, const struct th_inode *inode, struct th_time *ret)
{
	unsigned i = inode->id % GROUP;

	*ret = group->times[i];
	return group->present >> i & 1;
}

/* Reads the records of the inode's group.  A malformed one counts as none; the checker reports it. */
static int group_read(const struct th_inode *inode, struct group *ret)
{
	uint64_t first = inode->id / GROUP * GROUP;
	struct th_fs_key from = th_fs_key_atime(first), to = th_fs_key_atime(first + GROUP);
	struct th_range range = { th_fs_key_slice(&from), th_fs_key_slice(&to) };
	struct th_cursor *cursor;
	struct th_cursor_entry entry;
	struct th_fs_key_parts parts;
	int err = th_cursor_open(th_inode_view(inode), &range, &cursor);

	ret->used = true;
	ret->view = th_node_id_parse(inode->node).snapshot;
	ret->number = inode->id / GROUP;
	ret->present = 0;
	if (err)
		return err;
	while (!(err = th_cursor_next(cursor, &entry))) {
		struct th_time time;

		if (th_fs_key_parse(entry.key, &parts) || th_atime_decode(entry.value, &time))
			continue;
		ret->present |= UINT64_C(1) << parts.number % GROUP;
		ret->times[parts.number % GROUP] = time;
	}
	th_cursor_close(cursor);
	return err < 0 ? err : 0;
}

/* Reads the inode's group, and caches it unless records have changed in the meantime.  The record of this inode has
 * not: it is not loaded yet.  Returns as th_atime_record_load. */
static int read_uncached(struct th_inode *inode, uint64_t writes, struct th_time *ret, bool *ret_present)
{
	struct atimes *atimes = inode->fs->atimes;
	struct group *group = malloc(sizeof(*group));
	int err = group ? group_read(inode, group) : -ENOMEM;

	*ret_present = !err && group_get(group, inode, ret);
	if (!err) {
		pthread_mutex_lock(&atimes->lock);
		if (atimes->writes == writes)
			*group_slot(atimes, inode) = *group;
		pthread_mutex_unlock(&atimes->lock);
	}
	free(group);
	return err == -EINPROGRESS ? err : 0;
}

static bool is_before(struct th_time a, struct th_time b)
{
	return a.seconds < b.seconds || (a.seconds == b.seconds && a.nanoseconds < b.nanoseconds);
}

int th_atime_record_load(struct th_inode *inode, struct th_attr *attr)
{
	struct atimes *atimes = inode->fs->atimes;
	struct th_time time;
	bool present = false, cached;
	uint64_t writes;
	int err = 0;

	pthread_mutex_lock(&atimes->lock);
	const struct group *group = group_slot(atimes, inode);

	cached = group_is(group, inode);
	if (cached)
		present = group_get(group, inode, &time);
	writes = atimes->writes;
	pthread_mutex_unlock(&atimes->lock);
	if (!cached)
		err = read_uncached(inode, writes, &time, &present);
	if (present && !is_before(time, attr->ctime))
		attr->atime = time;
	inode->atime_recorded = present;
	return err;
}

/* --- writing --- */

/* An inode that is to be stored takes its time of access along; only an older record must not outlive that. */
static bool is_due(const struct th_inode *inode)
{
	return inode->atime_dirty && !inode->deleted && (inode->atime_recorded || !inode->attr_dirty);
}

static int stage_record(struct th_txn *txn, const struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_atime(inode->id);
	struct th_time_disk value = th_atime_encode(inode->attr.atime);

	return th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ &value, sizeof(value) });
}

/* Puts a record that was written into the cached group. */
static void note_record(struct th_inode *inode)
{
	struct atimes *atimes = inode->fs->atimes;

	inode->atime_recorded = true;
	pthread_mutex_lock(&atimes->lock);
	struct group *group = group_slot(atimes, inode);

	atimes->writes++;
	if (group_is(group, inode)) {
		group->present |= UINT64_C(1) << inode->id % GROUP;
		group->times[inode->id % GROUP] = inode->attr.atime;
	}
	pthread_mutex_unlock(&atimes->lock);
}

/* Stages the records that are due, in a transaction that it begins with the first of them.  *ret_txn NULL: there is
 * none. */
static int stage_due(struct th_inode *const *inodes, size_t count, struct th_txn **ret_txn)
{
	int err = 0;

	*ret_txn = NULL;
	for (size_t i = 0; i < count && !err; i++) {
		if (!is_due(inodes[i]))
			continue;
		if (!*ret_txn)
			err = th_txn_begin(inodes[i]->fs->store, ret_txn);
		if (!err)
			err = stage_record(*ret_txn, inodes[i]);
	}
	return err;
}

void th_atime_records_write(struct th_inode *const *inodes, size_t count)
{
	struct th_txn *txn;
	int err = stage_due(inodes, count, &txn);

	if (!txn)
		return;
	if (err)
		th_txn_rollback(txn);
	else
		err = th_txn_commit(txn);
	for (size_t i = 0; i < count; i++) {
		if (!is_due(inodes[i]))
			continue;
		if (!err)
			note_record(inodes[i]);
		inodes[i]->atime_dirty = false;
	}
}

int th_atime_record_delete(struct th_txn *txn, const struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_atime(inode->id);

	return inode->atime_recorded ? th_txn_delete(txn, th_fs_key_slice(&key)) : 0;
}
