/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/atime.h"
#include "fs/dir/dir.h"
#include "fs/dir/namei.h"
#include "fs/dir/snapdir.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/reply.h"
#include "fs/inode/inode.h"

/* The reply to READDIR or READDIRPLUS. */
struct listing {
	fuse_req_t req;
	struct th_inode *dir;
	bool plus; /* READDIRPLUS: has attributes, and counts each inode that it names */
	bool hidden; /* lists .snapshots even where that is hidden */
	char *buf;
	size_t room, size; /* bytes: of buf, and used */
	uint64_t *counted; /* nodeids of these inodes */
	size_t ncounted;
};

/* Bytes that a name takes at least in a reply to READDIRPLUS. */
#define PLUS_ENTRY_MIN 128

#define LISTING_FULL 1

/* O_LARGEFILE as the kernel has it; <fcntl.h> defines it as 0 on 64-bit systems. */
#define O_LARGEFILE_KERNEL 0100000

/* The handle of an open directory that lists .snapshots even where that is hidden. */
#define LIST_HIDDEN 1

/* Returns whether the kernel opens the directory in order to find the name of a subdirectory by its inode number: so it
 * connects a file handle to the root.  open(2) sets O_LARGEFILE on 64-bit systems, and opendir(3) sets O_DIRECTORY. */
static bool opens_for_handle(fuse_req_t req, const struct fuse_file_info *fi)
{
	return th_fuse_of(req)->exports && !(fi->flags & (O_LARGEFILE_KERNEL | O_DIRECTORY));
}

/* Opening a directory needs no action here, unless file handles are exported; after ENOSYS the kernel sends no more
 * OPENDIR.  It caches listings either way, until it changes the directory itself or sees another mtime.  It asks for
 * the mtime of a virtual directory when that is opened after th_fuse_snapdirs_changed. */
void th_fuse_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (!th_fuse_of(req)->opens_directories) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	bool hidden = opens_for_handle(req, fi);

	fi->fh = hidden ? LIST_HIDDEN : 0;
	fi->cache_readdir = !hidden; /* other programs must not see this listing */
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* Adds a name without attributes; for READDIRPLUS a node id of 0 means that there are none.  Returns 0 or
 * LISTING_FULL. */
static int add_plain(struct listing *listing, const char *name, uint64_t ino, uint8_t type, uint64_t next)
{
	struct fuse_entry_param entry = { .attr = { .st_ino = ino, .st_mode = DTTOIF(type) } };
	char *at = listing->buf + listing->size;
	size_t room = listing->room - listing->size;
	size_t size = listing->plus ? fuse_add_direntry_plus(listing->req, at, room, name, &entry, (off_t)next)
				    : fuse_add_direntry(listing->req, at, room, name, &entry.attr, (off_t)next);

	if (size > room)
		return LISTING_FULL;
	listing->size += size;
	return 0;
}

/* Adds a name with attributes.  Returns 0 or LISTING_FULL. */
static int add_inode(struct listing *listing, const char *name, struct th_inode *inode, uint64_t next)
{
	struct fuse_entry_param entry;
	size_t room = listing->room - listing->size;

	th_fuse_entry(inode, &entry);
	size_t size =
		fuse_add_direntry_plus(listing->req, listing->buf + listing->size, room, name, &entry, (off_t)next);
	if (size > room) {
		th_inode_forget(inode, 1);
		return LISTING_FULL;
	}
	listing->size += size;
	listing->counted[listing->ncounted++] = entry.ino;
	return 0;
}

/* Takes back the counts of a reply that could not be delivered. */
static void uncount(struct listing *listing)
{
	for (size_t i = 0; i < listing->ncounted; i++) {
		struct th_inode *inode = th_inode_find(listing->dir->fs, listing->counted[i]);

		if (inode) {
			th_inode_forget(inode, 1);
			th_inode_put(inode);
		}
	}
}

