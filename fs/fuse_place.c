/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse_place.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int th_place_core_of(pid_t tid)
{
	char path[32], stat[512], *at;
	int fd, core;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	stat[n] = 0;
	at = strrchr(stat, ')'); /* the end of field 2, a name of any bytes; the core is field 39 */
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
