/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/inode.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs/inode/atime_record.h"
#include "fs/inode/inode_id.h"
#include "journal/base/array.h"

struct th_inode_table {
	struct th_inode **buckets;
	size_t nbuckets; /* a power of two */
	size_t count;
};

#define FIRST_BUCKETS 1024

/* --- the table; the static functions are called with fs->table_lock held --- */

int th_inode_table_new(struct th_inode_table **ret)
{
	struct th_inode_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->nbuckets = FIRST_BUCKETS;
	table->buckets = calloc(table->nbuckets, sizeof(*table->buckets));
	if (!table->buckets) {
		free(table);
		return -ENOMEM;
	}
	*ret = table;
	return 0;
}

static struct th_inode **table_bucket(const struct th_inode_table *table, uint64_t node)
{
	uint64_t hash = node * UINT64_C(0x9e3779b97f4a7c15);

	return &table->buckets[(hash >> 32) & (table->nbuckets - 1)];
}

static struct th_inode *table_find(const struct th_inode_table *table, uint64_t node)
{
	struct th_inode *inode = *table_bucket(table, node);

	while (inode && inode->node != node)
		inode = inode->hash_next;
	return inode;
}

static void table_link(struct th_inode_table *table, struct th_inode *inode)
{
	struct th_inode **bucket = table_bucket(table, inode->node);

	inode->hash_next = *bucket;
	*bucket = inode;
}

/* Without memory the table keeps its size, and is slower. */
static void table_grow(struct th_inode_table *table)
{
	struct th_inode **old = table->buckets;
	size_t nold = table->nbuckets;
	struct th_inode **buckets = calloc(nold * 2, sizeof(*buckets));

	if (!buckets)
		return;
	table->buckets = buckets;
	table->nbuckets = nold * 2;
	for (size_t i = 0; i < nold; i++) {
		for (struct th_inode *inode = old[i], *next; inode; inode = next) {
			next = inode->hash_next;
			table_link(table, inode);
		}
	}
	free(old);
}

static void table_add(struct th_inode_table *table, struct th_inode *inode)
{
	if (table->count >= table->nbuckets)
		table_grow(table);
	table_link(table, inode);
	table->count++;
}

static void table_remove(struct th_inode_table *table, struct th_inode *inode)
{
	struct th_inode **at = table_bucket(table, inode->node);

	while (*at != inode)
		at = &(*at)->hash_next;
	*at = inode->hash_next;
	table->count--;
}

/* --- loading --- */

static struct th_inode *inode_alloc(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t node)
{
	struct th_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->fs = fs;
	inode->id = th_node_id_parse(node).id;
	inode->node = node;
	inode->snapshot = snapshot ? th_entered_snapshot_ref(fs, snapshot) : NULL;
	inode->refs = 1;
	pthread_rwlock_init(&inode->lock, NULL);
	return inode;
}

static void inode_free(struct th_inode *inode)
{
	if (inode->file)
		inode->fs->inode_end->release_file(inode);
	if (inode->snapshot)
		th_entered_snapshot_put(inode->fs, inode->snapshot);
	pthread_rwlock_destroy(&inode->lock);
	free((char *)inode->attr.name);
	free(inode);
}

void th_inode_table_free(struct th_fs *fs)
{
	struct th_inode_table *table = fs->table;

	if (!table)
		return;
	for (size_t i = 0; i < table->nbuckets; i++) {
		for (struct th_inode *inode = table->buckets[i], *next; inode; inode = next) {
			next = inode->hash_next;
			inode_free(inode);
		}
	}
	free(table->buckets);
	free(table);
	fs->table = NULL;
}

/* Sets the attributes and a copy of their name. */
static int attr_set(struct th_inode *inode, const struct th_attr *attr)
{
	char *name = NULL;

	if (attr->name_size) {
		name = malloc(attr->name_size);
		if (!name)
			return -ENOMEM;
		memcpy(name, attr->name, attr->name_size);
	}
	inode->attr = *attr;
	inode->attr.name = name;
	inode->type = attr->mode & S_IFMT;
	inode->parent = attr->parent;
	inode->stored_size = attr->size;
	inode->stored_blocks = attr->blocks;
	return 0;
}

/* The entry of a directory may name an inode of another type only on a manipulated image. */
static int check_type(const struct th_inode *inode)
{
	return th_node_id_parse(inode->node).depth && !th_inode_is_dir(inode) ? -EUCLEAN : 0;
}