/* Adds a name that the walk of the directory has found.  Returns 0 or LISTING_FULL. */
static int add_entry(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct listing *listing = arg;
	struct th_inode *dir = listing->dir, *inode;
	char string[TH_NAME_MAX + 1];

	memcpy(string, name.data, name.size);
	string[name.size] = 0;
	if (th_inode_is_snapdir(dir)) {
		uint64_t ino = th_inode_number(entry->id, dir->id, dir->fs->options.narrow_numbers);

		return add_plain(listing, string, ino, entry->type, next);
	}
	if (!listing->plus)
		return add_plain(listing, string, th_inode_ino_by(dir, entry->id), entry->type, next);
	int err = th_inode_get_by(dir, entry->id, entry->type == DT_DIR, &inode);

	if (err == -ENOENT)
		return 0;
	if (err) /* a damaged inode must not hide the other names */
		return add_plain(listing, string, th_inode_ino_by(dir, entry->id), entry->type, next);
	int full = add_inode(listing, string, inode, next);

	th_inode_put(inode);
	return full;
}

static uint64_t parent_ino(struct th_inode *dir)
{
	struct th_inode *parent;

	if (th_namei_parent(dir, &parent) < 0)
		return th_inode_ino(dir);
	uint64_t ino = th_inode_ino(parent);

	th_inode_put(parent);
	return ino;
}

/* Adds ".", ".." and .snapshots, if the directory lists it. */
static int add_first(struct listing *listing, uint64_t cookie)
{
	struct th_inode *dir = listing->dir;
	int full = 0;

	if (cookie < TH_DIR_COOKIE_DOT)
		full = add_plain(listing, ".", th_inode_ino(dir), DT_DIR, TH_DIR_COOKIE_DOT);
	if (!full && cookie < TH_DIR_COOKIE_DOTDOT)
		full = add_plain(listing, "..", parent_ino(dir), DT_DIR, TH_DIR_COOKIE_DOTDOT);
	if (!full && cookie < TH_DIR_COOKIE_SNAPDIR &&
	    (listing->hidden ? th_snapdir_exists(dir) : th_snapdir_is_listed(dir)))
		full = add_plain(listing, dir->fs->options.snapdir_name,
				 th_inode_number(TH_SNAPDIR_SNAPSHOT, dir->id, dir->fs->options.narrow_numbers), DT_DIR,
				 TH_DIR_COOKIE_SNAPDIR);
	return full;
}

/* Fills the reply with names after the cookie.  Returns 0, or -errno if there are none before the error. */
static int fill(struct listing *listing, uint64_t cookie)
{
	int ret = add_first(listing, cookie);

	if (!ret)
		ret = th_inode_is_snapdir(listing->dir) ? th_snapdir_walk(listing->dir, cookie, add_entry, listing)
							: th_dir_walk(listing->dir, cookie, add_entry, listing);
	/* An error after some names is returned by the next call, which begins there. */
	return ret < 0 && !listing->size ? ret : 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus, uint64_t handle)
{
	struct th_inode *dir = th_fuse_inode(req, ino);
	struct listing listing = {
		.req = req, .dir = dir, .plus = plus, .hidden = handle == LIST_HIDDEN, .room = size
	};
	int err;

	if (!dir)
		return;
	if (th_inode_is_snapdir(dir))
		th_fuse_snapdir_cached(th_fuse_of(req), dir);
	listing.buf = malloc(size);
	listing.counted = malloc((size / PLUS_ENTRY_MIN + 1) * sizeof(*listing.counted));
	if (!listing.buf || !listing.counted)
		err = -ENOMEM;
	else if (!th_inode_is_dir(dir))
		err = -ENOTDIR;
	else
		err = fill(&listing, (uint64_t)off);
	if (!err)
		th_atime_touch(dir);
	if (err)
		th_fuse_error(req, err);
	else if (fuse_reply_buf(req, listing.buf, listing.size) < 0)
		uncount(&listing);
	free(listing.buf);
	free(listing.counted);
	th_inode_put(dir);
}

void th_fuse_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false, fi->fh);
}

void th_fuse_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, true, fi->fh);
}
