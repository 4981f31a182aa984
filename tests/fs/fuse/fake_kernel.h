/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a FUSE session, for tests without a mount: it sends requests to the handlers, and keeps the
 * replies and notifications that the daemon writes.
 */
#ifndef TH_TESTS_FS_FUSE_FAKE_KERNEL_H
#define TH_TESTS_FS_FUSE_FAKE_KERNEL_H

#include <stdint.h>

#include "fs/fuse/session.h"
#include "tests/fs/scene.h"

#define TH_FAKE_MESSAGE_MAX 4096

/* A message from the daemon. */
struct th_fake_message {
	int error; /* of a reply: 0 or -errno; of a notification: its code */
	uint64_t unique; /* of the request; 0: a notification */
	size_t size; /* of data */
	uint8_t data[TH_FAKE_MESSAGE_MAX];
};

/* Opens a session on the scene's filesystem, and sends INIT.  With the notifier's thread. */
void th_fake_kernel_open(struct th_scene *scene);
void th_fake_kernel_close(void);
struct th_fuse *th_fake_kernel_fuse(void);

/* The user who mounted, by whom requests are until th_fake_kernel_caller. */
#define TH_FAKE_USER 1000
/* Sets the caller of the requests that follow. */
void th_fake_kernel_caller(uint32_t uid, uint32_t thread);
/* Sends a request and returns its reply, which is valid until the next call. */
const struct th_fake_message *th_fake_kernel_send(uint32_t opcode, uint64_t nodeid, const void *argument, size_t size);
/* Sends LOOKUP and returns the node id, which the kernel then knows; 0: the name does not exist. */
uint64_t th_fake_kernel_lookup(uint64_t parent, const char *name);
/* Returns the next notification that was not returned yet; waits for it. */
const struct th_fake_message *th_fake_kernel_notification(void);
/* Returns how many notifications have arrived that were not returned yet. */
unsigned th_fake_kernel_pending(void);

#endif
