/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/place.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void th_place_watch_release(struct th_place_watch *watch)
{
	if (watch->tid)
		close(watch->fd);
	watch->tid = 0;
}

/* Returns 0, or -1 if there is no such thread. */
static int watch_begin(struct th_place_watch *watch, pid_t tid)
{
	char path[32];

	th_place_watch_release(watch);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	watch->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (watch->fd < 0)
		return -1;
	watch->tid = tid;
	return 0;
}

int th_place_core_of(struct th_place_watch *watch, pid_t tid)
{
	char stat[512], *at;
	ssize_t n;
	int core;

	if (watch->tid != tid && watch_begin(watch, tid) < 0)
		return -1;
	n = pread(watch->fd, stat, sizeof(stat) - 1, 0);
	if (n <= 0) { /* the thread has ended; another one may have its number now */
		th_place_watch_release(watch);
		return -1;
	}
	stat[n] = 0;
	at = strrchr(stat, ')'); /* field 2, a name of any bytes, ends here; the core is field 39 */
	for (int field = 2; at && field < 39; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, "%d", &core) == 1 ? core : -1;
}

int th_place_policy(pid_t tid, int policy)
{
	return sched_setscheduler(tid, policy, &(struct sched_param){ 0 });
}

void *th_place_try(void *arg)
{
	*(bool *)arg = th_place_policy(0, SCHED_IDLE) == 0 && th_place_policy(0, SCHED_OTHER) == 0;
	return NULL;
}
