/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of ours in a process that has signals of its own. */
#ifndef TH_THREAD_H
#define TH_THREAD_H

#include <pthread.h>

/* Begins a thread in which every signal is blocked: they are for the threads of whoever uses us.  0 or -errno. */
int th_thread_start(pthread_t *ret, void *(*run)(void *), void *arg);

#endif
