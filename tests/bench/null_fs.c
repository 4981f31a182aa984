/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem that keeps names and attributes in memory and discards data.  The time of a phase on it is the cost of
 * FUSE itself, which no FUSE filesystem can undercut.  It negotiates the same options with the kernel as Thunderhead,
 * serves the same requests (those for extended attributes too, though it has none), and allows the same caching.
 *
 *   null_fs [-l] DIRECTORY      returns when it is mounted; the daemon ends when it is unmounted
 *
 * Its threads are those of Thunderhead's daemon (fs/fuse/workers.h), or, with -l, libfuse's with a descriptor each.
 *
 * Files read as zeros.  Renames, hard links, devices and O_TMPFILE are missing, and writing keeps set-id bits.
 */
#include <errno.h>
#include <linux/xattr.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fuse/request.h"
#include "fs/fuse/session.h"
#include "fs/fuse/workers.h"
#include "tests/bench/null_tree.h"

#define READ_MAX (1u << 20)
#define COPY_MAX ((size_t)1 << 31)

struct null_fs {
	const char *directory; /* where it is mounted */
	pthread_mutex_t lock; /* of the tree */
	struct null_tree tree;
	char zeros[READ_MAX];
};

static struct null_fs *lock(fuse_req_t req)
{
	struct null_fs *fs = fuse_req_userdata(req);

	pthread_mutex_lock(&fs->lock);
	return fs;
}

static void unlock(struct null_fs *fs)
{
	pthread_mutex_unlock(&fs->lock);
}

/* The node number of the kernel is the address of the node. */
static struct null_node *node_of(struct null_fs *fs, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs->tree.root : (struct null_node *)(uintptr_t)ino;
}

/* --- names --- */

/* Fills the part of a reply that describes a node, and counts the lookup. */
static struct fuse_entry_param entry_of(struct null_node *node)
{
	node->lookups++;
	return (struct fuse_entry_param){
		.ino = (uintptr_t)node,
		.attr = node->attr,
		.attr_timeout = TH_FUSE_VALID_SECONDS,
		.entry_timeout = TH_FUSE_VALID_SECONDS,
	};
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	struct null_fs *fs = lock(req);

	null_node_forget(node_of(fs, ino), lookups);
	unlock(fs);
}

static void null_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	forget(req, ino, lookups);
	fuse_reply_none(req);
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .entry_timeout = TH_FUSE_VALID_SECONDS }; /* there is none */
	struct null_fs *fs = lock(req);
	struct null_node *node = null_tree_find(&fs->tree, node_of(fs, parent), name);

	if (node)
		entry = entry_of(node);
	unlock(fs);
	fuse_reply_entry(req, &entry);
}

static struct fuse_entry_param make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
				    const char *target)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct null_node *node = null_node_new(mode & ~ctx->umask, ctx->uid, ctx->gid, target);
	struct null_fs *fs = lock(req);

	null_tree_add(&fs->tree, node_of(fs, parent), name, node);
	struct fuse_entry_param entry = entry_of(node);

	unlock(fs);
	return entry;
}

static void null_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_entry_param entry = make(req, parent, name, mode | S_IFDIR, NULL);

	fuse_reply_entry(req, &entry);
}

static void null_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = make(req, parent, name, S_IFLNK | 0777, target);

	fuse_reply_entry(req, &entry);
}

static void null_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	if (th_fuse_request_is_tmpfile()) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	struct fuse_entry_param entry = make(req, parent, name, mode | S_IFREG, NULL);

	fi->keep_cache = 1;
	fuse_reply_create(req, &entry, fi);
}

static void null_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct null_fs *fs = lock(req);
	int err = null_tree_remove(&fs->tree, node_of(fs, parent), name);

	unlock(fs);
	fuse_reply_err(req, -err);
}

static void null_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const char *target = node_of(fuse_req_userdata(req), ino)->target; /* never changes */

	fuse_reply_readlink(req, target ? target : "");
}

