/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A future: the result of one transfer that may not have happened yet.
 *
 * Futures are direct: a caller polls one, waits for one, or leaves one continuation with it.  There are no
 * combinators.  The memory of a future is the caller's and must stay valid until it is complete; a future is complete
 * exactly once.
 */
#ifndef TH_FUTURE_H
#define TH_FUTURE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct th_future;

/* What brings a pending future forward while somebody waits: a disk reaps its completions here.  May block until at
 * least one transfer of its owner has completed.  NULL where the owner completes futures by itself. */
typedef void th_future_drive(struct th_future *future);
/* Told that a continuation is about to be left with the future, so that nobody may ever wait for it: the owner must now
 * complete it without being driven.  Must not block.  NULL where the owner completes futures by itself. */
typedef void th_future_attend(struct th_future *future);
typedef void th_future_continuation(struct th_future *future, void *arg);

struct th_future {
	int state; /* private: bits, accessed with __atomic builtins, for complete, with a continuation, waited for */
	int result; /* 0 or -errno, valid once complete */
	th_future_drive *drive;
	th_future_attend *attend; /* set by the owner after th_future_init */
	void *owner; /* for drive and attend */
	th_future_continuation *then;
	void *then_arg;
};

/* A future that completes when th_future_complete is called.  drive may be NULL. */
void th_future_init(struct th_future *future, th_future_drive *drive, void *owner);
/* True once complete; never blocks. */
bool th_future_poll(const struct th_future *future);
/* Blocks until complete and returns the result.  Not for a future that was given a continuation. */
int th_future_wait(struct th_future *future);
/* Blocks likewise, but does not drive the owner: for where others complete it without that. */
void th_future_await(struct th_future *future);
/* Leaves the one continuation.  It runs on the thread that completes the future, or at once on this thread if it is
 * complete already.  It must not block (starting further transfers is fine), and may free the future. */
void th_future_then(struct th_future *future, th_future_continuation *then, void *arg);
/* The same, but the owner need not complete the future by itself: whoever leaves the continuation sees to it that the
 * owner is driven, as a disk is by th_disk_reap.  True if the future was complete: then the continuation has run. */
bool th_future_then_driven(struct th_future *future, th_future_continuation *then, void *arg);
/* For disk models: completes the future with 0 or -errno and wakes whoever waits. */
void th_future_complete(struct th_future *future, int result);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
