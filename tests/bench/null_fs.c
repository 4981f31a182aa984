/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem that keeps names and attributes in memory and throws data away: the time that a phase takes on it is
 * what FUSE costs, and no filesystem of ours can be faster.  It asks of the kernel what Thunderhead asks, answers the
 * same requests (for extended attributes too, though there are none), and lets the kernel keep everything as long.
 *
 *   null_fs [-l] DIRECTORY      returns when it is mounted; the daemon ends when it is unmounted
 *
 * Served by the daemon's own threads (fs/fuse_workers.h), or, with -l, by libfuse's, with a descriptor each.
 *
 * Files read as zeros.  There are no renames, hard links, devices and nameless files, and writing leaves set-id bits.
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

/* The kernel calls a node by its address. */
static struct null_node *node_of(struct null_fs *fs, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs->tree.root : (struct null_node *)(uintptr_t)ino;
}

/* --- names --- */

/* What a reply tells of a node, which it counts. */
static struct fuse_entry_param told(struct null_node *node)
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
		entry = told(node);
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
	struct fuse_entry_param entry = told(node);

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
	int r = null_tree_remove(&fs->tree, node_of(fs, parent), name);

	unlock(fs);
	fuse_reply_err(req, -r);
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
		fuse_reply_err(req, ENOSYS); /* then the kernel asks without the time of birth */
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

/* The kernel asks no more. */
static void null_unasked(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

/* How much of this there is. */
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

/* At the end of the file nothing is copied, which leaves the other's size as it is. */
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

/* False if there was no room for it.  With attributes the kernel counts the node, but not for "." and "..". */
static bool list(struct listing *listing, const char *name, struct null_node *node, uint64_t cookie)
{
	struct fuse_entry_param entry = { .attr = node->attr };
	char *at = listing->buf + listing->size;
	size_t room = listing->room - listing->size, size;

	if (listing->plus && cookie > NULL_COOKIE_DOTDOT)
		entry = told(node);
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

/* The place is looked for from the first name: good enough for directories that are listed in a few requests. */
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
	.flush = null_unasked,
	.read = null_read,
	.write = null_write,
	.fsync = null_fsync,
	.copy_file_range = null_copy_file_range,
	.opendir = null_unasked,
	.readdir = null_readdir,
	.readdirplus = null_readdirplus,
	.releasedir = null_release,
	.fsyncdir = null_fsync,
};

static int serve_by_libfuse(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	fuse_loop_cfg_set_clone_fd(config, 1);
	r = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return r;
}

static struct fuse_session *session_new(struct null_fs *fs)
{
	char name[] = "null_fs", flag[] = "-o", options[] = "default_permissions,allow_other,suid,dev,subtype=null";
	char *argv[] = { name, flag, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *session = fuse_session_new(&args, &null_ops, sizeof(null_ops), fs);

	fuse_opt_free_args(&args); /* libfuse has made a copy of them */
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
	fs->directory = realpath(argv[argc - 1], NULL); /* the daemon leaves its working directory */
	if (!fs->directory) {
		perror(argv[argc - 1]);
		return 1;
	}
	struct fuse_session *session = session_new(fs);

	if (!session || fuse_session_mount(session, fs->directory) < 0 || fuse_daemonize(0) < 0)
		return 1;
	int r = by_libfuse ? serve_by_libfuse(session) : th_fuse_serve(session);

	fuse_session_unmount(session);
	fuse_session_destroy(session);
	_exit(r ? 1 : 0); /* the tree goes with the process: nobody shall look for what was not freed */
}