/* --- attributes --- */

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	if (th_fuse_request_is_statx()) {
		fuse_reply_err(req, ENOSYS); /* the kernel then asks with GETATTR, without the time of birth */
		return;
	}
	struct null_fs *fs = lock(req);
	struct stat attr = node_of(fs, ino)->attr;

	unlock(fs);
	fuse_reply_attr(req, &attr, TH_FUSE_VALID_SECONDS);
}

static void null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to, int set, struct fuse_file_info *fi)
{
	struct null_fs *fs = lock(req);
	struct null_node *node = node_of(fs, ino);

	(void)fi;
	null_node_change(node, to, set);
	struct stat attr = node->attr;

	unlock(fs);
	fuse_reply_attr(req, &attr, TH_FUSE_VALID_SECONDS);
}

static void null_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)size;
	fuse_reply_err(req, strcmp(name, XATTR_NAME_SELINUX) == 0 ? EOPNOTSUPP : ENODATA);
}

static void null_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

/* --- files --- */

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fi->flags & O_TRUNC) {
		struct null_fs *fs = lock(req);

		null_node_resize(node_of(fs, ino), 0);
		unlock(fs);
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void null_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void null_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	null_release(req, ino, fi);
}

/* ENOSYS: the kernel does not send this request again. */
static void null_nosys(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

/* Returns the number of bytes of this range before the end of the file. */
static size_t readable(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct null_fs *fs = lock(req);
	off_t left = node_of(fs, ino)->attr.st_size - off;

	unlock(fs);
	if (left <= 0)
		return 0;
	return size < (size_t)left ? size : (size_t)left;
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct null_fs *fs = fuse_req_userdata(req);

	(void)fi;
	fuse_reply_buf(req, fs->zeros, readable(req, ino, size < READ_MAX ? size : READ_MAX, off));
}

static void reply_written(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct null_fs *fs = lock(req);
	struct null_node *node = node_of(fs, ino);
	off_t end = off + (off_t)size;

	null_node_resize(node, end > node->attr.st_size ? end : node->attr.st_size);
	unlock(fs);
	fuse_reply_write(req, size);
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)buf;
	(void)fi;
	reply_written(req, ino, size, off);
}

/* Nothing is copied at the end of the file, so that the target keeps its size. */
static void null_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi, fuse_ino_t to,
				 off_t to_off, struct fuse_file_info *to_fi, size_t size, int flags)
{
	size_t copied = readable(req, ino, size < COPY_MAX ? size : COPY_MAX, off);

	(void)fi;
	(void)to_fi;
	(void)flags;
	reply_written(req, to, copied, copied ? to_off : 0);
}

/* --- listings --- */

struct listing {
	fuse_req_t req;
	char *buf;
	size_t room, size;
	bool plus; /* with attributes */
};

/* Returns false if there is no room.  In a listing with attributes the kernel counts a lookup of each node but "."
 * and "..". */
static bool list(struct listing *listing, const char *name, struct null_node *node, uint64_t cookie)
{
	struct fuse_entry_param entry = { .attr = node->attr };
	char *at = listing->buf + listing->size;
	size_t room = listing->room - listing->size, size;

	if (listing->plus && cookie > NULL_COOKIE_DOTDOT)
		entry = entry_of(node);
	if (listing->plus)
		size = fuse_add_direntry_plus(listing->req, at, room, name, &entry, (off_t)cookie);
	else
		size = fuse_add_direntry(listing->req, at, room, name, &entry.attr, (off_t)cookie);
	if (size <= room)
		listing->size += size;
	else if (entry.ino)
		null_node_forget(node, 1);
	return size <= room;
}

