/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk on io_uring, for transfers that are under way while their caller does something else.  A transfer that is
 * waited for at once is a plain system call on the caller's thread (th_disk_file_now), which is cheaper still, the more
 * so with many readers.
 *
 * A thread that waits for a transfer reaps completions itself, so that no hand-over to another thread is needed.
 *
 * One thread at a time has the reaper's role: it waits in the kernel, completes the futures of what arrived, and passes
 * the role on.  Other waiting threads sleep, each on a condition variable of its own, until their future is complete or
 * the role is theirs.  The reaper keeps the role until every reaped future is complete.  So a thread that finds the
 * role free knows that its incomplete future is still in the ring.
 *
 * A future with a continuation may have no waiting thread.  While there are such futures, or a caller has asked for it
 * by th_disk_watch (`unattended` counts both), and the role is free, an attendant thread polls the ring's descriptor.
 * It does not hold the role while it sleeps, so a reader that arrives takes the role at once.
 *
 * A future that a thread waits for may also be completed by the continuation of a transfer that its caller had to carry
 * out itself.  So no thread waits in the kernel when no transfer is under way there.  A new transfer, or th_disk_reap
 * without a future, wakes the threads that sleep then.
 *
 * When a thread exits the kernel cancels the transfers that it had queued, and a transfer may stop short.  The reaper
 * finishes these rare ones on the spot.  When all operations are in use the caller carries out its transfer itself:
 * that slows down the callers that start too many, and cannot deadlock.
 *
 * Locks: submit_lock guards the submission queue, lock everything else.  Neither is held while a future is completed.
 *
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
#define URING_SQ_ENTRIES 128 /* each is submitted at once, so one is used; more while the kernel is short of memory */
#define URING_BATCH 64 /* completions reaped at once */

struct uring_disk;

struct uring_op {
	struct uring_disk *disk;
	struct th_transfer transfer;
	struct th_future *future; /* NULL while the operation is free */
	struct uring_op *next_free;
	bool unattended;
};

/* A thread that waits while another one reaps.  On its stack. */
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
	int under_way; /* in the ring; negative while a transfer was reaped before it was counted */
	unsigned unattended;
	bool reaping; /* a thread has the reaper's role, and with it the completion queue */
	bool stop;
	int stop_fd; /* an eventfd: wakes the attendant from poll */
	pthread_cond_t attendant_wake;
	pthread_t attendant;
	struct uring_op ops[URING_DEPTH];
};

/* A completion taken from the ring, with a copy of its operation, which is free again. */
struct uring_done {
	struct th_transfer transfer;
	struct th_future *future;
	int res;
};

static th_future_drive uring_drive;
static th_future_attend uring_attend;

/* Returns NULL if all operations are in use.  Initialises the future, with the lock held: the lock orders this before
 * the reaper's use, as the path through the kernel alone does not. */
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

/* Requires the lock. */
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

/* Requires the lock and the role to be free.  Wakes the sleepers whose futures are complete, and one thread to take the
 * role. */
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

/* Requires the lock and the role. */
static void role_release(struct uring_disk *disk)
{
	disk->reaping = false;
	wake_sleepers(disk);
}

/* Requires the role.  Takes completions from the queue, after blocking for at least one if `wait`.  Returns how many.
 */
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

/* Requires the lock, and drops it while it sleeps: until the future may be complete or the role may be of use. */
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

/* Requires the lock, and drops it while it reaps.  Takes the role if it is free and there is something to reap, and
 * reaps until the future is complete or nothing is under way.  Returns false if it did not take the role. */
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

/* The operation may belong to another future by now; then this one is complete. */
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

/* Uses the caller's transfer and not the operation's copy: once the kernel has taken the submission it has copied the
 * iov array, and the operation may already be complete and in use by another thread. */
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

/* Returns false if the kernel did not take the transfer; then it is not and will not be under way. */
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
		/* An entry that the kernel did not take stays in the queue and goes with the next one: as a NOP. */
		if (!taken) {
			io_uring_prep_nop(sqe);
			io_uring_sqe_set_data(sqe, NULL);
		}
	}
	pthread_mutex_unlock(&disk->submit_lock);
	return taken;
}

/* Counts a transfer that the kernel has taken, not before: no thread may wait in the kernel for one it did not take. */
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

/* Frees everything but the file. */
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
	.discard = th_disk_file_discard,
	.grow = th_disk_file_grow,
	.hold = th_disk_file_hold,
	.now = th_disk_file_now,
	.reap = uring_reap,
	.watch = uring_watch,
	.close = uring_close,
};

/* Returns -ENOSYS for any failure: io_uring is not usable here.  Kernels before 5.5 use the iov array after the
 * submission, for a time that is not known to the caller. */
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
