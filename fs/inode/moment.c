/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/moment.h"

#include "journal/base/thread.h"

void th_moment_init(struct th_fs *fs)
{
	pthread_rwlockattr_t attr;

	pthread_mutex_init(&fs->quiesce_lock, NULL);
	pthread_rwlockattr_init(&attr);
	/* Changes that arrive while a moment is to begin wait, or it might never begin. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&fs->moment_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void th_moment_release(struct th_fs *fs)
{
	pthread_rwlock_destroy(&fs->moment_lock);
	pthread_mutex_destroy(&fs->quiesce_lock);
}

void th_moment_enter(struct th_fs *fs)
{
	if (!pthread_rwlock_tryrdlock(&fs->moment_lock))
		return;
	th_thread_waits(); /* delayed data may be on its way to the disk */
	pthread_rwlock_rdlock(&fs->moment_lock);
}

void th_moment_leave(struct th_fs *fs)
{
	pthread_rwlock_unlock(&fs->moment_lock);
}

void th_moment_begin(struct th_fs *fs)
{
	pthread_rwlock_wrlock(&fs->moment_lock);
}

void th_moment_end(struct th_fs *fs)
{
	pthread_rwlock_unlock(&fs->moment_lock);
}

void th_moment_set_quiet(struct th_fs *fs, bool quiet)
{
	pthread_mutex_lock(&fs->quiesce_lock);
	fs->quiet = quiet;
	pthread_mutex_unlock(&fs->quiesce_lock);
}
