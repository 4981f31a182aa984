/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk on io_uring, for transfers that are under way while their owner does something else.  One that is waited for
 * at once is a plain system call on its own thread (th_disk_file_now), which is cheaper still, the more so with many
 * readers.
 *
 * Whoever waits for a transfer reaps completions himself, so that it costs no hand-over to another thread.
 *
 * One thread at a time has the reaper's role: it waits in the kernel, completes what came, and passes the role on.
 * Others who wait sleep on a condition variable of their own until their future is complete or the role is theirs.
 * The role is held until everything that was reaped is complete, so that whoever finds it free knows that an incomplete
 * future of his is still in the ring.
 *
 * A future with a continuation may have nobody who waits.  While there are such futures, or somebody who watches
 * (`unattended`), and the role is free, an attendant thread polls the ring's descriptor.  It does not hold the role
 * while it sleeps, so a reader that comes along takes it at once.
 *
 * What somebody waits for may also be completed by the continuation of a transfer that its caller had to carry out
 * himself: so nobody waits in the kernel when nothing is under way there; a new transfer, or th_disk_reap without a
 * future, wakes those who sleep then.
 *
 * The kernel cancels what a thread had queued when that thread exits, and transfers may stop short: those rare ones are
 * finished on the spot by the reaper.  When all operations are in use the caller carries out its transfer itself, which
 * slows down whoever asks too much and cannot deadlock.
 *
 * Locks: submit_lock guards the submission queue, lock everything else; neither is held while a future is completed.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "journal/base/thread.h"
#include "journal/disk/disk_file.h"

#define URING_DEPTH 1024 /* transfers under way */
#define URING_SQ_ENTRIES 128 /* each is submitted at once; more only while the kernel is short of memory */
#define URING_BATCH 64

struct uring_disk;

struct uring_op {
	struct uring_disk *disk;
	struct th_transfer transfer;
	struct th_future *future; /* NULL while the operation is free */
	struct uring_op *next_free;
	bool unattended;
};

/* Somebody who waits while another one reaps.  On his stack. */
struct uring_sleeper {
	struct uring_sleeper *next, **prev;
	const struct th_future *future;
	pthread_cond_t wake;
};

struct uring_disk {
	struct th_disk_file file;
	struct io_uring ring;
	pthread_mutex_t submit_lock;

	pthread_mutex_t lock;
	struct uring_op *free_ops;
	struct uring_sleeper *sleepers;
	int under_way; /* in the ring; below 0 while one that is over was not counted yet */
	unsigned unattended;
	bool reaping; /* somebody has the reaper's role: the completion queue is his */
	bool stop;
	int stop_fd; /* an eventfd: wakes the attendant from poll */
	pthread_cond_t attendant_wake;
	pthread_t attendant;
	struct uring_op ops[URING_DEPTH];
};

/* A completion taken from the ring, and its operation, which is free again already. */
struct uring_done {
	struct th_transfer transfer;
	struct th_future *future;
	int res;
};

static th_future_drive uring_drive;
static th_future_attend uring_attend;

/* The future is initialised with the lock held: the reaper learns of it by the lock, not just by way of the kernel. */
static struct uring_op *op_take(struct uring_disk *disk, const struct th_transfer *transfer, struct th_future *future)
{
	struct uring_op *op;

	pthread_mutex_lock(&disk->lock);
	op = disk->free_ops;
	if (op) {
		disk->free_ops = op->next_free;
		op->transfer = *transfer;
		op->future = future;
		th_future_init(future, uring_drive, op);
		future->attend = uring_attend;
	} else {
		th_future_init(future, NULL, NULL);
	}
	pthread_mutex_unlock(&disk->lock);
	return op;
}

/* With the lock held. */
static void op_put(struct uring_op *op)
{
	struct uring_disk *disk = op->disk;

	if (op->unattended)
		disk->unattended--;
	op->unattended = false;
	op->future = NULL;
	op->next_free = disk->free_ops;
	disk->free_ops = op;
}

/* --- reaping --- */

