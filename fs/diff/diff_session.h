/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diffs under way on behalf of a tool, which reads them piece by piece (control.h).  A few at a time; those that nobody
 * has asked anything of for a while are ended by a thread that runs while there are any to watch.
 */
#ifndef TH_FS_DIFF_DIFF_SESSION_H
#define TH_FS_DIFF_DIFF_SESSION_H

#include "fs/diff/diff.h"

struct th_diff_sessions;

/* What one read of a session brought. */
struct th_diff_session_piece {
	size_t bytes; /* put into the buffer */
	bool ended; /* nothing comes after them */
	struct th_diff_stats stats;
};

int th_diff_sessions_new(struct th_diff_sessions **ret);
/* Ends all sessions.  None may be in use.  NULL is fine. */
void th_diff_sessions_free(struct th_diff_sessions *sessions);

/* Takes over the diff, and path (may be NULL; freed with free()), on success only.  -EMFILE: too many. */
int th_diff_session_begin(struct th_diff_sessions *sessions, struct th_fs_diff *diff, char *path, uint64_t *ret_id);
/* The next bytes of the stream of changes that touch path; the work done at a time is limited, so there may be none
 * before the end.  An error ends the session.  -ESTALE: no such session; -EBUSY: it is in use. */
int th_diff_session_read(struct th_diff_sessions *sessions, uint64_t id, void *buffer, size_t size,
			 struct th_diff_session_piece *ret);
int th_diff_session_end(struct th_diff_sessions *sessions, uint64_t id);

#endif