/* Searches the position from the first name: fast enough for directories that are listed in a few requests. */
static void list_from(struct listing *listing, struct null_node *dir, uint64_t cookie)
{
	const struct null_entry *entry = dir->first;

	if (cookie < NULL_COOKIE_DOT && !list(listing, ".", dir, NULL_COOKIE_DOT))
		return;
	if (cookie < NULL_COOKIE_DOTDOT && !list(listing, "..", dir->parent, NULL_COOKIE_DOTDOT))
		return;
	while (entry && entry->cookie <= cookie)
		entry = entry->after;
	while (entry && list(listing, entry->name, entry->node, entry->cookie))
		entry = entry->after;
}

static void reply_listing(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct listing listing = { .req = req, .buf = null_alloc(size), .room = size, .plus = plus };
	struct null_fs *fs = lock(req);

	list_from(&listing, node_of(fs, ino), (uint64_t)off);
	unlock(fs);
	fuse_reply_buf(req, listing.buf, listing.size);
	free(listing.buf);
}

static void null_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	reply_listing(req, ino, size, off, false);
}

static void null_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	reply_listing(req, ino, size, off, true);
}

/* --- serving --- */

static void null_init(void *arg, struct fuse_conn_info *conn)
{
	const struct null_fs *fs = arg;

	th_fuse_negotiate(conn, fs->directory, 0);
}

static const struct fuse_lowlevel_ops null_ops = {
	.init = null_init,
	.lookup = null_lookup,
	.forget = null_forget,
	.readlink = null_readlink,
	.mkdir = null_mkdir,
	.symlink = null_symlink,
	.create = null_create,
	.unlink = null_remove,
	.rmdir = null_remove,
	.getattr = null_getattr,
	.setattr = null_setattr,
	.getxattr = null_getxattr,
	.listxattr = null_listxattr,
	.open = null_open,
	.release = null_release,
	.flush = null_nosys,
	.read = null_read,
	.write = null_write,
	.fsync = null_fsync,
	.copy_file_range = null_copy_file_range,
	.opendir = null_nosys,
	.readdir = null_readdir,
	.readdirplus = null_readdirplus,
	.releasedir = null_release,
	.fsyncdir = null_fsync,
};

static int serve(struct fuse_session *session)
{
	struct th_fuse_end end = { 0 };
	struct th_barrier barrier;
	int err;

	th_barrier_init(&barrier);
	err = th_fuse_serve(session, &barrier, &end);
	th_barrier_release(&barrier);
	return err;
}

static int serve_by_libfuse(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	fuse_loop_cfg_set_clone_fd(config, 1);
	err = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return err;
}

static struct fuse_session *session_new(struct null_fs *fs)
{
	char name[] = "null_fs", flag[] = "-o", options[] = "default_permissions,allow_other,suid,dev,subtype=null";
	char *argv[] = { name, flag, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *session = fuse_session_new(&args, &null_ops, sizeof(null_ops), fs);

	fuse_opt_free_args(&args); /* libfuse has a copy of them */
	return session;
}

int main(int argc, char **argv)
{
	bool by_libfuse = argc == 3 && strcmp(argv[1], "-l") == 0;

	if (argc != (by_libfuse ? 3 : 2)) {
		fputs("usage: null_fs [-l] DIRECTORY\n", stderr);
		return 2;
	}
	struct null_fs *fs = null_alloc(sizeof(*fs));

	pthread_mutex_init(&fs->lock, NULL);
	null_tree_init(&fs->tree);
	fs->directory = realpath(argv[argc - 1], NULL); /* the daemon changes its working directory */
	if (!fs->directory) {
		perror(argv[argc - 1]);
		return 1;
	}
	struct fuse_session *session = session_new(fs);

	if (!session || fuse_session_mount(session, fs->directory) < 0 || fuse_daemonize(0) < 0)
		return 1;
	int err = by_libfuse ? serve_by_libfuse(session) : serve(session);

	fuse_session_unmount(session);
	fuse_session_destroy(session);
	_exit(err ? 1 : 0); /* without an orderly exit, in which a leak checker would report the tree */
}
