/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One FUSE session: a mounted filesystem and its connection to the kernel.  session.c negotiates with the kernel and
 * has the table of request handlers (handlers.h).
 */
#ifndef TH_FS_FUSE_SESSION_H
#define TH_FS_FUSE_SESSION_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fs/fuse/barrier.h"
#include "fs/fuse/loop_device.h"

/* How long the kernel may cache names and attributes.  All changes pass through this kernel, or are announced to it
 * (notify.h), so cached data does not expire by itself. */
#define TH_FUSE_VALID_SECONDS 86400.0

struct th_fs;
struct th_control;
struct th_fuse_notifier;
struct th_fuse_syncer;

struct th_fuse {
	struct th_fs *fs;
	struct th_control *control;
	struct fuse_session *session;
	const char *directory; /* the mount point */
	unsigned max_read; /* bytes; the mount option; 0: not given */
	bool exports; /* -o export: file handles outlive the kernel's caches */
	bool opens_directories; /* OPENDIR has a reply: exports, or the kernel, older than 5.1, requires it */
	bool seccomp; /* restrict system calls (harden.h) */
	bool selinux; /* the running kernel has SELinux */
	bool block; /* mounted by a block device (attach.h) */
	char no_block[128]; /* why not */
	char loop[TH_LOOP_NAME_MAX]; /* the loop device of an image file that is mounted by one; else empty */
	bool syncs; /* the kernel passes sync(1) and syncfs(2) on */
	struct th_fuse_notifier *notifier;
	struct th_barrier barrier;
	atomic_bool rolled_back; /* perhaps: then the kernel may have a wrong size of a file (rollback.h) */
	struct th_fuse_syncer *syncer; /* NULL: the kernel sends no SYNCFS */
	void (*ready)(struct th_fuse *fuse); /* called when the mount works, with `syncs` known; NULL: not called */
	int ready_fd; /* for ready */
};

extern const struct fuse_lowlevel_ops th_fuse_ops;

/* Chooses the capabilities and limits of a connection, in answer to the kernel's INIT, and raises the mount's
 * readahead.  max_read: the mount option in bytes; 0: not given. */
void th_fuse_negotiate(struct fuse_conn_info *conn, const char *directory, unsigned max_read);

static inline struct th_fuse *th_fuse_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

#endif
