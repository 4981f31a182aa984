/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/fuse/fake_kernel.h"

#include <check.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/control/control.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/request.h"

#define NOTIFICATIONS_MAX 64

static struct th_fuse fuse;
static uint64_t unique;
static uint32_t caller_uid, caller_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static struct th_fake_message reply; /* lock */
static struct th_fake_message notifications[NOTIFICATIONS_MAX]; /* lock */
static unsigned nnotifications, returned; /* lock */

struct th_fuse *th_fake_kernel_fuse(void)
{
	return &fuse;
}

static ssize_t session_read(int fd, void *buf, size_t size, void *userdata)
{
	(void)fd;
	(void)buf;
	(void)size;
	(void)userdata;
	return 0;
}

static ssize_t session_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	struct th_fake_message *message;
	size_t size = 0;

	(void)fd;
	(void)userdata;
	pthread_mutex_lock(&lock);
	message = header->unique ? &reply : &notifications[nnotifications++ % NOTIFICATIONS_MAX];
	*message = (struct th_fake_message){ .error = header->error, .unique = header->unique };
	for (int i = 1; i < count; i++) {
		size_t room = sizeof(message->data) - message->size;
		size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;

		memcpy(message->data + message->size, iov[i].iov_base, part);
		message->size += part;
		size += iov[i].iov_len;
	}
	pthread_cond_broadcast(&arrived);
	pthread_mutex_unlock(&lock);
	return (ssize_t)(size + sizeof(*header));
}

void th_fake_kernel_caller(uint32_t uid, uint32_t thread)
{
	caller_uid = uid;
	caller_thread = thread;
}

const struct th_fake_message *th_fake_kernel_send(uint32_t opcode, uint64_t nodeid, const void *argument, size_t size)
{
	static _Alignas(8) uint8_t bytes[TH_FAKE_MESSAGE_MAX];
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + size),
		.opcode = opcode,
		.unique = ++unique,
		.nodeid = nodeid,
		.uid = caller_uid,
		.pid = caller_thread,
	};
	struct fuse_buf buf = { .size = header.len, .mem = bytes };

	ck_assert_uint_le(header.len, sizeof(bytes));
	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), argument, size);
	th_fuse_request_begin(bytes, header.len);
	fuse_session_process_buf(fuse.session, &buf);
	th_fuse_request_begin(NULL, 0);
	pthread_mutex_lock(&lock);
	while (reply.unique != unique)
		pthread_cond_wait(&arrived, &lock);
	pthread_mutex_unlock(&lock);
	return &reply;
}

uint64_t th_fake_kernel_lookup(uint64_t parent, const char *name)
{
	const struct th_fake_message *answer = th_fake_kernel_send(FUSE_LOOKUP, parent, name, strlen(name) + 1);
	struct fuse_entry_out entry;

	if (answer->error)
		return 0;
	memcpy(&entry, answer->data, sizeof(entry));
	return entry.nodeid;
}

const struct th_fake_message *th_fake_kernel_notification(void)
{
	const struct th_fake_message *message;

	pthread_mutex_lock(&lock);
	while (returned == nnotifications)
		pthread_cond_wait(&arrived, &lock);
	message = &notifications[returned++ % NOTIFICATIONS_MAX];
	pthread_mutex_unlock(&lock);
	return message;
}

unsigned th_fake_kernel_pending(void)
{
	pthread_mutex_lock(&lock);
	unsigned pending = nnotifications - returned;

	pthread_mutex_unlock(&lock);
	return pending;
}

void th_fake_kernel_open(struct th_scene *scene)
{
	static const struct fuse_custom_io io = { .read = session_read, .writev = session_writev };
	struct fuse_init_in init = { .major = 7, .minor = 36, .max_readahead = 1 << 20, .flags = ~0u };
	char name[] = "fake";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	nnotifications = returned = 0;
	th_fake_kernel_caller(TH_FAKE_USER, 0);
	scene->fs->options.mounted_by = TH_FAKE_USER;
	fuse = (struct th_fuse){ .fs = scene->fs, .directory = "/nonexistent" };
	ck_assert_int_eq(th_control_new(fuse.fs, &fuse.control), 0);
	fuse.session = fuse_session_new(&args, &th_fuse_ops, sizeof(th_fuse_ops), &fuse);
	fuse_opt_free_args(&args);
	ck_assert_ptr_nonnull(fuse.session);
	ck_assert_int_eq(fuse_session_custom_io(fuse.session, &io, open("/dev/null", O_RDWR | O_CLOEXEC)), 0);
	ck_assert_int_eq(th_fuse_notifier_start(&fuse), 0);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_INIT, 0, &init, sizeof(init))->error, 0);
}

void th_fake_kernel_close(void)
{
	th_fuse_notifier_stop(&fuse);
	fuse_session_destroy(fuse.session);
	th_control_free(fuse.control);
}
