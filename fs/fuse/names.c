/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "fs/attr/atime.h"
#include "fs/dir/handle.h"
#include "fs/dir/namei.h"
#include "fs/dir/snapdir.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/request.h"
#include "fs/inode/inode.h"

static struct th_slice name_slice(const char *name)
{
	return (struct th_slice){ name, strlen(name) };
}

/* --- lookup and forget --- */

/* Replies that the name does not exist.  The kernel caches that, except for virtual directories: there names also come
 * without a request. */
static void reply_absent(fuse_req_t req, const struct th_inode *dir)
{
	struct fuse_entry_param entry = { .entry_timeout = TH_FUSE_VALID_SECONDS };

	if (th_inode_is_snapdir(dir))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

/* Replies with an inode, and ends the reference to it. */
static void reply_entry(fuse_req_t req, struct th_inode *inode)
{
	struct fuse_entry_param entry;

	th_fuse_entry(inode, &entry);
	if (fuse_reply_entry(req, &entry) < 0)
		th_inode_forget(inode, 1);
	th_inode_put(inode);
}

/* The kernel looks up "." and ".." in order to resolve a file handle.  It may have forgotten the inode. */
static void lookup_dots(fuse_req_t req, fuse_ino_t ino, bool up)
{
	struct th_inode *inode, *parent;
	int err = th_handle_find(th_fuse_of(req)->fs, ino, &inode);

	if (!err && up) {
		err = th_namei_parent(inode, &parent);
		th_inode_put(inode);
		inode = parent;
	}
	if (err)
		th_fuse_error(req, err);
	else
		reply_entry(req, inode);
}

void th_fuse_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct th_inode *dir, *inode;

	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		lookup_dots(req, parent, name[1]);
		return;
	}
	dir = th_fuse_inode(req, parent);
	if (!dir)
		return;
	int err = th_namei_lookup(dir, name_slice(name), &inode);

	if (!err)
		reply_entry(req, inode);
	else if (err == -ENOENT)
		reply_absent(req, dir);
	else
		th_fuse_error(req, err);
	th_inode_put(dir);
}

void th_fuse_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	th_inode_forget_id(th_fuse_of(req)->fs, ino, nlookup);
	fuse_reply_none(req);
}

void th_fuse_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		th_inode_forget_id(th_fuse_of(req)->fs, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void th_fuse_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[TH_SYMLINK_MAX + 1];
	struct th_inode *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	int err = th_symlink_read(inode, target);

	if (!err)
		th_atime_touch(inode);
	th_inode_put(inode);
	if (err)
		th_fuse_error(req, err);
	else
		fuse_reply_readlink(req, target);
}

/* --- create --- */

static void set_owner(struct th_namei_new *what, fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	what->uid = ctx->uid;
	what->gid = ctx->gid;
	what->umask = ctx->umask;
}

/* Returns whether the caller may change snapshots in .snapshots: 0 or -EPERM. */
static int check_change_of_snapshots(fuse_req_t req)
{
	struct th_caller caller = th_fuse_caller(req);

	return th_may_change_snapshots(th_fuse_of(req)->fs, &caller) ? 0 : -EPERM;
}

static int take_snapshot(fuse_req_t req, struct th_inode *snapdir, const char *name, struct th_inode **ret)
{
	int err = check_change_of_snapshots(req);

	return err ? err : th_snapdir_mkdir(snapdir, name_slice(name), ret);
}

static int create(fuse_req_t req, fuse_ino_t parent, const char *name, struct th_namei_new *what, struct th_inode **ret)
{
	struct th_inode *dir = th_inode_find(th_fuse_of(req)->fs, parent);

	if (!dir)
		return -ESTALE;
	set_owner(what, req);
	int err = th_inode_is_snapdir(dir) && S_ISDIR(what->mode) ? take_snapshot(req, dir, name, ret)
								  : th_namei_create(dir, name_slice(name), what, ret);

	th_inode_put(dir);
	return err;
}

static void create_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name, struct th_namei_new what)
{
	struct th_inode *inode;
	int err = create(req, parent, name, &what, &inode);

	if (err)
		th_fuse_error(req, err);
	else
		reply_entry(req, inode);
}

void th_fuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	create_and_reply(req, parent, name, (struct th_namei_new){ .mode = mode, .rdev = rdev });
}

void th_fuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	create_and_reply(req, parent, name, (struct th_namei_new){ .mode = S_IFDIR | (mode & 07777) });
}

void th_fuse_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	create_and_reply(req, parent, name,
			 (struct th_namei_new){ .mode = S_IFLNK | 0777, .target = name_slice(target) });
}

/* O_TMPFILE: creates a file without a name, with the attributes that it would have in the directory. */
static int create_unnamed(fuse_req_t req, fuse_ino_t parent, struct th_namei_new *what, struct th_inode **ret)
{
	struct th_inode *dir = th_inode_find(th_fuse_of(req)->fs, parent);

	if (!dir)
		return -ESTALE;
	set_owner(what, req);
	int err = th_namei_create_unnamed(dir, what, ret);

	th_inode_put(dir);
	return err;
}

void th_fuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct th_namei_new what = { .mode = S_IFREG | (mode & 07777) };
	struct fuse_entry_param entry;
	struct th_inode *inode;
	int err = th_fuse_request_is_tmpfile() ? create_unnamed(req, parent, &what, &inode)
					       : create(req, parent, name, &what, &inode);

	if (err) {
		th_fuse_error(req, err);
		return;
	}
	th_fuse_entry(inode, &entry);
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &entry, fi) < 0)
		th_inode_forget(inode, 1);
	th_inode_put(inode);
}

void th_fuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct th_inode *dir, *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	dir = th_fuse_inode(req, parent);
	if (!dir) {
		th_inode_put(inode);
		return;
	}
	int err = th_namei_link(inode, dir, name_slice(name));

	th_inode_put(dir);
	if (!err) {
		reply_entry(req, inode);
		return;
	}
	th_inode_put(inode);
	th_fuse_error(req, err);
}

/* --- unlink and rename --- */

void th_fuse_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct th_inode *dir = th_fuse_inode(req, parent);

	if (!dir)
		return;
	int err = th_namei_unlink(dir, name_slice(name));

	th_inode_put(dir);
	th_fuse_error(req, err);
}

void th_fuse_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct th_inode *dir = th_fuse_inode(req, parent);

	if (!dir)
		return;
	int err = th_inode_is_snapdir(dir) ? check_change_of_snapshots(req) : 0;

	if (!err)
		err = th_inode_is_snapdir(dir) ? th_snapdir_rmdir(dir, name_slice(name))
					       : th_namei_rmdir(dir, name_slice(name));
	th_inode_put(dir);
	th_fuse_error(req, err);
}

void th_fuse_rename(fuse_req_t req, fuse_ino_t from_parent, const char *from, fuse_ino_t to_parent, const char *to,
		    unsigned flags)
{
	struct th_inode *to_dir, *from_dir = th_fuse_inode(req, from_parent);

	if (!from_dir)
		return;
	to_dir = th_fuse_inode(req, to_parent);
	if (!to_dir) {
		th_inode_put(from_dir);
		return;
	}
	bool of_snapshot = from_dir == to_dir && th_inode_is_snapdir(from_dir);
	int err = of_snapshot ? check_change_of_snapshots(req) : 0;

	if (!err)
		err = of_snapshot ? th_snapdir_rename(from_dir, name_slice(from), name_slice(to), flags)
				  : th_namei_rename(from_dir, name_slice(from), to_dir, name_slice(to), flags);
	th_inode_put(to_dir);
	th_inode_put(from_dir);
	th_fuse_error(req, err);
}
