/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tool asks a mounted filesystem for: ioctls on any of its directories.
 *
 * The kernel copies in and out exactly the structure that the command's number tells, so that every request and every
 * answer is one structure of fixed size, of at most 16383 bytes.  They are made of little-endian byte arrays and begin
 * with a version: the tool and the daemon may be of different builds.  Whoever can open a directory can send these, so
 * nothing in them is believed.
 *
 * The tool also uses this on an image that is not mounted, with the answering side in its own process: so there is one
 * way of doing things, whether mounted or not.
 *
 * A diff is a session: it is begun, read piece by piece as a stream of changes (change.h), and ended.  It holds two
 * views, which keep the space of snapshots that are deleted meanwhile; so a session that nobody has used for a while
 * (the tool was killed) is ended.
 */
#ifndef TH_FS_CONTROL_CONTROL_H
#define TH_FS_CONTROL_CONTROL_H

#include <sys/ioctl.h>
#include <sys/types.h>

#include "fs/fs.h"

#define TH_CONTROL_TYPE 0xd4
#define TH_CONTROL_VERSION 1u
#define TH_CONTROL_SESSIONS 16 /* diffs under way at one time, of one filesystem */
#define TH_CONTROL_IDLE_SECONDS 60

/* A snapshot's or branch's name, or a hold's tag, padded with zeros.  Empty: none, where that has a meaning. */
struct th_control_name {
	char text[TH_SNAPSHOT_NAME_MAX + 1];
};

static_assert(TH_BRANCH_NAME_MAX == TH_SNAPSHOT_NAME_MAX && TH_HOLD_TAG_MAX == TH_SNAPSHOT_NAME_MAX,
	      "all of them fit a name");

struct th_control_info {
	struct th_le32 version;
	uint8_t read_only;
	uint8_t reserved[3];
	uint8_t uuid[16];
	char label[64];
	struct th_le64 block_size, blocks, blocks_free, blocks_waiting, blocks_reserved, blocks_emergency,
		shared_blocks;
	struct th_le64 generation, sequence, created_ns, checkpoint_ns, snapshots, height;
	struct th_le64 cache_bytes, cache_used, dirty_bytes;
	struct th_le64 node_reads, node_writes, node_cache_hits, node_bytes_written;
	struct th_le64 checkpoints, syncs, log_records, log_bytes, merges;
	struct th_le64 disk_reads, disk_bytes_read, disk_writes, disk_bytes_written, disk_flushes;
	struct th_le64 branches;
	struct th_control_name branch; /* the current one */
};
static_assert(sizeof(struct th_control_info) == 592, "the size is part of the command's number");

/* One snapshot.  To create, the name goes in and the rest comes back. */
struct th_control_snapshot {
	struct th_le32 version, reserved;
	struct th_le64 id, generation, created_ns, branch, holds;
	struct th_control_name name;
};
static_assert(sizeof(struct th_control_snapshot) == 304, "the size is part of the command's number");

struct th_control_rename {
	struct th_le32 version, reserved;
	struct th_control_name from, to;
};

/* Up to TH_CONTROL_LIST_MAX snapshots, oldest first, with ids above `after`. */
#define TH_CONTROL_LIST_MAX 53
struct th_control_list {
	struct th_le32 version, count;
	struct th_le64 after;
	struct th_control_snapshot list[TH_CONTROL_LIST_MAX];
};

/* To put a tag on a snapshot, or take it off. */
struct th_control_hold {
	struct th_le32 version, reserved;
	struct th_control_name snapshot, tag;
};

/* Up to TH_CONTROL_HOLDS_MAX holds of all snapshots, oldest first, with ids above `after`. */
struct th_control_held {
	struct th_le32 version, reserved;
	struct th_le64 id, snapshot, created_ns; /* snapshot: id */
	struct th_control_name tag;
};
#define TH_CONTROL_HOLDS_MAX 56
struct th_control_holds {
	struct th_le32 version, count;
	struct th_le64 after;
	struct th_control_held list[TH_CONTROL_HOLDS_MAX];
};

enum th_control_branch_flags {
	TH_CONTROL_BRANCH_CURRENT = 1 << 0,
	TH_CONTROL_BRANCH_DETACHED = 1 << 1, /* the name is one that it had */
	TH_CONTROL_BRANCH_SNAPSHOTS = 1 << 2, /* to delete: its snapshots too */
};

/* One branch.  To create, the name goes in, and the snapshot that it begins from (empty: one of the present, which is
 * taken: see th_fs_branch_create). */
struct th_control_branch {
	struct th_le32 version, flags;
	struct th_le64 id, origin, created_ns, snapshots;
	struct th_control_name name, from;
};
static_assert(sizeof(struct th_control_branch) == 552, "the size is part of the command's number");

