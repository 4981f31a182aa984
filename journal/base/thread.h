/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of ours in a process that has signals of its own. */
#ifndef TH_JOURNAL_BASE_THREAD_H
#define TH_JOURNAL_BASE_THREAD_H

#include <pthread.h>

/* Begins a thread in which every signal is blocked: they are for the threads of whoever uses us.  0 or -errno. */
int th_thread_start(pthread_t *ret, void *(*run)(void *), void *arg);

/* A thread may have a role that nobody else has while it works, but that it should not keep while it waits.  So
 * whatever waits as long as a disk takes says so before (th_thread_waits), and what this thread asked for here is
 * called; as a rule it has not asked. */
void th_thread_on_wait(void (*give)(void *arg), void *arg);
void th_thread_waits(void);

#endif