/* With the lock, while nobody has the role: wakes those whose futures are complete, and somebody to take it. */
static void wake_sleepers(struct uring_disk *disk)
{
	struct uring_sleeper *heir = NULL;

	for (struct uring_sleeper *sleeper = disk->sleepers; sleeper; sleeper = sleeper->next) {
		if (th_future_poll(sleeper->future))
			pthread_cond_signal(&sleeper->wake);
		else
			heir = sleeper;
	}
	if (heir)
		pthread_cond_signal(&heir->wake);
	else if (disk->unattended)
		pthread_cond_signal(&disk->attendant_wake);
}

/* With the lock and the role. */
static void role_release(struct uring_disk *disk)
{
	disk->reaping = false;
	wake_sleepers(disk);
}

/* With the role: takes what is in the completion queue, after waiting for at least one if asked to. */
static unsigned take_done(struct uring_disk *disk, bool wait, struct uring_done *done)
{
	struct io_uring_cqe *cqes[URING_BATCH];
	unsigned ncqes, ndone = 0;

	if (wait)
		io_uring_wait_cqe(&disk->ring, &cqes[0]);
	ncqes = io_uring_peek_batch_cqe(&disk->ring, cqes, URING_BATCH);
	pthread_mutex_lock(&disk->lock);
	for (unsigned i = 0; i < ncqes; i++) {
		struct uring_op *op = io_uring_cqe_get_data(cqes[i]);

		if (!op)
			continue; /* a NOP */
		done[ndone++] =
			(struct uring_done){ .transfer = op->transfer, .future = op->future, .res = cqes[i]->res };
		disk->under_way--;
		op_put(op);
	}
	pthread_mutex_unlock(&disk->lock);
	io_uring_cq_advance(&disk->ring, ncqes);
	return ndone;
}

static int done_result(const struct uring_disk *disk, const struct uring_done *done)
{
	if (done->res == -EINTR || done->res == -EAGAIN || done->res == -ECANCELED)
		return th_disk_file_run(&disk->file, &done->transfer, 0);
	if (done->res < 0 || done->transfer.kind == TH_TRANSFER_FLUSH)
		return done->res;
	if ((size_t)done->res < th_transfer_size(&done->transfer))
		return th_disk_file_run(&disk->file, &done->transfer, (size_t)done->res);
	return 0;
}

static void reap(struct uring_disk *disk, bool wait)
{
	struct uring_done done[URING_BATCH];
	unsigned ndone = take_done(disk, wait, done);

	for (unsigned i = 0; i < ndone; i++)
		th_future_complete(done[i].future, done_result(disk, &done[i]));
}

/* With the lock: until the future may be complete or the role may be of use. */
static void sleep_until_woken(struct uring_disk *disk, const struct th_future *future)
{
	struct uring_sleeper self = { .next = disk->sleepers, .prev = &disk->sleepers, .future = future };

	pthread_cond_init(&self.wake, NULL);
	if (self.next)
		self.next->prev = &self.next;
	disk->sleepers = &self;
	pthread_cond_wait(&self.wake, &disk->lock);
	*self.prev = self.next;
	if (self.next)
		self.next->prev = self.prev;
	pthread_cond_destroy(&self.wake);
}

/* With the lock, which it lets go of meanwhile: takes the role, if it is free and there is something to reap. */
static bool reap_for(struct uring_disk *disk, const struct th_future *future)
{
	if (disk->reaping || disk->under_way <= 0)
		return false;
	disk->reaping = true;
	do {
		pthread_mutex_unlock(&disk->lock);
		reap(disk, true);
		pthread_mutex_lock(&disk->lock);
	} while (!th_future_poll(future) && disk->under_way > 0);
	role_release(disk);
	return true;
}

static void reap_until(struct uring_disk *disk, const struct th_future *future)
{
	pthread_mutex_lock(&disk->lock);
	while (!th_future_poll(future))
		if (!reap_for(disk, future))
			sleep_until_woken(disk, future);
	pthread_mutex_unlock(&disk->lock);
}

static void reap_arrived(struct uring_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	if (!disk->reaping && io_uring_cq_ready(&disk->ring) > 0) {
		disk->reaping = true;
		pthread_mutex_unlock(&disk->lock);
		reap(disk, false);
		pthread_mutex_lock(&disk->lock);
		role_release(disk);
	} else if (!disk->reaping) {
		wake_sleepers(disk);
	}
	pthread_mutex_unlock(&disk->lock);
}

