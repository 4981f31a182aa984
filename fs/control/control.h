/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between the tool and a mounted filesystem: ioctls on any of its directories.
 *
 * The kernel copies exactly the structure whose size is in the command's number, in and out.  So every request and
 * every answer is one structure of fixed size, of at most 16383 bytes.  They consist of little-endian byte arrays and
 * begin with a version, as the tool and the daemon may be of different builds.  A user only has to open a directory to
 * send requests, so all fields are checked.
 *
 * For an image that is not mounted, the tool runs the answering side in its own process, so that all commands work in
 * the same way, mounted or not.
 *
 * A diff is a session (diff_session.h): the tool begins it, reads a stream of changes (change_record.h) piece by piece,
 * and ends it.
 */
#ifndef TH_FS_CONTROL_CONTROL_H
#define TH_FS_CONTROL_CONTROL_H

#include <sys/ioctl.h>
#include <sys/types.h>

#include "fs/fs.h"
#include "fs/snapshot/permission.h"

#define TH_CONTROL_TYPE 0xd4
#define TH_CONTROL_VERSION 1u

/* The name of a snapshot or branch, or the tag of a hold, padded with zeros.  Empty: none, where that is allowed. */
struct th_control_name {
	char text[TH_SNAPSHOT_NAME_MAX + 1];
};

static_assert(TH_BRANCH_NAME_MAX == TH_SNAPSHOT_NAME_MAX && TH_HOLD_TAG_MAX == TH_SNAPSHOT_NAME_MAX,
	      "all of them fit a name");

struct th_control_info {
	struct th_le32 version;
	uint8_t read_only;
	uint8_t log_lost; /* 1: shown as of the last checkpoint, since the intent log cannot be replayed */
	struct th_le16 failure; /* errno of the error after which changes are refused; 0: none */
	uint8_t uuid[16];
	char label[64];
	struct th_le64 block_size, blocks, blocks_data, blocks_metadata, blocks_snapshots, blocks_waiting, blocks_free;
	struct th_le64 blocks_reserved, blocks_emergency, blocks_available, shared_blocks;
	struct th_le64 generation, sequence, created_ns, checkpoint_ns, snapshots, height;
	struct th_le64 cache_bytes, cache_used, dirty_bytes;
	struct th_le64 unwritten_bytes; /* data of files that is only in memory */
	struct th_le64 node_reads, node_writes, node_cache_hits, node_bytes_written;
	struct th_le64 checkpoints, syncs, log_records, log_bytes, merges;
	struct th_le64 disk_reads, disk_bytes_read, disk_writes, disk_bytes_written, disk_flushes;
	struct th_le64 branches;
	struct th_le64 log_stranded; /* records of the intent log after a damaged one, which are missing */
	struct th_control_name branch; /* the current one */
};
static_assert(sizeof(struct th_control_info) == 640, "the size is part of the command's number");

/* One snapshot.  To create one, the request has the name and the answer the rest. */
struct th_control_snapshot {
	struct th_le32 version, reserved;
	struct th_le64 id, generation, created_ns, branch, holds;
	uint8_t identity[TH_SNAPSHOT_IDENTITY];
	struct th_control_name name;
};
static_assert(sizeof(struct th_control_snapshot) == 320, "the size is part of the command's number");

/* Space of snapshots that is not known: th_snapshot_space(). */
#define TH_CONTROL_SPACE_UNKNOWN UINT64_MAX

/* Lists the space that each snapshot alone holds: of up to TH_CONTROL_SPACES_MAX with ids above `after`, oldest
 * first. */
#define TH_CONTROL_SPACES_MAX 100
struct th_control_spaces {
	struct th_le32 version, count;
	struct th_le64 after;
	struct {
		struct th_le64 id, bytes;
	} list[TH_CONTROL_SPACES_MAX];
};
static_assert(sizeof(struct th_control_spaces) == 1616, "the size is part of the command's number");

/* Computes the space that becomes free if these snapshots are deleted together. */
#define TH_CONTROL_SPACE_OF_MAX 4000
struct th_control_space_of {
	struct th_le32 version, count;
	struct th_le64 bytes; /* in the answer */
	struct th_le32 ids[TH_CONTROL_SPACE_OF_MAX];
};
static_assert(sizeof(struct th_control_space_of) == 16016 && TH_SNAPSHOT_ID_MAX <= UINT32_MAX,
	      "the size is part of the command's number");

struct th_control_rename {
	struct th_le32 version, reserved;
	struct th_control_name from, to;
};

/* Lists up to TH_CONTROL_LIST_MAX snapshots with ids above `after`, oldest first. */
#define TH_CONTROL_LIST_MAX 51
struct th_control_list {
	struct th_le32 version, count;
	struct th_le64 after;
	struct th_control_snapshot list[TH_CONTROL_LIST_MAX];
};

