/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/data/extent.h"
#include "fs/data/file.h"
#include "fs/data/writeback_list.h"
#include "fs/dir/namei.h"
#include "fs/dir/orphan.h"
#include "fs/inode/atime_record.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/entered_snapshot.h"
#include "fs/inode/inode.h"
#include "fs/inode/inode_id.h"
#include "fs/inode/moment.h"
#include "fs/snapshot/unfinished.h"
#include "journal/disk/disk.h"

/* Returns 1 if the key has a value, 0 if not, or -errno. */
static int has_key(struct th_view *view, struct th_fs_key key)
{
	struct th_value value;
	int err = th_get(view, th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? 0 : err;
	th_value_release(&value);
	return 1;
}

int th_fs_present(struct th_view *view)
{
	int present = has_key(view, th_fs_key_next_id());

	return present ? present : has_key(view, th_fs_key_inode(TH_ROOT_ID));
}

/* A reader makes no inodes, so it does without the next id. */
static int load_ids(struct th_fs *fs)
{
	int err = th_fs_next_id(fs->store, &fs->next_id), present;

	if (err == -ENOENT) {
		present = th_fs_present(fs->live);
		err = present < 0 ? present : present ? -EUCLEAN : -ENODATA;
	}
	if (th_fs_lenient(fs, err))
		return 0;
	fs->reserved_id = fs->next_id;
	return err;
}

static int read_name_key(struct th_view *view, struct th_name_key *ret)
{
	struct th_fs_key key = th_fs_key_name_key();
	struct th_value value;
	int err = th_get(view, th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? -EUCLEAN : err;
	if (value.size == sizeof(*ret))
		memcpy(ret, value.data, sizeof(*ret));
	else
		err = -EUCLEAN;
	th_value_release(&value);
	return err;
}

/* Takes the key from a snapshot, all of which have it, the newest first. */
static int name_key_of_snapshots(struct th_fs *fs)
{
	struct th_snapshot *list;
	struct th_view *view;
	size_t count;
	int err = th_snapshot_list(fs->store, &list, &count), found = -EUCLEAN;

	if (err)
		return err;
	while (found && count-- > 0) {
		if (th_view_snapshot(fs->store, list[count].id, &view))
			continue;
		found = read_name_key(view, &fs->name_key);
		th_view_close(view);
	}
	free(list);
	return found;
}

/* Without the key no name is found by its hash.  A reader then looks at all names of a directory. */
static int load_name_key(struct th_fs *fs)
{
	int err = read_name_key(fs->live, &fs->name_key);

	if (th_fs_lenient(fs, err))
		err = name_key_of_snapshots(fs);
	if (!err || err == -ENOMEM)
		return err;
	th_fs_report(fs, "the key of the hash of names is missing or malformed; run 'thunderhead check'");
	fs->name_key_lost = th_fs_lenient(fs, err);
	return fs->name_key_lost ? 0 : err;
}

/* --- mkfs --- */

/* The kernel blocks until it has enough entropy, which is early in its boot. */
static int random_name_key(struct th_name_key *ret)
{
	ssize_t size;

	do {
		size = getrandom(ret, sizeof(*ret), 0);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	return size == sizeof(*ret) ? 0 : -EIO;
}

static int write_root(struct th_store *store, uint32_t uid, uint32_t gid)
{
	struct th_time now = th_time_now();
	struct th_attr attr = { .mode = S_IFDIR | 0755,
				.uid = uid,
				.gid = gid,
				.nlink = 2,
				.atime = now,
				.mtime = now,
				.ctime = now,
				.btime = now };
	struct th_fs_key root_key = th_fs_key_inode(TH_ROOT_ID), id_key = th_fs_key_next_id(),
			 name_key = th_fs_key_name_key();
	struct th_le64 next = th_le64(TH_ROOT_ID + 1);
	uint8_t value[TH_INODE_VALUE_MAX];
	size_t size = th_inode_encode(&attr, value);
	struct th_name_key secret;
	struct th_txn *txn;
	int err = random_name_key(&secret);

	if (!err)
		err = th_txn_begin(store, &txn);

	if (err)
		return err;
	err = th_txn_put(txn, th_fs_key_slice(&root_key), (struct th_slice){ value, size });
	if (!err)
		err = th_txn_put(txn, th_fs_key_slice(&id_key), (struct th_slice){ &next, sizeof(next) });
	if (!err)
		err = th_txn_put(txn, th_fs_key_slice(&name_key), (struct th_slice){ &secret, sizeof(secret) });
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	return th_txn_commit(txn);
}

int th_fs_format(struct th_disk *disk, const struct th_format_options *options, uint32_t uid, uint32_t gid)
{
	struct th_format_options format = options ? *options : (struct th_format_options){ 0 };
	struct th_store_options store_options = { 0 };
	struct th_store *store;
	int err;

	if (!format.metadata_copies)
		format.metadata_copies = TH_FS_METADATA_COPIES;
	err = th_store_format(disk, &format);
	if (err)
		return err;
	struct th_disk *lent = th_disk_lend(disk);

	if (!lent)
		return -ENOMEM;
	err = th_store_open(lent, &store_options, &store);
	if (err) {
		th_disk_close(lent);
		return err;
	}
	err = write_root(store, uid, gid);
	int closed = th_store_close(store);

	return err ? err : closed;
}

/* --- opening and closing --- */

/* Dirty pages (256 KiB) above which quiesce writes back once before it holds back writers, so that they wait for
 * little.  With fewer, a second pass costs more than it saves; with more, writers wait longer. */
#define QUIESCE_PAGES 64

static int quiesce(void *arg)
{
	struct th_fs *fs = arg;

	pthread_mutex_lock(&fs->quiesce_lock);
	if (!fs->quiet && th_dirty_pages(fs) > QUIESCE_PAGES)
		(void)th_writeback_all(fs);
	th_moment_begin(fs);
	int err = fs->quiet ? 0 : th_writeback_all(fs);

	pthread_mutex_unlock(&fs->quiesce_lock);
	return err;
}

static void resume(void *arg)
{
	th_moment_end(arg);
}

static void store_report(void *arg, const char *line)
{
	th_fs_report(arg, "%s", line);
}

static int copy_string(const char **string)
{
	if (!*string)
		return 0;
	*string = strdup(*string);
	return *string ? 0 : -ENOMEM;
}

static void fs_free(struct th_fs *fs)
{
	th_inode_table_free(fs);
	th_dirty_release(fs);
	th_atime_records_release(fs);
	pthread_mutex_destroy(&fs->rename_lock);
	pthread_mutex_destroy(&fs->table_lock);
	pthread_mutex_destroy(&fs->id_lock);
	pthread_mutex_destroy(&fs->entrance_lock);
	th_moment_release(fs);
	free((char *)fs->options.snapdir_name);
	free((char *)fs->options.snapshot);
	free((char *)fs->options.subdir);
	free(fs);
}

static const struct th_inode_end inode_end = {
	.delete_unnamed = th_orphan_delete,
	.release_file = th_file_release,
};

static int fs_new(const struct th_fs_options *options, struct th_fs **ret)
{
	struct th_fs *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return -ENOMEM;
	fs->options = *options;
	fs->read_only = options->read_only || options->snapshot || options->rescue;
	fs->inode_end = &inode_end;
	pthread_mutex_init(&fs->rename_lock, NULL);
	pthread_mutex_init(&fs->table_lock, NULL);
	pthread_mutex_init(&fs->id_lock, NULL);
	pthread_mutex_init(&fs->entrance_lock, NULL);
	th_moment_init(fs);
	if (!options->snapdir_name)
		fs->options.snapdir_name = TH_SNAPDIR_NAME;
	/* All are copied, also after a failure: fs_free frees what they point to. */
	int copied = copy_string(&fs->options.snapdir_name);
	int copied_snapshot = copy_string(&fs->options.snapshot);
	int copied_subdir = copy_string(&fs->options.subdir);
	int err = copied ? copied : copied_snapshot ? copied_snapshot : copied_subdir;

	if (!err)
		err = th_inode_table_new(&fs->table);
	if (!err)
		err = th_dirty_init(fs);
	if (!err)
		err = th_atime_records_init(fs);
	if (err) {
		fs_free(fs);
		return err;
	}
	*ret = fs;
	return 0;
}

/* Finds the directory that the mount shows as its root. */
static int find_root(struct th_fs *fs)
{
	struct th_snapshot snapshot;
	struct th_inode *root;
	int err;

	if (fs->options.snapshot) {
		err = th_snapshot_find(fs->store, fs->options.snapshot, &snapshot);
		if (!err)
			err = th_entered_snapshot_open_base(fs, snapshot.id);
		if (err)
			return err;
	}
	err = th_path_lookup(fs, fs->base, fs->options.subdir ? fs->options.subdir : "", &root);
	if (err)
		return err;
	if (!th_inode_is_dir(root)) {
		th_inode_put(root);
		return -ENOTDIR;
	}
	fs->root = root;
	if (fs->options.snapshots == TH_SNAPSHOTS_DEFAULT)
		fs->options.snapshots = root->id == TH_ROOT_ID ? TH_SNAPSHOTS_ADMIN : TH_SNAPSHOTS_NONE;
	return 0;
}

static int fs_start(struct th_fs *fs)
{
	int err = load_ids(fs);

	if (!err)
		err = load_name_key(fs);
	if (!err && !fs->read_only)
		err = th_orphan_recover(fs);
	if (!err)
		err = find_root(fs);
	return err;
}

/* Random bits, which are the same after each mount. */
static void set_generation(struct th_fs *fs)
{
	struct th_store_info info;
	struct th_le32 bits;

	th_store_info(fs->store, &info);
	memcpy(&bits, info.uuid, sizeof(bits));
	fs->generation = th_get_le32(bits);
}

/* Writes everything back and closes the store.  The disk stays open. */
static int fs_end(struct th_fs *fs)
{
	int err = 0;

	if (!fs->read_only) {
		th_inode_delete_unnamed(fs);
		err = th_writeback_all(fs);
	}
	th_moment_set_quiet(fs, true); /* background checkpoints go on until the store is closed */
	/* Inodes refer to views, which must be closed before the store. */
	th_inode_table_free(fs);
	if (fs->base)
		th_entered_snapshot_put(fs, fs->base);
	int closed = th_store_close(fs->store);

	fs_free(fs);
	return err ? err : closed;
}

/* Leaves a branch that is being received for the one that was the current one before.  Returns 0, or -ECANCELED if
 * there is none. */
static int leave_unfinished(struct th_fs *fs, struct th_store_options *options)
{
	struct th_unfinished unfinished;
	int err = th_unfinished_read(fs->live, &unfinished), closed;

	/* Where the record cannot be read, a reader gets the tree as it is. */
	if (err)
		return err == -ENOENT || th_fs_lenient(fs, err) ? 0 : err;
	if (options->branch || !*unfinished.current)
		return -ECANCELED;
	closed = th_store_close(fs->store);
	fs->store = NULL;
	if (closed)
		return closed;
	options->branch = unfinished.current;
	err = th_store_open(fs->disk, options, &fs->store);
	if (!err)
		fs->live = th_view_live(fs->store);
	return err;
}

/* Opens the store, and the branch that is to be shown. */
static int open_store(struct th_fs *fs, struct th_store_options *options)
{
	int err = th_store_open(fs->disk, options, &fs->store);

	if (err)
		return err;
	fs->live = th_view_live(fs->store);
	if (!fs->options.unfinished && !fs->options.snapshot && !fs->options.rescue)
		err = leave_unfinished(fs, options);
	if (err && fs->store)
		th_store_close(fs->store);
	return err;
}

int th_fs_open(struct th_disk *disk, const struct th_fs_options *options, struct th_fs **ret)
{
	struct th_fs *fs;
	int err = fs_new(options, &fs);

	if (err)
		return err;
	struct th_store_options store_options = {
		.read_only = fs->read_only,
		.keep_disk = true,
		.cache_bytes = options->cache_bytes,
		.checkpoint_interval_ms = options->checkpoint_interval_ms,
		.heartbeat_ms = options->heartbeat_ms,
		.discard = options->discard,
		.truncate_log = options->truncate_log,
		.rescue = options->rescue,
		.generation = options->generation,
		.branch = options->branch,
		.runs = th_extent_runs,
		.quiesce = quiesce,
		.resume = resume,
		.arg = fs,
		.report = store_report,
	};

	fs->disk = disk;
	err = open_store(fs, &store_options);
	fs->options.branch = NULL; /* the caller's */
	if (err) {
		fs_free(fs);
		return err;
	}
	set_generation(fs);
	err = fs_start(fs);
	if (err) {
		fs_end(fs);
		return err;
	}
	*ret = fs;
	return 0;
}

int th_fs_close(struct th_fs *fs)
{
	struct th_disk *disk = fs->disk;
	int err = fs_end(fs);

	th_disk_close(disk);
	return err;
}

int th_fs_sync(struct th_fs *fs)
{
	int err = fs->read_only ? 0 : th_writeback_all(fs);

	return err || fs->read_only ? err : th_store_sync(fs->store);
}

/* The deletion of a file's extents is one message in the tree.  The store counts their blocks as free when the message
 * has reached the leaves, with the next checkpoint at the latest.  A user who deletes files and then looks at the free
 * space must see the effect.  So if more than 1/256 of all blocks is uncounted, statfs runs a checkpoint.  A larger
 * share makes df less exact; a smaller one makes statfs slower. */
#define UNCOUNTED_SHARE 256

static void count_freed_blocks(struct th_fs *fs, const struct th_store_info *info)
{
	if (atomic_load(&fs->uncounted_blocks) <= info->blocks / UNCOUNTED_SHARE)
		return;
	atomic_store(&fs->uncounted_blocks, 0);
	th_store_checkpoint(fs->store); /* the store reports a failure, and becomes read-only */
}

void th_fs_info(struct th_fs *fs, struct th_store_info *ret)
{
	th_store_info(fs->store, ret);
	count_freed_blocks(fs, ret);
	th_store_info(fs->store, ret);
}

int th_fs_statfs(struct th_fs *fs, struct statvfs *ret)
{
	struct th_store_info info;

	th_fs_info(fs, &info);
	uint64_t free = info.blocks_available;

	*ret = (struct statvfs){
		.f_bsize = TH_BLOCK_SIZE,
		.f_frsize = TH_BLOCK_SIZE,
		.f_blocks = info.blocks,
		.f_bfree = free,
		.f_bavail = free,
		/* Inodes use the same space.  One for each block is certainly possible. */
		.f_files = info.blocks,
		.f_ffree = free,
		.f_favail = free,
		.f_namemax = TH_NAME_MAX,
	};
	return 0;
}