static void uring_reap(struct th_disk *base, struct th_future *future)
{
	struct uring_disk *disk = (struct uring_disk *)base;

	if (future)
		reap_until(disk, future);
	else
		reap_arrived(disk);
}

static void uring_drive(struct th_future *future)
{
	reap_until(((struct uring_op *)future->owner)->disk, future);
}

static void uring_watch(struct th_disk *base, bool on)
{
	struct uring_disk *disk = (struct uring_disk *)base;

	pthread_mutex_lock(&disk->lock);
	if (!on)
		disk->unattended--;
	else if (disk->unattended++ == 0 && !disk->reaping)
		pthread_cond_signal(&disk->attendant_wake);
	pthread_mutex_unlock(&disk->lock);
}

/* The operation may be another future's by now: then this one is complete. */
static void uring_attend(struct th_future *future)
{
	struct uring_op *op = future->owner;
	struct uring_disk *disk = op->disk;

	pthread_mutex_lock(&disk->lock);
	if (op->future == future && !op->unattended) {
		op->unattended = true;
		if (disk->unattended++ == 0 && !disk->reaping)
			pthread_cond_signal(&disk->attendant_wake);
	}
	pthread_mutex_unlock(&disk->lock);
}

static void *attendant_run(void *arg)
{
	struct uring_disk *disk = arg;
	struct pollfd fds[] = { { .fd = disk->ring.ring_fd, .events = POLLIN },
				{ .fd = disk->stop_fd, .events = POLLIN } };

	pthread_mutex_lock(&disk->lock);
	while (!disk->stop) {
		if (disk->reaping || !disk->unattended) {
			pthread_cond_wait(&disk->attendant_wake, &disk->lock);
			continue;
		}
		pthread_mutex_unlock(&disk->lock);
		poll(fds, 2, -1);
		pthread_mutex_lock(&disk->lock);
		if (disk->reaping || disk->stop)
			continue;
		disk->reaping = true;
		pthread_mutex_unlock(&disk->lock);
		reap(disk, false);
		pthread_mutex_lock(&disk->lock);
		role_release(disk);
	}
	pthread_mutex_unlock(&disk->lock);
	return NULL;
}

/* --- submitting --- */

/* From the caller's transfer: the kernel has copied the iov array when it has taken the submission, and the operation
 * may be over and someone else's before we look again. */
static void prepare(struct io_uring_sqe *sqe, int fd, const struct th_transfer *transfer, struct uring_op *op)
{
	uint64_t offset = transfer->addr << TH_BLOCK_SHIFT;
	int iovcnt;
	const struct iovec *iov = th_transfer_iov(transfer, &iovcnt);

	if (transfer->kind == TH_TRANSFER_GET)
		io_uring_prep_readv(sqe, fd, iov, (unsigned)iovcnt, offset);
	else if (transfer->kind == TH_TRANSFER_SAVE)
		io_uring_prep_writev(sqe, fd, iov, (unsigned)iovcnt, offset);
	else
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, op);
}

/* False if the kernel did not take it: then it is not and will not be under way. */
static bool submit(struct uring_disk *disk, const struct th_transfer *transfer, struct uring_op *op)
{
	struct io_uring_sqe *sqe;
	bool taken = false;

	pthread_mutex_lock(&disk->submit_lock);
	sqe = io_uring_get_sqe(&disk->ring);
	if (sqe) {
		prepare(sqe, disk->file.fd, transfer, op);
		while (io_uring_submit(&disk->ring) == -EINTR)
			;
		taken = io_uring_sq_ready(&disk->ring) == 0;
		/* What the kernel left stays in the queue, to go with the next one.  As a NOP. */
		if (!taken) {
			io_uring_prep_nop(sqe);
			io_uring_sqe_set_data(sqe, NULL);
		}
	}
	pthread_mutex_unlock(&disk->submit_lock);
	return taken;
}

/* Counted only now: who waits in the kernel must not do so for one that it did not take. */
static void note_under_way(struct uring_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->under_way++;
	if (disk->sleepers && !disk->reaping)
		pthread_cond_signal(&disk->sleepers->wake);
	pthread_mutex_unlock(&disk->lock);
}

