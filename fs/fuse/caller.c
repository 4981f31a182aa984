/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/caller.h"

#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/inode/inode.h"

/* --- privileges --- */

/* Returns whether /proc shows the pid namespace of the daemon, in which requests name threads. */
static bool proc_is_ours(void)
{
	char text[32];
	ssize_t size = readlink("/proc/self", text, sizeof(text) - 1);

	if (size <= 0)
		return false;
	text[size] = 0;
	return strtol(text, NULL, 10) == getpid();
}

static bool has_capability(pid_t thread, unsigned capability)
{
	unsigned long long effective = 0;
	char path[64], *line = NULL;
	size_t room = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (getline(&line, &room, file) >= 0 && sscanf(line, "CapEff: %llx", &effective) != 1)
		;
	free(line);
	fclose(file);
	return effective >> capability & 1;
}

static bool in_our_user_namespace(pid_t thread)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)thread);
	return !stat("/proc/self/ns/user", &ours) && !stat(path, &theirs) && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

bool th_fuse_thread_is_admin(pid_t thread)
{
	return thread > 0 && proc_is_ours() && has_capability(thread, CAP_SYS_ADMIN) && in_our_user_namespace(thread);
}

struct th_caller th_fuse_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	uid_t mounted_by = th_fuse_of(req)->fs->options.mounted_by;

	return (struct th_caller){
		.uid = ctx->uid,
		.admin = ctx->uid ? ctx->uid == mounted_by : th_fuse_thread_is_admin(ctx->pid),
	};
}

/* --- groups --- */

#define GROUPS_MAX 256

bool th_fuse_caller_has_group(fuse_req_t req, gid_t gid)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	gid_t groups[GROUPS_MAX];
	bool found = ctx->uid == 0 || ctx->gid == gid;
	int count = found ? 0 : fuse_req_getgroups(req, GROUPS_MAX, groups);

	for (int i = 0; i < count && i < GROUPS_MAX && !found; i++)
		found = groups[i] == gid;
	return found;
}

bool th_fuse_caller_is_outsider(fuse_req_t req, struct th_inode *inode)
{
	pthread_rwlock_rdlock(&inode->lock);
	bool matters = !S_ISDIR(inode->attr.mode) && (inode->attr.mode & (S_ISGID | S_IXGRP)) == S_ISGID;
	gid_t gid = inode->attr.gid;

	pthread_rwlock_unlock(&inode->lock);
	return matters && !th_fuse_caller_has_group(req, gid);
}
