/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/fuse/request.h"

static _Thread_local int current;

int th_fuse_channel(void)
{
	return current;
}

void th_fuse_set_channel(int channel)
{
	current = channel;
}

static ssize_t channel_read(int fd, void *buf, size_t size, void *userdata)
{
	(void)userdata;
	return read(current ? current : fd, buf, size);
}

static ssize_t channel_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)userdata;
	th_fuse_request_reply(iov, count);
	return writev(current ? current : fd, iov, count);
}

int th_fuse_channel_setup(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .read = channel_read, .writev = channel_writev };

	return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}

int th_fuse_channel_open(struct fuse_session *session, bool nonblocking)
{
	uint32_t session_fd = (uint32_t)fuse_session_fd(session);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0));

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FUSE_DEV_IOC_CLONE, &session_fd) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}