static void uring_start(struct th_disk *base, const struct th_transfer *transfer, struct th_future *future)
{
	struct uring_disk *disk = (struct uring_disk *)base;
	struct uring_op *op;

	if (transfer->kind == TH_TRANSFER_SAVE && disk->file.read_only) {
		th_future_init(future, NULL, NULL);
		th_future_complete(future, -EROFS);
		return;
	}
	op = op_take(disk, transfer, future);
	if (op && submit(disk, transfer, op)) {
		note_under_way(disk);
		return;
	}
	if (op) {
		pthread_mutex_lock(&disk->lock);
		op_put(op);
		pthread_mutex_unlock(&disk->lock);
	}
	th_future_complete(future, th_disk_file_run(&disk->file, transfer, 0));
}

static void uring_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	struct th_transfer transfer = th_transfer_get(addr, blocks, buf);

	uring_start(disk, &transfer, future);
}

static void uring_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
		       struct th_future *future)
{
	struct th_transfer transfer = th_transfer_save(addr, iov, iovcnt);

	uring_start(disk, &transfer, future);
}

static void uring_flush(struct th_disk *disk, struct th_future *future)
{
	struct th_transfer transfer = th_transfer_flush();

	uring_start(disk, &transfer, future);
}

/* --- opening and closing --- */

static void attendant_stop(struct uring_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->stop = true;
	pthread_cond_signal(&disk->attendant_wake);
	pthread_mutex_unlock(&disk->lock);
	eventfd_write(disk->stop_fd, 1);
	pthread_join(disk->attendant, NULL);
}

/* Everything but the file. */
static void uring_free(struct uring_disk *disk)
{
	io_uring_queue_exit(&disk->ring);
	close(disk->stop_fd);
	pthread_cond_destroy(&disk->attendant_wake);
	pthread_mutex_destroy(&disk->lock);
	pthread_mutex_destroy(&disk->submit_lock);
	free(disk);
}

static void uring_close(struct th_disk *base)
{
	struct uring_disk *disk = (struct uring_disk *)base;
	struct th_disk_file file = disk->file;

	attendant_stop(disk);
	uring_free(disk);
	th_disk_file_release(&file);
}

static const struct th_disk_ops uring_ops = {
	.get = uring_get,
	.save = uring_save,
	.flush = uring_flush,
	.now = th_disk_file_now,
	.reap = uring_reap,
	.watch = uring_watch,
	.close = uring_close,
};

/* Any failure means: not here.  Kernels before 5.5 want the iov array to outlive the submission by more than we know.
 */
static int ring_init(struct io_uring *ring)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = 2 * URING_DEPTH };

	if (io_uring_queue_init_params(URING_SQ_ENTRIES, ring, &params) < 0)
		return -ENOSYS;
	if (!(params.features & IORING_FEAT_SUBMIT_STABLE)) {
		io_uring_queue_exit(ring);
		return -ENOSYS;
	}
	return 0;
}

static void init_ops(struct uring_disk *disk)
{
	for (size_t i = 0; i < URING_DEPTH; i++) {
		disk->ops[i].disk = disk;
		disk->ops[i].next_free = i + 1 < URING_DEPTH ? &disk->ops[i + 1] : NULL;
	}
	disk->free_ops = disk->ops;
}

static int open_fds(struct uring_disk *disk)
{
	int err = ring_init(&disk->ring);

	if (err)
		return err;
	disk->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (disk->stop_fd >= 0)
		return 0;
	err = -errno;
	io_uring_queue_exit(&disk->ring);
	return err;
}

int th_disk_uring_new(const struct th_disk_file *file, struct th_disk **ret)
{
	struct uring_disk *disk = calloc(1, sizeof(*disk));
	int err;

	if (!disk)
		return -ENOMEM;
	disk->file = *file;
	disk->file.disk.ops = &uring_ops;
	init_ops(disk);
	err = open_fds(disk);
	if (err) {
		free(disk);
		return err;
	}
	pthread_mutex_init(&disk->submit_lock, NULL);
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->attendant_wake, NULL);
	err = th_thread_start(&disk->attendant, attendant_run, disk);
	if (err) {
		uring_free(disk);
		return err;
	}
	*ret = &disk->file.disk;
	return 0;
}