/* Makes up a root directory that a reader cannot read, so that .snapshots in it can be reached. */
static int lost_root(struct th_inode *inode)
{
	const struct th_attr attr = { .mode = S_IFDIR | 0555, .nlink = 2 };

	th_fs_report(inode->fs, "the root directory of %s cannot be read; it is shown without attributes",
		     inode->snapshot ? "a snapshot" : "the live tree");
	return attr_set(inode, &attr);
}

static int inode_load(struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_inode(inode->id);
	struct th_value value;
	struct th_attr attr;
	int err = th_get(th_inode_view(inode), th_fs_key_slice(&key), &value);

	if (err && inode->id == TH_ROOT_ID && th_fs_lenient(inode->fs, err))
		return lost_root(inode);
	if (err)
		return err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	if (err)
		th_fs_report(inode->fs,
			     "inode %llu: its value of %u bytes is not a valid inode; run 'thunderhead check'",
			     (unsigned long long)inode->id, value.size);
	else
		err = th_atime_record_load(inode, &attr);
	if (!err)
		err = attr_set(inode, &attr);
	th_value_release(&value);
	return err ? err : check_type(inode);
}

/* Makes up the attributes of a virtual directory; dir/snapdir.c updates them. */
static int snapdir_load(struct th_inode *snapdir)
{
	struct th_time now = th_time_now();

	snapdir->attr = (struct th_attr){
		.mode = S_IFDIR | 0755,
		.nlink = 2,
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
		.parent = snapdir->id,
	};
	snapdir->type = S_IFDIR;
	return 0;
}

/* Loads an outdated inode again.  After a read error it stays outdated, so that the next thread retries. */
static int inode_renew(struct th_inode *inode)
{
	int err = 0;

	pthread_rwlock_wrlock(&inode->lock);
	if (inode->loaded == TH_INODE_OUTDATED) {
		if (inode->file)
			inode->fs->inode_end->release_file(inode);
		free((char *)inode->attr.name);
		inode->attr = (struct th_attr){ 0 };
		inode->xattr_state = TH_XATTR_UNKNOWN;
		err = inode_load(inode);
		if (!err)
			inode->loaded = TH_INODE_LOADED;
		else if (err == -ENOENT)
			inode->loaded = -ESTALE;
	}
	pthread_rwlock_unlock(&inode->lock);
	return err;
}

/* Waits for the thread that loads it. */
static int inode_wait(struct th_inode *inode)
{
	int err = 0;

	if (!inode->loaded) {
		pthread_rwlock_rdlock(&inode->lock);
		pthread_rwlock_unlock(&inode->lock);
	}
	if (inode->loaded == TH_INODE_OUTDATED)
		err = inode_renew(inode);
	return inode->loaded < 0 ? inode->loaded : err;
}

void th_inode_end_former_pages(struct th_fs *fs)
{
	pthread_mutex_lock(&fs->table_lock);
	for (size_t i = 0; i < fs->table->nbuckets; i++) {
		for (struct th_inode *inode = fs->table->buckets[i]; inode; inode = inode->hash_next)
			atomic_store(&inode->has_former_pages, false);
	}
	pthread_mutex_unlock(&fs->table_lock);
}

void th_inode_outdate(struct th_fs *fs)
{
	th_atime_records_forget(fs);
	pthread_mutex_lock(&fs->table_lock);
	for (size_t i = 0; i < fs->table->nbuckets; i++) {
		for (struct th_inode *inode = fs->table->buckets[i]; inode; inode = inode->hash_next) {
			if (inode->snapshot || th_inode_is_snapdir(inode))
				continue;
			inode->loaded = TH_INODE_OUTDATED;
			inode->deleted = false;
			inode->attr_dirty = inode->atime_dirty = false;
			atomic_store(&inode->has_former_pages, true);
		}
	}
	pthread_mutex_unlock(&fs->table_lock);
}

