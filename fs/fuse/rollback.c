/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/rollback.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/control/rollback.h"
#include "fs/inode/inode.h"
#include "journal/base/thread.h"

#define EXPIRE_ONLY 1 /* FUSE_EXPIRE_ONLY, which the headers of Linux 6.1 do not have */

/* struct fuse_notify_inval_entry_out; the headers differ in the name of the last field. */
struct expire_entry {
	uint64_t parent;
	uint32_t namelen, flags;
};

/* Makes the kernel ask for a name again when it next needs it.  A kernel before 6.2 ignores the flag and drops the
 * name, and with it whatever is mounted on that directory.  Failure: the kernel does not know the name. */
static void expire_name(struct th_fuse *fuse, uint64_t parent, struct th_slice name)
{
	struct expire_entry body = {
		.parent =
			parent == fuse->fs->root->id ? TH_ROOT_ID : th_node_id((struct th_node_parts){ .id = parent }),
		.namelen = (uint32_t)name.size,
		.flags = EXPIRE_ONLY,
	};
	struct fuse_out_header header = { .error = FUSE_NOTIFY_INVAL_ENTRY };
	struct iovec iov[] = {
		{ &header, sizeof(header) },
		{ &body, sizeof(body) },
		{ (void *)name.data, name.size },
		{ (void *)"", 1 },
	};
	ssize_t n;

	header.len = (uint32_t)(sizeof(header) + sizeof(body) + name.size + 1);
	n = writev(fuse_session_fd(fuse->session), iov, 4);
	(void)n;
}

/* Drops attributes and pages of an inode; dirty pages are written first. */
static void drop_inode(struct th_fuse *fuse, const struct th_inode *inode)
{
	fuse_lowlevel_notify_inval_inode(fuse->session, th_inode_nodeid(inode), 0, 0);
}

/* Calls each() for all inodes of the live tree that are in memory. */
static void each_inode(struct th_fuse *fuse, void (*each)(struct th_fuse *fuse, struct th_inode *inode))
{
	struct th_inode **inodes;
	size_t count;

	if (th_inode_collect(fuse->fs, 0, &inodes, &count) < 0)
		th_fs_report(fuse->fs,
			     "rollback: no memory to invalidate the kernel's cache; files may show their former "
			     "content until they are unmounted");
	for (size_t i = 0; i < count; i++) {
		if (!inodes[i]->snapshot)
			each(fuse, inodes[i]);
		th_inode_put(inodes[i]);
	}
	free(inodes);
}

static void write_back_inode(struct th_fuse *fuse, struct th_inode *inode)
{
	if (S_ISREG(inode->type))
		drop_inode(fuse, inode);
}

/* A page that the program changed between the two may be clean in the kernel, though it was discarded: the second drops
 * it.  Its change counts as one before the rollback. */
static void drop_former(struct th_fuse *fuse, struct th_inode *inode)
{
	drop_inode(fuse, inode);
	if (!S_ISREG(inode->type))
		return;
	atomic_store(&inode->has_former_pages, false);
	drop_inode(fuse, inode);
}

/* --- struct th_front --- */

static void write_back(void *arg)
{
	th_thread_waits();
	each_inode(arg, write_back_inode);
}

static void stop(void *arg)
{
	struct th_fuse *fuse = arg;

	th_barrier_close(&fuse->barrier);
	atomic_store(&fuse->rolled_back, true);
}

static void resume(void *arg)
{
	struct th_fuse *fuse = arg;

	th_barrier_open(&fuse->barrier);
}

static void drop(void *arg, const struct th_name_list *names)
{
	struct th_fuse *fuse = arg;
	struct th_slice name;
	uint64_t parent;
	size_t at = 0;

	th_thread_waits();
	while (th_name_list_next(names, &at, &parent, &name))
		expire_name(fuse, parent, name);
	each_inode(fuse, drop_former);
	th_inode_end_former_pages(fuse->fs); /* also of those that were missed for lack of memory */
}

static void drop_name(void *arg, uint64_t parent, struct th_slice name)
{
	struct th_fuse *fuse = arg;
	bool root = parent == fuse->fs->root->id;

	th_thread_waits();
	expire_name(fuse, parent, name);
	fuse_lowlevel_notify_inval_inode(fuse->session,
					 root ? TH_ROOT_ID : th_node_id((struct th_node_parts){ .id = parent }), 0, 0);
}

static const struct th_front front = {
	.write_back = write_back,
	.stop = stop,
	.resume = resume,
	.drop = drop,
	.drop_name = drop_name,
};

void th_fuse_rollback_setup(struct th_fuse *fuse)
{
	fuse->fs->front = &front;
	fuse->fs->front_arg = fuse;
}

off_t th_fuse_write_offset(struct th_fuse *fuse, struct th_inode *inode, off_t off, const struct fuse_file_info *fi)
{
	if (!atomic_load(&fuse->rolled_back) || !(fi->flags & O_APPEND) || fi->writepage)
		return off;
	pthread_rwlock_rdlock(&inode->lock);
	off = (off_t)inode->attr.size;
	pthread_rwlock_unlock(&inode->lock);
	return off;
}