/* Adds a tag to a snapshot, or removes it. */
struct th_control_hold {
	struct th_le32 version, reserved;
	struct th_control_name snapshot, tag;
};

/* One hold. */
struct th_control_held {
	struct th_le32 version, reserved;
	struct th_le64 id, snapshot, created_ns; /* snapshot: its id */
	struct th_control_name tag;
};
/* Lists up to TH_CONTROL_HOLDS_MAX holds of all snapshots with ids above `after`, oldest first. */
#define TH_CONTROL_HOLDS_MAX 56
struct th_control_holds {
	struct th_le32 version, count;
	struct th_le64 after;
	struct th_control_held list[TH_CONTROL_HOLDS_MAX];
};

enum th_control_branch_flags {
	TH_CONTROL_BRANCH_CURRENT = 1 << 0,
	TH_CONTROL_BRANCH_DETACHED = 1 << 1, /* the name is the one it had before the rollback */
	TH_CONTROL_BRANCH_SNAPSHOTS = 1 << 2, /* in a request to delete: delete its snapshots too */
};

/* One branch.  To create one, the request has the name and the snapshot that it begins from (empty: a new one of the
 * live tree, see th_fs_branch_create). */
struct th_control_branch {
	struct th_le32 version, flags;
	struct th_le64 id, origin, created_ns, snapshots;
	struct th_control_name name, from;
};
static_assert(sizeof(struct th_control_branch) == 552, "the size is part of the command's number");

/* Lists up to TH_CONTROL_BRANCHES_MAX branches with ids above `after`, oldest first. */
#define TH_CONTROL_BRANCHES_MAX 29
struct th_control_branches {
	struct th_le32 version, count;
	struct th_le64 after;
	struct th_control_branch list[TH_CONTROL_BRANCHES_MAX];
};

enum th_control_diff_flags {
	TH_CONTROL_DIFF_RANGES = 1 << 0, /* list the ranges whose content differs */
};

/* from, to: snapshots, or else branches.  `to` empty: the live tree. */
struct th_control_diff_begin {
	struct th_le32 version, flags;
	struct th_le64 session; /* in the answer */
	struct th_control_name from, to;
	char path[4096]; /* "/a/b": only changes there or below (th_fs_diff_options); padded with zeros; empty: all */
};

#define TH_CONTROL_DIFF_BYTES 16128
/* The next bytes of the stream.  There may be fewer than fit, or none, before its end. */
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

/* Does a part of the work that frees the space of deleted snapshots and branches (th_store_reclaim). */
struct th_control_reclaim {
	struct th_le32 version;
	struct th_le32 done; /* in the answer: nothing is left to free */
};

/* Discards free space (th_store_trim).  All in bytes. */
struct th_control_trim {
	struct th_le32 version, reserved;
	struct th_le64 start, length, least;
	struct th_le64 trimmed; /* in the answer */
};
static_assert(sizeof(struct th_control_trim) == 40, "the size is part of the command's number");

/* Makes the image larger (th_store_resize). */
struct th_control_resize {
	struct th_le32 version;
	struct th_le32 unchanged; /* in the answer: it has that size already */
	struct th_le64 bytes; /* 0: the size of the file or device; in the answer the size */
};
static_assert(sizeof(struct th_control_resize) == 16, "the size is part of the command's number");

/* Rolls back the current branch: control/rollback.h. */
struct th_control_rollback {
	struct th_le32 version, unused;
	struct th_control_name snapshot, keep; /* keep: empty: none */
};
static_assert(sizeof(struct th_control_rollback) == 520, "the size is part of the command's number");

/* Copies a file or a tree (control/copy.h).  The paths are padded with zeros, as in a diff. */
struct th_control_copy {
	struct th_le32 version;
	struct th_le32 replaced; /* in the answer: the target existed */
	struct th_le64 inodes; /* in the answer: how many were copied */
	struct th_control_name from; /* snapshot; empty: the present */
	struct th_control_name aside; /* empty: the target must not exist */
	char source[4096], target[4096];
};
static_assert(sizeof(struct th_control_copy) == 8720 && TH_NAME_MAX == TH_SNAPSHOT_NAME_MAX,
	      "the size is part of the command's number");

enum th_control_send_flags {
	TH_CONTROL_SEND_COMPRESS = 1 << 0,
	TH_CONTROL_SEND_BRANCH = 1 << 1, /* the receiver uses a branch of this one's name */
};

/* Begins the stream of a snapshot (stream/send.h), which is read and ended as a diff is.  base: the stream has the
 * changes since that snapshot; empty: all.  resume: the token of a receiver, in place of both names; empty: none. */
