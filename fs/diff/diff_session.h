/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diff sessions: diffs and other streams that a tool reads piece by piece (control.h).  Their number is limited.  A
 * session pins two views and so the space of snapshots that are deleted; a thread ends sessions that are idle, because
 * the tool may have been killed.  The thread starts with the first session.
 */
#ifndef TH_FS_DIFF_DIFF_SESSION_H
#define TH_FS_DIFF_DIFF_SESSION_H

#include "fs/diff/diff.h"

#define TH_DIFF_SESSIONS_MAX 16 /* open at a time, of one filesystem */
#define TH_DIFF_SESSION_IDLE_SECONDS 60

struct th_diff_sessions;

/* The result of one read. */
struct th_diff_session_piece {
	size_t bytes; /* put into the buffer */
	bool ended; /* these were the last */
	struct th_diff_stats stats;
};

/* What a session reads: a diff, or another stream of bytes. */
struct th_session_source {
	void *arg; /* of these functions */
	/* Makes the next bytes, valid until the next call.  Returns 0, 1 at the end, -EAGAIN if there are none after
	 * much work, or an error. */
	int (*next)(void *arg, struct th_slice *ret);
	void (*stats)(void *arg, struct th_diff_stats *ret); /* NULL: zeros */
	void (*close)(void *arg);
	unsigned idle_seconds; /* after which the session is ended */
};

/* Returns 0 or -ENOMEM. */
int th_diff_sessions_new(struct th_diff_sessions **ret);
/* Ends all sessions.  None may be in use.  NULL is fine. */
void th_diff_sessions_free(struct th_diff_sessions *sessions);

/* Ends all sessions: a later read of one returns -ESTALE.  None may be in use. */
void th_diff_sessions_end(struct th_diff_sessions *sessions);

/* Begins a session, which on success owns the source.  Returns 0, -EMFILE if TH_DIFF_SESSIONS_MAX are open, or an error
 * of creating the thread. */
int th_session_begin(struct th_diff_sessions *sessions, const struct th_session_source *source, uint64_t *ret_id);
/* Begins a session, which on success owns the diff.  Returns 0, -EMFILE if TH_DIFF_SESSIONS_MAX are open, or an error
 * of creating the thread. */
int th_diff_session_begin(struct th_diff_sessions *sessions, struct th_fs_diff *diff, uint64_t *ret_id);
/* Reads the next bytes of the stream of changes.  A call does a limited amount of work,
 * so it may return no bytes before the end.  Returns 0, -ESTALE if there is no such session, -EBUSY if another thread
 * uses it, or an error of the diff, which ends the session. */
int th_diff_session_read(struct th_diff_sessions *sessions, uint64_t id, void *buffer, size_t size,
			 struct th_diff_session_piece *ret);
/* Returns 0, -ESTALE or -EBUSY. */
int th_diff_session_end(struct th_diff_sessions *sessions, uint64_t id);

#endif
