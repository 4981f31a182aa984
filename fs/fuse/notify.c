/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "fs/fuse/channel.h"
#include "fs/inode/entered_snapshot.h"
#include "fs/inode/inode.h"
#include "journal/base/clock.h"

/* A pending notification: a direct write (written.req is set), pages to drop (written.ino alone is set), a use of a
 * deleted snapshot that has ended (snapshot is set),
 * or a name in .snapshots that is no longer valid. */
struct notice {
	struct notice *next;
	struct {
		fuse_req_t req;
		int channel;
		fuse_ino_t ino;
		off_t off;
		size_t size;
	} written;
	uint64_t snapshot; /* its id; 0: drop the name */
	uint64_t except; /* the directory whose .snapshots the kernel changed itself; 0: none */
	char name[];
};

/* Virtual directories of which the kernel may have cached data.  If there are more, all of it is dropped, which costs
 * the kernel some requests. */
#define SNAPDIRS_MAX 256

/* How often the kernel is asked to drop inodes of deleted snapshots, while there are any.  Shorter costs requests;
 * longer keeps their space longer. */
#define LINGER_MS 2000

struct th_fuse_notifier {
	struct th_fuse *fuse;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct notice *first, **last; /* lock */
	bool stop; /* lock */
	struct timespec ask_at; /* the thread's own: when to ask for deleted snapshots again; 0: not set */

	pthread_mutex_t snapdirs_lock;
	fuse_ino_t snapdirs[SNAPDIRS_MAX]; /* snapdirs_lock */
	size_t nsnapdirs; /* snapdirs_lock */
};

/* Makes the kernel drop the name in every .snapshots that it knows, and all unused inodes below it. */
static void send_name(struct th_fuse *fuse, const struct notice *notice)
{
	struct th_inode **snapdirs;
	size_t count;

	if (th_inode_collect(fuse->fs, TH_SNAPDIR_SNAPSHOT, &snapdirs, &count) < 0)
		th_fs_report(
			fuse->fs,
			"snapshot '%s': no memory to invalidate the kernel's cache; the old name may show until it is "
			"unmounted",
			notice->name);
	for (size_t i = 0; i < count; i++) {
		if (snapdirs[i]->id != notice->except)
			fuse_lowlevel_notify_inval_entry(fuse->session, th_inode_nodeid(snapdirs[i]), notice->name,
							 strlen(notice->name));
		th_inode_put(snapdirs[i]);
	}
	free(snapdirs);
}

static void send_inode_at(struct th_fuse *fuse, const struct th_inode *inode, unsigned depth)
{
	const struct th_attr *attr = &inode->attr; /* needs no lock: in a snapshot it never changes */
	uint64_t parent = th_node_id((struct th_node_parts){ inode->snapshot->id, depth, attr->parent });
	char name[TH_NAME_MAX + 1]; /* libfuse sends the NUL after a name, too */

	memcpy(name, attr->name, attr->name_size);
	name[attr->name_size] = 0;
	fuse_lowlevel_notify_inval_entry(fuse->session, parent, name, attr->name_size);
}

/* Makes the kernel drop an inode of a snapshot, under its primary name, if it is unused.  The name may be in a
 * directory of each depth. */
static void send_inode(struct th_fuse *fuse, const struct th_inode *inode)
{
	if (!inode->attr.parent || inode->attr.name_size > TH_NAME_MAX)
		return;
	if (th_inode_is_dir(inode)) {
		send_inode_at(fuse, inode, th_node_id_parse(inode->node).depth);
		return;
	}
	for (unsigned depth = 0; depth <= TH_NODE_DEPTH_MAX; depth++) {
		if (th_entered_snapshot_has_depth(inode->snapshot, depth))
			send_inode_at(fuse, inode, depth);
	}
}

/* Asks the kernel again to drop the inodes of a deleted snapshot.  Those that were in use when it was deleted have
 * stayed cached, with all their parent directories, and keep the snapshot's space. */
static void send_snapshot(struct th_fuse *fuse, uint64_t snapshot)
{
	struct th_inode **inodes;
	size_t count;

	th_inode_collect(fuse->fs, snapshot, &inodes, &count); /* without memory, the next end of a use asks again */
	for (size_t i = 0; i < count; i++) {
		if (inodes[i]->loaded > 0 && !th_inode_is_entrance(inodes[i]))
			send_inode(fuse, inodes[i]);
		th_inode_put(inodes[i]);
	}
	free(inodes);
}

