/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of locks between processes */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/mount/posix.h"

/* Runs `try` in another process, on its own descriptor.  Returns 0 if it got the lock, else the errno. */
static int elsewhere(const char *name, int (*try)(int fd))
{
	int status;
	pid_t child = fork();

	must(child >= 0);
	if (!child) {
		int fd = open(name, O_RDWR | O_CLOEXEC);

		_exit(fd < 0 ? 255 : try(fd) < 0 ? errno : 0);
	}
	must(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_flock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB);
}

static int try_flock_shared(int fd)
{
	return flock(fd, LOCK_SH | LOCK_NB);
}

static int set_range(int fd, int command, int type, off_t from, off_t size)
{
	struct flock lock = { .l_type = (short)type, .l_whence = SEEK_SET, .l_start = from, .l_len = size };

	return fcntl(fd, command, &lock);
}

static int try_first_bytes(int fd)
{
	return set_range(fd, F_SETLK, F_WRLCK, 0, 10);
}

static int try_last_bytes(int fd)
{
	return set_range(fd, F_SETLK, F_WRLCK, 100, 0);
}

static int try_read_first_bytes(int fd)
{
	return set_range(fd, F_SETLK, F_RDLCK, 0, 10);
}

static int try_first_bytes_ofd(int fd)
{
	return set_range(fd, F_OFD_SETLK, F_WRLCK, 0, 10);
}

static int open_new(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	must(fd >= 0);
	return fd;
}

static void probe_flock(void)
{
	int fd = open_new("flock");

	must(!flock(fd, LOCK_SH));
	must(elsewhere("flock", try_flock) == EWOULDBLOCK);
	must(elsewhere("flock", try_flock_shared) == 0);
	must(!flock(fd, LOCK_EX));
	must(elsewhere("flock", try_flock_shared) == EWOULDBLOCK);
	must(!flock(fd, LOCK_UN));
	must(elsewhere("flock", try_flock) == 0);
	close(fd);
}

static void probe_fcntl(void)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
	int fd = open_new("fcntl");

	must(!set_range(fd, F_SETLK, F_WRLCK, 0, 10));
	must(elsewhere("fcntl", try_first_bytes) == EAGAIN);
	must(elsewhere("fcntl", try_last_bytes) == 0);
	must(elsewhere("fcntl", try_first_bytes_ofd) == EAGAIN);
	must(!set_range(fd, F_SETLK, F_RDLCK, 0, 10));
	must(elsewhere("fcntl", try_read_first_bytes) == 0);
	must(!fcntl(fd, F_GETLK, &lock) && lock.l_type == F_UNLCK);
	/* closing any descriptor of the file ends a process's locks */
	close(open("fcntl", O_RDONLY | O_CLOEXEC));
	must(elsewhere("fcntl", try_first_bytes) == 0);
	close(fd);
}

static void probe_ofd(void)
{
	int fd = open_new("ofd"), other = open_new("ofd");

	must(!set_range(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	must_fail(EAGAIN, set_range(other, F_OFD_SETLK, F_WRLCK, 5, 1));
	must(!set_range(other, F_OFD_SETLK, F_WRLCK, 10, 5));
	close(other);
	must(elsewhere("ofd", try_first_bytes_ofd) == EAGAIN);
	must(elsewhere("ofd", try_first_bytes) == EAGAIN);
	must(!set_range(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
	must(elsewhere("ofd", try_first_bytes_ofd) == 0);
	close(fd);
}

const struct posix_probe posix_lock_probes[] = {
	{ "flock", probe_flock },
	{ "fcntl", probe_fcntl },
	{ "ofd", probe_ofd },
	{ NULL, NULL },
};