static int inode_get(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t node, struct th_inode **ret)
{
	bool load = false;
	int err;

	pthread_mutex_lock(&fs->table_lock);
	struct th_inode *inode = table_find(fs->table, node);

	if (inode) {
		inode->refs++;
	} else {
		inode = inode_alloc(fs, snapshot, node);
		if (inode) {
			/* No other thread knows it yet: this neither fails nor waits, and so does not violate L4. */
			pthread_rwlock_trywrlock(&inode->lock);
			table_add(fs->table, inode);
			load = true;
		}
	}
	pthread_mutex_unlock(&fs->table_lock);
	if (!inode)
		return -ENOMEM;
	if (load) {
		err = th_inode_is_snapdir(inode) ? snapdir_load(inode) : inode_load(inode);
		inode->loaded = err ? err : TH_INODE_LOADED;
		pthread_rwlock_unlock(&inode->lock);
	} else {
		err = inode_wait(inode);
	}
	if (err) {
		th_inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}

int th_inode_get(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, struct th_inode **ret)
{
	return th_inode_get_entered(fs, snapshot, 0, id, ret);
}

int th_inode_get_entered(struct th_fs *fs, struct th_entered_snapshot *snapshot, unsigned depth, uint64_t id,
			 struct th_inode **ret)
{
	struct th_node_parts parts = { .depth = depth, .id = id };

	if (id > TH_ID_MAX)
		return -EUCLEAN;
	if (snapshot && snapshot != fs->base) {
		parts.snapshot = snapshot->id;
		th_entered_snapshot_note_depth(snapshot, depth);
	}
	return inode_get(fs, snapshot, th_node_id(parts), ret);
}

int th_inode_get_by(const struct th_inode *dir, uint64_t id, bool is_dir, struct th_inode **ret)
{
	return th_inode_get_entered(dir->fs, dir->snapshot, is_dir ? th_node_id_parse(dir->node).depth : 0, id, ret);
}

int th_inode_get_snapdir(struct th_fs *fs, uint64_t id, struct th_inode **ret)
{
	return inode_get(fs, NULL, th_node_id((struct th_node_parts){ TH_SNAPDIR_SNAPSHOT, 0, id }), ret);
}

struct th_inode *th_inode_find(struct th_fs *fs, uint64_t nodeid)
{
	struct th_inode *inode;

	pthread_mutex_lock(&fs->table_lock);
	if (nodeid == TH_ROOT_ID)
		inode = fs->root;
	else
		inode = table_find(fs->table, nodeid);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&fs->table_lock);
	if (inode && inode_wait(inode) < 0) {
		th_inode_put(inode);
		return NULL;
	}
	return inode;
}

uint64_t th_inode_nodeid(const struct th_inode *inode)
{
	return inode == inode->fs->root ? TH_ROOT_ID : inode->node;
}

struct th_inode *th_inode_ref(struct th_inode *inode)
{
	pthread_mutex_lock(&inode->fs->table_lock);
	inode->refs++;
	pthread_mutex_unlock(&inode->fs->table_lock);
	return inode;
}

/* Is the inode deleted with its last reference, since it has no name? */
static bool inode_unnamed(const struct th_inode *inode)
{
	return inode->loaded == TH_INODE_LOADED && !inode->deleted && !inode->attr.nlink && !inode->snapshot &&
	       !th_inode_is_snapdir(inode) && !inode->fs->read_only;
}

static void put_refs(struct th_inode *inode, uint32_t n)
{
	struct th_fs *fs = inode->fs;

	pthread_mutex_lock(&fs->table_lock);
	if (inode->refs == n + inode->on_dirty_list && inode_unnamed(inode)) {
		/* No other thread can find it any more, so it cannot get new references while its keys are deleted.
		 * Its dirty data is discarded. */
		pthread_mutex_unlock(&fs->table_lock);
		if (fs->inode_end->delete_unnamed(inode))
			n++;
		pthread_mutex_lock(&fs->table_lock);
	}
	inode->refs -= n;
	bool last = !inode->refs;

	if (last)
		table_remove(fs->table, inode);
	pthread_mutex_unlock(&fs->table_lock);
	if (last)
		inode_free(inode);
}

void th_inode_put(struct th_inode *inode)
{
	if (inode)
		put_refs(inode, 1);
}

void th_inode_lookup(struct th_inode *inode)
{
	pthread_mutex_lock(&inode->fs->table_lock);
	if (!inode->nlookup++)
		inode->refs++;
	pthread_mutex_unlock(&inode->fs->table_lock);
}