/* Drops the kernel's pages of a write, then replies to it if it was a direct one. */
static void send_written(struct th_fuse *fuse, const struct notice *notice)
{
	fuse_lowlevel_notify_inval_inode(fuse->session, notice->written.ino, notice->written.off,
					 (off_t)notice->written.size);
	if (!notice->written.req)
		return;
	th_fuse_set_channel(notice->written.channel);
	fuse_reply_write(notice->written.req, notice->written.size);
	th_fuse_set_channel(0);
}

static void send_notice(struct th_fuse *fuse, const struct notice *notice)
{
	if (notice->written.ino)
		send_written(fuse, notice);
	else if (notice->snapshot)
		send_snapshot(fuse, notice->snapshot);
	else
		send_name(fuse, notice);
}

/* The kernel does not report that a directory was closed, or is no longer a working directory: so all deleted snapshots
 * that are still in use are tried from time to time. */
static void send_lingering(struct th_fuse *fuse)
{
	uint64_t snapshot = 0;

	while ((snapshot = th_entered_snapshot_next_deleted(fuse->fs, snapshot)))
		send_snapshot(fuse, snapshot);
}

/* Waits for a notice.  As long as a deleted snapshot is in use, it also asks the kernel for that periodically.  Called
 * with the lock, which it drops and takes again. */
static void wait_for_notice(struct th_fuse_notifier *notifier)
{
	if (!th_entered_snapshot_next_deleted(notifier->fuse->fs, 0)) {
		pthread_cond_wait(&notifier->cond, &notifier->lock);
		notifier->ask_at.tv_sec = 0;
		return;
	}
	if (!notifier->ask_at.tv_sec)
		notifier->ask_at = th_clock_after_ms(CLOCK_REALTIME, LINGER_MS);
	if (pthread_cond_timedwait(&notifier->cond, &notifier->lock, &notifier->ask_at) != ETIMEDOUT)
		return;
	notifier->ask_at.tv_sec = 0;
	pthread_mutex_unlock(&notifier->lock);
	send_lingering(notifier->fuse);
	pthread_mutex_lock(&notifier->lock);
}

static void *notifier_run(void *arg)
{
	struct th_fuse_notifier *notifier = arg;

	pthread_mutex_lock(&notifier->lock);
	while (!notifier->stop) {
		struct notice *notice = notifier->first;

		if (!notice) {
			wait_for_notice(notifier);
			continue;
		}
		notifier->first = notice->next;
		if (!notifier->first)
			notifier->last = &notifier->first;
		pthread_mutex_unlock(&notifier->lock);
		send_notice(notifier->fuse, notice);
		free(notice);
		pthread_mutex_lock(&notifier->lock);
	}
	pthread_mutex_unlock(&notifier->lock);
	return NULL;
}

static void enqueue(struct th_fuse_notifier *notifier, struct notice *notice)
{
	pthread_mutex_lock(&notifier->lock);
	*notifier->last = notice;
	notifier->last = &notice->next;
	pthread_cond_signal(&notifier->cond);
	pthread_mutex_unlock(&notifier->lock);
}

static void enqueue_snapshot(struct th_fuse_notifier *notifier, const char *name, uint64_t snapshot, uint64_t except)
{
	size_t size = strlen(name) + 1;
	struct notice *notice = calloc(1, sizeof(*notice) + size);

	if (!notice) {
		th_fs_report(
			notifier->fuse->fs,
			"snapshot '%s': no memory to invalidate the kernel's cache; the old name may show until it is "
			"unmounted",
			name);
		return;
	}
	notice->snapshot = snapshot;
	notice->except = except;
	memcpy(notice->name, name, size);
	enqueue(notifier, notice);
}

/* --- virtual directories --- */

/* Drops attributes and listings.  Called with snapdirs_lock, and by handlers too: the kernel locks only the pages of a
 * listing, and only while it copies them, so it waits for no handler. */
static void snapdirs_drop(struct th_fuse_notifier *notifier)
{
	for (size_t i = 0; i < notifier->nsnapdirs; i++)
		fuse_lowlevel_notify_inval_inode(notifier->fuse->session, notifier->snapdirs[i], 0, 0);
	notifier->nsnapdirs = 0;
}

