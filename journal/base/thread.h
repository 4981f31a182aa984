/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that start with all signals blocked, and a notice before a thread waits. */
#ifndef TH_JOURNAL_BASE_THREAD_H
#define TH_JOURNAL_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that runs run(arg), with every signal blocked: signals are for the threads of the program that uses
 * the library.  The caller joins or detaches *ret.  Returns 0 or -errno. */
int th_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);

typedef void th_thread_wait_hook(void *arg);

/* Sets the hook that th_thread_waits() calls on this thread; NULL: none, as at first.  A thread can have a role that no
 * other thread may have while it works, and that it should pass on before it waits: the hook does that. */
void th_thread_on_wait(th_thread_wait_hook *hook, void *arg);
/* Calls this thread's hook.  Every function calls this before it may block for as long as a disk takes. */
void th_thread_waits(void);

#endif
