/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a future is one word of bits, so that completing, waiting and leaving a continuation are one atomic
 * operation each.  The completing thread must not touch the future afterwards: a waiter may have freed it.
 */
#include "journal/disk/future.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "journal/base/thread.h"

enum {
	FUTURE_COMPLETE = 1 << 0,
	FUTURE_THEN = 1 << 1, /* then and then_arg are set */
	FUTURE_SLEEPER = 1 << 2, /* a thread sleeps on the state word */
};

void th_future_init(struct th_future *future, th_future_drive *drive, void *owner)
{
	*future = (struct th_future){ .drive = drive, .owner = owner };
}

bool th_future_poll(const struct th_future *future)
{
	return __atomic_load_n(&future->state, __ATOMIC_ACQUIRE) & FUTURE_COMPLETE;
}

/* Sleeps until the state changes.  May wake spuriously. */
static void future_sleep(struct th_future *future)
{
	int seen = __atomic_fetch_or(&future->state, FUTURE_SLEEPER, __ATOMIC_SEQ_CST) | FUTURE_SLEEPER;

	if (!(seen & FUTURE_COMPLETE))
		syscall(SYS_futex, &future->state, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

int th_future_wait(struct th_future *future)
{
	if (!th_future_poll(future))
		th_thread_waits();
	while (!th_future_poll(future)) {
		if (future->drive)
			future->drive(future);
		else
			future_sleep(future);
	}
	return future->result;
}

void th_future_await(struct th_future *future)
{
	if (!th_future_poll(future))
		th_thread_waits();
	while (!th_future_poll(future))
		future_sleep(future);
}

bool th_future_then_driven(struct th_future *future, th_future_continuation *then, void *arg)
{
	future->then = then;
	future->then_arg = arg;
	if (!(__atomic_fetch_or(&future->state, FUTURE_THEN, __ATOMIC_SEQ_CST) & FUTURE_COMPLETE))
		return false;
	then(future, arg);
	return true;
}

void th_future_then(struct th_future *future, th_future_continuation *then, void *arg)
{
	/* Before the continuation is published: after that it may free the future at any time. */
	if (future->attend && !th_future_poll(future))
		future->attend(future);
	th_future_then_driven(future, then, arg);
}

void th_future_complete(struct th_future *future, int result)
{
	void *word = &future->state;
	int before;

	future->result = result;
	before = __atomic_fetch_or(&future->state, FUTURE_COMPLETE, __ATOMIC_SEQ_CST);
	if (before & FUTURE_THEN)
		future->then(future, future->then_arg);
	/* The future may be freed by now.  Waking by its address is harmless: other sleepers check their state again.
	 */
	if (before & FUTURE_SLEEPER)
		syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