void th_inode_forget(struct th_inode *inode, uint64_t n)
{
	pthread_mutex_lock(&inode->fs->table_lock);
	bool had = inode->nlookup;

	inode->nlookup -= n < inode->nlookup ? n : inode->nlookup;
	bool none = had && !inode->nlookup;

	pthread_mutex_unlock(&inode->fs->table_lock);
	if (none)
		th_inode_put(inode);
}

void th_inode_forget_id(struct th_fs *fs, uint64_t nodeid, uint64_t n)
{
	struct th_inode *inode;

	pthread_mutex_lock(&fs->table_lock);
	inode = nodeid == TH_ROOT_ID ? fs->root : table_find(fs->table, nodeid);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&fs->table_lock);
	if (!inode)
		return;
	th_inode_forget(inode, n);
	th_inode_put(inode);
}

bool th_inode_is_known(struct th_fs *fs, uint64_t id)
{
	pthread_mutex_lock(&fs->table_lock);
	const struct th_inode *inode = table_find(fs->table, th_node_id((struct th_node_parts){ .id = id }));
	bool known = inode && (inode->nlookup || inode == fs->root);

	pthread_mutex_unlock(&fs->table_lock);
	return known;
}

int th_inode_new(struct th_fs *fs, const struct th_attr *attr, struct th_inode **ret)
{
	uint64_t id;
	int err = th_fs_new_id(fs, &id);

	if (err)
		return err;
	struct th_inode *inode = inode_alloc(fs, NULL, th_node_id((struct th_node_parts){ .id = id }));

	if (!inode)
		return -ENOMEM;
	err = attr_set(inode, attr);
	if (err) {
		inode_free(inode);
		return err;
	}
	inode->loaded = TH_INODE_LOADED;
	inode->xattr_state = TH_XATTR_NONE;
	pthread_mutex_lock(&fs->table_lock);
	table_add(fs->table, inode);
	pthread_mutex_unlock(&fs->table_lock);
	*ret = inode;
	return 0;
}

static bool is_of(const struct th_inode *inode, uint64_t snapshot)
{
	return th_node_id_parse(inode->node).snapshot == snapshot;
}

static bool has_no_name(const struct th_inode *inode, uint64_t snapshot)
{
	(void)snapshot;
	return inode_unnamed(inode);
}

/* Lists the inodes of the table for which wanted() is true, each with a reference. */
static int collect(struct th_fs *fs, bool (*wanted)(const struct th_inode *inode, uint64_t snapshot), uint64_t snapshot,
		   struct th_inode ***ret, size_t *ret_count)
{
	struct th_inode **list = NULL;
	size_t count = 0, capacity = 0;
	int err = 0;

	pthread_mutex_lock(&fs->table_lock);
	for (size_t i = 0; i < fs->table->nbuckets && !err; i++) {
		for (struct th_inode *inode = fs->table->buckets[i]; inode; inode = inode->hash_next) {
			if (!wanted(inode, snapshot))
				continue;
			err = th_grow(list, capacity, count + 1);
			if (err)
				break;
			inode->refs++;
			list[count++] = inode;
		}
	}
	pthread_mutex_unlock(&fs->table_lock);
	*ret = list;
	*ret_count = count;
	return err;
}

int th_inode_collect(struct th_fs *fs, uint64_t snapshot, struct th_inode ***ret, size_t *ret_count)
{
	return collect(fs, is_of, snapshot, ret, ret_count);
}

void th_inode_delete_unnamed(struct th_fs *fs)
{
	struct th_inode **list;
	size_t count;

	/* Without memory the list is incomplete: the next mount deletes the rest. */
	collect(fs, has_no_name, 0, &list, &count);
	for (size_t i = 0; i < count; i++) {
		bool was_dirty = fs->inode_end->delete_unnamed(list[i]);

		put_refs(list[i], was_dirty ? 2 : 1);
	}
	free(list);
}

/* --- attributes --- */

int th_inode_store(struct th_txn *txn, const struct th_inode *inode, const struct th_attr *attr)
{
	struct th_fs_key key = th_fs_key_inode(inode->id);
	uint8_t value[TH_INODE_VALUE_MAX];
	struct th_attr stored = *attr;

	if (S_ISREG(attr->mode)) {
		stored.size = inode->stored_size;
		stored.blocks = inode->stored_blocks;
	}
	size_t size = th_inode_encode(&stored, value);

	return th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ value, size });
}

