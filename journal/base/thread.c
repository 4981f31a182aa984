/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/thread.h"

#include <signal.h>

int th_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static _Thread_local struct {
	th_thread_wait_hook *hook;
	void *arg;
} on_wait;

void th_thread_on_wait(th_thread_wait_hook *hook, void *arg)
{
	on_wait.hook = hook;
	on_wait.arg = arg;
}

void th_thread_waits(void)
{
	if (on_wait.hook)
		on_wait.hook(on_wait.arg);
}
