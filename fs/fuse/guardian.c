/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DAEMON_ENDED SIGUSR1

/* Returns a mount of the kernel's list of connections that is in no directory, or -errno. */
static int mount_connections(void)
{
	int context = fsopen("fusectl", FSOPEN_CLOEXEC), mount;

	if (context < 0)
		return -errno;
	mount = fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -1 : fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (mount < 0)
		mount = -errno;
	close(context);
	return mount;
}

/* Opens the switch of the connection, which may belong to a user.  Returns a descriptor or -errno. */
static int open_switch(unsigned connection)
{
	char name[64];
	int fd, connections;

	snprintf(name, sizeof(name), "/sys/fs/fuse/connections/%u/abort", connection);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	connections = mount_connections();
	if (connections < 0)
		return connections;
	snprintf(name, sizeof(name), "%u/abort", connection);
	fd = openat(connections, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(connections);
	return fd;
}

/* The kernel numbers connections by the devices of their filesystems. */
static int find_connection(const char *directory, unsigned *ret)
{
	struct statx status;

	/* No request: nothing answers it yet. */
	if (statx(AT_FDCWD, directory, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &status) < 0)
		return -errno;
	*ret = status.stx_dev_major << 20 | status.stx_dev_minor;
	return 0;
}

/* Runs in the new process, in which other threads may have left any lock taken: makes system calls only. */
_Noreturn static void guard(int fd, pid_t daemon)
{
	sigset_t ended;
	int signal;

	prctl(PR_SET_NAME, "th-guardian", 0, 0, 0);
	setsid();
	if (chdir("/") < 0)
		_exit(1);
	if (fd > 0)
		close_range(0, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, UINT_MAX, 0);
	sigemptyset(&ended);
	sigaddset(&ended, DAEMON_ENDED);
	pthread_sigmask(SIG_SETMASK, &ended, NULL); /* others, which the daemon blocks, end it */
	prctl(PR_SET_PDEATHSIG, DAEMON_ENDED, 0, 0, 0);
	while (getppid() == daemon && sigwait(&ended, &signal) != 0)
		;
	ssize_t n = write(fd, "1", 1); /* without effect if it was unmounted */

	(void)n;
	_exit(0);
}

int th_fuse_guardian_start(const char *directory)
{
	pid_t daemon = getpid(), child;
	sigset_t signals, former;
	unsigned connection = 0;
	int err = find_connection(directory, &connection), fd = err ? err : open_switch(connection);

	if (fd < 0)
		return fd;
	sigemptyset(&signals);
	sigaddset(&signals, DAEMON_ENDED); /* blocked before it can come */
	pthread_sigmask(SIG_BLOCK, &signals, &former);
	child = fork();
	if (child == 0)
		guard(fd, daemon);
	err = child < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	close(fd);
	return err;
}
