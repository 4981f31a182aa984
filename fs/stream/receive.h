/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver: takes streams, in parts of any size, and makes their snapshots in an image that is not mounted.
 *
 * A snapshot appears when all of its stream has come and was checked.  Until then the branch has a part of it, and a
 * record of how far it is (snapshot/unfinished.h), so that a receiver that was killed goes on there.  Other branches,
 * and all snapshots, are as before.
 */
#ifndef TH_FS_STREAM_RECEIVE_H
#define TH_FS_STREAM_RECEIVE_H

#include "fs/inode/context.h"
#include "fs/stream/record.h"

struct th_receive;

enum th_receive_event {
	TH_RECEIVE_BEGUN,
	TH_RECEIVE_RESUMED,
	TH_RECEIVE_PRESENT, /* the snapshot exists: its stream is skipped */
	TH_RECEIVE_DONE,
	TH_RECEIVE_KEPT, /* force: `branch` is the name that a changed branch has now */
};

struct th_receive_options {
	const char *image; /* path; NULL: the streams are only checked */
	const char *branch; /* to receive into; NULL: that of the base, or else the current one */
	bool force; /* a branch that has changed since the base is renamed, and its name begins again from the base */
	th_report_line *report; /* takes messages of the filesystem; NULL: stderr */
	/* Called at the beginning and the end of each stream. */
	void (*event)(void *arg, enum th_receive_event event, const struct th_stream_info *info, const char *branch,
		      const struct th_stream_totals *totals);
	void *arg; /* of both */
};

#define TH_RECEIVE_WHY_MAX 1024

/* The strings of options stay the caller's until th_receive_close.  Returns 0 or -ENOMEM. */
int th_receive_new(const struct th_receive_options *options, struct th_receive **ret);
/* Takes the next bytes.  Returns 0, or an error, after which the rest is not wanted; th_receive_why has its reason. */
int th_receive_feed(struct th_receive *receive, const void *bytes, size_t size);
/* Ends the input.  Returns 0, or -ENODATA if it ended within a stream, or was empty. */
int th_receive_end(struct th_receive *receive);
/* Returns the reason of the last error in words; empty: it is the text of the error. */
const char *th_receive_why(const struct th_receive *receive);
/* Keeps what was received so far, for another receiver.  Closes the image.  Returns 0 or an error of closing it. */
int th_receive_close(struct th_receive *receive);

/* Finds the unfinished receive of an image: the one of `branch`, NULL: any.  Fills in the token for the sender.
 * Returns 0, -ENOENT if there is none, or an error of opening the image. */
int th_receive_token(const struct th_receive_options *options, char ret[TH_STREAM_TOKEN_SIZE]);
/* Undoes it: the branch is again as its newest snapshot is, or is deleted if it was created for the receive.  Returns
 * as th_receive_token, or a write error. */
int th_receive_abort(const struct th_receive_options *options);

#endif