void th_inode_publish(struct th_inode *inode, const struct th_attr *attr)
{
	if (attr->name != inode->attr.name)
		free((char *)inode->attr.name);
	if (attr != &inode->attr)
		inode->attr = *attr;
	inode->parent = attr->parent;
	inode->attr_dirty = false;
	inode->atime_dirty &= inode->atime_recorded;
}

/* Open checks the flags too, but a descriptor may be older than the flag, or may have lost O_APPEND since. */
int th_inode_check_data(const struct th_inode *inode, uint64_t off)
{
	if (inode->attr.flags & FS_IMMUTABLE_FL)
		return -EPERM;
	return (inode->attr.flags & FS_APPEND_FL) && off < inode->attr.size ? -EPERM : 0;
}

bool th_attr_kill_privileges(struct th_attr *attr, bool outsider)
{
	uint32_t mode = attr->mode;

	if (S_ISDIR(mode))
		return false;
	attr->mode &= ~(uint32_t)S_ISUID;
	if ((mode & S_IXGRP) || outsider) /* without S_IXGRP the bit means mandatory locking */
		attr->mode &= ~(uint32_t)S_ISGID;
	return attr->mode != mode;
}

static struct timespec time_spec(struct th_time time)
{
	return (struct timespec){ .tv_sec = time.seconds, .tv_nsec = time.nanoseconds };
}

/* Returns st_blocks, in units of 512 bytes.  Inline data occupies no block, but copying programs take a file without
 * blocks for a hole, so its bytes count. */
static uint64_t stat_blocks(const struct th_attr *attr)
{
	if (S_ISREG(attr->mode) && !attr->blocks && attr->size && attr->size <= TH_FILE_INLINE_MAX)
		return (attr->size + 511) / 512;
	return attr->blocks * 8;
}

uint64_t th_inode_ino(const struct th_inode *inode)
{
	return th_inode_number(th_node_id_parse(inode->node).snapshot, inode->id, inode->fs->options.narrow_numbers);
}

uint64_t th_inode_ino_by(const struct th_inode *dir, uint64_t id)
{
	return th_inode_number(th_node_id_parse(dir->node).snapshot, id, dir->fs->options.narrow_numbers);
}

struct th_time th_inode_birth(const struct th_inode *inode)
{
	bool is_root = inode->fs->base && inode == inode->fs->root;

	return is_root || th_inode_is_entrance(inode) ? th_time_of_ns(inode->snapshot->created_ns) : inode->attr.btime;
}

/* Returns whether opening the device gives a program nothing that it has not already: the terminal of its own, data
 * that any program can make, or no device at all (0:0, a whiteout of overlayfs). */
static bool is_harmless_device(mode_t mode, dev_t device)
{
	static const uint8_t harmless[][2] = {
		{ 0, 0 }, /* none */
		{ 1, 3 }, /* null */
		{ 1, 5 }, /* zero */
		{ 1, 7 }, /* full */
		{ 1, 8 }, /* random */
		{ 1, 9 }, /* urandom */
		{ 5, 0 }, /* tty */
		{ 5, 2 }, /* ptmx */
	};

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]) && S_ISCHR(mode); i++) {
		if (device == makedev(harmless[i][0], harmless[i][1]))
			return true;
	}
	return false;
}

/* Returns the mode.  The kernel opens a device node without asking, so of a disarmed one only the permissions are shown
 * that let no user but root open it.  Those of the usual nodes of a root directory (/dev) are complete, so that a copy
 * of one can be used.  Set-id bits are shown; th_attr_check_open() refuses to execute such a file. */
static mode_t stat_mode(const struct th_inode *inode)
{
	const struct th_attr *attr = &inode->attr;
	mode_t mode = attr->mode;

	if ((!S_ISCHR(mode) && !S_ISBLK(mode)) || !th_inode_is_disarmed(inode) || is_harmless_device(mode, attr->rdev))
		return mode;
	return mode & (attr->uid == 0 ? S_IFMT | S_IRWXU : S_IFMT);
}

void th_inode_stat(const struct th_inode *inode, struct stat *ret)
{
	const struct th_attr *attr = &inode->attr;

	*ret = (struct stat){
		.st_ino = th_inode_ino(inode),
		.st_mode = stat_mode(inode),
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)stat_blocks(attr),
		.st_atim = time_spec(attr->atime),
		.st_mtim = time_spec(attr->mtime),
		.st_ctim = time_spec(attr->ctime),
	};
}
