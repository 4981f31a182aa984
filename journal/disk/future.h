/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A future: the result of one transfer, available now or later.
 *
 * The caller polls a future, waits for it, or leaves one continuation with it; there are no combinators.  The memory of
 * a future is the caller's and must stay valid until the future is complete.  A future completes exactly once.
 * Any thread may call any function here.
 */
#ifndef TH_FUTURE_H
#define TH_FUTURE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct th_future;

/* Advances a pending future while a thread waits for it: a disk reaps its completions here.  May block until at least
 * one transfer of the future's owner has completed. */
typedef void th_future_drive(struct th_future *future);
/* Notifies the owner that a continuation is about to be left with the future, so that no thread may ever wait for it:
 * from now on the owner completes it without being driven.  Must not block. */
typedef void th_future_attend(struct th_future *future);
/* Runs once the future is complete, on the thread that completes it.  Must not block, but may start transfers and may
 * free the future. */
typedef void th_future_continuation(struct th_future *future, void *arg);

struct th_future {
	int state; /* private: bits for complete, has a continuation, has a sleeper; accessed with __atomic builtins */
	int result; /* 0 or -errno; valid once the future is complete */
	th_future_drive *drive; /* NULL: the owner completes the future by itself */
	th_future_attend *attend; /* NULL: the same; set by the owner after th_future_init() */
	void *owner; /* for drive and attend */
	th_future_continuation *then;
	void *then_arg;
};

/* Initialises a future that th_future_complete() will complete.  For owners: disks, or callers with futures of their
 * own.  drive may be NULL. */
void th_future_init(struct th_future *future, th_future_drive *drive, void *owner);
/* Returns whether the future is complete.  Never blocks. */
bool th_future_poll(const struct th_future *future);
/* Blocks until the future is complete, driving its owner, and returns the result.  Not for a future with a
 * continuation. */
int th_future_wait(struct th_future *future);
/* Blocks until the future is complete without driving its owner, where other threads complete it. */
void th_future_await(struct th_future *future);
/* Sets the continuation, of which a future has one.  If the future is already complete, the continuation runs at once,
 * on this thread.  Otherwise the owner completes the future without being driven. */
void th_future_then(struct th_future *future, th_future_continuation *then, void *arg);
/* The same, but the owner need not complete the future by itself: the caller drives it, for a disk by th_disk_reap().
 * Returns true if the future was already complete; then the continuation has run. */
bool th_future_then_driven(struct th_future *future, th_future_continuation *then, void *arg);
/* Completes the future with 0 or -errno, runs its continuation and wakes its waiters.  For owners, once.  The future
 * may be freed when this returns. */
void th_future_complete(struct th_future *future, int result);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