/* If the data is dropped while the reply is on its way, the kernel sees that the reply is older. */
void th_fuse_snapdir_cached(struct th_fuse *fuse, const struct th_inode *snapdir)
{
	struct th_fuse_notifier *notifier = fuse->notifier;
	fuse_ino_t ino = th_inode_nodeid(snapdir);
	size_t i = 0;

	pthread_mutex_lock(&notifier->snapdirs_lock);
	while (i < notifier->nsnapdirs && notifier->snapdirs[i] != ino)
		i++;
	if (i == SNAPDIRS_MAX)
		snapdirs_drop(notifier);
	if (i >= notifier->nsnapdirs)
		notifier->snapdirs[notifier->nsnapdirs++] = ino;
	pthread_mutex_unlock(&notifier->snapdirs_lock);
}

void th_fuse_snapdirs_changed(struct th_fuse *fuse)
{
	pthread_mutex_lock(&fuse->notifier->snapdirs_lock);
	snapdirs_drop(fuse->notifier);
	pthread_mutex_unlock(&fuse->notifier->snapdirs_lock);
}

/* --- events --- */

/* The filesystem reports: a snapshot was deleted or renamed (name), or a new one was made (NULL). */
static void snapshot_changed(void *arg, const char *name, uint64_t except)
{
	struct th_fuse_notifier *notifier = arg;

	th_fuse_snapdirs_changed(notifier->fuse);
	if (name)
		enqueue_snapshot(notifier, name, 0, except);
}

void th_fuse_notify_attr(struct th_fuse *fuse, const struct th_inode *inode)
{
	fuse_lowlevel_notify_inval_inode(fuse->session, th_inode_nodeid(inode), -1, 0);
}

void th_fuse_notify_release(struct th_fuse *fuse, const struct th_inode *inode)
{
	if (inode->snapshot && inode->snapshot->deleted)
		enqueue_snapshot(fuse->notifier, "", inode->snapshot->id, 0);
}

void th_fuse_notify_write(fuse_req_t req, fuse_ino_t ino, off_t off, size_t size)
{
	struct notice *notice = calloc(1, sizeof(*notice));

	if (!notice) {
		th_fs_report(
			th_fuse_of(req)->fs,
			"no memory to invalidate the kernel's cache after a direct write; buffered reads may return the "
			"former data");
		fuse_reply_write(req, size);
		return;
	}
	notice->written.req = req;
	notice->written.channel = th_fuse_channel();
	notice->written.ino = ino;
	notice->written.off = off;
	notice->written.size = size;
	enqueue(th_fuse_of(req)->notifier, notice);
}

void th_fuse_notify_pages(struct th_fuse *fuse, fuse_ino_t ino)
{
	struct notice *notice = calloc(1, sizeof(*notice));

	if (!notice) {
		th_fs_report(
			fuse->fs,
			"no memory to invalidate the kernel's cache after an append; reads may return the former data");
		return;
	}
	notice->written.ino = ino;
	enqueue(fuse->notifier, notice);
}

int th_fuse_notifier_start(struct th_fuse *fuse)
{
	struct th_fuse_notifier *notifier = calloc(1, sizeof(*notifier));

	if (!notifier)
		return -ENOMEM;
	notifier->fuse = fuse;
	notifier->last = &notifier->first;
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_mutex_init(&notifier->snapdirs_lock, NULL);
	pthread_cond_init(&notifier->cond, NULL);
	int err = -pthread_create(&notifier->thread, NULL, notifier_run, notifier);

	if (err) {
		free(notifier);
		return err;
	}
	fuse->notifier = notifier;
	fuse->fs->snapshot_changed_arg = notifier;
	fuse->fs->snapshot_changed = snapshot_changed;
	return 0;
}

void th_fuse_notifier_stop(struct th_fuse *fuse)
{
	struct th_fuse_notifier *notifier = fuse->notifier;

	if (!notifier)
		return;
	fuse->fs->snapshot_changed = NULL;
	pthread_mutex_lock(&notifier->lock);
	notifier->stop = true;
	pthread_cond_signal(&notifier->cond);
	pthread_mutex_unlock(&notifier->lock);
	pthread_join(notifier->thread, NULL);
	for (struct notice *notice = notifier->first, *next; notice; notice = next) {
		next = notice->next;
		if (notice->written.req)
			fuse_reply_none(notice->written.req);
		free(notice);
	}
	pthread_mutex_destroy(&notifier->lock);
	pthread_mutex_destroy(&notifier->snapdirs_lock);
	pthread_cond_destroy(&notifier->cond);
	free(notifier);
	fuse->notifier = NULL;
}