/* Up to TH_CONTROL_BRANCHES_MAX branches, oldest first, with ids above `after`. */
#define TH_CONTROL_BRANCHES_MAX 29
struct th_control_branches {
	struct th_le32 version, count;
	struct th_le64 after;
	struct th_control_branch list[TH_CONTROL_BRANCHES_MAX];
};

enum th_control_diff_flags {
	TH_CONTROL_DIFF_RANGES = 1 << 0, /* say where contents differ */
};

/* Snapshots, or else branches.  `to` empty: the present. */
struct th_control_diff_begin {
	struct th_le32 version, flags;
	struct th_le64 session; /* comes back */
	struct th_control_name from, to;
	char path[4096]; /* "/a/b": only what is there or below; padded with zeros; empty: all */
};

#define TH_CONTROL_DIFF_BYTES 16128
/* The next bytes of the stream; fewer than there is room for, even none, before its end too. */
struct th_control_diff_next {
	struct th_le32 version, bytes;
	struct th_le64 session;
	struct th_le32 ended, reserved;
	struct th_le64 nodes_read, entries_compared;
	uint8_t stream[TH_CONTROL_DIFF_BYTES];
};

struct th_control_diff_end {
	struct th_le32 version, reserved;
	struct th_le64 session;
};

/* A part of what gives the space of deleted snapshots and branches back (th_store_reclaim). */
struct th_control_reclaim {
	struct th_le32 version;
	struct th_le32 done; /* comes back: nothing is left */
};

#define TH_CONTROL_INFO _IOWR(TH_CONTROL_TYPE, 1, struct th_control_info)
#define TH_CONTROL_SNAPSHOT_CREATE _IOWR(TH_CONTROL_TYPE, 2, struct th_control_snapshot)
#define TH_CONTROL_SNAPSHOT_DELETE _IOW(TH_CONTROL_TYPE, 3, struct th_control_snapshot)
#define TH_CONTROL_SNAPSHOT_RENAME _IOW(TH_CONTROL_TYPE, 4, struct th_control_rename)
#define TH_CONTROL_SNAPSHOT_LIST _IOWR(TH_CONTROL_TYPE, 5, struct th_control_list)
#define TH_CONTROL_DIFF_BEGIN _IOWR(TH_CONTROL_TYPE, 6, struct th_control_diff_begin)
#define TH_CONTROL_DIFF_NEXT _IOWR(TH_CONTROL_TYPE, 7, struct th_control_diff_next)
#define TH_CONTROL_DIFF_END _IOW(TH_CONTROL_TYPE, 8, struct th_control_diff_end)
#define TH_CONTROL_BRANCH_CREATE _IOWR(TH_CONTROL_TYPE, 9, struct th_control_branch)
#define TH_CONTROL_BRANCH_DELETE _IOW(TH_CONTROL_TYPE, 10, struct th_control_branch)
#define TH_CONTROL_BRANCH_RENAME _IOW(TH_CONTROL_TYPE, 11, struct th_control_rename)
#define TH_CONTROL_BRANCH_LIST _IOWR(TH_CONTROL_TYPE, 12, struct th_control_branches)
#define TH_CONTROL_RECLAIM _IOWR(TH_CONTROL_TYPE, 13, struct th_control_reclaim)
#define TH_CONTROL_SNAPSHOT_HOLD _IOW(TH_CONTROL_TYPE, 14, struct th_control_hold)
#define TH_CONTROL_SNAPSHOT_RELEASE _IOW(TH_CONTROL_TYPE, 15, struct th_control_hold)
#define TH_CONTROL_HOLD_LIST _IOWR(TH_CONTROL_TYPE, 16, struct th_control_holds)
static_assert(sizeof(struct th_control_branches) <= 16383 && sizeof(struct th_control_list) <= 16383 &&
		      sizeof(struct th_control_holds) <= 16383 && sizeof(struct th_control_diff_next) <= 16383,
	      "the size field of an ioctl's number has 14 bits");

struct th_control;

/* The answering side for one filesystem, which must outlive it.  owner: who mounted it; that user and root may change
 * things and see differences, everybody may ask for information and the lists of snapshots, holds and branches. */
int th_control_new(struct th_fs *fs, uid_t owner, struct th_control **ret);
/* Ends the sessions too.  No request may be under way.  NULL is fine. */
void th_control_free(struct th_control *control);

/* Answers one request of `uid`: writes at most out_max bytes to out (which may not overlap in) and says how many.
 * -ENOTTY: no such command; -EINVAL: ill-formed; -EPROTO: another version; -EPERM; -ESTALE: no such session (any
 * more); -EBUSY: the session is in use; -EMFILE: too many sessions; or what the filesystem says.  Any thread, no lock
 * held (L5). */
int th_control_ioctl(struct th_control *control, uid_t uid, unsigned cmd, const void *in, size_t in_size, void *out,
		     size_t out_max, size_t *ret_size);

#endif