struct th_control_send_begin {
	struct th_le32 version, flags;
	struct th_le64 session; /* in the answer */
	struct th_control_name snapshot, base;
	char resume[128]; /* padded with zeros */
};
static_assert(sizeof(struct th_control_send_begin) == 656, "the size is part of the command's number");

enum th_control_scrub_action {
	TH_CONTROL_SCRUB_STATUS, /* only asks */
	TH_CONTROL_SCRUB_START,
	TH_CONTROL_SCRUB_PAUSE,
	TH_CONTROL_SCRUB_STOP,
};

enum th_control_scrub_state {
	TH_CONTROL_SCRUB_NONE, /* none is under way */
	TH_CONTROL_SCRUB_RUNNING,
	TH_CONTROL_SCRUB_PAUSED,
	TH_CONTROL_SCRUB_ENDED, /* not complete, but nothing runs: the next mount or start continues it */
};

/* Starts, pauses or ends a scrub (scrub/scrubber.h), and tells how far it is. */
struct th_control_scrub {
	struct th_le32 version, action;
	struct th_le64 rate; /* to start: bytes per second; 0: no limit */
	/* In the answer, after the action. */
	struct th_le64 begun_ns,
		ended_ns; /* of the scrub under way or the last one; of the last complete one; 0: none */
	struct th_le64 bytes, bytes_total; /* read so far; about what the scrub reads */
	struct th_le32 damaged, healed; /* found so far: problems that are left, and that are healed */
	struct th_le32 state, unused;
};
static_assert(sizeof(struct th_control_scrub) == 64, "the size is part of the command's number");

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
#define TH_CONTROL_TRIM _IOWR(TH_CONTROL_TYPE, 17, struct th_control_trim)
#define TH_CONTROL_RESIZE _IOWR(TH_CONTROL_TYPE, 18, struct th_control_resize)
#define TH_CONTROL_BRANCH_PROMOTE _IOW(TH_CONTROL_TYPE, 19, struct th_control_branch)
#define TH_CONTROL_ROLLBACK _IOW(TH_CONTROL_TYPE, 20, struct th_control_rollback)
#define TH_CONTROL_SNAPSHOT_SPACES _IOWR(TH_CONTROL_TYPE, 40, struct th_control_spaces)
#define TH_CONTROL_SNAPSHOT_SPACE_OF _IOWR(TH_CONTROL_TYPE, 41, struct th_control_space_of)
#define TH_CONTROL_COPY _IOWR(TH_CONTROL_TYPE, 42, struct th_control_copy)
#define TH_CONTROL_SEND_BEGIN _IOWR(TH_CONTROL_TYPE, 21, struct th_control_send_begin)

#define TH_CONTROL_SCRUB _IOWR(TH_CONTROL_TYPE, 21, struct th_control_scrub)
static_assert(sizeof(struct th_control_branches) <= 16383 && sizeof(struct th_control_list) <= 16383 &&
		      sizeof(struct th_control_holds) <= 16383 && sizeof(struct th_control_diff_next) <= 16383,
	      "the size field of an ioctl's number has 14 bits");

struct th_control;

/* Makes the answering side for one filesystem, which must outlive it.  Returns 0 or -ENOMEM. */
int th_control_new(struct th_fs *fs, struct th_control **ret);
/* Ends the diff sessions too.  No request may be in progress.  NULL is fine. */
void th_control_free(struct th_control *control);

/* Goes on with a scrub that an earlier mount did not complete.  Returns 0 or the error of starting a thread. */
int th_control_resume_scrub(struct th_control *control);

/* Discards free space for FITRIM, the ioctl of fstrim(8).  Arguments as for th_store_trim().  Returns 0, -EPERM unless
 * caller->admin, -EROFS, or as th_store_trim().  Any thread; no lock held (L5). */
int th_control_fitrim(struct th_control *control, const struct th_caller *caller, uint64_t start, uint64_t length,
		      uint64_t least, uint64_t *ret_bytes);

/* Answers one request.  Differences, trim, resizing and scrubs are for caller->admin only; the rights to change and to
 * list are in snapshot/permission.h.  in: in_size bytes.  out: room for out_max bytes, not overlapping in; *ret_size is
 * the number of bytes written.  Returns 0, -ENOTTY for an unknown command, -EINVAL for a malformed request, -EPROTO for
 * another version, -EPERM, -ESTALE if the session does not exist or was ended, -EBUSY if another thread uses it,
 * -EMFILE if there are too many sessions, or the error of the operation.  Any thread; no lock held (L5). */
int th_control_ioctl(struct th_control *control, const struct th_caller *caller, unsigned cmd, const void *in,
		     size_t in_size, void *out, size_t out_max, size_t *ret_size);

#endif
